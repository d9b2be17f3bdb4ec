/**
 * Copying a map's entries while packets change them.
 *
 *   copy       before the switch: everything, as the old program left it
 *   catch up   after the switch: what the old program changed since the copy
 *
 * In the second pass an entry that the new program has not touched becomes what the
 * old one left; one that both changed is summed where the plan merges it, and is
 * otherwise the new program's, which is counted as a conflict. Between the passes the
 * new program may miss an entry that is younger than the copy: no entry is lost, but
 * the new program may have begun it afresh.
 */
import { equalBytes, toHex } from "../base/index.ts";
import type { KernelMap } from "../engine/index.ts";
import type { MapRecord } from "./attachment.ts";
import {
  isMerged,
  originalEntries,
  originalValue,
  plusDifference,
  writeOriginal,
  type OriginalEntry,
} from "./original-view.ts";

/** BPF_NOEXIST. */
const onlyNew = 1;

export interface Side {
  readonly map: KernelMap;
  readonly record: MapRecord;
}

export interface CaughtUp {
  /** Entries that changed between copy and switch, and are right now. */
  readonly late: number;
  /** Entries that both programs changed. */
  readonly conflicts: number;
}

/** Why the entries have no room in the new map; undefined: they have. */
export function roomFor(from: Side, to: MapRecord): string | undefined {
  if (to.section !== "") return undefined;
  const entries = originalEntries(from.map, from.record);
  if (!isArray(to))
    return entries.length <= to.maxEntries
      ? undefined
      : `${entries.length} entries do not fit into ${to.maxEntries}`;
  const beyond = entries.filter(
    ({ key, values }) =>
      new DataView(key.buffer, key.byteOffset).getUint32(0, true) >=
        to.maxEntries && values.some((value) => value.some(Boolean)),
  );
  return beyond.length === 0
    ? undefined
    : `${beyond.length} cells beyond the new end at ${to.maxEntries} are in use`;
}

export class Migration {
  readonly #from: Side;
  readonly #to: Side;
  #copied = new Map<string, OriginalEntry>();

  constructor(from: Side, to: Side) {
    this.#from = from;
    this.#to = to;
  }

  get map(): string {
    return this.#to.record.name;
  }

  /** Number of entries copied. May be done again before the switch: only changes go over. */
  copy(): number {
    const entries = this.#read();
    const before = this.#copied;
    this.#copied = new Map(entries.map((entry) => [toHex(entry.key), entry]));
    for (const [name, { key }] of before)
      if (!this.#copied.has(name)) this.#to.map.delete(key);
    for (const [name, entry] of this.#copied) {
      const old = before.get(name);
      if (old === undefined || !sameValues(old.values, entry.values))
        writeOriginal(this.#to.map, entry);
    }
    return entries.length;
  }

  catchUp(): CaughtUp {
    let late = 0;
    let conflicts = 0;
    const seen = new Set<string>();
    for (const entry of this.#read()) {
      const name = toHex(entry.key);
      seen.add(name);
      const before = this.#copied.get(name);
      if (before !== undefined && sameValues(before.values, entry.values))
        continue;
      if (this.#settle(entry, before)) late++;
      else conflicts++;
    }
    for (const [name, before] of this.#copied) {
      if (seen.has(name)) continue;
      const now = originalValue(this.#to.map, this.#to.record, before.key);
      if (now !== undefined && sameValues(now, before.values)) {
        this.#to.map.delete(before.key);
        late++;
      }
    }
    return { late, conflicts };
  }

  /** False: both programs changed it, and it stays the new one's. */
  #settle(entry: OriginalEntry, before: OriginalEntry | undefined): boolean {
    const { map, record } = this.#to;
    const now = originalValue(map, record, entry.key);
    if (now === undefined) {
      writeOriginal(map, entry, isArray(record) ? 0 : onlyNew);
      return true;
    }
    if (before !== undefined && sameValues(now, before.values)) {
      writeOriginal(map, entry);
      return true;
    }
    const lanes = isMerged(record) ? record.lanes : this.#from.record.lanes;
    const [mine] = now;
    const [theirs] = entry.values;
    if (lanes.length === 0 || mine === undefined || theirs === undefined)
      return false;
    const earlier = before?.values[0] ?? new Uint8Array(theirs.length);
    const values = [plusDifference(mine, [earlier, theirs], lanes)];
    writeOriginal(map, { key: entry.key, values });
    return true;
  }

  /** The old entries, as values of the new map. */
  #read(): readonly OriginalEntry[] {
    const { map, record } = this.#from;
    const entries = originalEntries(map, record);
    const { record: to } = this.#to;
    if (to.section !== "")
      return entries.map(({ key, values }) => ({
        key,
        values: values.map((value) => this.#variables(value, key)),
      }));
    if (!isArray(to)) return entries;
    return entries.filter(
      ({ key }) =>
        new DataView(key.buffer, key.byteOffset).getUint32(0, true) <
        to.maxEntries,
    );
  }

  /** Old variables at their new places, over the new first contents. */
  #variables(old: Uint8Array, key: Uint8Array): Uint8Array {
    const { map, record } = this.#to;
    const value = map.lookup(key)?.slice() ?? new Uint8Array(record.valueSize);
    for (const field of this.#from.record.valueFields) {
      const place = record.valueFields.find(({ path }) => path === field.path);
      if (place === undefined) continue;
      const from = field.bitOffset >>> 3;
      value.set(
        old.subarray(from, from + Math.ceil(field.bits / 8)),
        place.bitOffset >>> 3,
      );
    }
    return value;
  }
}

function isArray({ type }: MapRecord): boolean {
  return type.endsWith("array");
}

function sameValues(
  one: readonly Uint8Array[],
  other: readonly Uint8Array[],
): boolean {
  return (
    one.length === other.length &&
    one.every((value, index) =>
      equalBytes(value, other[index] ?? new Uint8Array()),
    )
  );
}
