/** Random network functions on all machines, round by round. */
import { Random } from "#base";
import {
  NfRefused,
  compileText,
  disagreement,
  type EngineName,
  type NfProgram,
} from "./nf-programs.ts";
import { nfText, randomNf } from "./nf-random.ts";

export interface FuzzOptions {
  readonly seed: number;
  readonly rounds: number;
  /** Random functions of one network function. */
  readonly functions: number;
  readonly packets: number;
  /** Asked before each round. */
  readonly isOver?: () => boolean;
}

export interface FuzzReport {
  readonly rounds: number;
  /** Functions that ran, of those that were made. */
  readonly functions: number;
  /** The first difference, with the source that shows it. */
  readonly finding?: string;
}

const engines: readonly EngineName[] = ["ir", "bytecode", "portable"];

export async function fuzzNf(options: FuzzOptions): Promise<FuzzReport> {
  const { seed, rounds, packets, isOver = () => false } = options;
  let functions = 0;
  for (let round = 0; round < rounds; round++) {
    if (isOver()) return { rounds: round, functions };
    const made = randomNf(new Random(seed + round), options.functions);
    const { program, kept } = await accepted(made);
    functions += kept.length;
    for (const engine of engines) {
      const trial = { seed: seed + round, packets, every: 25, engine };
      const found = disagreement(program, trial);
      if (found !== undefined)
        return {
          rounds: round,
          functions,
          finding: `${engine}: ${found}\n${nfText(kept)}`,
        };
    }
  }
  return { rounds, functions };
}

/** Without the functions that the checker refuses: TypeScript knows literals better. */
async function accepted(
  made: readonly string[],
): Promise<{ readonly program: NfProgram; readonly kept: readonly string[] }> {
  let kept = made;
  for (;;) {
    const text = nfText(kept);
    try {
      return { program: await compileText(text), kept };
    } catch (error) {
      if (!(error instanceof NfRefused)) throw error;
      const starts = text
        .split("\n")
        .flatMap((line, at) =>
          line.startsWith("function random") ? [at + 1] : [],
        );
      const bad = new Set(
        error.lines.map((line) =>
          starts.findLastIndex((start) => start <= line),
        ),
      );
      const fewer = kept.filter((_, at) => !bad.has(at));
      if (fewer.length === kept.length) throw error;
      kept = fewer;
    }
  }
}
