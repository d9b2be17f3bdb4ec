/**
 * The page about the library: every ts block is a module that type-checks under
 * `strict` with both TypeScripts, against the package as a user sees it.
 */
import { equal, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { root, temporaryFolder } from "./support/cli.ts";

const page = readFileSync(join(root, "docs/concepts/nf-library.md"), "utf8");
const blocks = [...page.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(
  ([, block = ""]) => block,
);

/** What the compiler says of modules in a project that depends on the package. */
function complaints(
  compiler: string,
  modules: readonly string[],
): readonly string[] {
  const cwd = temporaryFolder("nf-library");
  mkdirSync(join(cwd, "node_modules"));
  symlinkSync(root, join(cwd, "node_modules/divisi"));
  const compilerOptions = {
    strict: true,
    noEmit: true,
    target: "es2023",
    module: "nodenext",
    types: [],
  };
  writeFileSync(
    join(cwd, "tsconfig.json"),
    JSON.stringify({ compilerOptions }),
  );
  writeFileSync(join(cwd, "package.json"), '{"type":"module"}');
  for (const [index, text] of modules.entries())
    writeFileSync(join(cwd, `block-${index + 1}.ts`), text);
  const tsc = join(root, "node_modules", compiler, "bin/tsc");
  const { stdout } = spawnSync(process.execPath, [tsc, "-p", "."], {
    cwd,
    encoding: "utf8",
  });
  return stdout.split("\n").filter((line) => line !== "");
}

for (const compiler of ["typescript", "typescript-api"])
  test(`every block of the page type-checks with ${compiler}`, () => {
    ok(blocks.length >= 4, `${blocks.length} blocks found`);
    equal(complaints(compiler, blocks).join("\n"), "");
  });

test("the check sees a wrong block", () => {
  const wrong =
    'import { u8 } from "divisi/nf";\nexport const x: bigint = u8(1);';
  const [line = ""] = complaints("typescript", [wrong]);
  ok(line.startsWith("block-1.ts(2,14): error TS2322"), line);
});
