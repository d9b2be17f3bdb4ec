/**
 * What dispatcher and cores know of entries that move, one word each and shared:
 *
 *   since   packets from this number on belong to the destination; `settled` if the
 *           entry does not move
 *   to      its destination
 *   move    number of the move, so that a core tells one move from the next
 *
 * `since` is stored last and before any packet of that number is handed to a core;
 * so who sees such a packet sees the move.
 */
export interface MovingParts {
  readonly size: number;
  readonly words: SharedArrayBuffer;
}

const settled = 0x7fffffff;

export class MovingTable {
  readonly parts: MovingParts;
  readonly #words: Int32Array;
  readonly #size: number;

  constructor(parts: MovingParts) {
    this.parts = parts;
    this.#size = parts.size;
    this.#words = new Int32Array(parts.words);
  }

  /** Of a table with that many entries, none of which moves. */
  static of(size: number): MovingTable {
    const words = new SharedArrayBuffer(12 * size);
    new Int32Array(words).fill(settled, 0, size);
    return new MovingTable({ size, words });
  }

  /** The move that the packet is part of; 0: none. */
  moveOf(entry: number, packet: number): number {
    if (packet < Atomics.load(this.#words, entry)) return 0;
    return this.#words[2 * this.#size + entry] ?? 0;
  }

  destination(entry: number): number {
    return this.#words[this.#size + entry] ?? 0;
  }

  isMoving(entry: number): boolean {
    return Atomics.load(this.#words, entry) !== settled;
  }

  begin(entry: number, to: number, at: { move: number; since: number }): void {
    this.#words[this.#size + entry] = to;
    this.#words[2 * this.#size + entry] = at.move;
    Atomics.store(this.#words, entry, at.since);
  }

  end(entry: number): void {
    Atomics.store(this.#words, entry, settled);
  }
}
