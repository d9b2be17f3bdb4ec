/** Intervals against all of their numbers. */
import { deepEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import { compared, limits, type Interval } from "./interval.ts";

const holds = {
  jeq: (a: bigint, b: bigint) => a === b,
  jne: (a: bigint, b: bigint) => a !== b,
  jgt: (a: bigint, b: bigint) => a > b,
  jge: (a: bigint, b: bigint) => a >= b,
  jlt: (a: bigint, b: bigint) => a < b,
  jle: (a: bigint, b: bigint) => a <= b,
} as const;
const numbers = [0n, 1n, 2n, 3n, 4n];
const all: readonly Interval[] = numbers.flatMap((low) =>
  numbers.filter((high) => high >= low).map((high) => ({ low, high })),
);
const members = ({ low, high }: Interval): readonly bigint[] =>
  numbers.filter((number) => number >= low && number <= high);

for (const [name, isTrue] of Object.entries(holds))
  test(`${name}: an outcome is that of all pairs, and a limit leaves none out`, () => {
    const op = name as keyof typeof holds;
    for (const a of all)
      for (const b of all) {
        const outcomes = members(a).map((x) =>
          members(b).map((y) => isTrue(x, y)),
        );
        const found = new Set(outcomes.flat());
        const want = found.size === 1 ? [...found][0] : undefined;
        deepEqual([op, a, b, compared(op, a, b)], [op, a, b, want]);
        const limit = limits(op, a, b);
        for (const [at, x] of members(a).entries())
          if (outcomes[at]?.includes(true) === true)
            ok(x >= limit.low && x <= limit.high, `${op} ${x}`);
      }
  });
