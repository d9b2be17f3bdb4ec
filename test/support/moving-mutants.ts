/** Workers that do not wait, or not long enough, to be caught. */
import { sentOffset, waitFunctionName } from "#codegen";
import { editFunction, type FunctionSpec, type Instruction } from "#isa";
import type { Programs } from "./cpumap.ts";

function withWait(
  { dispatcher, worker }: Programs,
  change: (wait: FunctionSpec) => FunctionSpec,
): Programs {
  const functions = worker.functions.map((fn) =>
    fn.name === waitFunctionName ? change(fn) : fn,
  );
  return { dispatcher, worker: { ...worker, functions } };
}

function placeOf(
  { instructions }: FunctionSpec,
  is: (instruction: Instruction) => boolean,
): number {
  const at = instructions.findIndex((instruction) => is(instruction));
  if (at < 0) throw new Error("not there");
  return at;
}

/** The entry is taken at once. */
export function withoutWaiting(programs: Programs): Programs {
  return withWait(programs, (wait) => {
    const at = placeOf(wait, ({ kind }) => kind === "branch");
    const branch = wait.instructions[at];
    if (branch?.kind !== "branch") throw new Error("no branch");
    // Always so.
    const right = { kind: "immediate", value: 0 } as const;
    return {
      ...wait,
      instructions: wait.instructions.with(at, { ...branch, right }),
    };
  });
}

/** The last packet that the other CPU was sent may still run. */
export function onePacketEarly(programs: Programs): Programs {
  return withWait(programs, (wait) => {
    const at = placeOf(
      wait,
      (each) =>
        each.kind === "load" && each.offset === sentOffset && each.base === 2,
    );
    return editFunction(wait, [
      {
        kind: "insert",
        at: at + 1,
        instructions: [
          {
            kind: "alu",
            op: "add",
            width: 64,
            dst: 5,
            src: { kind: "immediate", value: -1 },
          },
        ],
      },
    ]);
  });
}
