import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { Random } from "../base/index.ts";
import { fitScaling, modelledMpps } from "./scaling-model.ts";
import {
  changeInterval,
  differenceInterval,
  median,
  medianInterval,
  quantile,
  resample,
} from "./statistics.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);
const near = (have: number, want: number, by = 1e-9): void =>
  ok(Math.abs(have - want) <= by, `${have}, not ${want}`);

test("quantiles of known values", () => {
  // prettier-ignore
  const cases: readonly (readonly [readonly number[], number, number])[] = [
    [[7], 0.5, 7],
    [[3, 1, 2], 0.5, 2],
    [[4, 1, 3, 2], 0.5, 2.5],
    [[10, 20, 30, 40, 50], 0.25, 20],
    [[0, 10], 0.975, 9.75],
    [[5, 1], 0, 1],
    [[5, 1], 1, 5],
  ];
  for (const [values, part, want] of cases) near(quantile(values, part), want);
  equal(median([3, 9, 4]), 4);
});

const times = fc.array(fc.double({ min: 1, max: 1000, noNaN: true }), {
  minLength: 2,
  maxLength: 30,
});

test(`an interval lies between the extremes, holds the median, and repeats (seed ${seed})`, () => {
  fc.assert(
    fc.property(times, fc.integer(), (values, drawn) => {
      const [low, high] = medianInterval(values, { seed: drawn, rounds: 300 });
      const middle = median(values);
      ok(low <= middle + 1e-9 && middle <= high + 1e-9);
      ok(low >= Math.min(...values) && high <= Math.max(...values));
      deepEqual(medianInterval(values, { seed: drawn, rounds: 300 }), [
        low,
        high,
      ]);
    }),
    { seed, numRuns: 60 },
  );
});

test(`scaling all times scales intervals and changes no change (seed ${seed})`, () => {
  fc.assert(
    fc.property(times, times, fc.integer(), (before, after, drawn) => {
      const options = { seed: drawn, rounds: 200 };
      const [low, high] = changeInterval(before, after, options);
      const doubled = changeInterval(
        before.map((x) => 2 * x),
        after.map((x) => 2 * x),
        options,
      );
      near(doubled[0], low);
      near(doubled[1], high);
      const same = changeInterval(before, before, options);
      ok(same[0] <= 0 && same[1] >= 0);
    }),
    { seed, numRuns: 60 },
  );
});

test(`95 in 100 intervals hold the true median; a biased draw is seen (seed ${seed})`, () => {
  const random = new Random(seed);
  // Times with a tail, whose median is 100.
  const draw = (): number => 100 * 2 ** (3 * (random.unit() - 0.5));
  const held = (bias: number): number => {
    let count = 0;
    for (let trial = 0; trial < 300; trial++) {
      const values = Array.from({ length: 15 }, draw);
      const skewed = values.toSorted((a, b) => a - b).slice(bias);
      const [low, high] = medianInterval(skewed, { seed: trial, rounds: 200 });
      if (low <= 100 && 100 <= high) count++;
    }
    return count / 300;
  };
  ok(held(0) > 0.9, `${held(0)} with all values`);
  // The mutant draws from the larger values only.
  ok(held(6) < 0.8, `${held(6)} with the smallest left out`);
});

test("every value is drawn equally often", () => {
  const random = new Random(seed);
  const counts = [0, 0, 0, 0];
  for (let round = 0; round < 4000; round++)
    for (const value of resample([0, 1, 2, 3], random))
      counts[value] = (counts[value] ?? 0) + 1;
  // 16,000 draws: 4,000 each, standard deviation 55.
  for (const count of counts) ok(Math.abs(count - 4000) < 300, `${count}`);
});

test("a difference of known values", () => {
  const options = { seed, rounds: 500 };
  deepEqual(differenceInterval([5, 5, 5], [2, 2], options), [3, 3]);
  deepEqual(changeInterval([2, 2], [3, 3], options), [0.5, 0.5]);
});

const law = { oneCore: 12, contention: 0.08, coherence: 0.004 };
const points = (sizes: readonly number[], model = law) =>
  sizes.map((cores) => ({ cores, mpps: modelledMpps(model, cores) }));

test("the fit finds the law that made the points", () => {
  const model = fitScaling(points([1, 2, 4, 8, 16]));
  equal(model.kind, "usl");
  near(model.oneCore, 12, 1e-6);
  near(model.contention, 0.08, 1e-6);
  near(model.coherence, 0.004, 1e-6);
  near(model.error, 0, 1e-6);
  equal(model.freedom, 2);
});

test("terms are as many as the points allow", () => {
  // prettier-ignore
  const cases: readonly (readonly [readonly number[], string, number])[] = [
    [[1], "linear", 0], [[1, 1, 1], "linear", 2], [[1, 2], "amdahl", 0], [[1, 2, 2], "amdahl", 1], [[1, 2, 3], "usl", 0],
  ];
  for (const [sizes, kind, freedom] of cases) {
    const model = fitScaling(points(sizes));
    deepEqual([sizes, model.kind, model.freedom], [sizes, kind, freedom]);
    near(model.error, 0, 1e-6);
  }
  near(fitScaling(points([1])).contention, 0);
});

test("super-linear points do not make cores repel each other", () => {
  const model = fitScaling([
    { cores: 1, mpps: 10 },
    { cores: 2, mpps: 22 },
    { cores: 4, mpps: 46 },
  ]);
  deepEqual([model.contention, model.coherence], [0, 0]);
  ok(model.error > 0.03 && model.error < 0.15, `${model.error}`);
});

test(`points around a law: the error is that of the worst point (seed ${seed})`, () => {
  const random = new Random(seed);
  const noisy = points([1, 2, 3, 4, 6, 8]).map(({ cores, mpps }) => ({
    cores,
    mpps: mpps * (1 + 0.02 * (random.unit() - 0.5)),
  }));
  const model = fitScaling(noisy);
  ok(model.error > 0 && model.error < 0.02, `${model.error}`);
  near(model.oneCore, 12, 0.3);
  const worst = Math.max(
    ...noisy.map(({ cores, mpps }) =>
      Math.abs(modelledMpps(model, cores) / mpps - 1),
    ),
  );
  near(model.error, worst);
});
