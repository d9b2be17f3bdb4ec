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
  readonly #core: number;
  readonly #most: number;
  #next = 0;

  constructor(
    feed: PacketFeed,
    { packets, steer, core }: ResidentTrace,
    most: number,
  ) {
    this.#most = most;
    this.#feed = feed;
    this.#packets = new PackedPackets(packets);
    this.#steer = new Uint8Array(steer);
    this.#core = core;
  }

  /** Puts some packets, `most` at a time, into the ring, which is empty; closes it when none is left. */
  fill(): void {
    const { count } = this.#packets;
    const steer = this.#steer;
    let next = this.#next;
    for (let added = 0; added < this.#most && next < count; next++) {
      if (steer[next] !== this.#core) continue;
      if (!this.#feed.addPacked(next, this.#packets)) break;
      added++;
    }
    this.#next = next;
    if (next === count) this.#feed.close();
    else this.#feed.flush();
  }
}
