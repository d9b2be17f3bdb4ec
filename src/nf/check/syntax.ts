/**
 * The subset's grammar: every node of the user's files that is not in it, each
 * with the rule. Types are looked at for `any` only; what values do is the walk's.
 */
import { diagnosticAt } from "../front/diagnostics.ts";
import type { LoadedNf, LoadResult, NfDiagnostic } from "../front/loaded.ts";
import type { ts, Ts } from "../front/typescript-api.ts";
import { fill, rules, type RuleCode } from "./rules.ts";

type Details = Readonly<Record<string, string>>;

export function checkSyntax(loaded: LoadResult): readonly NfDiagnostic[] {
  const { ts, userFiles, constantOf } =
    loaded.kind === "loaded" ? loaded.nf : loaded;
  const grammar = new Grammar(ts, constantOf);
  for (const file of userFiles)
    for (const statement of file.statements) grammar.top(statement);
  return grammar.said;
}

/** Operators outside the subset, and what to write. */
const operators: Readonly<Record<string, string>> = {
  "**": "a product, or a shift: 1 << n",
  "**=": "a product",
  in: "a comparison with undefined",
  instanceof: "a comparison with undefined",
  ",": "two statements",
  typeof: "the type is known: test the value itself",
  delete: "MAP.delete(key) for an entry of a map",
  void: "the statement alone",
};

class Grammar {
  readonly said: NfDiagnostic[] = [];
  readonly ts: Ts;
  readonly constantOf: LoadedNf["constantOf"];
  /** Rules of a single kind of node. */
  readonly kinds: ReadonlyMap<ts.SyntaxKind, readonly [RuleCode, Details?]>;

  constructor(ts: Ts, constantOf: LoadedNf["constantOf"]) {
    this.ts = ts;
    this.constantOf = constantOf;
    const { SyntaxKind: kind } = ts;
    this.kinds = new Map<ts.SyntaxKind, readonly [RuleCode, Details?]>([
      [kind.WhileStatement, ["nf-while", { kind: "while" }]],
      [kind.DoStatement, ["nf-while", { kind: "do" }]],
      [kind.ForInStatement, ["nf-for-in"]],
      [kind.ForOfStatement, ["nf-for-of"]],
      [kind.ThrowStatement, ["nf-throw"]],
      [kind.TryStatement, ["nf-try"]],
      [kind.LabeledStatement, ["nf-label"]],
      [kind.WithStatement, ["nf-statement"]],
      [kind.DebuggerStatement, ["nf-statement"]],
      [kind.AwaitExpression, ["nf-async"]],
      [kind.YieldExpression, ["nf-generator"]],
      [kind.ClassDeclaration, ["nf-class"]],
      [kind.ClassExpression, ["nf-class"]],
      [kind.EnumDeclaration, ["nf-enum"]],
      [kind.ModuleDeclaration, ["nf-namespace"]],
      [kind.FunctionDeclaration, ["nf-closure"]],
      [kind.FunctionExpression, ["nf-closure"]],
      [kind.ArrowFunction, ["nf-closure"]],
      [kind.NewExpression, ["nf-new"]],
      [kind.ThisKeyword, ["nf-this"]],
      [kind.SpreadElement, ["nf-spread"]],
      [kind.SpreadAssignment, ["nf-spread"]],
      [kind.AnyKeyword, ["nf-any"]],
      [kind.NullKeyword, ["nf-null"]],
      [kind.RegularExpressionLiteral, ["nf-regex"]],
      [kind.TemplateExpression, ["nf-string"]],
      [kind.TaggedTemplateExpression, ["nf-string"]],
      [kind.TypeOfExpression, operator("typeof")],
      [kind.DeleteExpression, operator("delete")],
      [kind.VoidExpression, operator("void")],
      [kind.TypeAssertionExpression, ["nf-cast"]],
      [kind.MethodDeclaration, ["nf-object-member"]],
      [kind.GetAccessor, ["nf-object-member"]],
      [kind.SetAccessor, ["nf-object-member"]],
      [kind.ComputedPropertyName, ["nf-computed-property"]],
    ]);
  }

  say(node: ts.Node, code: RuleCode, details: Details = {}): void {
    const { message, fix } = rules[code];
    this.said.push(
      diagnosticAt(node, {
        code,
        message: fill(message, details),
        fix: fill(fix, details),
      }),
    );
  }

  /** A statement at the top of a file. */
  top(node: ts.Statement): void {
    const { ts } = this;
    if (
      ts.isImportDeclaration(node) ||
      ts.isExportDeclaration(node) ||
      ts.isEmptyStatement(node)
    )
      return;
    if (ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) {
      this.types(node);
      return;
    }
    if (ts.isFunctionDeclaration(node)) {
      this.fn(node);
      return;
    }
    if (ts.isExportAssignment(node)) {
      this.definition(node.expression);
      return;
    }
    if (ts.isVariableStatement(node)) {
      this.constants(node.declarationList);
      return;
    }
    if (ts.isClassDeclaration(node))
      for (const decorator of ts.getDecorators(node) ?? [])
        this.say(decorator, "nf-decorator");
    const rule = this.kinds.get(node.kind);
    if (rule !== undefined && /class|enum|namespace/.test(rule[0]))
      this.say(keyword(node), ...rule);
    else this.say(node, "nf-module-statement");
  }

  private constants(list: ts.VariableDeclarationList): void {
    const { ts } = this;
    if ((list.flags & ts.NodeFlags.Const) === 0) {
      this.say(
        list,
        (list.flags & ts.NodeFlags.Let) === 0 ? "nf-var" : "nf-module-let",
      );
      return;
    }
    for (const declaration of list.declarations) {
      const { initializer } = declaration;
      if (declaration.type !== undefined) this.types(declaration.type);
      if (initializer === undefined) continue;
      if (
        ts.isArrowFunction(initializer) ||
        ts.isFunctionExpression(initializer)
      )
        this.fn(initializer);
      else if (this.isDefinition(initializer)) this.definition(initializer);
      else this.constant(declaration.name, initializer);
    }
  }

  private constant(name: ts.BindingName, node: ts.Expression): void {
    this.floats(node);
    const found = this.constantOf(node);
    if (found === undefined) {
      this.say(node, "nf-not-constant");
      return;
    }
    const { value } = found;
    if (
      typeof value === "object" &&
      value !== null &&
      "renew" in value &&
      "parts" in value
    ) {
      const callee = this.ts.isCallExpression(node)
        ? node.expression.getText()
        : "hashMap";
      this.say(node, "nf-map-outside", {
        name: name.getText(),
        call: `${callee}({ … })`,
      });
    }
  }

  private isDefinition(node: ts.Expression): boolean {
    const { ts } = this;
    return (
      ts.isCallExpression(node) &&
      node.expression.getText() === "nf" &&
      node.arguments.length === 1
    );
  }

  /** `nf({ … })`: only the handler is code; the rest is evaluated by the front end. */
  private definition(node: ts.Expression): void {
    const { ts } = this;
    if (!ts.isCallExpression(node)) return;
    const [argument] = node.arguments;
    if (argument === undefined || !ts.isObjectLiteralExpression(argument))
      return;
    for (const property of argument.properties) {
      if (property.name?.getText() === "handle") {
        if (ts.isMethodDeclaration(property)) this.fn(property);
        else if (
          ts.isPropertyAssignment(property) &&
          ts.isFunctionLike(property.initializer)
        )
          this.fn(property.initializer);
      } else this.floats(property);
    }
  }

  private floats(node: ts.Node): void {
    if (this.ts.isNumericLiteral(node)) this.number(node);
    this.ts.forEachChild(node, (child) => {
      this.floats(child);
    });
  }

  private types(node: ts.Node): void {
    if (node.kind === this.ts.SyntaxKind.AnyKeyword) this.say(node, "nf-any");
    this.ts.forEachChild(node, (child) => {
      this.types(child);
    });
  }

  /** A function that is compiled. */
  private fn(node: ts.SignatureDeclaration): void {
    const { ts } = this;
    for (const modifier of ts.canHaveModifiers(node)
      ? (ts.getModifiers(node) ?? [])
      : [])
      if (modifier.kind === ts.SyntaxKind.AsyncKeyword)
        this.say(modifier, "nf-async");
    if ("asteriskToken" in node && node.asteriskToken !== undefined)
      this.say(node.name ?? node, "nf-generator");
    for (const parameter of node.parameters) {
      if (parameter.dotDotDotToken !== undefined)
        this.say(parameter, "nf-rest");
      else if (parameter.initializer !== undefined)
        this.say(parameter, "nf-default-parameter");
      this.pattern(parameter.name);
      if (parameter.type !== undefined) this.types(parameter.type);
    }
    if (node.type !== undefined) this.types(node.type);
    if ("body" in node && node.body !== undefined)
      ts.forEachChild(node.body, (child) => {
        this.code(child);
      });
    if (ts.isArrowFunction(node) && !ts.isBlock(node.body))
      this.code(node.body);
  }

  private pattern(name: ts.BindingName): void {
    const { ts } = this;
    if (ts.isIdentifier(name)) return;
    const isPlain =
      ts.isObjectBindingPattern(name) &&
      name.elements.every(
        (element) =>
          element.dotDotDotToken === undefined &&
          element.initializer === undefined &&
          ts.isIdentifier(element.name) &&
          (element.propertyName === undefined ||
            ts.isIdentifier(element.propertyName)),
      );
    if (!isPlain) this.say(name, "nf-destructuring");
  }

  private code(node: ts.Node): void {
    const rule = this.kinds.get(node.kind);
    if (rule !== undefined) {
      this.say(keyword(node), ...rule);
      return;
    }
    if (this.ts.isTypeNode(node)) {
      this.types(node);
      return;
    }
    if (this.isWrong(node)) return;
    this.ts.forEachChild(node, (child) => {
      this.code(child);
    });
  }

  /** Rules that ask more than the kind; true where what is inside needs no look. */
  private isWrong(node: ts.Node): boolean {
    const { ts } = this;
    if (ts.isVariableDeclarationList(node)) this.variables(node);
    else if (ts.isExpressionStatement(node)) this.effect(node);
    else if (ts.isNumericLiteral(node)) this.number(node);
    else if (ts.isStringLiteralLike(node)) return this.string(node);
    else if (ts.isArrayLiteralExpression(node)) this.array(node);
    else if (ts.isBinaryExpression(node)) this.binary(node);
    else if (
      ts.isPostfixUnaryExpression(node) ||
      ts.isPrefixUnaryExpression(node)
    )
      this.step(node);
    else if (ts.isAsExpression(node)) {
      if (node.type.getText() !== "const") this.say(node, "nf-cast");
    } else if (ts.isNonNullExpression(node))
      this.say(node, "nf-non-null", { text: node.expression.getText() });
    else if (
      (ts.isPropertyAccessExpression(node) ||
        ts.isElementAccessExpression(node) ||
        ts.isCallExpression(node)) &&
      node.questionDotToken !== undefined
    ) {
      this.say(node, "nf-optional-chain", { text: node.expression.getText() });
      return true;
    } else if (
      ts.isIdentifier(node) &&
      /^(NaN|Infinity)$/.test(node.text) &&
      !ts.isPropertyAccessExpression(node.parent)
    )
      this.say(node, "nf-float", { text: node.text });
    return false;
  }

  private variables(list: ts.VariableDeclarationList): void {
    const { ts } = this;
    const isConst = (list.flags & ts.NodeFlags.Const) !== 0;
    if (!isConst && (list.flags & ts.NodeFlags.Let) === 0)
      this.say(list, "nf-var");
    for (const { name } of list.declarations)
      if (!isConst && !ts.isIdentifier(name))
        this.say(name, "nf-destructuring");
      else this.pattern(name);
  }

  private effect({ expression }: ts.ExpressionStatement): void {
    const { ts } = this;
    const isEffect =
      ts.isCallExpression(expression) ||
      ts.isPostfixUnaryExpression(expression) ||
      this.kinds.has(expression.kind) ||
      (ts.isPrefixUnaryExpression(expression) && isStep(ts, expression)) ||
      (ts.isBinaryExpression(expression) &&
        (isAssignment(ts, expression) ||
          expression.operatorToken.kind === ts.SyntaxKind.CommaToken));
    if (!isEffect) this.say(expression, "nf-expression-statement");
  }

  private number(node: ts.NumericLiteral): void {
    const value = Number(node.text);
    if (!Number.isSafeInteger(value))
      this.say(node, "nf-float", { text: `\`${node.getText()}\`` });
  }

  private string(node: ts.StringLiteralLike): boolean {
    const { ts } = this;
    const { parent } = node;
    if (ts.isPropertyAssignment(parent) && parent.name === node) return true;
    if (ts.isElementAccessExpression(parent)) {
      this.say(node, "nf-computed-property");
      return true;
    }
    const isConstant =
      ts.isCallExpression(parent) &&
      (this.constantOf(parent) !== undefined ||
        /^(mac|ipv4)$/.test(parent.expression.getText()));
    // The member's name, given to a function of the library that copies it.
    if (!isConstant) this.say(node, "nf-string");
    return true;
  }

  private array(node: ts.ArrayLiteralExpression): void {
    const { ts } = this;
    const { parent } = node;
    const isField =
      (ts.isPropertyAssignment(parent) && parent.initializer === node) ||
      ts.isArrayLiteralExpression(parent) ||
      ts.isCallExpression(parent);
    const isTarget = ts.isBinaryExpression(parent) && parent.left === node;
    if (isTarget) this.say(node, "nf-destructuring");
    else if (!isField) this.say(node, "nf-array");
  }

  private binary(node: ts.BinaryExpression): void {
    const { ts } = this;
    const text = ts.tokenToString(node.operatorToken.kind) ?? "";
    const token = node.operatorToken;
    if (text === "==" || text === "!=")
      this.say(token, "nf-loose-equality", { operator: text });
    else if (/^(\?\?|\?\?=|&&=|\|\|=)$/.test(text))
      this.say(token, "nf-nullish", { operator: text });
    else if (text in operators) this.say(token, ...operator(text));
    else if (
      isAssignment(ts, node) &&
      !ts.isExpressionStatement(node.parent) &&
      !isThirdPart(ts, node)
    )
      this.say(token, "nf-increment", { operator: text });
  }

  private step(
    node: ts.PostfixUnaryExpression | ts.PrefixUnaryExpression,
  ): void {
    const { ts } = this;
    if (
      isStep(ts, node) &&
      !ts.isExpressionStatement(node.parent) &&
      !isThirdPart(ts, node)
    )
      this.say(node, "nf-increment", {
        operator: ts.tokenToString(node.operator) ?? "",
      });
  }
}

function operator(text: string): readonly [RuleCode, Details] {
  return ["nf-operator", { operator: text, instead: operators[text] ?? "" }];
}

function isAssignment(ts: Ts, node: ts.BinaryExpression): boolean {
  const { kind } = node.operatorToken;
  return (
    kind >= ts.SyntaxKind.FirstAssignment &&
    kind <= ts.SyntaxKind.LastAssignment
  );
}

function isStep(
  ts: Ts,
  node: ts.PostfixUnaryExpression | ts.PrefixUnaryExpression,
): boolean {
  return (
    node.operator === ts.SyntaxKind.PlusPlusToken ||
    node.operator === ts.SyntaxKind.MinusMinusToken
  );
}

/** In the head of a `for`. */
function isThirdPart(ts: Ts, node: ts.Expression): boolean {
  return (
    ts.isForStatement(node.parent) &&
    (node.parent.incrementor === node || node.parent.initializer === node)
  );
}

/** Of a statement or function of several lines: its first word. */
function keyword(node: ts.Node): ts.Node {
  return node.getText().includes("\n") ? (node.getFirstToken() ?? node) : node;
}
