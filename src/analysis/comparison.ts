/** Comparisons of branches: of two numbers, and of a number with a range. */
import type { BranchOp } from "../isa/index.ts";
import type { Form, Symbols } from "./symbols.ts";

/** Numbers that an index found in an entry, plus a constant, can be. */
export function indexRange(
  bits: readonly Form[],
  symbols: Symbols,
): readonly [bigint, bigint] | undefined {
  const word = symbols.wordOf(bits.slice(0, 32));
  if (word === undefined || bits.some((form, at) => at > 31 && form !== 0))
    return undefined;
  const count = symbols.indices(symbols.sources.load(word.load));
  if (count === undefined || word.plus + count > 2 ** 32) return undefined;
  return [BigInt(word.plus), BigInt(word.plus + count - 1)];
}

/** How the comparison comes out for all of the range. */
export function decidedBy(
  op: BranchOp,
  [least, most]: readonly [bigint, bigint],
  constant: bigint,
  width: 32 | 64,
): boolean | undefined {
  if (op === "jeq" || op === "jne")
    return constant < least || constant > most ? op === "jne" : undefined;
  const isOrder = ["jgt", "jge", "jlt", "jle"].includes(op);
  const first = compare(op, least, constant, width);
  return isOrder && first === compare(op, most, constant, width)
    ? first
    : undefined;
}

/** The one number of the range for which the comparison comes out so, if it is one. */
export function pinnedBy(
  test: {
    readonly op: BranchOp;
    readonly width: 32 | 64;
    readonly outcome: boolean;
  },
  [least, most]: readonly [bigint, bigint],
  constant: bigint,
): bigint | undefined {
  // Orders are monotone: what holds at an end alone holds there only.
  if (!["jgt", "jge", "jlt", "jle"].includes(test.op)) return undefined;
  const holds = (value: bigint): boolean =>
    compare(test.op, value, constant, test.width) === test.outcome;
  if (holds(most) && (least === most || !holds(most - 1n))) return most;
  if (holds(least) && !holds(least + 1n)) return least;
  return undefined;
}

export function compare(
  op: BranchOp,
  left: bigint,
  right: bigint,
  width: 32 | 64,
): boolean {
  const signed = (value: bigint) => BigInt.asIntN(width, value);
  switch (op) {
    case "jeq":
      return left === right;
    case "jne":
      return left !== right;
    case "jgt":
      return left > right;
    case "jge":
      return left >= right;
    case "jlt":
      return left < right;
    case "jle":
      return left <= right;
    case "jsgt":
      return signed(left) > signed(right);
    case "jsge":
      return signed(left) >= signed(right);
    case "jslt":
      return signed(left) < signed(right);
    case "jsle":
      return signed(left) <= signed(right);
    case "jset":
      return (left & right) !== 0n;
  }
}
