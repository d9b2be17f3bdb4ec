/**
 * Loads, stores and atomics as steps. An address is a slot plus a constant; what is
 * not memory faults (see memory.ts). One run has one CPU, so an atomic is a plain
 * read-modify-write here, and acquire and release order nothing.
 */
import type { AtomicOp, Size } from "../isa/index.ts";
import type { Executor } from "./code.ts";
import type { Step } from "./word-steps.ts";

export interface Access {
  /** Slot and constant that add up to the address. */
  readonly base: number;
  readonly offset: number;
  readonly size: Size;
  readonly next: number;
  /** Called before an observed access, so that it knows its place. */
  readonly mark: () => void;
}

function addressOf(frame: DataView, from: number, offset: number): number {
  return (
    frame.getUint32(from + 4, true) * 4294967296 +
    frame.getUint32(from, true) +
    offset
  );
}

type Mover = (
  from: DataView,
  fromAt: number,
  to: DataView,
  toAt: number,
) => void;

// prettier-ignore
const loads: Readonly<Record<Size, Mover>> = {
  1: (from, fromAt, to, toAt) => { to.setUint32(toAt, from.getUint8(fromAt), true); to.setUint32(toAt + 4, 0, true); },
  2: (from, fromAt, to, toAt) => { to.setUint32(toAt, from.getUint16(fromAt, true), true); to.setUint32(toAt + 4, 0, true); },
  4: (from, fromAt, to, toAt) => { to.setUint32(toAt, from.getUint32(fromAt, true), true); to.setUint32(toAt + 4, 0, true); },
  8: moveWord,
};

// prettier-ignore
const signedLoads: Readonly<Record<Size, Mover>> = {
  1: (from, fromAt, to, toAt) => setSigned(to, toAt, from.getInt8(fromAt)),
  2: (from, fromAt, to, toAt) => setSigned(to, toAt, from.getInt16(fromAt, true)),
  4: (from, fromAt, to, toAt) => setSigned(to, toAt, from.getInt32(fromAt, true)),
  8: moveWord,
};

// prettier-ignore
const stores: Readonly<Record<Size, Mover>> = {
  1: (from, fromAt, to, toAt) => to.setUint8(toAt, from.getUint8(fromAt)),
  2: (from, fromAt, to, toAt) => to.setUint16(toAt, from.getUint16(fromAt, true), true),
  4: (from, fromAt, to, toAt) => to.setUint32(toAt, from.getUint32(fromAt, true), true),
  8: moveWord,
};

function moveWord(
  from: DataView,
  fromAt: number,
  to: DataView,
  toAt: number,
): void {
  to.setUint32(toAt, from.getUint32(fromAt, true), true);
  to.setUint32(toAt + 4, from.getUint32(fromAt + 4, true), true);
}

function setSigned(to: DataView, at: number, value: number): void {
  to.setInt32(at, value, true);
  to.setInt32(at + 4, value >> 31, true);
}

export function loadStep(
  machine: Executor,
  access: Access,
  d: number,
  signed: boolean,
): Step {
  const { memory } = machine;
  const { offset, size, next } = access;
  const [to, from] = [8 * d, 8 * access.base];
  const move = (signed ? signedLoads : loads)[size];
  const seen = observed(machine, access, "load", false);
  return (frame) => {
    const address = addressOf(frame, from, offset);
    memory.locate(address, size, false);
    move(memory.chunk.view, memory.at, frame, to);
    seen?.(address);
    return next;
  };
}

export function storeStep(machine: Executor, access: Access, s: number): Step {
  const { memory } = machine;
  const { offset, size, next } = access;
  const [from, base] = [8 * s, 8 * access.base];
  const move = stores[size];
  const seen = observed(machine, access, "store", true);
  return (frame) => {
    const address = addressOf(frame, base, offset);
    memory.locate(address, size, true);
    move(frame, from, memory.chunk.view, memory.at);
    seen?.(address);
    return next;
  };
}

export interface AtomicSlots {
  readonly op: AtomicOp;
  readonly value: number;
  /** Where the old value goes, if anywhere. */
  readonly result?: number;
  /** What cmpxchg compares with. */
  readonly expected?: number;
}

export function atomicStep(
  machine: Executor,
  access: Access,
  { op, value, result, expected = value }: AtomicSlots,
): Step {
  const { memory } = machine;
  const { offset, size, next } = access;
  const [base, from, other] = [8 * access.base, 8 * value, 8 * expected];
  const update = size === 8 ? atomics64[op] : atomics32[op];
  const seen = observed(machine, access, "atomic", true);
  return (frame) => {
    const address = addressOf(frame, base, offset);
    memory.locate(address, size, true);
    const { view } = memory.chunk;
    const old =
      size === 8
        ? view.getBigUint64(memory.at, true)
        : BigInt(view.getUint32(memory.at, true));
    update(view, memory.at, frame, from, other);
    if (result !== undefined) frame.setBigUint64(8 * result, old, true);
    seen?.(address);
    return next;
  };
}

/** Changes the memory at `at`, given frame slots of the operand and the expected value. */
type Atomic = (
  view: DataView,
  at: number,
  frame: DataView,
  value: number,
  expected: number,
) => void;

function atomic32(operation: (old: number, value: number) => number): Atomic {
  return (view, at, frame, value) => {
    const result = operation(
      view.getUint32(at, true),
      frame.getUint32(value, true),
    );
    view.setUint32(at, result, true);
  };
}
function atomic64(operation: (old: bigint, value: bigint) => bigint): Atomic {
  return (view, at, frame, value) => {
    const result = operation(
      view.getBigUint64(at, true),
      frame.getBigUint64(value, true),
    );
    view.setBigUint64(at, result, true);
  };
}

const atomics32: Readonly<Record<AtomicOp, Atomic>> = {
  add: atomic32((old, value) => old + value),
  or: atomic32((old, value) => old | value),
  and: atomic32((old, value) => old & value),
  xor: atomic32((old, value) => old ^ value),
  xchg: atomic32((_, value) => value),
  cmpxchg: (view, at, frame, value, expected) => {
    if (view.getUint32(at, true) === frame.getUint32(expected, true))
      view.setUint32(at, frame.getUint32(value, true), true);
  },
};

const atomics64: Readonly<Record<AtomicOp, Atomic>> = {
  add: atomic64((old, value) => old + value),
  or: atomic64((old, value) => old | value),
  and: atomic64((old, value) => old & value),
  xor: atomic64((old, value) => old ^ value),
  xchg: atomic64((_, value) => value),
  cmpxchg: (view, at, frame, value, expected) => {
    if (view.getBigUint64(at, true) === frame.getBigUint64(expected, true))
      view.setBigUint64(at, frame.getBigUint64(value, true), true);
  },
};

function observed(
  machine: Executor,
  { mark, size }: Access,
  op: "load" | "store" | "atomic",
  writes: boolean,
): ((address: number) => void) | undefined {
  if (machine.observer.touch === undefined) return undefined;
  return (address) => {
    mark();
    machine.touchAddress(address, op, writes, size);
  };
}
