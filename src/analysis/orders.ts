/**
 * How two words of the input compare, as far as a path has established it: which of
 * below, equal and above are left. A program that sorts two addresses and asks again
 * which was the greater takes the same side again.
 *
 * Representation: by the text of the two words, the lesser text first, a mask.
 * Law: dropping a pair, or adding a relation to a mask, is always sound.
 */
import type { BranchOp, Width } from "../isa/index.ts";
import type { Form, Symbols } from "./symbols.ts";
import { bitsOf, type Word } from "./word.ts";

export type Orders = ReadonlyMap<string, number>;

const BELOW = 1;
const EQUAL = 2;
const ABOVE = 4;
const ANY = 7;
const MOST_PAIRS = 16;

export const noOrders: Orders = new Map();

/** Relations of left to right for which the comparison holds. */
const masks: Readonly<Partial<Record<BranchOp, number>>> = {
  jeq: EQUAL,
  jne: BELOW | ABOVE,
  jgt: ABOVE,
  jge: ABOVE | EQUAL,
  jlt: BELOW,
  jle: BELOW | EQUAL,
};

/** What holds where the comparison comes out so; undefined: it cannot. */
export function assumeOrdered(
  orders: Orders,
  test: {
    readonly op: BranchOp;
    readonly width: Width;
    readonly left: Word;
    readonly right: Word;
    readonly outcome: boolean;
  },
  symbols: Symbols,
): Orders | undefined {
  const mask = masks[test.op];
  if (mask === undefined) return orders;
  const left = textOf(test.left, test.width, symbols);
  const right = textOf(test.right, test.width, symbols);
  if (left === undefined || right === undefined || left === right)
    return orders;
  const holding = test.outcome ? mask : ANY & ~mask;
  const [name, wanted] =
    left < right
      ? [`${left} ${right}`, holding]
      : [`${right} ${left}`, mirroredMask(holding)];
  const known = orders.get(name) ?? ANY;
  const now = known & wanted;
  if (now === 0) return undefined;
  if (now === known) return orders;
  if (known === ANY && orders.size >= MOST_PAIRS) return orders;
  return new Map(orders).set(name, now);
}

/** What holds on both paths. */
export function joinOrders(left: Orders, right: Orders): Orders {
  if (left === right) return left;
  const out = new Map<string, number>();
  for (const [name, mask] of left) {
    const joined = mask | (right.get(name) ?? ANY);
    if (joined !== ANY) out.set(name, joined);
  }
  return out;
}

export const sameOrders = (left: Orders, right: Orders): boolean =>
  left === right ||
  (left.size === right.size &&
    [...left].every(([name, mask]) => right.get(name) === mask));

const mirroredMask = (mask: number): number =>
  (mask & EQUAL) | (mask & BELOW ? ABOVE : 0) | (mask & ABOVE ? BELOW : 0);

/** Of a word of which every bit is a form over the input, and not all are constants. */
function textOf(
  word: Word,
  width: Width,
  symbols: Symbols,
): string | undefined {
  if (word.kind !== "bits") return undefined;
  const bits: Form[] = bitsOf(word, symbols).slice(0, width);
  while (bits.at(-1) === 0) bits.pop();
  return bits.some((form) => form < 0) ? undefined : bits.join();
}
