/** Wrong dispatchers and workers, to be caught. */
import { helperByName, type Instruction, type ProgramSpec } from "#isa";
import type { Programs } from "./cpumap.ts";

type Load = Extract<Instruction, { readonly kind: "load" }>;

function edited(
  program: ProgramSpec,
  change: (instructions: Instruction[]) => void,
): ProgramSpec {
  const [entry, ...others] = program.functions;
  if (entry === undefined) throw new Error("no function");
  const instructions = [...entry.instructions];
  change(instructions);
  return { ...program, functions: [{ ...entry, instructions }, ...others] };
}

/** Where the hash of the first group loads its header bytes. */
function firstHashLoad(instructions: readonly Instruction[]): number {
  const start = instructions.findIndex(
    (one) => one.kind === "load-wide" && one.dst === 9,
  );
  const at = instructions.findIndex(
    ({ kind }, index) => index > start && kind === "load",
  );
  if (start < 0 || at < 0) throw new Error("no hash");
  return at;
}

/** The first port leaves some key bytes out. */
export function withoutKeyBytes(programs: Programs): Programs {
  return {
    ...programs,
    dispatcher: edited(programs.dispatcher, (instructions) => {
      const at = firstHashLoad(instructions);
      const load = instructions[at] as Load;
      instructions[at] = {
        kind: "alu",
        op: "mov",
        width: 64,
        dst: load.dst,
        src: { kind: "immediate", value: 0 },
      };
    }),
  };
}

/** Frames of one owner go to any entry: one load of the hash is a random number. */
export function anyEntry(programs: Programs): Programs {
  return {
    ...programs,
    dispatcher: edited(programs.dispatcher, (instructions) => {
      const mask = instructions.findIndex(
        (one) =>
          one.kind === "alu" &&
          one.op === "and" &&
          one.dst === 1 &&
          instructions[instructions.indexOf(one) + 1]?.kind === "store",
      );
      const load = instructions[mask - 1];
      if (load?.kind !== "load") throw new Error("no entry");
      instructions[mask - 1] = {
        kind: "call",
        callee: {
          kind: "helper",
          helper: helperByName("get_prandom_u32")?.number ?? 7,
        },
      };
      const and = instructions[mask];
      const store = instructions[mask + 1];
      if (and?.kind !== "alu" || store?.kind !== "store")
        throw new Error("no entry");
      instructions[mask] = { ...and, dst: 0 };
      instructions[mask + 1] = {
        ...store,
        src: { kind: "register", register: 0 },
      };
    }),
  };
}

/** XDP_TX stays the verdict that it is. */
export function sentBackAsIs(programs: Programs): Programs {
  return {
    ...programs,
    worker: edited(programs.worker, (instructions) => {
      for (const [at, one] of instructions.entries())
        if (
          one.kind === "branch" &&
          one.op === "jne" &&
          one.left === 0 &&
          "value" in one.right &&
          one.right.value === 3 &&
          one.width === 32
        )
          instructions[at] = { ...one, op: "jeq" };
    }),
  };
}
