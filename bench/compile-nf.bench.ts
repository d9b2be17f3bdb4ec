/**
 * How long the compiler of network functions takes: `divisi build` of every file
 * of nfs/ts as a process of its own (started, compiled, written, ended), and all of
 * them one after the other in one process, where only the first pays for loading.
 * CPU time is that of all threads and processes.
 *
 * Target: at most 1.5 s for the largest, at most 0.3 s for each further file.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { compileNf } from "divisi";

const root = fileURLToPath(new URL("../..", import.meta.url));
const rounds = 5;
const files = readdirSync(join(root, "nfs/ts"))
  .filter((name) => name.endsWith(".ts"))
  .map((name) => `nfs/ts/${name}`);

interface Times {
  readonly wallMs: number;
  readonly cpuMs: number;
}

/** One `divisi build` in processes of its own. */
function cold(file: string, output: string): Times {
  const words = [process.execPath, "dist/cli/main.js", "build", file, "-q"];
  const { status, stderr } = spawnSync(
    "bash",
    ["-c", 'TIMEFORMAT="%R %U %S"; time "$@"', "-", ...words, "-o", output],
    { cwd: root, encoding: "utf8" },
  );
  if (status !== 0) throw new Error(`${file}: ${stderr}`);
  const [wall = 0, user = 0, system = 0] = stderr.trim().split(" ").map(Number);
  return { wallMs: 1000 * wall, cpuMs: 1000 * (user + system) };
}

function read(path: string): string | undefined {
  try {
    return readFileSync(join(path.startsWith("/") ? "" : root, path), "utf8");
  } catch {
    return undefined;
  }
}

async function warm(path: string): Promise<Times & { instructions: number }> {
  const began = performance.now();
  const before = process.cpuUsage();
  const compiled = await compileNf({ path, read });
  const { user, system } = process.cpuUsage(before);
  if (compiled.kind === "refused") throw new Error(`${path} is refused`);
  return {
    wallMs: performance.now() - began,
    cpuMs: (user + system) / 1000,
    instructions: compiled.object.functions.reduce(
      (sum, fn) => sum + fn.instructions.length,
      0,
    ),
  };
}

const median = (samples: readonly Times[], key: keyof Times): number =>
  Math.round(
    samples.map((sample) => sample[key]).toSorted((a, b) => a - b)[
      samples.length >> 1
    ] ?? 0,
  );
const folder = mkdtempSync(join(tmpdir(), "divisi-bench-"));
const results = [];
try {
  for (const file of files) {
    const { instructions } = await warm(file);
    const again: Times[] = [];
    const alone: Times[] = [];
    for (let round = 0; round < rounds; round++) {
      again.push(await warm(file));
      alone.push(cold(file, join(folder, "nf.o")));
    }
    const row = {
      file,
      instructions,
      coldWallMs: median(alone, "wallMs"),
      coldCpuMs: median(alone, "cpuMs"),
      furtherWallMs: median(again, "wallMs"),
      furtherCpuMs: median(again, "cpuMs"),
    };
    console.error(
      `  ${file}: ${instructions} instructions, ${row.coldWallMs} ms (${row.coldCpuMs} of CPU), in one process ${row.furtherWallMs} ms`,
    );
    results.push(row);
  }
} finally {
  rmSync(folder, { recursive: true });
}
console.log(
  JSON.stringify({
    bench: "compile-nf",
    machine: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    load: Math.round(100 * (loadavg()[0] ?? 0)) / 100,
    includes:
      "cold: the whole process of divisi build; further: compileNf, text to bytes, in a process that compiled before",
    rounds,
    results,
  }),
);
