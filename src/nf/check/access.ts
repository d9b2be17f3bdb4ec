/**
 * Members and elements: reading them, assigning them, and whether a value fits
 * where it is put. The ranges of fields are those of their types: of the library's
 * structs and of its table of header fields.
 */
import type { ts } from "../front/typescript-api.ts";
import type { Type } from "../library/struct.ts";
import { isComputed } from "../front/constant.ts";
import { viewFields, type ViewName } from "../library/view-table.ts";
import {
  isNumeric,
  joinValues,
  maybe,
  ofConstant,
  ofRange,
  ofType,
  either,
  present,
  type Abstract,
} from "./abstract-value.ts";
import { killFacts, type Environment, type Fact } from "./environment.ts";
import { exactly, meet, uint32, uint64, type Interval } from "./interval.ts";
import { checkAlive, checkFits, checkIndex, checkRange } from "./fits.ts";
import { bare, type Frame, type Walk } from "./walk.ts";

/** No frame is longer: XDP gives 16 bits to the offset of a packet pointer. */
const frameLength: Interval = { low: 0n, high: 65_535n };

const inside: Readonly<Record<string, readonly string[]>> = {
  packet: ["eth", "vlan", "ipv4", "ipv6", "tcp", "udp", "icmp", "l4"],
  vlan: ["ipv4", "ipv6"],
  ipv4: ["tcp", "udp", "icmp", "l4"],
  ipv6: ["tcp", "udp", "icmp", "l4"],
};

function isView(name: string): name is ViewName {
  return name in viewFields;
}

function headerField(view: ViewName, name: string): Abstract | undefined {
  const field = viewFields[view][name];
  if (field === undefined) return undefined;
  if (field.js === "boolean") return either;
  return ofRange(field.js, bitRange(field.bits));
}

/** The narrowing to so many bits. */
const scalarOfBits: Readonly<Record<number, string>> = {
  8: "u8",
  16: "u16",
  32: "u32",
  48: "mac",
  64: "u64",
};

function bitRange(bits: number): Interval {
  return { low: 0n, high: (1n << BigInt(bits)) - 1n };
}

export function readMember(
  walk: Walk,
  node: ts.PropertyAccessExpression,
  env: Environment,
  frame: Frame,
): Abstract {
  const owner = present(walk.doors.evaluate(walk, node.expression, env, frame));
  const value = member(walk, node, owner, env, frame);
  if (!isNumeric(value)) return value;
  if (owner.kind === "header" || owner.kind === "reference")
    walk.declared.set(node, value.range);
  const path = memberPath(walk, node, env);
  const fact = path === undefined ? undefined : env.facts.get(path.text);
  const range = fact === undefined ? undefined : meet(fact.range, value.range);
  return range === undefined ? value : ofRange(value.kind, range);
}

function member(
  walk: Walk,
  node: ts.PropertyAccessExpression,
  owner: Abstract,
  env: Environment,
  frame: Frame,
): Abstract {
  return (
    memberOf(walk, node, owner, node.name.text, env, frame) ??
    walk.byStaticType(node)
  );
}

/** The member `name` of a value; undefined where nothing is known of it. */
export function memberOf(
  walk: Walk,
  node: ts.Node,
  owner: Abstract,
  name: string,
  env: Environment,
  frame: Frame,
): Abstract | undefined {
  switch (owner.kind) {
    case "context":
      if (name === "port") walk.needPorts(frame, node);
      return contextMember(walk, name);
    case "packet":
      if (name === "length") return ofRange("number", frameLength);
      return inside["packet"]?.includes(name) === true && isView(name)
        ? maybe({ kind: "header", view: name })
        : undefined;
    case "header":
      if (inside[owner.view]?.includes(name) === true && isView(name))
        return maybe({ kind: "header", view: name });
      if (name === "payload") return { kind: "bytes" };
      return headerField(owner.view, name);
    case "bytes":
      return name === "length" ? ofRange("number", frameLength) : undefined;
    case "reference":
      checkAlive(walk, node, owner, env, frame);
      return fieldOf(owner.type, name, owner);
    case "object": {
      let value: Abstract | undefined;
      for (const site of owner.sites) {
        const field = env.heap.get(site)?.get(name);
        if (field !== undefined)
          value = value === undefined ? field : joinValues(value, field);
      }
      return value;
    }
    case "constant": {
      const found = constantMember(owner.value, name);
      if (found === undefined)
        walk.report(frame, node, "nf-call", { name: node.getText() });
      return found;
    }
    case "number":
    case "bigint":
    case "boolean":
    case "nothing":
    case "maybe":
    case "opaque":
      return undefined;
  }
}

function contextMember(walk: Walk, name: string): Abstract | undefined {
  const { nf } = walk;
  switch (name) {
    case "now":
      return ofRange("bigint", uint64);
    case "random":
      return ofRange("number", uint32);
    case "port":
      return ofRange("number", {
        low: 0n,
        high: BigInt(Math.max(0, nf.ports.length - 1)),
      });
    case "config":
      return ofConstant(
        Object.fromEntries(nf.config.map((entry) => [entry.name, entry.value])),
      );
    case "state":
      return ofConstant(Object.fromEntries(nf.state));
    default:
      return undefined;
  }
}

function constantMember(value: unknown, name: string): Abstract | undefined {
  if (Array.isArray(value) && name === "length")
    return ofConstant(value.length);
  if (
    (typeof value === "object" || typeof value === "function") &&
    value !== null &&
    name in value &&
    !isComputed(value, name)
  )
    return ofConstant(Reflect.get(value, name));
  return undefined;
}

function fieldOf(
  type: Type,
  name: string,
  owner: { readonly map: object | undefined; readonly born: number },
): Abstract | undefined {
  const field = fieldType(type, name);
  if (field !== undefined) return ofType(field, owner.map, owner.born);
  if (type.kind === "vector" && name === "length")
    return ofRange("number", exactly(type.count));
  return undefined;
}

/** The type of a member of a value: a struct's field, or `.value` of a scalar. */
function fieldType(type: Type, name: string): Type | undefined {
  if (type.kind === "scalar") return name === "value" ? type : undefined;
  if (type.kind !== "struct") return undefined;
  return type.fields.find((field) => field.name === name)?.type;
}

export function readElement(
  walk: Walk,
  node: ts.ElementAccessExpression,
  env: Environment,
  frame: Frame,
): Abstract {
  const owner = present(walk.doors.evaluate(walk, node.expression, env, frame));
  const index = walk.doors.evaluate(walk, node.argumentExpression, env, frame);
  if (owner.kind === "reference" && owner.type.kind === "vector") {
    checkAlive(walk, node, owner, env, frame);
    checkIndex(walk, node.argumentExpression, index, owner.type.count, frame);
    return ofType(owner.type.element, owner.map, owner.born);
  }
  if (owner.kind === "constant" && Array.isArray(owner.value)) {
    const items: readonly unknown[] = owner.value;
    checkIndex(walk, node.argumentExpression, index, items.length, frame);
    const within = isNumeric(index)
      ? meet(index.range, { low: 0n, high: BigInt(items.length) - 1n })
      : undefined;
    if (within === undefined) return walk.byStaticType(node);
    return items
      .slice(Number(within.low), Number(within.high) + 1)
      .map(ofConstant)
      .reduce((left, right) => joinValues(left, right));
  }
  // What is no value of the subset was reported where it was made.
  if (owner.kind !== "opaque" || !walk.hasSyntaxErrors)
    walk.report(frame, node.argumentExpression, "nf-computed-property");
  return walk.byStaticType(node);
}

/** `target = value`; `source` is where the value stands. */
export function assign(
  walk: Walk,
  outer: ts.Expression,
  value: Abstract,
  env: Environment,
  frame: Frame,
  source: ts.Expression = outer,
): void {
  const { ts } = walk;
  const target = bare(ts, outer);
  if (ts.isIdentifier(target)) {
    const symbol = walk.symbolOf(target);
    if (symbol !== undefined) setVariable(walk, env, symbol, value);
    return;
  }
  if (ts.isPropertyAccessExpression(target)) {
    assignMember(walk, { target, source, value }, env, frame);
    return;
  }
  if (!ts.isElementAccessExpression(target)) return;
  const owner = present(
    walk.doors.evaluate(walk, target.expression, env, frame),
  );
  const index = walk.doors.evaluate(
    walk,
    target.argumentExpression,
    env,
    frame,
  );
  if (owner.kind !== "reference" || owner.type.kind !== "vector") {
    walk.report(frame, target, "nf-read-only", {
      name: target.getText(),
      instead: "an assignment to a field of a header, a struct or a reference",
    });
    return;
  }
  checkAlive(walk, target, owner, env, frame);
  checkIndex(walk, target.argumentExpression, index, owner.type.count, frame);
  checkWhole(walk, target, { type: owner.type.element, map: owner.map }, frame);
  const what = `\`${target.getText()}\``;
  checkFits(
    walk,
    { type: owner.type.element, value, what },
    source,
    frame,
    env,
  );
}

/** In state only scalars are assigned: a struct would be shared in JavaScript. */
function checkWhole(
  walk: Walk,
  target: ts.Expression,
  { type, map }: { readonly type: Type; readonly map: object | undefined },
  frame: Frame,
): void {
  if (type.kind === "scalar" || map === undefined) return;
  walk.report(frame, target, "nf-struct-assignment", {
    name: target.getText(),
  });
}

export function setVariable(
  walk: Walk,
  env: Environment,
  symbol: ts.Symbol,
  value: Abstract,
): void {
  env.variables.set(symbol, value);
  const root = `#${walk.numberOf(symbol)}.`;
  for (const path of env.facts.keys())
    if (path.startsWith(root)) env.facts.delete(path);
}

const readOnlyField = "a `let` of its own, or another field: this one is fixed";

interface Assignment {
  readonly target: ts.PropertyAccessExpression;
  readonly source: ts.Expression;
  readonly value: Abstract;
}

function assignMember(
  walk: Walk,
  { target, source, value }: Assignment,
  env: Environment,
  frame: Frame,
): void {
  const owner = present(
    walk.doors.evaluate(walk, target.expression, env, frame),
  );
  const name = target.name.text;
  killFacts(env, name);
  const readOnly = (instead: string): void => {
    walk.report(frame, target.name, "nf-read-only", { name, instead });
  };
  switch (owner.kind) {
    case "header": {
      const field = viewFields[owner.view][name];
      if (field?.assign === undefined) {
        readOnly(readOnlyField);
        return;
      }
      const wanted = bitRange(field.bits);
      checkRange(
        walk,
        {
          wanted,
          type: scalarOfBits[field.bits] ?? `${field.bits} bits`,
          value,
          what: `\`${target.getText()}\``,
        },
        source,
        frame,
      );
      break;
    }
    case "reference": {
      checkAlive(walk, target, owner, env, frame);
      const type = fieldType(owner.type, name);
      if (type === undefined) break;
      checkWhole(walk, target, { type, map: owner.map }, frame);
      const what = `\`${target.getText()}\``;
      checkFits(walk, { type, value, what }, source, frame, env);
      break;
    }
    case "object":
      for (const site of owner.sites) {
        const fields = env.heap.get(site) ?? new Map<string, Abstract>();
        const old = fields.get(name);
        fields.set(name, old === undefined ? value : joinValues(old, value));
        env.heap.set(site, fields);
      }
      return;
    case "constant":
    case "context":
    case "packet":
    case "bytes":
      readOnly(readOnlyField);
      return;
    case "number":
    case "bigint":
    case "boolean":
    case "nothing":
    case "maybe":
    case "opaque":
      return;
  }
  rememberRange(walk, target, value, env);
}

/** What was just assigned is what is there. */
function rememberRange(
  walk: Walk,
  target: ts.PropertyAccessExpression,
  value: Abstract,
  env: Environment,
): void {
  if (!isNumeric(value)) return;
  const path = memberPath(walk, target, env);
  if (path === undefined) return;
  const { text, ...rest } = path;
  env.facts.set(text, { ...rest, range: value.range });
}

/** The range of the type of a header's or a struct's field, before any test. */
export function fieldRange(
  walk: Walk,
  node: ts.Expression,
): Interval | undefined {
  return walk.declared.get(node);
}

export interface MemberPath extends Omit<Fact, "range"> {
  readonly text: string;
}

/** Members whose value another reading, or an assignment to another one, changes. */
const unsteady = new Set(["random", "checksum"]);

/** The text of `a.b.c`, where `a` is a variable; else undefined. */
export function memberPath(
  walk: Walk,
  node: ts.Expression,
  env: Environment,
): MemberPath | undefined {
  const { ts } = walk;
  const members: string[] = [];
  let at = bare(ts, node);
  while (ts.isPropertyAccessExpression(at)) {
    if (unsteady.has(at.name.text)) return undefined;
    members.unshift(at.name.text);
    at = bare(ts, at.expression);
  }
  if (members.length === 0 || !ts.isIdentifier(at)) return undefined;
  const symbol = walk.symbolOf(at);
  const root = symbol === undefined ? undefined : env.variables.get(symbol);
  if (symbol === undefined || root === undefined) return undefined;
  const { kind } = present(root);
  return {
    text: `#${walk.numberOf(symbol)}.${members.join(".")}`,
    members,
    ofState: kind !== "header" && kind !== "packet" && kind !== "bytes",
  };
}
