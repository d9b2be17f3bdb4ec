// Every network function × every strategy × cores × traffic, on virtual cores.
//   node scripts/matrix.mjs [--packets 1000] [--budget SECONDS] [--only NAME,NAME]
//     [--cores 1,2,3,8,16] [--language C,TypeScript] [--seed N] [--search 4000] [--plans]
// A line per cell: grade, packets, mismatches, packets that a declared deviation explains,
// strength (asked where cores are 3). --plans: only what plans say, beside the table of
// test/support/expected-strategies.ts. Needs a build and dist-dev (scripts/test.mjs
// compiles it). Exit 1 on a mismatch, a weak certificate, or a plan unlike the table.
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
    search: { type: "string", default: "4000" },
    plans: { type: "boolean", default: false },
  },
});
const names = values.only?.split(",") ?? nfNames;
for (const name of names)
  if (!nfNames.includes(name)) {
    console.error(`no network function ${name}; ${nfNames.join(", ")}`);
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
  isOver: () => Date.now() > end,
  say: (line) => console.log(line),
});
console.log(result.summary);
process.exitCode = result.failures === 0 && !result.cut ? 0 : 1;
