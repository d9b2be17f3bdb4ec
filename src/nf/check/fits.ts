/**
 * Whether a value fits where it is put: into a field, an argument, an element. A
 * literal is looked at field by field, so that each fault is shown in its place.
 */
import type { ts } from "../front/typescript-api.ts";
import { scalarRange } from "../library/scalar.ts";
import type { StructDescription, Type } from "../library/struct.ts";
import { isNumeric, ofType, present, type Abstract } from "./abstract-value.ts";
import { isDead, type Environment } from "./environment.ts";
import { contains, type Interval } from "./interval.ts";
import { printRange } from "./rules.ts";
import { bare, operandText, plainText, type Frame, type Walk } from "./walk.ts";

export function checkAlive(
  walk: Walk,
  node: ts.Node,
  value: Abstract,
  env: Environment,
  frame: Frame,
): void {
  if (isDead(env, value)) walk.report(frame, node, "nf-stale");
}

export function checkIndex(
  walk: Walk,
  node: ts.Expression,
  index: Abstract,
  count: number,
  frame: Frame,
): void {
  if (!isNumeric(index)) return;
  const wanted = { low: 0n, high: BigInt(count) - 1n };
  if (contains(wanted, index.range)) return;
  walk.report(frame, node, "nf-index", {
    range: printRange(index.range),
    most: String(count - 1),
    count: String(count),
    text: operandText(walk.ts, bare(walk.ts, node)),
  });
}

export interface Fitting {
  readonly type: Type;
  readonly value: Abstract;
  /** Where it is put, in words. */
  readonly what: string;
}

/** Is the value one of the type? Says where it may not be. */
export function checkFits(
  walk: Walk,
  { type, value, what }: Fitting,
  source: ts.Expression,
  frame: Frame,
  env: Environment,
): void {
  const given = present(value);
  checkAlive(walk, source, given, env, frame);
  if (type.kind === "scalar") {
    checkRange(
      walk,
      { wanted: scalarRange(type), type: type.name, value: given, what },
      source,
      frame,
    );
    return;
  }
  if (type.kind !== "struct" || given.kind !== "object") return;
  checkFields(walk, type, given.sites, source, frame, env);
}

function checkFields(
  walk: Walk,
  type: StructDescription,
  sites: ReadonlySet<ts.Node>,
  source: ts.Expression,
  frame: Frame,
  env: Environment,
): void {
  for (const site of sites)
    for (const field of type.fields) {
      const value = env.heap.get(site)?.get(field.name);
      if (value !== undefined)
        checkFits(
          walk,
          { type: field.type, value, what: `the field \`${field.name}\`` },
          source,
          frame,
          env,
        );
    }
}

interface Ranged {
  readonly wanted: Interval;
  readonly type: string;
  readonly value: Abstract;
  readonly what: string;
}

export function checkRange(
  walk: Walk,
  { wanted, type, value, what }: Ranged,
  source: ts.Expression,
  frame: Frame,
): void {
  const given = present(value);
  if (!isNumeric(given) || contains(wanted, given.range)) return;
  walk.report(frame, source, "nf-range", {
    what,
    type,
    wanted: printRange(wanted),
    range: printRange(given.range),
    fix: `${narrowed(walk, source, type, wanted.high)}; or a test of its range before`,
  });
}

/** What to write for a value of which the low bits are wanted. */
function narrowed(
  walk: Walk,
  source: ts.Expression,
  type: string,
  most: bigint,
): string {
  const { ts } = walk;
  const by = compound(ts, source);
  const text = by?.text ?? plainText(ts, source);
  const operand =
    by === undefined ? operandText(ts, bare(ts, source)) : `(${by.text})`;
  const value =
    type in narrowings
      ? `${type}(${text})${by === undefined ? ", which keeps the low bits" : ""}`
      : `${operand} & ${most}`;
  return by === undefined
    ? value
    : `${by.target} = ${value}, which keeps the low bits`;
}

/** Of `a ^= b` and `a++`: what is assigned, and the value as an expression. */
function compound(
  ts: Walk["ts"],
  source: ts.Expression,
): { readonly target: string; readonly text: string } | undefined {
  const { parent } = source;
  if (
    ts.isBinaryExpression(source) &&
    /^[^=<>!]+=$|^(<<|>>>?)=$/.test(source.operatorToken.getText())
  ) {
    const target = plainText(ts, source.left);
    const operator = source.operatorToken.getText().slice(0, -1);
    return {
      target,
      text: `${target} ${operator} ${operandText(ts, source.right)}`,
    };
  }
  if (
    !ts.isPrefixUnaryExpression(parent) &&
    !ts.isPostfixUnaryExpression(parent)
  )
    return undefined;
  const sign = { "++": "+", "--": "-" }[
    ts.tokenToString(parent.operator) ?? ""
  ];
  const target = plainText(ts, source);
  return sign === undefined
    ? undefined
    : { target, text: `${target} ${sign} 1` };
}

const narrowings: Readonly<Record<string, true>> = Object.fromEntries(
  "u8 u16 u32 u64 i8 i16 i32 i64 be16 be32 be64 mac"
    .split(" ")
    .map((name) => [name, true]),
);

/** Evaluates what is put where a value of `type` is wanted: literals field by field. */
export function evaluateAs(
  walk: Walk,
  type: Type,
  outer: ts.Expression,
  env: Environment,
  frame: Frame,
): Abstract {
  const { ts } = walk;
  const node = bare(ts, outer);
  if (type.kind === "struct" && ts.isObjectLiteralExpression(node)) {
    for (const property of node.properties) {
      const field = type.fields.find(
        (one) => one.name === property.name?.getText(),
      );
      if (field === undefined) continue;
      if (ts.isPropertyAssignment(property))
        fieldAs(walk, field, property.initializer, env, frame);
      else if (ts.isShorthandPropertyAssignment(property))
        fieldAs(walk, field, property.name, env, frame);
    }
    return ofType(type);
  }
  if (type.kind === "vector" && ts.isArrayLiteralExpression(node)) {
    for (const element of node.elements)
      evaluateAs(walk, type.element, element, env, frame);
    return ofType(type);
  }
  const value = walk.doors.evaluate(walk, outer, env, frame);
  checkFits(walk, { type, value, what: "this place" }, outer, frame, env);
  return value;
}

function fieldAs(
  walk: Walk,
  field: StructDescription["fields"][number],
  node: ts.Expression,
  env: Environment,
  frame: Frame,
): void {
  if (field.type.kind !== "scalar") {
    evaluateAs(walk, field.type, node, env, frame);
    return;
  }
  const value = walk.doors.evaluate(walk, node, env, frame);
  const what = `the field \`${field.name}\``;
  checkFits(walk, { type: field.type, value, what }, node, frame, env);
}
