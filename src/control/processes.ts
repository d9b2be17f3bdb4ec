/** What /proc says of processes and of this one's network namespace. */
import { readFileSync, readlinkSync } from "node:fs";

/** Empty where the file cannot be read. */
export function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Start time in clock ticks: with the number it names a process for good. */
export function processStart(pid: number): string | undefined {
  const text = readText(`/proc/${pid}/stat`);
  // The second word is a name in brackets that may hold anything.
  const words = text.slice(text.lastIndexOf(")") + 2).split(" ");
  // A zombie does nothing any more.
  return words[0] === "Z" ? undefined : words[19];
}

/** `net:[4026531840]`: where interface names and indices of this process count. */
export function networkNamespace(): string {
  return readlinkSync("/proc/self/ns/net");
}
