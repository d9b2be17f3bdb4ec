/**
 * Look-up in a private table (table-layout.ts), as text that takes the place of the
 * helper call: r2 is the key's address, r0 becomes the value's or 0, r1 to r5 are
 * gone, r6 to r9 stay as they are.
 *
 * It stands where it is needed and is no function: on CPUs whose returns go through a
 * thunk, a call costs half of what the look-up does (docs/decisions/0012). The array's
 * own look-up is expanded by the kernel's verifier and calls nothing.
 *
 * Keys of up to two words are in r3 and r4; words of longer ones are loaded into r4 for
 * each comparison, with r1 as spare. r0 is the table, r2 the entry, r5 counts. A core
 * that has no table finds nothing.
 *
 * Source: kernel/bpf/arraymap.c (array_map_gen_lookup).
 */
import { Bug } from "../../../base/index.ts";
import { header, longestChain, type TableLayout } from "./table-layout.ts";
import {
  compareText,
  hashText,
  lastLink,
  loadWord,
  type Given,
  type Words,
} from "./table-words.ts";

export interface TableLookup {
  /** Of the map of tables. */
  readonly map: string;
  readonly layout: TableLayout;
  /** With base r10, or r2 where nobody knows better. */
  readonly key: Given;
  /** Offset from r10 of the core's number, a u64; of several cores. */
  readonly core?: number;
  /** Offset from r10 of bytes of one's own, a multiple of 8. */
  readonly scratch: number;
}

/** Of scratch: where the key is, and which value of the array. */
export const lookupScratch = 16;

export function tableLookupText(request: TableLookup): string {
  const { map, layout, key, core, scratch } = request;
  if (core === undefined && layout.capacities.length > 1)
    throw new Bug(`${map}: whose table?`);
  const inFrame = key.base === "r10";
  const isNarrow = layout.words.length <= 2;
  // A long key's address stays in r3.
  const given = inFrame || isNarrow ? key : { ...key, base: "r3" };
  const words: Words = isNarrow
    ? { kind: "registers", registers: ["r3", "r4"] }
    : { kind: "given", key: given, to: "r4", spare: "r1" };
  return `
    ${inFrame ? "" : `*(u64 *)(r10 + ${scratch}) = r2`}
    ${core === undefined ? `*(u32 *)(r10 + ${scratch + 8}) = 0` : ""}
    r2 = r10
    r2 += ${core ?? scratch + 8}
    r1 = map ${JSON.stringify(map)} ll
    call map_lookup_elem
    if r0 == 0 goto found
    ${inFrame ? "" : `${isNarrow ? "r2" : "r3"} = *(u64 *)(r10 + ${scratch})`}
    ${isNarrow ? takeWords(layout, given) : ""}
    r5 = *(u64 *)(r0 + ${header.seed})
    ${hashText(layout, words, { seed: "r5", to: "r2", half: "r1" })}
    r2 += r0
    r2 += ${layout.bucketsAt}
    r2 = *(u32 *)(r2 + 0)
    r5 = 0
  again:
    r2 -= 1
    if r2 > ${lastLink(layout)} goto miss
    r2 <<= 3
    r2 += r0
    ${compareText(layout, words, { entry: "r2", other: "next", spare: "r1" })}
    r0 = r2
    r0 += ${header.size}
    goto found
  next:
    r2 = *(u32 *)(r2 + ${header.size + layout.linkAt})
    r5 += 1
    if r5 < ${longestChain} goto again
  miss:
    r0 = 0
  found:`;
}

function takeWords({ words }: TableLayout, key: Given): string {
  return words
    .map((word, index) =>
      loadWord(word, key, { to: `r${3 + index}`, spare: "r5" }),
    )
    .join("");
}
