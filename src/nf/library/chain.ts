/**
 * A chain: dense indices handed out and taken back, oldest first, O(1) each. What
 * expiring maps and index allocators stand on; written in the subset.
 *
 * Representation: an ARRAY of capacity + 1 cells; index i is cell i + 1, and all
 * zeros is a valid empty chain. Allocated cells are a ring through cell 0:
 *
 *        ┌────────────── next: oldest ──────────────┐
 *   cell 0 (head) ← previous ─ newest ⇄ … ⇄ oldest ←┘   0 ends both ways
 *
 *   head.last: low 32 bits = cells ever used, high 32 bits = first free cell, 0 none
 *   a free cell: next = the next free one, previous = 0xffffffff, last = 0
 *
 * Laws: allocated cells stand in order of `last` where time does not run backwards
 * (where it does, in order of arrival); free and allocated cells are disjoint and
 * together the cells ever used. Expired: last < now − expireAfter.
 * The C headers in `nfs/c` keep the same bytes.
 */
import { ArrayMap } from "./array-map.ts";
import type { Part } from "./declaration.ts";
import type { HashMap } from "./hash-map.ts";
import { u32, u64 } from "./scalar.ts";
import {
  cellType,
  type CellType,
  type Fields,
  type Ref,
  type Type,
} from "./struct.ts";

/** The `previous` of a free cell. */
const FREE = 0xffff_ffff;

export interface ChainOptions<K extends Type> {
  /** How many indices. */
  readonly capacity: number;
  readonly expireAfter: bigint;
  /** A full chain gives out its oldest index although it has not expired. */
  readonly evictOldest: boolean;
  /** Cells have a key, which is deleted here when its cell is reclaimed. */
  readonly entries: HashMap<K, Type> | undefined;
}

export class Chain<K extends Type> {
  readonly kind = "composite";
  readonly capacity: number;
  readonly expireAfter: bigint;
  readonly evictOldest: boolean;
  readonly entries: HashMap<K, Type> | undefined;
  readonly cells: ArrayMap<CellType<K>>;

  constructor(options: ChainOptions<K>) {
    this.capacity = options.capacity;
    this.expireAfter = options.expireAfter;
    this.evictOldest = options.evictOldest;
    this.entries = options.entries;
    this.cells = new ArrayMap({
      value: chainCell(options.entries?.key) as CellType<K>,
      capacity: options.capacity + 1,
    });
  }

  /**
   * A cell's number (index + 1), newest from now on; 0 where there is none.
   * @noinline
   */
  allocate(now: bigint): number {
    const head = this.cells.at(0);
    const used = u32(head.last);
    let number = u32(head.last >> 32n);
    if (number === 0 && used < this.capacity) {
      number = used + 1;
      head.last = u64(number);
    } else if (number === 0) {
      number = head.next;
      const oldest = this.cells.get(number);
      if (oldest === undefined) return 0;
      if (!this.evictOldest && !this.isExpired(oldest.last, now)) return 0;
      this.unlink(oldest);
      if (this.entries !== undefined) this.entries.delete(oldest.key);
    } else {
      const free = this.cells.get(number);
      if (free === undefined) return 0;
      head.last = (u64(free.next) << 32n) | u64(used);
    }
    const cell = this.cells.get(number);
    if (cell === undefined) return 0;
    this.append(head, number, cell, now);
    return number;
  }

  /**
   * The index is the newest, used at `now`. Nothing where it is not allocated.
   * @noinline
   */
  refresh(index: number, now: bigint): void {
    if (index >= this.capacity) return;
    const head = this.cells.at(0);
    const cell = this.cells.at(index + 1);
    if (index >= u32(head.last) || cell.previous === FREE) return;
    if (cell.next === 0) {
      cell.last = now;
      return;
    }
    this.unlink(cell);
    this.append(head, index + 1, cell, now);
  }

  /**
   * Takes the index back. Nothing where it is not allocated.
   * @noinline
   */
  free(index: number): void {
    if (index >= this.capacity) return;
    const head = this.cells.at(0);
    const cell = this.cells.at(index + 1);
    const used = u32(head.last);
    if (index >= used || cell.previous === FREE) return;
    this.unlink(cell);
    cell.next = u32(head.last >> 32n);
    cell.previous = FREE;
    cell.last = 0n;
    head.last = (u64(index + 1) << 32n) | u64(used);
  }

  /** The cell of an index that is allocated and has not expired. */
  live(index: number, now: bigint): Ref<CellType<K>> | undefined {
    if (index >= this.capacity) return undefined;
    if (index >= u32(this.cells.at(0).last)) return undefined;
    const cell = this.cells.at(index + 1);
    if (cell.previous === FREE) return undefined;
    if (this.isExpired(cell.last, now)) return undefined;
    return cell;
  }

  /** Of an index that is allocated: has it not expired? */
  isAlive(index: number, now: bigint): boolean {
    if (index >= this.capacity) return false;
    return !this.isExpired(this.cells.at(index + 1).last, now);
  }

  /** The oldest index, where it has expired. */
  oldestExpired(now: bigint): number | undefined {
    const number = this.cells.at(0).next;
    if (number === 0) return undefined;
    const oldest = this.cells.get(number);
    if (oldest === undefined || !this.isExpired(oldest.last, now))
      return undefined;
    return number - 1;
  }

  /** last < now − expireAfter, also where that is negative. */
  isExpired(last: bigint, now: bigint): boolean {
    return now >= this.expireAfter && last < u64(now - this.expireAfter);
  }

  unlink(cell: Ref<CellType<K>>): void {
    const before = this.cells.get(cell.previous);
    const after = this.cells.get(cell.next);
    if (before === undefined || after === undefined) return;
    before.next = cell.next;
    after.previous = cell.previous;
  }

  append(
    head: Ref<CellType<K>>,
    number: number,
    cell: Ref<CellType<K>>,
    now: bigint,
  ): void {
    const newest = this.cells.get(head.previous);
    if (newest === undefined) return;
    cell.previous = head.previous;
    cell.next = 0;
    cell.last = now;
    newest.next = number;
    head.previous = number;
  }

  parts(name: string): readonly Part[] {
    return [{ name, declaration: this }, ...this.cells.parts(name)];
  }

  renew(): Chain<K> {
    return new Chain({
      capacity: this.capacity,
      expireAfter: this.expireAfter,
      evictOldest: this.evictOldest,
      entries: this.entries,
    });
  }
}

function chainCell(key: Type | undefined): CellType<Type> {
  const links: Fields = { last: u64, next: u32, previous: u32 };
  return key === undefined
    ? cellType("index_cell", links, u32)
    : cellType(`${key.name}_cell`, { ...links, key }, key);
}
