import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { test } from "node:test";
import process from "node:process";
import { InputError, Random } from "../base/index.ts";
import { median, quantile } from "../engine/index.ts";
import { parseResult, type ResultPoint } from "./bench-file.ts";
import { compareResults } from "./compare-points.ts";

const machine = { cpu: "A", cpus: 2, kernel: "6.18", loadAverage: 0.1 };
const steady = [100, 101, 99, 100, 102, 98, 100, 101];

function point(more: Partial<ResultPoint> = {}): ResultPoint {
  return {
    program: "nf",
    engine: "kernel",
    strategy: "shard",
    state: "shared",
    cores: 1,
    real: true,
    includes: "program",
    placement: "single",
    nsPerPacket: 100,
    samples: steady,
    ...more,
  };
}

const file = (points: readonly unknown[], more: object = {}): string =>
  JSON.stringify({
    schema: "divisi.bench/1",
    machine,
    trace: ["gen:zipf"],
    points,
    ...more,
  });
const result = (points: readonly unknown[], more: object = {}, path = "a") =>
  parseResult(file(points, more), path);
const options = { threshold: 0.05, seed: 1 };
const seed = Number(process.env["DIVISI_SEED"] ?? 1);

/** The interval as if samples were independent. */
function independent(
  before: ReturnType<typeof result>,
  after: ReturnType<typeof result>,
  trial: number,
): readonly [number, number] {
  const random = new Random(trial);
  const drawn = (file: ReturnType<typeof result>): number => {
    const samples = file.points[0]?.samples ?? [];
    return median(
      samples.map(() => samples[random.below(samples.length)] ?? 0),
    );
  };
  const ratios = Array.from(
    { length: 300 },
    () => drawn(after) / drawn(before) - 1,
  );
  return [quantile(ratios, 0.025), quantile(ratios, 0.975)];
}

test("worse and better want a large change that is no chance", () => {
  const times = (factor: number): number[] => steady.map((ns) => ns * factor);
  // prettier-ignore
  const cases: readonly (readonly [readonly number[], string])[] = [
    [times(1), "same"],
    [times(1.03), "same"],
    [times(1.2), "worse"],
    [times(0.8), "better"],
    [[90, 130, 112, 95, 140, 115, 93, 133], "unclear"],
  ];
  const before = result([point()]);
  for (const [samples, verdict] of cases) {
    const { pairs } = compareResults(
      before,
      result([point({ samples })]),
      options,
    );
    deepEqual(
      pairs.map((pair) => [samples, pair.verdict]),
      [[samples, verdict]],
    );
    const [low = 0, high = 0] = pairs[0]?.ci95 ?? [];
    ok(low <= (pairs[0]?.change ?? 0) && (pairs[0]?.change ?? 0) <= high);
  }
  const slower = result([point({ samples: times(1.2) })]);
  const loose = compareResults(before, slower, { threshold: 0.3, seed: 1 });
  equal(loose.pairs[0]?.verdict, "same");
});

test("under eight samples there is no interval, and nothing is for sure", () => {
  const few = steady.slice(1);
  const { pairs } = compareResults(
    result([point({ samples: few })]),
    result([point({ samples: few.map((ns) => 2 * ns) })]),
    options,
  );
  deepEqual(
    pairs.map(({ ci95, verdict }) => [ci95, verdict]),
    [[[], "unclear"]],
  );
});

test("on a busy machine only a change beyond both spreads is sure", () => {
  const wide = [100, 90, 110, 95, 105, 92, 108, 100, 97, 103];
  const verdict = (factor: number, loadAverage: number) =>
    compareResults(
      result([point({ samples: wide })]),
      result([point({ samples: wide.map((ns) => ns * factor) })], {
        machine: { ...machine, loadAverage },
      }),
      options,
    ).pairs.map((pair) => pair.verdict);
  deepEqual(verdict(1.3, 0.1), ["worse"]);
  deepEqual(verdict(1.3, 5), ["unclear"]);
  deepEqual(verdict(0.8, 5), ["unclear"]);
  deepEqual(verdict(2, 5), ["worse"]);
  deepEqual(verdict(0.4, 5), ["better"]);
});

test(`the same measured twice, in two modes that last: no verdict for sure (seed ${seed})`, () => {
  const random = new Random(seed);
  // A neighbour comes and goes: 30 % slower for about five samples at a time.
  const run = (): number[] => {
    let slow = random.unit() < 0.5;
    return Array.from({ length: 20 }, () => {
      if (random.unit() < 0.2) slow = !slow;
      return (slow ? 130 : 100) * (1 + 0.04 * (random.unit() - 0.5));
    });
  };
  const sureOf = (load: number, shuffled: boolean): number => {
    let sure = 0;
    for (let trial = 0; trial < 200; trial++) {
      const runs = [run(), run()].map((samples) =>
        result([point({ samples })], {
          machine: { ...machine, loadAverage: load },
        }),
      );
      const [before, after] = runs;
      if (before === undefined || after === undefined) continue;
      const [pair] = compareResults(before, after, {
        ...options,
        seed: trial,
      }).pairs;
      // The mutant draws single samples, as if they were independent.
      const [low, high] = shuffled
        ? independent(before, after, trial)
        : (pair?.ci95 ?? []);
      const isFar = Math.abs(pair?.change ?? 0) > options.threshold;
      const verdict = pair?.verdict ?? "same";
      if (
        shuffled
          ? isFar && ((low ?? 0) > 0 || (high ?? 0) < 0)
          : /worse|better/.test(verdict)
      )
        sure++;
    }
    return sure / 200;
  };
  const [busy, quiet, mutant] = [
    sureOf(5, false),
    sureOf(0.1, false),
    sureOf(0.1, true),
  ];
  ok(busy < 0.02, `${busy} on a busy machine`);
  ok(quiet < 0.1, `${quiet} on a quiet one`);
  ok(mutant > 2 * quiet && mutant > 0.1, `${mutant} of the mutant`);
});

test("--placement any: what is left over is paired regardless, and says so", () => {
  const before = result([point({ cores: 2, placement: "near" }), point()]);
  const after = result([point({ cores: 2, placement: "far" }), point()]);
  equal(compareResults(before, after, options).pairs.length, 1);
  const { pairs, unpaired } = compareResults(before, after, {
    ...options,
    anyPlacement: true,
  });
  deepEqual(
    pairs.map(({ placements }) => placements),
    [undefined, ["near", "far"]],
  );
  deepEqual(unpaired, []);
});

test("a result compared with itself: every point the same, nothing left", () => {
  const whole = result([
    point(),
    point({ cores: 2, placement: "near" }),
    point({ cores: 2, placement: "far" }),
    point({ engine: "wasm" }),
    point({ cores: 8, real: false, samples: [] }),
  ]);
  const { pairs, unpaired, warnings } = compareResults(whole, whole, options);
  deepEqual(
    pairs.map(({ verdict, change }) => [verdict, change]),
    Array.from({ length: 4 }, () => ["same", 0]),
  );
  deepEqual([unpaired, warnings], [[], []]);
});

test("partners agree in everything; the others are named with the reason", () => {
  // prettier-ignore
  const cases: readonly (readonly [Partial<ResultPoint>, string])[] = [
    [{ engine: "wasm" }, "not in b"], [{ strategy: "lock" }, "not in b"], [{ state: "private" }, "not in b"], [{ cores: 2 }, "not in b"],
    [{ includes: "path" }, "not in b"], [{ program: "other" }, "not in b"], [{ placement: "far" }, "b has it far only"],
    [{ samples: [1, 2] }, "b has 2 samples of it, 3 are needed"], [{ real: false }, "not in b"],
  ];
  for (const [more, why] of cases) {
    const { pairs, unpaired } = compareResults(
      result([point()]),
      result([point(more)], {}, "b"),
      options,
    );
    deepEqual([more, pairs.length], [more, 0]);
    deepEqual([more, unpaired[0]?.file, unpaired[0]?.why], [more, "a", why]);
  }
});

test("of several points with one name, the n-th pairs with the n-th", () => {
  const slow = steady.map((ns) => 2 * ns);
  const two = result([point(), point({ samples: slow })]);
  const { pairs, unpaired } = compareResults(two, two, options);
  deepEqual(
    pairs.map(({ before, after }) => [before, after]),
    [
      [100, 100],
      [200, 200],
    ],
  );
  deepEqual(unpaired, []);
  const one = compareResults(two, result([point()], {}, "b"), options);
  deepEqual([one.pairs.length, one.unpaired.length], [1, 1]);
});

test("machines, traces and load are warned of", () => {
  const { warnings } = compareResults(
    result([point()]),
    result([point()], {
      machine: { ...machine, cpu: "B", loadAverage: 1.5 },
      trace: ["x.pcap"],
    }),
    options,
  );
  deepEqual(warnings, [
    "different machines: cpu A against B",
    'different traces: ["gen:zipf"] against ["x.pcap"]',
    "a was measured on a busy machine (load 1.5)",
  ]);
});

test("a foreign file is refused with its place", () => {
  // prettier-ignore
  const cases: readonly (readonly [string, RegExp])[] = [
    ["{", /^is no JSON: /],
    ["[]", /^the file: an object is expected$/],
    ["{}", /^schema divisi\.bench\/1 is expected, not undefined$/],
    [file([], { machine: 1 }), /^machine: an object is expected$/],
    [file([], { points: 1 }), /^points is missing or no list$/],
    [file([point(), 7]), /^points\[1\]: an object is expected$/],
    [file([{ ...point(), placement: 7 }]), /^points\[0\]\.placement: text is expected$/],
    [file([{ ...point(), real: "yes" }]), /^points\[0\]\.real: true or false is expected$/],
    [file([{ ...point(), samples: 3 }]), /^points\[0\]\.samples: a list is expected$/],
    [file([{ ...point(), samples: [1, -2] }]), /^points\[0\]\.samples\[1\]: a number above 0 is expected$/],
    [file([{ ...point(), cores: 0 }]), /^points\[0\]\.cores: a number above 0 is expected$/],
  ];
  for (const [text, says] of cases)
    throws(
      () => parseResult(text, "x.json"),
      (error: unknown) =>
        error instanceof InputError &&
        error.file === "x.json" &&
        says.test(error.message),
      text,
    );
});
