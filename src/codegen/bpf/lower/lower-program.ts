/**
 * Lowering: IR to functions of instructions, with registers and a stack frame.
 *
 *   wholeWords  words that travel in parts are put together
 *   select      low code: instructions over virtual registers
 *   findLives   when each virtual register is wanted
 *   groups      parameters of blocks joined with their arguments
 *   allocate    registers, or the stack
 *   emit        instructions, moves, loads and stores of the allocation
 *   tidy        dead moves go, equal blocks become one
 *   layOut      one list, with jumps
 *
 * Law: running the functions gives what interpreting the IR gives. And what the
 * verifier could see in the IR it sees in them: pointers are moved and spilled
 * whole, a word that is compared is the one that is used behind the comparison.
 */
import type { IrFunction, IrProgram } from "../../../ir/index.ts";
import type { FunctionSpec, LineInfo } from "../../../isa/index.ts";
import type { Place } from "../../../base/index.ts";
import { groups } from "./coalesce.ts";
import { emit } from "./emit.ts";
import { findLives } from "./intervals.ts";
import { layOut } from "./layout.ts";
import { allocate } from "./linear-scan.ts";
import { select } from "./select.ts";
import { checkStackDepth } from "./stack-depth.ts";
import { StackSlots } from "./stack-slots.ts";
import { tidy } from "./tidy.ts";
import { wholeWords } from "./whole-words.ts";

/** What the program does not say of its functions. */
export type FunctionFacts = Pick<FunctionSpec, "section" | "linkage"> &
  Partial<Pick<FunctionSpec, "btfFunction">>;

export interface LowerOptions {
  /** Default: the entry global in a section of the program's type, others static in .text. */
  readonly functionFacts?: (name: string) => FunctionFacts | undefined;
  /** v4: signed division, sign-extending moves and loads (kernel 6.6). Default v3. */
  readonly instructionSet?: "v3" | "v4";
}

/** The program's functions, in its order. */
export function lowerProgram(
  program: IrProgram,
  options: LowerOptions = {},
): readonly FunctionSpec[] {
  const functions = program.functions.map((fn, index) => {
    const facts: FunctionFacts = options.functionFacts?.(fn.name) ?? {
      section: index === 0 ? program.type : ".text",
      linkage: index === 0 ? "global" : "static",
    };
    const { section, linkage, btfFunction } = facts;
    const named = btfFunction === undefined ? {} : { btfFunction };
    return { ...lowerFunction(fn, options), section, linkage, ...named };
  });
  checkStackDepth(functions);
  return functions;
}

function lowerFunction(
  fn: IrFunction,
  { instructionSet = "v3" }: LowerOptions,
): Omit<FunctionSpec, keyof FunctionFacts> {
  const low = select(wholeWords(fn), { isV4: instructionSet === "v4" });
  const lives = findLives(low);
  const shared = groups(low, lives);
  allocate(low, lives, shared);
  const slots = new StackSlots(low);
  slots.place(shared);
  const placed = emit(low, lives, shared, slots);
  const { instructions, places } = layOut(tidy(placed, slots.offsets));
  return {
    name: fn.name,
    instructions,
    lines: lineTable(places),
    coreRelocations: [],
  };
}

/** One record per stretch of instructions of one source position. */
function lineTable(places: readonly Place[]): readonly LineInfo[] {
  const lines: LineInfo[] = [];
  for (const [at, place] of places.entries()) {
    const { file, line, column = 0, text = "" } = place;
    if (file === undefined || line === undefined) continue;
    const last = lines.at(-1);
    if (last?.file === file && last.line === line && last.column === column)
      continue;
    // The kernel wants the first record at the first instruction.
    lines.push({ at: last === undefined ? 0 : at, file, text, line, column });
  }
  return lines;
}
