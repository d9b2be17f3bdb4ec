/**
 * One touch of a state object as the dataflow meets it: before keys are put into
 * field names, and before touches of the same kind are gathered into accesses.
 */
import type { Place } from "../base/index.ts";
import type { Facts } from "./facts.ts";
import type { AccessOp } from "./report.ts";
import type { State } from "./state.ts";
import type { Form } from "./symbols.ts";

/** An object whose name is not known stands for all of them. */
export const ANY_OBJECT = "*";

export interface Touch {
  readonly op: AccessOp;
  readonly object: string;
  /** In memory order, each byte least significant bit first; undefined: unknown. */
  readonly key: readonly Form[] | undefined;
  readonly facts: Facts;
  readonly bounds: State["bounds"];
  readonly locked: boolean;
  readonly atomic: boolean;
  /** Does a hit of this touch's object follow a failed lookup of it? */
  readonly afterMiss: boolean;
  /** Flags of an update, if constant. */
  readonly flags: number | undefined;
  /** What made the pointer (see Cell.root), and where in the cell. */
  readonly root: number;
  readonly offset: number | undefined;
  readonly size: number;
  /** Bits that are stored, in memory order, where they are followed. */
  readonly value: readonly Form[] | undefined;
  /** Of an update that stores a fresh index: the index's cell holds the update's key. */
  readonly keyed: boolean;
  /** The function of an allocator whose call this is. */
  readonly callee: string | undefined;
  /** Index of the function, block and instruction in it. */
  readonly where: {
    readonly function: number;
    readonly block: number;
    readonly index: number;
  };
  readonly at: Place;
}
