import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { emptyProgram, type Placement } from "../engine/index.ts";
import { modelledPoint, modelsOf, pointsOf } from "./bench-points.ts";
import type { Series, SeriesSample } from "./bench-series.ts";

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
  deepEqual(point?.ci95, [50, 52]);
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
