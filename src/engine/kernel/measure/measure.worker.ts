/**
 * A hand of the measuring crew: a thread bound to one CPU. For each order it takes
 * real-time priority, waits until all hands of the sample have it, does its part and
 * gives it back. Every wait ends by itself: a burst stays below the 950 ms in a second
 * that the kernel lets real-time threads have.
 *
 * Without real-time priority two test runs need not overlap at all on a busy machine,
 * and contention vanishes from the figures without a word.
 */
import { readFileSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { bindTo } from "../system/affinity.ts";
import { attributes, command, result } from "../attributes.ts";
import {
  ballWord,
  doneWord,
  readyWord,
  type Answer,
  type HandStart,
  type Order,
} from "./measure-messages.ts";
import { setRealTime } from "../system/real-time.ts";
import { memory, openSyscalls, type Syscalls } from "../syscalls.ts";

/** Milliseconds. */
const longestWait = 200;
const longestPark = 850;
const longestRally = 50;
/** Until another comes back from its run; the kernel lets some wait longer. */
const longestAbsence = 300;

const { cpu, words: buffer } = workerData as HandStart;
const words = new Int32Array(buffer);

/** Turns until `done`, or false when time is up. */
function spin(done: () => boolean, milliseconds: number): boolean {
  const end = performance.now() + milliseconds;
  for (;;) {
    for (let turn = 0; turn < 256; turn++) if (done()) return true;
    if (performance.now() > end) return false;
  }
}

/** Passes the ball of `core` to and fro; mean nanoseconds, 0 when nobody played. */
function rally(core: number, serves: boolean, trips: number): number {
  const ball = ballWord(core);
  const first = Atomics.load(words, ball) & ~1;
  // One trip to meet, which no one counts.
  const from = play(ball, {
    serves,
    first,
    trips: 1,
    patience: longestAbsence,
  });
  if (from === undefined) return 0;
  const start = performance.now();
  const to = play(ball, {
    serves,
    first: first + 2,
    trips,
    patience: longestRally,
  });
  return to === undefined ? 0 : ((performance.now() - start) * 1e6) / trips;
}

interface Game {
  readonly serves: boolean;
  /** The ball's number when it begins; even. */
  readonly first: number;
  readonly trips: number;
  /** Milliseconds. */
  readonly patience: number;
}

function play(ball: number, game: Game): true | undefined {
  const { serves, first, trips, patience } = game;
  const end = performance.now() + patience;
  for (let trip = 0; trip < trips; trip++) {
    const wanted = first + 2 * trip + (serves ? 2 : 1);
    if (serves) Atomics.store(words, ball, wanted - 1);
    let turns = 0;
    while (Atomics.load(words, ball) !== wanted)
      if ((++turns & 0xfff) === 0 && performance.now() > end) return undefined;
    if (!serves) Atomics.store(words, ball, wanted + 1);
  }
  return true;
}

/** Core 0 plays with each other core in turn. */
function rallies(order: Order & { kind: "run" }): number[] {
  if (order.rally === 0) return [];
  if (order.core > 0) {
    rally(order.core, false, order.rally);
    return [];
  }
  return Array.from({ length: order.cores - 1 }, (_, index) =>
    rally(index + 1, true, order.rally),
  );
}

function testRun(
  syscalls: Syscalls,
  order: Order & { kind: "run" },
): { errno: number; verdict: number; durationNs: number } {
  const input = memory(order.frame.length);
  input.set(order.frame);
  const attr = attributes(syscalls, "testRun", {
    fd: order.fd,
    sizeIn: input.length,
    dataIn: input,
    repeat: order.repeat,
  });
  const code = syscalls.bpf(command.testRun, attr);
  return {
    errno: code < 0 ? -code : 0,
    verdict: result(attr, "testRun", "verdict"),
    durationNs: result(attr, "testRun", "duration"),
  };
}

/** Second number of the thread's schedstat: nanoseconds on a run queue. */
function runQueueDelay(): number {
  try {
    const text = readFileSync("/proc/thread-self/schedstat", "utf8");
    return Number(text.split(" ")[1] ?? 0);
  } catch {
    return 0;
  }
}

function obey(syscalls: Syscalls, order: Order): Answer {
  const realTime = setRealTime(syscalls, true);
  try {
    Atomics.add(words, readyWord, 1);
    const all = (): boolean => Atomics.load(words, readyWord) === order.hands;
    if (!spin(all, longestWait)) return { kind: "alone" };
    if (order.kind === "park") {
      spin(() => Atomics.load(words, doneWord) >= order.cores, longestPark);
      return { kind: "parked" };
    }
    const before = rallies(order);
    const waited = runQueueDelay();
    const ran = testRun(syscalls, order);
    const lostNs = runQueueDelay() - waited;
    const roundTrips = [...before, ...rallies(order)];
    return { kind: "ran", ...ran, roundTrips, lostNs, realTime };
  } finally {
    Atomics.add(words, doneWord, 1);
    setRealTime(syscalls, false);
  }
}

const opened = openSyscalls().then((syscalls) => {
  bindTo(syscalls, cpu);
  return syscalls;
});

function answer(message: Answer): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker, not a window
  parentPort?.postMessage(message);
}

parentPort?.on("message", (order: Order) => {
  opened
    .then((syscalls) => answer(obey(syscalls, order)))
    .catch((error: unknown) => answer({ kind: "failed", error }));
});
