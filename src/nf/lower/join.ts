/**
 * Where paths meet: one block, with a parameter for every word that differs.
 *
 * What only some paths have (a header that is absent on the others) becomes an
 * optional whose `present` is 0 there. Two different objects become a new one. In
 * JavaScript it is still one of the two, so from there on none of the three may be
 * assigned to: `isMet` says so of them.
 */
import { Bug } from "../../base/index.ts";
import type { ValueId } from "../../ir/index.ts";
import type { ts } from "../front/typescript-api.ts";
import type { HeapObject, ObjectNumbers, Path } from "./environment.ts";
import { type Joining, mergeFacts } from "./join-facts.ts";
import { scalarRange, scalarWord } from "./scalars.ts";
import {
  type HeaderValue,
  type Scalar,
  type Value,
  sameValue,
  undefinedValue,
} from "./value.ts";
import { verdictNumber } from "./verdicts.ts";
import type { Writer } from "./writer.ts";

/** A path with the value that an expression has on it. */
export interface Outcome {
  readonly path: Path;
  readonly value: Value;
}

export function joinPaths(
  writer: Writer,
  numbers: ObjectNumbers,
  paths: readonly Path[],
): Path {
  return joinOutcomes(
    writer,
    numbers,
    paths.map((path) => ({ path, value: undefinedValue })),
  ).path;
}

export function joinOutcomes(
  writer: Writer,
  numbers: ObjectNumbers,
  outcomes: readonly Outcome[],
): Outcome {
  const [first] = outcomes;
  if (first === undefined) throw new Bug("nothing to join");
  if (outcomes.length === 1) return first;
  const paths = outcomes.map((outcome) => outcome.path);
  const block = writer.newBlock();
  for (const path of paths) writer.jump(path.block, block);
  const heap = new Map<number, HeapObject>();
  const joining: Joining = { writer, numbers, block, paths, heap };
  mergeHeap(joining);
  const variables = mergeVariables(joining);
  const headers = mergeHeaders(joining);
  const value = merge(
    joining,
    outcomes.map((outcome) => outcome.value),
  );
  const ports = paths.map((path) => path.env.port);
  const port = ports.every((one) => one !== undefined)
    ? merge(joining, ports)
    : undefined;
  return {
    path: {
      block,
      env: { ...mergeFacts(joining), variables, heap, headers, port },
    },
    value,
  };
}

function mergeHeap(joining: Joining): void {
  const [first, ...others] = joining.paths;
  for (const [object, state] of first?.env.heap ?? []) {
    const states = [state];
    for (const other of others) {
      const found = other.env.heap.get(object);
      if (found !== undefined) states.push(found);
    }
    if (states.length === joining.paths.length)
      joining.heap.set(object, mergeObjects(joining, states));
  }
}

function mergeObjects(
  joining: Joining,
  states: readonly (HeapObject | undefined)[],
): HeapObject {
  const first = states.find((state) => state !== undefined);
  if (first === undefined) throw new Bug("an object on no path");
  if (states.every((state) => state === first)) return first;
  const fields = new Map<string, Value>();
  for (const name of first.fields.keys())
    fields.set(
      name,
      merge(
        joining,
        states.map((state) => state?.fields.get(name)),
      ),
    );
  const isMet = states.some((state) => state?.isMet === true);
  return { type: first.type, fields, isMet };
}

function mergeVariables(joining: Joining): Map<ts.Symbol, Value> {
  const [first, ...others] = joining.paths;
  const variables = new Map<ts.Symbol, Value>();
  for (const [symbol, value] of first?.env.variables ?? []) {
    const values = [value];
    for (const other of others) {
      const found = other.env.variables.get(symbol);
      if (found !== undefined) values.push(found);
    }
    // A variable that some path does not know is out of scope behind the join.
    if (values.length === joining.paths.length)
      variables.set(symbol, merge(joining, values));
  }
  return variables;
}

function mergeHeaders(joining: Joining): Map<string, Value> {
  const [first, ...others] = joining.paths;
  const headers = new Map<string, Value>();
  for (const [name, value] of first?.env.headers ?? []) {
    const values = [value];
    for (const other of others) {
      const found = other.env.headers.get(name);
      if (found !== undefined) values.push(found);
    }
    if (values.length === joining.paths.length)
      headers.set(name, merge(joining, values));
  }
  return headers;
}

/** One value for the join from one of each path; `undefined`: the path has none, and nobody asks. */
function merge(
  joining: Joining,
  values: readonly (Value | undefined)[],
): Value {
  const known = values.filter((value) => value !== undefined);
  const [first] = known;
  if (first === undefined) return undefinedValue;
  if (known.length === values.length && known.every((v) => sameValue(v, first)))
    return first;
  if (known.some(isMaybeAbsent)) return mergeOptionals(joining, values);
  return mergePresent(joining, values, first);
}

function isMaybeAbsent(value: Value): boolean {
  return (
    value.kind === "optional" ||
    (value.kind === "constant" && value.value === undefined)
  );
}

function mergeOptionals(
  joining: Joining,
  values: readonly (Value | undefined)[],
): Value {
  const { writer, paths } = joining;
  const payloads = values.map((value) => {
    if (value?.kind === "optional") return value.payload;
    return value === undefined || isMaybeAbsent(value) ? undefined : value;
  });
  if (payloads.every((payload) => payload === undefined)) return undefinedValue;
  const payload = merge(joining, payloads);
  // A pointer that is 0 where nothing is there is its own presence.
  const own =
    payload.kind === "reference" &&
    values.every((value) => {
      if (value?.kind !== "optional") return true;
      return (
        value.payload.kind === "reference" &&
        value.present === value.payload.pointer &&
        value.payload.offset === 0
      );
    });
  if (
    own &&
    payload.offset === 0 &&
    !paths.some((_, at) => {
      const each = payloads[at];
      return (
        each !== undefined && each.kind === "reference" && each.offset !== 0
      );
    })
  )
    return { kind: "optional", present: payload.pointer, payload };
  const present = mergeWords(
    joining,
    values.map((value, at) => {
      if (value?.kind === "optional") return value.present;
      const there = value !== undefined && !isMaybeAbsent(value);
      return writer.constant(paths[at]?.block ?? 0, there ? 1 : 0);
    }),
  );
  return { kind: "optional", present, payload };
}

function mergePresent(
  joining: Joining,
  values: readonly (Value | undefined)[],
  first: Value,
): Value {
  const { writer, paths } = joining;
  if (values.some((value) => value !== undefined && isVerdict(value)))
    return {
      kind: "verdict",
      word: mergeWords(
        joining,
        values.map((value, at) =>
          verdictWord(writer, paths[at]?.block ?? 0, value),
        ),
      ),
    };
  switch (first.kind) {
    case "constant":
    case "scalar":
      return mergeScalars(joining, values);
    case "object": {
      const states = values.map((value, at) =>
        value?.kind === "object"
          ? paths[at]?.env.heap.get(value.object)
          : undefined,
      );
      const object = joining.numbers.next++;
      const merged = mergeObjects(joining, states);
      joining.heap.set(object, { ...merged, isMet: true });
      for (const value of values) meet(joining, value);
      return { kind: "object", object };
    }
    case "reference": {
      const offsets = values.map((value) =>
        value?.kind === "reference" ? value.offset : first.offset,
      );
      const same = offsets.every((offset) => offset === first.offset);
      const pointer = mergeWords(
        joining,
        values.map((value, at) => {
          const block = paths[at]?.block ?? 0;
          if (value?.kind !== "reference") return writer.constant(block, 0);
          return same || value.offset === 0
            ? value.pointer
            : moved(writer, block, value.pointer, value.offset);
        }),
      );
      return { ...first, pointer, offset: same ? first.offset : 0 };
    }
    case "header":
      return mergeHeader(joining, values, first);
    case "optional":
    case "verdict":
    case "packet":
    case "context":
      return first;
  }
}

/** The object, if it is known behind the join, is one of two that met. */
function meet({ heap }: Joining, value: Value | undefined): void {
  const state = value?.kind === "object" ? heap.get(value.object) : undefined;
  if (state !== undefined && value?.kind === "object")
    heap.set(value.object, { ...state, isMet: true });
}

function mergeHeader(
  joining: Joining,
  values: readonly (Value | undefined)[],
  first: HeaderValue,
): HeaderValue {
  const { writer, paths } = joining;
  const headers = values.map((value) =>
    value?.kind === "header" ? value : undefined,
  );
  if (headers.some((h) => h !== undefined && h.header !== first.header))
    throw new Bug("different headers meet");
  const protocols = headers.map((header) => header?.protocol);
  const protocol =
    first.protocol === undefined
      ? {}
      : {
          protocol: mergeWords(
            joining,
            protocols.map(
              (word, at) => word ?? writer.constant(paths[at]?.block ?? 0, 0),
            ),
          ),
        };
  // The frame's start is known everywhere.
  const fixed = headers.every(
    (header) =>
      header === undefined ||
      (header.base === first.base && header.offset === first.offset),
  );
  const whole = headers.every((header) => header !== undefined);
  if (fixed && (whole || writer.isEntryValue(first.base)))
    return { ...first, ...protocol };
  const base = mergeWords(
    joining,
    headers.map((header, at) => {
      const block = paths[at]?.block ?? 0;
      if (header === undefined) return writer.constant(block, 0);
      return fixed
        ? header.base
        : moved(writer, block, header.base, header.offset);
    }),
  );
  return { ...first, base, offset: fixed ? first.offset : 0, ...protocol };
}

function mergeScalars(
  joining: Joining,
  values: readonly (Value | undefined)[],
): Value {
  const { writer, paths } = joining;
  const known = values.filter((value) => value !== undefined);
  const ranges = known.map(scalarRange);
  const [first] = known;
  const js =
    known.find((value): value is Scalar => value.kind === "scalar")?.js ??
    (first?.kind === "constant" ? typeof first.value : undefined);
  if (js !== "number" && js !== "bigint" && js !== "boolean")
    throw new Bug(`values of kind ${js ?? "none"} meet`);
  const word = mergeWords(
    joining,
    values.map((value, at) => scalarWord(writer, paths[at]?.block ?? 0, value)),
  );
  const low = ranges
    .map((range) => range.low)
    .reduce((a, b) => (a < b ? a : b));
  const high = ranges
    .map((range) => range.high)
    .reduce((a, b) => (a > b ? a : b));
  return { kind: "scalar", js, word, low, high };
}

function mergeWords(joining: Joining, words: readonly ValueId[]): ValueId {
  const [first] = words;
  if (first === undefined) throw new Bug("no words to merge");
  if (words.every((word) => word === first)) return first;
  const { writer, block, paths } = joining;
  const param = writer.parameter(block);
  for (const [at, word] of words.entries())
    writer.addArgument(paths[at]?.block ?? 0, word);
  return param;
}

function moved(
  writer: Writer,
  block: number,
  pointer: ValueId,
  by: number,
): ValueId {
  if (by === 0) return pointer;
  return writer.binary(block, "add", pointer, writer.constant(block, by));
}

function isVerdict(value: Value): boolean {
  return (
    value.kind === "verdict" ||
    (value.kind === "constant" && verdictNumber(value.value) !== undefined)
  );
}

function verdictWord(
  writer: Writer,
  block: number,
  value: Value | undefined,
): ValueId {
  if (value?.kind === "verdict") return value.word;
  const number =
    value?.kind === "constant" ? verdictNumber(value.value) : undefined;
  return writer.constant(block, number ?? 0);
}

/** The range of a constant or scalar; constants are integers or booleans. */
/** A constant as the exact integer that its word stands for. */
