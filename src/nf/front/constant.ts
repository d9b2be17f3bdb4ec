/**
 * What the constant evaluator hands around: a function that is only read, and
 * why something is not constant.
 */
import type { Scope } from "./loaded.ts";
import type { ts, Ts } from "./typescript-api.ts";

/** Why an expression is not constant, where somebody demanded that it is. */
export class NotConstant {
  readonly node: ts.Node;
  readonly reason: string;
  /** What the library threw, where it did. */
  readonly cause: unknown;
  /** What else is not, in the same object. */
  readonly others: readonly NotConstant[];

  constructor(
    node: ts.Node,
    reason: string,
    cause?: unknown,
    others: readonly NotConstant[] = [],
  ) {
    this.others = others;
    this.node = node;
    this.reason = reason;
    this.cause = cause;
  }
}

/** A function of the user as a value; it is read, never called. */
export class Closure {
  readonly node: ts.ArrowFunction | ts.FunctionLikeDeclaration;
  readonly scope: Scope;

  constructor(
    node: ts.ArrowFunction | ts.FunctionLikeDeclaration,
    scope: Scope,
  ) {
    this.node = node;
    this.scope = scope;
  }
}

/** What a parameter is bound under: its own symbol, also where it is a pattern. */
export function parameterSymbol(
  ts: Ts,
  checker: ts.TypeChecker,
  parameter: ts.ParameterDeclaration,
): ts.Symbol | undefined {
  if (ts.isIdentifier(parameter.name))
    return checker.getSymbolAtLocation(parameter.name);
  const own: unknown = Reflect.get(parameter, "symbol");
  return isSymbol(own) ? own : undefined;
}

function isSymbol(value: unknown): value is ts.Symbol {
  return typeof value === "object" && value !== null && "flags" in value;
}

/** Module constants, `config` and `state`: there the library's constructors are called. */
export function isDeclarative(
  ts: Ts,
  node: ts.Node,
  applied: ReadonlySet<ts.Node>,
): boolean {
  for (let at = node.parent; at !== undefined; at = at.parent) {
    if (ts.isSourceFile(at)) return true;
    if (ts.isClassLike(at)) return false;
    if (ts.isMethodDeclaration(at)) return at.name.getText() === "state";
    if (ts.isFunctionLike(at)) {
      if (ts.isFunctionDeclaration(at)) return applied.has(at);
      const owner = at.parent;
      return (
        applied.has(at) ||
        (ts.isPropertyAssignment(owner) && owner.name.getText() === "state")
      );
    }
  }
  return false;
}

/** A getter of a class: what it answers is for the JavaScript run alone. */
export function isComputed(owner: object, name: string): boolean {
  for (
    let at: unknown = owner;
    typeof at === "object" && at !== null;
    at = Object.getPrototypeOf(at)
  ) {
    const own = Object.getOwnPropertyDescriptor(at, name);
    if (own !== undefined) return own.get !== undefined;
  }
  return false;
}
