/**
 * The port and queue of a packet as arguments of the entry function.
 *
 * BPF_PROG_TEST_RUN gives one context to all packets of a call, so a program that
 * runs over many packets in one call would see one port only. Here the entry takes
 * both numbers in r2 and r3, keeps them under its stack, and reads them there:
 *
 *   [r10 - d - 8]   ingress_ifindex      d: the deepest byte of its own stack,
 *   [r10 - d - 16]  rx_queue_index          up to a multiple of 8
 *
 * A load counts as one of the context where its base holds the context on every path:
 * a register copy of r1, or one that was spilled whole and filled again. The verifier
 * takes no load whose base is a context on one path only, so none is missed, but in
 * subprograms: a program that hands its context to one is left alone.
 *
 * Source: include/uapi/linux/bpf.h (struct xdp_md).
 */
import {
  editFunction,
  targetOf,
  type Edit,
  type FunctionSpec,
  type Instruction,
  type Register,
} from "../../../isa/index.ts";

const ifindexOffset = 12;
const queueOffset = 16;
const stackSize = 512;

/** Registers and 8-byte stack slots that hold the context, as `r6`, `s-16`. */
type Holders = ReadonlySet<string>;

export interface PortArguments {
  readonly entry: FunctionSpec;
  /** Which fields became arguments. */
  readonly fields: readonly string[];
}

/** The entry with its port as an argument; undefined where that cannot be done. */
export function portArguments(
  functions: readonly FunctionSpec[],
): PortArguments | undefined {
  const [entry, ...others] = functions;
  if (entry === undefined) return undefined;
  const holders = contextHolders(entry.instructions);
  const loads = entry.instructions.flatMap((instruction, at) =>
    isPortLoad(instruction) && holders[at]?.has(`r${instruction.base}`) === true
      ? [{ at, dst: instruction.dst, offset: instruction.offset }]
      : [],
  );
  const handsOver = entry.instructions.some(
    (instruction, at) =>
      instruction.kind === "call" &&
      instruction.callee.kind === "function" &&
      [1, 2, 3, 4, 5].some((n) => holders[at]?.has(`r${n}`) === true),
  );
  if (
    handsOver &&
    others.some(({ instructions }) => instructions.some(isPortLoad))
  )
    return undefined;
  if (loads.length === 0) return { entry, fields: [] };
  const depth = Math.ceil(stackDepth(entry.instructions) / 8) * 8;
  if (depth + 16 > stackSize) return undefined;
  const place = (offset: number): number =>
    -depth - (offset === ifindexOffset ? 8 : 16);
  const keep = (src: Register, offset: number): Instruction => ({
    kind: "store",
    size: 8,
    base: 10,
    offset: place(offset),
    src: { kind: "register", register: src },
  });
  const edits: Edit[] = [
    {
      kind: "insert",
      at: 0,
      instructions: [keep(2, ifindexOffset), keep(3, queueOffset)],
      reach: "fall-through",
    },
    ...loads.map(({ at, dst, offset }): Edit => ({
      kind: "replace",
      at,
      instructions: [
        {
          kind: "load",
          size: 4,
          signed: false,
          dst,
          base: 10,
          offset: place(offset),
        },
      ],
    })),
  ];
  const used = new Set(loads.map(({ offset }) => offset));
  return {
    entry: editFunction(entry, edits),
    fields: [
      ...(used.has(ifindexOffset) ? ["ingress_ifindex"] : []),
      ...(used.has(queueOffset) ? ["rx_queue_index"] : []),
    ],
  };
}

function isPortLoad(
  instruction: Instruction,
): instruction is Instruction & { kind: "load" } {
  return (
    instruction.kind === "load" &&
    instruction.size === 4 &&
    instruction.base !== 10 &&
    (instruction.offset === ifindexOffset || instruction.offset === queueOffset)
  );
}

/**
 * No place on the stack lies deeper: every negative constant that is added to what may
 * point into it counts as one.
 */
function stackDepth(instructions: readonly Instruction[]): number {
  const pointers = framePointers(instructions);
  let depth = 0;
  const reach = (offset: number): void => {
    if (offset < 0) depth = Math.min(stackSize, Math.max(depth, -offset));
  };
  for (const [at, instruction] of instructions.entries()) {
    const held = pointers[at] ?? none;
    if ("offset" in instruction && "base" in instruction) {
      const { base, offset } = instruction;
      if (base === 10) reach(offset);
      // From a place that is not known.
      else if (offset < 0 && held.has(base)) reach(-stackSize);
    } else if (
      instruction.kind === "alu" &&
      instruction.src.kind === "immediate" &&
      held.has(instruction.dst)
    ) {
      if (instruction.op === "add") reach(instruction.src.value);
      if (instruction.op === "sub") reach(-instruction.src.value);
    }
  }
  return depth;
}

const none: ReadonlySet<number> = new Set();

/** Registers that may point into the stack before each instruction, r10 aside. */
function framePointers(
  instructions: readonly Instruction[],
): readonly (ReadonlySet<number> | undefined)[] {
  const before: (ReadonlySet<number> | undefined)[] = instructions.map(
    () => undefined,
  );
  const work: number[] = [];
  const reach = (at: number, held: ReadonlySet<number>): void => {
    const known = before[at];
    const met = known === undefined ? held : new Set([...known, ...held]);
    if (known !== undefined && met.size === known.size) return;
    before[at] = met;
    work.push(at);
  };
  reach(0, none);
  for (let at = work.pop(); at !== undefined; at = work.pop()) {
    const instruction = instructions[at];
    if (instruction === undefined || instruction.kind === "exit") continue;
    const after = afterwards(instruction, before[at] ?? none);
    const target = targetOf(instruction);
    if (target !== undefined && target < instructions.length)
      reach(target, after);
    if (instruction.kind !== "jump" && at + 1 < instructions.length)
      reach(at + 1, after);
  }
  return before;
}

function afterwards(
  instruction: Instruction,
  held: ReadonlySet<number>,
): ReadonlySet<number> {
  const after = new Set(held);
  const isHeld = (register: number): boolean =>
    register === 10 || held.has(register);
  if (instruction.kind === "alu") {
    const { op, dst, src } = instruction;
    const isFrom = src.kind === "register" && isHeld(src.register);
    if (op === "mov" && !isFrom) after.delete(dst);
    else if (isFrom) after.add(dst);
  } else if (instruction.kind === "load") {
    // What was spilled may have been such a pointer.
    const { size, base, dst } = instruction;
    if (size === 8 && isHeld(base)) after.add(dst);
    else after.delete(dst);
  } else if (instruction.kind === "load-wide" || instruction.kind === "endian")
    after.delete(instruction.dst);
  else if (instruction.kind === "call")
    for (let register = 0; register <= 5; register++) after.delete(register);
  return after;
}

/** What surely holds the context before each instruction. */
function contextHolders(
  instructions: readonly Instruction[],
): readonly (Holders | undefined)[] {
  const before: (Holders | undefined)[] = instructions.map(() => undefined);
  const work: number[] = [];
  const reach = (at: number, holders: Holders): void => {
    const known = before[at];
    const met =
      known === undefined
        ? holders
        : new Set([...known].filter((name) => holders.has(name)));
    if (known !== undefined && met.size === known.size) return;
    before[at] = met;
    work.push(at);
  };
  reach(0, new Set(["r1"]));
  for (let at = work.pop(); at !== undefined; at = work.pop()) {
    const instruction = instructions[at];
    if (instruction === undefined || instruction.kind === "exit") continue;
    const after = transfer(instruction, before[at] ?? new Set());
    const target = targetOf(instruction);
    if (target !== undefined && target < instructions.length)
      reach(target, after);
    if (instruction.kind !== "jump" && at + 1 < instructions.length)
      reach(at + 1, after);
  }
  return before;
}

function transfer(instruction: Instruction, holders: Holders): Holders {
  const after = new Set(holders);
  const slot = (offset: number): string => `s${offset}`;
  switch (instruction.kind) {
    case "alu": {
      const { op, width, dst, src } = instruction;
      const isCopy =
        op === "mov" &&
        width === 64 &&
        src.kind === "register" &&
        holders.has(`r${src.register}`);
      set(after, `r${dst}`, isCopy);
      break;
    }
    case "load": {
      const { size, base, offset, dst } = instruction;
      const isFill = base === 10 && size === 8 && holders.has(slot(offset));
      set(after, `r${dst}`, isFill);
      break;
    }
    case "store": {
      const { size, base, offset, src } = instruction;
      if (base !== 10) break;
      for (const name of holders)
        if (
          name.startsWith("s") &&
          Math.abs(Number(name.slice(1)) - offset) < 8
        )
          after.delete(name);
      const isSpill =
        size === 8 &&
        src.kind === "register" &&
        holders.has(`r${src.register}`);
      set(after, slot(offset), isSpill);
      break;
    }
    case "call":
    case "call-register":
    case "load-packet":
      for (let register = 0; register <= 5; register++)
        after.delete(`r${register}`);
      break;
    case "atomic":
      if (instruction.fetch) after.delete(`r${instruction.src}`);
      if (instruction.op === "cmpxchg") after.delete("r0");
      break;
    case "neg":
    case "endian":
    case "address-cast":
    case "load-wide":
    case "load-acquire":
      after.delete(`r${instruction.dst}`);
      break;
    case "store-release":
    case "jump":
    case "branch":
    case "may-goto":
    case "exit":
      break;
  }
  return after;
}

function set(names: Set<string>, name: string, present: boolean): void {
  if (present) names.add(name);
  else names.delete(name);
}
