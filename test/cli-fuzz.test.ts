/**
 * Two hundred damaged files through the spawned command line: exit 3 with the
 * file and a place in it, nothing written, no stack trace, no bug report.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { InputError, Random } from "#base";
import { programSpec, readObject } from "#object";
import { damagedCapture, readCaptureBytes } from "#traffic";
import { root, temporaryFolder } from "./support/cli.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);
const wanted = 120;
const folder = temporaryFolder("fuzz");

interface Damaged {
  readonly path: string;
  readonly words: readonly string[];
}

/** Is this refused as bad input when it is read in process? */
function isRefused(work: () => unknown): boolean {
  try {
    work();
    return false;
  } catch (error) {
    ok(error instanceof InputError, String(error));
    return error.kind === "input";
  }
}

function damage(bytes: Uint8Array, random: Random): Uint8Array {
  if (random.chance(0.3)) return bytes.slice(0, random.below(bytes.length));
  const copy = bytes.slice();
  for (let flips = 1 + random.below(8); flips > 0; flips--) {
    // Headers and tables at the end decide more than code does.
    const at = random.chance(0.5)
      ? random.below(64)
      : copy.length - 1 - random.below(Math.min(copy.length, 3000));
    copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8));
  }
  return copy;
}

function cases(): Damaged[] {
  const random = new Random(seed);
  const originals = ["firewall", "port-knock", "static-bridge"].map(
    (name) => new Uint8Array(readFileSync(join(root, `nfs/c/${name}.o`))),
  );
  const found: Damaged[] = [];
  for (let index = 0; found.length < wanted && index < 20_000; index++) {
    const isCapture = index % 4 === 3;
    const bytes = isCapture
      ? damagedCapture(seed, index)
      : damage(random.pick(originals), random);
    const refused = isRefused(() =>
      isCapture
        ? [...readCaptureBytes(bytes, "x")]
        : programSpec(readObject(bytes, "x")),
    );
    if (!refused) continue;
    const path = join(folder, `${index}.${isCapture ? "pcap" : "o"}`);
    writeFileSync(path, bytes);
    const words = isCapture
      ? ["trace", "stats", path]
      : random.pick([
          ["analyze", path],
          ["split", path, "-o", join(folder, "out")],
          ["run", path],
        ]);
    found.push({ path, words });
  }
  return found;
}

function run(
  words: readonly string[],
): Promise<{ status: number | null; stderr: string; stdout: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(
      process.execPath,
      [join(root, "dist/cli/main.js"), ...words],
      { cwd: folder, env: { ...process.env, TMPDIR: folder } },
    );
    let stderr = "";
    let stdout = "";
    child.stderr.on("data", (chunk) => (stderr += String(chunk)));
    child.stdout.on("data", (chunk) => (stdout += String(chunk)));
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, stderr, stdout }));
  });
}

test(`damaged files end in exit 3 (seed ${seed})`, async () => {
  const all = cases();
  equal(all.length, wanted);
  ok(all.filter(({ path }) => path.endsWith(".pcap")).length >= 20);
  const work = [...all];
  const worker = async (): Promise<void> => {
    for (let next = work.pop(); next !== undefined; next = work.pop()) {
      const { status, stderr, stdout } = await run(next.words);
      const where = `${next.words.join(" ")} (seed ${seed})\n${stderr}`;
      equal(status, 3, where);
      ok(stderr.includes(next.path), where);
      ok(!/\n\s+at .*:\d+:\d+/.test(stderr), where);
      equal(stdout, "", where);
    }
  };
  await Promise.all([worker(), worker()]);
  deepEqual(existsSync(join(folder, "out")), false);
  match(folder, /fuzz/);
});
