/**
 * One step of the frame analysis: what an instruction does to the abstract
 * registers r0 … r9 and the 64 stack words (index 10 + word), in place. What it
 * touches is told to the sink, if there is one. Here are moves, loads and stores;
 * `frame-arithmetic` has the values, `frame-call` the calls.
 */
import type { Instruction } from "../isa/index.ts";
import { aluResult, endianResult } from "./frame-arithmetic.ts";
import { call, clobber, type Reach } from "./frame-call.ts";
import type { FrameContext } from "./frame.ts";
import { frameSize } from "./frame-layout.ts";
import {
  any,
  number,
  operand,
  ownOffset,
  read,
  smear,
  unbounded,
  type FrameState,
  type FrameValue,
} from "./frame-value.ts";

export const wordCount = frameSize / 8;

export interface FrameSink {
  /** A load or store of `size` bytes at address + offset. */
  readonly access: (address: FrameValue, offset: number, size: number) => void;
  readonly reach: Reach;
}

export interface TransferOptions {
  readonly context: FrameContext;
  readonly escaped: Int16Array;
  readonly sink?: FrameSink;
}

const u32 = 2 ** 32 - 1;

export function transfer(
  instruction: Instruction,
  state: FrameValue[],
  options: TransferOptions,
): void {
  const { sink } = options;
  switch (instruction.kind) {
    case "alu":
      state[instruction.dst] = aluResult(
        instruction,
        read(state, instruction.dst),
        operand(state, instruction.src),
      );
      return;
    case "neg":
      state[instruction.dst] =
        instruction.width === 32
          ? number(0, u32)
          : smear(read(state, instruction.dst));
      return;
    case "endian":
      state[instruction.dst] = endianResult(
        instruction.op,
        read(state, instruction.dst),
      );
      return;
    case "address-cast":
      state[instruction.dst] = smear(read(state, instruction.src));
      return;
    case "load-wide":
      state[instruction.dst] =
        instruction.value.kind === "map"
          ? { kind: "map", name: instruction.value.map }
          : instruction.value.kind === "function"
            ? { kind: "function", name: instruction.value.name }
            : instruction.value.kind === "number"
              ? number(Number(BigInt.asIntN(64, instruction.value.value)))
              : any;
      return;
    case "load":
    case "load-acquire": {
      const address = read(state, instruction.base);
      sink?.access(address, instruction.offset, instruction.size);
      const signed = instruction.kind === "load" && instruction.signed;
      state[instruction.dst] = loaded(state, address, {
        offset: instruction.offset,
        size: instruction.size,
        signed,
        escaped: options.escaped,
      });
      return;
    }
    case "store":
    case "store-release": {
      const address = read(state, instruction.base);
      sink?.access(address, instruction.offset, instruction.size);
      const value =
        instruction.kind === "store"
          ? operand(state, instruction.src)
          : read(state, instruction.src);
      store(state, address, instruction, value, options);
      return;
    }
    case "atomic": {
      const address = read(state, instruction.base);
      const { offset, size } = instruction;
      sink?.reach(address, offset, offset + size);
      sink?.reach(read(state, instruction.src), ...unbounded);
      if (!instruction.fetch) return;
      const old = size === 4 ? number(0, u32) : any;
      state[instruction.op === "cmpxchg" ? 0 : instruction.src] = old;
      return;
    }
    case "call":
      call(instruction, state, {
        context: options.context,
        reach: sink?.reach,
      });
      return;
    case "exit":
      sink?.reach(read(state, 0), ...unbounded);
      return;
    case "load-packet":
      clobber(state, any);
      return;
    case "jump":
    case "branch":
    case "may-goto":
    case "call-register":
      return;
  }
}

/** Index of the followed word at an offset from r10, if it is one. */
function wordAt(offset: number | undefined, size: number): number | undefined {
  if (offset === undefined || size !== 8 || offset % 8 !== 0) return undefined;
  return offset >= -frameSize && offset <= -8
    ? 10 + (offset + frameSize) / 8
    : undefined;
}

function loaded(
  state: FrameState,
  address: FrameValue,
  access: {
    readonly offset: number;
    readonly size: number;
    readonly signed: boolean;
    readonly escaped: Int16Array;
  },
): FrameValue {
  const own = ownOffset(address);
  const at = own === undefined ? undefined : own + access.offset;
  const word = wordAt(at, access.size);
  if (word !== undefined && at !== undefined)
    return (access.escaped[at + frameSize] ?? 0) < 0
      ? (state[word] ?? any)
      : any;
  if (access.size === 8) return any;
  const span = 2 ** (8 * access.size);
  return access.signed ? number(-span / 2, span / 2 - 1) : number(0, span - 1);
}

function store(
  state: FrameValue[],
  address: FrameValue,
  access: { readonly offset: number; readonly size: number },
  value: FrameValue,
  { escaped, sink }: TransferOptions,
): void {
  const own = ownOffset(address);
  const at = own === undefined ? undefined : own + access.offset;
  const word = wordAt(at, access.size);
  if (
    word !== undefined &&
    at !== undefined &&
    (escaped[at + frameSize] ?? 0) < 0
  ) {
    state[word] = value;
    return;
  }
  // Four bytes of an address are none; eight that we lose sight of are.
  if (access.size === 8) sink?.reach(value, ...unbounded);
  if (at === undefined) return;
  const first = Math.floor((at + frameSize) / 8);
  const last = Math.floor((at + access.size - 1 + frameSize) / 8);
  for (let index = first; index <= last; index++)
    if (index >= 0 && index < wordCount) state[10 + index] = any;
}
