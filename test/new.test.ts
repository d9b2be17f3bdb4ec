/**
 * `divisi new`: what it writes type-checks, passes its own test as plain
 * JavaScript, compiles, and the kernel takes it; and it destroys nothing.
 */
import { deepEqual, equal, match } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test, type TestContext } from "node:test";
import { haveBpf, openKernel } from "#engine";
import { readObject } from "#object";
import { divisi, root, temporaryFolder } from "./support/cli.ts";

const cwd = temporaryFolder("new");
const written = [
  ".gitignore",
  "README.md",
  "limiter.test.ts",
  "limiter.ts",
  "package.json",
  "tsconfig.json",
];

test("it writes the project and says what comes next", () => {
  const { status, stdout, stderr } = divisi(["new", "limiter"], { cwd });
  deepEqual([status, stderr], [0, ""]);
  equal(
    stdout,
    [
      "limiter  limiter.ts limiter.test.ts package.json tsconfig.json README.md .gitignore",
      "",
      "  cd limiter",
      "  npm install",
      "  npm test",
      "  npm run split",
      "",
    ].join("\n"),
  );
  deepEqual(readdirSync(join(cwd, "limiter")).sort(), written);
  deepEqual(readdirSync(cwd), ["limiter"], "nothing temporary is left");
});

const folder = join(cwd, "limiter");

/** node in the project, with what `npm install` would have put there. */
function node(words: readonly string[], at = folder): string {
  const run = spawnSync(process.execPath, words, {
    cwd: at,
    encoding: "utf8",
    // The runner of this test is not that of the project's.
    env: { PATH: process.env["PATH"], NO_COLOR: "1" },
  });
  equal(run.status, 0, `${words.join(" ")}\n${run.stdout}${run.stderr}`);
  return run.stdout;
}

function installed(): void {
  const modules = join(folder, "node_modules");
  if (existsSync(modules)) return;
  mkdirSync(modules);
  symlinkSync(root, join(modules, "divisi"));
  for (const name of ["@types", "undici-types"])
    symlinkSync(join(root, "node_modules", name), join(modules, name));
}

test("its test passes as plain JavaScript, as `npm test` runs it", () => {
  installed();
  const { scripts } = JSON.parse(
    readFileSync(join(folder, "package.json"), "utf8"),
  ) as { scripts: Record<string, string> };
  equal(scripts["test"], "tsc && cd build && node --test");
  node([join(root, "node_modules/typescript/bin/tsc")]);
  match(node(["--test"], join(folder, "build")), /# pass 4\n# fail 0\n/);
});

test("the compiler's own TypeScript finds no fault in it", () => {
  installed();
  node([join(root, "node_modules/typescript-api/bin/tsc"), "--noEmit"]);
});

test("it compiles, and the kernel takes it", async (t: TestContext) => {
  installed();
  const { status, stdout, stderr } = divisi(
    ["build", "limiter.ts", "-o", "limiter.o"],
    { cwd: folder },
  );
  deepEqual([status, stderr], [0, ""]);
  match(stdout, /^limiter\.o {2}limiter: \d+ instructions, 1 function, 1 map,/);
  const why = await haveBpf();
  if (why !== undefined) return t.skip(why.message);
  const bytes = new Uint8Array(readFileSync(join(folder, "limiter.o")));
  const kernel = await openKernel();
  try {
    kernel.loadObject(readObject(bytes, "limiter.o"));
  } finally {
    kernel.close();
  }
});

test("what was there is kept: refused, and forced only where nothing changed", () => {
  const again = divisi(["new", "limiter"], { cwd });
  equal(again.status, 2);
  equal(again.stderr, "divisi: limiter exists\n  --force replaces it\n");

  const other = temporaryFolder("new");
  equal(divisi(["new", "nf"], { cwd: other }).status, 0);
  equal(divisi(["new", "nf", "--force", "-q"], { cwd: other }).status, 0);
  appendFileSync(join(other, "nf/nf.ts"), "// mine\n");
  const changed = divisi(["new", "nf", "--force"], { cwd: other });
  equal(changed.status, 2);
  equal(
    changed.stderr,
    "divisi: nf was not written by divisi (nf.ts is not as divisi new wrote it): not replaced\n",
  );
  match(readFileSync(join(other, "nf/nf.ts"), "utf8"), /\/\/ mine\n$/);

  writeFileSync(join(other, "file"), "");
  equal(divisi(["new", "file", "--force"], { cwd: other }).status, 2);
});

test("a name that is none", () => {
  for (const name of ["Limiter", "2fast", "a b", "limiter.ts"]) {
    const { status, stderr } = divisi(["new", name], { cwd });
    equal(status, 2);
    match(stderr, /is no name for a network function\n {2}lower-case/);
  }
});
