/** The committed reference pages are what the generator writes today. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

const root = join(import.meta.dirname, "../..");

test("docs/reference is what the tables say", () => {
  const folder = mkdtempSync(join(tmpdir(), "divisi-reference-"));
  try {
    const run = spawnSync(
      process.execPath,
      [join(root, "scripts/generate.mjs"), folder],
      { encoding: "utf8" },
    );
    equal(run.status, 0, run.stderr);
    const pages = readdirSync(folder).sort();
    ok(pages.length >= 4);
    for (const page of pages) {
      const fresh = readFileSync(join(folder, page), "utf8");
      const committed = readFileSync(
        join(root, "docs/reference", page),
        "utf8",
      );
      ok(fresh.length > 500, page);
      deepEqual(
        committed.split("\n"),
        fresh.split("\n"),
        `${page}: npm run generate`,
      );
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
