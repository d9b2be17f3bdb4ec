/**
 * The records of table entries: which elements of the maps belong to an entry, taken
 * out of one core's maps and put into another's.
 *
 * An element's entry is an affine function of its key over GF(2) (`RecordMap`), worked
 * out once from what the NIC hashes and how the program makes the key; so no record
 * carries a tag, and none is asked for that the program does not keep itself. Values
 * travel as they are, times of last use included.
 *
 * A hash's element is deleted at the source; an array's cell is zero again there, and
 * travels only if it is not zero.
 */
import type { MapEntry } from "../../../interp/index.ts";
import type { MapContents } from "../map-contents.ts";
import {
  extractCells,
  installCells,
  type MovedCell,
  type RecordChain,
} from "./chain-records.ts";

export interface RecordMap {
  readonly map: string;
  readonly kind: "hash" | "array";
  /** What each key bit adds to the entry, from the first byte's highest bit on. */
  readonly masks: readonly number[];
  readonly constant: number;
}

export interface MovedRecords {
  readonly maps: readonly {
    readonly map: string;
    readonly entries: readonly MapEntry[];
    /** Where the map's entries have an allocator. */
    readonly cells?: readonly MovedCell[];
  }[];
}

export function entryOfKey(
  key: Uint8Array,
  { masks, constant }: RecordMap,
): number {
  let entry = constant;
  for (const [at, byte] of key.entries())
    for (let bit = 0; bit < 8; bit++)
      if (((byte << bit) & 0x80) !== 0) entry ^= masks[8 * at + bit] ?? 0;
  return entry;
}

/** What moves: maps, and the chains of those that have one. */
export interface RecordPlan {
  readonly maps: readonly RecordMap[];
  readonly chains: readonly RecordChain[];
}

export function extractRecords(
  contents: MapContents,
  { maps, chains }: RecordPlan,
  moved: ReadonlySet<number>,
): MovedRecords {
  return {
    maps: maps.map((record) => {
      const entries = contents
        .entries(record.map)
        .filter(
          ({ key, value }) =>
            moved.has(entryOfKey(key, record)) &&
            (record.kind === "hash" || value.some((byte) => byte !== 0)),
        );
      for (const { key, value } of entries)
        if (record.kind === "hash") contents.delete(record.map, key);
        else contents.update(record.map, key, new Uint8Array(value.length));
      const chain = chains.find((each) => each.entries === record.map);
      if (chain === undefined) return { map: record.map, entries };
      const cells = extractCells(contents, chain, entries);
      return { map: record.map, entries, cells };
    }),
  };
}

export function installRecords(
  contents: MapContents,
  chains: readonly RecordChain[],
  { maps }: MovedRecords,
): void {
  for (const { map, entries, cells } of maps) {
    contents.load(map, entries);
    const chain = chains.find((each) => each.entries === map);
    if (chain !== undefined && cells !== undefined)
      installCells(contents, chain, cells);
  }
}

/** As a mutant of the protocol has it: the first record stays behind, lost. */
export function withoutFirst({ maps }: MovedRecords): MovedRecords {
  const from = maps.findIndex(({ entries }) => entries.length > 0);
  return {
    maps: maps.map((each, index) =>
      index === from ? { ...each, entries: each.entries.slice(1) } : each,
    ),
  };
}
