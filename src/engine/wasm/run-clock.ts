/**
 * Nanoseconds that a thread ran, summed over stretches.
 *
 * A stretch is timed by the wall clock. What the thread spent waiting for a CPU in it
 * is taken off again: on Linux the scheduler tells how long each thread has waited
 * (/proc/thread-self/schedstat, second field). Elsewhere it stays wall time. Time in
 * which a hypervisor or an interrupt had the CPU cannot be seen and is in it.
 */
import { openSync, readSync } from "node:fs";

/** Within so many nanoseconds of a look nothing can have been waited that counts. */
const fresh = 20_000;

export class RunClock {
  ns = 0;
  #started = 0;
  #lookedAt = 0;
  #waited = 0;

  start(): void {
    if (now() - this.#lookedAt > fresh) this.#waited = waitedNs();
    this.#started = now();
  }

  stop(): void {
    const at = now();
    const waited = waitedNs();
    const lost = waited - this.#waited;
    this.ns += Math.max(0, at - this.#started - lost);
    this.#waited = waited;
    this.#lookedAt = at;
  }
}

const text = new Uint8Array(96);
/** One for all programs of this thread; undefined where there is no such file. */
let file: number | undefined | "unopened" = "unopened";

/** How long this thread has waited for a CPU; stays 0 where nothing tells. */
export function waitedNs(): number {
  if (file === "unopened") file = open();
  if (file === undefined) return 0;
  const length = readSync(file, text, 0, text.length, 0);
  let sum = 0;
  for (let at = text.indexOf(0x20) + 1; at < length; at++) {
    const digit = (text[at] ?? 0) - 0x30;
    if (digit < 0) break;
    sum = 10 * sum + digit;
  }
  return sum;
}

function open(): number | undefined {
  try {
    return openSync("/proc/thread-self/schedstat", "r");
  } catch {
    return undefined;
  }
}

function now(): number {
  return performance.now() * 1e6;
}
