/**
 * Packets that name an index by a number which pass 1 gave out: in pass 2 they must name
 * the same one, by its number there. An index that no live entry has in pass 1 must be
 * one that no live entry has in pass 2 either.
 */
import type { PacketInput, State } from "../interp/index.ts";
import { heldAt, isLive, type AllocatorCheck } from "./chain-view.ts";
import type { Aim, WholeRun } from "./partition.ts";
import type { Renaming } from "./renaming.ts";

export class Aiming {
  readonly #aim: Aim;
  readonly #allocator: AllocatorCheck;
  readonly #renaming: Renaming;
  readonly #states: readonly State[];
  /** Port number of index 0, once known. */
  #port: number | undefined;
  #lastDead = 0;
  /** Packets for which no index is looked for, since all were in use. */
  #patience = 0;
  /** Every index was in use here, and the last packet means one that is not. */
  missed = false;

  constructor(
    aim: Aim,
    run: {
      readonly allocator: AllocatorCheck;
      readonly renaming: Renaming;
      readonly states: readonly State[];
    },
  ) {
    this.#aim = aim;
    this.#allocator = run.allocator;
    this.#renaming = run.renaming;
    this.#states = run.states;
  }

  /**
   * The packet as it must be sent here; undefined: it names no index. What pass 1 was
   * sent counts, also where it answers what pass 1 sent out: since then the number may
   * have become another's.
   */
  aimed({ input: packet, ...whole }: WholeRun): PacketInput | undefined {
    const port = this.#port;
    const { capacity, expiry } = this.#allocator;
    this.missed = false;
    if (port === undefined || !this.#aim.isAimed(packet)) return undefined;
    const words = this.#aim.words(packet.data);
    if (words === undefined) return undefined;
    const before = wordAt(packet.data, words.destination);
    const index = (before - port) & 0xffff;
    if (index >= capacity) return packet;
    // Such a packet hands out nothing: what is in use behind it was in use before.
    const held = heldAt(whole.state, this.#allocator, index);
    const other =
      (isLive(held, expiry, packet.time)
        ? this.#renaming.get(index)
        : undefined) ?? this.#deadIndex(index, packet.time);
    this.missed = other === undefined;
    if (other === undefined || other === index) return packet;
    const data = packet.data.slice();
    const after = (before + other - index) & 0xffff;
    putWord(data, words.destination, after);
    // As in nf_csum.h, no checksum stays none.
    if (words.checksum !== undefined && wordAt(data, words.checksum) !== 0) {
      const sum = wordAt(data, words.checksum) + before - after;
      putWord(data, words.checksum, ((sum + 0xffff - 1) % 0xffff) + 1);
    }
    return { ...packet, data };
  }

  /** What number index 0 has as a port, from the first one that pass 1 handed out. */
  learn({ notes, outcome }: WholeRun): void {
    if (this.#port !== undefined) return;
    const [index] = notes.given.get(this.#aim.chain) ?? [];
    const words = this.#aim.words(outcome.data);
    if (index === undefined || words === undefined) return;
    this.#port = (wordAt(outcome.data, words.source) - index) & 0xffff;
  }

  #deadIndex(index: number, now: bigint): number | undefined {
    const { capacity, expiry } = this.#allocator;
    const isDead = (each: number): boolean =>
      this.#states.every(
        (state) => !isLive(heldAt(state, this.#allocator, each), expiry, now),
      );
    if (isDead(index)) return index;
    // The last one found is often dead still; a vain search says something for a while.
    if (this.#patience > 0) {
      this.#patience--;
      return undefined;
    }
    for (let count = 0; count < capacity; count++) {
      const each = (this.#lastDead + count) % capacity;
      if (!isDead(each)) continue;
      this.#lastDead = each;
      return each;
    }
    this.#patience = 256;
    return undefined;
  }
}

function wordAt(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}

function putWord(bytes: Uint8Array, at: number, word: number): void {
  bytes[at] = word >> 8;
  if (at + 1 < bytes.length) bytes[at + 1] = word;
}
