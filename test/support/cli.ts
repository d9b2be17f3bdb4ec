/** Spawns the command line as a user would, in a folder of its own. */
import { spawnSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

export const root = join(import.meta.dirname, "../../..");

export interface CliResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: Uint8Array;
}

export function divisi(
  words: readonly string[],
  options: CliOptions = {},
): CliResult {
  const run = spawnSync(
    process.execPath,
    [join(root, "dist/cli/main.js"), ...words],
    {
      cwd: options.cwd ?? root,
      env: { ...process.env, NO_COLOR: "1", ...options.env },
      encoding: "utf8",
      timeout: 120_000,
      maxBuffer: 1 << 28,
      ...(options.input === undefined ? {} : { input: options.input }),
    },
  );
  if (run.error !== undefined) throw run.error;
  return { status: run.status, stdout: run.stdout, stderr: run.stderr };
}

export function temporaryFolder(name: string): string {
  return mkdtempSync(join(tmpdir(), `divisi-test-${name}-`));
}
