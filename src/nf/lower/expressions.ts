/**
 * Expressions: each answers its outcomes, one per path that it leaves open. Most
 * have one; what tests something (a header, `&&`, `?:`, an inlined call) has more.
 */
import type { ts } from "../front/typescript-api.ts";
import { isComparison } from "./compare.ts";
import { branch, unwrapped } from "./conditions.ts";
import type { Outcome } from "./join.ts";
import { type Lowering, cannotLower, placeOf } from "./lowering.ts";
import {
  assignIndex,
  assignMember,
  readIndex,
  readMember,
  splitPresence,
} from "./members.ts";
import { getField, newObject } from "./objects.ts";
import {
  complement,
  isBigint,
  isOperator,
  negate,
  operate,
} from "./operators.ts";
import { flood, out, redirect } from "./primitives.ts";
import { booleans } from "./state-operations.ts";
import { type Value, constantValue, undefinedValue, within } from "./value.ts";
import { calledVerdict } from "./verdicts.ts";

export function outcomes(
  lowering: Lowering,
  node: ts.Expression,
): readonly Outcome[] {
  const inner = unwrapped(lowering, node);
  const found = dispatch(lowering, inner);
  const range = lowering.program.facts.rangeOf(inner);
  if (range === undefined) return found;
  return found.map(({ path, value }) => ({
    path,
    value: within(value, range.low, range.high),
  }));
}

/** One value; paths are joined. */
export function value(lowering: Lowering, node: ts.Expression): Value {
  return lowering.cursor.join(lowering.outcomes(node));
}

function dispatch(lowering: Lowering, node: ts.Expression): readonly Outcome[] {
  const { ts, cursor, writer } = lowering;
  if (ts.isIdentifier(node))
    return namedVerdict(lowering, identifier(lowering, node));
  writer.at = placeOf(node, writer.name);
  const one = (value: Value): readonly Outcome[] => [
    { value, path: cursor.path },
  ];
  if (ts.isNumericLiteral(node)) return one(constantValue(Number(node.text)));
  if (ts.isBigIntLiteral(node))
    return one(constantValue(BigInt(node.text.replace(/n$/, ""))));
  if (ts.isStringLiteralLike(node)) return one(constantValue(node.text));
  if (node.kind === ts.SyntaxKind.TrueKeyword) return one(constantValue(true));
  if (node.kind === ts.SyntaxKind.FalseKeyword)
    return one(constantValue(false));
  if (node.kind === ts.SyntaxKind.ThisKeyword)
    return one(constantValue(lowering.frame.scope.self));
  if (ts.isPropertyAccessExpression(node))
    return propertyAccess(lowering, node);
  if (ts.isElementAccessExpression(node)) {
    const owner = lowering.value(node.expression);
    const index = lowering.value(node.argumentExpression);
    return readIndex(lowering, node, owner, index);
  }
  if (ts.isCallExpression(node)) return lowering.call(node);
  if (ts.isPrefixUnaryExpression(node)) return prefix(lowering, node);
  if (ts.isPostfixUnaryExpression(node))
    return one(step(lowering, node.operand, node.operator, "old"));
  if (ts.isBinaryExpression(node)) return binary(lowering, node);
  if (ts.isConditionalExpression(node)) return conditional(lowering, node);
  if (ts.isObjectLiteralExpression(node)) return one(literal(lowering, node));
  if (ts.isArrayLiteralExpression(node)) {
    const fields = new Map<string, Value>();
    for (const [at, element] of node.elements.entries())
      fields.set(String(at), lowering.value(element));
    return one(newObject(cursor, fields));
  }
  throw cannotLower(node, "this kind of expression cannot be compiled");
}

/** The value on each open path; nothing is joined for a name. */
function identifier(
  lowering: Lowering,
  node: ts.Identifier,
): readonly Outcome[] {
  const { cursor, program } = lowering;
  if (cursor.isClosed) void cursor.path;
  const symbol = program.symbolOf(node);
  let constant: Value | undefined;
  return cursor.paths.map((path) => {
    const known =
      symbol === undefined ? undefined : path.env.variables.get(symbol);
    if (known !== undefined) return { path, value: known };
    constant ??= constantIdentifier(lowering, node);
    return { path, value: constant };
  });
}

/** `flood` is a call in BPF: it is made where it is named. */
function namedVerdict(
  lowering: Lowering,
  found: readonly Outcome[],
): readonly Outcome[] {
  const [first] = found;
  const called =
    first?.value.kind === "constant"
      ? calledVerdict(first.value.value)
      : undefined;
  if (called === undefined) return found;
  const value =
    called.kind === "flood"
      ? flood(lowering)
      : called.kind === "out"
        ? out(lowering, constantValue(called.to))
        : redirect(lowering, constantValue(called.to));
  return [{ path: lowering.cursor.path, value }];
}

function constantIdentifier(lowering: Lowering, node: ts.Identifier): Value {
  if (node.text === "undefined") return undefinedValue;
  const { program, frame } = lowering;
  const found = program.loaded.constantOf(node, frame.scope);
  if (found === undefined)
    throw cannotLower(node, `\`${node.text}\` is not known here`);
  return constantValue(found.value);
}

function propertyAccess(
  lowering: Lowering,
  node: ts.PropertyAccessExpression,
): readonly Outcome[] {
  const { ts, cursor } = lowering;
  const name = node.name.text;
  const isChain = (node.flags & ts.NodeFlags.OptionalChain) !== 0;
  if (name === "port" && isContext(lowering, node.expression))
    return cursor.paths.map((path) => ({
      path,
      value: path.env.port ?? constantValue(0),
    }));
  if (!isChain) {
    const owner = lowering.value(node.expression);
    return readMember(lowering, node, owner, name);
  }
  const { there, absent } = splitPresence(
    lowering,
    lowering.outcomes(node.expression),
  );
  const found = there.flatMap(({ path, value }) => {
    cursor.paths = [path];
    return readMember(lowering, node, value, name);
  });
  return [...found, ...absent];
}

/** `ctx.port` differs between open paths, and is asked on each for itself. */
function isContext(
  { ts, cursor, program, packet }: Lowering,
  node: ts.Expression,
): boolean {
  if (!ts.isIdentifier(node) || cursor.isClosed || packet === undefined)
    return false;
  const symbol = program.symbolOf(node);
  return cursor.paths.every(
    ({ env }) =>
      symbol !== undefined && env.variables.get(symbol)?.kind === "context",
  );
}

function prefix(
  lowering: Lowering,
  node: ts.PrefixUnaryExpression,
): readonly Outcome[] {
  const { ts, cursor } = lowering;
  const one = (value: Value): readonly Outcome[] => [
    { value, path: cursor.path },
  ];
  switch (node.operator) {
    case ts.SyntaxKind.ExclamationToken:
      return booleans(branch(lowering, node));
    case ts.SyntaxKind.MinusToken:
      return one(negate(cursor, lowering.value(node.operand)));
    case ts.SyntaxKind.TildeToken:
      return one(complement(cursor, lowering.value(node.operand)));
    case ts.SyntaxKind.PlusToken:
      return one(lowering.value(node.operand));
    case ts.SyntaxKind.PlusPlusToken:
    case ts.SyntaxKind.MinusMinusToken:
      return one(step(lowering, node.operand, node.operator, "new"));
  }
}

/** `x++` and its kin; answers the old or the new value. */
function step(
  lowering: Lowering,
  target: ts.Expression,
  operator: ts.SyntaxKind,
  answer: "old" | "new",
): Value {
  const { ts, cursor } = lowering;
  const place = targetOf(lowering, target);
  const old = place.read();
  const by = constantValue(isBigint(old) ? 1n : 1);
  const op = operator === ts.SyntaxKind.PlusPlusToken ? "+" : "-";
  const next = operate(cursor, op, old, by);
  place.write(next);
  return answer === "old" ? old : next;
}

interface Place {
  readonly read: () => Value;
  readonly write: (value: Value) => void;
}

/** Where an assignment goes; the owner and index are evaluated once. */
function targetOf(lowering: Lowering, node: ts.Expression): Place {
  const { ts, cursor, program } = lowering;
  const inner = unwrapped(lowering, node);
  if (ts.isIdentifier(inner)) {
    const symbol = program.symbolOf(inner);
    return {
      read: () => lowering.value(inner),
      write: (value) => {
        if (symbol !== undefined) cursor.env.variables.set(symbol, value);
      },
    };
  }
  if (ts.isPropertyAccessExpression(inner)) {
    const owner = lowering.value(inner.expression);
    const name = inner.name.text;
    return {
      read: () => cursor.join(readMember(lowering, inner, owner, name)),
      write: (value) => {
        lowering.writer.at = placeOf(inner, lowering.writer.name);
        assignMember(lowering, inner, owner, { name, value });
      },
    };
  }
  if (ts.isElementAccessExpression(inner)) {
    const owner = lowering.value(inner.expression);
    const index = lowering.value(inner.argumentExpression);
    return {
      read: () => cursor.join(readIndex(lowering, inner, owner, index)),
      write: (value) => {
        assignIndex(lowering, inner, owner, { index, value });
      },
    };
  }
  throw cannotLower(node, "this cannot be assigned");
}

function binary(
  lowering: Lowering,
  node: ts.BinaryExpression,
): readonly Outcome[] {
  const { cursor, writer } = lowering;
  const text = node.operatorToken.getText();
  const one = (value: Value): readonly Outcome[] => [
    { value, path: cursor.path },
  ];
  if (isComparison(text)) return booleans(branch(lowering, node));
  switch (text) {
    case "&&":
    case "||":
    case "??":
      return shortCircuit(lowering, node, text);
    case "=":
      return assignment(lowering, node);
    case ",":
      lowering.value(node.left);
      return lowering.outcomes(node.right);
    default:
  }
  if (isOperator(text)) {
    const left = lowering.value(node.left);
    const right = lowering.value(node.right);
    writer.at = placeOf(node, writer.name);
    return one(operate(cursor, text, present(left), present(right)));
  }
  const op = text.endsWith("=") ? text.slice(0, -1) : text;
  if (isOperator(op)) {
    const place = targetOf(lowering, node.left);
    const old = place.read();
    const right = lowering.value(node.right);
    writer.at = placeOf(node, writer.name);
    const next = operate(cursor, op, present(old), present(right));
    place.write(next);
    return one(next);
  }
  throw cannotLower(node, `\`${text}\` cannot be compiled`);
}

/** TypeScript has shown that it is not undefined. */
function present(value: Value): Value {
  return value.kind === "optional" ? value.payload : value;
}

function assignment(
  lowering: Lowering,
  node: ts.BinaryExpression,
): readonly Outcome[] {
  const { ts, cursor, program } = lowering;
  const left = unwrapped(lowering, node.left);
  if (ts.isIdentifier(left)) {
    const symbol = program.symbolOf(left);
    const found = lowering.outcomes(node.right);
    for (const { path, value } of found)
      if (symbol !== undefined) path.env.variables.set(symbol, value);
    return found;
  }
  const place = targetOf(lowering, left);
  const value = lowering.value(node.right);
  place.write(value);
  return [{ value, path: cursor.path }];
}

function shortCircuit(
  lowering: Lowering,
  node: ts.BinaryExpression,
  text: "&&" | "||" | "??",
): readonly Outcome[] {
  const { cursor } = lowering;
  if (text === "??") {
    const { there, absent } = splitPresence(
      lowering,
      lowering.outcomes(node.left),
    );
    if (absent.length === 0) return there;
    cursor.paths = absent.map((outcome) => outcome.path);
    return [...there, ...lowering.outcomes(node.right)];
  }
  // Of booleans only: the checker refuses `a || b` of numbers.
  return booleans(branch(lowering, node));
}

function conditional(
  lowering: Lowering,
  node: ts.ConditionalExpression,
): readonly Outcome[] {
  const { cursor } = lowering;
  const { yes, no } = branch(lowering, node.condition);
  const found: Outcome[] = [];
  for (const [paths, when] of [
    [yes, node.whenTrue],
    [no, node.whenFalse],
  ] as const) {
    if (paths.length === 0) continue;
    cursor.paths = paths;
    found.push(...lowering.outcomes(when));
  }
  return found;
}

function literal(lowering: Lowering, node: ts.ObjectLiteralExpression): Value {
  const { ts, cursor } = lowering;
  const fields = new Map<string, Value>();
  for (const property of node.properties) {
    if (ts.isShorthandPropertyAssignment(property))
      fields.set(property.name.text, lowering.value(property.name));
    else if (
      ts.isPropertyAssignment(property) &&
      (ts.isIdentifier(property.name) || ts.isStringLiteralLike(property.name))
    )
      fields.set(property.name.text, lowering.value(property.initializer));
    else if (ts.isSpreadAssignment(property)) {
      const from = lowering.value(property.expression);
      for (const name of namesOf(lowering, from))
        fields.set(name, getField(cursor, from, name));
    } else throw cannotLower(property, "this cannot stand in an object");
  }
  return newObject(cursor, fields);
}

function namesOf({ cursor }: Lowering, value: Value): readonly string[] {
  if (value.kind === "object")
    return [...(cursor.env.heap.get(value.object)?.fields.keys() ?? [])];
  if (value.kind === "reference" && value.type.kind === "struct")
    return value.type.fields.map((field) => field.name);
  return value.kind === "constant" &&
    typeof value.value === "object" &&
    value.value !== null
    ? Object.keys(value.value)
    : [];
}
