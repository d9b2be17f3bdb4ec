/**
 * hash, lru_hash and their per-CPU kinds.
 *
 * Kernel semantics (kernel/bpf/hashtab.c):
 * - an update of an existing element of a map that is not per-CPU gives it a new
 *   cell: a pointer looked up before still reads the old value. There is one cell
 *   more than the capacity for that.
 * - a full hash answers E2BIG. A full LRU map evicts.
 *
 * What is NOT the kernel's: eviction here is exact. The victim is the element whose
 * last use (lookup by a program, or update) is longest ago, one at a time, and flags
 * are checked before anything is evicted. The kernel keeps per-CPU lists, takes
 * batches and approximates use by a bit.
 */
import type { MapSpec } from "../isa/index.ts";
import { CellStore, updateFlag } from "./cell-store.ts";
import { Cells } from "./cells.ts";
import { errno } from "./errno.ts";
import { keyBytes, keyText, type KeyText } from "./key-text.ts";

interface Index {
  /** In order of last use where the map is LRU, else of insertion. */
  readonly cells: Map<KeyText, number>;
  /** By cell; also remembers the last owner of a free one. */
  readonly keys: KeyText[];
  readonly free: number[];
}

export class HashStore extends CellStore {
  #index: Index = { cells: new Map(), keys: [], free: [] };
  /** The index belongs to a clone too: copy before changing it. */
  #shared = false;
  /** Cells from here on were never used. */
  #next = 0;
  /** The spare cell. */
  #spare: number;
  #newest: KeyText | undefined;
  readonly #lru: boolean;

  constructor(spec: MapSpec, capacity: number, copies: number, cells?: Cells) {
    super(
      spec,
      capacity,
      cells ??
        new Cells({
          name: spec.name,
          valueSize: spec.valueSize,
          copies,
          capacity: capacity + 1,
          readOnly: spec.readOnly,
        }),
    );
    this.#spare = capacity;
    this.#lru = spec.type === "lru_hash" || spec.type === "lru_percpu_hash";
  }

  get size(): number {
    return this.#index.cells.size;
  }

  override find(key: Uint8Array): number {
    return this.#index.cells.get(keyText(key)) ?? -1;
  }

  override used(cell: number): void {
    if (!this.#lru) return;
    const key = this.#index.keys[cell];
    if (key === undefined || key === this.#newest) return;
    const { cells } = this.#own();
    cells.delete(key);
    cells.set(key, cell);
    this.#newest = key;
  }

  override claim(key: Uint8Array, flags: number): number {
    this.fresh = false;
    this.evicted = undefined;
    const bad = this.badFlags(flags) ?? this.badLock(flags);
    if (bad !== undefined) return bad;
    const text = keyText(key);
    const cell = this.#index.cells.get(text);
    if (cell !== undefined) {
      if ((flags & updateFlag.noExist) !== 0) return -errno.EEXIST;
      return this.#replace(text, cell, flags);
    }
    if ((flags & updateFlag.exist) !== 0) return -errno.ENOENT;
    return this.#insert(text);
  }

  override remove(key: Uint8Array): number {
    const text = keyText(key);
    const cell = this.#index.cells.get(text);
    if (cell === undefined) return -errno.ENOENT;
    const index = this.#own();
    index.cells.delete(text);
    index.free.push(cell);
    if (this.#newest === text) this.#newest = undefined;
    return 0;
  }

  override *keys(): Iterable<readonly [Uint8Array, number]> {
    const { keySize } = this.spec;
    // A callback may change the map while it is walked.
    const elements = Array.from(this.#index.cells);
    for (const [text, cell] of elements) yield [keyBytes(text, keySize), cell];
  }

  override keyOf(cell: number): Uint8Array {
    return keyBytes(this.#index.keys[cell] ?? 0, this.spec.keySize);
  }

  override clone(): HashStore {
    return this.cloneInto(
      new HashStore(this.spec, this.capacity, this.copies, this.cells.clone()),
    );
  }

  /** Gives `twin`, which has a clone of the cells, this map's index. */
  protected cloneInto<T extends HashStore>(twin: T): T {
    twin.region = this.region;
    twin.#index = this.#index;
    twin.#next = this.#next;
    twin.#spare = this.#spare;
    twin.#newest = this.#newest;
    this.#shared = true;
    twin.#shared = true;
    return twin;
  }

  #replace(text: KeyText, cell: number, flags: number): number {
    const inPlace = this.copies > 1 || (flags & updateFlag.lock) !== 0;
    if (inPlace && !this.#lru) return cell;
    const index = this.#own();
    const target = inPlace ? cell : this.#spare;
    if (!inPlace) this.#spare = cell;
    if (this.#lru) {
      index.cells.delete(text);
      this.#newest = text;
    }
    index.cells.set(text, target);
    index.keys[target] = text;
    return target;
  }

  #insert(text: KeyText): number {
    const index = this.#own();
    if (index.cells.size >= this.capacity) {
      if (!this.#lru || this.capacity === 0) return -errno.E2BIG;
      this.#evict(index);
    }
    const cell = index.free.pop() ?? this.#next++;
    index.cells.set(text, cell);
    index.keys[cell] = text;
    this.#newest = text;
    this.fresh = true;
    return cell;
  }

  #evict(index: Index): void {
    for (const [text, cell] of index.cells) {
      index.cells.delete(text);
      index.free.push(cell);
      this.evicted = keyBytes(text, this.spec.keySize);
      return;
    }
  }

  #own(): Index {
    if (!this.#shared) return this.#index;
    this.#shared = false;
    this.#index = {
      cells: new Map(this.#index.cells),
      keys: [...this.#index.keys],
      free: [...this.#index.free],
    };
    return this.#index;
  }
}
