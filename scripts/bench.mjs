// Compiles and runs the benchmarks.
//   node scripts/bench.mjs [NAME…] [--OPTION VALUE…]
// NAME: start of a file name in bench/. Options are the bench's own, and told in its
// first comment.
// Each bench prints words for humans on stderr and one JSON value on stdout, which
// is kept as bench/results/NAME.json. Benches never gate anything.
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

const root = new URL("..", import.meta.url).pathname;
const words = process.argv.slice(2);
const first = words.findIndex((word) => word.startsWith("-"));
const names = first < 0 ? words : words.slice(0, first);
const options = first < 0 ? [] : words.slice(first);
if (options.length > 0 && names.length !== 1) {
  console.error("options are one benchmark's: name it");
  process.exit(2);
}
const compiler = [
  join(root, "node_modules/typescript/bin/tsc"),
  "-p",
  join(root, "tsconfig.dev.json"),
];
spawnSync(process.execPath, compiler, { cwd: root, stdio: "inherit" });

const folder = join(root, "dist-dev/bench");
const files = readdirSync(folder)
  .filter((file) => file.endsWith(".bench.js"))
  .filter(
    (file) => names.length === 0 || names.some((n) => file.startsWith(n)),
  );
if (files.length === 0) {
  console.error("no benchmark found");
  process.exit(1);
}
const results = join(root, "bench/results");
mkdirSync(results, { recursive: true });
for (const file of files) {
  const name = file.slice(0, -".bench.js".length);
  console.error(`${name}:`);
  const command = [join(folder, file), ...options];
  const { status, stdout } = spawnSync(process.execPath, command, {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    maxBuffer: 1 << 26,
  });
  let value;
  try {
    value = JSON.parse(stdout);
  } catch {
    value = undefined;
  }
  if (status !== 0 || value === undefined) {
    console.error(`${name} failed (exit ${status})`);
    process.exitCode = 1;
    continue;
  }
  const target = join(results, `${name}.json`);
  writeFileSync(target, `${JSON.stringify(value, undefined, 1)}\n`);
  console.error(`  bench/results/${name}.json`);
}
