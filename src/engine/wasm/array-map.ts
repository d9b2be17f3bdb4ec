/**
 * array and percpu_array, data sections, program arrays and arrays of maps: cell =
 * index. In an array of values each cell exists from the start and none can be deleted;
 * a slot of the other two holds a handle, or 0 while it is empty.
 *
 * No lock: two updates of one cell at once may mix their bytes, as in the kernel.
 * Source: kernel/bpf/arraymap.c.
 */
import type { MapLayout } from "../../codegen/index.ts";
import { errno } from "../../interp/index.ts";
import { CellValues, updateFlag } from "./cell-values.ts";
import type { MemoryView } from "./memory-view.ts";

export class ArrayMap {
  readonly layout: MapLayout;
  readonly values: CellValues;
  readonly #memory: MemoryView;

  constructor(memory: MemoryView, layout: MapLayout) {
    this.#memory = memory;
    this.layout = layout;
    this.values = new CellValues(memory, layout);
  }

  find(key: number): number {
    const index = this.#memory.u32(key);
    if (index >= this.layout.capacity) return -1;
    return this.#isEmpty(index) ? -1 : index;
  }

  lookup(key: number): number {
    const at = this.find(key);
    if (at < 0) return 0;
    const { copies } = this.layout;
    return this.values.address(at, copies > 1 ? this.#memory.cpu : 0);
  }

  update(key: number, flags: number): number {
    const { capacity, copies, held } = this.layout;
    if (held !== "values" && flags !== 0) return -errno.EINVAL;
    const plain = copies > 1 ? flags : flags & ~updateFlag.lock;
    if (plain >>> 0 > updateFlag.exist) return -errno.EINVAL;
    const at = this.#memory.u32(key);
    if (at >= capacity) return -errno.E2BIG;
    if ((flags & updateFlag.noExist) !== 0) return -errno.EEXIST;
    if ((flags & updateFlag.lock) !== 0 && !this.values.hasLock)
      return -errno.EINVAL;
    this.values.put(at, flags, "in-place");
    return 0;
  }

  remove(key: number): number {
    const { capacity, held } = this.layout;
    if (held === "values") return -errno.EINVAL;
    const at = this.#memory.u32(key);
    if (at >= capacity) return -errno.E2BIG;
    if (this.#isEmpty(at)) return -errno.ENOENT;
    this.#memory.setU32(this.values.address(at, 0), 0);
    return 0;
  }

  cells(): readonly number[] {
    return Array.from({ length: this.layout.capacity }, (_, at) => at).filter(
      (at) => !this.#isEmpty(at),
    );
  }

  /** Cells with a byte that is not zero. */
  written(): readonly number[] {
    if (this.layout.held !== "values") return this.cells();
    const { capacity } = this.layout;
    const found: number[] = [];
    for (let at = 0; at < capacity; at++)
      if (!this.values.isZero(at)) found.push(at);
    return found;
  }

  inOrder(): readonly number[] {
    return this.cells();
  }
  calmly<T>(run: () => T): T {
    return run();
  }
  locate(key: number): number {
    return this.find(key);
  }
  keyAddress(): number {
    return 0;
  }

  #isEmpty(at: number): boolean {
    if (this.layout.held === "values") return false;
    return this.#memory.u32(this.values.address(at, 0)) === 0;
  }
}
