/** Copies one after the other do what copies at once do. */
import { deepEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import {
  array,
  assert,
  constant,
  constantFrom,
  oneof,
  property,
  uniqueArray,
} from "fast-check";
import type { Register } from "../../../isa/index.ts";
import { sequence, type Copy, type Location } from "./parallel-copy.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 5);
const registers: readonly Register[] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
const scratch = [-80, -88] as const;

function name(location: Location): string {
  return location.kind === "register"
    ? `r${location.register}`
    : `[${location.offset}]`;
}

/** Runs moves, loads and stores of words. */
function run(
  copies: readonly Copy[],
  free: readonly Register[],
): { readonly state: Map<string, unknown>; readonly scratched: number } {
  const state = new Map<string, unknown>();
  let scratched = 0;
  const read = (place: string): unknown => state.get(place) ?? place;
  const at = { function: "f", instruction: 0 };
  const placed = sequence(copies, {
    at,
    free,
    scratch: (index) => {
      scratched++;
      return scratch[index];
    },
  });
  for (const { instruction } of placed) {
    if (instruction.kind === "load")
      state.set(`r${instruction.dst}`, read(`[${instruction.offset}]`));
    else if (instruction.kind === "store")
      state.set(
        `[${instruction.offset}]`,
        instruction.src.kind === "register"
          ? read(`r${instruction.src.register}`)
          : instruction.src.value,
      );
    else if (instruction.kind === "alu")
      state.set(
        `r${instruction.dst}`,
        instruction.src.kind === "register"
          ? read(`r${instruction.src.register}`)
          : instruction.src.value,
      );
    else ok(false, instruction.kind);
  }
  return { state, scratched };
}

const location = oneof(
  constantFrom(...registers).map((register): Location => ({
    kind: "register",
    register,
  })),
  constantFrom(-8, -16, -24).map((offset): Location => ({
    kind: "slot",
    offset,
  })),
);
const source = oneof(
  { weight: 5, arbitrary: location },
  {
    weight: 1,
    arbitrary: constant({ kind: "constant", value: 7n } as const),
  },
);

test(`all at once (seed ${seed})`, () => {
  let rings = 0;
  assert(
    property(
      uniqueArray(location, { selector: name, maxLength: 12 }),
      array(source, { minLength: 12, maxLength: 12 }),
      (targets, sources) => {
        const copies = targets.map((to, at): Copy => {
          const from = sources[at];
          return { to, from: from ?? to };
        });
        const used = new Set(
          copies.flatMap(({ to, from }) =>
            [to, from].flatMap((place) =>
              place.kind === "register" ? [place.register] : [],
            ),
          ),
        );
        const free = registers.filter((register) => !used.has(register));
        for (const offered of [free, []]) {
          const { state, scratched } = run(copies, offered);
          rings += scratched;
          for (const { to, from } of copies) {
            const want =
              from.kind === "constant"
                ? 7
                : from.kind === "register" || from.kind === "slot"
                  ? name(from)
                  : undefined;
            deepEqual(state.get(name(to)) ?? name(to), want);
          }
          // Nobody else's word is touched.
          for (const register of registers)
            if (!used.has(register) && !offered.includes(register))
              deepEqual(
                state.get(`r${register}`) ?? `r${register}`,
                `r${register}`,
              );
        }
      },
    ),
    { seed, numRuns: 400 },
  );
  ok(rings > 100, `${rings} words put aside`);
});
