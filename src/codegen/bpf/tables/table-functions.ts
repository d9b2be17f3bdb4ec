/**
 * Update and delete of a private table (table-layout.ts) as static BPF functions, made
 * for the map's sizes; look-ups stand where they are needed (table-lookup.ts). Results and errors are those of the kernel's
 * hash map; so is what pointers looked up before show after an update or a delete.
 *
 *   NAME_update…(queue, key, value, flags) 0, -EINVAL -EEXIST -ENOENT -E2BIG, in this order
 *   NAME_delete…(queue, key)               0, -ENOENT
 *
 * A queue that has no table has nothing to delete, and is full. Loads from the frame must be
 * aligned for the verifier: functions differ by what is known of their pointers
 * (`alignment`), and the hash does not depend on it.
 *
 * Keys of up to three words stay in r6 to r8 from the start; of longer ones r6 is the
 * address. r9 is the table. Every offset that comes from memory is
 * compared with the table's end before it is used, so whatever the table holds, no
 * access leaves it.
 *
 *                    bucket ──► entry ──► entry ──► 0
 *   where ───────────^          ^ link of the entry before
 *   update, delete: `where` is the address of the link that leads to the entry
 *
 * Law: test/tables.test.ts runs them beside the interpreter's hash map.
 *
 * Source: kernel/bpf/hashtab.c (htab_map_update_elem, check_flags).
 */
import type { FunctionSpec } from "../../../isa/index.ts";
import { parseFunction } from "../../../isa/index.ts";
import { header, longestChain, type TableLayout } from "./table-layout.ts";
import {
  compareText,
  hashText,
  lastLink,
  loadWord,
  pieces,
  wordAt,
  type Alignment,
  type Given,
  type Words,
} from "./table-words.ts";

export type TableOperation = "update" | "delete";

export interface TableFunction {
  /** Of the map of tables. */
  readonly map: string;
  readonly layout: TableLayout;
  readonly operation: TableOperation;
  readonly key: Alignment;
  /** Of an update's value. */
  readonly value?: Alignment;
}

const errors = { ENOENT: -2, E2BIG: -7, EEXIST: -17, EINVAL: -22 } as const;
/** Words of a key that fit into registers. */
const mostWords = 3;

export function tableFunctionName(request: TableFunction): string {
  const { map, operation, key, value = 8 } = request;
  const name = map.replaceAll(/\W/g, "_");
  const suffix = `${key === 8 ? "" : `_k${key}`}${value === 8 ? "" : `_v${value}`}`;
  return `${name}_table_${operation}${suffix}`;
}

export function tableFunction(request: TableFunction): FunctionSpec {
  const fn = parseFunction(tableFunctionText(request));
  return { ...fn, section: ".text", linkage: "static" };
}

export function tableFunctionText(request: TableFunction): string {
  const body = { update, delete: remove }[request.operation](request);
  return `function ${tableFunctionName(request)}\n${body}`;
}

function remove(request: TableFunction): string {
  const { layout } = request;
  const linkAt = header.size + layout.linkAt;
  return `
    ${takeKey(request)}
    ${takeTable(request, "absent")}
    r9 = r0
    r1 = *(u64 *)(r9 + ${header.seed})
    ${findLink(request, { absent: "absent", long: "absent" })}
    r1 = *(u32 *)(r4 + ${linkAt})
    *(u32 *)(r2 + 0) = r1
    r1 = *(u32 *)(r9 + ${header.free})
    *(u32 *)(r4 + ${linkAt}) = r1
    r3 += 1
    *(u32 *)(r9 + ${header.free}) = r3
    r0 = 0
    exit
  absent:
    r0 = ${errors.ENOENT}
    exit`;
}

/** Frame: -4 queue (of takeTable), -16 value, -24 flags, -32 half a seed. */
function update(request: TableFunction): string {
  const { layout } = request;
  const linkAt = header.size + layout.linkAt;
  return `
    r0 = ${errors.EINVAL}
    if r4 > 2 goto done
    *(u64 *)(r10 - 16) = r3
    *(u64 *)(r10 - 24) = r4
    ${takeKey(request)}
    ${takeTable(request, "full")}
    r9 = r0
    r1 = *(u64 *)(r9 + ${header.seed})
    if r1 != 0 goto seeded
    call get_prandom_u32
    r0 <<= 32
    *(u64 *)(r10 - 32) = r0
    call get_prandom_u32
    r1 = *(u64 *)(r10 - 32)
    r1 |= r0
    r1 |= 1
    *(u64 *)(r9 + ${header.seed}) = r1
  seeded:
    ${findLink(request, { absent: "absent", long: "long" })}
    ; there: the spare entry takes its place
    r0 = ${errors.EEXIST}
    r1 = *(u64 *)(r10 - 24)
    if r1 == 1 goto done
    r5 = *(u32 *)(r4 + ${linkAt})
    r1 = *(u32 *)(r9 + ${header.spare})
    r3 += 1
    if r1 != 0 goto spared
    r1 = 1
  spared:
    *(u32 *)(r9 + ${header.spare}) = r3
    r3 = r1
    ${toEntry({ layout, link: "r1", table: "r9", outside: "full" })}
    goto fill
  long:
    r0 = ${errors.ENOENT}
    r1 = *(u64 *)(r10 - 24)
    if r1 == 2 goto done
    goto full
  absent:
    r0 = ${errors.ENOENT}
    r1 = *(u64 *)(r10 - 24)
    if r1 == 2 goto done
    r5 = 0
    r3 = *(u32 *)(r9 + ${header.free})
    if r3 == 0 goto unused
    r1 = r3
    ${toEntry({ layout, link: "r1", table: "r9", outside: "full" })}
    r4 = *(u32 *)(r1 + ${linkAt})
    *(u32 *)(r9 + ${header.free}) = r4
    goto fill
  unused:
    r3 = *(u32 *)(r9 + ${header.fresh})
    ${capacityOf(layout)}
    if r3 >= r0 goto full
    if r3 >= ${layout.entries - 1} goto full
    r3 += 1
    *(u32 *)(r9 + ${header.fresh}) = r3
    r3 *= ${layout.stride / 8}
    r1 = r3
    r1 <<= 3
    r1 += r9
    r3 += 1
  fill:
    ; r1 entry, r2 where its link r3 goes, r5 its own link
    *(u32 *)(r1 + ${linkAt}) = r5
    ${storeKey(request, "r1")}
    r5 = *(u64 *)(r10 - 16)
    ${copyValue(request, { from: "r5", to: "r1" })}
    *(u32 *)(r2 + 0) = r3
    r0 = 0
  done:
    exit
  full:
    r0 = ${errors.E2BIG}
    exit`;
}

/** r2 is the address of the link to the key's entry, r3 that link less 1, r4 the entry (less the header). */
function findLink(
  request: TableFunction,
  { absent, long }: { absent: string; long: string },
): string {
  const { layout } = request;
  return `
    ${hashText(layout, wordsOf(request, "r4", "r5"), { seed: "r1", to: "r2", half: "r3" })}
    r2 += r9
    r2 += ${layout.bucketsAt}
    r0 = 0
  again:
    if r0 > ${longestChain - 1} goto ${long}
    r3 = *(u32 *)(r2 + 0)
    if r3 == 0 goto ${absent}
    r3 -= 1
    if r3 > ${lastLink(layout)} goto ${absent}
    r4 = r3
    r4 <<= 3
    r4 += r9
    ${compareText(layout, wordsOf(request), { entry: "r4", other: "next", spare: "r1" })}
    goto found
  next:
    r2 = r4
    r2 += ${header.size + layout.linkAt}
    r0 += 1
    goto again
  found:`;
}

/** A link becomes the address of its entry, less the header's size. */
function toEntry(place: {
  readonly layout: TableLayout;
  readonly link: string;
  readonly table: string;
  readonly outside: string;
}): string {
  const { link, table, outside } = place;
  return `
    ${link} -= 1
    if ${link} > ${lastLink(place.layout)} goto ${outside}
    ${link} <<= 3
    ${link} += ${table}`;
}

/** This core's table in r0; leaves r6 to r9. The only table is everybody's. */
function takeTable({ map, layout }: TableFunction, none: string): string {
  const isOnly = layout.capacities.length === 1;
  return `
    *(u32 *)(r10 - 4) = ${isOnly ? "0" : "r1"}
    r1 = map ${JSON.stringify(map)} ll
    r2 = r10
    r2 += -4
    call map_lookup_elem
    if r0 == 0 goto ${none}`;
}

/** The capacity of this core's table in r0; uses r1. */
function capacityOf({ capacities }: TableLayout): string {
  const [first = 0, ...others] = capacities;
  const text = [`r0 = ${first}`];
  if (others.some((capacity) => capacity !== first))
    text.push("r1 = *(u32 *)(r10 - 4)");
  for (const [at, capacity] of others.entries())
    if (capacity !== capacities[at])
      text.push(`if r1 < ${at + 1} goto capacity`, `r0 = ${capacity}`);
  return `${text.join("\n")}\n capacity:`;
}

function isWide({ layout }: TableFunction): boolean {
  return layout.words.length > mostWords;
}

const register = (word: number): string => `r${6 + word}`;

/** The key's words in r6 to r8, or its address in r6. Uses r2 and r5; leaves r1, r3, r4. */
function takeKey(request: TableFunction): string {
  if (isWide(request)) return "r6 = r2";
  const { words } = request.layout;
  return words
    .map((word, index) =>
      loadWord(word, givenIn("r2", request), {
        to: register(index),
        spare: "r5",
      }),
    )
    .join("");
}

/** Uses r5, or r7 and r8. */
function wordsOf(request: TableFunction, to = "r7", spare = "r8"): Words {
  const { words } = request.layout;
  return isWide(request)
    ? { kind: "given", key: givenIn("r6", request), to, spare }
    : { kind: "registers", registers: words.map((_, at) => register(at)) };
}

function givenIn(base: string, { key }: TableFunction): Given {
  return { base, offset: 0, alignment: key };
}

/** Uses r7 and r8 for wide keys. */
function storeKey(request: TableFunction, entry: string): string {
  const { words, keyAt } = request.layout;
  return words
    .map((word, index) => {
      const to = `*(u${8 * word.size} *)(${entry} + ${header.size + keyAt + word.at})`;
      const given = wordAt(wordsOf(request), request.layout, index);
      return `${given.text} ${to} = ${given.register}\n`;
    })
    .join("");
}

/** Uses r4. */
function copyValue(
  { layout, value = 8 }: TableFunction,
  { from, to }: { from: string; to: string },
): string {
  return pieces(0, layout.valueSize, value)
    .map(
      ({ at, size }) => `
    r4 = *(u${8 * size} *)(${from} + ${at})
    *(u${8 * size} *)(${to} + ${header.size + at}) = r4`,
    )
    .join("");
}
