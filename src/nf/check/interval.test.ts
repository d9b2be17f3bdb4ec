/**
 * Every transfer function against execution: random integers of random intervals
 * go through JavaScript's own operator, and the result lies in the interval. Each
 * row is also broken, and the same test must notice.
 */
import { deepEqual, ok } from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { Random } from "../../base/index.ts";
import {
  assume,
  holds,
  int32,
  narrow,
  transfers,
  uint32,
  type Comparison,
  type Interval,
  type Transfers,
} from "./interval.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 4711);

type Meaning = (a: bigint, b: bigint) => bigint | undefined;
const number =
  (of: (a: number, b: number) => number): Meaning =>
  (a, b) =>
    BigInt(of(Number(a), Number(b)));
const isCount = (b: bigint, most: bigint): boolean => b >= 0n && b <= most;

// What JavaScript answers; undefined where the operands are not allowed.
// prettier-ignore
const meanings: Readonly<Record<keyof Transfers, Meaning>> = {
  "+": (a, b) => a + b,
  "-": (a, b) => a - b,
  "*": (a, b) => a * b,
  "/": (a, b) => (b === 0n ? undefined : a / b),
  "%": (a, b) => (b === 0n ? undefined : a % b),
  "&": (a, b) => a & b,
  "|": (a, b) => a | b,
  "^": (a, b) => a ^ b,
  "<<": (a, b) => (isCount(b, 63n) ? a << b : undefined),
  ">>": (a, b) => (isCount(b, 63n) ? a >> b : undefined),
  "&32": number((a, b) => a & b),
  "|32": number((a, b) => a | b),
  "^32": number((a, b) => a ^ b),
  "<<32": (a, b) => (isCount(b, 31n) ? number((x, y) => x << y)(a, b) : undefined),
  ">>32": (a, b) => (isCount(b, 31n) ? number((x, y) => x >> y)(a, b) : undefined),
  ">>>32": (a, b) => (isCount(b, 31n) ? number((x, y) => x >>> y)(a, b) : undefined),
  min: (a, b) => (a < b ? a : b),
  max: (a, b) => (a > b ? a : b),
  mul32: (a, b) => BigInt.asUintN(32, a * b),
};
const names = Object.keys(meanings) as (keyof Transfers)[];

const edges = [0n, 1n, 2n, 7n, 8n, 31n, 32n, 63n, 255n, 256n, 65535n, 2n ** 31n - 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 53n - 4n]; // prettier-ignore

function anyInteger(random: Random): bigint {
  const edge = edges[random.below(edges.length)] ?? 0n;
  const near = edge + BigInt(random.below(5)) - 2n;
  return random.below(3) === 0 ? -near : near;
}

function anyInterval(random: Random, isSmall: boolean): Interval {
  const one = isSmall ? BigInt(random.below(70)) - 3n : anyInteger(random);
  const other = isSmall ? BigInt(random.below(70)) - 3n : anyInteger(random);
  if (random.below(4) === 0) return { low: one, high: one };
  return one < other ? { low: one, high: other } : { low: other, high: one };
}

function member({ low, high }: Interval, random: Random): bigint {
  const size = high - low + 1n;
  switch (random.below(4)) {
    case 0:
      return low;
    case 1:
      return high;
    default:
      return (
        low +
        ((BigInt(random.below(2 ** 31)) * BigInt(random.below(2 ** 31))) % size)
      );
  }
}

/** The rows that answered too little, with how. */
function unsound(table: Transfers, rounds: number): Map<string, string> {
  const found = new Map<string, string>();
  const random = new Random(seed);
  for (const name of names)
    for (let round = 0; round < rounds && !found.has(name); round++) {
      const a = anyInterval(random, random.below(2) === 0);
      const b = anyInterval(
        random,
        name.includes("<<") || name.includes(">>") || random.below(2) === 0,
      );
      const got = table[name](a, b);
      for (let sample = 0; sample < 6; sample++) {
        const [x, y] = [member(a, random), member(b, random)];
        const want = meanings[name](x, y);
        if (want !== undefined && !holds(got, want))
          found.set(
            name,
            `${x} ${name} ${y} = ${want} not in [${got.low}, ${got.high}]`,
          );
      }
    }
  return found;
}

test(`results lie in the intervals (seed ${seed})`, () => {
  deepEqual([...unsound(transfers, 1500)], []);
});

test(`each row, broken by one at either end, is caught (seed ${seed})`, () => {
  const missed: string[] = [];
  for (const name of names)
    for (const end of ["low", "high"] as const) {
      const broken: Transfers = {
        ...transfers,
        [name]: (a: Interval, b: Interval): Interval => {
          const { low, high } = transfers[name](a, b);
          if (low === high) return { low, high };
          return end === "low"
            ? { low: low + 1n, high }
            : { low, high: high - 1n };
        },
      };
      if (!unsound(broken, 1500).has(name)) missed.push(`${name} ${end}`);
    }
  deepEqual(missed, []);
});

test(`a comparison that holds keeps both sides (seed ${seed})`, () => {
  const random = new Random(seed);
  const holdsFor: Readonly<
    Record<Comparison, (a: bigint, b: bigint) => boolean>
  > = {
    "<": (a, b) => a < b,
    "<=": (a, b) => a <= b,
    ">": (a, b) => a > b,
    ">=": (a, b) => a >= b,
    "===": (a, b) => a === b,
    "!==": (a, b) => a !== b,
  };
  for (const comparison of Object.keys(holdsFor) as Comparison[])
    for (let round = 0; round < 2000; round++) {
      const [a, b] = [anyInterval(random, true), anyInterval(random, true)];
      const [x, y] = [member(a, random), member(b, random)];
      if (!holdsFor[comparison](x, y)) continue;
      const left = assume(a, comparison, b);
      ok(
        left !== undefined && holds(left[0], x) && holds(left[1], y),
        `${x} ${comparison} ${y}`,
      );
    }
});

test("narrowing is modulo, and exact where nothing wraps around inside", () => {
  // prettier-ignore
  const cases: readonly (readonly [Interval, Interval, Interval])[] = [
    [{ low: 5n, high: 9n }, uint32, { low: 5n, high: 9n }],
    [{ low: -1n, high: -1n }, uint32, { low: uint32.high, high: uint32.high }],
    [{ low: -1n, high: 0n }, uint32, uint32],
    [{ low: 2n ** 32n, high: 2n ** 32n + 3n }, uint32, { low: 0n, high: 3n }],
    [{ low: 2n ** 31n, high: 2n ** 31n }, int32, { low: int32.low, high: int32.low }],
  ];
  for (const [value, range, want] of cases)
    deepEqual(narrow(value, range), want);
});
