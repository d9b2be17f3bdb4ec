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

/** All of them, or none where a key is not there. */
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
    const places = entries.map(({ key }) => {
      for (const table of tables) {
        const entry = tableEntry(table, layout, key);
        if (entry !== undefined) return entry.value;
      }
      throw new InputError(
        `${record.name} has a table for each core, and none has the key ${toHex(key)}: only the core that gets its packets may add it`,
        {
          code: "map-private-table",
          fix: `to write new keys from outside, split with --user-writes ${record.name}`,
        },
      );
    });
    for (const [at, { values }] of entries.entries()) {
      const [value] = values;
      if (value !== undefined) places[at]?.set(value);
    }
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
