/**
 * Files that are being written under another name. A signal that ends the process
 * takes them along; then it means what it meant.
 */
import { rmSync } from "node:fs";
import process from "node:process";

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const paths = new Set<string>();
let isListening = false;

export function begin(path: string): void {
  paths.add(path);
  if (isListening) return;
  isListening = true;
  for (const name of signals) process.on(name, end);
}

/** Renamed or removed. */
export function finish(path: string): void {
  paths.delete(path);
  // A signal of the meantime is told first.
  setImmediate(() => {
    if (paths.size === 0) ignore();
  });
}

function ignore(): void {
  isListening = false;
  for (const name of signals) process.off(name, end);
}

function end(signal: NodeJS.Signals): void {
  // Whoever else listens ends in order, and so does the writing.
  if (process.listenerCount(signal) > 1) return;
  for (const path of paths) rmSync(path, { recursive: true, force: true });
  ignore();
  process.kill(process.pid, signal);
}
