/**
 * A thread that floods from one CPU, in real time for less than a second: it waits at a
 * barrier for the others of its crew, sends, and is an ordinary thread again.
 */
import { parentPort, workerData } from "node:worker_threads";
import { UnsupportedError } from "../../../base/index.ts";
import { bindTo } from "../system/affinity.ts";
import type { FloodAnswer, FloodOrder, FloodStart } from "./flood-messages.ts";
import { FrameFlood } from "./flood-frames.ts";
import { enterNamespace } from "../system/namespace.ts";
import { parkProgram } from "../system/parked.ts";
import { memory, openSyscalls, type Syscalls } from "../syscalls.ts";

const start = workerData as FloodStart;
const barrier = new Int32Array(start.barrier);
/** SCHED_FIFO; SCHED_OTHER is 0. */
const fifo = 1;
const priority = 50;
/** Milliseconds that the others have to come. */
const longestWait = 200;

function tell(answer: FloodAnswer): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker, not a window
  parentPort?.postMessage(answer);
}

function schedule(syscalls: Syscalls, policy: number): boolean {
  const parameter = memory(4);
  parameter.writeUInt32LE(policy === fifo ? priority : 0);
  return syscalls.call("sched_setscheduler", 0, policy, parameter) === 0;
}

function flood(
  syscalls: Syscalls,
  sender: FrameFlood,
  { frames, perSecond, ready }: FloodOrder,
): void {
  Atomics.add(barrier, 0, 1);
  const until = performance.now() + longestWait;
  while (Atomics.load(barrier, 0) < ready && performance.now() < until);
  const realTime = schedule(syscalls, fifo);
  try {
    tell({ kind: "sent", realTime, ...sender.send(frames, perSecond) });
  } finally {
    schedule(syscalls, 0);
  }
}

function fail(error: unknown): void {
  tell({
    kind: "failed",
    text: error instanceof Error ? error.message : String(error),
    unsupported: error instanceof UnsupportedError,
  });
}

try {
  const syscalls = await openSyscalls();
  enterNamespace(syscalls, start.namespaceFd);
  bindTo(syscalls, start.cpu);
  const sender = new FrameFlood(syscalls, start);
  const unpark = await parkProgram(syscalls, sender.fd);
  parentPort?.on("message", (order: FloodOrder | "close") => {
    try {
      if (order === "close") {
        unpark();
        sender.close();
        parentPort?.close();
      } else flood(syscalls, sender, order);
    } catch (error) {
      fail(error);
    }
  });
  tell({ kind: "ready" });
} catch (error) {
  fail(error);
}
