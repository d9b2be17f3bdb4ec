/**
 * A map with cells of each core's own as the original program's map.
 *
 *   allocator  one chain with one head (codegen: originalCells); an index is one index
 *              in the machine, so cells keep their keys
 *   sliced     a value per core under each key, as a per-CPU map shows them
 *   table      the entries of all tables (table-view.ts)
 *   locked     values without the lock behind them; they are written under it
 *
 * Written is what the original would have: the cells of a chain go to the cores whose
 * ranges they are in, and only what differs is written. Packets that arrive meanwhile
 * see old cells or new ones, and links between them that are neither: a chain is
 * written while no traffic flows, or not at all.
 */
import { equalBytes, InputError } from "../base/index.ts";
import {
  chainLayout,
  originalCells,
  splitCells,
  type CellAt,
} from "../codegen/index.ts";
import type { KernelMap } from "../engine/index.ts";
import type { MapRecord } from "./attachment.ts";
import { storedEntries, storedValue, writeStored } from "./table-view.ts";

export interface OriginalEntry {
  readonly key: Uint8Array;
  /** One value, or one per CPU where the original map is per-CPU. */
  readonly values: readonly Uint8Array[];
}

export function privateEntries(
  map: KernelMap,
  record: MapRecord,
): readonly OriginalEntry[] {
  if (record.cores?.layout === "table") return storedEntries(map, record);
  if (record.cores?.layout === "locked")
    return map.entries().map(([key, values]) => ({
      key,
      values: values.map((value) => value.slice(0, record.valueSize)),
    }));
  const cellAt = cellsOf(map);
  if (record.cores?.layout === "sliced")
    return Array.from({ length: record.maxEntries }, (_, key) => ({
      key: keyBytes(key),
      values: slices(cellAt, record, key),
    }));
  return originalCells(cellAt, layoutOf(record)).map((cell, key) => ({
    key: keyBytes(key),
    values: [cell],
  }));
}

export function privateValue(
  map: KernelMap,
  record: MapRecord,
  key: Uint8Array,
): readonly Uint8Array[] | undefined {
  if (record.cores?.layout === "table") return storedValue(map, record, key);
  if (record.cores?.layout === "locked") {
    const value = map.lookup(key)?.slice(0, record.valueSize);
    return value === undefined ? undefined : [value];
  }
  const number = keyNumber(key);
  if (number >= record.maxEntries) return undefined;
  if (record.cores?.layout === "sliced")
    return slices((at) => map.lookup(keyBytes(at)), record, number);
  // One cell's links are those of the whole list.
  return privateEntries(map, record)[number]?.values;
}

export function writePrivate(
  map: KernelMap,
  record: MapRecord,
  entries: readonly OriginalEntry[],
): void {
  if (record.cores?.layout === "table") {
    writeStored(map, record, entries);
    return;
  }
  if (record.cores?.layout === "locked") {
    for (const { key, values } of entries) {
      const long = new Uint8Array(map.spec.valueSize);
      long.set(values[0] ?? []);
      map.update(key, long, underLock);
    }
    return;
  }
  for (const { key } of entries)
    if (keyNumber(key) >= record.maxEntries)
      throw new InputError(
        `${record.name} has ${record.maxEntries} cells, and none is number ${keyNumber(key)}`,
        { code: "map-key" },
      );
  if (record.cores?.layout === "sliced") {
    const { cores } = record.cores;
    for (const { key, values } of entries)
      for (let core = 0; core < cores; core++) {
        const value = values[core] ?? values.at(-1);
        const at = core * record.maxEntries + keyNumber(key);
        if (value !== undefined) map.update(keyBytes(at), value);
      }
    return;
  }
  const cellAt = cellsOf(map);
  const layout = layoutOf(record);
  const cells = originalCells(cellAt, layout);
  for (const { key, values } of entries) {
    const [value] = values;
    if (value !== undefined) cells[keyNumber(key)] = value;
  }
  for (const [key, cell] of splitCells(cells, layout)) {
    const standing = cellAt(key);
    if (standing === undefined || !equalBytes(standing, cell))
      map.update(keyBytes(key), cell);
  }
}

/** BPF_F_LOCK (include/uapi/linux/bpf.h): the value changes while nobody holds its lock. */
const underLock = 4;

function slices(
  cellAt: CellAt,
  { cores, maxEntries, valueSize }: MapRecord,
  key: number,
): readonly Uint8Array[] {
  return Array.from(
    { length: cores?.cores ?? 0 },
    (_, core) => cellAt(core * maxEntries + key) ?? new Uint8Array(valueSize),
  );
}

function layoutOf({ cores, maxEntries, valueSize }: MapRecord) {
  const capacities = cores?.capacities ?? [];
  return chainLayout(maxEntries, cores?.cores ?? 1, {
    capacity: capacities.reduce((sum, each) => sum + each, 0),
    cellSize: valueSize,
  });
}

/** All of it, read at once. */
function cellsOf(map: KernelMap): CellAt {
  const cells = new Map(
    map.entries().map(([key, [value]]) => [keyNumber(key), value]),
  );
  return (key) => cells.get(key);
}

function keyNumber(key: Uint8Array): number {
  return new DataView(key.buffer, key.byteOffset).getUint32(0, true);
}

function keyBytes(key: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(key).buffer);
}
