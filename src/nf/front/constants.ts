/**
 * The constant evaluator: what an expression is worth before any packet.
 *
 * It walks the syntax tree with JavaScript's own meaning; calls of the library
 * call the library's real functions. In the body of a handler only those that
 * are pure functions of numbers are called (`u32`, `min`, …), since a call with
 * a declaration as argument is an operation on state. No code of the user is
 * ever run: a user's function is read, as `const`s and one `return`.
 *
 * Law: an expression answered `undefined` is simply not known to be constant.
 */
import {
  Closure,
  isComputed,
  isDeclarative,
  NotConstant,
  parameterSymbol,
} from "./constant.ts";
import type { Constant, Scope } from "./loaded.ts";
import { applyBinary, applyUnary } from "./operators.ts";
import type { ts, Ts } from "./typescript-api.ts";

export interface Evaluator {
  /** Answers the value or throws `NotConstant`. */
  readonly evaluate: (node: ts.Expression, scope: Scope) => unknown;
  readonly apply: (fn: unknown, values: readonly unknown[]) => unknown;
  readonly isFunction: (value: unknown) => boolean;
  /** A method of an object literal as a value for `apply`. */
  readonly method: (node: ts.Node) => unknown;
  readonly constantOf: (node: ts.Node, scope?: Scope) => Constant | undefined;
  readonly libraryName: (symbol: ts.Symbol) => string | undefined;
  /** The symbol behind import aliases. */
  readonly target: (node: ts.Node) => ts.Symbol | undefined;
}

export interface EvaluatorOptions {
  readonly ts: Ts;
  readonly checker: ts.TypeChecker;
  readonly library: ts.SourceFile;
  readonly runtime: Readonly<Record<string, unknown>>;
}

export const emptyScope: Scope = { bindings: new Map() };

/** Library functions without any effect: they may be computed in a handler too. */
const pure = new Set(
  "u8 u16 u32 u64 i8 i16 i32 i64 be16 be32 be64 bool mac ipv4 min max div mul32".split(
    " ",
  ),
);
const globals: Readonly<
  Record<string, (...values: readonly number[]) => number>
> = {
  "Math.min": (...values) => Math.min(...values),
  "Math.max": (...values) => Math.max(...values),
  "Math.trunc": (value = 0) => Math.trunc(value),
  "Math.imul": (left = 0, right = 0) => Math.imul(left, right),
};
const deepest = 64;

export function evaluator(options: EvaluatorOptions): Evaluator {
  const { ts, checker, runtime } = options;
  const names = new Map<ts.Symbol, string>();
  const module = checker.getSymbolAtLocation(options.library);
  if (module !== undefined)
    for (const symbol of checker.getExportsOfModule(module))
      names.set(unalias(symbol), symbol.name);
  const moduleConstants = new Map<ts.Symbol, Constant | NotConstant>();
  const answers = new WeakMap<Scope, Map<ts.Node, Constant | undefined>>();
  const targets = new Map<ts.Node, ts.Symbol | undefined>();
  let depth = 0;

  function unalias(symbol: ts.Symbol): ts.Symbol {
    return (symbol.flags & ts.SymbolFlags.Alias) === 0
      ? symbol
      : checker.getAliasedSymbol(symbol);
  }

  function target(node: ts.Node): ts.Symbol | undefined {
    if (!targets.has(node)) targets.set(node, targetOf(node));
    return targets.get(node);
  }

  function targetOf(node: ts.Node): ts.Symbol | undefined {
    const parent = node.parent;
    const symbol =
      parent !== undefined &&
      ts.isShorthandPropertyAssignment(parent) &&
      parent.name === node
        ? checker.getShorthandAssignmentValueSymbol(parent)
        : checker.getSymbolAtLocation(node);
    return symbol === undefined ? undefined : unalias(symbol);
  }

  function libraryName(symbol: ts.Symbol): string | undefined {
    return names.get(unalias(symbol));
  }

  function constantOf(node: ts.Node, scope = emptyScope): Constant | undefined {
    let known = answers.get(scope);
    if (known === undefined) answers.set(scope, (known = new Map()));
    if (!known.has(node)) known.set(node, answer(node, scope));
    return known.get(node);
  }

  function answer(node: ts.Node, scope: Scope): Constant | undefined {
    if (!isExpression(ts, node)) return undefined;
    try {
      return { value: evaluate(node, scope) };
    } catch (error) {
      if (error instanceof NotConstant) return undefined;
      throw error;
    }
  }

  function evaluate(node: ts.Expression, scope: Scope): unknown {
    if (depth > deepest) throw new NotConstant(node, "it is nested too deeply");
    depth++;
    try {
      return value(node, scope);
    } finally {
      depth--;
    }
  }

  function value(node: ts.Expression, scope: Scope): unknown {
    if (
      ts.isParenthesizedExpression(node) ||
      ts.isAsExpression(node) ||
      ts.isSatisfiesExpression(node) ||
      ts.isNonNullExpression(node)
    )
      return evaluate(node.expression, scope);
    if (ts.isNumericLiteral(node)) return Number(node.text);
    if (ts.isBigIntLiteral(node))
      return BigInt(node.text.replace(/n$/, "").replaceAll("_", ""));
    if (ts.isStringLiteralLike(node)) return node.text;
    if (ts.isTemplateExpression(node))
      return node.templateSpans.reduce(
        (text, span) =>
          text + String(evaluate(span.expression, scope)) + span.literal.text,
        node.head.text,
      );
    if (node.kind === ts.SyntaxKind.TrueKeyword) return true;
    if (node.kind === ts.SyntaxKind.FalseKeyword) return false;
    if (node.kind === ts.SyntaxKind.ThisKeyword) {
      if (scope.self !== undefined) return scope.self;
      throw new NotConstant(node, "`this` is not known here");
    }
    if (ts.isIdentifier(node)) return identifier(node, scope);
    if (ts.isPropertyAccessExpression(node))
      return member(node, evaluate(node.expression, scope), node.name.text);
    if (ts.isElementAccessExpression(node)) {
      const index = evaluate(node.argumentExpression, scope);
      return member(node, evaluate(node.expression, scope), String(index));
    }
    if (ts.isPrefixUnaryExpression(node)) return prefix(node, scope);
    if (ts.isBinaryExpression(node)) return binary(node, scope);
    if (ts.isConditionalExpression(node))
      return evaluate(node.condition, scope) === true
        ? evaluate(node.whenTrue, scope)
        : evaluate(node.whenFalse, scope);
    if (ts.isObjectLiteralExpression(node)) return object(node, scope);
    if (ts.isArrayLiteralExpression(node))
      return node.elements.flatMap((element): unknown[] =>
        ts.isSpreadElement(element)
          ? list(element, evaluate(element.expression, scope))
          : [evaluate(element, scope)],
      );
    if (ts.isArrowFunction(node) || ts.isFunctionExpression(node))
      return new Closure(node, scope);
    if (ts.isCallExpression(node)) return call(node, scope);
    throw new NotConstant(node, "it is no constant expression");
  }

  function identifier(node: ts.Identifier, scope: Scope): unknown {
    const symbol = target(node);
    if (symbol === undefined) {
      throw new NotConstant(node, `\`${node.text}\` is not known`);
    }
    if (scope.bindings.has(symbol)) return scope.bindings.get(symbol);
    const name = names.get(symbol);
    if (name !== undefined && name in runtime) return runtime[name];
    if (node.text === "undefined") return undefined;
    const declaration = symbol.valueDeclaration;
    if (declaration === undefined)
      throw new NotConstant(node, `\`${node.text}\` is not known`);
    if (ts.isFunctionDeclaration(declaration))
      return new Closure(declaration, emptyScope);
    const isModule =
      ts.isVariableDeclaration(declaration) &&
      ts.isSourceFile(declaration.parent.parent.parent);
    if (!isModule) return declared(node, declaration, scope);
    let known = moduleConstants.get(symbol);
    if (known === undefined) {
      known = new NotConstant(node, `\`${node.text}\` is made of itself`);
      moduleConstants.set(symbol, known);
      try {
        known = { value: declared(node, declaration, emptyScope) };
      } catch (error) {
        if (!(error instanceof NotConstant)) throw error;
        known = error;
      }
      moduleConstants.set(symbol, known);
    }
    if (known instanceof NotConstant) throw known;
    return known.value;
  }

  /** The value of a `const`, or of a name inside a destructuring. */
  function declared(
    use: ts.Identifier,
    declaration: ts.Declaration,
    scope: Scope,
  ): unknown {
    if (ts.isBindingElement(declaration)) {
      const { parent: pattern } = declaration;
      const key = declaration.propertyName ?? declaration.name;
      if (ts.isObjectBindingPattern(pattern) && ts.isIdentifier(key)) {
        const owner = pattern.parent;
        const whole = ts.isBindingElement(owner)
          ? declared(use, owner, scope)
          : ts.isParameter(owner)
            ? parameter(owner, scope)
            : declared(use, owner, scope);
        return member(use, whole, key.text);
      }
    }
    if (
      ts.isVariableDeclaration(declaration) &&
      declaration.initializer !== undefined &&
      (ts.getCombinedNodeFlags(declaration) & ts.NodeFlags.Const) !== 0
    )
      return evaluate(declaration.initializer, scope);
    throw new NotConstant(use, `\`${use.text}\` may change`);
  }

  /** A destructured parameter is bound under the symbol of its pattern's first name's parent. */
  function parameter(node: ts.ParameterDeclaration, scope: Scope): unknown {
    for (const [symbol, bound] of scope.bindings)
      if (symbol.valueDeclaration === node) return bound;
    throw new NotConstant(node, "the parameter is not constant");
  }

  function member(node: ts.Node, owner: unknown, name: string): unknown {
    if (owner instanceof Closure || owner === undefined || owner === null)
      throw new NotConstant(node, `it has no \`${name}\``);
    if (Array.isArray(owner)) {
      if (name === "length") return owner.length;
      if (/^\d+$/.test(name) && Number(name) < owner.length)
        return owner[Number(name)];
    } else if (
      (typeof owner === "object" || typeof owner === "function") &&
      name in owner &&
      !isComputed(owner, name)
    )
      return Reflect.get(owner, name);
    throw new NotConstant(node, `it has no \`${name}\``);
  }

  function list(node: ts.Node, items: unknown): unknown[] {
    if (Array.isArray(items)) return items;
    throw new NotConstant(node, "it is no array");
  }

  function object(
    node: ts.ObjectLiteralExpression,
    scope: Scope,
  ): Record<string, unknown> {
    const made: Record<string, unknown> = {};
    const faults = new Set<NotConstant>();
    for (const property of node.properties)
      try {
        define(property, made, scope);
      } catch (error) {
        if (!(error instanceof NotConstant)) throw error;
        for (const fault of [error, ...error.others]) faults.add(fault);
      }
    const [first, ...others] = faults;
    if (first === undefined) return made;
    if (others.length === 0) throw first;
    throw new NotConstant(first.node, first.reason, first.cause, others);
  }

  function define(
    property: ts.ObjectLiteralElementLike,
    made: Record<string, unknown>,
    scope: Scope,
  ): void {
    if (ts.isSpreadAssignment(property)) {
      Object.assign(made, evaluate(property.expression, scope));
      return;
    }
    const name = property.name;
    if (!ts.isIdentifier(name) && !ts.isStringLiteral(name))
      throw new NotConstant(property, "a name must be written out");
    if (ts.isShorthandPropertyAssignment(property))
      made[name.text] = identifier(property.name, scope);
    else if (ts.isPropertyAssignment(property))
      made[name.text] = evaluate(property.initializer, scope);
    else if (ts.isMethodDeclaration(property))
      made[name.text] = new Closure(property, scope);
    else throw new NotConstant(property, "it is no constant expression");
  }

  function prefix(node: ts.PrefixUnaryExpression, scope: Scope): unknown {
    const answer = applyUnary(
      ts.tokenToString(node.operator) ?? "",
      evaluate(node.operand, scope),
    );
    if (answer === undefined)
      throw new NotConstant(node, "it is no constant expression");
    return answer;
  }

  function binary(node: ts.BinaryExpression, scope: Scope): unknown {
    const operator = node.operatorToken.kind;
    const left = evaluate(node.left, scope);
    if (operator === ts.SyntaxKind.AmpersandAmpersandToken)
      return left && evaluate(node.right, scope);
    if (operator === ts.SyntaxKind.BarBarToken)
      return left || evaluate(node.right, scope);
    if (operator === ts.SyntaxKind.QuestionQuestionToken)
      return left ?? evaluate(node.right, scope);
    const right = evaluate(node.right, scope);
    const answer = applyBinary(ts.tokenToString(operator) ?? "", left, right);
    if (answer === undefined)
      throw new NotConstant(node, "it is no constant expression");
    return answer;
  }

  function call(node: ts.CallExpression, scope: Scope): unknown {
    const callee = node.expression;
    if (
      ts.isPropertyAccessExpression(callee) &&
      ts.isIdentifier(callee.expression)
    ) {
      const computed = globals[`${callee.expression.text}.${callee.name.text}`];
      const numbers = (): number[] =>
        node.arguments.map((argument) => Number(evaluate(argument, scope)));
      if (computed !== undefined) return computed(...numbers());
      const root = target(callee.expression)?.valueDeclaration;
      if (root?.getSourceFile().isDeclarationFile === true)
        throw new NotConstant(
          node,
          `\`${callee.getText()}\` is no function of divisi/nf`,
        );
    }
    const declares = isDeclarative(ts, node, applied);
    const symbol = target(callee);
    const name = symbol === undefined ? undefined : names.get(symbol);
    const fn =
      declares || name !== undefined || ts.isIdentifier(callee)
        ? evaluate(callee, scope)
        : undefined;
    const isAllowed = declares || (name !== undefined && pure.has(name));
    if (!isAllowed)
      throw new NotConstant(node, "a call is no constant in a handler");
    const values = node.arguments.flatMap((argument): unknown[] =>
      ts.isSpreadElement(argument)
        ? list(argument, evaluate(argument.expression, scope))
        : [evaluate(argument, scope)],
    );
    if (fn instanceof Closure) return apply(fn, values, node);
    if (typeof fn !== "function")
      throw new NotConstant(node, "it is not a function of the library");
    try {
      return Reflect.apply(fn, undefined, values);
    } catch (error) {
      throw new NotConstant(
        node,
        error instanceof Error ? error.message : String(error),
        error,
      );
    }
  }

  const applied = new Set<ts.Node>();

  function apply(
    fn: unknown,
    values: readonly unknown[],
    at?: ts.Node,
  ): unknown {
    if (!(fn instanceof Closure) || fn.node.body === undefined)
      throw new NotConstant(
        at ?? (fn instanceof Closure ? fn.node : options.library),
        "it is not a function that can be evaluated",
      );
    const bindings = new Map(fn.scope.bindings);
    fn.node.parameters.forEach((parameter, index) => {
      const symbol = parameterSymbol(ts, checker, parameter);
      if (symbol !== undefined && index < values.length)
        bindings.set(symbol, values[index]);
    });
    const scope: Scope = { ...fn.scope, bindings };
    const isNew = !applied.has(fn.node);
    applied.add(fn.node);
    try {
      return result(fn.node, scope);
    } finally {
      if (isNew) applied.delete(fn.node);
    }
  }

  function result(
    fn: ts.ArrowFunction | ts.FunctionLikeDeclaration,
    scope: Scope,
  ): unknown {
    const { body } = fn;
    if (body === undefined) throw new NotConstant(fn, "it has no body");
    if (!ts.isBlock(body)) return evaluate(body, scope);
    for (const statement of body.statements) {
      if (ts.isVariableStatement(statement)) continue;
      if (ts.isReturnStatement(statement) && statement.expression !== undefined)
        return evaluate(statement.expression, scope);
      throw new NotConstant(
        statement,
        "here only `const` and `return` are possible",
      );
    }
    throw new NotConstant(fn, "it returns nothing");
  }

  return {
    evaluate,
    apply,
    constantOf,
    libraryName,
    target,
    isFunction: (value) => value instanceof Closure,
    method: (node) =>
      ts.isMethodDeclaration(node) ? new Closure(node, emptyScope) : undefined,
  };
}

function isExpression(ts: Ts, node: ts.Node): node is ts.Expression {
  return ts.isExpression(node);
}
