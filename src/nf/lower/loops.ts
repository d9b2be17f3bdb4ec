/**
 * Loops. One whose variable counts through few constants is unrolled; any other
 * stays a loop: a block whose parameters are what changes in it.
 *
 * What changes is found by trying: the body is lowered with the variables that
 * are written in it as parameters, and whatever else turns out to differ at the
 * back edge (fields of objects, facts about memory) joins them or is forgotten,
 * and the loop is lowered again from where it began.
 */
import { Bug } from "../../base/index.ts";
import type { ValueId } from "../../ir/index.ts";
import type { ts } from "../front/typescript-api.ts";
import { assigned } from "./assigned.ts";
import { readClock, settleClock } from "./clock.ts";
import { branch } from "./conditions.ts";
import {
  type Environment,
  type HeapObject,
  type Path,
  copyEnvironment,
} from "./environment.ts";
import {
  type Frame,
  type Lowering,
  type Target,
  cannotLower,
} from "./lowering.ts";
import { constantWord, scalarRange } from "./scalars.ts";
import { resume, unroll } from "./unroll.ts";
import { type Scalar, type Value, sameValue } from "./value.ts";

/** A loop of at most so many rounds over a body of at most so many nodes is unrolled. */
/** Constant lists may be longer: there is no other way to walk them. */
export function lowerFor(
  lowering: Lowering,
  node: ts.ForStatement,
  label: string | undefined,
): void {
  const { ts } = lowering;
  const { initializer } = node;
  if (initializer !== undefined) {
    if (ts.isVariableDeclarationList(initializer))
      for (const declaration of initializer.declarations)
        lowering.declare(declaration);
    else lowering.value(initializer);
  }
  if (unroll(lowering, node, label)) return;
  lowerLoop(lowering, node, {
    label,
    condition: node.condition,
    body: node.statement,
    step: node.incrementor,
    testsLast: false,
  });
}

export function lowerWhile(
  lowering: Lowering,
  node: ts.WhileStatement | ts.DoStatement,
  label: string | undefined,
): void {
  lowerLoop(lowering, node, {
    label,
    condition: node.expression,
    body: node.statement,
    step: undefined,
    testsLast: lowering.ts.isDoStatement(node),
  });
}

/** `for (const x of list)`: a list of constants, or a vector. */
/** Behind a round: where it ended and where it was continued. */
/** `for (let i = a; i < b; i++)` with constants and a body that leaves `i` alone. */
/** A number known here, without emitting anything. */
/** The variables that are assigned somewhere in the nodes. */
interface LoopParts {
  readonly label: string | undefined;
  readonly condition: ts.Expression | undefined;
  readonly body: ts.Statement;
  readonly step: ts.Expression | undefined;
  readonly testsLast: boolean;
}

interface Growth {
  readonly low: bigint;
  readonly high: bigint;
  readonly wide: boolean;
}

/** What is given up or made a parameter at the head of a loop. */
interface Changes {
  readonly variables: Set<ts.Symbol>;
  readonly objects: Set<number>;
  /** Variables and fields whose range grew; at the second time they may be anything of their sign. */
  readonly ranges: Map<string, Growth>;
  readonly loads: Set<string>;
  readonly slots: Set<number>;
  readonly headers: Set<string>;
  clock: boolean;
}

function lowerLoop(lowering: Lowering, node: ts.Node, parts: LoopParts): void {
  const { cursor, writer } = lowering;
  settleClock(lowering);
  const before = cursor.path;
  const changes: Changes = {
    variables: assigned(lowering, parts.condition, parts.body, parts.step),
    objects: new Set(),
    ranges: new Map(),
    loads: new Set(),
    slots: new Set(),
    headers: new Set(),
    clock: false,
  };
  for (const symbol of changes.variables)
    if (!before.env.variables.has(symbol)) changes.variables.delete(symbol);
  const mark = writer.mark([before.block]);
  const kept = snapshot(lowering);
  for (let tries = 0; tries < 64; tries++) {
    const entry: Path = {
      block: before.block,
      env: copyEnvironment(before.env),
    };
    cursor.paths = [entry];
    try {
      if (attempt(lowering, parts, changes)) return;
    } catch (error) {
      if (!(error instanceof Unfollowed)) throw error;
      throw cannotLower(
        node,
        `what ${error.message} becomes in this loop cannot be followed`,
      );
    }
    writer.reset(mark);
    kept();
  }
  throw cannotLower(node, "what changes in this loop cannot be followed");
}

/** Answers how to take back what an attempt left outside of blocks. */
function snapshot(lowering: Lowering): () => void {
  const slots = new Map(lowering.slots);
  const { frame, clockWanted } = lowering;
  const lists: { readonly list: unknown[]; readonly length: number }[] = [];
  for (let at: Frame | undefined = frame; at !== undefined; at = at.caller) {
    lists.push({ list: at.returns, length: at.returns.length });
    lists.push({ list: at.targets, length: at.targets.length });
    for (const { breaks, continues } of at.targets) {
      lists.push({ list: breaks, length: breaks.length });
      if (continues !== undefined)
        lists.push({ list: continues, length: continues.length });
    }
  }
  const { scope } = frame;
  return () => {
    lowering.slots.clear();
    for (const [name, slot] of slots) lowering.slots.set(name, slot);
    for (const { list, length } of lists) list.length = length;
    lowering.frame = frame;
    frame.scope = scope;
    lowering.clockWanted = clockWanted;
  };
}

interface Parameter {
  readonly read: (env: Environment) => Value | undefined;
  readonly word: ValueId;
  readonly name: string;
}

/** False: something else changes, and is now in `changes`. */
function attempt(
  lowering: Lowering,
  parts: LoopParts,
  changes: Changes,
): boolean {
  const { cursor, writer, frame } = lowering;
  if (changes.clock) readClock(lowering);
  const entry = cursor.path;
  const head = writer.newBlock();
  writer.jump(entry.block, head);
  const env = copyEnvironment(entry.env);
  forget(env, changes);
  const parameters = headParameters(lowering, { head, entry, env }, changes);
  cursor.paths = [{ block: head, env }];
  const atHead = copyEnvironment(env);
  const target: Target = { label: parts.label, breaks: [], continues: [] };
  frame.targets.push(target);
  const wanted = lowering.clockWanted;
  lowering.clockWanted = false;
  let left: readonly Path[] = [];
  const test = (): void => {
    if (parts.condition === undefined || cursor.isClosed) return;
    const { yes, no } = branch(lowering, parts.condition);
    left = no;
    cursor.paths = yes;
    if (yes.length > 0) void cursor.path;
  };
  if (!parts.testsLast) test();
  if (!cursor.isClosed) lowering.statement(parts.body);
  resume(lowering, target);
  if (parts.testsLast) test();
  if (!cursor.isClosed && parts.step !== undefined) lowering.value(parts.step);
  const readsClock = lowering.clockWanted;
  lowering.clockWanted = wanted || readsClock;
  frame.targets.pop();
  if (readsClock && atHead.clock.kind === "unread" && !changes.clock) {
    changes.clock = true;
    return false;
  }
  if (!cursor.isClosed) {
    const back = cursor.path;
    if (found(back.env, atHead, { parameters, changes, writer })) return false;
    writer.jump(back.block, head);
    for (const { read } of parameters) {
      const value = read(back.env);
      if (value === undefined) throw new Bug("a loop's variable is lost");
      writer.addArgument(back.block, wordIn(lowering, back.block, value));
    }
  }
  cursor.paths = [...left, ...target.breaks];
  if (!cursor.isClosed) void cursor.path;
  return true;
}

function wordIn(lowering: Lowering, block: number, value: Value): ValueId {
  if (value.kind === "scalar") return value.word;
  if (value.kind === "reference") return value.pointer;
  const word =
    value.kind === "constant" ? constantWord(value.value) : undefined;
  if (word === undefined) throw new Bug(`a ${value.kind} changes in a loop`);
  return lowering.writer.constant(block, word);
}

function forget(env: Environment, changes: Changes): void {
  for (const key of changes.loads) env.loads.delete(key);
  for (const slot of env.slots.keys())
    if (changes.slots.has(slot)) env.slots.delete(slot);
  for (const name of changes.headers) env.headers.delete(name);
}

interface Head {
  readonly head: number;
  readonly entry: Path;
  readonly env: Environment;
}

/** Makes what changes a parameter of the head. */
function headParameters(
  lowering: Lowering,
  { head, entry, env }: Head,
  changes: Changes,
): readonly Parameter[] {
  const { writer } = lowering;
  const parameters: Parameter[] = [];
  const make = (name: string, value: Value, read: Parameter["read"]): Value => {
    if (value.kind !== "scalar" && value.kind !== "reference") {
      if (value.kind !== "constant" || constantWord(value.value) === undefined)
        return value;
    }
    const word = writer.parameter(head);
    writer.addArgument(entry.block, wordIn(lowering, entry.block, value));
    parameters.push({ read, word, name });
    if (value.kind === "reference") return { ...value, pointer: word };
    return ranged(value, word, changes.ranges.get(name));
  };
  let number = 0;
  for (const symbol of changes.variables) {
    const value = env.variables.get(symbol);
    const name = `variable ${number++}`;
    if (value !== undefined)
      env.variables.set(
        symbol,
        make(name, value, (at) => at.variables.get(symbol)),
      );
  }
  for (const object of changes.objects) {
    const state = env.heap.get(object);
    if (state === undefined) continue;
    const fields = new Map<string, Value>();
    for (const [field, value] of state.fields)
      fields.set(
        field,
        make(`${object}.${field}`, value, (at) =>
          at.heap.get(object)?.fields.get(field),
        ),
      );
    env.heap.set(object, { type: state.type, fields });
  }
  return parameters;
}

function ranged(
  value: Value,
  word: ValueId,
  growth: Growth | undefined,
): Scalar {
  const { low, high } = growth ?? scalarRange(value);
  const js =
    value.kind === "scalar"
      ? value.js
      : value.kind === "constant" && typeof value.value === "bigint"
        ? "bigint"
        : value.kind === "constant" && typeof value.value === "boolean"
          ? "boolean"
          : "number";
  if (js === "boolean") return { kind: "scalar", js, word, low: 0n, high: 1n };
  if (growth?.wide !== true) return { kind: "scalar", js, word, low, high };
  const most = js === "number" ? 2n ** 53n : low < 0n ? 2n ** 63n : 2n ** 64n;
  return {
    kind: "scalar",
    js,
    word,
    low: low < 0n ? -most : 0n,
    high: most - 1n,
  };
}

interface Expected {
  readonly parameters: readonly Parameter[];
  readonly changes: Changes;
  readonly writer: Lowering["writer"];
}

/** What no parameter can carry around the loop. */
class Unfollowed extends Error {}

/** Looks for what the head did not expect at the back edge; true: there was something. */
function found(
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
  return [...then.fields].every(([name, value]) => {
    const other = now.fields.get(name);
    return other !== undefined && same(other, value, words);
  });
}

/** The same, or a parameter of the head, which may differ. */
function same(now: Value, then: Value, words: ReadonlySet<ValueId>): boolean {
  if (then.kind === "scalar" && words.has(then.word))
    return now.kind === "scalar" || now.kind === "constant";
  if (then.kind === "reference" && words.has(then.pointer))
    return now.kind === "reference" && now.offset === then.offset;
  if (now.kind === "scalar" && then.kind === "scalar" && now.word === then.word)
    return true;
  return sameValue(now, then);
}
