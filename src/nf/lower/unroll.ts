/**
 * Loops without a loop: the body once per round, the variable a constant in each.
 * For few rounds that are known, and for lists that are known, which have no other
 * form.
 */
import type { ts } from "../front/typescript-api.ts";
import { assigned } from "./assigned.ts";
import { unwrapped } from "./conditions.ts";
import {
  type Frame,
  type Lowering,
  type Target,
  cannotLower,
} from "./lowering.ts";
import { getField } from "./objects.ts";
import { type Value, constantValue } from "./value.ts";

const mostRounds = 8;

const mostNodes = 320;

const mostElements = 64;

export function lowerForOf(
  lowering: Lowering,
  node: ts.ForOfStatement,
  label: string | undefined,
): void {
  const { ts, cursor, frame } = lowering;
  const list = lowering.value(node.expression);
  const count = elementCount(lowering, list);
  const [declaration] = ts.isVariableDeclarationList(node.initializer)
    ? node.initializer.declarations
    : [];
  if (
    count === undefined ||
    count > mostElements ||
    declaration === undefined ||
    !ts.isIdentifier(declaration.name)
  )
    throw cannotLower(
      node,
      "only short lists that are known before any packet can be walked",
      "for (let i = 0; i < n; i++)",
    );
  const symbol = lowering.program.symbolOf(declaration.name);
  const target: Target = { label, breaks: [], continues: [] };
  frame.targets.push(target);
  const { scope } = lowering.frame;
  for (let at = 0; at < count && !cursor.isClosed; at++) {
    const value = getField(cursor, list, String(at));
    if (symbol !== undefined) {
      cursor.env.variables.set(symbol, value);
      if (value.kind === "constant")
        lowering.frame.scope = bound(scope, symbol, value.value);
    }
    lowering.statement(node.statement);
    resume(lowering, target);
  }
  lowering.frame.scope = scope;
  frame.targets.pop();
  cursor.paths = [...cursor.paths, ...target.breaks];
}

function elementCount(lowering: Lowering, list: Value): number | undefined {
  if (list.kind === "constant")
    return Array.isArray(list.value) ? list.value.length : undefined;
  if (list.kind === "reference")
    return list.type.kind === "vector" ? list.type.count : undefined;
  if (list.kind !== "object") return undefined;
  const object = lowering.cursor.env.heap.get(list.object);
  return object?.type?.kind === "vector"
    ? object.type.count
    : object?.fields.size;
}

function bound(
  scope: Frame["scope"],
  symbol: ts.Symbol,
  value: unknown,
): Frame["scope"] {
  return { ...scope, bindings: new Map([...scope.bindings, [symbol, value]]) };
}

export function resume({ cursor }: Lowering, target: Target): void {
  cursor.paths = [...cursor.paths, ...(target.continues ?? [])];
  if (target.continues !== undefined) target.continues.length = 0;
  if (!cursor.isClosed) void cursor.path;
}

export function unroll(
  lowering: Lowering,
  node: ts.ForStatement,
  label: string | undefined,
): boolean {
  const { cursor, frame } = lowering;
  const counter = counterOf(lowering, node);
  if (counter === undefined) return false;
  const { symbol, rounds } = counter;
  if (
    rounds > mostRounds ||
    rounds * sizeOf(lowering, node.statement) > mostNodes
  )
    return false;
  const target: Target = { label, breaks: [], continues: [] };
  frame.targets.push(target);
  const { scope } = frame;
  for (const value of counter.values) {
    if (cursor.isClosed) break;
    cursor.env.variables.set(symbol, constantValue(value));
    frame.scope = bound(scope, symbol, value);
    lowering.statement(node.statement);
    resume(lowering, target);
  }
  frame.scope = scope;
  frame.targets.pop();
  cursor.paths = [...cursor.paths, ...target.breaks];
  if (!cursor.isClosed) void cursor.path;
  return true;
}

interface Counter {
  readonly symbol: ts.Symbol;
  readonly rounds: number;
  readonly values: readonly number[];
}

function counterOf(
  lowering: Lowering,
  node: ts.ForStatement,
): Counter | undefined {
  const { ts, cursor, program } = lowering;
  const { initializer, condition, incrementor } = node;
  if (
    initializer === undefined ||
    condition === undefined ||
    incrementor === undefined ||
    !ts.isVariableDeclarationList(initializer)
  )
    return undefined;
  const [declaration] = initializer.declarations;
  if (
    initializer.declarations.length !== 1 ||
    declaration === undefined ||
    !ts.isIdentifier(declaration.name)
  )
    return undefined;
  const symbol = program.symbolOf(declaration.name);
  if (symbol === undefined) return undefined;
  const first = cursor.env.variables.get(symbol);
  if (first?.kind !== "constant" || typeof first.value !== "number")
    return undefined;
  const test = unwrapped(lowering, condition);
  if (
    !ts.isBinaryExpression(test) ||
    !names(lowering, test.left, symbol) ||
    assigned(lowering, node.statement).has(symbol)
  )
    return undefined;
  const bound = constantAt(lowering, test.right);
  const step = stepOf(lowering, incrementor, symbol);
  if (bound === undefined || step === undefined || step === 0) return undefined;
  const holds = tests[test.operatorToken.getText()];
  if (holds === undefined) return undefined;
  const values: number[] = [];
  for (let at = first.value; holds(at, bound); at += step) {
    values.push(at);
    if (values.length > mostRounds) return undefined;
  }
  return { symbol, rounds: values.length, values };
}

const tests: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  "<": (a, b) => a < b,
  "<=": (a, b) => a <= b,
  ">": (a, b) => a > b,
  ">=": (a, b) => a >= b,
  "!==": (a, b) => a !== b,
};

function constantAt(
  lowering: Lowering,
  node: ts.Expression,
): number | undefined {
  const { ts, cursor, program, frame } = lowering;
  const inner = unwrapped(lowering, node);
  if (ts.isIdentifier(inner)) {
    const symbol = program.symbolOf(inner);
    const known =
      symbol === undefined ? undefined : cursor.env.variables.get(symbol);
    if (known !== undefined)
      return known.kind === "constant" && typeof known.value === "number"
        ? known.value
        : undefined;
  }
  const found = program.loaded.constantOf(inner, frame.scope)?.value;
  return typeof found === "number" ? found : undefined;
}

function stepOf(
  lowering: Lowering,
  node: ts.Expression,
  symbol: ts.Symbol,
): number | undefined {
  const { ts } = lowering;
  if (ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node)) {
    if (!names(lowering, node.operand, symbol)) return undefined;
    if (node.operator === ts.SyntaxKind.PlusPlusToken) return 1;
    return node.operator === ts.SyntaxKind.MinusMinusToken ? -1 : undefined;
  }
  if (!ts.isBinaryExpression(node) || !names(lowering, node.left, symbol))
    return undefined;
  const by = constantAt(lowering, node.right);
  if (by === undefined) return undefined;
  const text = node.operatorToken.getText();
  return text === "+=" ? by : text === "-=" ? -by : undefined;
}

function names(
  lowering: Lowering,
  node: ts.Expression,
  symbol: ts.Symbol,
): boolean {
  const inner = unwrapped(lowering, node);
  return (
    lowering.ts.isIdentifier(inner) &&
    lowering.program.symbolOf(inner) === symbol
  );
}

function sizeOf({ ts }: Lowering, node: ts.Node): number {
  let size = 0;
  const visit = (each: ts.Node): void => {
    size++;
    ts.forEachChild(each, visit);
  };
  visit(node);
  return size;
}
