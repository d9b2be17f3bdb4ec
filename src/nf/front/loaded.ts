/**
 * What the front end knows about one network function: the shape that the
 * checker and the lowering build on.
 *
 * Nothing of the user's is executed. Constants (module constants, `config`, the
 * declarations of `state`) are evaluated over the syntax tree; where they call
 * the library, the library's real constructors are called, so that a
 * declaration here is the very object that the JavaScript runtime has.
 *
 * A node means something only in a scope: in the body of a library class `this`
 * is one declaration, and a parameter whose argument is a declaration is that
 * declaration. Who walks into a call makes the callee's scope (`enter`).
 */
import type { ts, Ts } from "./typescript-api.ts";

/** Files by name; `read` serves the user's files and the library's sources. */
export interface NfSource {
  readonly path: string;
  readonly read: (path: string) => string | undefined;
}

export interface LoadOptions {
  /** Configuration values given by the user: name to text, as in `--set NAME=VALUE`. */
  readonly set?: Readonly<Record<string, string>>;
  /** Where the library's source begins; read through `NfSource.read`. */
  readonly libraryPath?: string;
  /** The library itself: what its index exports. Default: this package's own. */
  readonly library?: Readonly<Record<string, unknown>>;
}

/** Both from 1; columns in UTF-16 units. */
export interface TextPlace {
  readonly line: number;
  readonly column: number;
}

/** A message about the user's program, with its place in the text. */
export interface NfDiagnostic {
  /** Stable: `nf-…`. */
  readonly code: string;
  readonly severity: "error" | "warning";
  /** One sentence: what is wrong. */
  readonly message: string;
  /** What to write instead. */
  readonly fix?: string;
  readonly file: string;
  readonly start: TextPlace;
  /** Behind the last character; on the same line as `start` or a later one. */
  readonly end: TextPlace;
  /** The source line of `start`. */
  readonly text: string;
  /** TypeScript's own number where it found the fault. */
  readonly typescript?: number;
}

/** What a body is read with: the meaning of `this` and of parameters that are constants. */
export interface Scope {
  readonly self?: object;
  readonly bindings: ReadonlyMap<ts.Symbol, unknown>;
}

export interface Constant {
  readonly value: unknown;
}

/** A function with a body, of the user or of the library. */
export type FunctionNode =
  | ts.FunctionDeclaration
  | ts.MethodDeclaration
  | ts.ArrowFunction
  | ts.FunctionExpression
  | ts.GetAccessorDeclaration;

/** What a call expression calls. */
export type Callee =
  /** Known to the compiler by its name in the library: `u32`, `min`, `hash`, `out`. */
  | { readonly kind: "primitive"; readonly name: string }
  /** An operation of a primitive declaration: `flows.get(…)`. */
  | {
      readonly kind: "operation";
      readonly object: object;
      readonly name: string;
    }
  /** A function whose source is compiled; `self` where it is a method of a declaration. */
  | {
      readonly kind: "function";
      readonly node: FunctionNode;
      readonly self: object | undefined;
    }
  /** A struct type called to make a value: `FlowKey({…})`. `type` is the library's object. */
  | { readonly kind: "construct"; readonly type: unknown }
  /** A method of a value that is no constant: `pkt.u8(0)`, `udp.payload.u16(2)`. */
  | {
      readonly kind: "member";
      readonly receiver: ts.Expression;
      readonly name: string;
    }
  /** JavaScript's own: `Math.imul`, `Math.trunc`, `Math.min`, `Math.max`. */
  | { readonly kind: "global"; readonly name: string };

/** A configuration value: its TypeScript type is the value's. */
export interface ConfigEntry {
  readonly name: string;
  /** The library's name for the scalar: `u32`, `u64`, `mac`, `bool`. */
  readonly type: string;
  readonly value: number | bigint | boolean;
}

export interface LoadedNf {
  readonly ts: Ts;
  readonly program: ts.Program;
  readonly checker: ts.TypeChecker;
  /** The file that was named. */
  readonly file: ts.SourceFile;
  /** The user's files, the named one first; never the library's. */
  readonly userFiles: readonly ts.SourceFile[];
  /** What the library's `nf` answered, with the overrides applied. */
  readonly definition: unknown;
  readonly name: string;
  readonly ports: readonly string[];
  readonly config: readonly ConfigEntry[];
  /** The library's declarations by the name of their map, in source order. */
  readonly state: ReadonlyMap<string, object>;
  readonly handle: FunctionNode;
  /** The object literal given to `nf`. */
  readonly definitionNode: ts.ObjectLiteralExpression;
  /** The scope of `handle`: its `ctx` parameter is a constant as far as config and state go. */
  readonly handleScope: Scope;
  /** The value of an expression that is a constant in a scope; else undefined. */
  readonly constantOf: (node: ts.Node, scope?: Scope) => Constant | undefined;
  readonly calleeOf: (
    call: ts.CallExpression,
    scope: Scope,
  ) => Callee | undefined;
  /** The callee's scope: parameters whose arguments are constant are bound. */
  readonly enter: (
    callee: Extract<Callee, { kind: "function" }>,
    call: ts.CallExpression,
    scope: Scope,
  ) => Scope;
  /** The library's name of a symbol that its index exports. */
  readonly libraryName: (symbol: ts.Symbol) => string | undefined;
  /** Does the file belong to the library? */
  readonly isLibraryFile: (file: ts.SourceFile) => boolean;
}

/** Why a file could not be loaded; what is known is given so that rules can still be checked. */
export interface LoadFailure {
  readonly kind: "failed";
  readonly diagnostics: readonly NfDiagnostic[];
  readonly ts: Ts;
  readonly program: ts.Program;
  readonly checker: ts.TypeChecker;
  readonly userFiles: readonly ts.SourceFile[];
  readonly constantOf: (node: ts.Node, scope?: Scope) => Constant | undefined;
}

export type LoadResult =
  | {
      readonly kind: "loaded";
      readonly nf: LoadedNf;
      /** TypeScript's own; empty where the program is well typed. */
      readonly diagnostics: readonly NfDiagnostic[];
    }
  | LoadFailure;
