/**
 * devmap, cpumap and xskmap: sparse arrays. Every index below the size is there to be
 * written, so BPF_NOEXIST always fails; an element whose value begins with 0 (no
 * interface, a queue of no length) is none.
 *
 * Only user space writes them. The engine knows no interfaces, CPUs or sockets: any
 * number but 0 is taken.
 *
 * Source: kernel/bpf/devmap.c, cpumap.c, net/xdp/xskmap.c.
 */
import type { MapLayout } from "../../codegen/index.ts";
import { errno } from "../../interp/index.ts";
import { updateFlag, type CellValues } from "./cell-values.ts";
import type { MapLock } from "./map-lock.ts";
import type { MemoryView } from "./memory-view.ts";
import { TableMap } from "./table-map.ts";

/** The longest queue of a cpumap. */
const longestQueue = 16384;

export class DeviceMap {
  readonly layout: MapLayout;
  readonly #memory: MemoryView;
  readonly #table: TableMap;

  constructor(
    memory: MemoryView,
    layout: MapLayout,
    lock: MapLock | undefined,
  ) {
    this.layout = layout;
    this.#memory = memory;
    this.#table = new TableMap(memory, layout, lock);
  }

  get values(): CellValues {
    return this.#table.values;
  }
  get size(): number {
    return this.#table.size;
  }
  find(key: number): number {
    return this.#table.find(key);
  }
  lookup(key: number): number {
    return this.#table.lookup(key);
  }

  update(key: number, flags: number): number {
    const { type } = this.layout.spec;
    const first = this.#word(0);
    if (flags >>> 0 > updateFlag.exist) return -errno.EINVAL;
    if (type === "devmap_hash")
      return first === 0
        ? -errno.EINVAL
        : this.#table.update(key, flags & updateFlag.noExist);
    if (this.#memory.u32(key) >= this.layout.capacity) return -errno.E2BIG;
    if (type === "xskmap") return this.#table.update(key, flags);
    if (flags === updateFlag.noExist) return -errno.EEXIST;
    if (type === "cpumap" && first > longestQueue) return -errno.EOVERFLOW;
    if (first !== 0) return this.#table.update(key, 0);
    if (type === "devmap" && (this.#word(4) | 0) > 0) return -errno.EINVAL;
    return this.remove(key);
  }

  remove(key: number): number {
    const answer = this.#table.remove(key);
    if (answer === 0 || this.layout.spec.type === "devmap_hash") return answer;
    return this.#memory.u32(key) < this.layout.capacity ? 0 : -errno.EINVAL;
  }

  cells(): readonly number[] {
    return this.#table.cells();
  }
  inOrder(): readonly number[] {
    return this.#table.inOrder();
  }
  calmly<T>(run: () => T): T {
    return this.#table.calmly(run);
  }
  locate(key: number): number {
    return this.#table.locate(key);
  }
  keyAddress(at: number): number {
    return this.#table.keyAddress(at);
  }

  /** A word of the value to be written; 0 beyond it. */
  #word(at: number): number {
    const { given, from } = this.values;
    if (at + 4 > this.layout.valueSize) return 0;
    if (given === undefined) return this.#memory.u32(from + at);
    const [a = 0, b = 0, c = 0, d = 0] = given.subarray(at);
    return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
  }
}
