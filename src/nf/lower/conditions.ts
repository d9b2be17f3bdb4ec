/**
 * Conditions as control flow: `&& || !` are paths, never values, and a variable
 * that differs between open paths is asked on each path for itself, so that what
 * a path already knows costs no second test.
 */
import type { ts } from "../front/typescript-api.ts";
import {
  type Comparison,
  branchNonZero,
  compare,
  decided,
  isComparison,
} from "./compare.ts";
import type { Path } from "./environment.ts";
import { type Outcome, joinOutcomes } from "./join.ts";
import { type Branches, type Lowering, cannotLower } from "./lowering.ts";
import { constantWord, scalarRange } from "./scalars.ts";
import { type Value, undefinedValue, within } from "./value.ts";

export function branch(lowering: Lowering, node: ts.Expression): Branches {
  const { ts, cursor } = lowering;
  const inner = unwrapped(lowering, node);
  if (
    ts.isPrefixUnaryExpression(inner) &&
    inner.operator === ts.SyntaxKind.ExclamationToken
  ) {
    const { yes, no } = branch(lowering, inner.operand);
    return { yes: no, no: yes };
  }
  if (ts.isBinaryExpression(inner)) {
    const text = inner.operatorToken.getText();
    if (text === "&&") return both(lowering, inner);
    if (text === "||") return either(lowering, inner);
    if (isComparison(text)) return comparison(lowering, inner, text);
  }
  if (ts.isConditionalExpression(inner)) {
    const { yes, no } = branch(lowering, inner.condition);
    const answers = [
      [yes, inner.whenTrue] as const,
      [no, inner.whenFalse] as const,
    ].flatMap(([paths, when]) => {
      if (paths.length === 0) return [];
      cursor.paths = paths;
      return [branch(lowering, when)];
    });
    return together(answers);
  }
  return together(
    undecidedTogether(lowering, lowering.outcomes(inner)).map((outcome) =>
      truth(lowering, inner, outcome),
    ),
  );
}

export function unwrapped(
  { ts }: Lowering,
  node: ts.Expression,
): ts.Expression {
  let at = node;
  while (
    ts.isParenthesizedExpression(at) ||
    ts.isAsExpression(at) ||
    ts.isNonNullExpression(at) ||
    ts.isSatisfiesExpression(at)
  )
    at = at.expression;
  return at;
}

function both(lowering: Lowering, node: ts.BinaryExpression): Branches {
  const left = branch(lowering, node.left);
  if (left.yes.length === 0) return left;
  lowering.cursor.paths = left.yes;
  const right = branch(lowering, node.right);
  return { yes: right.yes, no: [...left.no, ...right.no] };
}

function either(lowering: Lowering, node: ts.BinaryExpression): Branches {
  const left = branch(lowering, node.left);
  if (left.no.length === 0) return left;
  lowering.cursor.paths = left.no;
  const right = branch(lowering, node.right);
  return { yes: [...left.yes, ...right.yes], no: right.no };
}

export function together(answers: readonly Branches[]): Branches {
  return {
    yes: answers.flatMap((answer) => answer.yes),
    no: answers.flatMap((answer) => answer.no),
  };
}

/**
 * Outcomes whose truth is not known are joined when they are several: the test is
 * written once. Those that are known stay apart.
 */
function undecidedTogether(
  { cursor, writer }: Lowering,
  outcomes: readonly Outcome[],
): readonly Outcome[] {
  const open = outcomes.filter(({ value }) => value.kind !== "constant");
  if (open.length < 2) return outcomes;
  return [
    ...outcomes.filter(({ value }) => value.kind === "constant"),
    joinOutcomes(writer, cursor.numbers, open),
  ];
}

/** `if (x)`: false are 0, 0n, false and undefined. */
function truth(
  lowering: Lowering,
  node: ts.Expression,
  { path, value }: Outcome,
): Branches {
  const { cursor } = lowering;
  cursor.paths = [path];
  switch (value.kind) {
    case "constant":
      return decided(cursor, Boolean(value.value));
    case "scalar": {
      const { low, high } = scalarRange(value);
      if (low > 0n || high < 0n) return decided(cursor, true);
      if (value.js === "boolean") return branchNonZero(cursor, value.word);
      const zero: Value = { kind: "constant", value: 0 };
      return compare(cursor, "!==", value, zero);
    }
    case "optional": {
      const there = branchNonZero(cursor, value.present);
      refine(lowering, node, there.yes, value.payload);
      refine(lowering, node, there.no, undefinedValue);
      if (value.payload.kind !== "scalar") return there;
      const answers = there.yes.map((yes) =>
        truth(lowering, node, { path: yes, value: value.payload }),
      );
      return together([...answers, { yes: [], no: there.no }]);
    }
    case "object":
    case "reference":
    case "header":
    case "packet":
    case "context":
    case "verdict":
      return decided(cursor, true);
  }
}

function comparison(
  lowering: Lowering,
  node: ts.BinaryExpression,
  op: Comparison,
): Branches {
  const { cursor } = lowering;
  const [left, right] = [node.left, node.right];
  if (op === "===" || op === "!==") {
    const asked = isUndefined(lowering, right)
      ? left
      : isUndefined(lowering, left)
        ? right
        : undefined;
    if (asked !== undefined) {
      const { yes, no } = absence(lowering, asked);
      return op === "===" ? { yes, no } : { yes: no, no: yes };
    }
  }
  if (isSimple(lowering, right)) {
    const outcomes = undecidedTogether(lowering, lowering.outcomes(left));
    return together(
      outcomes.map(({ path, value }) => {
        cursor.paths = [path];
        return compared(lowering, node, op, [value, lowering.value(right)]);
      }),
    );
  }
  const first = lowering.value(left);
  return compared(lowering, node, op, [first, lowering.value(right)]);
}

/** Costs nothing to evaluate again on another path. */
function isSimple(lowering: Lowering, node: ts.Expression): boolean {
  const { ts } = lowering;
  const inner = unwrapped(lowering, node);
  return (
    ts.isIdentifier(inner) ||
    ts.isNumericLiteral(inner) ||
    ts.isBigIntLiteral(inner) ||
    inner.kind === ts.SyntaxKind.TrueKeyword ||
    inner.kind === ts.SyntaxKind.FalseKeyword
  );
}

function isUndefined(lowering: Lowering, node: ts.Expression): boolean {
  const inner = unwrapped(lowering, node);
  return lowering.ts.isIdentifier(inner) && inner.text === "undefined";
}

/** `x === undefined`. */
function absence(lowering: Lowering, node: ts.Expression): Branches {
  const { cursor } = lowering;
  const inner = unwrapped(lowering, node);
  const outcomes = undecidedTogether(lowering, lowering.outcomes(inner));
  return together(
    outcomes.map(({ path, value }): Branches => {
      cursor.paths = [path];
      if (value.kind !== "optional")
        return decided(
          cursor,
          value.kind === "constant" && value.value === undefined,
        );
      const there = branchNonZero(cursor, value.present);
      refine(lowering, inner, there.yes, value.payload);
      refine(lowering, inner, there.no, undefinedValue);
      return { yes: there.no, no: there.yes };
    }),
  );
}

/** Both sides are numbers, bigints or booleans; one may be `T | undefined`. */
function compared(
  lowering: Lowering,
  node: ts.BinaryExpression,
  op: Comparison,
  [left, right]: readonly [Value, Value],
): Branches {
  const { cursor } = lowering;
  if (left.kind === "optional" || right.kind === "optional") {
    const [optional, other] =
      left.kind === "optional" ? [left, right] : [right, left];
    if (optional.kind !== "optional") throw cannotCompare(node);
    const there = branchNonZero(cursor, optional.present);
    cursor.paths = there.yes;
    const pair =
      left.kind === "optional"
        ? ([optional.payload, other] as const)
        : ([other, optional.payload] as const);
    const rest = compared(lowering, node, op, pair);
    return op === "!=="
      ? { yes: [...rest.yes, ...there.no], no: rest.no }
      : { yes: rest.yes, no: [...rest.no, ...there.no] };
  }
  if (!isNumeric(left) || !isNumeric(right)) {
    // undefined === 5, and the like.
    const absent = [left, right].some(
      (side) => side.kind === "constant" && side.value === undefined,
    );
    if (absent && (op === "===" || op === "!=="))
      return decided(cursor, op === "!==");
    throw cannotCompare(node);
  }
  const answer = compare(cursor, op, left, right);
  narrowBy(lowering, node, op, { left, right, answer });
  return answer;
}

/** `left === right`, of values. */
export function equal(
  lowering: Lowering,
  node: ts.Node,
  left: Value,
  right: Value,
): Branches {
  if (isNumeric(left) && isNumeric(right))
    return compare(lowering.cursor, "===", left, right);
  throw cannotCompare(node);
}

function isNumeric(value: Value): boolean {
  return (
    value.kind === "scalar" ||
    (value.kind === "constant" && constantWord(value.value) !== undefined)
  );
}

function cannotCompare(node: ts.Node): Error {
  return cannotLower(node, "these values cannot be compared");
}

/** On these paths the expression is known to be `value`. */
function refine(
  lowering: Lowering,
  node: ts.Expression,
  paths: readonly Path[],
  value: Value,
): void {
  const inner = unwrapped(lowering, node);
  if (!lowering.ts.isIdentifier(inner)) {
    refineHeaders(paths, value);
    return;
  }
  const symbol = lowering.program.symbolOf(inner);
  for (const { env } of paths)
    if (symbol !== undefined && env.variables.has(symbol))
      env.variables.set(symbol, value);
  refineHeaders(paths, value);
}

/** A remembered header with that presence is there, or is not. */
function refineHeaders(paths: readonly Path[], value: Value): void {
  if (value.kind !== "header") return;
  for (const { env } of paths)
    for (const [name, known] of env.headers)
      if (known.kind === "optional" && known.payload === value)
        env.headers.set(name, value);
}

interface Compared {
  readonly left: Value;
  readonly right: Value;
  readonly answer: Branches;
}

/** What a comparison says of the ranges of its sides, where they are variables. */
function narrowBy(
  lowering: Lowering,
  node: ts.BinaryExpression,
  op: Comparison,
  { left, right, answer }: Compared,
): void {
  const a = scalarRange(left);
  const b = scalarRange(right);
  const narrow = (
    paths: readonly Path[],
    side: ts.Expression,
    value: Value,
    [low, high]: readonly [bigint, bigint],
  ): void => {
    if (value.kind !== "scalar" || value.js === "boolean") return;
    const inner = unwrapped(lowering, side);
    if (!lowering.ts.isIdentifier(inner)) return;
    const symbol = lowering.program.symbolOf(inner);
    if (symbol === undefined) return;
    for (const { env } of paths) {
      const now = env.variables.get(symbol);
      if (now?.kind === "scalar" && now.word === value.word)
        env.variables.set(symbol, within(now, low, high));
    }
  };
  const [yes, no] =
    op === "!==" ? [answer.no, answer.yes] : [answer.yes, answer.no];
  switch (op) {
    case "===":
    case "!==":
      narrow(yes, node.left, left, [b.low, b.high]);
      narrow(yes, node.right, right, [a.low, a.high]);
      return;
    case "<":
      narrow(yes, node.left, left, [a.low, b.high - 1n]);
      narrow(yes, node.right, right, [a.low + 1n, b.high]);
      narrow(no, node.left, left, [b.low, a.high]);
      narrow(no, node.right, right, [b.low, a.high]);
      return;
    case "<=":
      narrow(yes, node.left, left, [a.low, b.high]);
      narrow(yes, node.right, right, [a.low, b.high]);
      narrow(no, node.left, left, [b.low + 1n, a.high]);
      narrow(no, node.right, right, [b.low, a.high - 1n]);
      return;
    case ">":
      narrow(yes, node.left, left, [b.low + 1n, a.high]);
      narrow(yes, node.right, right, [b.low, a.high - 1n]);
      narrow(no, node.left, left, [a.low, b.high]);
      narrow(no, node.right, right, [a.low, b.high]);
      return;
    case ">=":
      narrow(yes, node.left, left, [b.low, a.high]);
      narrow(yes, node.right, right, [b.low, a.high]);
      narrow(no, node.left, left, [a.low, b.high - 1n]);
      narrow(no, node.right, right, [a.low + 1n, b.high]);
      return;
  }
}
