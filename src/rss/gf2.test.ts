import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../base/index.ts";
import {
  flipBit,
  hasBit,
  LinearSystem,
  reduce,
  span,
  spanBasis,
} from "./gf2.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

/** All solutions, by trying every assignment. */
function bruteForce(rows: readonly (readonly number[])[], columns: number) {
  const solutions: number[] = [];
  for (let values = 0; values < 2 ** columns; values++) {
    const holds = rows.every(
      (row) => row.reduce((sum, at) => sum ^ ((values >> at) & 1), 0) === 0,
    );
    if (holds) solutions.push(values);
  }
  return solutions;
}

function numberOf(bits: Uint32Array): number {
  return bits[0] ?? 0;
}

test(`null space and members against brute force (seed ${seed})`, () => {
  const random = new Random(seed);
  for (let round = 0; round < 200; round++) {
    const columns = 1 + random.below(10);
    const rows = Array.from({ length: random.below(9) }, () =>
      Array.from({ length: random.below(5) }, () => random.below(columns)),
    );
    const system = new LinearSystem(columns);
    for (const row of rows) system.add(row);
    const want = bruteForce(rows, columns);
    equal(2 ** system.free, want.length);
    const basis = system.nullSpace().map(numberOf);
    deepEqual(
      [...span(basis)].sort((a, b) => a - b),
      want,
    );
    const drawn = new Set<number>();
    for (let draw = 0; draw < 8 * want.length; draw++) {
      const member = system.member(random);
      ok(want.includes(numberOf(member)));
      drawn.add(numberOf(member));
    }
    if (want.length <= 4) equal(drawn.size, want.length);
    for (let column = 0; column < columns; column++) {
      // A column is mentioned exactly when flipping it breaks solutions.
      const breaks = want.some(
        (values) => !want.includes(values ^ (1 << column)),
      );
      equal(hasBit(system.mentioned(), column), breaks);
      const isZero = want.every((values) => ((values >> column) & 1) === 0);
      equal(system.forcesZero(column), isZero);
    }
  }
});

test("more than one word", () => {
  const system = new LinearSystem(100);
  equal(system.add([3, 70, 99]), true);
  equal(system.add([70]), true);
  equal(system.add([3, 99]), false);
  equal(system.add([5, 5]), false);
  equal(system.rank, 2);
  const values = system.vector();
  flipBit(values, 99);
  const solution = system.complete(values);
  deepEqual(
    [3, 70, 99].map((column) => hasBit(solution, column)),
    [true, false, true],
  );
});

test(`spans and cosets (seed ${seed})`, () => {
  const random = new Random(seed);
  for (let round = 0; round < 200; round++) {
    const numbers = Array.from({ length: random.below(6) }, () =>
      random.below(64),
    );
    const want = new Set([0]);
    for (const number of numbers)
      for (const other of want) want.add(other ^ number);
    const basis = spanBasis(numbers);
    deepEqual(new Set(span(basis)), want);
    equal(2 ** basis.length, want.size);
    for (let number = 0; number < 64; number++) {
      const least = Math.min(...[...want].map((other) => other ^ number));
      equal(reduce(number, basis), least);
    }
  }
});
