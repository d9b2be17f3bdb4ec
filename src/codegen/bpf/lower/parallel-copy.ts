/**
 * Copies that happen all at once, as instructions one after the other.
 *
 * A copy may go when no other copy still reads its destination. When none may,
 * what is left are rings of registers or slots; a ring is opened by saving one
 * word aside, in a free register or in a slot of its own.
 */
import { Bug, type Place as SourcePlace } from "../../../base/index.ts";
import type { Instruction, Register } from "../../../isa/index.ts";
import type { Fresh } from "./low-code.ts";
import { immediateOf } from "./select-operands.ts";

/** Where a word is. */
export type Location =
  | { readonly kind: "register"; readonly register: Register }
  /** Eight bytes of the frame, at an offset from r10. */
  | { readonly kind: "slot"; readonly offset: number };

export interface Copy {
  readonly to: Location;
  readonly from: Location | Fresh;
}

export interface CopyOptions {
  readonly at: SourcePlace;
  /** Registers that hold nothing and get nothing. */
  readonly free: readonly Register[];
  /** A slot for a word put aside; asked for when it is needed only. */
  readonly scratch: (index: 0 | 1) => number;
}

export interface Placed {
  readonly instruction: Instruction;
  readonly at: SourcePlace;
  /** How many argument registers a call reads. */
  readonly args?: number;
}

export function sameLocation(
  left: Location | Fresh,
  right: Location | Fresh,
): boolean {
  if (left.kind === "register" && right.kind === "register")
    return left.register === right.register;
  if (left.kind === "slot" && right.kind === "slot")
    return left.offset === right.offset;
  return false;
}

export function sequence(
  copies: readonly Copy[],
  options: CopyOptions,
): readonly Placed[] {
  const out: Placed[] = [];
  let pending = copies.filter(({ to, from }) => !sameLocation(to, from));
  while (pending.length > 0) {
    const ready = pending.find(
      (copy) =>
        !pending.some(
          (other) => other !== copy && sameLocation(other.from, copy.to),
        ),
    );
    // A word put aside takes a free register as long as it waits.
    const free = options.free.filter(
      (register) => !isTakenBy(pending, register),
    );
    if (ready !== undefined) {
      out.push(...oneCopy(ready, { ...options, free }));
      pending = pending.filter((copy) => copy !== ready);
      continue;
    }
    const [first] = pending;
    if (first === undefined) throw new Bug("a ring of no copies");
    // Nobody may write first.to, for somebody reads it: save that word.
    const [register] = free;
    const aside: Location =
      register === undefined
        ? { kind: "slot", offset: options.scratch(0) }
        : { kind: "register", register };
    out.push(
      ...oneCopy(
        { to: aside, from: first.to },
        { ...options, free: free.slice(1) },
      ),
    );
    pending = pending.map((copy) =>
      sameLocation(copy.from, first.to) ? { ...copy, from: aside } : copy,
    );
  }
  return out;
}

function isTakenBy(copies: readonly Copy[], register: Register): boolean {
  const place = { kind: "register", register } as const;
  return copies.some(
    ({ to, from }) => sameLocation(to, place) || sameLocation(from, place),
  );
}

function oneCopy({ to, from }: Copy, options: CopyOptions): readonly Placed[] {
  const { at } = options;
  const placed = (list: readonly Instruction[]): readonly Placed[] =>
    list.map((instruction) => ({ instruction, at }));
  if (to.kind === "register") return placed(intoRegister(to.register, from));
  if (from.kind === "register")
    return placed([storeWord(to.offset, from.register)]);
  if (from.kind === "constant") {
    const value = immediateOf(from.value, 64);
    if (value !== undefined) return placed([storeConstant(to.offset, value)]);
  }
  // Memory to memory, by a register that is free or is put aside for it.
  const [register] = options.free;
  const through = register ?? 0;
  const code = [...intoRegister(through, from), storeWord(to.offset, through)];
  if (register !== undefined) return placed(code);
  const offset = options.scratch(1);
  return placed([
    storeWord(offset, through),
    ...code,
    ...intoRegister(through, { kind: "slot", offset }),
  ]);
}

export function intoRegister(
  dst: Register,
  from: Location | Fresh,
): readonly Instruction[] {
  switch (from.kind) {
    case "register":
      return dst === from.register ? [] : [move(dst, from.register, 64)];
    case "slot":
      return [
        {
          kind: "load",
          size: 8,
          signed: false,
          dst,
          base: 10,
          offset: from.offset,
        },
      ];
    case "constant":
      return [constant(dst, from.value)];
    case "wide":
      return [{ kind: "load-wide", dst, value: from.value }];
    case "frame": {
      const copy = move(dst, 10, 64);
      const { offset } = from;
      const src = { kind: "immediate", value: offset } as const;
      return offset === 0
        ? [copy]
        : [copy, { kind: "alu", op: "add", width: 64, dst, src }];
    }
  }
}

/** The shortest way to a constant. */
function constant(dst: Register, word: bigint): Instruction {
  const width = word <= 0xffff_ffffn ? 32 : 64;
  const value = immediateOf(word, width);
  return value === undefined
    ? { kind: "load-wide", dst, value: { kind: "number", value: word } }
    : {
        kind: "alu",
        op: "mov",
        width,
        dst,
        src: { kind: "immediate", value },
      };
}

export function move(
  dst: Register,
  from: Register,
  width: 32 | 64,
): Instruction {
  return {
    kind: "alu",
    op: "mov",
    width,
    dst,
    src: { kind: "register", register: from },
  };
}

export function storeWord(offset: number, register: Register): Instruction {
  return {
    kind: "store",
    size: 8,
    base: 10,
    offset,
    src: { kind: "register", register },
  };
}

function storeConstant(offset: number, value: number): Instruction {
  return {
    kind: "store",
    size: 8,
    base: 10,
    offset,
    src: { kind: "immediate", value },
  };
}
