/**
 * One worker as the feeding thread sees it: its ring, its results, and whether it is
 * still alive.
 *
 * Nobody waits for it blindly. Its exit is an event like its answer; and while it has
 * packets, it must come forward: one that stays at the same packet for too long is
 * ended and reported. Coming forward means that `tail` or the descriptor in hand
 * changed between looks, of which eight in a row must agree that it did not (so a
 * process that was suspended as a whole reports nothing).
 */
import { Worker } from "node:worker_threads";
import { descriptor, placeOfSite, type Cells } from "../../codegen/index.ts";
import type { MapEntry, Outcome, PacketInput } from "../../interp/index.ts";
import type { ProgramSpec } from "../../isa/index.ts";
import type {
  CoreStart,
  FromCore,
  Keep,
  PacketFault,
  Sabotage,
} from "./core-messages.ts";
import { phase, word, wordBytes } from "./core-words.ts";
import type { Look } from "./abreast.ts";
import type { GuardCounts } from "./guard-counts.ts";
import type { PackedPackets } from "./packed-packets.ts";
import { FrameShape } from "./packet-area.ts";
import { PacketFeed } from "./packet-feed.ts";
import type { PreparedProgram } from "./prepare.ts";
import { slotBytes, slotWord } from "./ring-slots.ts";
import { describeDeath } from "./worker-died.ts";

export interface CoreResult {
  readonly packets: number;
  /** Time inside the compiled program and its helpers (run-clock.ts). */
  readonly ns: number;
  /** The same with all that is around it: taking packets in, results out. */
  readonly busyNs: number;
  /** Elements of its maps at the end; of the common ones, if they are shared. */
  readonly contents: Readonly<Record<string, readonly MapEntry[]>>;
  /** As interp's State.digest. */
  readonly digest: string;
  /** Of a guarded run. */
  readonly guard?: GuardCounts;
  /** Of a run that was measured. */
  readonly looks?: readonly Look[];
}

export interface CoreOptions {
  readonly number: number;
  readonly program: ProgramSpec;
  readonly prepared: PreparedProgram;
  readonly load: CoreStart["options"];
  readonly keep: Keep;
  /** Whether its maps are those of other cores too. */
  readonly shared: boolean;
  /** Packets that will be given to this core. */
  readonly packets: number;
  /** Packets that the worker reads itself, instead of being offered them. */
  readonly resident?: PackedPackets;
  /** Core of each of those. */
  readonly steer?: SharedArrayBuffer;
  readonly gate?: CoreStart["gate"];
  readonly measure?: CoreStart["measure"];
  readonly stallMs: number;
  readonly heapMb?: number;
  readonly sabotage?: Sabotage;
}

const looks = 8;
/** Loading and telling the state have no bound of their own, but are no loops either. */
const patience = 30;

export class Core {
  readonly number: number;
  /** By the order of its packets. */
  readonly verdicts: Uint32Array;
  readonly digests: Uint32Array;
  readonly tickets: Uint32Array;
  readonly outcomes: Outcome[] = [];
  readonly faults: PacketFault[] = [];
  faultCount = 0;
  readonly #options: CoreOptions;
  readonly #worker: Worker;
  readonly #words: Int32Array;
  readonly #memory: DataView;
  readonly #cell: Cells;
  readonly #feed: PacketFeed;
  readonly #slots: Int32Array;
  /** Packets in the ring, by slot, where this thread puts them in. */
  readonly #inputs: PacketInput[] = [];
  readonly #watch: NodeJS.Timeout;
  #seen = "";
  #still = 0;
  #failure: Error | undefined;
  #result: CoreResult | undefined;
  #wake: () => void = () => {};

  constructor(options: CoreOptions) {
    const { program, prepared, keep, packets, number } = options;
    const { layout, imports } = prepared.compiled;
    const shared = (bytes: number): SharedArrayBuffer =>
      new SharedArrayBuffer(bytes);
    this.number = number;
    this.#options = options;
    const start: CoreStart = {
      program,
      prepared,
      options: options.load,
      keep,
      control: shared(wordBytes),
      slots: shared(slotBytes(layout.batchPackets)),
      verdicts: shared(4 * packets),
      digests: shared(keep === "verdicts" ? 0 : 8 * packets),
      tickets: shared(layout.guard === undefined ? 0 : 4 * packets),
      ...(options.resident === undefined || options.steer === undefined
        ? {}
        : {
            resident: {
              packets: options.resident.parts,
              steer: options.steer,
              core: number,
            },
          }),
      ...(options.sabotage === undefined ? {} : { sabotage: options.sabotage }),
      ...(options.gate === undefined ? {} : { gate: options.gate }),
      ...(options.measure === undefined ? {} : { measure: options.measure }),
    };
    this.verdicts = new Uint32Array(start.verdicts);
    this.digests = new Uint32Array(start.digests);
    this.tickets = new Uint32Array(start.tickets);
    this.#words = new Int32Array(start.control);
    this.#memory = new DataView(prepared.memory.buffer);
    this.#cell = layout.cell;
    this.#slots = new Int32Array(start.slots);
    this.#feed = new PacketFeed(start.control, prepared.memory.buffer, {
      layout,
      shape: new FrameShape(new Set(imports.map(({ helper }) => helper))),
      slots: start.slots,
      cpu: number,
    });
    this.#worker = new Worker(new URL("./core.worker.js", import.meta.url), {
      workerData: start,
      ...(options.heapMb === undefined
        ? {}
        : { resourceLimits: { maxOldGenerationSizeMb: options.heapMb } }),
    });
    this.#worker.on("message", (message: FromCore) => this.#hear(message));
    this.#worker.on("error", (error) => this.#fail(error));
    this.#worker.on("exit", (code) => {
      if (this.#result === undefined)
        this.#fail(new Error(`the thread ended with code ${code}`));
    });
    this.#watch = setInterval(() => this.#look(), options.stallMs / looks);
  }

  /** False when its ring is full. */
  offer(number: number, input: PacketInput): boolean {
    if (!this.#feed.add(number, input)) return false;
    this.#inputs[this.#feed.lastSlot] = input;
    return true;
  }

  /** What was offered is worked on, even if no more follows soon. */
  flush(): void {
    this.#feed.flush();
  }

  /** Until there may be room. */
  async room(): Promise<void> {
    if (this.#feed.spin()) return;
    this.#feed.sleep();
    await turn();
  }

  /** Throws once the worker has failed. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  async finish(): Promise<CoreResult> {
    if (this.#options.resident === undefined) this.#feed.close();
    while (this.#result === undefined) {
      if (this.#failure !== undefined) throw this.#failure;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#result;
  }

  async end(): Promise<void> {
    clearInterval(this.#watch);
    await this.#worker.terminate();
  }

  #hear(message: FromCore): void {
    switch (message.kind) {
      case "outcomes":
        for (const outcome of message.outcomes) this.outcomes.push(outcome);
        break;
      case "faults":
        this.faults.push(...message.faults);
        break;
      case "finished":
        this.#result = message;
        this.faultCount = message.faults;
        break;
      case "failed":
        this.#fail(message.error);
        break;
    }
    this.#wake();
  }

  #look(): void {
    if (this.#result !== undefined || this.#failure !== undefined) return;
    const at = Atomics.load(this.#words, word.phase);
    if (at === phase.running && this.#pending() === 0) {
      this.#still = 0;
      return;
    }
    const tail = Atomics.load(this.#words, word.tail);
    const seen = `${at} ${tail} ${this.#current()}`;
    this.#still = seen === this.#seen ? this.#still + 1 : 0;
    this.#seen = seen;
    const limit = at === phase.running ? looks : looks * patience;
    // Who stands still without a lock may be waiting for one: its holder comes first.
    const grace = this.#options.shared && !this.#holdsLock() ? 2 : 0;
    if (this.#still < limit + grace) return;
    const seconds = (limit / looks) * (this.#options.stallMs / 1000);
    this.#fail(new Error(`no progress for ${seconds} s`));
    void this.#worker.terminate();
  }

  /** Packets in the ring. */
  #pending(): number {
    const head = Atomics.load(this.#words, word.head);
    return (head - Atomics.load(this.#words, word.tail)) >>> 0;
  }

  #holdsLock(): boolean {
    return (
      this.#memory.getUint32(this.#cell.lock, true) > 0 ||
      this.#memory.getUint32(this.#cell.guard, true) > 0
    );
  }

  #current(): number {
    return this.#memory.getUint32(this.#cell.current, true);
  }

  #fail(error: unknown): void {
    this.#failure ??= this.#describe(error);
    this.#wake();
  }

  #describe(error: unknown): Error {
    const { program, prepared } = this.#options;
    const { descriptors, batchPackets } = prepared.compiled.layout;
    const slot = (this.#current() - descriptors) / descriptor.size;
    const first = Atomics.load(this.#words, word.tail) & (batchPackets - 1);
    const ahead = (slot - first + batchPackets) % batchPackets;
    const inHand = slot >= 0 && ahead < this.#pending();
    const packet = inHand
      ? this.#slots[slotWord.size * slot + slotWord.number]
      : undefined;
    const at = inHand
      ? placeOfSite(program, this.#memory.getUint32(this.#cell.site, true))
      : undefined;
    const input =
      packet === undefined
        ? undefined
        : (this.#options.resident?.packet(packet) ?? this.#inputs[slot]);
    return describeDeath(program, error, {
      core: this.number,
      packet,
      input,
      at,
    });
  }
}

/** One turn of the event loop: workers' events are heard. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
