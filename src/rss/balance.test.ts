/**
 * Balanced tables: laws on drawn counts, a brute-force judge on small ones, and
 * mutants of the counting that must be seen.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../base/index.ts";
import {
  balanceTable,
  coreLoads,
  cutEntries,
  imbalanceOfCounts,
  spreadEntries,
} from "./balance.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

const even = (size: number, cores: number): number[] =>
  Array.from({ length: size }, (_, entry) => entry % cores);

/** Counts of `flows` Zipf flows over entries. */
function zipf(
  random: Random,
  shape: { size: number; flows: number; skew: number },
): Float64Array {
  const counts = new Float64Array(shape.size);
  for (let rank = 1; rank <= shape.flows; rank++) {
    const entry = random.below(shape.size);
    counts[entry] = (counts[entry] ?? 0) + Math.ceil(1e5 * rank ** -shape.skew);
  }
  return counts;
}

test(`laws on drawn counts (seed ${seed})`, () => {
  const random = new Random(seed);
  for (let round = 0; round < 200; round++) {
    const cores = random.pick([2, 3, 4, 7, 8, 16]);
    const size = random.pick([64, 128, 512]);
    const skew = random.pick([0, 0.8, 1.1, 1.26, 2]);
    const flows = random.below(2000);
    const counts = zipf(random, { size, flows, skew });
    const entries = even(size, cores);
    const { table, before, after, moved } = balanceTable(counts, {
      entries,
      cores,
    });
    equal(table.entries.length, size);
    ok(table.entries.every((queue) => queue >= 0 && queue < cores));
    equal(table.entries[0], 0, "frames without a hash stay on queue 0");
    ok(after <= before + 1e-9, `${before} became ${after}`);
    equal(
      moved,
      table.entries.filter((queue, entry) => queue !== entries[entry]).length,
    );
    const total = counts.reduce((sum, count) => sum + count, 0);
    equal(
      coreLoads(counts, table.entries, cores).reduce((sum, n) => sum + n, 0),
      total,
    );
    // No table has less than the largest entry on some core.
    const bound = Math.max(1, (Math.max(...counts) * cores) / (total || 1));
    ok(
      after <= Math.max(1.1 * bound, 1.25) ||
        size < 16 * cores ||
        flows < 40 * cores,
      `${after} where ${bound} is the bound: ${size} entries, ${cores} cores, skew ${skew}`,
    );
    if (table.ethtool[0] === "weight") {
      const words = table.ethtool.slice(1).map(Number);
      deepEqual(
        words.flatMap((count, queue) =>
          Array.from({ length: count }, () => queue),
        ),
        table.entries,
      );
    }
  }
});

test(`few entries against every table (seed ${seed})`, () => {
  const random = new Random(seed);
  for (let round = 0; round < 60; round++) {
    const size = 8;
    const cores = random.pick([2, 3]);
    const counts = Array.from({ length: size }, () => random.below(100));
    let best = Infinity;
    let rising = Infinity;
    for (let code = 0; code < cores ** (size - 1); code++) {
      const entries = [0];
      for (
        let rest = code;
        entries.length < size;
        rest = Math.floor(rest / cores)
      )
        entries.push(rest % cores);
      const imbalance = imbalanceOfCounts(counts, entries, cores);
      best = Math.min(best, imbalance);
      if (
        entries.every(
          (queue, at) => at === 0 || queue >= (entries[at - 1] ?? 0),
        )
      )
        rising = Math.min(rising, imbalance);
    }
    const options = { entries: even(size, cores), cores };
    const cut = imbalanceOfCounts(counts, cutEntries(counts, options), cores);
    ok(
      cut <= rising + 1e-3,
      `cut ${cut}, best rising ${rising}: ${counts.join(" ")}`,
    );
    const spread = imbalanceOfCounts(
      counts,
      spreadEntries(counts, options),
      cores,
    );
    ok(
      spread <= 1.15 * best,
      `spread ${spread}, best ${best}: ${counts.join(" ")}`,
    );
  }
});

// prettier-ignore
const cases: readonly (readonly [string, number[], number, number[]])[] = [
  ["even stays",             [5, 5, 5, 5],     2, [0, 1, 0, 1]],
  ["an elephant alone",      [1, 9, 1, 1],     2, [0, 1, 0, 0]],
  ["elephant on entry 0",    [9, 1, 1, 1],     2, [0, 1, 1, 1]],
  ["two elephants, 3 cores", [0, 9, 0, 0, 9, 1], 3, [0, 1, 2, 0, 1, 2]],
  ["nothing",                [0, 0, 0, 0],     2, [0, 1, 0, 1]],
];
for (const [what, counts, cores, want] of cases)
  test(`table for ${what}`, () => {
    const { table, after } = balanceTable(counts, {
      entries: even(counts.length, cores),
      cores,
    });
    if (what.startsWith("two")) ok(after <= (9 * 3) / 19 + 1e-9, `${after}`);
    else deepEqual(table.entries, want);
  });

test("counted per port, two tables would send a reply elsewhere", () => {
  // Requests weigh on entries 1 and 3, replies on entry 2: together they balance.
  const requests = [0, 6, 0, 2];
  const replies = [0, 0, 8, 0];
  const options = { entries: even(4, 2), cores: 2 };
  const sum = requests.map((count, entry) => count + (replies[entry] ?? 0));
  const one = balanceTable(sum, options);
  equal(one.after, 1);
  const [lan, wan] = [requests, replies].map(
    (counts) => balanceTable(counts, options).table.entries,
  );
  ok(
    lan?.some((queue, entry) => queue !== wan?.[entry]),
    "balanced alone they disagree: bug 1",
  );
});
