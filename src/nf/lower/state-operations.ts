/**
 * Operations on primitive state: what the methods of the library's declarations
 * are in BPF. A reference is the pointer that the look-up answered.
 *
 * Numbers of helpers and flags: include/uapi/linux/bpf.h.
 */
import type { ValueId } from "../../ir/index.ts";
import { branchNonZero, branchOn, compare } from "./compare.ts";
import type { Outcome } from "./join.ts";
import type { Branches, LoweredMap, Lowering } from "./lowering.ts";
import { type Part, forgetLoads, partsOf } from "./memory.ts";
import { uint64Max } from "./operators.ts";
import { scalarRange } from "./scalars.ts";
import { buffer } from "./slots.ts";
import {
  type Reference,
  type Value,
  constantValue,
  undefinedValue,
} from "./value.ts";

const lookupElement = 1;
const updateElement = 2;
const deleteElement = 3;
const ringOutput = 130;
/** BPF_ANY and BPF_NOEXIST. */
const any = 0;
const noExist = 1;

/** The outcomes of `declaration.NAME(…)`; undefined: there is no such operation. */
export function stateOperation(
  lowering: Lowering,
  map: LoweredMap,
  name: string,
  args: readonly Value[],
): readonly Outcome[] | undefined {
  const [first = undefinedValue, second = undefinedValue] = args;
  const { cursor } = lowering;
  switch (name) {
    case "get":
      return get(lowering, map, first);
    case "at":
      return [{ value: at(lowering, map, first), path: cursor.path }];
    case "has": {
      const found = lookup(lowering, map, keyParts(lowering, map, first));
      return booleans(branchNonZero(cursor, found));
    }
    case "set":
    case "insert":
      return update(lowering, map, {
        key: first,
        value: second,
        flags: name === "set" ? any : noExist,
      });
    case "delete": {
      const { writer } = lowering;
      const key = keyBuffer(lowering, map, keyParts(lowering, map, first));
      const object = mapObject(lowering, map);
      const status = writer.helper(cursor.block, deleteElement, [object, key]);
      forgetLoads(cursor, map.spec.name);
      return booleans(branchZero(lowering, status));
    }
    case "increment":
      add(lowering, map, constantValue(1), false);
      return [{ value: undefinedValue, path: cursor.path }];
    case "add":
      add(lowering, map, first, false);
      return [{ value: undefinedValue, path: cursor.path }];
    case "fetchAdd":
      return [{ value: add(lowering, map, first, true), path: cursor.path }];
    case "emit":
      return emit(lowering, map, first);
    default:
      return undefined;
  }
}

function get(
  lowering: Lowering,
  map: LoweredMap,
  key: Value,
): readonly Outcome[] {
  const { cursor } = lowering;
  const isIndexed =
    map.spec.type === "array" || map.spec.type === "percpu_array";
  const outside: Outcome[] = [];
  if (isIndexed) {
    const { low, high } = scalarRange(key);
    // An index beyond 32 bits would be another one in the key.
    if (low < 0n || high >= 2n ** 32n) {
      const first =
        low < 0n ? compare(cursor, ">=", key, constantValue(0)) : undefined;
      if (first !== undefined) {
        outside.push(...absent(first.no));
        cursor.paths = first.yes;
      }
      if (!cursor.isClosed) {
        const capacity = constantValue(map.spec.maxEntries);
        const below = compare(cursor, "<", key, capacity);
        outside.push(...absent(below.no));
        cursor.paths = below.yes;
      }
      if (cursor.isClosed) return outside;
    }
  }
  const pointer = lookup(lowering, map, keyParts(lowering, map, key));
  const value: Value = {
    kind: "optional",
    present: pointer,
    payload: reference(map, pointer),
  };
  return [{ path: cursor.path, value }, ...outside];
}

function absent(paths: Branches["no"]): readonly Outcome[] {
  return paths.map((path) => ({ path, value: undefinedValue }));
}

/** A cell that is there: the checker proved the index. The verifier wants a test. */
function at(lowering: Lowering, map: LoweredMap, index: Value): Value {
  const { cursor } = lowering;
  const pointer = lookup(lowering, map, keyParts(lowering, map, index));
  lowering.abort(branchNonZero(cursor, pointer));
  return reference(map, pointer);
}

export function reference(map: LoweredMap, pointer: ValueId): Reference {
  return {
    kind: "reference",
    type: map.value,
    pointer,
    offset: 0,
    map: map.spec.name,
    ...(map.value.kind === "scalar" ? { boxed: true } : {}),
  };
}

function update(
  lowering: Lowering,
  map: LoweredMap,
  given: { readonly key: Value; readonly value: Value; readonly flags: number },
): readonly Outcome[] {
  const { cursor, writer } = lowering;
  const value = unboxed(given.value);
  const parts = partsOf(cursor, value, map.value);
  const key = keyBuffer(lowering, map, keyParts(lowering, map, given.key));
  const object = mapObject(lowering, map);
  const bytes = buffer(lowering, "value", map.value.size, parts);
  const flags = cursor.constant(given.flags);
  const status = writer.helper(cursor.block, updateElement, [
    object,
    key,
    bytes,
    flags,
  ]);
  forgetLoads(cursor, map.spec.name);
  return booleans(branchZero(lowering, status));
}

function emit(
  lowering: Lowering,
  map: LoweredMap,
  value: Value,
): readonly Outcome[] {
  const { cursor, writer } = lowering;
  const parts = partsOf(cursor, value, map.value);
  const bytes = buffer(lowering, "value", map.value.size, parts);
  const status = writer.helper(cursor.block, ringOutput, [
    mapObject(lowering, map),
    bytes,
    cursor.constant(map.value.size),
    cursor.constant(0),
  ]);
  return booleans(branchZero(lowering, status));
}

/** An atomic addition to the one cell. */
function add(
  lowering: Lowering,
  map: LoweredMap,
  amount: Value,
  fetch: boolean,
): Value {
  const { cursor, writer } = lowering;
  const word = cursor.word(amount);
  const zero: Part = { offset: 0, size: 4, word: 0n };
  const pointer = lookup(lowering, map, [zero]);
  lowering.abort(branchNonZero(cursor, pointer));
  const old = writer.emit(cursor.block, {
    kind: "atomic",
    op: "add",
    size: 8,
    fetch,
    value: word,
    address: pointer,
    offset: 0,
  });
  forgetLoads(cursor, map.spec.name);
  return fetch
    ? { kind: "scalar", js: "bigint", word: old, low: 0n, high: uint64Max }
    : undefinedValue;
}

function lookup(
  lowering: Lowering,
  map: LoweredMap,
  parts: readonly Part[],
): ValueId {
  const { cursor, writer } = lowering;
  const key = keyBuffer(lowering, map, parts);
  const object = mapObject(lowering, map);
  return writer.helper(cursor.block, lookupElement, [object, key]);
}

function keyParts(
  lowering: Lowering,
  map: LoweredMap,
  key: Value,
): readonly Part[] {
  const { cursor } = lowering;
  if (map.key === undefined) return [];
  if (map.spec.type !== "lpm_trie" || map.key.kind !== "struct")
    return partsOf(cursor, unboxed(key), map.key);
  // A look-up asks with the whole address: { length: 32, address }.
  const address = map.key.fields[1];
  if (address === undefined) return [];
  return [
    { offset: 0, size: 4, word: 32n },
    ...partsOf(cursor, key, address.type, address.offset),
  ];
}

function unboxed(value: Value): Value {
  return value.kind === "optional" ? value.payload : value;
}

function keyBuffer(
  lowering: Lowering,
  map: LoweredMap,
  parts: readonly Part[],
): ValueId {
  return buffer(lowering, "key", map.spec.keySize, parts);
}

function mapObject(lowering: Lowering, map: LoweredMap): ValueId {
  const { cursor, writer } = lowering;
  return writer.emit(cursor.block, { kind: "map", map: map.spec.name });
}

function branchZero(lowering: Lowering, word: ValueId): Branches {
  const { cursor } = lowering;
  return branchOn(cursor, "jeq", word, cursor.constant(0));
}

export function booleans({ yes, no }: Branches): readonly Outcome[] {
  return [
    ...yes.map((path) => ({ path, value: constantValue(true) })),
    ...no.map((path) => ({ path, value: constantValue(false) })),
  ];
}
