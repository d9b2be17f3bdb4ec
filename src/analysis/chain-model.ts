/**
 * What a chain does: the reference that functions are tried against which are named
 * like an index allocator's (allocator.ts).
 *
 * Representation, that of the library and of the C headers: cell 0 is the head, cell
 * i + 1 belongs to index i, and all zeros is an empty chain.
 *
 *   head            last: low half cells ever used, high half first free cell, 0 none
 *                   next: oldest allocated cell, previous: newest; 0 none
 *   allocated cell  last: when it was allocated or refreshed; next, previous: the list
 *                   from oldest to newest, a ring through the head
 *   free cell       previous 0xffffffff, last 0, next: the next free one
 *
 * Law: allocate takes the free cell that was freed last, else a cell never used, else
 * the oldest one if it has expired (last + expiry < now) or is evicted anyhow.
 */
export interface ChainCell {
  readonly last: bigint;
  readonly next: number;
  readonly previous: number;
}

export interface ChainOptions {
  readonly capacity: number;
  /** Where the oldest is not evicted anyhow. */
  readonly expiry: bigint;
  readonly evictsOldest: boolean;
  /** Cells that count as used at the start, and are in no list. */
  readonly used?: number;
}

export const freeCell = 0xffff_ffff;
const empty: ChainCell = { last: 0n, next: 0, previous: 0 };

export class ChainModel {
  readonly #options: ChainOptions;
  readonly #cells = new Map<number, ChainCell>();

  constructor(options: ChainOptions) {
    this.#options = options;
    const { used = 0 } = options;
    this.#set(0, { last: BigInt(used) });
  }

  cell(number: number): ChainCell {
    return this.#cells.get(number) ?? empty;
  }

  /** Number of the cell, index + 1, or 0; was it taken from another entry? */
  allocate(now: bigint): {
    readonly number: number;
    readonly reclaimed: boolean;
  } {
    const head = this.cell(0);
    const used = Number(head.last & 0xffff_ffffn);
    const free = Number(head.last >> 32n);
    let number = free;
    let reclaimed = false;
    if (free !== 0)
      this.#set(0, {
        last: (BigInt(this.cell(free).next) << 32n) | BigInt(used),
      });
    else if (used < this.#options.capacity) {
      number = used + 1;
      this.#set(0, { last: BigInt(number) });
    } else {
      number = head.next;
      if (number === 0 || !this.#mayReclaim(number, now))
        return { number: 0, reclaimed };
      this.#unlink(number);
      reclaimed = true;
    }
    this.#append(number, now);
    return { number, reclaimed };
  }

  refresh(index: number, now: bigint): void {
    if (!this.isAllocated(index)) return;
    if (this.cell(index + 1).next === 0) this.#set(index + 1, { last: now });
    else {
      this.#unlink(index + 1);
      this.#append(index + 1, now);
    }
  }

  free(index: number): void {
    if (!this.isAllocated(index)) return;
    this.#unlink(index + 1);
    const { last } = this.cell(0);
    this.#set(index + 1, {
      last: 0n,
      next: Number(last >> 32n),
      previous: freeCell,
    });
    this.#set(0, {
      last: (BigInt(index + 1) << 32n) | (last & 0xffff_ffffn),
    });
  }

  isAllocated(index: number): boolean {
    const used = Number(this.cell(0).last & 0xffff_ffffn);
    return index < used && this.cell(index + 1).previous !== freeCell;
  }

  #mayReclaim(number: number, now: bigint): boolean {
    const { evictsOldest, expiry } = this.#options;
    return evictsOldest || this.cell(number).last + expiry < now;
  }
  #unlink(number: number): void {
    const { next, previous } = this.cell(number);
    this.#set(previous, { next });
    this.#set(next, { previous });
  }
  #append(number: number, now: bigint): void {
    const { previous } = this.cell(0);
    this.#set(number, { last: now, next: 0, previous });
    this.#set(previous, { next: number });
    this.#set(0, { previous: number });
  }
  #set(number: number, part: Partial<ChainCell>): void {
    this.#cells.set(number, { ...this.cell(number), ...part });
  }
}
