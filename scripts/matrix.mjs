// Every network function × every strategy × cores × traffic, on virtual cores.
//   node scripts/matrix.mjs [--packets 1000] [--budget SECONDS] [--only NAME,NAME]
//     [--part I/N] [--cores 1,2,3,8,16] [--language C,TypeScript] [--setting small,roomy]
//     [--strategy plan --strategy lock] [--seed N] [--search 40000] [--plans] [--threads]
// A line per cell: grade, packets, mismatches, packets that a declared deviation explains,
// strength (asked where cores are 3); then a line per network function, and one for all.
// --part: every N-th subject, from the I-th on (1 is the first); the parts together are
// the whole. --plans: only what plans say, beside the table of
// test/support/expected-strategies.ts. --threads: the same plans on real threads. Needs a
// build and dist-dev (scripts/test.mjs compiles it). Exit 1 on a mismatch, a weak
// certificate, a plan unlike the table, or a budget that ended it.
import { join } from "node:path";
import { parseArgs } from "node:util";
import process from "node:process";

const root = new URL("..", import.meta.url).pathname;
const support = (file) => import(join(root, "dist-dev/test/support", file));
const { runMatrix } = await support("matrix-run.js");
const { nfNames } = await support("nf-suite.js");

const { values } = parseArgs({
  options: {
    packets: { type: "string", default: "1000" },
    budget: { type: "string" },
    only: { type: "string" },
    cores: { type: "string", default: "1,2,3,8,16" },
    language: { type: "string", default: "C,TypeScript" },
    seed: { type: "string", default: "1" },
    search: { type: "string", default: "40000" },
    part: { type: "string", default: "1/1" },
    setting: { type: "string", default: "small,roomy" },
    strategy: { type: "string", multiple: true },
    plans: { type: "boolean", default: false },
    threads: { type: "boolean", default: false },
  },
});
const names = values.only?.split(",") ?? nfNames;
for (const name of names)
  if (!nfNames.includes(name)) {
    console.error(`no network function ${name}; ${nfNames.join(", ")}`);
    process.exit(2);
  }
const [index, of] = values.part.split("/").map(Number);
if (!(Number.isInteger(index) && index >= 1 && index <= of)) {
  console.error(`--part ${values.part}: 1/4 is the first of four`);
  process.exit(2);
}
const end =
  values.budget === undefined
    ? Infinity
    : Date.now() + 1000 * Number(values.budget);
const result = await runMatrix({
  names,
  languages: values.language.split(","),
  cores: values.cores.split(",").map(Number),
  packets: Number(values.packets),
  seed: Number(values.seed),
  search: Number(values.search),
  plansOnly: values.plans,
  part: { index: index - 1, of },
  settings: values.setting.split(","),
  ...(values.strategy === undefined ? {} : { strategies: values.strategy }),
  threads: values.threads,
  isOver: () => Date.now() > end,
  say: (line) => console.log(line),
});
for (const line of result.summary) console.log(line);
process.exitCode = result.failures === 0 && !result.cut ? 0 : 1;
