/**
 * What an attempt at a loop found to change: the head's parameters against what came
 * around the back edge.
 */
import type { ValueId } from "../../ir/index.ts";
import type { ts } from "../front/typescript-api.ts";
import type { Environment, HeapObject, Path } from "./environment.ts";
import type { Lowering } from "./lowering.ts";
import { scalarRange } from "./scalars.ts";
import { type Value, sameValue } from "./value.ts";

export interface Growth {
  readonly low: bigint;
  readonly high: bigint;
  readonly wide: boolean;
}

export interface Changes {
  readonly variables: Set<ts.Symbol>;
  readonly objects: Set<number>;
  /** Variables and fields whose range grew; at the second time they may be anything of their sign. */
  readonly ranges: Map<string, Growth>;
  readonly loads: Set<string>;
  readonly slots: Set<number>;
  readonly headers: Set<string>;
  clock: boolean;
  /** Paths meet in its body: see `patience` below. */
  joins: boolean;
  /** What the verifier is not to know exactly: see `hidden` below. */
  readonly hidden: Set<string>;
}

export interface Parameter {
  readonly read: (env: Environment) => Value | undefined;
  readonly write: (env: Environment, value: Value) => void;
  /** What the body knows it by. */
  word: ValueId;
  readonly name: string;
}

export function mustHide(
  { writer }: Lowering,
  back: Path,
  parameters: readonly Parameter[],
  { hidden }: Changes,
): boolean {
  const before = hidden.size;
  for (const { read, word, name } of parameters) {
    const value = read(back.env);
    if (value?.kind === "constant") hidden.add(name);
    if (value?.kind !== "scalar" || value.word === word) continue;
    const made = writer.definition(value.word);
    const isChosen = made === undefined;
    const isCounted =
      made?.kind === "binary" &&
      (made.op === "add" || made.op === "sub") &&
      writer.constantOf(made.right) !== undefined;
    if (isChosen || isCounted) hidden.add(name);
  }
  return hidden.size > before;
}

interface Expected {
  readonly parameters: readonly Parameter[];
  readonly changes: Changes;
  readonly writer: Lowering["writer"];
}

export class Unfollowed extends Error {}

export function found(
  back: Environment,
  head: Environment,
  { parameters, changes }: Expected,
): boolean {
  let more = false;
  const words = new Set(parameters.map((parameter) => parameter.word));
  for (const { read, name } of parameters) {
    const [now, then] = [read(back), read(head)];
    if (now === undefined || then?.kind !== "scalar") continue;
    const range = scalarRange(now);
    if (range.low >= then.low && range.high <= then.high) continue;
    const before = changes.ranges.get(name);
    if (before?.wide === true) continue;
    changes.ranges.set(name, {
      low: range.low < then.low ? range.low : then.low,
      high: range.high > then.high ? range.high : then.high,
      wide: before !== undefined,
    });
    more = true;
  }
  for (const [symbol, value] of head.variables) {
    const now = back.variables.get(symbol);
    if (now === undefined || same(now, value, words)) continue;
    if (changes.variables.has(symbol)) throw new Unfollowed(symbol.name);
    changes.variables.add(symbol);
    more = true;
  }
  for (const [object, state] of head.heap) {
    const now = back.heap.get(object);
    if (now === undefined || sameObject(now, state, words)) continue;
    if (changes.objects.has(object)) throw new Unfollowed("an object");
    changes.objects.add(object);
    more = true;
  }
  for (const [key, load] of head.loads)
    if (back.loads.get(key)?.word !== load.word) {
      changes.loads.add(key);
      more = true;
    }
  for (const [slot, held] of head.slots) {
    const now = back.slots.get(slot);
    const kept = [...held].every(([offset, part]) => {
      const other = now?.get(offset);
      return other?.size === part.size && other.word === part.word;
    });
    if (!kept) {
      changes.slots.add(slot);
      more = true;
    }
  }
  for (const [name, value] of head.headers) {
    const now = back.headers.get(name);
    if (now !== undefined && sameValue(now, value)) continue;
    changes.headers.add(name);
    more = true;
  }
  return more;
}

function sameObject(
  now: HeapObject,
  then: HeapObject,
  words: ReadonlySet<ValueId>,
): boolean {
  if ((now.isMet ?? false) !== (then.isMet ?? false)) return false;
  return [...then.fields].every(([name, value]) => {
    const other = now.fields.get(name);
    return other !== undefined && same(other, value, words);
  });
}

function same(now: Value, then: Value, words: ReadonlySet<ValueId>): boolean {
  if (then.kind === "scalar" && words.has(then.word))
    return now.kind === "scalar" || now.kind === "constant";
  if (then.kind === "reference" && words.has(then.pointer))
    return now.kind === "reference" && now.offset === then.offset;
  if (now.kind === "scalar" && then.kind === "scalar" && now.word === then.word)
    return true;
  return sameValue(now, then);
}
