/**
 * What is known at one point of a path: variables, objects, and facts about
 * memory that save work (loads whose result is still true, the contents of key
 * buffers, how much of the frame is proved to be there, headers already parsed).
 *
 * Law of facts: forgetting one costs instructions, never meaning; a fact that
 * holds on every path into a join, with the same words, holds behind it.
 */
import type { SlotId, ValueId } from "../../ir/index.ts";
import type { ts } from "../front/typescript-api.ts";
import type { Type } from "../library/struct.ts";
import type { Value } from "./value.ts";

/** A struct (fields by name), a vector (by number) or a plain object. */
export interface HeapObject {
  readonly type: Type | undefined;
  readonly fields: ReadonlyMap<string, Value>;
  /** Paths met with two objects, of which this is one, or what they became. */
  readonly isMet?: boolean;
}

/**
 * The packet's time. It is read once; where only some paths into a join have
 * read it, the others read it at their end when somebody asks behind the join.
 */
export type Clock =
  | { readonly kind: "unread" }
  | { readonly kind: "read"; readonly word: ValueId }
  | {
      readonly kind: "partly";
      readonly block: number;
      readonly from: readonly {
        readonly block: number;
        readonly clock: Clock;
      }[];
      word: ValueId | undefined;
    };

export interface StoredPart {
  readonly size: number;
  /** A word, or bytes known to the compiler. */
  readonly word: ValueId | bigint;
}

export interface Environment {
  /** Of the function that is being walked; a caller's are kept aside. */
  variables: Map<ts.Symbol, Value>;
  readonly heap: Map<number, HeapObject>;
  /** Words in memory, by address and size (see `loadKey`). */
  readonly loads: Map<string, LoadedWord>;
  /** What the bytes of a slot are, by offset. */
  readonly slots: Map<SlotId, ReadonlyMap<number, StoredPart>>;
  /** The frame has at least so many bytes. */
  frame: number;
  /** Bytes of the frame behind a pointer into it. */
  readonly behind: Map<ValueId, number>;
  readonly headers: Map<string, Value>;
  clock: Clock;
  /** Index of the port that the frame came from, where it is asked for. */
  port: Value | undefined;
}

export interface LoadedWord {
  /** `packet`, or the name of the map. */
  readonly memory: string;
  readonly pointer: ValueId;
  readonly offset: number;
  readonly size: number;
  readonly word: ValueId;
}

/** An open end of the function: a block without terminator, and what is known there. */
export interface Path {
  readonly block: number;
  readonly env: Environment;
}

export function emptyEnvironment(): Environment {
  return {
    variables: new Map(),
    heap: new Map(),
    loads: new Map(),
    slots: new Map(),
    frame: 0,
    behind: new Map(),
    headers: new Map(),
    clock: { kind: "unread" },
    port: undefined,
  };
}

export function copyEnvironment(env: Environment): Environment {
  return {
    variables: new Map(env.variables),
    heap: new Map(env.heap),
    loads: new Map(env.loads),
    slots: new Map(env.slots),
    frame: env.frame,
    behind: new Map(env.behind),
    headers: new Map(env.headers),
    clock: env.clock,
    port: env.port,
  };
}

/** Numbers of new objects. */
export interface ObjectNumbers {
  next: number;
}
