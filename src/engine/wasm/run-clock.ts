/**
 * Nanoseconds that a thread ran, summed over many short stretches.
 *
 * A stretch is timed by the wall clock. What the thread then spent waiting for a CPU
 * is taken off again: on Linux the scheduler tells how long each thread has waited
 * (/proc/thread-self/schedstat, second field), and once per millisecond of stretches
 * their share of that wait, by time, is subtracted. Elsewhere it stays wall time.
 * What a hypervisor takes from the CPU cannot be seen and is not taken off.
 */
import { openSync, readSync } from "node:fs";

const every = 1e6;

export class RunClock {
  #ns = 0;
  /** Stretches since the wait was looked at. */
  #recent = 0;
  #started = 0;
  #lookedAt = now();
  #waited = waitedNs();

  start(): void {
    this.#started = now();
  }
  stop(): void {
    this.#recent += now() - this.#started;
    if (this.#recent >= every) this.#settle();
  }

  /** The thread sleeps of its own will: what it waits until `wakes` cut no stretch. */
  sleeps(): void {
    this.#settle();
  }
  wakes(): void {
    this.#lookedAt = now();
    this.#waited = waitedNs();
  }

  get ns(): number {
    this.#settle();
    return this.#ns;
  }

  #settle(): void {
    const at = now();
    const waited = waitedNs();
    const awake = Math.max(at - this.#lookedAt, this.#recent, 1);
    const lost = (waited - this.#waited) * (this.#recent / awake);
    this.#ns += Math.max(0, this.#recent - lost);
    this.#recent = 0;
    this.#lookedAt = at;
    this.#waited = waited;
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
