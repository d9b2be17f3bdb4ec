/**
 * `indexAllocator`: hands out indices 0 … capacity − 1 that live while they are
 * used. Written in the subset.
 *
 * Representation: the cells of a chain (see `chain.ts`) without keys, an ARRAY
 * `NAME`; the chain's functions are called NAME_chain_allocate and so on.
 * Not promised: which free index is handed out.
 */
import { Chain } from "./chain.ts";
import { checkCapacity, type Part } from "./declaration.ts";

export interface AllocatorOptions {
  /** How many indices. */
  readonly capacity: number;
  /** Nanoseconds after its last use at which an index may be given out again. */
  readonly expireAfter: bigint;
  /** What a full allocator does where nothing has expired. */
  readonly onFull?: "refuse" | "evict-oldest";
}

export class IndexAllocator {
  readonly kind = "composite";
  readonly capacity: number;
  readonly options: AllocatorOptions;
  readonly chain: Chain<never>;

  constructor(options: AllocatorOptions) {
    checkCapacity("indexAllocator", options.capacity);
    this.capacity = options.capacity;
    this.options = options;
    this.chain = new Chain<never>({
      capacity: options.capacity,
      expireAfter: options.expireAfter,
      evictOldest: options.onFull === "evict-oldest",
      entries: undefined,
    });
  }

  /** An index, the newest from now on; undefined where all are in use. */
  allocate(now: bigint): number | undefined {
    const number = this.chain.allocate(now);
    if (number === 0) return undefined;
    return number - 1;
  }

  /** The index is in use: it lives from `now` for `expireAfter`. */
  refresh(index: number, now: bigint): void {
    this.chain.refresh(index, now);
  }

  /** Takes the index back. */
  free(index: number): void {
    this.chain.free(index);
  }

  /** Is the index in use, and not expired? */
  isAllocated(index: number, now: bigint): boolean {
    return this.chain.live(index, now) !== undefined;
  }

  /** The index unused for longest, where it has expired. */
  oldestExpired(now: bigint): number | undefined {
    return this.chain.oldestExpired(now);
  }

  parts(name: string): readonly Part[] {
    return [
      { name, declaration: this },
      { name: `${name}_chain`, declaration: this.chain },
      ...this.chain.cells.parts(name),
    ];
  }

  renew(): IndexAllocator {
    return new IndexAllocator(this.options);
  }
}

/** Dense indices that live while they are used. */
export function indexAllocator(options: AllocatorOptions): IndexAllocator {
  return new IndexAllocator(options);
}
