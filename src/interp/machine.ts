/**
 * The machine: one run of a program on one packet against a state.
 *
 * What it runs is threaded code (code.ts); BytecodeMachine and IrMachine differ only
 * in how they compile functions to it. A run is a function of the packet input, the
 * state, the environment and the seed; it changes the state and nothing else.
 *
 * Limits as in the kernel: eight frames of 512 bytes, 33 tail calls (each with eight
 * frames of its own, since one in a subprogram replaces only that), a budget of steps.
 */
import { Bug, InputError, Random, toHex, type Place } from "../base/index.ts";
import { type MapSpec, type ProgramTypeName } from "../isa/index.ts";
import { type Code, type Executor } from "./code.ts";
import { type CellStore } from "./cell-store.ts";
import { Fault, fault } from "./fault.ts";
import { Arguments } from "./host.ts";
import { indexKey } from "./array-store.ts";
import {
  contextBase,
  functionBase,
  kernelBase,
  kernelSpace,
  maxDepth,
  Memory,
  PlainRegion,
  regionNumber,
  StackRegion,
  tailCallLimit,
} from "./memory.ts";
import type {
  AccessResult,
  CellTouch,
  Environment,
  Observer,
  Outcome,
  PacketInput,
  ProgramEvent,
  RedirectTarget,
} from "./outcome.ts";
import { PacketFrame } from "./packet-frame.ts";
import type { State, Store } from "./state.ts";
import { returned, tailCalled } from "./word-steps.ts";

export interface MachineOptions {
  readonly observer?: Observer;
  /** For bpf_get_prandom_u32. Default 1. */
  readonly seed?: number;
  /** Steps of one run before it faults. Default one million. */
  readonly budget?: number;
  readonly environment?: Environment;
}

const functionStride = 16;
const redirectVerdict: Readonly<Record<string, number>> = {
  xdp: 4,
  sched_cls: 7,
};
const unused: PacketInput = {
  data: new Uint8Array(0),
  ifindex: 0,
  rxQueue: 0,
  cpu: 0,
  time: 0n,
};

/**
 * The random numbers of one run, for every engine alike: from the machine's seed and
 * the packet's time, unless the packet brings a seed of its own.
 */
export function packetRandom(seed: number, input: PacketInput): Random {
  if (input.random !== undefined) return new Random(input.random);
  return timeRandom(
    seed,
    Number(BigInt.asIntN(32, input.time)),
    Number(BigInt.asIntN(32, input.time >> 32n)),
  );
}

/** The same by the two halves of the packet's time. */
export function timeRandom(seed: number, low: number, high: number): Random {
  return new Random(seed ^ Math.imul(low, 0x9e3779b1) ^ high);
}

export abstract class Machine implements Executor {
  readonly args = new Arguments();
  readonly memory: Memory;
  readonly frame: PacketFrame;
  readonly observer: Observer;
  readonly environment: Environment;
  input = unused;
  events: ProgramEvent[] = [];
  readonly records = new Map<number, ProgramEvent>();
  redirect: RedirectTarget | undefined;
  left = 0;
  tail: Code | undefined;

  readonly #entry: string;
  readonly #seed: number;
  readonly #budget: number;
  readonly #stack: StackRegion;
  readonly #kernel = new PlainRegion(kernelSpace / 16, "kernel byte");
  readonly #codes = new Map<string, Code>();
  readonly #functions: string[] = [];
  #state: State;
  #valueStores: (CellStore | undefined)[] = [];
  #random: Random | undefined;
  #depth = -1;
  #tailCalls = 0;
  #allocated = 0;
  #markedCode: Pick<Code, "place"> | undefined;
  #markedStep = 0;

  constructor(
    entry: string,
    type: ProgramTypeName,
    state: State,
    options: MachineOptions,
    frameSize = 512,
  ) {
    this.#entry = entry;
    this.#stack = new StackRegion(frameSize);
    this.#seed = options.seed ?? 1;
    this.#budget = options.budget ?? 1_000_000;
    this.observer = options.observer ?? {};
    this.environment = options.environment ?? {};
    this.frame = new PacketFrame(type);
    this.memory = new Memory(state.layout);
    this.memory.set(regionNumber.context, this.frame.context);
    this.memory.set(regionNumber.stack, this.#stack);
    this.memory.set(regionNumber.kernel, this.#kernel);
    this.#state = state;
    this.use(state);
  }

  /** Makes the function runnable; throws UnsupportedError or InputError. */
  protected abstract compile(name: string): Code;

  get state(): State {
    return this.#state;
  }

  /** From now on runs use `state`, which must be a clone of the one before. */
  use(state: State): void {
    if (state.layout !== this.#state.layout)
      throw new Bug("the machine was compiled for another state");
    this.#state = state;
    this.#valueStores = [];
    for (const store of state.stores)
      if (store.kind === "cells") {
        this.memory.set(store.region, store.cells);
        this.#valueStores[store.region] = store;
      }
  }

  run(input: PacketInput): Outcome {
    if (!(input.cpu >= 0 && input.cpu < this.#state.cpus))
      throw new InputError(
        `the packet is on CPU ${input.cpu}, but the state has ${this.#state.cpus}`,
        { code: "cpu-unknown" },
      );
    this.input = input;
    this.events = [];
    this.records.clear();
    this.redirect = undefined;
    this.left = this.#budget;
    this.#random = undefined;
    this.#depth = -1;
    this.#tailCalls = 0;
    this.#allocated = 0;
    this.#kernel.high = 0;
    this.memory.set(regionNumber.packet, this.frame.load(input));
    this.args.view.setBigUint64(8, BigInt(contextBase), true);
    try {
      const done = this.enter(this.link(this.#entry));
      return this.#outcome(done.getUint32(0, true));
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      const at = error.at ?? { function: this.#entry, instruction: 0 };
      return { ...this.#outcome(0), fault: { text: error.message, at } };
    }
  }

  link(name: string): Code {
    const known = this.#codes.get(name);
    if (known !== undefined) return known;
    const code = this.compile(name);
    this.#codes.set(name, code);
    return code;
  }

  enter(code: Code): DataView {
    const depth = this.#depth + 1;
    const most = Math.min(maxDepth * (1 + this.#tailCalls), this.#stack.frames);
    if (depth >= most) fault(`more than ${most} frames`);
    this.#depth = depth;
    this.#stack.clear(depth);
    const { view } = this.args;
    const frame = this.#frameOf(code);
    for (let index = 0; index < code.params.length; index++) {
      const to = 8 * (code.params[index] ?? 0);
      frame.setUint32(to, view.getUint32(8 * index + 8, true), true);
      frame.setUint32(to + 4, view.getUint32(8 * index + 12, true), true);
    }
    const done = this.#execute(code, frame);
    this.#depth = depth - 1;
    return done;
  }

  #frameOf(code: Code): DataView {
    const depth = this.#depth;
    const frame = (code.frames[depth] ??= code.makeFrame(
      this.#stack.top(depth),
    ));
    for (let at = 0; at < code.cleared; at += 8) {
      frame.setUint32(at, 0, true);
      frame.setUint32(at + 4, 0, true);
    }
    return frame;
  }

  #execute(code: Code, frame: DataView): DataView {
    let { steps } = code;
    let step = 0;
    try {
      for (;;) {
        if (--this.left < 0) fault(`budget of ${this.#budget} steps used up`);
        const run = steps[step];
        if (run === undefined) fault("falls off the end");
        const next = run(frame);
        if (next >= 0) {
          step = next;
          continue;
        }
        if (next === returned) return frame;
        if (next !== tailCalled || this.tail === undefined)
          throw new Bug(`step ${step} of ${code.name} answers ${next}`);
        code = this.tail;
        ({ steps } = code);
        step = 0;
        frame = this.#frameOf(code);
        frame.setBigUint64(
          8 * (code.params[0] ?? 1),
          BigInt(contextBase),
          true,
        );
      }
    } catch (error) {
      if (error instanceof Fault) error.at ??= code.place(step);
      throw error;
    }
  }

  mark(code: Pick<Code, "place">, step: number): void {
    this.#markedCode = code;
    this.#markedStep = step;
  }
  get at(): Place {
    return (
      this.#markedCode?.place(this.#markedStep) ?? {
        function: this.#entry,
        instruction: 0,
      }
    );
  }

  tailTarget(): Code | undefined {
    const store = this.map(2);
    const index = this.args.low(3);
    if (store.kind !== "links") fault(`tail call through a ${store.spec.type}`);
    const key = indexKey(index);
    const target =
      index < store.capacity && this.#tailCalls < tailCallLimit
        ? store.get(key)
        : undefined;
    this.touch(
      store,
      () => toHex(key),
      "lookup",
      target === undefined ? "miss" : "hit",
      false,
    );
    if (target?.kind !== "function") return undefined;
    this.#tailCalls++;
    return this.link(target.name);
  }

  functionAddress(name: string): number {
    let number = this.#functions.indexOf(name);
    if (number < 0) number = this.#functions.push(name) - 1;
    return functionBase + number * functionStride;
  }

  callBack(address: number, args: readonly (number | bigint)[]): bigint {
    const name = this.#functions[(address - functionBase) / functionStride];
    if (name === undefined) fault(`0x${address.toString(16)} is no function`);
    const { view } = this.args;
    for (const [index, word] of args.entries())
      view.setBigUint64(8 * index + 8, BigInt.asUintN(64, BigInt(word)), true);
    const [code, step] = [this.#markedCode, this.#markedStep];
    const answer = this.enter(this.link(name)).getBigUint64(0, true);
    this.#markedCode = code;
    this.#markedStep = step;
    return answer;
  }

  get random(): Random {
    return (this.#random ??= packetRandom(this.#seed, this.input));
  }

  map(register: number): Store {
    const address = this.args.address(register);
    return (
      this.#state.byHandle(address) ??
      fault(`r${register} = 0x${address.toString(16)} is no map`)
    );
  }
  cells(register: number): CellStore {
    const store = this.map(register);
    if (store.kind === "cells") return store;
    return fault(`not possible on a map of type ${store.spec.type}`);
  }
  bytes(register: number, size: number, write = false): Uint8Array {
    return this.memory.bytes(this.args.address(register), size, write);
  }

  allocate(size: number): number {
    const at = this.#allocated;
    // A gap of eight bytes, so that running out of one piece is noticed at the end.
    const end = at + Math.ceil(size / 8) * 8 + 8;
    const { bytes } = this.#kernel.chunk;
    if (end > bytes.length) fault("out of kernel memory");
    bytes.fill(0, at, end);
    this.#allocated = end;
    this.#kernel.high = end - 8;
    return kernelBase + at;
  }

  addressOf(store: CellStore, cell: number, copy: number): number {
    const { region, cells } = store;
    return this.memory.baseOf(region) + cells.offsetOf(cell, copy);
  }

  valueAddress(map: string, offset: number): number {
    const store = this.#state.store(map);
    if (store.kind !== "cells")
      throw new InputError(`${map}: a ${store.spec.type} has no value`, {
        code: "map-has-no-values",
      });
    return this.memory.baseOf(store.region) + offset;
  }

  touch(
    store: Store,
    cell: string | (() => string),
    op: CellTouch["op"],
    result: AccessResult,
    writes: boolean,
    bytes?: { readonly offset: number; readonly size: number },
  ): void {
    this.observer.touch?.({
      map: store.spec.name,
      cell: typeof cell === "string" ? cell : cell(),
      op,
      result,
      writes,
      at: this.at,
      ...bytes,
    });
  }

  touchAddress(
    address: number,
    op: "load" | "store" | "atomic",
    writes: boolean,
    size: number,
  ): void {
    const region = this.memory.regionOf(address);
    const store = this.#valueStores[region];
    if (store === undefined) return;
    const offset = address - this.memory.baseOf(region);
    const cell = store.cells.cellAt(offset);
    const bytes = { offset: offset % store.cells.stride, size };
    this.touch(store, () => store.cellName(cell), op, "hit", writes, bytes);
  }

  #outcome(verdict: number): Outcome {
    const { frame, redirect } = this;
    return {
      verdict,
      data: frame.content(),
      events: this.events,
      ...(redirect !== undefined && verdict === redirectVerdict[frame.type]
        ? { redirect }
        : {}),
      ...(frame.type === "xdp"
        ? {}
        : { context: frame.contextWithoutPointers() }),
    };
  }
}

/** For programs that name a map which the state lacks. */
export function needMaps(state: State, maps: readonly MapSpec[]): void {
  for (const { name } of maps)
    if (!state.has(name))
      throw new InputError(`the state has no map ${name}`, {
        code: "map-missing",
      });
}
