/**
 * A map of private tables as the hash map that it was (src/codegen/bpf/tables says
 * what lies where). The tables are mapped into this process: a look-up reads one chain,
 * a dump all of them, and nothing is copied through the kernel.
 *
 * Each key is shown once. Cores that work meanwhile may hide an entry that they are
 * moving; what is shown was there.
 *
 * Written is only the value of a key that is there, in place, as a program writes it.
 * A new key is refused: it belongs to the core whose packets will look for it, which
 * alone may change its chains.
 */
import { InputError, toHex } from "../base/index.ts";
import {
  tableEntries,
  tableEntry,
  tableLayout,
  type TableLayout,
} from "../codegen/index.ts";
import type { KernelMap } from "../engine/index.ts";
import type { MapRecord } from "./attachment.ts";

export interface StoredEntry {
  readonly key: Uint8Array;
  readonly values: readonly [Uint8Array];
}

/** In the order of keys as bytes. */
export function storedEntries(
  map: KernelMap,
  record: MapRecord,
): readonly StoredEntry[] {
  const layout = layoutOf(record);
  const found = new Map<string, StoredEntry>();
  map.inMemory((bytes) => {
    for (const table of tablesIn(bytes, layout))
      for (const { key, value } of tableEntries(table, layout)) {
        const name = toHex(key);
        if (!found.has(name)) found.set(name, { key, values: [value.slice()] });
      }
  });
  return [...found]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([, entry]) => entry);
}

export function storedValue(
  map: KernelMap,
  record: MapRecord,
  key: Uint8Array,
): readonly Uint8Array[] | undefined {
  const layout = layoutOf(record);
  return map.inMemory((bytes) => {
    for (const table of tablesIn(bytes, layout)) {
      const entry = tableEntry(table, layout, key);
      if (entry !== undefined) return [entry.value.slice()];
    }
    return undefined;
  });
}

/**
 * All of them, or none: where a key is not there, or where a packet could see a value
 * half written. Bytes of one aligned word of 8 change at once.
 *
 * Not promised: anything for a key that the program takes out at the same moment.
 */
export function writeStored(
  map: KernelMap,
  record: MapRecord,
  entries: readonly {
    readonly key: Uint8Array;
    readonly values: readonly Uint8Array[];
  }[],
): void {
  const layout = layoutOf(record);
  map.inMemory((bytes) => {
    const tables = tablesIn(bytes, layout);
    const words = entries.map(({ key, values: [value] }) => {
      const entry = tables
        .map((table) => tableEntry(table, layout, key))
        .find((found) => found !== undefined);
      if (entry === undefined)
        throw refused(
          record,
          `none has the key ${toHex(key)}: only the core that gets its packets may add it`,
        );
      const places =
        value === undefined ? [] : changedWords(entry.value, value);
      if (places.length > 1)
        throw refused(
          record,
          `more than 8 bytes of ${toHex(key)} would change, and a packet could see some old and some new`,
        );
      return places[0];
    });
    for (const word of words)
      if (word !== undefined) Atomics.store(word.target, 0, word.value);
  });
}

/** Words of 8 bytes, padding included, that differ. */
function changedWords(
  standing: Uint8Array,
  value: Uint8Array,
): readonly { readonly target: BigUint64Array; readonly value: bigint }[] {
  const words = [];
  for (let at = 0; at < standing.length; at += 8) {
    const place = standing.byteOffset + at;
    const target = new BigUint64Array(standing.buffer, place, 1);
    const next = new BigUint64Array(target);
    new Uint8Array(next.buffer).set(
      value.subarray(at, Math.min(at + 8, standing.length)),
    );
    const [word = 0n] = next;
    if (word !== target[0]) words.push({ target, value: word });
  }
  return words;
}

function refused({ name }: MapRecord, text: string): InputError {
  return new InputError(`${name} has a table for each core, and ${text}`, {
    code: "map-private-table",
    fix: `to write it from outside, split with --user-writes ${name}, or --layout shared`,
  });
}

function layoutOf({ keySize, valueSize, cores }: MapRecord): TableLayout {
  return tableLayout({ keySize, valueSize }, cores?.capacities ?? []);
}

function tablesIn(
  bytes: Uint8Array,
  { size, capacities }: TableLayout,
): readonly Uint8Array[] {
  return capacities.map((_, core) =>
    bytes.subarray(core * size, (core + 1) * size),
  );
}
