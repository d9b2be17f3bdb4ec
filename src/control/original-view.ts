/**
 * A map of a split program as the original program's: one value per key, wherever the
 * parts of it are. A shard's maps are shared and stand for themselves; of a map that
 * was merged into copies per CPU the value is their sum, counter by counter, in the
 * counter's width (docs/decisions/0001 says why shards share).
 *
 * Writing a merged value puts it into the first copy and zero into the others. Cores
 * that count meanwhile write back what they read: their last counts may get lost, or
 * the written value may.
 */
import { Bug, toHex } from "../base/index.ts";
import type { KernelMap } from "../engine/index.ts";
import type { MapRecord } from "./attachment.ts";
import {
  privateEntries,
  privateValue,
  writePrivate,
  type OriginalEntry,
} from "./private-view.ts";

export type { OriginalEntry } from "./private-view.ts";

/** Every entry, in the order of keys as bytes: the same state prints the same. */
export function originalEntries(
  map: KernelMap,
  record: MapRecord,
): readonly OriginalEntry[] {
  const entries =
    record.cores === undefined
      ? map
          .entries()
          .map(([key, copies]) => ({ key, values: merged(copies, record) }))
      : privateEntries(map, record);
  return entries
    .map((entry) => ({ entry, order: toHex(entry.key) }))
    .sort((a, b) => (a.order < b.order ? -1 : a.order > b.order ? 1 : 0))
    .map(({ entry }) => entry);
}

export function originalValue(
  map: KernelMap,
  record: MapRecord,
  key: Uint8Array,
): readonly Uint8Array[] | undefined {
  if (record.cores !== undefined) return privateValue(map, record, key);
  const copies = map.lookupAll(key);
  return copies === undefined ? undefined : merged(copies, record);
}

export function writeOriginal(
  map: KernelMap,
  { key, values }: OriginalEntry,
  flags = 0,
): void {
  map.updateAll(key, values, flags);
}

/** Writes every entry; what stands under other keys stays. */
export function writeOriginals(
  map: KernelMap,
  record: MapRecord,
  entries: readonly OriginalEntry[],
): void {
  if (record.cores === undefined)
    for (const entry of entries) writeOriginal(map, entry);
  else writePrivate(map, record, entries);
}

/** How many values an entry has. */
export function copiesOf(map: KernelMap, record: MapRecord): number {
  if (isMerged(record)) return 1;
  return record.cores?.layout === "sliced" ? record.cores.cores : map.copies;
}

export function isMerged({ lanes }: MapRecord): boolean {
  return lanes.length > 0;
}

/** `now` with what `later` has over `earlier`, counter by counter. */
export function plusDifference(
  now: Uint8Array,
  [earlier, later]: readonly [Uint8Array, Uint8Array],
  lanes: MapRecord["lanes"],
): Uint8Array {
  const sum = now.slice();
  for (const lane of lanes)
    write(sum, lane, read(now, lane) + read(later, lane) - read(earlier, lane));
  return sum;
}

function merged(
  copies: readonly Uint8Array[],
  record: MapRecord,
): readonly Uint8Array[] {
  if (!isMerged(record)) return copies;
  const [first, ...others] = copies;
  if (first === undefined)
    throw new Bug(`${record.name}: a cell without copies`);
  const sum = first.slice();
  for (const lane of record.lanes) {
    const total = others.reduce(
      (part, copy) => part + read(copy, lane),
      read(first, lane),
    );
    write(sum, lane, total);
  }
  return [sum];
}

interface Lane {
  readonly offset: number;
  readonly size: number;
}

function read(bytes: Uint8Array, { offset, size }: Lane): bigint {
  let value = 0n;
  for (let at = size - 1; at >= 0; at--)
    value = (value << 8n) | BigInt(bytes[offset + at] ?? 0);
  return value;
}

function write(bytes: Uint8Array, { offset, size }: Lane, value: bigint): void {
  for (let at = 0; at < size; at++)
    bytes[offset + at] = Number((value >> BigInt(8 * at)) & 0xffn);
}
