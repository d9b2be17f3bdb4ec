/**
 * What arithmetic makes of the words of the frame analysis, and what a comparison
 * says of them. An address survives a move, an addition and a subtraction; any
 * other operation leaves "made of it, offset unknown" (`smear`), so that no bit
 * trick hides an address. Numbers are ranges, kept while they are exact.
 */
import type { Instruction, Operand } from "../isa/index.ts";
import {
  add,
  any,
  number,
  operand,
  smear,
  truncate,
  type FrameState,
  type FrameValue,
} from "./frame-value.ts";

const u32 = 2 ** 32 - 1;

export function aluResult(
  instruction: Instruction & { readonly kind: "alu" },
  before: FrameValue,
  source: FrameValue,
): FrameValue {
  const narrow = instruction.width === 32;
  const right = narrow ? low32(source, instruction.src) : source;
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

export function endianResult(
  op: (Instruction & { readonly kind: "endian" })["op"],
  value: FrameValue,
): FrameValue {
  if (op.endsWith("16")) return number(0, 65535);
  if (op.endsWith("32")) return number(0, u32);
  return op === "le64" ? value : smear(value);
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
