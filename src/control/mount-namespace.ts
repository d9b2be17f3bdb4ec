/**
 * Does a mount made here stay without us?
 *
 * An attachment's pins are in a mount of their own (engine: pins). A mount ends with
 * its namespace; one of our own (`ip netns exec`, `unshare -m`) ends with the command.
 * It stays where the namespace is that of the processes which started us, up to PID 1,
 * or where the mount is handed on to theirs: both list the same `shared:N`.
 *
 * Source: proc_pid_mountinfo(5); mount_namespaces(7).
 */
import { existsSync, readlinkSync, realpathSync } from "node:fs";
import process from "node:process";
import { UnsupportedError } from "../base/index.ts";
import { readText } from "./processes.ts";

/** Refuses a folder of pins below which a mount would end with us. */
export function refuseShortLived(pinRoot: string): void {
  const outer = outerProcess();
  if (outer === undefined) return;
  const group = existsSync(pinRoot)
    ? shareOf(readText("/proc/self/mountinfo"), realpathSync(pinRoot))
    : undefined;
  const theirs = readText(`/proc/${outer}/mountinfo`);
  if (group !== undefined && theirs.split(/\s/).includes(group)) return;
  throw privateMounts();
}

/** Said of a namespace of our own, wherever mounting something would be no help. */
export function privateMounts(): UnsupportedError {
  return new UnsupportedError(
    "this is a mount namespace of its own: an attachment made here ends with the command",
    {
      feature: "mount namespace",
      fix: "nsenter --net=/run/netns/NAME divisi attach … keeps the machine's mounts; ip netns exec and unshare -m do not",
    },
  );
}

/** A process that started us, in another mount namespace than ours. */
export function outerProcess(): number | undefined {
  const own = namespaceOf("self");
  const seen = new Set<number>();
  for (let pid = process.ppid; pid > 0 && !seen.has(pid);) {
    const theirs = namespaceOf(pid);
    if (theirs !== undefined && theirs !== own) return pid;
    seen.add(pid);
    pid = Number(/^PPid:\s*(\d+)/m.exec(readText(`/proc/${pid}/status`))?.[1]);
  }
  // The processes between may have ended.
  const first = namespaceOf(1);
  return first === undefined || first === own ? undefined : 1;
}

/** `shared:N` of the mount that holds a path, the last of those at one place. */
function shareOf(mountinfo: string, path: string): string | undefined {
  let found: { readonly at: string; readonly share: string | undefined } = {
    at: "",
    share: undefined,
  };
  for (const line of mountinfo.split("\n")) {
    const words = line.split(" ");
    const at = (words[4] ?? "").replace(/\\([0-7]{3})/g, (_, code: string) =>
      String.fromCharCode(Number.parseInt(code, 8)),
    );
    const isAbove =
      at !== "" &&
      (at === "/" || path === at || path.startsWith(`${at}/`)) &&
      at.length >= found.at.length;
    if (!isAbove) continue;
    const end = words.indexOf("-");
    const share = words
      .slice(6, end)
      .find((word) => word.startsWith("shared:"));
    found = { at, share };
  }
  return found.share;
}

function namespaceOf(pid: number | "self"): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`);
  } catch {
    return undefined;
  }
}
