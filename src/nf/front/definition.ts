/**
 * The definition given to the library's `nf`: its name, ports and handler, its
 * configuration with the user's settings applied, and its state as the library's
 * real declarations. Whatever is wrong with it is said all at once.
 */
import { InputError } from "../../base/index.ts";
import { readConfig } from "./configuration.ts";
import { NotConstant, parameterSymbol } from "./constant.ts";
import { emptyScope, type Evaluator } from "./constants.ts";
import { diagnosticAt, diagnosticIn, type Said } from "./diagnostics.ts";
import type {
  ConfigEntry,
  FunctionNode,
  LoadOptions,
  NfDiagnostic,
  Scope,
} from "./loaded.ts";
import type { ts, Ts } from "./typescript-api.ts";
import type { VirtualProgram } from "./virtual-program.ts";

interface Parts {
  readonly definition: unknown;
  readonly name: string;
  readonly ports: readonly string[];
  readonly config: readonly ConfigEntry[];
  readonly state: ReadonlyMap<string, object>;
  readonly handle: FunctionNode;
  readonly definitionNode: ts.ObjectLiteralExpression;
  readonly handleScope: Scope;
}

export type FoundDefinition =
  | { readonly kind: "found"; readonly parts: Parts }
  | { readonly kind: "said"; readonly diagnostics: readonly NfDiagnostic[] };

export type DefinitionOptions = LoadOptions &
  Required<Pick<LoadOptions, "library">>;

/** One file's definition being read; its messages are collected, so that all are said at once. */
export class DefinitionReader {
  readonly said: NfDiagnostic[] = [];
  readonly ts: Ts;
  readonly virtual: VirtualProgram;
  readonly constants: Evaluator;
  readonly options: DefinitionOptions;

  constructor(
    ts: Ts,
    virtual: VirtualProgram,
    constants: Evaluator,
    options: DefinitionOptions,
  ) {
    this.ts = ts;
    this.virtual = virtual;
    this.constants = constants;
    this.options = options;
  }

  read(file: ts.SourceFile): FoundDefinition {
    const parts = this.parts(file);
    return parts === undefined || this.said.length > 0
      ? { kind: "said", diagnostics: this.said }
      : { kind: "found", parts };
  }

  say(node: ts.Node, said: Said): undefined {
    this.said.push(diagnosticAt(node, said));
    return undefined;
  }

  private parts(file: ts.SourceFile): Parts | undefined {
    const { ts } = this;
    const node = this.definitionNode(file);
    if (node === undefined) {
      this.said.push(
        diagnosticIn(file, [0, Math.min(file.text.length, 1)], {
          code: "nf-no-definition",
          message: "the file does not export a network function",
          fix: "export default nf({ name, state, handle(pkt, ctx) { … } })",
        }),
      );
      return undefined;
    }
    const name = this.wanted(node, "name", "string");
    if (typeof name === "string" && !/^[A-Za-z][A-Za-z0-9_-]{0,63}$/.test(name))
      this.say(this.property(node, "name") ?? node, {
        code: "nf-definition",
        message: `\`${name}\` cannot be the name of a network function`,
        fix: 'a name of letters, digits and "-", at most 64 characters',
      });
    const ports = this.portNames(node);
    const config = readConfig(this, node);
    const values = Object.fromEntries(
      config.map((entry) => [entry.name, entry.value]),
    );
    const state = this.state(node, values);
    const handle = this.handle(node);
    if (
      typeof name !== "string" ||
      handle === undefined ||
      this.said.length > 0
    )
      return undefined;
    const definition = this.define(node, {
      name,
      ...(ports === undefined ? {} : { ports }),
      config: values,
      state: () => Object.fromEntries(state),
      handle: () => undefined,
    });
    const context = { config: values, state: Object.fromEntries(state) };
    const bindings = new Map<ts.Symbol, unknown>();
    const second = handle.parameters[1];
    const symbol =
      second === undefined
        ? undefined
        : parameterSymbol(ts, this.virtual.checker, second);
    if (symbol !== undefined) bindings.set(symbol, context);
    return {
      definition,
      name,
      ports: ports ?? [],
      config,
      state,
      handle,
      definitionNode: node,
      handleScope: { bindings },
    };
  }

  /** The object literal of `export default nf({…})`, also through a `const`. */
  private definitionNode(
    file: ts.SourceFile,
  ): ts.ObjectLiteralExpression | undefined {
    const { ts } = this;
    const exported = file.statements.find(
      (statement): statement is ts.ExportAssignment =>
        ts.isExportAssignment(statement) && statement.isExportEquals !== true,
    );
    let node = exported?.expression;
    if (node !== undefined && ts.isIdentifier(node)) {
      const declaration = this.constants.target(node)?.valueDeclaration;
      node =
        declaration !== undefined && ts.isVariableDeclaration(declaration)
          ? declaration.initializer
          : undefined;
    }
    if (node === undefined || !ts.isCallExpression(node)) return undefined;
    const callee = this.constants.target(node.expression);
    const argument = node.arguments[0];
    return callee !== undefined &&
      this.constants.libraryName(callee) === "nf" &&
      argument !== undefined &&
      ts.isObjectLiteralExpression(argument)
      ? argument
      : undefined;
  }

  property(
    node: ts.ObjectLiteralExpression,
    name: string,
  ): ts.ObjectLiteralElementLike | undefined {
    return node.properties.find(
      (property) =>
        property.name !== undefined &&
        this.ts.isIdentifier(property.name) &&
        property.name.text === name,
    );
  }

  private wanted(
    node: ts.ObjectLiteralExpression,
    name: string,
    kind: "string",
  ): unknown {
    const initializer = this.initializer(node, name);
    const value =
      initializer === undefined
        ? undefined
        : this.constants.constantOf(initializer)?.value;
    if (typeof value === kind) return value;
    return this.say(this.property(node, name) ?? node, {
      code: "nf-definition",
      message: `\`${name}\` must be given as a constant ${kind}`,
      fix: `${name}: "firewall"`,
    });
  }

  initializer(
    node: ts.ObjectLiteralExpression,
    name: string,
  ): ts.Expression | undefined {
    const property = this.property(node, name);
    if (property === undefined) return undefined;
    if (this.ts.isPropertyAssignment(property)) return property.initializer;
    return this.ts.isShorthandPropertyAssignment(property)
      ? property.name
      : undefined;
  }

  private portNames(
    node: ts.ObjectLiteralExpression,
  ): readonly string[] | undefined {
    const property = this.property(node, "ports");
    if (property === undefined) return undefined;
    const initializer = this.initializer(node, "ports");
    const value =
      initializer === undefined
        ? undefined
        : this.constants.constantOf(initializer)?.value;
    if (
      Array.isArray(value) &&
      value.every((one): one is string => typeof one === "string")
    )
      return value;
    return this.say(property, {
      code: "nf-definition",
      message: "`ports` must be a list of names",
      fix: 'ports: ["lan", "wan"]',
    });
  }

  private state(
    node: ts.ObjectLiteralExpression,
    config: object,
  ): ReadonlyMap<string, object> {
    const { ts } = this;
    const property = this.property(node, "state");
    if (property === undefined) return new Map();
    let value: unknown;
    try {
      const own = ts.isMethodDeclaration(property)
        ? undefined
        : this.initializer(node, "state");
      const made =
        own === undefined
          ? this.constants.method(property)
          : this.constants.evaluate(own, emptyScope);
      value = this.constants.isFunction(made)
        ? this.constants.apply(made, [config])
        : made;
    } catch (error) {
      this.notConstant(error);
      return new Map();
    }
    if (typeof value !== "object" || value === null) {
      this.say(property, {
        code: "nf-definition",
        message: "`state` must answer an object of declarations",
        fix: "state: (config) => ({ flows: hashMap({ … }) })",
      });
      return new Map();
    }
    const entries: [string, object][] = [];
    for (const [name, declaration] of Object.entries(value)) {
      if (typeof declaration === "object" && declaration !== null)
        entries.push([name, declaration]);
      else
        this.say(property, {
          code: "nf-definition",
          message: `the state \`${name}\` is no declaration`,
          fix: `${name}: hashMap({ … }), array({ … }) or another declaration of divisi/nf`,
        });
    }
    return new Map(entries);
  }

  private handle(node: ts.ObjectLiteralExpression): FunctionNode | undefined {
    const { ts } = this;
    const property = this.property(node, "handle");
    if (property !== undefined && ts.isMethodDeclaration(property))
      return property;
    let initializer = this.initializer(node, "handle");
    if (initializer !== undefined && ts.isIdentifier(initializer)) {
      const declaration = this.constants.target(initializer)?.valueDeclaration;
      if (
        declaration !== undefined &&
        ts.isFunctionDeclaration(declaration) &&
        declaration.body !== undefined
      )
        return declaration;
      if (declaration !== undefined && ts.isVariableDeclaration(declaration))
        initializer = declaration.initializer;
    }
    if (
      initializer !== undefined &&
      (ts.isArrowFunction(initializer) || ts.isFunctionExpression(initializer))
    )
      return initializer;
    return this.say(property ?? node, {
      code: "nf-definition",
      message: "the network function has no `handle` that can be read",
      fix: "handle(pkt, ctx) { … return pass; }",
    });
  }

  demand(
    node: ts.Expression,
    scope: Scope,
  ): { readonly value: unknown } | undefined {
    try {
      return { value: this.constants.evaluate(node, scope) };
    } catch (error) {
      return this.notConstant(error);
    }
  }

  private notConstant(error: unknown): undefined {
    if (!(error instanceof NotConstant)) throw error;
    for (const other of error.others) this.notConstant(other);
    if (error.cause !== undefined)
      return this.say(error.node, {
        code: "nf-declaration",
        message: error.reason,
        fix:
          error.cause instanceof InputError && error.cause.fix !== undefined
            ? error.cause.fix
            : undefined,
      });
    return this.say(error.node, {
      code: "nf-not-constant",
      message: `this must be known before any packet, but ${error.reason}`,
      fix: "literals, arithmetic on them, other constants and calls of divisi/nf",
    });
  }

  private define(node: ts.Node, parts: object): unknown {
    const make = this.options.library["nf"];
    if (typeof make !== "function") return parts;
    try {
      return Reflect.apply(make, undefined, [parts]);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      return this.say(node, {
        code: "nf-declaration",
        message: error.message,
        fix: error.fix,
      });
    }
  }
}
