/**
 * Bytes of a function's frame that are read later, behind each instruction: what has to
 * be there again if the program goes back to that place.
 *
 * A backward analysis over the 512 bytes below r10, one bit per byte. Who may read the
 * frame through an address that nobody knows reads all of it; a call with an address in
 * the frame reads from there upward, unless the map says how much. One-way sound: a
 * byte that is wanted is never missing.
 */
import {
  helperByNumber,
  targetOf,
  type FunctionSpec,
  type Instruction,
  type MapSpec,
} from "../../../isa/index.ts";
import { fallsThrough } from "../patch/arguments-read.ts";
import { registerContents, type Contents } from "../patch/register-contents.ts";

const frameSize = 512;
const everything = (1n << BigInt(frameSize)) - 1n;

/** The bytes of `size` from r10 + `offset` on; what lies outside is left out. */
export function frameBytes(offset: number, size: number): bigint {
  const low = Math.max(0, offset + frameSize);
  const high = Math.min(frameSize, offset + frameSize + size);
  return high <= low ? 0n : ((1n << BigInt(high - low)) - 1n) << BigInt(low);
}

/** By instruction: what is wanted in front of it. */
export function frameWanted(
  fn: FunctionSpec,
  maps: readonly MapSpec[],
): readonly bigint[] {
  const { instructions } = fn;
  const contents = registerContents(fn);
  const wanted = instructions.map(() => 0n);
  for (let changed = true; changed;) {
    changed = false;
    for (let at = instructions.length - 1; at >= 0; at--) {
      const instruction = instructions[at];
      const here = contents[at];
      if (instruction === undefined || here === undefined) continue;
      const target = targetOf(instruction);
      let after = fallsThrough(instruction) ? (wanted[at + 1] ?? 0n) : 0n;
      if (target !== undefined) after |= wanted[target] ?? 0n;
      const before =
        readBy(instruction, here, maps) |
        (after & ~writtenBy(instruction, here));
      if (before === wanted[at]) continue;
      wanted[at] = before;
      changed = true;
    }
  }
  return wanted;
}

/** Bytes that the instruction surely writes; "unknown": perhaps any. */
export function frameStore(
  instruction: Instruction,
  { registers }: Contents,
): bigint | "unknown" {
  if (
    instruction.kind !== "store" &&
    instruction.kind !== "store-release" &&
    instruction.kind !== "atomic"
  )
    return 0n;
  const base = registers.get(instruction.base);
  if (base?.kind === "perhaps-frame") return "unknown";
  return base?.kind === "frame"
    ? frameBytes(base.offset + instruction.offset, instruction.size)
    : 0n;
}

function writtenBy(instruction: Instruction, contents: Contents): bigint {
  if (instruction.kind === "atomic") return 0n;
  const bytes = frameStore(instruction, contents);
  return bytes === "unknown" ? 0n : bytes;
}

const five = [1, 2, 3, 4, 5] as const;

function readBy(
  instruction: Instruction,
  { registers }: Contents,
  maps: readonly MapSpec[],
): bigint {
  if (
    instruction.kind === "load" ||
    instruction.kind === "load-acquire" ||
    instruction.kind === "atomic"
  ) {
    const base = registers.get(instruction.base);
    if (base?.kind === "perhaps-frame") return everything;
    return base?.kind === "frame"
      ? frameBytes(base.offset + instruction.offset, instruction.size)
      : 0n;
  }
  if (instruction.kind === "call-register") return everything;
  if (instruction.kind !== "call") return 0n;
  const helper =
    instruction.callee.kind === "helper"
      ? helperByNumber(instruction.callee.helper)
      : undefined;
  const one = registers.get(1);
  const map =
    one?.kind === "map" ? maps.find(({ name }) => name === one.map) : undefined;
  let bytes = 0n;
  for (const register of five) {
    if (helper?.args !== undefined && register > helper.args.length) break;
    const content = registers.get(register);
    if (content === undefined || content.kind === "map") continue;
    if (content.kind === "perhaps-frame") return everything;
    const argument = helper?.args?.[register - 1];
    const size =
      map === undefined
        ? frameSize
        : argument?.kind === "map-key"
          ? map.keySize
          : argument?.kind === "map-value"
            ? map.valueSize
            : frameSize;
    bytes |= frameBytes(content.offset, size);
  }
  return bytes;
}
