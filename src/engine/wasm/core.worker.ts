/**
 * One core of a parallel run: a worker with a program and maps of its own. It takes
 * batches, answers each with its results, and at the end tells its state.
 */
import { parentPort, workerData } from "node:worker_threads";
import type { Outcome } from "../../interp/index.ts";
import type { CoreStart, FromCore, Sabotage, ToCore } from "./core-messages.ts";
import { outcomeDigest } from "./outcome-digest.ts";
import { readBatch, type NumberedPacket } from "./packet-batch.ts";
import { loadPortable, type PortableProgram } from "./program.ts";

const start = workerData as CoreStart;
const progress = new Int32Array(start.progress);
let packets: readonly NumberedPacket[] = [];

function tell(message: FromCore): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker, not a window
  parentPort?.postMessage(message);
}

function load(): PortableProgram {
  const { sabotage } = start;
  const program = loadPortable(start.program, {
    ...start.options,
    memory: "watched",
    ...(sabotage === undefined
      ? {}
      : { beforeHelper: (input) => undergo(sabotage, input) }),
  });
  const { buffer, descriptors, cell } = program.view;
  if (buffer instanceof SharedArrayBuffer)
    tell({ kind: "ready", memory: buffer, descriptors, cell });
  return program;
}

function undergo(
  { packet, how }: Sabotage,
  input: NumberedPacket["input"],
): void {
  if (packets.find((each) => each.input === input)?.number !== packet) return;
  if (how === "exit") process.exit(3);
  throw new Error("sabotage");
}

function run(
  program: PortableProgram,
  message: ToCore & { kind: "run" },
): void {
  packets = [...readBatch(message.buffer, message.count)];
  const verdicts = new Uint8Array(message.count);
  const digests = new Uint32Array(2 * message.count);
  const outcomes: Outcome[] = [];
  let faults = 0;
  let done = 0;
  program.runBatches(
    packets.map(({ input }) => input),
    (index) => {
      const outcome = program.outcome(index);
      verdicts[done] = outcome.verdict;
      digests.set(outcomeDigest(outcome), 2 * done);
      if (outcome.fault !== undefined) faults++;
      if (start.keepOutputs) outcomes.push(outcome);
      done++;
    },
    () => Atomics.store(progress, 0, done),
  );
  tell({ kind: "ran", verdicts, digests, faults, outcomes });
}

function finish(program: PortableProgram): void {
  const { packets: count, ns } = program.spent;
  tell({
    kind: "finished",
    packets: count,
    ns,
    contents: program.contents(),
    digest: program.digest(),
  });
  parentPort?.close();
}

let loaded: PortableProgram | undefined;
parentPort?.on("message", (message: ToCore) => {
  try {
    loaded ??= load();
    if (message.kind === "run") run(loaded, message);
    else finish(loaded);
  } catch (error) {
    tell({ kind: "failed", error });
    parentPort?.close();
  }
});
