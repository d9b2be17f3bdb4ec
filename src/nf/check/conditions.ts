/**
 * Conditions: what is known where one holds and where it does not.
 *
 * `branch` evaluates a condition once and answers both environments; an
 * environment that cannot be is undefined. What a comparison says of a variable
 * or of a member (`flow.port < 4`) is kept with it.
 */
import type { ts } from "../front/typescript-api.ts";
import {
  either,
  isNumeric,
  nothing,
  present,
  truth,
  truths,
  type Abstract,
} from "./abstract-value.ts";
import { memberPath, fieldRange } from "./access.ts";
import { copyOf, joinEnvironments, type Environment } from "./environment.ts";
import {
  assume,
  exactly,
  meet,
  opposite,
  type Comparison,
  type Interval,
} from "./interval.ts";
import { printRange } from "./rules.ts";
import {
  bare,
  plainText,
  type Branches,
  type Frame,
  type Walk,
} from "./walk.ts";

const comparisons: Readonly<Record<string, Comparison>> = {
  "<": "<",
  "<=": "<=",
  ">": ">",
  ">=": ">=",
  "===": "===",
  "!==": "!==",
  "==": "===",
  "!=": "!==",
};

export function comparisonOf(operator: string): Comparison | undefined {
  return comparisons[operator];
}

export function branch(
  walk: Walk,
  outer: ts.Expression,
  env: Environment,
  frame: Frame,
): Branches {
  const { ts } = walk;
  const node = bare(ts, outer);
  walk.step(node);
  if (
    ts.isPrefixUnaryExpression(node) &&
    node.operator === ts.SyntaxKind.ExclamationToken
  ) {
    const { yes, no } = branch(walk, node.operand, env, frame);
    return { yes: no, no: yes };
  }
  if (ts.isBinaryExpression(node)) {
    const operator = ts.tokenToString(node.operatorToken.kind) ?? "";
    if (operator === "&&") {
      const left = branch(walk, node.left, env, frame);
      if (left.yes === undefined) return left;
      const right = branch(walk, node.right, left.yes, frame);
      return { yes: right.yes, no: joinEnvironments(left.no, right.no) };
    }
    if (operator === "||") {
      const left = branch(walk, node.left, env, frame);
      if (left.no === undefined) return left;
      const right = branch(walk, node.right, left.no, frame);
      return { yes: joinEnvironments(left.yes, right.yes), no: right.no };
    }
    const comparison = comparisonOf(operator);
    if (comparison !== undefined) {
      const left = walk.doors.evaluate(walk, node.left, env, frame);
      const right = walk.doors.evaluate(walk, node.right, env, frame);
      compare(walk, node, left, right, frame);
      const nodes = { leftNode: node.left, rightNode: node.right };
      return split(walk, { ...nodes, left, right }, comparison, env);
    }
  }
  const value = walk.doors.evaluate(walk, node, env, frame);
  const { canBeTrue, canBeFalse } = truths(value);
  return {
    yes: canBeTrue ? known(walk, node, value, true, env) : undefined,
    no: canBeFalse ? known(walk, node, value, false, env) : undefined,
  };
}

/** Where a comparison of two values holds, and where it does not. */
export function split(
  walk: Walk,
  sides: Sides,
  comparison: Comparison,
  env: Environment,
): Branches {
  return {
    yes: narrowed(walk, sides, comparison, env),
    no: narrowed(walk, sides, opposite(comparison), env),
  };
}

export interface Sides {
  readonly leftNode: ts.Expression;
  readonly rightNode: ts.Expression;
  readonly left: Abstract;
  readonly right: Abstract;
}

/** The environment where the comparison holds. */
function narrowed(
  walk: Walk,
  { leftNode, rightNode, left, right }: Sides,
  comparison: Comparison,
  env: Environment,
): Environment | undefined {
  const next = copyOf(env);
  if (comparison === "===" || comparison === "!==") {
    if (left.kind === "nothing" || right.kind === "nothing") {
      const [tested, value] =
        right.kind === "nothing" ? [leftNode, left] : [rightNode, right];
      return comparison === "==="
        ? whenUndefined(walk, tested, value, next)
        : whenPresent(walk, tested, value, next);
    }
    if (left.kind === "boolean" && right.kind === "boolean")
      return comparedBooleans(
        { leftNode, rightNode, left, right },
        comparison,
        walk,
        next,
      );
  }
  const [a, b] = [present(left), present(right)];
  if (!isNumeric(a) || !isNumeric(b)) return next;
  const both = assume(a.range, comparison, b.range);
  if (both === undefined) return undefined;
  // `undefined === 5` is false, so a number that may be undefined is one here.
  if (
    (comparison !== "!==" || left.kind !== "maybe") &&
    !(isMember(walk, leftNode) && mayChange(walk, rightNode))
  )
    refine(walk, leftNode, { kind: a.kind, range: both[0] }, next);
  if (comparison !== "!==" || right.kind !== "maybe")
    refine(walk, rightNode, { kind: b.kind, range: both[1] }, next);
  return next;
}

function isMember(walk: Walk, node: ts.Expression): boolean {
  return walk.ts.isPropertyAccessExpression(bare(walk.ts, node));
}

/** Does it call something that is more than a function of numbers? */
function mayChange(walk: Walk, node: ts.Node): boolean {
  const { ts } = walk;
  if (ts.isCallExpression(node)) {
    const symbol = walk.symbolOf(node.expression);
    if (symbol === undefined || walk.nf.libraryName(symbol) === undefined)
      return true;
  }
  return ts.forEachChild(node, (child) => mayChange(walk, child)) ?? false;
}

function whenUndefined(
  walk: Walk,
  node: ts.Expression,
  value: Abstract,
  env: Environment,
): Environment | undefined {
  if (value.kind === "nothing") return env;
  if (value.kind !== "maybe" && value.kind !== "opaque") return undefined;
  refine(walk, node, nothing, env);
  return env;
}

function whenPresent(
  walk: Walk,
  node: ts.Expression,
  value: Abstract,
  env: Environment,
): Environment | undefined {
  if (value.kind === "nothing") return undefined;
  if (value.kind === "maybe") refine(walk, node, value.value, env);
  return env;
}

function comparedBooleans(
  { leftNode, rightNode, left, right }: Sides,
  comparison: Comparison,
  walk: Walk,
  env: Environment,
): Environment | undefined {
  const [a, b] = [truths(left), truths(right)];
  const known = (side: typeof a): boolean | undefined =>
    side.canBeTrue === side.canBeFalse ? undefined : side.canBeTrue;
  const [one, other] = [known(a), known(b)];
  if (other === undefined && one === undefined) return env;
  const wanted =
    other !== undefined
      ? comparison === "==="
        ? other
        : !other
      : comparison === "==="
        ? one === true
        : one === false;
  const [tested, side] = other !== undefined ? [leftNode, a] : [rightNode, b];
  if (wanted ? !side.canBeTrue : !side.canBeFalse) return undefined;
  refine(walk, tested, truth(wanted), env);
  return env;
}

/** An expression that was tested as it stands. */
function known(
  walk: Walk,
  node: ts.Expression,
  value: Abstract,
  isTrue: boolean,
  env: Environment,
): Environment | undefined {
  const next = copyOf(env);
  if (value.kind === "boolean") refine(walk, node, truth(isTrue), next);
  if (value.kind === "maybe" && isTrue) refine(walk, node, value.value, next);
  if (!isNumeric(value)) return next;
  const both = assume(value.range, isTrue ? "!==" : "===", exactly(0n));
  if (both === undefined) return undefined;
  refine(walk, node, { kind: value.kind, range: both[0] }, next);
  return next;
}

/** Keeps what was learned of a variable or a member. */
export function refine(
  walk: Walk,
  outer: ts.Expression,
  value: Abstract,
  env: Environment,
): void {
  const { ts } = walk;
  const node = bare(ts, outer);
  if (ts.isIdentifier(node)) {
    const symbol = walk.symbolOf(node);
    if (symbol !== undefined && env.variables.has(symbol))
      env.variables.set(symbol, value);
    return;
  }
  if (!isNumeric(value)) return;
  const path = memberPath(walk, node, env);
  if (path === undefined) return;
  const { text, ...rest } = path;
  const old = env.facts.get(text);
  const range = old === undefined ? value.range : meet(old.range, value.range);
  if (range !== undefined) env.facts.set(text, { ...rest, range });
}

/** What a comparison answers, and the rules about comparisons. */
export function compare(
  walk: Walk,
  node: ts.BinaryExpression,
  left: Abstract,
  right: Abstract,
  frame: Frame,
): Abstract {
  const operator = walk.ts.tokenToString(node.operatorToken.kind) ?? "";
  const comparison = comparisonOf(operator);
  if (comparison === undefined) return either;
  const [a, b] = [present(left), present(right)];
  if (isNumeric(a) && isNumeric(b)) {
    if (a.kind !== b.kind) {
      walk.report(frame, node, "nf-mixed");
      return either;
    }
    compareRange(walk, node, { a: a.range, b: b.range }, frame);
    if (left !== a || right !== b) return either;
    return {
      kind: "boolean",
      canBeTrue: assume(a.range, comparison, b.range) !== undefined,
      canBeFalse: assume(a.range, opposite(comparison), b.range) !== undefined,
    };
  }
  if (isObject(a) && isObject(b)) walk.report(frame, node, "nf-identity");
  if (comparison !== "===" && comparison !== "!==") return either;
  const isEqual = equality(left, right);
  if (isEqual === undefined) return either;
  return truth(comparison === "===" ? isEqual : !isEqual);
}

function isObject(value: Abstract): boolean {
  return (
    value.kind === "reference" ||
    value.kind === "object" ||
    value.kind === "header"
  );
}

function equality(left: Abstract, right: Abstract): boolean | undefined {
  if (left.kind === "nothing" && right.kind === "nothing") return true;
  if (left.kind === "nothing" || right.kind === "nothing") {
    const other = left.kind === "nothing" ? right : left;
    return other.kind === "maybe" || other.kind === "opaque"
      ? undefined
      : false;
  }
  if (left.kind === "boolean" && right.kind === "boolean") {
    if (left.canBeTrue === left.canBeFalse) return undefined;
    if (right.canBeTrue === right.canBeFalse) return undefined;
    return left.canBeTrue === right.canBeTrue;
  }
  return undefined;
}

/** A field compared with a constant that its type cannot hold. */
function compareRange(
  walk: Walk,
  node: ts.BinaryExpression,
  ranges: { readonly a: Interval; readonly b: Interval },
  frame: Frame,
): void {
  for (const [side, other, range] of [
    [node.left, node.right, ranges.b],
    [node.right, node.left, ranges.a],
  ] as const) {
    const wanted = fieldRange(walk, bare(walk.ts, side));
    if (wanted === undefined || meet(wanted, range) !== undefined) continue;
    if (walk.nf.constantOf(other, frame.scope) === undefined) continue;
    walk.report(frame, node, "nf-compare-range", {
      left: plainText(walk.ts, side),
      right: plainText(walk.ts, other),
      wanted: printRange(wanted),
    });
  }
}
