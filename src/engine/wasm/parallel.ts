/**
 * A program on several cores at once: one worker per core, each with private memory
 * and maps, fed by one thread that steers packets to them.
 *
 * The order on each core is the order of arrival, time and random numbers belong to
 * the packets, and nothing is shared; so a parallel run equals k runs in one thread,
 * packet for packet, whatever the threads' timing.
 *
 * A worker that dies, by an exception or without a word, ends the run with a
 * WorkerDied that names program, instruction and packet. Nobody waits for it: its exit
 * is an event like any answer, and loops inside a worker are bounded by the budget.
 */
import { Worker } from "node:worker_threads";
import { Bug, InputError, printPlace, type Place } from "../../base/index.ts";
import { descriptor, placeOfSite, type Cells } from "../../codegen/index.ts";
import type { MapEntry, Outcome, PacketInput } from "../../interp/index.ts";
import type { ProgramSpec } from "../../isa/index.ts";
import type { CoreStart, FromCore, Sabotage, ToCore } from "./core-messages.ts";
import { loadPortable, type LoadOptions } from "./program.ts";
import { BatchWriter, batchBytes, readBatch } from "./packet-batch.ts";

type CoreOptions = Pick<LoadOptions, "contents" | "capacities">;

export interface ParallelOptions extends Omit<
  LoadOptions,
  "tamper" | "beforeHelper" | "memory"
> {
  readonly program: ProgramSpec;
  readonly cores: number;
  readonly packets: Iterable<PacketInput> | AsyncIterable<PacketInput>;
  /** Core of each packet by its position. cpu and rx queue become that number. */
  readonly steer: Uint8Array;
  /** Contents and capacities of single cores, instead of the common ones. */
  readonly perCore?: readonly (CoreOptions | undefined)[];
  /** Keep every outcome, not only its digest. */
  readonly keepOutputs?: boolean;
  /** For tests: how a core dies. */
  readonly sabotage?: Sabotage;
}

export interface CoreResult {
  readonly packets: number;
  /** Wall time inside the compiled program and its helpers. */
  readonly ns: number;
  /** Elements of its maps at the end. */
  readonly contents: Readonly<Record<string, readonly MapEntry[]>>;
  /** As interp's State.digest. */
  readonly digest: string;
}

export interface ParallelRun {
  readonly packets: number;
  readonly cores: readonly CoreResult[];
  /** By packet: r0, its low 8 bits. */
  readonly verdicts: Uint8Array;
  /** By packet: two words of its outcome's digest. */
  readonly digests: Uint32Array;
  /** Packets whose run the program ended badly. */
  readonly faults: number;
  /** By packet, if kept. */
  readonly outcomes: readonly Outcome[];
}

/** A worker ended before its work was done. */
export class WorkerDied extends Bug {
  readonly core: number;
  /** Number and copy of the packet in hand, if there was one. */
  readonly packet: number | undefined;
  readonly input: PacketInput | undefined;
  /** The helper call that the program made last. */
  readonly at: Place | undefined;

  constructor(
    text: string,
    about: Pick<WorkerDied, "core" | "packet" | "input" | "at">,
    cause?: unknown,
  ) {
    super(text, { cause });
    this.core = about.core;
    this.packet = about.packet;
    this.input = about.input;
    this.at = about.at;
  }
}

export async function runParallel(
  options: ParallelOptions,
): Promise<ParallelRun> {
  const { cores, steer } = options;
  if (!(Number.isInteger(cores) && cores >= 1 && cores <= 256))
    throw new InputError(`${cores} cores: 1 to 256 are possible`, {
      code: "cores-impossible",
      kind: "usage",
    });
  // What cannot be loaded is refused here, where errors keep their class.
  for (let core = 0; core < cores; core++)
    if (core === 0 || options.perCore?.[core] !== undefined)
      loadPortable(options.program, optionsOf(options, core));
  const results = new Results(steer.length);
  const running = Array.from(
    { length: cores },
    (_, core) => new Core(core, options, results),
  );
  try {
    let number = 0;
    for await (const packet of options.packets) {
      const core = running[steer[number] ?? cores];
      if (core === undefined)
        throw new InputError(
          `packet ${number} is steered to core ${steer[number] ?? "none"} of ${cores}`,
          { code: "steer-out-of-range", kind: "usage" },
        );
      const cpu = core.number;
      await core.add(number++, { ...packet, cpu, rxQueue: cpu });
    }
    for (const core of running) await core.flush();
    const finished = await Promise.all(running.map((core) => core.finish()));
    return results.finish(number, finished, options.keepOutputs === true);
  } finally {
    await Promise.all(running.map((core) => core.end()));
  }
}

function optionsOf(
  options: ParallelOptions,
  core: number,
): CoreStart["options"] {
  const { cores, seed, budget, control, cpus } = options;
  const own: CoreOptions = { ...options, ...options.perCore?.[core] };
  return {
    cpus: cpus ?? cores,
    contents: own.contents ?? {},
    capacities: own.capacities ?? {},
    ...(seed === undefined ? {} : { seed }),
    ...(budget === undefined ? {} : { budget }),
    ...(control === undefined ? {} : { control }),
  };
}

class Results {
  faults = 0;
  readonly #verdicts: Uint8Array;
  readonly #digests: Uint32Array;
  readonly #outcomes: Outcome[] = [];

  constructor(count: number) {
    this.#verdicts = new Uint8Array(count);
    this.#digests = new Uint32Array(2 * count);
  }

  take(numbers: readonly number[], ran: FromCore & { kind: "ran" }): void {
    for (const [index, number] of numbers.entries()) {
      this.#verdicts[number] = ran.verdicts[index] ?? 0;
      this.#digests[2 * number] = ran.digests[2 * index] ?? 0;
      this.#digests[2 * number + 1] = ran.digests[2 * index + 1] ?? 0;
      const outcome = ran.outcomes[index];
      if (outcome !== undefined) this.#outcomes[number] = outcome;
    }
    this.faults += ran.faults;
  }

  finish(
    packets: number,
    cores: readonly CoreResult[],
    keep: boolean,
  ): ParallelRun {
    return {
      packets,
      cores,
      verdicts: this.#verdicts.subarray(0, packets),
      digests: this.#digests.subarray(0, 2 * packets),
      faults: this.faults,
      outcomes: keep ? this.#outcomes : [],
    };
  }
}

/** Packets that a worker has in one of its buffers. */
interface Batch {
  readonly buffer: SharedArrayBuffer;
  readonly writer: BatchWriter;
  numbers: number[];
}

class Core {
  readonly number: number;
  readonly #options: ParallelOptions;
  readonly #results: Results;
  readonly #worker: Worker;
  readonly #progress = new Int32Array(new SharedArrayBuffer(4));
  /** Batches that nobody works on; the first is being filled. */
  readonly #free: Batch[] = [newBatch(), newBatch()];
  /** Batches that the worker has, in order. */
  readonly #sent: Batch[] = [];
  #memory: DataView | undefined;
  #cell: Cells | undefined;
  #descriptors = 0;
  #failure: WorkerDied | Error | undefined;
  #result: CoreResult | undefined;
  /** Called whenever something arrived. */
  #wake: () => void = () => {};

  constructor(number: number, options: ParallelOptions, results: Results) {
    this.number = number;
    this.#options = options;
    this.#results = results;
    const workerData: CoreStart = {
      program: options.program,
      options: optionsOf(options, number),
      keepOutputs: options.keepOutputs === true,
      progress: this.#progress.buffer,
      ...(options.sabotage === undefined ? {} : { sabotage: options.sabotage }),
    };
    this.#worker = new Worker(new URL("./core.worker.js", import.meta.url), {
      workerData,
    });
    this.#worker.on("message", (message: FromCore) => this.#hear(message));
    this.#worker.on("error", (error) => this.#fail(error));
    this.#worker.on("exit", (code) => {
      if (this.#result === undefined)
        this.#fail(new Error(`the thread ended with code ${code}`));
    });
  }

  async add(number: number, input: PacketInput): Promise<void> {
    for (;;) {
      const batch = this.#free[0];
      if (batch === undefined) await this.#event();
      else if (batch.writer.add({ number, input })) {
        batch.numbers.push(number);
        return;
      } else if (batch.writer.count === 0)
        throw new InputError(
          `packet ${number} of ${input.data.length} bytes is too long`,
          { code: "packet-too-long" },
        );
      else this.#send();
    }
  }

  async flush(): Promise<void> {
    if ((this.#free[0]?.writer.count ?? 0) > 0) this.#send();
    while (this.#sent.length > 0) await this.#event();
  }

  async finish(): Promise<CoreResult> {
    this.#post({ kind: "finish" });
    while (this.#result === undefined) await this.#event();
    return this.#result;
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }

  #send(): void {
    const batch = this.#free.shift();
    if (batch === undefined) return;
    this.#sent.push(batch);
    const { buffer, writer } = batch;
    this.#post({ kind: "run", buffer, count: writer.count });
  }

  #post(message: ToCore): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker, not a window
    this.#worker.postMessage(message);
  }

  /** Until something arrives; throws once the worker has failed. */
  async #event(): Promise<void> {
    if (this.#failure === undefined)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    if (this.#failure !== undefined) throw this.#failure;
  }

  #hear(message: FromCore): void {
    switch (message.kind) {
      case "ready":
        this.#memory = new DataView(message.memory);
        this.#descriptors = message.descriptors;
        this.#cell = message.cell;
        break;
      case "ran": {
        const batch = this.#sent.shift();
        if (batch === undefined) break;
        this.#results.take(batch.numbers, message);
        batch.writer.clear();
        batch.numbers = [];
        this.#free.push(batch);
        break;
      }
      case "finished":
        this.#result = message;
        break;
      case "failed":
        this.#fail(message.error);
        break;
    }
    this.#wake();
  }

  #fail(error: unknown): void {
    this.#failure ??= this.#describe(error);
    this.#wake();
  }

  #describe(error: unknown): Error {
    const { program } = this.#options;
    const memory = this.#memory;
    const cell = this.#cell;
    const batch = this.#sent[0];
    if (memory === undefined || cell === undefined || batch === undefined)
      return refusal(error);
    const current = memory.getUint32(cell.current, true);
    const index =
      (this.#progress[0] ?? 0) +
      (current - this.#descriptors) / descriptor.size;
    const packet = batch.numbers[index];
    const at = placeOfSite(program, memory.getUint32(cell.site, true));
    const text = `${program.file}: ${program.name}: core ${this.number} died on packet ${packet ?? "?"}, at or behind ${printPlace(at)}: ${messageOf(error)}`;
    const input = [...readBatch(batch.buffer, batch.writer.count)][index]
      ?.input;
    return new WorkerDied(
      text,
      { core: this.number, packet, input, at },
      error,
    );
  }
}

function newBatch(): Batch {
  const buffer = new SharedArrayBuffer(batchBytes);
  return { buffer, writer: new BatchWriter(buffer), numbers: [] };
}

/** What stopped a worker from loading is the caller's business, in its own class. */
function refusal(error: unknown): Error {
  return error instanceof Error ? error : new Error(messageOf(error));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
