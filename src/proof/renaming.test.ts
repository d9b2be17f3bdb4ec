/** When two frames are equal but for a renamed index: word by word. */
import { equal } from "node:assert/strict";
import { test } from "node:test";
import { sameFrame } from "./renaming.ts";

/** Words of a frame, in network order. */
const frame = (...words: readonly number[]): Uint8Array =>
  Uint8Array.from(words.flatMap((word) => [word >> 8, word & 255]));

const shifts = new Set([10]);
const given = { one: frame(7, 100, 5000), other: frame(7, 110, 5000) };

// prettier-ignore
const rows: readonly (readonly [string, readonly number[], readonly number[], boolean, typeof given?])[] = [
  ["nothing differs", [7, 100, 5000], [7, 100, 5000], true],
  ["another length", [7, 100, 5000], [7, 100], false],
  ["a port moves by the shift, nothing sums it up", [7, 100, 0], [7, 110, 0], true],
  ["a port moves by the shift, the checksum balances it", [7, 100, 5000], [7, 110, 4990], true],
  ["the checksum does not balance it", [7, 100, 5000], [7, 110, 4991], false],
  ["a port moves by another number", [7, 100, 5000], [7, 111, 4989], false],
  ["the shift the wrong way", [7, 110, 0], [7, 100, 0], false],
  ["a third word differs", [7, 100, 5000], [8, 110, 4990], false],
  ["two names of zero", [7, 100, 0], [7, 100, 0xffff], true],
  ["two names of what is not zero", [7, 100, 1], [7, 100, 0xfffe], false],
  ["what went in different comes out so", [7, 100, 5000], [7, 110, 5000], true, given],
  ["… and something else with it", [8, 100, 5000], [9, 110, 5000], false, given],
];

for (const [what, one, other, want, came] of rows)
  test(what, () => {
    equal(sameFrame(frame(...one), frame(...other), shifts, came), want);
  });

test("without an index that moved, no word may differ", () => {
  equal(sameFrame(frame(7, 100), frame(7, 110), new Set()), false);
});
