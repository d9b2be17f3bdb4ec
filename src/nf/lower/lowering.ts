/**
 * What the files of this folder share while one function is lowered: the place
 * that is written to (`Cursor`) and the doors between them (`Lowering`), which
 * lower-function.ts joins, so that no file imports in a circle.
 *
 * A cursor has one or several open paths. Several stay open behind a statement
 * that ended them differently (`const ip = pkt.ipv4`: one path where the header
 * is there, one where it is not), and the test that follows is decided on each
 * for itself; whoever needs one place joins them (`path`).
 */
import { InputError, type Place } from "../../base/index.ts";
import type { SlotId, ValueId } from "../../ir/index.ts";
import type { MapSpec, Size } from "../../isa/index.ts";
import type { FunctionNode, LoadedNf, Scope } from "../front/loaded.ts";
import type { Ts, ts } from "../front/typescript-api.ts";
import type { Type } from "../library/struct.ts";
import {
  type Environment,
  type ObjectNumbers,
  type Path,
  copyEnvironment,
  emptyEnvironment,
} from "./environment.ts";
import { type Outcome, joinOutcomes, joinPaths } from "./join.ts";
import { scalarWord } from "./scalars.ts";
import type { Value } from "./value.ts";
import type { Writer } from "./writer.ts";

/** Ranges that the checker proved; `rangeOf` of a node over all calls. */
export interface Facts {
  readonly rangeOf: (
    node: ts.Node,
  ) => { readonly low: bigint; readonly high: bigint } | undefined;
}

/** A map of the object, and what the compiler knows of its types. */
export interface LoweredMap {
  readonly spec: MapSpec;
  readonly key: Type | undefined;
  readonly value: Type;
}

/** What the functions of one program share. */
export interface ProgramLowering {
  readonly loaded: LoadedNf;
  readonly facts: Facts;
  /** The variable that an identifier names. */
  readonly symbolOf: (node: ts.Identifier) => ts.Symbol | undefined;
  /** What `ctx` has besides time, port and random numbers. */
  readonly context: unknown;
  /** The map that a primitive declaration became. */
  readonly mapOf: (declaration: object) => LoweredMap | undefined;
  /** Offset in `.rodata` of the interface number of a port. */
  readonly portVariable: (port: number) => number;
  /** Offset in `.rodata` of a constant array: elements of so many bytes. */
  readonly table: (values: readonly bigint[], size: Size) => number;
  /** A function of its own in the program; made at the first call. */
  readonly subprogram: (
    node: FunctionNode,
    self: object | undefined,
    scope: Scope,
  ) => Subprogram;
}

export interface Subprogram {
  readonly name: string;
  /** Which parameters are words; the others are constants of the scope. */
  readonly words: readonly number[];
  /** The packet's time is one word more, the last. */
  readonly takesTime: boolean;
  readonly result:
    | {
        readonly js: "number" | "bigint" | "boolean";
        readonly low: bigint;
        readonly high: bigint;
      }
    | undefined;
}

/** The paths on which a condition holds, and the others. */
export interface Branches {
  readonly yes: readonly Path[];
  readonly no: readonly Path[];
}

export interface Target {
  /** A statement's label. */
  readonly label: string | undefined;
  readonly breaks: Path[];
  /** Undefined for `switch`. */
  readonly continues: Path[] | undefined;
}

/** Where `return` leads: the end of an inlined call, or of the function. */
export interface Frame {
  readonly node: FunctionNode;
  /** In an unrolled loop also what its variable is. */
  scope: Scope;
  readonly returns: Outcome[];
  readonly targets: Target[];
  readonly caller: Frame | undefined;
}

export interface Lowering {
  readonly ts: Ts;
  readonly program: ProgramLowering;
  readonly cursor: Cursor;
  readonly writer: Writer;
  /** Undefined in subprograms. */
  readonly packet: PacketWords | undefined;
  frame: Frame;
  /** The words that a subprogram takes. */
  readonly arguments: readonly ValueId[];
  /** In a loop: a zero that the verifier does not know (see loops.ts). */
  zero: ValueId | undefined;
  /** Buffers for keys and values, by what they are for. */
  readonly slots: Map<string, SlotId>;
  /** Loops may have to be lowered again when they turn out to need the time. */
  clockWanted: boolean;
  /** Somewhere the time is asked for: a subprogram takes it as a parameter. */
  clockAsked: boolean;
  /** Goes on where it holds; elsewhere the run ends as a broken promise. */
  readonly abort: (branches: Branches) => void;
  readonly value: (node: ts.Expression) => Value;
  readonly outcomes: (node: ts.Expression) => readonly Outcome[];
  readonly branch: (node: ts.Expression) => Branches;
  readonly statement: (node: ts.Statement) => void;
  readonly declare: (node: ts.VariableDeclaration) => void;
  /** Two values of a `switch`. */
  readonly equal: (node: ts.Node, left: Value, right: Value) => Branches;
  readonly call: (node: ts.CallExpression) => readonly Outcome[];
}

/** The words that every path of the entry function has. */
export interface PacketWords {
  readonly context: ValueId;
  readonly start: ValueId;
  readonly end: ValueId;
}

export class Cursor {
  readonly writer: Writer;
  readonly numbers: ObjectNumbers = { next: 0 };
  /** How often paths have been joined. */
  joins = 0;
  #paths: readonly Path[] = [];

  constructor(writer: Writer) {
    this.writer = writer;
  }

  get paths(): readonly Path[] {
    return this.#paths;
  }

  set paths(paths: readonly Path[]) {
    this.#paths = paths;
  }

  /** No path is open: what follows is not reached. */
  get isClosed(): boolean {
    return this.#paths.length === 0;
  }

  /** The one open path; several are joined. */
  get path(): Path {
    const [first] = this.#paths;
    if (first === undefined) {
      // Code that nothing reaches still has a place; it is dropped in the end.
      const dead = { block: this.writer.newBlock(), env: emptyEnvironment() };
      this.#paths = [dead];
      return dead;
    }
    if (this.#paths.length === 1) return first;
    const joined = joinPaths(this.writer, this.numbers, this.#paths);
    this.joins++;
    this.#paths = [joined];
    return joined;
  }

  get block(): number {
    return this.path.block;
  }

  get env(): Environment {
    return this.path.env;
  }

  /** One value where several outcomes meet; the cursor stands behind the join. */
  join(outcomes: readonly Outcome[]): Value {
    const { path, value } = joinOutcomes(this.writer, this.numbers, outcomes);
    if (outcomes.length > 1) this.joins++;
    this.#paths = [path];
    return value;
  }

  /** A new block, entered from here with what is known here. */
  fork(): Path {
    return {
      block: this.writer.newBlock(),
      env: copyEnvironment(this.env),
    };
  }

  constant(value: bigint | number): ValueId {
    return this.writer.constant(this.block, value);
  }

  word(value: Value): ValueId {
    return scalarWord(this.writer, this.block, value);
  }
}

/** Place of a node in its file, as instructions carry it. */
export function placeOf(node: ts.Node, fn: string): Place {
  const file = node.getSourceFile();
  const start = node.getStart(file);
  const { line, character } = file.getLineAndCharacterOfPosition(start);
  const starts = file.getLineStarts();
  const text = file.text.slice(starts[line], starts[line + 1]);
  return {
    function: fn,
    instruction: 0,
    file: file.fileName,
    line: line + 1,
    column: character + 1,
    text: text.trim(),
  };
}

/** What the checker lets through and the lowering cannot do. */
export function cannotLower(
  node: ts.Node,
  what: string,
  fix?: string,
): InputError {
  const { file, line } = placeOf(node, "");
  return new InputError(what, {
    code: "nf-lowering",
    ...(file === undefined ? {} : { file }),
    ...(line === undefined ? {} : { line }),
    ...(fix === undefined ? {} : { fix }),
  });
}
