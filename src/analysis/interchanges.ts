/**
 * The interchanges of a report: per index that comes from a packet and per writer of
 * entries what must agree, in the words of the report.
 */
import type { IrFunction } from "../ir/index.ts";
import type { MapSpec } from "../isa/index.ts";
import type { Belongs } from "./belongs.ts";
import type { Comparison, Pair } from "./compared.ts";
import { guardOf, joinGuards } from "./guard.ts";
import { interchangeOf, type Verdict } from "./interchange.ts";
import { resolveKey } from "./key.ts";
import { LINKS, type Linked, type Links } from "./linked.ts";
import type { AccessGuard, Interchange } from "./report.ts";
import type { Form, Symbols } from "./symbols.ts";
import type { Touch } from "./touch.ts";

export interface Found {
  readonly fn: IrFunction | undefined;
  readonly links: Links;
  readonly symbols: Symbols;
  readonly belongs: Belongs;
  readonly maps: ReadonlyMap<string, MapSpec>;
  readonly comparisons: ReadonlyMap<number, Comparison>;
  readonly touches: readonly Touch[];
}

/** What makes entries: under which key, on which packets. */
interface Writer {
  readonly touch: Touch;
  readonly key: readonly Form[];
  guard: AccessGuard;
}

interface Met {
  readonly linked: Linked;
  readonly verdict: Verdict;
  readonly writers: readonly Writer[];
}

export const cellText = (cell: readonly Form[]): string => cell.join();

export class Interchanges {
  readonly #found: Found;
  /** By the text of the cell's key. */
  readonly #met = new Map<string, Met>();

  constructor(found: Found) {
    this.#found = found;
    const { links, touches, belongs } = found;
    for (const linked of links.all) {
      const lookups = new Map<string, Touch[]>();
      for (const touch of touches) {
        if (touch.object !== linked.array) continue;
        const belonging = belongs.of(touch);
        if (belonging?.kind !== "packet") continue;
        const text = cellText(belonging.cell);
        const known = lookups.get(text) ?? [];
        lookups.set(text, known);
        if (touch.op === "lookup" || touch.callee !== undefined)
          known.push(touch);
      }
      for (const [text, some] of lookups)
        this.#met.set(text, this.#judge(linked, some));
    }
  }

  /** Of an access whose cell has that number. */
  of(
    access: string,
    touch: Touch,
    cell: readonly Form[],
  ): readonly Interchange[] {
    const met = this.#met.get(cellText(cell));
    if (met === undefined) return [];
    const { linked, verdict, writers } = met;
    const { symbols } = this.#found;
    if (!verdict.holds) {
      const { code, text, at } = verdict;
      const key = resolveKey(touch.key, touch.facts, symbols);
      const reason = { code, text, at };
      return [{ access, packet: key, stored: key, holds: false, reason }];
    }
    const first = 8 * (linked.allocator.keyOffset ?? LINKS);
    const pairs = wholeBytes(verdict.pairs);
    return writers.map((writer) => ({
      access,
      packet: resolveKey(
        pairs.map(({ form }) => form),
        touch.facts,
        symbols,
      ),
      stored: resolveKey(
        pairs.map(({ bit }) => writer.key[bit - first] ?? 0),
        writer.touch.facts,
        symbols,
      ),
      storedBy: writer.guard,
      holds: true,
    }));
  }

  #judge(linked: Linked, lookups: readonly Touch[]): Met {
    const { fn, symbols, maps, comparisons, touches } = this.#found;
    const { array, allocator } = linked;
    const [first] = lookups;
    const zeros = Array.from({ length: 32 }, () => 0);
    const keyFrom = 8 * (allocator.keyOffset ?? LINKS);
    const keySize = maps.get(allocator.entries ?? "")?.keySize ?? 0;
    const writers = this.#writersOf(linked);
    const at = first?.at ?? { function: array, instruction: 0 };
    if (fn === undefined || lookups.some(({ where }) => where.function !== 0))
      return {
        linked,
        writers,
        verdict: {
          holds: false,
          code: "R5-function",
          text: "the index is used in a function that is not inlined",
          at,
        },
      };
    const verdict = interchangeOf(
      symbols.sources.cellId(array, first?.key),
      symbols.sources.cellId(array, zeros),
      lookups.filter(({ op }) => op === "lookup"),
      {
        keyBits: [keyFrom, keyFrom + 8 * keySize],
        fn,
        symbols,
        maps,
        comparisons,
        touches,
      },
    );
    const isEmpty = verdict.holds && wholeBytes(verdict.pairs).length === 0;
    return isEmpty || writers.length === 0
      ? {
          linked,
          writers,
          verdict: {
            holds: false,
            code: "R5-not-compared",
            text: "nothing that the entry holds is compared with the packet",
            at,
          },
        }
      : { linked, writers, verdict };
  }

  #writersOf({ allocator }: Linked): readonly Writer[] {
    const { touches, symbols } = this.#found;
    const writers = new Map<string, Writer>();
    for (const touch of touches) {
      const { object, op, key } = touch;
      if (object !== allocator.entries || op !== "update" || key === undefined)
        continue;
      const guard = guardOf(key, touch, symbols);
      const known = writers.get(cellText(key));
      if (known === undefined)
        writers.set(cellText(key), { touch, key, guard });
      else known.guard = joinGuards(known.guard, guard);
    }
    return [...writers.values()];
  }
}

/** Pairs of bytes all of whose bits are there, in the order of memory. */
function wholeBytes(pairs: readonly Pair[]): readonly Pair[] {
  const bytes = new Map<number, Pair[]>();
  for (const pair of pairs) {
    const byte = pair.bit >> 3;
    bytes.set(byte, [...(bytes.get(byte) ?? []), pair]);
  }
  return [...bytes]
    .filter(([, bits]) => new Set(bits.map(({ bit }) => bit)).size === 8)
    .sort(([a], [b]) => a - b)
    .flatMap(([, bits]) =>
      bits
        .toSorted((a, b) => a.bit - b.bit)
        .filter(({ bit }, index, all) => all[index - 1]?.bit !== bit),
    );
}
