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
import { type Environment, type Path, copyEnvironment } from "./environment.ts";
import {
  Unfollowed,
  type Changes,
  type Growth,
  type Parameter,
  found,
  mustHide,
} from "./loop-changes.ts";
import {
  type Frame,
  type Lowering,
  type Target,
  cannotLower,
} from "./lowering.ts";
import { hide, patience, unknownZero } from "./patience.ts";
import { constantWord, scalarRange } from "./scalars.ts";
import { resume, unroll } from "./unroll.ts";
import type { Scalar, Value } from "./value.ts";

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

/** What is given up or made a parameter at the head of a loop. */
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
    joins: false,
    hidden: new Set(),
  };
  for (const symbol of changes.variables)
    if (!before.env.variables.has(symbol)) changes.variables.delete(symbol);
  const mark = writer.mark([before.block]);
  const kept = snapshot(lowering);
  const { zero } = lowering;
  for (let tries = 0; tries < 64; tries++) {
    const entry: Path = {
      block: before.block,
      env: copyEnvironment(before.env),
    };
    cursor.paths = [entry];
    try {
      if (attempt(lowering, parts, changes)) {
        lowering.zero = zero;
        return;
      }
    } catch (error) {
      if (!(error instanceof Unfollowed)) throw error;
      throw cannotLower(
        node,
        `what ${error.message} becomes in this loop cannot be followed`,
      );
    }
    writer.reset(mark);
    lowering.zero = zero;
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

/** False: something else changes, and is now in `changes`. */
function attempt(
  lowering: Lowering,
  parts: LoopParts,
  changes: Changes,
): boolean {
  const { cursor, writer, frame } = lowering;
  if (changes.clock) readClock(lowering);
  if (changes.hidden.size > 0) lowering.zero = unknownZero(lowering);
  const { zero } = lowering;
  const entry = cursor.path;
  const head = writer.newBlock();
  writer.jump(entry.block, head);
  const env = copyEnvironment(entry.env);
  forget(env, changes);
  const parameters = headParameters(lowering, { head, entry, env }, changes);
  cursor.paths = [{ block: head, env }];
  const late: Path[] = [];
  if (changes.joins) {
    late.push(...patience(lowering));
    for (const parameter of parameters)
      if (zero !== undefined && changes.hidden.has(parameter.name))
        hide(lowering, parameter, zero);
  }
  const atHead = copyEnvironment(cursor.env);
  const target: Target = { label: parts.label, breaks: [], continues: [] };
  frame.targets.push(target);
  const wanted = lowering.clockWanted;
  lowering.clockWanted = false;
  let left: readonly Path[] = [];
  const { joins } = cursor;
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
  if (!changes.joins && cursor.joins > joins) {
    frame.targets.pop();
    lowering.clockWanted = wanted;
    changes.joins = true;
    return false;
  }
  const readsClock = lowering.clockWanted;
  lowering.clockWanted = wanted || readsClock;
  frame.targets.pop();
  if (readsClock && atHead.clock.kind === "unread" && !changes.clock) {
    changes.clock = true;
    return false;
  }
  if (!cursor.isClosed) {
    const back = cursor.path;
    if (changes.joins && mustHide(lowering, back, parameters, changes))
      return false;
    if (found(back.env, atHead, { parameters, changes, writer })) return false;
    writer.jump(back.block, head);
    for (const { read } of parameters) {
      const value = read(back.env);
      if (value === undefined) throw new Bug("a loop's variable is lost");
      writer.addArgument(back.block, wordIn(lowering, back.block, value));
    }
  }
  cursor.paths = [...left, ...target.breaks, ...late];
  if (!cursor.isClosed) void cursor.path;
  return true;
}

/**
 * The kernel's verifier follows a loop round by round, and every way through the
 * body in each of them: where paths meet in the body it would see 2^n states. A
 * `may_goto` at the head has it forget, between two rounds, what words were
 * exactly, so that the states of two rounds are soon the same (6.9). The time that
 * it watches over is never used up by a loop that ends.
 */
/**
 * Counters, and what is chosen among constants, are hidden from the verifier: what
 * it knows exactly and has used for a decision it does not forget, and then no two
 * rounds are the same. Hidden is a sum with a zero of which it does not know that it
 * is one: a word that it does not know, exclusive-or itself.
 */
/** Offset of rx_queue_index in struct xdp_md. */
/** Undefined where no word is at hand. */
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
  const make = (
    name: string,
    value: Value,
    { read, write }: Pick<Parameter, "read" | "write">,
  ): Value => {
    if (value.kind !== "scalar" && value.kind !== "reference") {
      if (value.kind !== "constant" || constantWord(value.value) === undefined)
        return value;
    }
    const word = writer.parameter(head);
    writer.addArgument(entry.block, wordIn(lowering, entry.block, value));
    parameters.push({ read, write, word, name });
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
        make(name, value, {
          read: (at) => at.variables.get(symbol),
          write: (at, changed) => {
            at.variables.set(symbol, changed);
          },
        }),
      );
  }
  for (const object of changes.objects) {
    const state = env.heap.get(object);
    if (state === undefined) continue;
    const fields = new Map<string, Value>();
    for (const [field, value] of state.fields)
      fields.set(
        field,
        make(`${object}.${field}`, value, {
          read: (at) => at.heap.get(object)?.fields.get(field),
          write: (at, changed) => {
            const now = at.heap.get(object);
            at.heap.set(object, {
              ...now,
              type: now?.type,
              fields: new Map(now?.fields).set(field, changed),
            });
          },
        }),
      );
    env.heap.set(object, { ...state, fields });
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

/** What no parameter can carry around the loop. */
/** Looks for what the head did not expect at the back edge; true: there was something. */
/** The same, or a parameter of the head, which may differ. */
