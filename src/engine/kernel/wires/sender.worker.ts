/**
 * A thread that sends live frames from one CPU: it moves into the namespace and stays
 * there, on that CPU. First it says that it is ready, then one answer for each order.
 */
import { parentPort, workerData } from "node:worker_threads";
import { UnsupportedError } from "../../../base/index.ts";
import { bindTo } from "../system/affinity.ts";
import { LiveSender } from "./live-frames.ts";
import { enterNamespace } from "../system/namespace.ts";
import { parkProgram } from "../system/parked.ts";
import type {
  SenderAnswer,
  SenderOrder,
  SenderStart,
} from "./sender-messages.ts";
import { openSyscalls } from "../syscalls.ts";

const start = workerData as SenderStart;

function tell(answer: SenderAnswer): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker, not a window
  parentPort?.postMessage(answer);
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
  const sender = new LiveSender(syscalls, start);
  const unpark = await parkProgram(syscalls, sender.fd);
  const { capacity } = sender;
  parentPort?.on("message", (order: SenderOrder) => {
    try {
      if (order.kind === "close") {
        unpark();
        sender.close();
        parentPort?.close();
        return;
      }
      sender.send(order.frames, order.batch);
      tell({ kind: "done", capacity });
    } catch (error) {
      fail(error);
    }
  });
  tell({ kind: "done", capacity });
} catch (error) {
  fail(error);
}
