// Fuzzes the readers of untrusted files, for as long as wanted.
//   node scripts/fuzz.mjs [--room NAME] [--seconds N] [--cases N] [--seed N] [FILE…]
// Without FILEs: the objects of nfs/c and of the package libxdp1. Exit 1 on a finding.
import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fuzzObjects } from "../dist/object/fuzz.js";
import { fuzzCaptures } from "../dist/traffic/fuzz.js";

const root = new URL("..", import.meta.url).pathname;
const words = process.argv.slice(2);
const flag = (name, otherwise) => {
  const at = words.indexOf(`--${name}`);
  return at < 0 ? otherwise : words.splice(at, 2)[1];
};
const room = flag("room", undefined);
const seconds = Number(flag("seconds", "60"));
const cases = Number(flag("cases", "Infinity"));
const seed = Number(flag("seed", String(Date.now() % 0x7fff_ffff)));

// A room's fuzzer: (inputs, { seed, cases, now, until }) → report; and its inputs.
const fuzzers = {
  object: { run: fuzzObjects, inputs: objectFiles },
  // Makes its own captures.
  traffic: { run: (_, options) => fuzzCaptures(options), inputs: () => [] },
};

function objectFiles() {
  const own = readdirSync(join(root, "nfs/c"))
    .filter((name) => name.endsWith(".o"))
    .map((name) => join(root, "nfs/c", name));
  return [...own, ...packaged("libxdp1", /\/bpf\/[^/]+\.o$/)];
}

function packaged(name, wanted) {
  try {
    return execFileSync("dpkg", ["-L", name], { encoding: "utf8" })
      .split("\n")
      .filter((path) => wanted.test(path));
  } catch {
    return [];
  }
}

const chosen = Object.entries(fuzzers).filter(
  ([name]) => room === undefined || room === name,
);
if (chosen.length === 0) {
  console.error(
    `no fuzzer for ${room}; there are ${Object.keys(fuzzers).join(", ")}`,
  );
  process.exit(2);
}
const now = () => performance.now();
for (const [name, { run, inputs }] of chosen) {
  const files = words.length > 0 ? words : inputs();
  const report = run(
    files.map((file) => ({
      name: file,
      bytes: new Uint8Array(readFileSync(file)),
    })),
    { seed, cases, now, until: now() + (1000 * seconds) / chosen.length },
  );
  const { pastHeaders, values, codes, failures, slowest } = report;
  console.log(
    `${name}: seed ${seed}, ${report.cases} cases, ${pastHeaders} past the headers, ${values} values, slowest ${Math.round(slowest.ms)} ms (case ${slowest.case})`,
  );
  for (const [code, count] of [...codes].sort((a, b) => b[1] - a[1]))
    console.log(`  ${code} ${count}`);
  for (const failure of failures.slice(0, 20))
    console.log(
      `FOUND case ${failure.case} of ${failure.input} (${failure.mutation}): ${failure.error?.stack}`,
    );
  if (failures.length > 0 || slowest.ms >= 1000) process.exitCode = 1;
}
