// The network functions of the suite on all their machines, with much traffic.
//   node scripts/agree-nfs.mjs [--packets 1000000] [--only NAME] [--seed N] [--mutants 24]
// Prints a line per function: packets, mismatches, branch edges reached of those feasible
// per object, verdicts, mutants seen, strength. Needs a build and dist-dev (node
// scripts/test.mjs compiles it). Exit 1 on a mismatch or a weak certificate.
import { join } from "node:path";
import { parseArgs } from "node:util";
import process from "node:process";

const root = new URL("..", import.meta.url).pathname;
const support = (file) => import(join(root, "dist-dev/test/support", file));
const { nfNames, variantsOf } = await support("nf-suite.js");
const { tryNf } = await support("nf-trial.js");

const { values } = parseArgs({
  options: {
    packets: { type: "string", default: "1000000" },
    only: { type: "string" },
    seed: { type: "string", default: "1" },
    search: { type: "string", default: "20000" },
    traced: { type: "string", default: "50000" },
    mutants: { type: "string", default: "24" },
  },
});
const options = {
  packets: Number(values.packets),
  seed: Number(values.seed),
  per: 20_000,
  search: Number(values.search),
  traced: Number(values.traced),
  mutants: Number(values.mutants),
};
const names =
  values.only === undefined ? nfNames : values.only.split(",").filter(Boolean);
for (const name of names)
  if (!nfNames.includes(name)) {
    console.error(`no network function ${name}; ${nfNames.join(", ")}`);
    process.exit(2);
  }

const row = (cells) =>
  console.log(
    cells
      .map((cell, at) => (at === 0 ? cell.padEnd(20) : cell.padStart(11)))
      .join(""),
  );
row(["function", "packets", "mismatches", "C", "TypeScript", "mutants", "s"]);
let bad = 0;
for (const name of names) {
  const begun = Date.now();
  const found = tryNf(name, await variantsOf(name), options);
  const edges = (language) => {
    const one = found.coverage.find((each) => each.language === language);
    return one === undefined ? "-" : `${one.hit}/${one.feasible}`;
  };
  if (found.mismatches > 0 || found.strength === "weak") bad++;
  row([
    name,
    String(found.packets),
    String(found.mismatches),
    edges("C"),
    edges("TypeScript"),
    `${found.mutants.killed}/${found.mutants.total}`,
    ((Date.now() - begun) / 1000).toFixed(1),
  ]);
  const verdicts = Object.entries(found.verdicts)
    .map(([verdict, count]) => `${verdict} ${count}`)
    .join(", ");
  console.log(`    ${found.strength}; ${verdicts}`);
  for (const weakness of found.weaknesses) console.log(`    ${weakness}`);
  if (found.strength === "weak")
    for (const { language, missing } of found.coverage)
      for (const edge of missing) console.log(`    ${language} ${edge}`);
  for (const mutant of found.mutants.survivors)
    console.log(`    not seen: ${mutant}`);
  for (const text of found.texts) console.log(text);
}
console.log(
  bad === 0
    ? `${names.length} functions agree`
    : `${bad} of ${names.length} functions disagree or are weakly tested`,
);
process.exitCode = bad === 0 ? 0 : 1;
