/**
 * What a call expression calls, and the scope its callee is read in.
 *
 * The compiler knows by name what the library's index exports (`u32`, `min`, `hash`)
 * and the operations of primitive declarations. Methods of composite declarations
 * and the library's inner functions are compiled from their source, like the
 * user's. The class of a declaration is that of the real object, not of the static
 * type: an expiring map is one also where the type says `HashMap`.
 */
import { parameterSymbol } from "./constant.ts";
import type { Evaluator } from "./constants.ts";
import type { Callee, FunctionNode, Scope } from "./loaded.ts";
import type { ts, Ts } from "./typescript-api.ts";

export interface CalleesOptions {
  readonly ts: Ts;
  readonly checker: ts.TypeChecker;
  readonly evaluator: Evaluator;
  readonly libraryFiles: readonly ts.SourceFile[];
}

export interface Callees {
  readonly calleeOf: (
    call: ts.CallExpression,
    scope: Scope,
  ) => Callee | undefined;
  readonly enter: (
    callee: Extract<Callee, { kind: "function" }>,
    call: ts.CallExpression,
    scope: Scope,
  ) => Scope;
}

const globals = new Set(["Math", "Number", "BigInt"]);

export function callees(options: CalleesOptions): Callees {
  const { ts, checker, evaluator } = options;
  const classes = new Map<string, ts.ClassDeclaration>();
  for (const file of options.libraryFiles)
    for (const statement of file.statements)
      if (ts.isClassDeclaration(statement) && statement.name !== undefined)
        classes.set(statement.name.text, statement);

  function isFunctionNode(node: ts.Node): node is FunctionNode {
    return (
      (ts.isFunctionDeclaration(node) ||
        ts.isMethodDeclaration(node) ||
        ts.isArrowFunction(node) ||
        ts.isFunctionExpression(node)) &&
      node.body !== undefined
    );
  }

  function calleeOf(call: ts.CallExpression, scope: Scope): Callee | undefined {
    const callee = unwrap(call.expression);
    if (ts.isPropertyAccessExpression(callee)) {
      const { expression: receiver, name } = callee;
      if (ts.isIdentifier(receiver) && globals.has(receiver.text)) {
        const symbol = evaluator.target(receiver);
        if (symbol?.declarations?.every(isGlobal) === true)
          return { kind: "global", name: `${receiver.text}.${name.text}` };
      }
      const owner = evaluator.constantOf(receiver, scope)?.value;
      if (typeof owner === "object" && owner !== null)
        return method(owner, name.text);
      if (owner === undefined || typeof owner !== "function")
        return { kind: "member", receiver, name: name.text };
    }
    if (!ts.isIdentifier(callee) && !ts.isPropertyAccessExpression(callee))
      return undefined;
    const symbol = evaluator.target(callee);
    if (symbol === undefined) return undefined;
    const name = evaluator.libraryName(symbol);
    if (name !== undefined) {
      const type = evaluator.constantOf(callee, scope)?.value;
      return isStruct(type)
        ? { kind: "construct", type }
        : { kind: "primitive", name };
    }
    const bodies = symbol.declarations?.filter(isFunctionNode) ?? [];
    const declaration = bodies.at(-1) ?? constantFunction(symbol);
    if (declaration !== undefined)
      return { kind: "function", node: declaration, self: undefined };
    const type = evaluator.constantOf(callee, scope)?.value;
    if (typeof type === "function" || typeof type === "object")
      return { kind: "construct", type };
    return undefined;
  }

  /** `const f = (…) => …` at module level. */
  function constantFunction(symbol: ts.Symbol): FunctionNode | undefined {
    const declaration = symbol.valueDeclaration;
    if (
      declaration === undefined ||
      !ts.isVariableDeclaration(declaration) ||
      !ts.isSourceFile(declaration.parent.parent.parent) ||
      declaration.initializer === undefined
    )
      return undefined;
    const made = unwrap(declaration.initializer);
    return isFunctionNode(made) ? made : undefined;
  }

  function method(owner: object, name: string): Callee {
    const isComposite = "kind" in owner && owner.kind === "composite";
    for (
      let prototype: unknown = isComposite
        ? Object.getPrototypeOf(owner)
        : null;
      typeof prototype === "object" && prototype !== null;
      prototype = Object.getPrototypeOf(prototype)
    ) {
      const found = classes
        .get(prototype.constructor.name)
        ?.members.find((member) => member.name?.getText() === name);
      if (found !== undefined && isFunctionNode(found))
        return { kind: "function", node: found, self: owner };
    }
    return { kind: "operation", object: owner, name };
  }

  function enter(
    callee: Extract<Callee, { kind: "function" }>,
    call: ts.CallExpression,
    scope: Scope,
  ): Scope {
    const bindings = new Map<ts.Symbol, unknown>();
    callee.node.parameters.forEach((parameter, index) => {
      const symbol = parameterSymbol(ts, checker, parameter);
      const argument = call.arguments[index] ?? parameter.initializer;
      if (symbol === undefined || argument === undefined) return;
      const constant = evaluator.constantOf(argument, scope);
      if (constant !== undefined && isDeclaration(constant.value))
        bindings.set(symbol, constant.value);
    });
    return {
      bindings,
      ...(callee.self === undefined ? {} : { self: callee.self }),
    };
  }

  function unwrap(node: ts.Expression): ts.Expression {
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

  const isGlobal = (node: ts.Declaration): boolean =>
    node.getSourceFile().isDeclarationFile;

  return { calleeOf, enter };
}

/** A struct type of the library's own, which is called like one of the user's. */
function isStruct(value: unknown): boolean {
  return (
    typeof value === "function" && "kind" in value && value.kind === "struct"
  );
}

/** Scalars are passed at run time; only what has no run-time form is bound. */
function isDeclaration(value: unknown): boolean {
  return (
    (typeof value === "object" && value !== null && !Array.isArray(value)) ||
    typeof value === "function"
  );
}
