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
        walk.report(frame, node, "nf-number-division", {
          left: plainText(walk.ts, node.left),
          right: plainText(walk.ts, node.right),
        });
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
          ...operands(walk, node),
          range: printRange(left.range),
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

export function checkDivisor(
  walk: Walk,
  node: ts.Expression,
  divisor: Numeric,
  frame: Frame,
): void {
  if (!holds(divisor.range, 0n)) return;
  walk.report(frame, node, "nf-division-by-zero", {
    range: printRange(divisor.range),
    right: plainText(walk.ts, node),
    zero: divisor.kind === "number" ? "0" : "0n",
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
    mask: by.kind === "number" ? "31" : "63n",
    right: operandText(walk.ts, node.right),
  });
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
