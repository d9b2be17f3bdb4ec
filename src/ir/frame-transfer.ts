/**
 * One step of the frame analysis: what an instruction does to the abstract
 * registers r0 … r9 and the 64 stack words (index 10 + word), in place. What it
 * touches is told to the sink, if there is one.
 */
import {
  mapTypeRow,
  type FunctionSignature,
  type HelperArgument,
  type Instruction,
  type Operand,
  type Register,
} from "../isa/index.ts";
import {
  callbackParameters,
  findMap,
  innerMapName,
  signatureOf,
} from "./callee.ts";
import type { FrameContext } from "./frame.ts";
import { frameSize } from "./frame-layout.ts";
import {
  add,
  any,
  number,
  ownBase,
  ownOffset,
  pointer,
  smear,
  truncate,
  type FrameValue,
} from "./frame-value.ts";

export const wordCount = frameSize / 8;
export type FrameState = readonly FrameValue[];

export interface FrameSink {
  /** A load or store of `size` bytes at address + offset. */
  readonly access: (address: FrameValue, offset: number, size: number) => void;
  /** Somebody else, or we through memory, may touch address + low … high − 1. */
  readonly reach: (address: FrameValue, low: number, high: number) => void;
}

export interface TransferOptions {
  readonly context: FrameContext;
  readonly escaped: Int16Array;
  readonly sink?: FrameSink;
}

const u32 = 2 ** 32 - 1;
const unbounded = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY] as const;

export function transfer(
  instruction: Instruction,
  state: FrameValue[],
  options: TransferOptions,
): void {
  const { sink } = options;
  switch (instruction.kind) {
    case "alu":
      state[instruction.dst] = aluResult(instruction, state);
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
      call(instruction, state, options);
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

function read(state: FrameState, register: Register): FrameValue {
  return register === 10 ? pointer(ownBase, 0) : (state[register] ?? any);
}

function operand(state: FrameState, source: Operand): FrameValue {
  return source.kind === "register"
    ? read(state, source.register)
    : number(source.value);
}

function clobber(state: FrameValue[], result: FrameValue): void {
  state[0] = result;
  for (let register = 1; register <= 5; register++) state[register] = any;
}

function aluResult(
  instruction: Instruction & { readonly kind: "alu" },
  state: FrameState,
): FrameValue {
  const narrow = instruction.width === 32;
  const source = operand(state, instruction.src);
  const right = narrow ? low32(source, instruction.src) : source;
  const before = read(state, instruction.dst);
  const left = narrow ? truncate(before, 32) : before;
  const result = wideResult(instruction, left, right);
  return narrow ? truncate(result, 32) : result;
}

/** An immediate's low 32 bits; a register's, truncated. */
function low32(value: FrameValue, source: Operand): FrameValue {
  return source.kind === "immediate"
    ? number(source.value >>> 0)
    : truncate(value, 32);
}

function wideResult(
  { op, width }: Instruction & { readonly kind: "alu" },
  left: FrameValue,
  right: FrameValue,
): FrameValue {
  const constant =
    right.kind === "number" && right.low === right.high ? right.low : undefined;
  switch (op) {
    case "mov":
      return right;
    case "movsx8":
    case "movsx16":
    case "movsx32": {
      const half = 2 ** (Number(op.slice(5)) - 1);
      const fits =
        right.kind === "number" && right.low >= -half && right.high < half;
      return fits ? right : number(-half, half - 1);
    }
    case "add":
      return add(left, right, 1);
    case "sub":
      return add(left, right, -1);
    case "and": {
      const bound = [left, right]
        .map((side) =>
          side.kind === "number" && side.low >= 0 ? side.high : Infinity,
        )
        .reduce((a, b) => Math.min(a, b));
      return bound === Infinity ? mixed(left, right) : number(0, bound);
    }
    case "mod":
      if (constant !== undefined && constant > 0 && left.kind !== "pointer")
        return number(0, constant - 1);
      return mixed(left, right);
    case "lsh":
      if (constant === undefined || left.kind !== "number" || left.low < 0)
        return mixed(left, right);
      return constant < 0 || constant >= width
        ? any
        : number(left.low * 2 ** constant, left.high * 2 ** constant);
    case "rsh":
      if (constant === undefined || constant < 0 || constant >= width)
        return mixed(left, right);
      if (left.kind === "number" && left.low >= 0)
        return number(
          Math.floor(left.low / 2 ** constant),
          Math.floor(left.high / 2 ** constant),
        );
      return left.kind === "pointer" || constant < 11
        ? mixed(left, right)
        : number(0, 2 ** (64 - constant) - 1);
    case "mul":
      if (constant === undefined || left.kind !== "number" || constant < 0)
        return mixed(left, right);
      return number(left.low * constant, left.high * constant);
    case "div":
    case "sdiv":
    case "smod":
    case "or":
    case "xor":
    case "arsh":
      return mixed(left, right);
  }
}

function mixed(left: FrameValue, right: FrameValue): FrameValue {
  if (left.kind !== "pointer") return smear(right);
  if (right.kind !== "pointer") return smear(left);
  return smear({ ...left, bases: left.bases | right.bases });
}

function endianResult(
  op: (Instruction & { readonly kind: "endian" })["op"],
  value: FrameValue,
): FrameValue {
  if (op.endsWith("16")) return number(0, 65535);
  if (op.endsWith("32")) return number(0, u32);
  return op === "le64" ? value : smear(value);
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

function call(
  instruction: Instruction & { readonly kind: "call" },
  state: FrameValue[],
  { context, sink }: TransferOptions,
): void {
  const { callee } = instruction;
  const values = [1, 2, 3, 4, 5].map((register) => state[register] ?? any);
  const signature = signatureOf(callee);
  if (callee.kind === "function") {
    const count = context.arityOf(callee.name);
    const summary = context.summaries.get(callee.name);
    for (const [index, value] of values.slice(0, count).entries()) {
      const reach = summary?.[index];
      if (reach === undefined) sink?.reach(value, ...unbounded);
      else if (reach.low < reach.high)
        sink?.reach(value, reach.low, reach.high);
    }
  } else if (signature?.args === undefined) {
    for (const value of values) sink?.reach(value, 0, Infinity);
  } else if (sink !== undefined) {
    for (const [index, argument] of signature.args.entries())
      reachArgument(argument, index, { values, signature, context, sink });
  }
  clobber(state, callResult(signature, values, context));
}

/** A map's value that is itself a map keeps its template's name. */
function callResult(
  signature: FunctionSignature | undefined,
  values: FrameState,
  context: FrameContext,
): FrameValue {
  const first = values[0];
  if (signature?.name !== "map_lookup_elem" || first?.kind !== "map")
    return any;
  const map = findMap(context.maps, first.name);
  if (map === undefined || mapTypeRow(map.type).ofMaps !== true) return any;
  return { kind: "map", name: innerMapName(map.name) };
}

function reachArgument(
  argument: HelperArgument,
  index: number,
  call: {
    readonly values: FrameState;
    readonly signature: FunctionSignature;
    readonly context: FrameContext;
    readonly sink: FrameSink;
  },
): void {
  const value = call.values[index] ?? any;
  if (value.kind !== "pointer") return;
  const up = (bytes: number): void => {
    if (bytes > 0) call.sink.reach(value, 0, bytes);
  };
  const mapArgument = call.values.find((other) => other.kind === "map");
  const map =
    mapArgument?.kind === "map"
      ? findMap(call.context.maps, mapArgument.name)
      : undefined;
  switch (argument.kind) {
    case "number":
    case "size":
    case "context":
    case "map":
    case "callback":
      return;
    case "map-key":
      return up(map?.keySize ?? Infinity);
    case "map-value":
      return up(map?.valueSize ?? Infinity);
    case "memory": {
      if (argument.size.kind === "fixed") return up(argument.size.bytes);
      const size = call.values[argument.size.argument];
      return up(
        size?.kind === "number" && size.low >= 0 ? size.high : Infinity,
      );
    }
    case "iterator":
      return up(argument.bytes);
    case "dynptr":
      return up(16);
    case "callback-context": {
      const at = callbackParameters(call.signature)?.indexOf("context") ?? -1;
      const target = call.values.find((other) => other.kind === "function");
      const summary =
        target?.kind === "function"
          ? call.context.summaries.get(target.name)
          : undefined;
      const reach = summary?.[at];
      if (reach === undefined) call.sink.reach(value, ...unbounded);
      else if (reach.low < reach.high)
        call.sink.reach(value, reach.low, reach.high);
      return;
    }
    case "string":
    case "member":
    case "kernel-object":
    case "record":
    case "unsafe-address":
      return up(Infinity);
  }
}

/** The state on an edge: a comparison with a constant bounds the register. */
export function refine(
  last: Instruction | undefined,
  state: FrameState,
  taken: boolean,
): FrameState {
  if (last?.kind !== "branch" || last.left === 10) return state;
  const right = operand(state, last.right);
  const left = state[last.left] ?? any;
  if (right.kind !== "number" || right.low !== right.high || right.low < 0)
    return state;
  if (left.kind !== "any" && left.kind !== "number") return state;
  // Signed and 32-bit comparisons say the same of small non-negative numbers.
  const small =
    left.kind === "number" &&
    left.low >= 0 &&
    Math.max(left.high, right.low) < 2 ** 31;
  const plain = last.width === 64 && !last.op.startsWith("js");
  if (!small && (!plain || (left.kind === "number" && left.low < 0)))
    return state;
  const range = bounded(last.op, taken, right.low);
  if (range === undefined) return state;
  const old = left.kind === "number" ? left : { low: 0, high: Infinity };
  const low = Math.max(old.low, range.low);
  const high = Math.min(old.high, range.high);
  if (low > high) return state;
  const next = [...state];
  next[last.left] = number(low, high);
  return next;
}

function bounded(
  op: string,
  taken: boolean,
  limit: number,
): { low: number; high: number } | undefined {
  const above = { low: limit + 1, high: Infinity };
  const from = { low: limit, high: Infinity };
  const below = { low: 0, high: limit - 1 };
  const upTo = { low: 0, high: limit };
  switch (op.replace("js", "j")) {
    case "jeq":
      return taken ? { low: limit, high: limit } : undefined;
    case "jne":
      return taken ? undefined : { low: limit, high: limit };
    case "jgt":
      return taken ? above : upTo;
    case "jge":
      return taken ? from : below;
    case "jlt":
      return taken ? below : from;
    case "jle":
      return taken ? upTo : above;
    default:
      return undefined;
  }
}
