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

export interface OriginalEntry {
  readonly key: Uint8Array;
  /** One value, or one per CPU where the original map is per-CPU. */
  readonly values: readonly Uint8Array[];
}

/** Every entry, in the order of keys as bytes: the same state prints the same. */
export function originalEntries(
  map: KernelMap,
  record: MapRecord,
): readonly OriginalEntry[] {
  return map
    .entries()
    .map(([key, copies]) => ({ key, values: merged(copies, record) }))
    .map((entry) => ({ entry, order: toHex(entry.key) }))
    .sort((a, b) => (a.order < b.order ? -1 : a.order > b.order ? 1 : 0))
    .map(({ entry }) => entry);
}

export function originalValue(
  map: KernelMap,
  record: MapRecord,
  key: Uint8Array,
): readonly Uint8Array[] | undefined {
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
