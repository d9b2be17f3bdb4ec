/**
 * array and percpu_array, and the arrays behind global data sections: every cell
 * exists from the start, none can be deleted (kernel/bpf/arraymap.c).
 */
import type { MapSpec } from "../isa/index.ts";
import { CellStore, updateFlag } from "./cell-store.ts";
import { Cells } from "./cells.ts";
import { errno } from "./errno.ts";

export class ArrayStore extends CellStore {
  constructor(spec: MapSpec, capacity: number, copies: number, cells?: Cells) {
    super(
      spec,
      capacity,
      cells ??
        new Cells({
          name: spec.name,
          valueSize: spec.valueSize,
          copies,
          capacity,
          readOnly: spec.readOnly,
        }),
    );
    if (cells === undefined && spec.data !== undefined)
      this.cells.bytes(0, 0, true).set(spec.data.subarray(0, spec.valueSize));
  }

  override find(key: Uint8Array): number {
    const index = indexOf(key);
    return index < this.capacity ? index : -1;
  }
  override used(): void {}
  override claim(key: Uint8Array, flags: number): number {
    this.fresh = false;
    const bad = this.badFlags(flags);
    if (bad !== undefined) return bad;
    const index = indexOf(key);
    if (index >= this.capacity) return -errno.E2BIG;
    if ((flags & updateFlag.noExist) !== 0) return -errno.EEXIST;
    return this.badLock(flags) ?? index;
  }
  override remove(): number {
    return -errno.EINVAL;
  }
  override *keys(): Iterable<readonly [Uint8Array, number]> {
    for (let index = 0; index < this.capacity; index++)
      yield [this.keyOf(index), index];
  }
  override keyOf(cell: number): Uint8Array {
    return indexKey(cell);
  }
  override clone(): ArrayStore {
    const twin = new ArrayStore(
      this.spec,
      this.capacity,
      this.copies,
      this.cells.clone(),
    );
    twin.region = this.region;
    return twin;
  }
}

/** An array index as the four bytes of its key. */
export function indexKey(index: number): Uint8Array {
  return Uint8Array.of(index, index >>> 8, index >>> 16, index >>> 24);
}

export function indexOf(key: Uint8Array): number {
  const [a = 0, b = 0, c = 0, d = 0] = key;
  return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
}
