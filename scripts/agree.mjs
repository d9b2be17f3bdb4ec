// Three machines, one answer: interpreter, portable engine and kernel on every XDP
// and TC program of nfs/c and of the corpus that the kernel loads.
//   node scripts/agree.mjs [--packets 100000] [--object NAME] [--seed N] [--budget 20m]
// Prints a line per program: packets; branch edges that they took, that these or three
// searches took, all; verdicts; maps that were written; mismatches. Exit 1 where there
// is one.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import process from "node:process";

const root = new URL("..", import.meta.url).pathname;
const support = (file) => import(join(root, "dist-dev/test/support", file));
const { agree } = await support("agree.js");
const { entriesOf, searchOf, subjectOf } = await support("subjects.js");
const { corpusAbsence, corpusObjects } = await support("corpus.js");
const { openKernel } = await import(join(root, "dist/engine/index.js"));

const { values } = parseArgs({
  options: {
    packets: { type: "string", default: "100000" },
    object: { type: "string" },
    seed: { type: "string", default: "1" },
    budget: { type: "string", default: "20m" },
    search: { type: "string", default: "20000" },
  },
});
const packets = Number(values.packets);
const seed = Number(values.seed);
const minutes = Number(/^(\d+)m$/.exec(values.budget)?.[1] ?? 20);
const until = Date.now() + minutes * 60_000;

const folder = join(root, "nfs/c");
const own = readdirSync(folder)
  .filter((name) => name.endsWith(".o"))
  .map((name) => ({ name, path: join(folder, name) }));
const absence = corpusAbsence();
if (absence !== undefined) console.error(`without the corpus: ${absence}`);
const objects = [...own, ...(absence === undefined ? corpusObjects() : [])];

const kernel = await openKernel();
let [programs, wrong, left, total] = [0, 0, 0, 0];
const unfinished = [];
const started = Date.now();
console.log(
  "program".padEnd(44),
  "packets".padStart(8),
  "edges".padStart(11),
  " s".padStart(5),
  "verdicts; maps written; what took no part",
);
for (const { name, path } of objects) {
  let entries = [];
  try {
    entries = entriesOf(path);
  } catch (error) {
    console.log(name.padEnd(44), error.message);
  }
  for (const entry of entries) {
    const title = `${name.replace(/\.o$/, "")}/${entry}`;
    if (values.object !== undefined && !title.includes(values.object)) continue;
    if (Date.now() > until) {
      left++;
      continue;
    }
    const begun = Date.now();
    try {
      const subject = subjectOf(path, {
        seed,
        entry,
        budget: Number(values.search),
      });
      const searches = [1, 2].map((other) =>
        searchOf(subject, {
          seed: seed + other,
          budget: Number(values.search),
        }),
      );
      const found = agree(subject, { kernel, packets, searches });
      programs++;
      total += found.packets;
      if (found.mismatches.length > 0) wrong++;
      const verdicts = Object.entries(found.verdicts)
        .map(([verdict, count]) => `${verdict} ${count}`)
        .join(", ");
      const parts = [
        verdicts,
        found.maps.join(", ") || "-",
        ...Object.entries(found.refused).map(([m, why]) => `no ${m}: ${why}`),
      ];
      console.log(
        title.padEnd(44),
        String(found.packets).padStart(8),
        `${found.reached}/${found.reachable}/${found.edges}`.padStart(11),
        ((Date.now() - begun) / 1000).toFixed(1).padStart(5),
        parts.join("; "),
      );
      for (const line of found.mismatches) console.log(`    ${line}`);
    } catch (error) {
      unfinished.push(title);
      const [line] = String(error.message).split("\n");
      console.log(title.padEnd(44), `${error.name}: ${line}`.slice(0, 200));
    }
  }
}
kernel.close();
console.log(
  `${programs} programs, ${total} packets, ${wrong} with mismatches, ${unfinished.length} not run, ${left} left for want of time; ${((Date.now() - started) / 1000).toFixed(0)} s`,
);
process.exitCode = wrong > 0 || left > 0 ? 1 : 0;
