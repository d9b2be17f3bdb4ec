/**
 * The machine as doctor sees it: files, folders and tools' answers, read only. A
 * value, so that tests put machines that are not here in its place.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync, readlinkSync } from "node:fs";
import { arch, availableParallelism, platform, release } from "node:os";
import process from "node:process";

export interface ToolAnswer {
  readonly ok: boolean;
  /** Standard output. */
  readonly text: string;
  readonly error: string;
}

export interface Machine {
  readonly platform: string;
  readonly arch: string;
  /** Of the kernel: `6.18.5`. */
  readonly release: string;
  readonly node: string;
  readonly cpus: number;
  /** Undefined where there is none, or it may not be read. */
  readonly read: (path: string) => string | undefined;
  /** Names in a folder; none where there is no folder. */
  readonly list: (path: string) => readonly string[];
  readonly link: (path: string) => string | undefined;
  /** Undefined where there is no such tool. */
  readonly run: (
    tool: string,
    args: readonly string[],
  ) => ToolAnswer | undefined;
}

export function thisMachine(): Machine {
  return {
    platform: platform(),
    arch: arch(),
    release: release(),
    node: process.version,
    cpus: availableParallelism(),
    read: (path) => orNothing(() => readFileSync(path, "utf8")),
    list: (path) => orNothing(() => readdirSync(path)) ?? [],
    link: (path) => orNothing(() => readlinkSync(path)),
    run,
  };
}

function orNothing<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** Tools for root often lie outside a user's PATH. */
const more = ":/usr/local/sbin:/usr/sbin:/sbin";

function run(tool: string, args: readonly string[]): ToolAnswer | undefined {
  const { error, status, stdout, stderr } = spawnSync(tool, args, {
    encoding: "utf8",
    timeout: 10_000,
    env: {
      ...process.env,
      PATH: `${process.env["PATH"] ?? ""}${more}`,
      LC_ALL: "C",
    },
  });
  if (error !== undefined && (error as NodeJS.ErrnoException).code === "ENOENT")
    return undefined;
  return {
    ok: status === 0,
    text: stdout ?? "",
    error: (stderr ?? "").trim(),
  };
}
