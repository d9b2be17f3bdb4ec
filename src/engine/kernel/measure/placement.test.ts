import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { placementBorders, placementOf } from "./placement.ts";

const fixed = { near: 200, far: 270 };

test("borders lie in the widest gap of what was seen", () => {
  // prettier-ignore
  const cases: readonly (readonly [string, readonly number[], { near: number; far: number }])[] = [
    ["nothing seen", [], fixed],
    ["one mode, near", [110, 120, 131, 140], fixed],
    ["one mode, far", [480, 510, 560], fixed],
    ["two modes", [100, 400, 100, 400], { near: 200, far: 200 }],
    ["two modes of a slower machine", [250, 260, 800], { near: Math.sqrt(260 * 800), far: Math.sqrt(260 * 800) }],
    ["a gap that is no mode", [5, 60, 120], fixed],
    ["an outlier is no mode", [120, 130, 30_000], fixed],
    ["failed rallies do not count", [0, 0, 120], fixed],
  ];
  for (const [name, seen, want] of cases)
    deepEqual([name, placementBorders(seen)], [name, want]);
});

test("a sample is near or far only if all round trips say so", () => {
  // prettier-ignore
  const cases: readonly (readonly [readonly number[], string])[] = [
    [[], "single"],
    [[120, 130], "near"],
    [[500, 450], "far"],
    [[120, 500], "untagged"],
    [[230, 240], "untagged"],
    [[120, 0], "untagged"],
    [[0, 0], "untagged"],
  ];
  for (const [roundTrips, want] of cases)
    equal(placementOf(roundTrips, fixed), want, roundTrips.join());
});
