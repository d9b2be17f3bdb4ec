/**
 * Sends frames from given CPUs: by this thread while there is one queue, by a worker
 * per queue else, so that queues really run at the same time.
 *
 * On veth the queue is `CPU mod queues`: queue q is fed by CPU q.
 */
import { Worker } from "node:worker_threads";
import { Bug, UnsupportedError } from "../../../base/index.ts";
import { CpuBinding } from "../system/affinity.ts";
import { LiveSender, type FrameToSend } from "./live-frames.ts";
import type { NetworkNamespace } from "../system/namespace.ts";
import { parkProgram } from "../system/parked.ts";
import type {
  SenderAnswer,
  SenderOrder,
  SenderStart,
} from "./sender-messages.ts";
import type { Syscalls } from "../syscalls.ts";

export interface FrameSenderOptions {
  readonly namespace: NetworkNamespace;
  readonly queues: number;
  /** Interfaces to send on, by index. */
  readonly interfaces: readonly number[];
  readonly longest: number;
}

export interface FrameSender {
  /** Frames of one call and queue. */
  readonly capacity: number;
  /** Sends each queue's frames in order; resolves when the last has left. */
  readonly send: (
    perQueue: readonly (readonly FrameToSend[])[],
    batch: number,
  ) => Promise<void>;
  readonly close: () => Promise<void>;
}

export async function openFrameSender(
  syscalls: Syscalls,
  options: FrameSenderOptions,
): Promise<FrameSender> {
  return options.queues === 1
    ? inThisThread(syscalls, options)
    : inWorkers(options);
}

async function inThisThread(
  syscalls: Syscalls,
  { namespace, interfaces, longest }: FrameSenderOptions,
): Promise<FrameSender> {
  const sender = namespace.run(
    () => new LiveSender(syscalls, { interfaces, longest }),
  );
  const unpark = await parkProgram(syscalls, sender.fd);
  // Once for all: moving from CPU to CPU takes longer than a round.
  const binding = new CpuBinding(syscalls);
  binding.bind(0);
  return {
    capacity: sender.capacity,
    send: async ([frames = []], batch) => {
      namespace.run(() => sender.send(frames, batch));
    },
    close: async () => {
      binding.release();
      unpark();
      sender.close();
    },
  };
}

async function inWorkers({
  namespace,
  queues,
  interfaces,
  longest,
}: FrameSenderOptions): Promise<FrameSender> {
  const workers = Array.from({ length: queues }, (_, cpu) => {
    const start: SenderStart = {
      namespaceFd: namespace.fd,
      cpu,
      interfaces,
      longest,
    };
    return new SenderThread(start);
  });
  const close = async (): Promise<void> => {
    await Promise.all(workers.map((worker) => worker.end()));
  };
  try {
    const capacities = await Promise.all(
      workers.map((worker) => worker.answer()),
    );
    return {
      capacity: Math.min(...capacities),
      send: async (perQueue, batch) => {
        await Promise.all(
          workers.map(async (worker, queue) => {
            const frames = perQueue[queue] ?? [];
            if (frames.length > 0) await worker.send(frames, batch);
          }),
        );
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A worker that answers each message once. */
class SenderThread {
  readonly #worker: Worker;
  readonly #cpu: number;
  #settle: ((answer: SenderAnswer) => void) | undefined;
  #early: SenderAnswer | undefined;

  constructor(start: SenderStart) {
    this.#cpu = start.cpu;
    this.#worker = new Worker(new URL("sender.worker.js", import.meta.url), {
      workerData: start,
    });
    const tell = (answer: SenderAnswer): void => {
      if (this.#settle === undefined) this.#early = answer;
      else this.#settle(answer);
      this.#settle = undefined;
    };
    this.#worker.on("message", tell);
    this.#worker.on("error", (error) =>
      tell({ kind: "failed", text: error.message, unsupported: false }),
    );
    this.#worker.on("exit", () =>
      tell({ kind: "failed", text: "it ended", unsupported: false }),
    );
  }

  async send(frames: readonly FrameToSend[], batch: number): Promise<void> {
    const answered = this.answer();
    this.#order({ kind: "send", frames, batch });
    await answered;
  }

  async answer(): Promise<number> {
    const early = this.#early;
    this.#early = undefined;
    const answer =
      early ??
      (await new Promise<SenderAnswer>((resolve) => {
        this.#settle = resolve;
      }));
    if (answer.kind === "done") return answer.capacity;
    throw answer.unsupported
      ? new UnsupportedError(answer.text, { feature: "live frames" })
      : new Bug(`the sender on CPU ${this.#cpu}: ${answer.text}`);
  }

  async end(): Promise<void> {
    this.#worker.removeAllListeners();
    const gone = new Promise((resolve) => this.#worker.once("exit", resolve));
    this.#order({ kind: "close" });
    await gone;
  }

  #order(order: SenderOrder): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker, not a window
    this.#worker.postMessage(order);
  }
}
