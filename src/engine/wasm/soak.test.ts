/**
 * Four threads on the same maps, twenty seconds long: no update is lost, nothing hangs.
 * And both mutants are seen, so the count can tell.
 */
import { deepEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import { soak, type SoakMutant } from "./soak.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);
const threads = 4;

test(`no update is lost by four threads (seed ${seed})`, async () => {
  const end = performance.now() + 15_000;
  for (let round = 0; performance.now() < end; round++) {
    const { findings } = await soak({
      threads,
      packets: 200_000,
      seed: seed + round,
    });
    deepEqual(findings, [], `round ${round}`);
  }
});

const mutants: readonly (readonly [SoakMutant, RegExp])[] = [
  ["racy", /^atomic_\w+: \d+ updates lost$/],
  ["lock", /^(locked|plain)_\w+: \d+ updates lost$/],
];

for (const [mutant, lost] of mutants)
  test(`updates are seen to get lost (${mutant})`, async () => {
    // Chance decides when; one run of this size has shown it always so far.
    const seen: string[] = [];
    for (let round = 0; round < 20 && seen.length === 0; round++) {
      const packets = 200_000;
      const options = { threads, packets, seed: seed + round, mutant };
      seen.push(...(await soak(options)).findings);
    }
    ok(seen.length > 0, "no update was lost");
    for (const finding of seen) ok(lost.test(finding), finding);
  });
