/**
 * Expressions: what each is worth on a path, and the rules about values that can
 * be broken there. Every number and bigint is recorded, joined over all calls.
 *
 * Inside a narrowing (`u64(…)`) the operators of bigints are modulo 2^64, so that
 * their results need no proof: `evaluateWrapping`.
 */
import type { ts } from "../front/typescript-api.ts";
import {
  isNumeric,
  joinValues,
  nothing,
  ofConstant,
  ofRange,
  opaque,
  present,
  truth,
  truths,
  type Abstract,
} from "./abstract-value.ts";
import { assign, readMember, readElement } from "./access.ts";
import { comparisonOf, compare } from "./conditions.ts";
import {
  become,
  joinEnvironments,
  joinValuesAt,
  type Environment,
} from "./environment.ts";
import {
  complement,
  contains,
  exactly,
  int64,
  negate,
  uint64,
} from "./interval.ts";
import { checked, exactResult, operate } from "./operators.ts";
import { bare, type Frame, type Walk } from "./walk.ts";

export function evaluate(
  walk: Walk,
  node: ts.Expression,
  env: Environment,
  frame: Frame,
): Abstract {
  walk.step(node);
  const value = compute(walk, node, env, frame);
  if (isNumeric(value)) walk.record(node, value.range);
  return value;
}

function compute(
  walk: Walk,
  node: ts.Expression,
  env: Environment,
  frame: Frame,
): Abstract {
  const { ts } = walk;
  if (
    ts.isParenthesizedExpression(node) ||
    ts.isAsExpression(node) ||
    ts.isSatisfiesExpression(node)
  )
    return evaluate(walk, node.expression, env, frame);
  if (ts.isNonNullExpression(node))
    return present(evaluate(walk, node.expression, env, frame));
  if (ts.isNumericLiteral(node)) return ofConstant(Number(node.text));
  if (ts.isBigIntLiteral(node))
    return ofConstant(BigInt(node.text.replace(/n$/, "")));
  if (node.kind === ts.SyntaxKind.TrueKeyword) return truth(true);
  if (node.kind === ts.SyntaxKind.FalseKeyword) return truth(false);
  if (ts.isIdentifier(node)) return identifier(walk, node, env, frame);
  if (node.kind === ts.SyntaxKind.ThisKeyword)
    return constant(walk, node, frame) ?? opaque;
  if (ts.isPropertyAccessExpression(node))
    return readMember(walk, node, env, frame);
  if (ts.isElementAccessExpression(node))
    return readElement(walk, node, env, frame);
  if (ts.isPrefixUnaryExpression(node)) return prefix(walk, node, env, frame);
  if (ts.isPostfixUnaryExpression(node)) return update(walk, node, env, frame);
  if (ts.isBinaryExpression(node)) return binary(walk, node, env, frame);
  if (ts.isConditionalExpression(node)) {
    const { yes, no } = walk.doors.branch(walk, node.condition, env, frame);
    return joined(
      env,
      yes,
      yes && evaluate(walk, node.whenTrue, yes, frame),
      no,
      no && evaluate(walk, node.whenFalse, no, frame),
    );
  }
  if (ts.isCallExpression(node)) return walk.doors.call(walk, node, env, frame);
  if (ts.isObjectLiteralExpression(node))
    return objectLiteral(walk, node, env, frame);
  return constant(walk, node, frame) ?? walk.byStaticType(node);
}

function joined(
  env: Environment,
  yes: Environment | undefined,
  whenTrue: Abstract | undefined,
  no: Environment | undefined,
  whenFalse: Abstract | undefined,
): Abstract {
  const both = joinEnvironments(yes, no);
  if (both !== undefined) become(env, both);
  if (whenTrue === undefined) return whenFalse ?? opaque;
  if (whenFalse === undefined || yes === undefined || no === undefined)
    return whenTrue;
  return joinValuesAt(yes, whenTrue, no, whenFalse);
}

function constant(
  walk: Walk,
  node: ts.Expression,
  frame: Frame,
): Abstract | undefined {
  const found = walk.nf.constantOf(node, frame.scope);
  if (found === undefined) return undefined;
  if (typeof found.value === "number" && !Number.isSafeInteger(found.value))
    walk.report(frame, node, "nf-float", { text: String(found.value) });
  return ofConstant(found.value);
}

function identifier(
  walk: Walk,
  node: ts.Identifier,
  env: Environment,
  frame: Frame,
): Abstract {
  const symbol = walk.symbolOf(node);
  const known = symbol === undefined ? undefined : env.variables.get(symbol);
  if (known !== undefined) return known;
  if (node.text === "undefined") return nothing;
  if (symbol !== undefined && walk.nf.libraryName(symbol) === "flood")
    walk.needPorts(frame, node);
  // A name that is no constant is known on this path, or was reported.
  return (
    constant(walk, node, frame) ??
    (walk.hasSyntaxErrors ? opaque : walk.byStaticType(node))
  );
}

function objectLiteral(
  walk: Walk,
  node: ts.ObjectLiteralExpression,
  env: Environment,
  frame: Frame,
): Abstract {
  const { ts } = walk;
  const fields = env.heap.get(node) ?? new Map<string, Abstract>();
  env.heap.set(node, fields);
  for (const property of node.properties) {
    const { name } = property;
    if (
      name === undefined ||
      !(ts.isIdentifier(name) || ts.isStringLiteral(name))
    )
      continue;
    const value = ts.isPropertyAssignment(property)
      ? evaluate(walk, property.initializer, env, frame)
      : ts.isShorthandPropertyAssignment(property)
        ? evaluate(walk, property.name, env, frame)
        : opaque;
    // A call inside may have copied the environment.
    const own = env.heap.get(node) ?? fields;
    env.heap.set(node, own);
    const old = own.get(name.text);
    own.set(name.text, old === undefined ? value : joinValues(old, value));
  }
  return { kind: "object", sites: new Set([node]) };
}

function prefix(
  walk: Walk,
  node: ts.PrefixUnaryExpression,
  env: Environment,
  frame: Frame,
): Abstract {
  const { ts } = walk;
  if (
    node.operator === ts.SyntaxKind.PlusPlusToken ||
    node.operator === ts.SyntaxKind.MinusMinusToken
  )
    return update(walk, node, env, frame);
  const value = evaluate(walk, node.operand, env, frame);
  if (node.operator === ts.SyntaxKind.ExclamationToken) {
    const { canBeTrue, canBeFalse } = truths(value);
    return { kind: "boolean", canBeTrue: canBeFalse, canBeFalse: canBeTrue };
  }
  if (!isNumeric(value)) return walk.byStaticType(node);
  if (node.operator === ts.SyntaxKind.MinusToken)
    return checked(walk, node, frame, value.kind, negate(value.range), "-");
  if (node.operator !== ts.SyntaxKind.TildeToken) return value;
  if (value.kind === "bigint")
    return checked(walk, node, frame, "bigint", complement(value.range), "~");
  const low = walk.transfers["|32"](value.range, exactly(0));
  return ofRange("number", complement(low));
}

/** `i++` and its kin. */
function update(
  walk: Walk,
  node: ts.PrefixUnaryExpression | ts.PostfixUnaryExpression,
  env: Environment,
  frame: Frame,
): Abstract {
  const { ts } = walk;
  const old = evaluate(walk, node.operand, env, frame);
  if (!isNumeric(old)) return old;
  const operator = node.operator === ts.SyntaxKind.PlusPlusToken ? "+" : "-";
  const range = walk.transfers[operator](old.range, exactly(1n));
  const next = checked(walk, node, frame, old.kind, range, operator);
  assign(walk, node.operand, next, env, frame);
  return ts.isPrefixUnaryExpression(node) ? next : old;
}

const assignments: Readonly<Record<string, string>> = Object.fromEntries(
  "+ - * / % & | ^ << >> >>>".split(" ").map((op) => [`${op}=`, op]),
);

function binary(
  walk: Walk,
  node: ts.BinaryExpression,
  env: Environment,
  frame: Frame,
): Abstract {
  const { ts } = walk;
  const operator = ts.tokenToString(node.operatorToken.kind) ?? "";
  if (operator === "=") {
    const value = evaluate(walk, node.right, env, frame);
    assign(walk, node.left, value, env, frame, node.right);
    return value;
  }
  const compound = assignments[operator];
  if (compound !== undefined) {
    const left = evaluate(walk, node.left, env, frame);
    const right = evaluate(walk, node.right, env, frame);
    const value = operate(walk, node, compound, left, right, frame);
    assign(walk, node.left, value, env, frame, node);
    return value;
  }
  if (operator === "&&" || operator === "||") {
    const { yes, no } = walk.doors.branch(walk, node.left, env, frame);
    const [go, stop] = operator === "&&" ? [yes, no] : [no, yes];
    const right = go && evaluate(walk, node.right, go, frame);
    return joined(env, go, right, stop, stop && truth(operator === "||"));
  }
  if (comparisonOf(operator) !== undefined) {
    const left = evaluate(walk, node.left, env, frame);
    const right = evaluate(walk, node.right, env, frame);
    return compare(walk, node, left, right, frame);
  }
  if (operator === ",") {
    evaluate(walk, node.left, env, frame);
    return evaluate(walk, node.right, env, frame);
  }
  const left = evaluate(walk, node.left, env, frame);
  const right = evaluate(walk, node.right, env, frame);
  return operate(walk, node, operator, left, right, frame);
}

const wrapping = new Set(["+", "-", "*", "&", "|", "^", "<<"]);

/** Inside a narrowing: bigint operators answer their exact, unbounded range. */
export function evaluateWrapping(
  walk: Walk,
  outer: ts.Expression,
  env: Environment,
  frame: Frame,
): Abstract {
  const { ts } = walk;
  const node = bare(ts, outer);
  if (ts.isBinaryExpression(node)) {
    const operator = ts.tokenToString(node.operatorToken.kind) ?? "";
    if (wrapping.has(operator) && isBigint(walk, node)) {
      const left = evaluateWrapping(walk, node.left, env, frame);
      const right = evaluateWrapping(walk, node.right, env, frame);
      if (isNumeric(left) && isNumeric(right) && left.kind === right.kind) {
        const range = exactResult(walk, node, operator, left, right, frame);
        if (range !== undefined) {
          if (contains(uint64, range) || contains(int64, range))
            walk.record(node, range);
          return ofRange("bigint", range);
        }
      }
      return walk.byStaticType(node);
    }
  }
  if (
    ts.isPrefixUnaryExpression(node) &&
    (node.operator === ts.SyntaxKind.MinusToken ||
      node.operator === ts.SyntaxKind.TildeToken) &&
    isBigint(walk, node)
  ) {
    const value = evaluateWrapping(walk, node.operand, env, frame);
    if (!isNumeric(value)) return value;
    const of = node.operator === ts.SyntaxKind.MinusToken ? negate : complement;
    return ofRange("bigint", of(value.range));
  }
  return evaluate(walk, outer, env, frame);
}

function isBigint(walk: Walk, node: ts.Expression): boolean {
  const { flags } = walk.nf.checker.getTypeAtLocation(node);
  return (flags & walk.ts.TypeFlags.BigIntLike) !== 0;
}
