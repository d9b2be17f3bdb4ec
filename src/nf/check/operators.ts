/**
 * Operators on two numbers or two bigints, and the rules about them: shift counts,
 * divisors, signs, and results that no machine word holds.
 */
import type { ts } from "../front/typescript-api.ts";
import {
  isNumeric,
  ofRange,
  type Abstract,
  type Numeric,
} from "./abstract-value.ts";
import {
  contains,
  holds,
  int32,
  int64,
  meet,
  safe,
  uint64,
  type Interval,
} from "./interval.ts";
import { printRange } from "./rules.ts";
import { operandText, plainText, type Frame, type Walk } from "./walk.ts";

/** The result of an operator in its exact range, checked. */
export function operate(
  walk: Walk,
  node: ts.BinaryExpression,
  operator: string,
  left: Abstract,
  right: Abstract,
  frame: Frame,
): Abstract {
  if (!isNumeric(left) || !isNumeric(right)) return walk.byStaticType(node);
  if (left.kind !== right.kind) {
    walk.report(frame, node, "nf-mixed");
    return walk.byStaticType(node);
  }
  const range = exactResult(walk, node, operator, left, right, frame);
  if (range === undefined) return walk.byStaticType(node);
  return checked(walk, node, frame, left.kind, range, operator);
}

/** Undefined: no operator of the subset. */
export function exactResult(
  walk: Walk,
  node: ts.BinaryExpression,
  operator: string,
  left: Numeric,
  right: Numeric,
  frame: Frame,
): Interval | undefined {
  const { transfers } = walk;
  const { kind } = left;
  switch (operator) {
    case "+":
    case "-":
    case "*":
      return transfers[operator](left.range, right.range);
    case "/":
    case "%":
      if (operator === "/" && kind === "number" && !isTruncated(walk, node))
        walk.report(frame, node, "nf-number-division", operands(walk, node));
      checkDivisor(walk, node.right, right, frame);
      return transfers[operator](left.range, right.range);
    case "&":
    case "|":
    case "^":
      return transfers[
        kind === "number" ? (`${operator}32` as const) : operator
      ](left.range, right.range);
    case "<<":
    case ">>":
    case ">>>": {
      checkCount(walk, node, right, frame);
      if (kind === "bigint") {
        if (operator === "<<" || operator === ">>")
          return transfers[operator](left.range, right.range);
        walk.report(frame, node, "nf-bigint-shift", operands(walk, node));
        return undefined;
      }
      if (operator === ">>" && !contains(int32, left.range))
        walk.report(frame, node, "nf-signed-shift", {
          range: printRange(left.range),
          instead: unsignedShift(walk, node, left.range, right.range),
        });
      return transfers[`${operator}32` as const](left.range, right.range);
    }
    default:
      return undefined;
  }
}

function operands(
  walk: Walk,
  node: ts.BinaryExpression,
): Readonly<Record<string, string>> {
  return {
    left: operandText(walk.ts, node.left),
    right: operandText(walk.ts, node.right),
    leftPlain: plainText(walk.ts, node.left),
    rightPlain: plainText(walk.ts, node.right),
  };
}

/** `>>>` reads no sign, so where there is one it is another number. */
function unsignedShift(
  walk: Walk,
  node: ts.BinaryExpression,
  { low }: Interval,
  by: Interval,
): string {
  const { left, right, leftPlain } = operands(walk, node);
  if (low >= 0n) return `${left} >>> ${right}`;
  const first = `i32(${leftPlain}) >> ${right}, of its low 32 bits`;
  return by.low === by.high && by.low >= 0n && by.low < 32n
    ? `div(${leftPlain}, ${1n << by.low}), which rounds towards 0; or ${first}`
    : first;
}

export function checkDivisor(
  walk: Walk,
  node: ts.Expression,
  divisor: Numeric,
  frame: Frame,
): void {
  if (!holds(divisor.range, 0n)) return;
  // A range has no hole: 0 can be taken away at its end alone.
  const isInside = divisor.range.low < 0n && divisor.range.high > 0n;
  walk.report(frame, node, "nf-division-by-zero", {
    range: printRange(divisor.range),
    right: plainText(walk.ts, node),
    test: `${isInside ? "<=" : "==="} ${divisor.kind === "number" ? "0" : "0n"}`,
  });
}

function checkCount(
  walk: Walk,
  node: ts.BinaryExpression,
  by: Numeric,
  frame: Frame,
): void {
  const most = by.kind === "number" ? 31n : 63n;
  if (contains({ low: 0n, high: most }, by.range)) return;
  walk.report(frame, node.right, "nf-shift-count", {
    range: printRange(by.range),
    most: String(most),
    instead: shiftInstead(walk, node, by, most),
  });
}

function shiftInstead(
  walk: Walk,
  node: ts.BinaryExpression,
  by: Numeric,
  most: bigint,
): string {
  const suffix = by.kind === "number" ? "" : "n";
  return by.range.low > most
    ? `0${suffix}, if all bits are to be shifted out; or a count from 0 to ${most}`
    : `${operandText(walk.ts, node.right)} & ${most}${suffix}; or a test of it before, if more than ${most} bits are to leave 0${suffix}`;
}

/** Is a quotient made an integer at once? */
function isTruncated(walk: Walk, node: ts.Node): boolean {
  const { ts } = walk;
  let at = node;
  while (ts.isParenthesizedExpression(at.parent)) at = at.parent;
  const { parent } = at;
  if (ts.isCallExpression(parent)) {
    const callee = parent.expression.getText();
    return callee === "Math.trunc" || /^(u|i|be)(8|16|32)$/.test(callee);
  }
  return (
    ts.isBinaryExpression(parent) &&
    parent.left === at &&
    /^(>>>|\|)$/.test(parent.operatorToken.getText()) &&
    parent.right.getText() === "0"
  );
}

/** A result in a range that its machine word holds, or the rule that is broken. */
export function checked(
  walk: Walk,
  node: ts.Expression,
  frame: Frame,
  kind: "number" | "bigint",
  range: Interval,
  operator: string,
): Numeric {
  if (kind === "number") {
    if (contains(safe, range)) return ofRange(kind, range);
    walk.report(frame, node, operator === "*" ? "nf-product" : "nf-sum", {
      range: printRange(range),
      operator,
      ...(walk.ts.isBinaryExpression(node) ? operands(walk, node) : {}),
    });
    return ofRange(kind, meet(range, safe) ?? safe);
  }
  if (contains(uint64, range) || contains(int64, range))
    return ofRange(kind, range);
  walk.report(frame, node, "nf-bigint-range", {
    range: printRange(range),
    text: plainText(walk.ts, node),
  });
  const word = range.low >= 0n ? uint64 : int64;
  return ofRange(kind, meet(range, word) ?? word);
}
