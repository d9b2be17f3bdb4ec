/**
 * What the compiler knows by name: functions of the library, operations of
 * primitive declarations, JavaScript's own, and methods of packets. Here: which
 * arguments they take and in which range their result lies.
 */
import type { Callee } from "../front/loaded.ts";
import type { ts } from "../front/typescript-api.ts";
import { scalarRange, type ScalarDescription } from "../library/scalar.ts";
import type { Type } from "../library/struct.ts";
import { checkFits, checkIndex, checkRange } from "./fits.ts";
import {
  either,
  isNumeric,
  maybe,
  nothing,
  ofConstant,
  ofRange,
  opaque,
  present,
  referenceTo,
  truth,
  type Abstract,
} from "./abstract-value.ts";
import { killStateFacts, type Environment } from "./environment.ts";
import { evaluateWrapping } from "./evaluate.ts";
import { checkDivisor } from "./operators.ts";
import {
  contains,
  exactly,
  int32,
  narrow,
  uint32,
  uint64,
  type Interval,
} from "./interval.ts";
import { plainText, type Frame, type Walk } from "./walk.ts";

export interface Calling {
  readonly walk: Walk;
  readonly node: ts.CallExpression;
  readonly env: Environment;
  readonly frame: Frame;
}

function isType(value: unknown): value is Type {
  return (
    (typeof value === "object" || typeof value === "function") &&
    value !== null &&
    "kind" in value &&
    "size" in value
  );
}

function argument(
  { walk, node, env, frame }: Calling,
  index: number,
): Abstract {
  const at = node.arguments[index];
  return at === undefined ? nothing : walk.doors.evaluate(walk, at, env, frame);
}

function argumentAs(calling: Calling, index: number, type: Type): Abstract {
  const { walk, node, env, frame } = calling;
  const at = node.arguments[index];
  return at === undefined
    ? nothing
    : walk.doors.evaluateAs(walk, type, at, env, frame);
}

function all(calling: Calling): Abstract[] {
  return calling.node.arguments.map((_, index) => argument(calling, index));
}

const declaring = new Set(
  "nf struct vector array hashMap lruMap lpmTrie perCpu counter tokenBucket countMinSketch bloomFilter indexAllocator maglev ringEvents".split(
    " ",
  ),
);

/** A function of the library, by its name. */
export function primitive(calling: Calling, name: string): Abstract {
  const { walk, node, frame } = calling;
  switch (name) {
    case "min":
    case "max":
      return lesserOrGreater(calling, name);
    case "div":
      return quotient(calling);
    case "mul32": {
      const [left, right] = all(calling);
      return left !== undefined &&
        right !== undefined &&
        isNumeric(left) &&
        isNumeric(right)
        ? ofRange("number", walk.transfers.mul32(left.range, right.range))
        : ofRange("number", uint32);
    }
    case "hash":
      return hashOf(calling);
    case "now":
      return ofRange("bigint", uint64);
    case "zero": {
      const type = constantArgument(calling, 0);
      return isType(type)
        ? { kind: "reference", type, map: undefined, born: 0 }
        : opaque;
    }
    case "copy": {
      const type = constantArgument(calling, 0);
      argument(calling, 1);
      if (isType(type)) argumentAs(calling, 2, type);
      killStateFacts(calling.env);
      return nothing;
    }
    case "copyMember": {
      const type = constantArgument(calling, 0);
      argument(calling, 1);
      if (isType(type)) argumentAs(calling, 3, type);
      killStateFacts(calling.env);
      return nothing;
    }
    case "out":
      walk.needPorts(frame, node.expression);
      all(calling);
      return opaque;
    case "redirect":
      all(calling);
      return opaque;
    default:
  }
  if (declaring.has(name)) {
    walk.report(frame, node, "nf-map-outside", {
      name: "NAME",
      call: `${name}({ … })`,
    });
    return opaque;
  }
  const type = walk.nf.constantOf(node.expression, frame.scope)?.value;
  if (isType(type) && type.kind === "scalar") return narrowing(calling, type);
  const whole = walk.nf.constantOf(node, frame.scope);
  if (whole !== undefined) return ofConstant(whole.value);
  walk.report(frame, node, "nf-call", { name });
  return walk.byStaticType(node);
}

function constantArgument(
  { walk, node, frame }: Calling,
  index: number,
): unknown {
  const at = node.arguments[index];
  return at === undefined
    ? undefined
    : walk.nf.constantOf(at, frame.scope)?.value;
}

/** `u32(e)` and its kin: modulo. */
function narrowing(calling: Calling, type: ScalarDescription): Abstract {
  const { walk, node, env, frame } = calling;
  const at = node.arguments[0];
  if (at === undefined) return opaque;
  const whole = walk.nf.constantOf(node, frame.scope);
  if (whole !== undefined && walk.ts.isStringLiteralLike(at))
    return ofConstant(whole.value);
  const value = present(evaluateWrapping(walk, at, env, frame));
  if (type.js === "boolean") return value.kind === "boolean" ? value : either;
  const range = scalarRange(type);
  return ofRange(
    type.js,
    isNumeric(value) ? narrow(value.range, range) : range,
  );
}

function lesserOrGreater(calling: Calling, name: "min" | "max"): Abstract {
  const { walk, node, frame } = calling;
  const values = all(calling).map(present);
  const [first, ...rest] = values;
  if (first === undefined || !isNumeric(first)) return walk.byStaticType(node);
  let { range } = first;
  for (const value of rest) {
    if (!isNumeric(value)) return walk.byStaticType(node);
    if (value.kind !== first.kind) walk.report(frame, node, "nf-mixed");
    range = walk.transfers[name](range, value.range);
  }
  return ofRange(first.kind, range);
}

function quotient(calling: Calling): Abstract {
  const { walk, node, frame } = calling;
  const [left, right] = all(calling);
  const [, divisor] = node.arguments;
  if (
    left === undefined ||
    !isNumeric(left) ||
    right === undefined ||
    !isNumeric(right) ||
    divisor === undefined
  )
    return walk.byStaticType(node);
  checkDivisor(walk, divisor, right, frame);
  return ofRange(left.kind, walk.transfers["/"](left.range, right.range));
}

function hashOf(calling: Calling): Abstract {
  const { walk, node, frame } = calling;
  const type = constantArgument(calling, 0);
  if (isType(type)) argumentAs(calling, 1, type);
  const seed = argument(calling, 2);
  const at = node.arguments[2];
  if (at !== undefined && isNumeric(seed))
    checkRange(
      walk,
      { wanted: uint32, type: "u32", value: seed, what: "the seed" },
      at,
      frame,
    );
  return ofRange("number", uint32);
}

interface PrimitiveState {
  readonly kind: string;
  readonly key: Type | undefined;
  readonly value: Type;
  readonly capacity: number;
}

function isState(value: object): value is PrimitiveState {
  return "kind" in value && "value" in value && "capacity" in value;
}

/** An operation of a primitive declaration. */
export function operation(
  calling: Calling,
  { object, name }: Extract<Callee, { kind: "operation" }>,
): Abstract {
  const { walk, node, frame } = calling;
  if (!isState(object)) {
    all(calling);
    walk.report(frame, node, "nf-call", { name: node.expression.getText() });
    return walk.byStaticType(node);
  }
  switch (`${object.kind.replace(/^percpu-|^lru-/, "")}.${name}`) {
    case "array.get":
      argument(calling, 0);
      return lookedUp(walk, object);
    case "array.at": {
      const index = argument(calling, 0);
      const at = node.arguments[0];
      if (at !== undefined)
        checkIndex(walk, at, present(index), object.capacity, frame);
      return referenceTo(object.value, object, walk.tick());
    }
    case "hash.get":
      if (object.key !== undefined) argumentAs(calling, 0, object.key);
      return lookedUp(walk, object);
    case "hash.has":
      if (object.key !== undefined) argumentAs(calling, 0, object.key);
      return either;
    case "hash.set":
    case "hash.insert":
    case "hash.delete":
      if (object.key !== undefined) argumentAs(calling, 0, object.key);
      if (name !== "delete") argumentAs(calling, 1, object.value);
      calling.env.deaths.set(object, walk.tick());
      killStateFacts(calling.env);
      return name === "set" && object.kind === "lru-hash"
        ? truth(true)
        : either;
    case "lpm-trie.get": {
      const address = argument(calling, 0);
      const at = node.arguments[0];
      if (at !== undefined)
        checkRange(
          walk,
          { wanted: uint32, type: "be32", value: address, what: "the address" },
          at,
          frame,
        );
      return lookedUp(walk, object);
    }
    case "counter.increment":
      return nothing;
    case "counter.add":
    case "counter.fetchAdd": {
      const amount = argument(calling, 0);
      const at = node.arguments[0];
      if (at !== undefined)
        checkRange(
          walk,
          { wanted: uint64, type: "u64", value: amount, what: "what is added" },
          at,
          frame,
        );
      return name === "add" ? nothing : ofRange("bigint", uint64);
    }
    case "ring.emit":
      argumentAs(calling, 0, object.value);
      return either;
    default:
      all(calling);
      walk.report(frame, node, "nf-call", { name: node.expression.getText() });
      return walk.byStaticType(node);
  }
}

function lookedUp(walk: Walk, map: PrimitiveState): Abstract {
  return maybe(referenceTo(map.value, map, walk.tick()));
}

/** A struct type that is called: `FlowKey({ … })`. */
export function construct(calling: Calling, type: unknown): Abstract {
  if (!isType(type) || type.kind !== "struct") {
    all(calling);
    return opaque;
  }
  const value = argumentAs(calling, 0, type);
  const { walk, node, env, frame } = calling;
  const at = node.arguments[0];
  if (at !== undefined)
    checkFits(walk, { type, value, what: "the struct" }, at, frame, env);
  return { kind: "reference", type, map: undefined, born: 0 };
}

const byteReads: Readonly<Record<string, Interval>> = {
  u8: { low: 0n, high: 0xffn },
  u16: { low: 0n, high: 0xffffn },
  u32: uint32,
};

/** A method of a value that is no constant. */
export function memberCall(
  calling: Calling,
  { receiver, name }: Extract<Callee, { kind: "member" }>,
): Abstract {
  const { walk, node, env, frame } = calling;
  const value = present(walk.doors.evaluate(walk, receiver, env, frame));
  const range = byteReads[name];
  const offset = argument(calling, 0);
  if (
    (value.kind === "packet" || value.kind === "bytes") &&
    range !== undefined
  ) {
    const at = node.arguments[0];
    if (at !== undefined && isNumeric(offset) && !contains(int32, offset.range))
      checkRange(
        walk,
        { wanted: int32, type: "i32", value: offset, what: "an offset" },
        at,
        frame,
      );
    return maybe(ofRange("number", range));
  }
  if (isDeclaration(walk, receiver)) {
    walk.report(frame, receiver, "nf-state-variable");
    return walk.byStaticType(node);
  }
  if (value.kind !== "opaque" || !walk.hasSyntaxErrors)
    reportUncallable(calling);
  return walk.byStaticType(node);
}

/** Is it, by its type, a declaration of state (whose object is not known here)? */
function isDeclaration(walk: Walk, node: ts.Expression): boolean {
  const type = walk.nf.checker.getTypeAtLocation(node);
  return (
    type.getProperty("renew") !== undefined &&
    type.getProperty("parts") !== undefined
  );
}

/** What to write for what people reach for. */
const instead: Readonly<Record<string, string>> = {
  "Math.random": "ctx.random, which is a u32",
  "Date.now": "ctx.now, in nanoseconds",
  "performance.now": "ctx.now, in nanoseconds",
  Number: "u32(x), which makes a bigint a number",
  BigInt: "u64(x), which makes a number a bigint",
  "BigInt.asUintN": "u64(x), u32(x) or another narrowing",
  "BigInt.asIntN": "i64(x), i32(x) or another narrowing",
  "Math.floor": "div(a, b) for a / b; integers need no rounding",
  "Math.ceil": "div(a + b - 1, b) for a / b; integers need no rounding",
  "Math.round": "div(a, b) for a / b; integers need no rounding",
  "Math.abs": "x < 0 ? -x : x",
  "Math.pow": "a product, or a shift: 1 << n",
};

export function reportUncallable({ walk, node, frame }: Calling): void {
  const name = plainText(walk.ts, node.expression);
  const known = instead[name];
  const root = name.split(".")[0] ?? "";
  if (known !== undefined)
    walk.report(frame, node, "nf-global", { name, instead: known });
  else if (root === "console")
    walk.report(frame, node, "nf-global", {
      name,
      instead: "events.emit({ … }) with a ringEvents declaration",
    });
  else walk.report(frame, node, "nf-call", { name });
}

/** JavaScript's own functions. */
export function globalCall(calling: Calling, name: string): Abstract {
  const { walk } = calling;
  switch (name) {
    case "Math.min":
      return lesserOrGreater(calling, "min");
    case "Math.max":
      return lesserOrGreater(calling, "max");
    case "Math.trunc":
      return argument(calling, 0);
    case "Math.imul": {
      const [left, right] = all(calling);
      if (left === undefined || !isNumeric(left)) break;
      if (right === undefined || !isNumeric(right)) break;
      const low = walk.transfers.mul32(left.range, right.range);
      return ofRange("number", walk.transfers["|32"](low, exactly(0)));
    }
    default:
      all(calling);
      reportUncallable(calling);
  }
  return walk.byStaticType(calling.node);
}
