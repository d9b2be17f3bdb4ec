/**
 * One core of a parallel run: a worker that takes packets from the ring in its own
 * linear memory, runs them where they lie, and leaves verdicts in shared memory. The
 * packets come from another thread, or from a trace in memory that it reads itself. At
 * the end it tells its state.
 */
import { parentPort, workerData } from "node:worker_threads";
import type { Outcome } from "../../interp/index.ts";
import { Abreast, wallMs, type Look } from "./abreast.ts";
import type { CoreStart, FromCore, PacketFault } from "./core-messages.ts";
import { phase, word } from "./core-words.ts";
import { FrameShape, mostPackets } from "./packet-area.ts";
import { PacketFeed } from "./packet-feed.ts";
import { PacketRing, type Sleeper } from "./packet-ring.ts";
import { PortableProgram } from "./program.ts";
import { ResidentSource } from "./resident.ts";
import { RunClock } from "./run-clock.ts";
import { die } from "./sabotage.ts";

const start = workerData as CoreStart;
const { keep, sabotage } = start;
const isShared = typeof start.options.memory === "object";
const isXdp = start.program.type === "xdp";
const words = new Int32Array(start.control);
const ring = new PacketRing(
  start.control,
  start.slots,
  start.prepared.compiled.layout.batchPackets,
);

/** Faults that are told with their places; the rest is only counted. */
const mostFaults = 100;

function tell(message: FromCore): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker, not a window
  parentPort?.postMessage(message);
}

class Results {
  faults = 0;
  #done = 0;
  readonly #verdicts = new Uint32Array(start.verdicts);
  readonly #digests = new Uint32Array(start.digests);
  readonly #tickets = new Uint32Array(start.tickets);

  take(program: PortableProgram, first: number, count: number): void {
    for (let slot = first; slot < first + count; slot++)
      this.#verdicts[this.#done + slot - first] = program.verdict(slot);
    if (this.#tickets.length > 0)
      for (let slot = first; slot < first + count; slot++)
        this.#tickets[this.#done + slot - first] = program.ticket(slot);
    if (keep !== "verdicts")
      for (let slot = first; slot < first + count; slot++)
        program.digestInto(
          slot,
          this.#digests,
          2 * (this.#done + slot - first),
        );
    if (keep === "outcomes") {
      const outcomes: Outcome[] = [];
      for (let slot = first; slot < first + count; slot++)
        outcomes.push(program.outcome(slot));
      tell({ kind: "outcomes", outcomes });
    }
    this.#takeFaults(program);
    this.#done += count;
  }

  #takeFaults(program: PortableProgram): void {
    const told: PacketFault[] = [];
    for (const slot of program.faulted) {
      const { fault } = program.outcome(slot);
      if (this.faults++ < mostFaults && fault !== undefined)
        told.push({ packet: ring.numberOf(slot), ...fault });
    }
    if (told.length > 0) tell({ kind: "faults", faults: told });
  }
}

function load(): PortableProgram {
  const program = new PortableProgram(start.program, start.prepared, {
    ...start.options,
    ...(sabotage === undefined
      ? {}
      : {
          beforeHelper: (slot) => {
            if (ring.numberOf(slot) === sabotage.packet) die(sabotage.how);
          },
        }),
  });
  program.useSlots((slot) => ring.randomOf(slot));
  return program;
}

/** The other end of the ring, where that is in this thread too. */
function source(): ResidentSource | undefined {
  const { prepared, resident, control, slots } = start;
  if (resident === undefined) return undefined;
  const { layout, imports } = prepared.compiled;
  const feed = new PacketFeed(control, prepared.memory.buffer, {
    layout,
    shape: new FrameShape(new Set(imports.map(({ helper }) => helper))),
    slots,
    cpu: resident.core,
  });
  return new ResidentSource(feed, resident, isXdp ? mostPackets : 1);
}

/** Until all cores can begin; who dies before is seen by the other thread. */
function passGate(): void {
  if (start.gate === undefined) return;
  const ready = new Int32Array(start.gate.ready);
  Atomics.add(ready, 0, 1);
  Atomics.notify(ready, 0);
  for (;;) {
    const seen = Atomics.load(ready, 0);
    if (seen >= start.gate.cores) return;
    Atomics.wait(ready, 0, seen);
  }
}

function main(): void {
  const program = load();
  const own = source();
  const results = new Results();
  passGate();
  Atomics.store(words, word.phase, phase.running);
  const busy = new RunClock();
  const sleeper: Sleeper = {
    sleeps: () => busy.stop(),
    wakes: () => busy.start(),
  };
  const { window = Infinity, words: meeting } = start.measure ?? {};
  const abreast = meeting === undefined ? undefined : new Abreast(meeting);
  const looks: Look[] = [];
  busy.start();
  for (;;) {
    own?.fill();
    const count = ring.take(sleeper);
    if (count === 0) break;
    const { first } = ring;
    if (!isXdp) program.prepareSlot(first);
    abreast?.arrive();
    program.runSlots(first, count);
    if (program.spent.packets >= window * (looks.length + 1)) {
      const { counts } = program.guard;
      looks.push({
        ...program.spent,
        at: wallMs(),
        ...(counts === undefined ? {} : { guard: counts }),
      });
    }
    results.take(program, first, count);
    ring.release(count);
  }
  abreast?.leave();
  busy.stop();
  Atomics.store(words, word.phase, phase.finishing);
  const { packets, ns } = program.spent;
  const { counts } = program.guard;
  tell({
    kind: "finished",
    packets,
    ns,
    busyNs: busy.ns,
    faults: results.faults,
    ...(counts === undefined ? {} : { guard: counts }),
    ...(start.measure === undefined ? {} : { looks }),
    // What is shared, the other thread sees as well.
    ...(isShared
      ? { contents: {}, digest: "" }
      : { contents: program.contents(), digest: program.digest() }),
  });
}

try {
  main();
} catch (error) {
  tell({ kind: "failed", error });
}
