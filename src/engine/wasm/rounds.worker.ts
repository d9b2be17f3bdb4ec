/**
 * One core of a measurement on the portable engine: a program with memory of its own,
 * run over the same packets round by round. A round is short (below a millisecond of
 * packets); one in which the thread waited for a CPU is not counted.
 */
import { parentPort, workerData } from "node:worker_threads";
import type { PacketInput } from "../../interp/index.ts";
import { loadPortable } from "./program.ts";
import type {
  RoundsAnswer,
  RoundsOrder,
  RoundsStart,
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
/** Milliseconds after which a sample has to do with what it has. */
const longest = 2000;

const { program, options, packets, words: buffer } = workerData as RoundsStart;
const words = new Int32Array(buffer);
const loaded = loadPortable(program, options);
const rounds: PacketInput[][] = [];
for (let at = 0; at < packets.length; at += roundPackets)
  rounds.push(packets.slice(at, at + roundPackets));
let next = 0;

function round(): void {
  const list = rounds[next++ % rounds.length] ?? [];
  loaded.runBatches(list, () => {});
}

/** All cores begin together: some order of work that others do not see is no load. */
function meet({ cores, turn }: RoundsOrder): void {
  Atomics.add(words, 0, 1);
  const end = performance.now() + patience;
  while (Atomics.load(words, 0) < cores * turn)
    if (performance.now() > end) return;
}

function sample(order: RoundsOrder): RoundsAnswer {
  while (loaded.spent.packets < warmUp) round();
  meet(order);
  const end = performance.now() + longest;
  let count = 0;
  let ns = 0;
  let discarded = 0;
  while (count < order.packets && performance.now() < end) {
    const before = loaded.spent;
    const waited = waitedNs();
    round();
    const after = loaded.spent;
    if (waitedNs() - waited > mostWaited) {
      discarded++;
      continue;
    }
    count += after.packets - before.packets;
    ns += after.ns - before.ns;
  }
  return { packets: count, ns, discarded };
}

parentPort?.on("message", (order: RoundsOrder) => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker, not a window
  parentPort?.postMessage(sample(order));
});
