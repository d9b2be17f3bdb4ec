// Split programs through real XDP on veth, two CPUs at once, against the portable engine.
//   node scripts/veth-agree.mjs [--packets 1000000] [--only NAME,…] [--seed N] [--per 62500]
//                               [--layout private|shared]
// Packets are divided among the programs, in runs of `per` on fresh state. A line per
// program: packets, mismatches, cells that differ, packets on a wrong queue, lost ones, and
// how often the CPUs took turns; then the same with every third packet on the wrong queue:
// how many were counted there, and how many verdicts, frames and cells differed (in shared
// maps they need not). Needs root, a build and dist-dev (node scripts/test.mjs compiles it).
// Exit 1 on a mismatch, a lost packet, or a mutant that nobody saw.
import { join } from "node:path";
import { parseArgs } from "node:util";
import process from "node:process";

const root = new URL("..", import.meta.url).pathname;
const { openKernel } = await import(join(root, "dist/engine/index.js"));
const { vethNames, vethSubject, vethFrames, runVeth, misdirected } =
  await import(join(root, "dist-dev/test/support/veth-runs.js"));

const { values } = parseArgs({
  options: {
    packets: { type: "string", default: "1000000" },
    only: { type: "string" },
    seed: { type: "string", default: "1" },
    per: { type: "string", default: "62500" },
    layout: { type: "string", default: "private" },
  },
});
const names =
  values.only === undefined
    ? vethNames
    : values.only.split(",").filter(Boolean);
const per = Number(values.per);
const share = Math.ceil(Number(values.packets) / names.length);
const kernel = await openKernel();
const row = (cells) =>
  console.log(
    cells
      .map((cell, at) =>
        at === 0 ? cell.padEnd(20) : String(cell).padStart(12),
      )
      .join(""),
  );
row([
  "program",
  "packets",
  "mismatches",
  "cells",
  "misdirected",
  "lost",
  "turns",
  "packets/s",
  "mutant",
]);
let bad = 0;
try {
  for (const name of names) {
    const subject = vethSubject(name, values.layout);
    const sums = {
      packets: 0,
      mismatches: 0,
      cells: 0,
      misdirected: 0,
      lost: 0,
      turns: 0,
      seconds: 0,
    };
    for (let seed = Number(values.seed); sums.packets < share; seed++) {
      const packets = Math.min(per, share - sums.packets);
      const frames = vethFrames(subject, { packets, seed });
      const found = await runVeth(kernel, subject, frames);
      sums.packets += found.packets;
      sums.mismatches += found.mismatches;
      sums.cells += found.stateDifferences;
      sums.misdirected += found.misdirected;
      sums.lost += found.lost + found.strays;
      sums.turns += found.alternations;
      sums.seconds += found.seconds;
      for (const text of found.texts)
        console.log(`  ${name}, seed ${seed}: ${text}`);
      if (found.packets > 1000 && found.perCore.includes(0)) {
        console.log(`  ${name}, seed ${seed}: one core had nothing to do`);
        bad++;
      }
      if (found.packets === 0) break;
    }
    const frames = vethFrames(subject, {
      packets: Math.min(per, 6000),
      seed: Number(values.seed),
    });
    const mutant = await runVeth(kernel, subject, misdirected(frames, 3));
    const differences = mutant.mismatches + mutant.stateDifferences;
    if (sums.mismatches + sums.cells + sums.misdirected + sums.lost > 0) bad++;
    if (mutant.misdirected === 0) bad++;
    if (subject.hasOwnCells && differences === 0) bad++;
    row([
      name,
      sums.packets,
      sums.mismatches,
      sums.cells,
      sums.misdirected,
      sums.lost,
      sums.turns,
      Math.round(sums.packets / sums.seconds),
      `${mutant.misdirected}, ${differences}`,
    ]);
  }
} finally {
  kernel.close();
}
process.exitCode = bad === 0 ? 0 : 1;
