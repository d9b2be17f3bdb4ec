/**
 * What the files of this folder share while a network function is walked: the
 * doors between them (`Walk`), one activation of a function (`Frame`), and what
 * was found so far (`Sink`).
 *
 * The walk follows every call with what is known of its arguments, each loop as
 * often as it runs (or to a fixed point where that is often). A sink is data, so
 * that a walk can be tried and thrown away.
 */
import { diagnosticAt } from "../front/diagnostics.ts";
import type {
  FunctionNode,
  LoadedNf,
  NfDiagnostic,
  Scope,
} from "../front/loaded.ts";
import type { ts, Ts } from "../front/typescript-api.ts";
import type { Type } from "../library/struct.ts";
import { ofRange, opaque, either, type Abstract } from "./abstract-value.ts";
import type { Environment } from "./environment.ts";
import {
  hull,
  safe,
  uint64,
  type Interval,
  type Transfers,
} from "./interval.ts";
import { fill, rules, type RuleCode } from "./rules.ts";

export interface Outcome {
  readonly env: Environment;
  readonly value: Abstract;
}

export interface Exits {
  readonly breaks: Environment[];
  /** Undefined in a `switch`, which `continue` leaves. */
  readonly continues: Environment[] | undefined;
}

export interface Frame {
  readonly scope: Scope;
  readonly fn: FunctionNode;
  readonly caller: Frame | undefined;
  /** The user's node that led here, where this body is the library's. */
  readonly site: ts.Node | undefined;
  readonly returns: Outcome[];
  readonly exits: Exits[];
}

export interface Sink {
  readonly ranges: Map<ts.Node, Interval>;
  readonly said: Map<string, NfDiagnostic>;
}

/** Thrown where the walk has taken too many steps; caught by the checker alone. */
export class TooComplex {
  readonly node: ts.Node;
  constructor(node: ts.Node) {
    this.node = node;
  }
}

export interface Doors {
  readonly evaluate: (
    walk: Walk,
    node: ts.Expression,
    env: Environment,
    frame: Frame,
  ) => Abstract;
  readonly branch: (
    walk: Walk,
    node: ts.Expression,
    env: Environment,
    frame: Frame,
  ) => Branches;
  readonly call: (
    walk: Walk,
    node: ts.CallExpression,
    env: Environment,
    frame: Frame,
  ) => Abstract;
  readonly evaluateAs: (
    walk: Walk,
    type: Type,
    node: ts.Expression,
    env: Environment,
    frame: Frame,
  ) => Abstract;
}

export interface Branches {
  readonly yes: Environment | undefined;
  readonly no: Environment | undefined;
}

export interface WalkOptions {
  readonly nf: LoadedNf;
  readonly transfers: Transfers;
  readonly doors: Doors;
  /** Expressions and statements that may be looked at. */
  readonly steps: number;
  /** Was something of the program found to be outside the subset already? */
  readonly hasSyntaxErrors: boolean;
}

export class Walk {
  readonly nf: LoadedNf;
  readonly ts: Ts;
  readonly transfers: Transfers;
  readonly doors: Doors;
  sink: Sink = { ranges: new Map(), said: new Map() };
  steps: number;
  readonly hasSyntaxErrors: boolean;
  /** Ranges of fields by their type, without what tests said. */
  readonly declared = new Map<ts.Node, Interval>();
  #clock = 0;
  readonly #symbols = new Map<ts.Node, ts.Symbol | undefined>();
  readonly #numbers = new Map<ts.Symbol, number>();

  constructor(options: WalkOptions) {
    this.nf = options.nf;
    this.ts = options.nf.ts;
    this.transfers = options.transfers;
    this.doors = options.doors;
    this.steps = options.steps;
    this.hasSyntaxErrors = options.hasSyntaxErrors;
  }

  /** A later time than any before. */
  tick(): number {
    return ++this.#clock;
  }

  step(node: ts.Node): void {
    if (--this.steps < 0) throw new TooComplex(node);
  }

  numberOf(symbol: ts.Symbol): number {
    const known = this.#numbers.get(symbol) ?? this.#numbers.size;
    this.#numbers.set(symbol, known);
    return known;
  }

  record(node: ts.Node, range: Interval): void {
    const known = this.sink.ranges.get(node);
    this.sink.ranges.set(
      node,
      known === undefined ? range : hull(known, range),
    );
  }

  report(
    frame: Frame,
    node: ts.Node,
    code: RuleCode,
    details: Readonly<Record<string, string>> = {},
  ): void {
    const place = frame.site ?? node;
    const key = `${place.getSourceFile().fileName}:${place.pos}:${code}`;
    if (this.sink.said.has(key)) return;
    const rule = rules[code];
    const inside =
      frame.site === undefined
        ? ""
        : ` (in \`${node.getText().slice(0, 60)}\` of the library)`;
    this.sink.said.set(
      key,
      diagnosticAt(place, {
        code,
        message: fill(rule.message, details) + inside,
        fix: fill(rule.fix, details),
      }),
    );
  }

  /** For what is about ports: the program must have some. */
  needPorts(frame: Frame, node: ts.Node): void {
    if (this.nf.ports.length === 0)
      this.report(frame, node, "nf-no-ports", { name: node.getText() });
  }

  /** Does `attempt` with a sink of its own; answers what it found, unsaid. */
  attempt<T>(attempt: () => T): { readonly answer: T; readonly sink: Sink } {
    const outer = this.sink;
    const sink: Sink = { ranges: new Map(), said: new Map() };
    this.sink = sink;
    try {
      return { answer: attempt(), sink };
    } finally {
      this.sink = outer;
    }
  }

  /** Says what an attempt found. */
  commit(sink: Sink): void {
    for (const [node, range] of sink.ranges) this.record(node, range);
    for (const [key, diagnostic] of sink.said)
      if (!this.sink.said.has(key)) this.sink.said.set(key, diagnostic);
  }

  /** The symbol that a name speaks of. */
  symbolOf(node: ts.Node): ts.Symbol | undefined {
    if (!this.#symbols.has(node)) this.#symbols.set(node, this.#symbolOf(node));
    return this.#symbols.get(node);
  }

  #symbolOf(node: ts.Node): ts.Symbol | undefined {
    const { ts } = this;
    const { parent } = node;
    return parent !== undefined &&
      ts.isShorthandPropertyAssignment(parent) &&
      parent.name === node
      ? this.nf.checker.getShorthandAssignmentValueSymbol(parent)
      : this.nf.checker.getSymbolAtLocation(node);
  }

  /** All that TypeScript's type says of an expression. */
  byStaticType(node: ts.Expression): Abstract {
    const { ts } = this;
    const type = this.nf.checker.getTypeAtLocation(node);
    const parts = type.isUnion() ? type.types : [type];
    const all = (flags: number): boolean =>
      parts.every((part) => (part.flags & flags) !== 0);
    if (all(ts.TypeFlags.NumberLike)) return ofRange("number", safe);
    if (all(ts.TypeFlags.BigIntLike)) return ofRange("bigint", uint64);
    if (all(ts.TypeFlags.BooleanLike)) return either;
    return opaque;
  }
}

/** Without parentheses and what only TypeScript sees. */
export function bare(ts: Ts, node: ts.Expression): ts.Expression {
  let at = node;
  while (
    ts.isParenthesizedExpression(at) ||
    ts.isAsExpression(at) ||
    ts.isSatisfiesExpression(at) ||
    ts.isNonNullExpression(at)
  )
    at = at.expression;
  return at;
}

/** An operand's text as it may stand beside an operator. */
export function operandText(ts: Ts, node: ts.Node): string {
  const text = node.getText().replace(/\s+/g, " ");
  return ts.isBinaryExpression(node) || ts.isConditionalExpression(node)
    ? `(${text})`
    : text;
}

/** The same without parentheses around the whole. */
export function plainText(ts: Ts, node: ts.Expression): string {
  return bare(ts, node).getText().replace(/\s+/g, " ");
}
