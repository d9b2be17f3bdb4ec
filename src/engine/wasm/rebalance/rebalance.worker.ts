/**
 * One core of a rebalanced run: takes packets from its ring, letters (fences,
 * hand-overs) from its port, and sleeps when there are none, 2 ms at most.
 */
import {
  parentPort,
  receiveMessageOnPort,
  workerData,
} from "node:worker_threads";
import { PackedPackets } from "../packed-packets.ts";
import { PortableProgram } from "../program.ts";
import { CoreRun } from "./core-run.ts";
import { Lane } from "./lane.ts";
import { MovingTable } from "./moving-table.ts";
import {
  laneWord,
  ringSize,
  type FromLane,
  type RebalanceStart,
  type ToLane,
} from "./rebalance-messages.ts";

const start = workerData as RebalanceStart;
const port = parentPort;
const words = new Int32Array(start.words);
const ring = new Int32Array(start.ring);
const batch = 64;
const sleepMs = 2;

function tell(message: FromLane): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker, not a window
  port?.postMessage(message);
}

function main(): void {
  const program = new PortableProgram(
    start.program,
    start.prepared,
    start.load,
  );
  const { core, mutant } = start;
  const run = new CoreRun(core, {
    program,
    packets: new PackedPackets(start.packets),
    plan: start.plan,
    notes: start.notes,
    mutant,
  });
  const lane = new Lane(core, {
    moving: new MovingTable(start.moving),
    entries: new Uint16Array(start.entries),
    work: run,
    mutant,
  });
  let letters: ToLane[] = [];
  let read = 0;
  let taken = 0;
  for (;;) {
    const bell = Atomics.load(words, laneWord.bell);
    for (; read !== Atomics.load(words, laneWord.letters); read++)
      letters.push(nextLetter());
    const open = letters.filter((letter) => !handled(letter, lane, taken));
    letters = open.filter(({ kind }) => kind !== "close");
    const head = Atomics.load(words, laneWord.head);
    const isClosed = open.length > letters.length;
    if (taken === head) {
      if (isClosed && letters.length === 0) break;
      letters = open;
      Atomics.wait(words, laneWord.bell, bell, sleepMs);
      continue;
    }
    letters = open;
    const end = Math.min(head, taken + batch);
    for (; taken < end; taken++) lane.take(ring[taken & (ringSize - 1)] ?? 0);
    lane.flush();
    Atomics.store(words, laneWord.tail, taken);
  }
  tell({ kind: "finished", count: run.count, contents: program.contents() });
}

/** Posted before it was counted, so it is there, or nearly. */
function nextLetter(): ToLane {
  for (;;) {
    const received = port === null ? undefined : receiveMessageOnPort(port);
    if (received !== undefined) return received.message as ToLane;
  }
}

/** Whether the letter's time had come. */
function handled(
  letter: ToLane,
  lane: Lane<Parameters<CoreRun["install"]>[0]>,
  taken: number,
): boolean {
  if (letter.kind === "close" || letter.behind > taken) return false;
  if (letter.kind === "fence") {
    const { move, to, entries, behindTo } = letter;
    const given = lane.handOver(move, entries);
    const handover = { move, to, entries, ...given };
    tell({ kind: "handover", handover, behind: behindTo });
    return true;
  }
  lane.receive(letter.handover);
  tell({ kind: "settled", move: letter.handover.move });
  return true;
}

try {
  main();
} catch (error) {
  tell({ kind: "failed", error });
}
