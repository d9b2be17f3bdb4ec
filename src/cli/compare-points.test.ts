import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { test } from "node:test";
import { InputError } from "../base/index.ts";
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

test("worse and better want a large change that is no chance", () => {
  const times = (factor: number): number[] => steady.map((ns) => ns * factor);
  // prettier-ignore
  const cases: readonly (readonly [readonly number[], string])[] = [
    [times(1), "same"],
    [times(1.03), "same"],
    [times(1.2), "worse"],
    [times(0.8), "better"],
    [[90, 130, 112, 95, 140, 115], "unclear"],
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
    [{ samples: [1, 2] }, "its partner has 2 samples, too few"], [{ real: false }, "not in b"],
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
