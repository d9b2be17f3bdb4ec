// Finds the compiled tests and runs them with node:test.
//   node scripts/test.mjs [PLACE…] [--name PATTERN]
// PLACE: a folder or file under src/, test/, bench/ or nfs/; default: all.
// Fails when it finds no test, and, with CI or DIVISI_NO_SKIP set, on any skip.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import process from "node:process";
import { run } from "node:test";
import { spec } from "node:test/reporters";

const root = new URL("..", import.meta.url).pathname;
const words = process.argv.slice(2);
const nameAt = words.indexOf("--name");
const pattern = nameAt < 0 ? undefined : words.splice(nameAt, 2)[1];

const dev = spawnSync(
  process.execPath,
  [join(root, "node_modules/typescript/bin/tsc"), "-p", "tsconfig.dev.json"],
  { cwd: root, stdio: "inherit" },
);
if (dev.status !== 0 && words.length === 0) process.exit(1);

function collect(folder) {
  if (!existsSync(folder)) return [];
  if (statSync(folder).isFile()) return [folder];
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return collect(path);
    return entry.name.endsWith(".test.js") ? [path] : [];
  });
}

// src/a/b.test.ts -> dist/a/b.test.js; test/x.test.ts -> dist-dev/test/x.test.js
function compiled(place) {
  const path = relative(root, join(process.cwd(), place)).replace(
    /\.ts$/,
    ".js",
  );
  return path.startsWith("src")
    ? join(root, "dist", path.slice(4))
    : join(root, "dist-dev", path);
}

const sourceOf = (file) => {
  const path = relative(root, file).replace(/\.js$/, ".ts");
  return path.startsWith("dist-dev/")
    ? join(root, path.slice("dist-dev/".length))
    : join(root, "src", path.slice("dist/".length));
};
const places = words.length > 0 ? words.map(compiled) : [];
const files = (
  places.length > 0
    ? places.flatMap(collect)
    : ["dist", "dist-dev/test", "dist-dev/nfs"].flatMap((folder) =>
        collect(join(root, folder)),
      )
).filter((file) => existsSync(sourceOf(file)));
if (files.length === 0) {
  console.error("no test files found");
  process.exit(1);
}

let skipped = 0;
let executed = 0;
const stream = run({
  files,
  concurrency: 2,
  ...(pattern === undefined ? {} : { testNamePatterns: [pattern] }),
});
stream.on("test:fail", () => {
  process.exitCode = 1;
});
stream.on("test:pass", (event) => {
  executed++;
  if (event.skip !== undefined) skipped++;
});
stream.on("end", () => {
  if (executed === 0) {
    console.error("no test was executed");
    process.exitCode = 1;
  }
  if (skipped > 0 && (process.env.CI || process.env.DIVISI_NO_SKIP)) {
    console.error(`${skipped} tests were skipped; here none may be`);
    process.exitCode = 1;
  }
});
const reporter = new spec();
stream.compose(reporter).pipe(process.stdout);
