/**
 * Fuzz law: any bytes give a value or an InputError that names the file, each
 * case in under a second. DIVISI_SEED repeats a run; longer ones: scripts/fuzz.mjs.
 */
import { deepEqual, ok } from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { compiledFixtures, installedFixtures } from "./fixtures.test.ts";
import { fuzzObjects } from "./fuzz.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? Date.now() % 0x7fff_ffff);
const cases = 12_000;

test(`${cases} hostile objects, seed ${seed}`, (context) => {
  const installed = installedFixtures().filter(
    ({ bytes }) => bytes.length < 16_384,
  );
  const inputs = [...compiledFixtures(), ...installed];
  const report = fuzzObjects(inputs, {
    seed,
    cases,
    now: () => performance.now(),
  });
  context.diagnostic(
    `seed ${seed}: ${report.pastHeaders} past the headers, ${report.values} values, ${report.codes.size} kinds of errors, slowest ${Math.round(report.slowest.ms)} ms`,
  );
  deepEqual(report.failures, []);
  ok(report.pastHeaders >= 0.3 * cases, `${report.pastHeaders} past headers`);
  ok(report.values >= 0.05 * cases, `${report.values} values`);
  ok(report.codes.size >= 20, [...report.codes.keys()].join(" "));
  ok(report.slowest.ms < 1000, `case ${report.slowest.case}`);
  ok(process.memoryUsage().rss < 512 * 1024 * 1024);
});
