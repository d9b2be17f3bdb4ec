// Types, lint, format, unused code, package: all run, and any failure fails.
import { spawnSync } from "node:child_process";
import process from "node:process";

const root = new URL("..", import.meta.url).pathname;
const bin = (name) => `node_modules/.bin/${name}`;
const tsc = "node_modules/typescript/bin/tsc";
const steps = [
  ["types", process.execPath, [tsc, "-p", "tsconfig.json"]],
  ["types (dev)", process.execPath, [tsc, "-p", "tsconfig.dev.json"]],
  // prettier-ignore
  ["lint", bin("oxlint"), ["--type-aware", "--deny-warnings", "src", "test", "bench", "scripts", "nfs"]],
  ["format", bin("prettier"), ["--check", "--log-level", "warn", "."]],
  ["unused", bin("knip"), []],
  ["package", bin("publint"), ["--strict"]],
];
const failed = [];
for (const [name, command, words] of steps) {
  const started = Date.now();
  const { status } = spawnSync(command, words, { cwd: root, stdio: "inherit" });
  const seconds = ((Date.now() - started) / 1000).toFixed(1);
  console.log(`${status === 0 ? "ok  " : "FAIL"} ${name} (${seconds} s)`);
  if (status !== 0) failed.push(name);
}
if (failed.length > 0) {
  console.error(`check failed: ${failed.join(", ")}`);
  process.exit(1);
}
