/**
 * The map behind each layout, and what all that have cells can do. Cells are numbers,
 * keys are addresses in linear memory, errors are negative error numbers.
 *
 * `cells` gives the elements of one moment, arrays by index, tables by bucket and from
 * the newest in each. `inOrder` gives them as bpf_for_each_map_elem visits them here
 * and in interp: as inserted, of LRU maps the longest unused first. The kernel's order
 * is that of its buckets, so with it iteration agrees as a set only.
 */
import { mapState, type MapLayout } from "../../codegen/index.ts";
import { ArrayMap } from "./array-map.ts";
import { BloomMap } from "./bloom-map.ts";
import type { CellValues } from "./cell-values.ts";
import { DeviceMap } from "./device-map.ts";
import { MapLock } from "./map-lock.ts";
import type { MemoryView } from "./memory-view.ts";
import { PrefixMap } from "./prefix-map.ts";
import { QueueMap } from "./queue-map.ts";
import { TableMap } from "./table-map.ts";

export interface ValueMap {
  readonly layout: MapLayout;
  /** Where values lie; says too which value the next update writes. */
  readonly values: CellValues;
  /** Cell of the key, or -1. */
  find(key: number): number;
  /** Address of the value that the current CPU sees, or 0. Its element is used now. */
  lookup(key: number): number;
  /** 0 or a negated error. */
  update(key: number, flags: number): number;
  remove(key: number): number;
  /** What `run` gives while nobody changes keys; it may use `locate` and `cells` only. */
  calmly<T>(run: () => T): T;
  /** `find`, calmly. */
  locate(key: number): number;
  cells(): readonly number[];
  inOrder(): readonly number[];
  /** Address of the cell's key; 0 where keys are indices. */
  keyAddress(at: number): number;
}

export type LinearMap = ValueMap | QueueMap | BloomMap;

/** Undefined for maps that the engine only carries along. */
export function makeMap(
  memory: MemoryView,
  layout: MapLayout,
): LinearMap | undefined {
  const lock = memory.shared
    ? new MapLock(memory.words, layout.state + mapState.lock)
    : undefined;
  switch (layout.kind) {
    case "array":
      return new ArrayMap(memory, layout);
    case "hash":
      return devices.has(layout.spec.type)
        ? new DeviceMap(memory, layout, lock)
        : new TableMap(memory, layout, lock);
    case "lru":
      return new TableMap(memory, layout, lock);
    case "lpm":
      return new PrefixMap(memory, layout, lock);
    case "queue":
      return new QueueMap(memory, layout, lock);
    case "bloom":
      return new BloomMap(memory, layout);
    case "foreign":
      return undefined;
  }
}

const devices: ReadonlySet<string> = new Set([
  "devmap",
  "devmap_hash",
  "cpumap",
  "xskmap",
]);

export function hasCells(map: LinearMap | undefined): map is ValueMap {
  return (
    map !== undefined &&
    !(map instanceof QueueMap) &&
    !(map instanceof BloomMap)
  );
}
