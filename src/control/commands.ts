/**
 * Running other programs: words in, their exit status and output out; in another
 * network namespace by way of nsenter(1).
 */
import { spawnSync, type StdioOptions } from "node:child_process";
import { readdirSync, readlinkSync, statSync } from "node:fs";
import process from "node:process";
import { UnsupportedError } from "../base/index.ts";
import { networkNamespace } from "./processes.ts";

export interface CommandOptions {
  readonly input?: string;
  /** More environment variables. */
  readonly env?: Readonly<Record<string, string>>;
  /** A descriptor for the child to hold. */
  readonly holds?: number;
  /** Network namespace, as `networkNamespace` names it; default: ours. */
  readonly netns?: string;
}

export interface CommandResult {
  readonly status: number;
  readonly stdout: string;
  /** Without the line end. */
  readonly stderr: string;
}

/** Package that brings the program, where that is not its name. */
const packages: Readonly<Record<string, string>> = {
  ip: "iproute2",
  nsenter: "util-linux",
};

export function runCommand(
  words: readonly string[],
  options: CommandOptions = {},
): CommandResult {
  const { netns } = options;
  const prefix =
    netns === undefined || netns === networkNamespace()
      ? []
      : ["nsenter", `--net=${namespacePath(netns) ?? netns}`];
  const [command = "", ...args] = [...prefix, ...words];
  const stdio: StdioOptions = ["pipe", "pipe", "pipe"];
  if (options.holds !== undefined) stdio.push(options.holds);
  const run = spawnSync(command, args, {
    encoding: "utf8",
    stdio,
    env: { ...process.env, LC_ALL: "C", ...options.env },
    ...(options.input === undefined ? {} : { input: options.input }),
  });
  if (run.error !== undefined)
    throw new UnsupportedError(`${command} is not installed`, {
      feature: command,
      fix: `install the package ${packages[command] ?? command}`,
      cause: run.error,
    });
  return {
    status: run.status ?? 1,
    stdout: run.stdout,
    stderr: run.stderr.trimEnd(),
  };
}

/** A path that leads into the namespace; undefined when no process or name holds it. */
export function namespacePath(netns: string): string | undefined {
  const number = Number(/\d+/.exec(netns)?.[0]);
  const named = list("/run/netns").map((name) => `/run/netns/${name}`);
  const isIt = (path: string): boolean => {
    try {
      return statSync(path).ino === number;
    } catch {
      return false;
    }
  };
  return (
    named.find(isIt) ??
    list("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map((pid) => `/proc/${pid}/ns/net`)
      .find((path) => {
        try {
          return readlinkSync(path) === netns;
        } catch {
          return false;
        }
      })
  );
}

function list(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
