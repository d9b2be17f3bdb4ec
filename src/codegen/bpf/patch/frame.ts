/**
 * Room in the frames of functions. New slots lie below everything that a function
 * names, so they are nobody else's: addresses in a frame are made by going down from
 * r10 once and upward from there, as compilers do.
 *
 * The stack of a chain of calls is 512 bytes; `checkFrames` refuses more, by name.
 */
import { UnsupportedError } from "../../../base/index.ts";
import type { FunctionSpec } from "../../../isa/index.ts";
import { checkStackDepth } from "../lower/stack-depth.ts";
import type { Code } from "./code.ts";
import { registerContents } from "./register-contents.ts";

const whole = 512;

/** How far below r10 the function reaches, in bytes. */
export function frameDepth(fn: FunctionSpec): number {
  let lowest = 0;
  const contents = registerContents(fn);
  for (const [at, instruction] of fn.instructions.entries()) {
    const registers = contents[at]?.registers;
    if (registers === undefined) continue;
    if ("base" in instruction) {
      const base = registers.get(instruction.base);
      if (base?.kind === "frame")
        lowest = Math.min(lowest, base.offset + instruction.offset);
    }
    // An address is made by arithmetic: what stands in front of the next instruction.
    for (const content of registers.values())
      if (content.kind === "frame") lowest = Math.min(lowest, content.offset);
  }
  return Math.abs(lowest);
}

/** Offset from r10 of `bytes` (a multiple of 8) that the function does not use. */
export function freeSlot(fn: FunctionSpec, bytes: number): number {
  const depth = Math.ceil(frameDepth(fn) / 8) * 8 + bytes;
  if (depth > whole)
    throw new UnsupportedError(
      `the frame of ${fn.name} has no room for ${bytes} bytes more`,
      {
        feature: `frames with more than ${whole} bytes`,
        fix: "keep fewer values at a time, or keep structures in a map",
      },
    );
  return -depth;
}

/** Refuses chains of calls that need more stack than there is. */
export function checkFrames({ functions }: Code): void {
  checkStackDepth(functions);
}
