import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { emptyProgram, type Placement } from "../engine/index.ts";
import {
  modelledPoint,
  modelsOf,
  pointsOf,
  superlinearText,
} from "./bench-points.ts";
import { samplesFor, type Series, type SeriesSample } from "./bench-series.ts";

const contestant = {
  program: { ...emptyProgram, name: "nf" },
  from: "nf.o",
  strategy: "shard",
  btf: undefined,
  contents: () => ({}),
  packets: [],
  ports: [],
  trace: [],
  steer: () => new Uint8Array(),
  mostCores: 8,
};

function sample(placement: Placement, ...ns: number[]): SeriesSample {
  return { placement, ns };
}

function series(more: Partial<Series>): Series {
  return {
    contestant,
    engine: "kernel",
    cores: 1,
    state: "shared",
    shares: [1],
    samples: [sample("single", 50), sample("single", 52), sample("single", 51)],
    base: [sample("single", 10), sample("single", 11), sample("single", 12)],
    how: "loop",
    includes: "program",
    disturbed: {},
    notes: [],
    ...more,
  };
}

test("one core: median, net of the empty program, packets per second", () => {
  const [point, ...others] = pointsOf(series({}), 1);
  equal(others.length, 0);
  deepEqual(
    [point?.nsPerPacket, point?.netNsPerPacket, point?.mpps],
    [51, 40, 19.61],
  );
  // Three samples give no interval.
  deepEqual([point?.ci95, point?.netCi95], [[], []]);
  deepEqual([point?.placement, point?.includes], ["single", "program"]);
});

test("the busiest core sets what the whole bears; idle cores have no time", () => {
  const uneven = series({
    cores: 3,
    shares: [0.75, 0, 0.25],
    samples: Array.from({ length: 3 }, () => sample("near", 40, 80)),
    base: [],
  });
  const [point] = pointsOf(uneven, 1);
  // 0.75 · 40 = 30 ns of each packet on core 0, 0.25 · 80 = 20 on core 2.
  deepEqual([point?.nsPerPacket, point?.mpps], [50, 33.33]);
  deepEqual(point?.load, [0.75, 0, 0.25]);
  equal(point?.netNsPerPacket, undefined);
});

test("an interval wants eight samples, of the empty program too", () => {
  const of = (count: number) =>
    Array.from({ length: count }, (_, at) => sample("single", 50 + at));
  for (const [own, base, have] of [
    [7, 8, [0, 0]],
    [8, 7, [2, 0]],
    [8, 8, [2, 2]],
  ] as const) {
    const [point] = pointsOf(series({ samples: of(own), base: of(base) }), 1);
    deepEqual([point?.ci95.length, point?.netCi95?.length], have);
  }
});

test("input that grows faster than the cores is flagged, and so is what is drawn from it", () => {
  const at = (cores: number, ns: number) =>
    pointsOf(
      series({
        cores,
        shares: Array.from({ length: cores }, () => 1 / cores),
        samples: Array.from({ length: 4 }, () =>
          sample(
            cores === 1 ? "single" : "near",
            ...Array.from({ length: cores }, () => ns),
          ),
        ),
      }),
      1,
    );
  const [grown] = modelsOf([...at(1, 47), ...at(2, 40)]);
  ok(grown !== undefined);
  deepEqual(grown.superlinear, { cores: 2, times: 2.35 });
  const drawn = modelledPoint(grown, 4, "shared");
  equal(drawn.modelError, null);
  deepEqual(drawn.notes[1], superlinearText(grown));
  equal(
    superlinearText(grown),
    "superlinear input: 2.35 times from 1 to 2 cores, which no model explains; do not trust what it draws",
  );
  const [sound] = modelsOf([...at(1, 47), ...at(2, 46)]);
  deepEqual(
    [sound?.superlinear, sound && superlinearText(sound)],
    [undefined, undefined],
  );
});

test("the time asked for is stretched for an interval, thrice at most", () => {
  // prettier-ignore
  const cases: readonly (readonly [number, number, number])[] = [
    [5, 100, 50], [5, 1000, 9], [5, 2000, 6], [5, 9000, 3], [100, 10, 60], [0.2, 100, 6],
  ];
  for (const [seconds, milliseconds, want] of cases)
    equal(samplesFor(seconds, 1, milliseconds), want);
});

test("near and far are points of their own; stray samples are none", () => {
  const two = (placement: Placement, ns: number, count: number) =>
    Array.from({ length: count }, () => sample(placement, ns, ns));
  const mixed = series({
    cores: 2,
    shares: [0.5, 0.5],
    samples: [
      ...two("near", 60, 5),
      ...two("far", 120, 4),
      ...two("untagged", 90, 2),
    ],
    base: [...two("near", 10, 3), ...two("far", 20, 3)],
  });
  deepEqual(
    pointsOf(mixed, 1).map((point) => [
      point.placement,
      point.nsPerPacket,
      point.netNsPerPacket,
      point.samples.length,
    ]),
    [
      ["near", 60, 50, 5],
      ["far", 120, 100, 4],
    ],
  );
});

test("models are of one placement, and what they say is not real", () => {
  const at = (cores: number, ns: number, placement: Placement) =>
    pointsOf(
      series({
        cores,
        shares: Array.from({ length: cores }, () => 1 / cores),
        samples: Array.from({ length: 4 }, () =>
          sample(placement, ...Array.from({ length: cores }, () => ns)),
        ),
      }),
      1,
    );
  const [model, ...others] = modelsOf([
    ...at(1, 50, "single"),
    ...at(2, 50, "near"),
    ...at(3, 50, "near"),
    ...at(2, 500, "far"),
  ]);
  equal(others.length, 0);
  ok(model !== undefined);
  deepEqual(
    [model.kind, model.placement, model.cores],
    ["usl", "near", [1, 2, 3]],
  );
  const point = modelledPoint(model, 8, "shared");
  deepEqual(
    [point.real, point.placement, point.ci95, point.samples],
    [false, "modelled", [], []],
  );
  // No contention was measured, so none is drawn.
  ok(Math.abs(point.mpps - 160) < 0.5, `${point.mpps}`);
  deepEqual(point.notes, ["modelled from 1, 2, 3 cores, not measured"]);
});
