/**
 * A program loaded into the portable engine: compiled, instantiated, with its maps.
 *
 * One thread, packets in the given order, time and random numbers from the packets:
 * a run is a function of its inputs, and equals interp's on the same ones. A run that
 * the program ends badly has a `fault` and verdict 0 in its outcome; later packets
 * are run all the same.
 */
import { Random, type Place } from "../../base/index.ts";
import { descriptor, placeOfSite, type Cells } from "../../codegen/index.ts";
import {
  createState,
  timeRandom,
  type MapEntry,
  type Outcome,
  type PacketInput,
  type ProgramEvent,
  type RedirectTarget,
  type State,
} from "../../interp/index.ts";
import type { ProgramSpec } from "../../isa/index.ts";
import { FaultError, faultTexts } from "./fault-error.ts";
import { isGuardImport } from "./guard-counts.ts";
import { GuardHost } from "./guard-host.ts";
import { makeHelper } from "./helpers.ts";
import type { HelperHost } from "./helper-host.ts";
import { LinearHost } from "./linear-host.ts";
import { frameDigest, outcomeDigest } from "./outcome-digest.ts";
import { MemoryView } from "./memory-view.ts";
import { PacketArea } from "./packet-area.ts";
import { MapContents } from "./map-contents.ts";
import {
  joinedMemory,
  preparePortable,
  type LoadOptions,
  type PreparedProgram,
} from "./prepare.ts";
import { RunClock } from "./run-clock.ts";
import { makeMap } from "./value-maps.ts";
import { describeDeath } from "./worker-died.ts";
import {
  instantiate,
  type Memory,
  type ProgramExports,
} from "./web-assembly.ts";

/** Throws UnsupportedError, naming helper and line, for what the engine lacks. */
export function loadPortable(
  program: ProgramSpec,
  options: LoadOptions = {},
): PortableProgram {
  return new PortableProgram(
    program,
    preparePortable(program, options),
    options,
  );
}

/** Where the seed of a packet's random numbers comes from, if it has its own. */
export type RandomSource = (slot: number) => number | undefined;

/** What a packet's run ended with, when the program ended it badly. */
interface Fault {
  readonly text: string;
  readonly at: Place;
}

/** Verdict with which a redirect counts. */
const redirectVerdicts: Readonly<Record<string, number>> = {
  xdp: 4,
  sched_cls: 7,
};

export class PortableProgram {
  readonly program: ProgramSpec;
  readonly #compiled: PreparedProgram["compiled"];
  readonly #options: LoadOptions;
  readonly #linear: Memory;
  readonly #memory: MemoryView;
  readonly #packets: PacketArea;
  readonly #contents: MapContents;
  readonly #exports: ProgramExports;
  #inputs: PacketInput[] = [];
  #events = new Map<number, ProgramEvent[]>();
  #faults = new Map<number, Fault>();
  #random: Random | undefined;
  #randomOf = -1;
  #randomSource: RandomSource = (slot) => this.#inputs[slot]?.random;
  readonly #clock = new RunClock();
  #done = 0;
  readonly #guard: GuardHost;

  constructor(
    program: ProgramSpec,
    { compiled, module, memory }: PreparedProgram,
    options: LoadOptions,
  ) {
    this.program = program;
    this.#linear = memory;
    this.#compiled = compiled;
    this.#options = options;
    const { layout, imports } = compiled;
    this.#memory = new MemoryView(memory.buffer, layout);
    const names = new Set(imports.map(({ helper }) => helper));
    this.#packets = new PacketArea(this.#memory, layout, {
      type: program.type,
      helpers: names,
    });
    const maps = layout.maps.map((map) => makeMap(this.#memory, map));
    const host: HelperHost = {
      memory: this.#memory,
      layout,
      packets: this.#packets,
      maps,
      environment: options.environment ?? {},
      callback: (address) => {
        const { callback } = this.#exports;
        if (callback === undefined) host.fault("call of what is no function");
        else callback(address);
      },
      input: () => this.#inputNow(),
      random: () => this.#randomNow(),
      events: () => this.#eventsNow(),
      fault: (text) => {
        throw new FaultError(text, this.#memory.u32(layout.cell.site));
      },
    };
    const linear = new LinearHost(host);
    this.#guard = new GuardHost(this.#memory, layout, maps);
    const restart = (): void => {
      this.#events.delete(this.#slotNow());
      this.#randomOf = -1;
      linear.forget();
    };
    const functions = Object.fromEntries(
      imports.map((wanted) => {
        const { name, helper: wants } = wanted;
        if (isGuardImport(wants))
          return [name, this.#guard.make(wanted, restart)];
        const helper = makeHelper(host, linear, wanted);
        const before = options.beforeHelper;
        if (before === undefined) return [name, helper];
        const spied = (...args: number[]) => {
          before(this.#slotNow());
          return helper(...args);
        };
        return [name, spied];
      }),
    );
    const fault = (site: number, number: number): never => {
      throw new FaultError(faultTexts[number] ?? "fault", site);
    };
    this.#exports = instantiate(module, memory, { fault, ...functions });
    this.#contents = new MapContents(this.#memory, layout, program, maps);
    if (joinedMemory(options) !== undefined) return;
    this.#contents.fill();
    for (const [name, entries] of Object.entries(options.contents ?? {}))
      this.#contents.load(name, entries);
  }

  /** Runs packets in order. State stays for the next call. */
  run(packets: Iterable<PacketInput>): Outcome[] {
    const outcomes: Outcome[] = [];
    this.runBatches(packets, (index) => outcomes.push(this.outcome(index)));
    return outcomes;
  }

  /**
   * The same without values for outcomes: `each` may ask for what it needs. Packets
   * are run some at a time; `starting` is called before each such batch.
   */
  runBatches(
    packets: Iterable<PacketInput>,
    each: (index: number, input: PacketInput) => void,
    starting: () => void = () => {},
  ): void {
    const flush = (): void => {
      starting();
      this.runSlots(0, this.#packets.count);
      for (const [index, input] of this.#inputs.entries()) each(index, input);
      this.#clear();
    };
    this.#clear();
    for (const input of packets) {
      if (!this.#packets.add(input)) {
        flush();
        this.#packets.add(input);
      }
      this.#inputs.push(input);
    }
    flush();
  }

  /** One packet in slot 0, to be run by `attempt` and `runExclusive`. */
  put(input: PacketInput): void {
    this.#clear();
    this.#events = new Map();
    this.#faults = new Map();
    this.#packets.add(input);
    this.#inputs.push(input);
  }

  /** Packets come from elsewhere: who puts them into slots knows their own seeds. */
  useSlots(randomOf: RandomSource): void {
    this.#randomSource = randomOf;
  }

  /** Before a slot is run alone: the context of a packet that is none of XDP. */
  prepareSlot(slot: number): void {
    const at = this.#packets.descriptorOf(slot) + descriptor.data;
    this.#packets.fillContext(this.#packets.input(slot), this.#memory.u32(at));
  }

  /**
   * Runs the packets whose descriptors stand in `count` slots from `first` on; after a
   * fault it goes on with the packet behind. Outcomes can be asked for until the next.
   */
  runSlots(first: number, count: number): void {
    if (this.#events.size > 0) this.#events = new Map();
    if (this.#faults.size > 0) this.#faults = new Map();
    this.#randomOf = -1;
    const end = first + count;
    this.#clock.start();
    for (let slot = first; slot < end;)
      try {
        this.#exports.run(this.#packets.descriptorOf(slot), end - slot);
        slot = end;
      } catch (error) {
        slot = this.#afterFault(error) + 1;
      }
    this.#clock.stop();
    this.#done += count;
  }

  /** Slots of the last run whose packets faulted. */
  get faulted(): Iterable<number> {
    return this.#faults.keys();
  }

  /** Of a packet of the batch that was run last. */
  outcome(index: number): Outcome {
    const verdict = this.verdict(index);
    const isRedirect = verdict === redirectVerdicts[this.program.type];
    const redirect = isRedirect ? this.#redirect(index) : undefined;
    const context = this.#packets.contextBytes();
    const fault = this.#faults.get(index);
    return {
      verdict,
      data: this.#packets.output(index).slice(),
      events: this.#events.get(index) ?? [],
      ...(redirect === undefined ? {} : { redirect }),
      ...(fault === undefined ? {} : { fault }),
      ...(context === undefined ? {} : { context }),
    };
  }

  /** The digest of that outcome (outcome-digest.ts), put into `into`. */
  digestInto(index: number, into: Uint32Array, at: number): void {
    const verdict = this.verdict(index);
    if (
      this.program.type !== "xdp" ||
      verdict === redirectVerdicts["xdp"] ||
      this.#faults.has(index) ||
      this.#events.has(index)
    ) {
      into.set(outcomeDigest(this.outcome(index)), at);
      return;
    }
    const frame = this.#packets.outputPlace(index);
    frameDigest(verdict, { view: this.#memory.data, ...frame }, into, at);
  }

  /**
   * Guarded, with several cores in one thread: the first attempt alone. False: it never
   * was, and others may run before `runExclusive`.
   */
  attempt(slot: number): boolean {
    this.#randomOf = -1;
    const { attempt, release } = this.#exports;
    try {
      return attempt?.(this.#packets.descriptorOf(slot)) === 0;
    } catch (error) {
      this.#noteFault(error);
      if (release?.() !== 1) return true;
      this.#faults.delete(slot);
      return false;
    }
  }

  /** The packet's run with nobody beside it. */
  runExclusive(slot: number): void {
    this.#randomOf = -1;
    try {
      this.#exports.exclusive?.(this.#packets.descriptorOf(slot));
    } catch (error) {
      this.#noteFault(error);
      this.#exports.release?.();
    }
  }

  /** Guarded: where the packet stands in the order (src/codegen/wasm/guard-layout.ts). */
  ticket(index: number): number {
    const at = this.#packets.descriptorOf(index);
    return this.#memory.u32(at + descriptor.ticket);
  }

  /** Guarded: what is behind a run. */
  get guard(): GuardHost {
    return this.#guard;
  }

  verdict(index: number): number {
    const at = this.#packets.descriptorOf(index);
    return this.#memory.u32(at + descriptor.verdict);
  }

  /**
   * Packets run so far and the nanoseconds spent in compiled code and its helpers,
   * less what the thread had to wait for a CPU (run-clock.ts).
   */
  get spent(): { readonly packets: number; readonly ns: number } {
    return { packets: this.#done, ns: this.#clock.ns };
  }

  /** Linear memory, and where this core's things are: enough to see where a run is. */
  get view(): {
    readonly memory: Memory;
    readonly buffer: ArrayBuffer | SharedArrayBuffer;
    readonly descriptors: number;
    readonly cell: Cells;
  } {
    const { descriptors, cell } = this.#compiled.layout;
    const memory = this.#linear;
    return { memory, buffer: memory.buffer, descriptors, cell };
  }

  /** The maps as user space reads and writes them, between runs. */
  get maps(): MapContents {
    return this.#contents;
  }

  /** Elements of a map by key bytes; values of per-CPU maps are all copies in a row. */
  entries(map: string): readonly MapEntry[] {
    return this.#contents.entries(map);
  }

  /** The same without cells of arrays that are all zero. */
  written(map: string): readonly MapEntry[] {
    return this.#contents.written(map);
  }

  /** Writes elements between runs, as user space does. */
  load(map: string, entries: readonly MapEntry[]): void {
    this.#contents.load(map, entries);
  }

  /** All elements of all maps that have any. */
  contents(): Readonly<Record<string, readonly MapEntry[]>> {
    return Object.fromEntries(
      this.#contents.names.map((name) => [name, this.entries(name)]),
    );
  }

  /** The state as interp's, to compare digests with. */
  state(): State {
    const { maps, cpus } = this.#compiled.layout;
    return createState(this.program.maps, {
      cpus,
      capacity: Object.fromEntries(
        maps.map(({ spec, capacity }) => [spec.name, capacity]),
      ),
      contents: this.contents(),
    });
  }

  digest(): string {
    return this.state().digest();
  }

  /** The slot whose run is over: of a guarded run, as if it had ended there. */
  #afterFault(error: unknown): number {
    const index = this.#noteFault(error);
    if (this.#exports.release?.() !== 1) return index;
    // It saw what another core was just writing: it is run again, alone.
    this.#faults.delete(index);
    try {
      this.#exports.exclusive?.(this.#packets.descriptorOf(index));
    } catch (again) {
      this.#noteFault(again);
      this.#exports.release?.();
    }
    return index;
  }

  #noteFault(error: unknown): number {
    const index = this.#slotNow();
    if (!(error instanceof FaultError)) throw this.#death(error, index);
    this.#packets.abort(index);
    this.#releaseLocks();
    const at = placeOfSite(this.program, error.site);
    this.#faults.set(index, { text: error.message, at });
    return index;
  }

  /** An engine that broke; who puts packets into slots knows more to say. */
  #death(error: unknown, slot: number): unknown {
    const input = this.#inputs[slot];
    if (input === undefined) return error;
    const site = this.#memory.u32(this.#compiled.layout.cell.site);
    return describeDeath(this.program, error, {
      core: input.cpu,
      packet: this.#done + slot,
      input,
      at: placeOfSite(this.program, site),
    });
  }

  /** Others must not wait for what a run held that ended early. */
  #releaseLocks(): void {
    const { cell, shared } = this.#compiled.layout;
    if (!shared) return;
    const { words } = this.#memory;
    const first = (cell.lock >>> 2) + 1;
    for (let held = 0; held < (words[first - 1] ?? 0); held++) {
      const lock = (words[first + held] ?? 0) >>> 2;
      Atomics.store(words, lock, 0);
      Atomics.notify(words, lock);
    }
    words[first - 1] = 0;
  }

  #clear(): void {
    this.#packets.clear();
    this.#inputs = [];
  }

  #randomNow(): Random {
    const slot = this.#slotNow();
    if (this.#random === undefined || this.#randomOf !== slot) {
      this.#random = this.#randomOfPacket(slot);
      this.#randomOf = slot;
    }
    return this.#random;
  }

  /** As interp's packetRandom. */
  #randomOfPacket(slot: number): Random {
    const own = this.#randomSource(slot);
    if (own !== undefined) return new Random(own);
    const at = this.#memory.current + descriptor.time;
    const [low, high] = [this.#memory.u32(at), this.#memory.u32(at + 4)];
    return timeRandom(this.#options.seed ?? 1, low, high);
  }

  /** The packet in hand; of one that came into a slot, from its descriptor. */
  #inputNow(): PacketInput {
    const slot = this.#slotNow();
    return this.#inputs[slot] ?? this.#packets.input(slot);
  }

  #slotNow(): number {
    return this.#packets.indexOf(this.#memory.current);
  }

  #eventsNow(): ProgramEvent[] {
    const index = this.#slotNow();
    let events = this.#events.get(index);
    if (events === undefined) {
      events = [];
      this.#events.set(index, events);
    }
    return events;
  }

  #redirect(index: number): RedirectTarget | undefined {
    const at = this.#packets.descriptorOf(index);
    const get = (field: number): number => this.#memory.u32(at + field);
    const kind = get(descriptor.redirectKind);
    const flags = BigInt(get(descriptor.redirectFlags));
    const to = get(descriptor.redirectTo);
    if (kind === 0) return undefined;
    if (kind === 1) return { ifindex: to, flags };
    const map = this.#compiled.layout.maps[to]?.spec.name ?? "";
    if (kind === 3) return { map, flags };
    return { map, key: get(descriptor.redirectKey), flags };
  }
}
