/**
 * Every rule by example: `testdata/nf/diagnostics/NAME.ts` and, beside it, exactly
 * what a user reads. UPDATE=1 rewrites the texts. Every code has an example.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { printDiagnostic } from "../front/diagnostics.ts";
import { loadNf } from "../front/load.ts";
import type { NfDiagnostic } from "../front/loaded.ts";
import { checkNf } from "./check.ts";
import { rules } from "./rules.ts";

const folder = join(import.meta.dirname, "../../../testdata/nf/diagnostics");
const names = readdirSync(folder)
  .filter((file) => file.endsWith(".ts"))
  .map((file) => file.slice(0, -3));

function read(path: string): string | undefined {
  try {
    return readFileSync(path.replace(/^\/nf\//, `${folder}/`), "utf8");
  } catch {
    return undefined;
  }
}

async function diagnosticsOf(name: string): Promise<readonly NfDiagnostic[]> {
  const loaded = await loadNf({ path: `/nf/${name}.ts`, read });
  return checkNf(loaded, { steps: 100_000 }).diagnostics;
}

const seen = new Set<string>();

for (const name of names)
  test(`diagnostics of ${name}`, async () => {
    const diagnostics = await diagnosticsOf(name);
    for (const { code } of diagnostics) seen.add(code);
    const text =
      `${diagnostics.map(printDiagnostic).join("\n\n")}\n`.replaceAll(
        "/nf/",
        "",
      );
    const path = join(folder, `${name}.txt`);
    if (process.env["UPDATE"] === "1") writeFileSync(path, text);
    equal(text, readFileSync(path, "utf8"));
    ok(diagnostics.length > 0, "an example of a fault has one");
  });

test("every rule has an example, and at least forty there are", () => {
  deepEqual(
    Object.keys(rules).filter((code) => !seen.has(code)),
    [],
  );
  ok(names.length >= 40);
});

test("every message fills in all its words", () => {
  for (const name of names)
    ok(
      !/\{\w+\}/.test(
        readFileSync(join(folder, `${name}.txt`), "utf8").replace(
          /^ .*\|.*$/gm,
          "",
        ),
      ),
      name,
    );
});
