/**
 * Packets that are in memory as a whole: every worker reads them for itself, those
 * that are steered to it, in order. No thread feeds and no line goes back and forth;
 * the ring is the same, with both its ends in the worker.
 */
import { PackedPackets, type PackedParts } from "./packed-packets.ts";
import type { PacketFeed } from "./packet-feed.ts";

export interface ResidentTrace {
  readonly packets: PackedParts;
  /** Core of each packet. */
  readonly steer: SharedArrayBuffer;
  readonly core: number;
}

export class ResidentSource {
  readonly #feed: PacketFeed;
  readonly #packets: PackedPackets;
  readonly #steer: Uint8Array;
  readonly #most: number;
  #next = 0;

  constructor(
    feed: PacketFeed,
    { packets, steer }: ResidentTrace,
    most: number,
  ) {
    this.#most = most;
    this.#feed = feed;
    this.#packets = new PackedPackets(packets);
    this.#steer = new Uint8Array(steer);
  }

  /** Puts some packets, `most` at a time, into the ring if it is empty; closes it at the end. */
  fill(): void {
    const packets = this.#packets;
    this.#next = this.#feed.fill(packets, this.#steer, this.#next, this.#most);
    if (this.#next === packets.count) this.#feed.close();
  }
}
