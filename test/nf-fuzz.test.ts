/**
 * The fuzz law of network functions: random programs of the subset mean the same as
 * plain JavaScript, lowered and interpreted, as bytecode, and on the portable engine.
 * `node scripts/fuzz-nf.mjs` does the same for as long as wanted.
 */
import { equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { fuzzNf } from "./support/nf-fuzz.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

test(`random network functions (seed ${seed})`, async () => {
  const report = await fuzzNf({ seed, rounds: 1, functions: 16, packets: 100 });
  equal(report.finding, undefined);
  ok(report.functions >= 12, `${report.functions} functions were accepted`);
});
