// Random network functions in TypeScript: plain JavaScript, the interpreters and the
// portable engine must agree on every packet.
//   node scripts/fuzz-nf.mjs [--seconds N] [--rounds N] [--functions N] [--packets N] [--seed N]
// Needs a build and dist-dev (node scripts/test.mjs compiles it). Exit 1 on a finding.
import process from "node:process";
import { fuzzNf } from "../dist-dev/test/support/nf-fuzz.js";

const words = process.argv.slice(2);
const flag = (name, otherwise) => {
  const at = words.indexOf(`--${name}`);
  return Number(at < 0 ? otherwise : words[at + 1]);
};
const seed = flag("seed", process.env.DIVISI_SEED ?? Date.now() % 0x7fff_ffff);
const until = Date.now() + 1000 * flag("seconds", 60);

console.log(`seed ${seed}`);
const report = await fuzzNf({
  seed,
  rounds: flag("rounds", 1_000_000),
  functions: flag("functions", 24),
  packets: flag("packets", 300),
  isOver: () => Date.now() > until,
});
console.log(`${report.rounds} rounds, ${report.functions} functions`);
if (report.finding !== undefined) {
  console.log(report.finding);
  process.exit(1);
}
