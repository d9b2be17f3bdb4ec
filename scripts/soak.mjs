// Threads on the same maps for as long as wanted: no update may be lost, none may hang.
//   node scripts/soak.mjs [--seconds N] [--threads N] [--packets N] [--seed N] [--mutant racy|lock]
// Runs of N packets one after the other, each counted exactly (src/engine/wasm/soak.ts).
// Exit 1 on a finding; with --mutant, which breaks the law on purpose, on none.
import process from "node:process";
import { soak } from "../dist/engine/wasm/soak.js";

const words = process.argv.slice(2);
const flag = (name, otherwise) => {
  const at = words.indexOf(`--${name}`);
  return at < 0 ? otherwise : words.splice(at, 2)[1];
};
const seconds = Number(flag("seconds", "60"));
const threads = Number(flag("threads", "4"));
const packets = Number(flag("packets", "400000"));
const seed = Number(flag("seed", String(Date.now() % 0x7fff_ffff)));
const mutant = flag("mutant", undefined);
if (words.length > 0) {
  console.error(`unknown words: ${words.join(" ")}`);
  process.exit(2);
}

const end = performance.now() + 1000 * seconds;
let rounds = 0;
let total = 0;
let ns = 0;
let findings = [];
while (performance.now() < end && (findings.length === 0 || rounds === 0)) {
  const round = await soak({
    threads,
    packets,
    seed: (seed + rounds) | 0,
    ...(mutant === undefined ? {} : { mutant }),
  });
  rounds++;
  total += round.packets;
  ns += round.ns;
  findings = round.findings;
}
const rate = ((total / ns) * 1e3).toFixed(2);
console.log(
  `${threads} threads, seed ${seed}: ${rounds} runs, ${total} packets, ${rate} M/s`,
);
for (const finding of findings) console.log(`  ${finding}`);
if (findings.length === 0) console.log("  nothing lost");
process.exitCode = (findings.length === 0) === (mutant === undefined) ? 0 : 1;
