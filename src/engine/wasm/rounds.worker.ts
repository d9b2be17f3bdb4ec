/**
 * One core of a measurement on the portable engine: a program run over the same packets
 * round by round. A round is short (below a millisecond of packets); one in which the
 * thread waited for a CPU is not counted, nor, in shared memory, one in which another
 * core stood still.
 */
import { parentPort, workerData } from "node:worker_threads";
import { UnsupportedError } from "../../base/index.ts";
import type { PacketInput } from "../../interp/index.ts";
import { setRealTime } from "../kernel/system/real-time.ts";
import { openSyscalls, type Syscalls } from "../kernel/syscalls.ts";
import { PortableProgram } from "./program.ts";
import {
  roundsWord,
  type RoundsAnswer,
  type RoundsOrder,
  type RoundsStart,
} from "./measure-rounds.ts";
import { waitedNs } from "./run-clock.ts";

/** Packets of a round. */
const roundPackets = 2048;
/** Nanoseconds that a counted round may have waited for a CPU. */
const mostWaited = 2000;
/** Rounds over all packets before anything is counted: V8 optimises, tables fill. */
const warmUp = 200_000;
/** Milliseconds that a core waits for the others. */
const patience = 200;
/** Milliseconds that a sample lasts in real time at most: see ../kernel/real-time.ts. */
const longestInRealTime = 400;

const start = workerData as RoundsStart;
const { packets, core, shared } = start;
const words = new Int32Array(start.words);
const loaded = new PortableProgram(
  start.program,
  start.prepared,
  start.options,
);
const batchWord = (of: number): number =>
  roundsWord.batches + of * roundsWord.stride;
const rounds: PacketInput[][] = [];
for (let at = 0; at < packets.length; at += roundPackets)
  rounds.push(packets.slice(at, at + roundPackets));
let next = 0;

function round(): void {
  const list = rounds[next++ % rounds.length] ?? [];
  loaded.runBatches(
    list,
    () => {},
    () => Atomics.add(words, batchWord(core), 1),
  );
}

/** Batches that each core has begun. */
function progress(cores: number): readonly number[] {
  return Array.from({ length: cores }, (_, of) =>
    Atomics.load(words, batchWord(of)),
  );
}

/** Whether all other cores got on by half as much as this one did. */
function together(before: readonly number[]): boolean {
  const done = progress(before.length).map((at, of) => at - (before[of] ?? 0));
  const own = done[core] ?? 0;
  return done.every((batches) => 2 * batches >= own);
}

/** All cores begin together: some order of work that others do not see is no load. */
function meet({ cores, turn }: RoundsOrder): void {
  Atomics.add(words, roundsWord.arrived, 1);
  const end = performance.now() + patience;
  while (Atomics.load(words, roundsWord.arrived) < cores * turn)
    if (performance.now() > end) return;
}

/** Moves of one game of the rally, and games. */
const moves = 200;
const games = 8;

/**
 * Nanoseconds that a cache line takes from core 0 to core 1 and back, the least of some
 * games: one in which a thread waited tells nothing. 0 if all were cut short.
 */
function rally({ cores, turn }: RoundsOrder): number {
  if (cores < 2 || core > 1) return 0;
  const goal = 2 * turn * moves * games;
  const end = performance.now() + 20;
  let least = 0;
  let began = 0;
  for (let turns = 1; ; turns++) {
    const ball = Atomics.load(words, roundsWord.ball);
    if (ball >= goal) return least;
    if ((ball & 1) !== core) {
      if ((turns & 0xfff) === 0 && performance.now() > end) return least;
      continue;
    }
    Atomics.store(words, roundsWord.ball, ball + 1);
    if (ball % moves > 1) continue;
    const now = performance.now();
    const ns = (2e6 * (now - began)) / moves;
    // The first game may have begun before this core came.
    if (began > 0 && (least === 0 || ns < least)) least = ns;
    began = now;
  }
}

function keepCompany({ cores, turn }: RoundsOrder, end: number): void {
  while (Atomics.load(words, roundsWord.finished) < cores * turn) {
    if (performance.now() > end) return;
    round();
  }
}

/** Undefined where there are no system calls to take priority with. */
async function priorities(): Promise<Syscalls | undefined> {
  try {
    return start.realTime ? await openSyscalls() : undefined;
  } catch (error) {
    if (error instanceof UnsupportedError) return undefined;
    throw error;
  }
}

async function sample(order: RoundsOrder): Promise<RoundsAnswer> {
  while (loaded.spent.packets < warmUp) round();
  const syscalls = await opened;
  if (syscalls === undefined || !setRealTime(syscalls, true))
    return counted(order);
  try {
    const longest = Math.min(order.longest, longestInRealTime);
    return counted({ ...order, longest });
  } finally {
    setRealTime(syscalls, false);
  }
}

function counted(order: RoundsOrder): RoundsAnswer {
  meet(order);
  const roundTripNs = rally(order);
  const end = performance.now() + order.longest;
  let count = 0;
  let ns = 0;
  let discarded = 0;
  while (count < order.packets && performance.now() < end) {
    const before = loaded.spent;
    const begun = progress(order.cores);
    const waited = waitedNs();
    round();
    const after = loaded.spent;
    const isAlone = shared && !together(begun);
    if (isAlone || waitedNs() - waited > mostWaited) {
      discarded++;
      continue;
    }
    count += after.packets - before.packets;
    ns += after.ns - before.ns;
  }
  // The others are not left alone before they have enough.
  Atomics.add(words, roundsWord.finished, 1);
  if (shared) keepCompany(order, end);
  return { packets: count, ns, discarded, roundTripNs };
}

const opened = priorities();

parentPort?.on("message", (order: RoundsOrder) => {
  void sample(order).then((answer) => {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker, not a window
    parentPort?.postMessage(answer);
  });
});
