/**
 * What a register or spill slot is known to hold while a function is translated.
 *
 * Facts serve three ends: a helper's map is known where it is called, addresses
 * in the own stack frame and context are constants, and an access that provably
 * stays in its region needs no check. A wrong "unknown" costs time; nothing here
 * may claim what could be false for any program, verified by a kernel or not.
 *
 * Packet pointers: `id` names a value, `offset` a constant distance from it.
 * For each id `floor` is an offset known to lie at or above data_meta and `bound`
 * one known to lie at or below data_end. An access [o, o+s) is inside when
 * floor ≤ o and o + s ≤ bound: the addresses are then small numbers, so nothing
 * wrapped around. A comparison with data_end raises `bound`; an access that was
 * checked gives both.
 *
 * An id is the number of the instruction that made the value. No fact can name that
 * instruction when it is reached again: the way that reaches it first knows nothing of
 * it, and a join keeps what all ways agree on. So an id always means the last value.
 *
 * Map values: `offset` from the value's start. Without it nothing is claimed but which
 * map an access is to be checked against, which null or any number does not pass.
 * `id` names the lookup that gave it, so that testing one copy for null tells of
 * all copies; -1 where copies are no longer known to be the same pointer.
 */
import { mirrored, type Instruction, type Register } from "../../isa/index.ts";
import { frameSize } from "./layout.ts";

export type Fact =
  | { readonly kind: "any" }
  | { readonly kind: "number"; readonly value: bigint }
  | { readonly kind: "context"; readonly offset: number }
  /** Without offset: somewhere in some frame. */
  | { readonly kind: "stack"; readonly offset?: number }
  | { readonly kind: "packet"; readonly id: PacketId; readonly offset: number }
  | { readonly kind: "packet-end" }
  | {
      readonly kind: "value";
      readonly map: number;
      /** A value of any map of that set; `map` is its first. */
      readonly set?: number;
      readonly offset?: number;
      readonly mayBeNull: boolean;
      readonly id: number;
    }
  | { readonly kind: "map"; readonly map: number }
  /** A map of that set, or null. */
  | { readonly kind: "inner"; readonly set: number }
  | { readonly kind: "function"; readonly index: number };

type ValueFact = Fact & { readonly kind: "value" };

/** `data`, `meta`, the instruction that added an unknown number, or `?`: none known. */
export type PacketId = "data" | "meta" | "?" | number;

export interface Extent {
  readonly floor?: number;
  readonly bound?: number;
}

/** Everything known at one point of a function. */
export interface Knowledge {
  readonly registers: Fact[];
  /** Eight-byte spill slots by offset from r10. To change them: `ownSlots`. */
  slots: ReadonlyMap<number, Fact>;
  extents: ReadonlyMap<PacketId, Extent>;
  /** Whether a copy has the same map, which so must not be changed. */
  sharesSlots: boolean;
  sharesExtents: boolean;
  /** Bytes of the own frame that were written: bit n of all is the byte at r10 − 512 + n. */
  written: readonly number[];
}

export const any: Fact = { kind: "any" };
const zero: Fact = { kind: "number", value: 0n };

export function entryKnowledge(parameters: readonly Fact[]): Knowledge {
  const registers: Fact[] = Array.from({ length: 11 }, () => any);
  for (const [index, fact] of parameters.entries()) registers[index + 1] = fact;
  registers[10] = { kind: "stack", offset: 0 };
  return {
    registers,
    slots: new Map(),
    extents: freshExtents(),
    sharesSlots: false,
    sharesExtents: false,
    written: nothingWritten,
  };
}

/** Nothing is known of the packet but that it starts at data. */
function freshExtents(): Map<PacketId, Extent> {
  return new Map([
    ["data", { floor: 0, bound: 0 }],
    ["meta", { floor: 0, bound: 0 }],
  ]);
}

const nothingWritten: readonly number[] = Array.from({ length: 16 }, () => 0);

/** Maps are copied once one of the two changes them: most never do. */
export function copyKnowledge(from: Knowledge): Knowledge {
  from.sharesSlots = from.sharesExtents = true;
  return { ...from, registers: from.registers.slice() };
}

/** The spill slots, to be changed. */
export function ownSlots(know: Knowledge): Map<number, Fact> {
  if (!know.sharesSlots) return know.slots as Map<number, Fact>;
  const own = new Map(know.slots);
  know.slots = own;
  know.sharesSlots = false;
  return own;
}

export function clearSlots(know: Knowledge): void {
  if (know.slots.size > 0) ownSlots(know).clear();
}

function ownExtents(know: Knowledge): Map<PacketId, Extent> {
  if (!know.sharesExtents) return know.extents as Map<PacketId, Extent>;
  const own = new Map(know.extents);
  know.extents = own;
  know.sharesExtents = false;
  return own;
}

export function factOf(know: Knowledge, register: Register): Fact {
  return know.registers[register] ?? any;
}

/** Makes `into` true of both; answers whether it changed. */
export function joinInto(into: Knowledge, other: Knowledge): boolean {
  let changed = false;
  for (let index = 0; index < into.registers.length; index++) {
    const fact = into.registers[index] ?? any;
    const joined = joinFacts(fact, other.registers[index] ?? any);
    if (sameFact(joined, fact)) continue;
    into.registers[index] = joined;
    changed = true;
  }
  const differ = into.slots !== other.slots;
  for (const [offset, fact] of differ ? into.slots : []) {
    const joined = joinFacts(fact, other.slots.get(offset) ?? any);
    if (sameFact(joined, fact)) continue;
    if (joined.kind === "any") ownSlots(into).delete(offset);
    else ownSlots(into).set(offset, joined);
    changed = true;
  }
  const moved = into.extents !== other.extents;
  for (const [id, extent] of moved ? into.extents : []) {
    const joined = joinExtents(extent, other.extents.get(id) ?? nowhere);
    if (joined === extent) continue;
    ownExtents(into).set(id, joined);
    changed = true;
  }
  if (into.written === other.written) return changed;
  if (isSubset(into.written, other.written)) return changed;
  into.written = into.written.map(
    (word, index) => word & (other.written[index] ?? 0),
  );
  return true;
}

function isSubset(words: readonly number[], of: readonly number[]): boolean {
  for (let index = 0; index < words.length; index++)
    if (((words[index] ?? 0) & ~(of[index] ?? 0)) !== 0) return false;
  return true;
}

/** [at, at + size), at from r10: bytes outside the frame do not count. */
export function noteWritten(know: Knowledge, at: number, size: number): void {
  if (isWritten(know, at, size)) return;
  const written = [...know.written];
  const end = Math.min(at + size, 0) + frameSize;
  for (let byte = Math.max(at + frameSize, 0); byte < end; byte++)
    written[byte >> 5] = (written[byte >> 5] ?? 0) | (1 << (byte & 31));
  know.written = written;
}

export function isWritten(know: Knowledge, at: number, size: number): boolean {
  const end = Math.min(at + size, 0) + frameSize;
  for (let byte = Math.max(at + frameSize, 0); byte < end; byte++)
    if (((know.written[byte >> 5] ?? 0) & (1 << (byte & 31))) === 0)
      return false;
  return true;
}

export function joinFacts(a: Fact, b: Fact): Fact {
  if (sameFact(a, b)) return a;
  if (a.kind === "packet" && b.kind === "packet")
    return { kind: "packet", id: "?", offset: 0 };
  if (a.kind === "stack" && b.kind === "stack") return { kind: "stack" };
  if (a.kind === "value" && isZero(b)) return orNull(a);
  if (b.kind === "value" && isZero(a)) return orNull(b);
  if (a.kind === "inner" && isZero(b)) return a;
  if (b.kind === "inner" && isZero(a)) return b;
  if (a.kind !== "value" || b.kind !== "value") return any;
  if (a.map !== b.map || a.set !== b.set) return any;
  if (a.offset === undefined || a.offset !== b.offset) return somewhereIn(a);
  const mayBeNull = a.mayBeNull || b.mayBeNull;
  const id = a.id === b.id ? a.id : -1;
  return { ...a, mayBeNull, id };
}

function orNull(value: ValueFact): Fact {
  return value.offset === 0
    ? { ...value, mayBeNull: true, id: -1 }
    : somewhereIn(value);
}

/** Perhaps in a value of the map; null is found out by the same check. */
export function somewhereIn({ map, set }: ValueFact): Fact {
  if (set !== undefined) return any;
  return { kind: "value", map, mayBeNull: false, id: -1 };
}

const nowhere: Extent = {};

/** `a` itself where `b` takes nothing from it: most joins change nothing. */
function joinExtents(a: Extent, b: Extent): Extent {
  const keepsFloor =
    a.floor === undefined || (b.floor !== undefined && b.floor <= a.floor);
  const keepsBound =
    a.bound === undefined || (b.bound !== undefined && b.bound >= a.bound);
  if (keepsFloor && keepsBound) return a;
  return {
    ...(a.floor === undefined || b.floor === undefined
      ? {}
      : { floor: Math.max(a.floor, b.floor) }),
    ...(a.bound === undefined || b.bound === undefined
      ? {}
      : { bound: Math.min(a.bound, b.bound) }),
  };
}

function sameFact(a: Fact, b: Fact): boolean {
  if (a === b) return true;
  switch (a.kind) {
    case "any":
    case "packet-end":
      return a.kind === b.kind;
    case "number":
      return a.kind === b.kind && a.value === b.value;
    case "context":
    case "stack":
      return a.kind === b.kind && a.offset === b.offset;
    case "packet":
      return a.kind === b.kind && a.id === b.id && a.offset === b.offset;
    case "value":
      return (
        a.kind === b.kind &&
        a.map === b.map &&
        a.set === b.set &&
        a.offset === b.offset &&
        a.mayBeNull === b.mayBeNull &&
        a.id === b.id
      );
    case "map":
      return a.kind === b.kind && a.map === b.map;
    case "inner":
      return a.kind === b.kind && a.set === b.set;
    case "function":
      return a.kind === b.kind && a.index === b.index;
  }
}

function isZero(fact: Fact): boolean {
  return fact.kind === "number" && fact.value === 0n;
}

/** The packet was moved or resized: what was known of places in it is void. */
export function forgetPacket(know: Knowledge): void {
  mapFacts(know, (fact) => {
    if (fact.kind === "packet") return { kind: "packet", id: "?", offset: 0 };
    return fact.kind === "packet-end" ? any : fact;
  });
  know.extents = freshExtents();
  know.sharesExtents = false;
}

function mapFacts(know: Knowledge, change: (fact: Fact) => Fact): void {
  for (const [index, fact] of know.registers.entries())
    know.registers[index] = change(fact);
  for (const [offset, fact] of know.slots) {
    const changed = change(fact);
    if (changed !== fact) ownSlots(know).set(offset, changed);
  }
}

/** The access [offset, offset + size) of the packet at `id` did not fault. */
export function noteInside(
  know: Knowledge,
  id: PacketId,
  offset: number,
  size: number,
): void {
  if (id === "?") return;
  const { floor, bound } = know.extents.get(id) ?? nowhere;
  if (
    floor !== undefined &&
    bound !== undefined &&
    floor <= offset &&
    offset + size <= bound
  )
    return;
  ownExtents(know).set(id, {
    floor: Math.min(floor ?? offset, offset),
    bound: Math.max(bound ?? offset + size, offset + size),
  });
}

export function isInside(
  know: Knowledge,
  fact: Fact & { readonly kind: "packet" },
  offset: number,
  size: number,
): boolean {
  const { floor, bound } = know.extents.get(fact.id) ?? {};
  const at = fact.offset + offset;
  return (
    fact.id !== "?" &&
    floor !== undefined &&
    bound !== undefined &&
    floor <= at &&
    at + size <= bound
  );
}

/** A branch was taken or not: what that tells, as a change to `know`. */
export function learnFromBranch(
  know: Knowledge,
  branch: Instruction & { readonly kind: "branch" },
  taken: boolean,
): void {
  if (branch.width !== 64) return;
  const left = factOf(know, branch.left);
  const right = operandFact(know, branch.right);
  if (left.kind === "value" && isZero(right) && left.offset === 0) {
    const isNull = branch.op === "jeq" ? taken : !taken;
    if ((branch.op === "jeq" || branch.op === "jne") && left.mayBeNull)
      learnNull(know, branch.left, isNull);
    return;
  }
  if (left.kind === "packet" && isEnd(right))
    learnBelow(know, left, belowEnd(branch.op, taken));
  else if (right.kind === "packet" && isEnd(left))
    learnBelow(know, right, belowEnd(mirrored[branch.op], taken));
}

/** data counts as an upper end for data_meta: it is never above data_end. */
function isEnd(fact: Fact): boolean {
  return (
    fact.kind === "packet-end" ||
    (fact.kind === "packet" && fact.id === "data" && fact.offset === 0)
  );
}

/** From `pointer OP end`: how many bytes from the pointer on exist at least, if known. */
function belowEnd(name: string, taken: boolean): 0 | 1 | undefined {
  if (name === "jgt") return taken ? undefined : 0;
  if (name === "jge") return taken ? undefined : 1;
  if (name === "jlt") return taken ? 1 : undefined;
  if (name === "jle") return taken ? 0 : undefined;
  return undefined;
}

function learnBelow(
  know: Knowledge,
  pointer: Fact & { readonly kind: "packet" },
  more: 0 | 1 | undefined,
): void {
  if (more === undefined || pointer.id === "?") return;
  const { floor, bound } = know.extents.get(pointer.id) ?? {};
  const reached = Math.max(bound ?? -Infinity, pointer.offset + more);
  ownExtents(know).set(pointer.id, {
    ...(floor === undefined ? {} : { floor }),
    bound: reached,
  });
}

function learnNull(know: Knowledge, register: Register, isNull: boolean): void {
  const tested = factOf(know, register);
  if (tested.kind !== "value") return;
  const refine = (fact: ValueFact): Fact => {
    if (!isNull) return { ...fact, mayBeNull: false };
    return fact.offset === 0 ? zero : any;
  };
  know.registers[register] = refine(tested);
  if (tested.id >= 0)
    mapFacts(know, (fact) =>
      fact.kind === "value" && fact.id === tested.id ? refine(fact) : fact,
    );
}

type Operand = (Instruction & { readonly kind: "alu" })["src"];

export function operandFact(know: Knowledge, operand: Operand): Fact {
  return operand.kind === "register"
    ? factOf(know, operand.register)
    : { kind: "number", value: BigInt(operand.value) };
}
