/**
 * Test runs of one program, packet by packet, as fast as one process asks for them:
 * attributes and buffers are made once and written by plain stores, the environment
 * is a mapped page, and what came out stays in place until the next run.
 *
 *   runs.run(input);
 *   runs.verdict; runs.frame       // until the next run
 *
 * A frame has 14 bytes at least, and fits a page with its headroom.
 * Source: net/bpf/test_run.c.
 */
import { Bug, InputError, UnsupportedError } from "../../../base/index.ts";
import {
  environmentLayout,
  eventWords,
  randomWords,
  redirectCalls,
} from "../../../codegen/index.ts";
import type {
  Outcome,
  PacketInput,
  ProgramEvent,
  RedirectTarget,
} from "../../../interp/index.ts";
import {
  helperByName,
  type ProgramSpec,
  type ProgramTypeName,
} from "../../../isa/index.ts";
import { attributes, command } from "../attributes.ts";
import type { EnvironmentWords } from "./environment-words.ts";
import type { EventReader } from "./event-reader.ts";
import type { KernelProgram } from "../load/kernel-program.ts";
import { memory, type Syscalls } from "../syscalls.ts";

const EINTR = 4;
const largest = 64 * 1024;
/** Members of `union bpf_attr` for BPF_PROG_TEST_RUN, in words of 4 bytes. */
const word = { verdict: 1, sizeIn: 2, sizeOut: 3 } as const;

/** Where context members that a run sets are, in words: `xdp_md` and `__sk_buff`. */
const contexts = {
  xdp: { size: 24, length: 1, ifindex: 3, queue: 4 },
  sched_cls: { size: 192, length: -1, ifindex: 10, queue: -1 },
} as const;
const skbIngress = 9;
const skbTime = 19;

/**
 * Does a test run take the frame, whole? TC wants the header that the type names
 * (Linux 6.17 and later); an XDP frame that does not fit a page would be in pieces.
 */
export function testRunTakes(
  type: ProgramTypeName,
  { data }: Pick<PacketInput, "data">,
): boolean {
  const { length } = data;
  if (length < 14 || length > longestFrame) return false;
  if (type === "xdp") return true;
  const protocol = ((data[12] ?? 0) << 8) | (data[13] ?? 0);
  const least = protocol === 0x0800 ? 34 : protocol === 0x86dd ? 54 : 14;
  return length >= least;
}

/** A page without headroom and what the kernel keeps at its end. */
const longestFrame = 4096 - 256 - 320;

type TargetOnly = Required<Pick<Outcome, "redirect" | "events">>;

/** Words of the environment between which a noted redirect stands. */
const noted = environmentLayout.redirectCall / 4;
const answered = environmentLayout.redirectAnswer / 4;

export interface PacketRunsOptions {
  readonly environment?: EnvironmentWords;
  /** For random numbers, where the program takes any. */
  readonly seed?: number;
  /** Name of the map at an address of the kernel, for redirects. */
  readonly mapAt?: (address: bigint) => string | undefined;
  readonly readers?: readonly EventReader[];
}

export class PacketRuns {
  /** r0, unsigned 32 bits. */
  verdict = 0;
  /** Where in `output` the frame is that came out, and its bytes. */
  start = 0;
  size = 0;
  readonly output = memory(largest + 4096);
  /** The frame that went in. */
  readonly input = memory(largest);
  /** The context after the run, where it has more than the packet. */
  readonly contextOut: Buffer | undefined;
  readonly #syscalls: Syscalls;
  readonly #program: KernelProgram;
  readonly #options: PacketRunsOptions;
  readonly #attr: Buffer;
  readonly #words: Uint32Array;
  readonly #context: Uint32Array;
  readonly #times: BigUint64Array | undefined;
  readonly #places: (typeof contexts)["xdp" | "sched_cls"];
  /** Targets seen last, with the words that say so. */
  readonly #targets: {
    readonly words: Uint32Array;
    readonly only: TargetOnly;
  }[] = [];
  #last: PacketInput | undefined;

  constructor(
    syscalls: Syscalls,
    program: KernelProgram,
    options: PacketRunsOptions = {},
  ) {
    const { type, name } = program.spec;
    if (type !== "xdp" && type !== "sched_cls")
      throw new UnsupportedError(`${name}: no test runs of ${type} programs`, {
        feature: `test runs of ${type} programs`,
      });
    this.#syscalls = syscalls;
    this.#program = program;
    this.#options = options;
    this.#places = contexts[type];
    const context = memory(this.#places.size);
    this.#context = new Uint32Array(context.buffer);
    if (type === "sched_cls") this.#times = new BigUint64Array(context.buffer);
    if (type === "sched_cls" || makesMetadata(program.spec))
      this.contextOut = memory(this.#places.size);
    this.#attr = attributes(syscalls, "testRun", {
      fd: program.fd,
      dataIn: this.input,
      dataOut: this.output,
      repeat: 1,
      contextSizeIn: context.length,
      contextIn: context,
      ...(this.contextOut === undefined
        ? {}
        : { contextSizeOut: context.length, contextOut: this.contextOut }),
    });
    this.#words = new Uint32Array(this.#attr.buffer);
  }

  /** Runs the packet on this thread's CPU. */
  run(input: PacketInput): void {
    const { data } = input;
    if (data.length > largest) this.#refuse(data.length, "E2BIG");
    this.input.set(data);
    const places = this.#places;
    const context = this.#context;
    context[places.ifindex] = input.ifindex;
    if (this.#times === undefined) {
      context[places.length] = data.length;
      context[places.queue] = input.rxQueue;
    } else {
      context[skbIngress] = input.ifindex;
      this.#times[skbTime] = input.time;
    }
    this.#options.environment?.set(input, this.#options.seed);
    const words = this.#words;
    words[word.sizeIn] = data.length;
    for (;;) {
      words[word.sizeOut] = this.output.length;
      const code = this.#syscalls.bpf(command.testRun, this.#attr);
      if (code === -EINTR) continue;
      if (code < 0) this.#refuse(data.length, this.#syscalls.errorName(-code));
      break;
    }
    this.verdict = words[word.verdict] ?? 0;
    // What comes out begins with the metadata of XDP, if there is any.
    this.start =
      this.contextOut === undefined || this.#times !== undefined
        ? 0
        : this.contextOut.readUInt32LE(0);
    this.size = (words[word.sizeOut] ?? 0) - this.start;
    this.#last = input;
    const { environment, seed } = this.#options;
    if (environment === undefined) return;
    if (seed !== undefined)
      this.#most(environment.word(environmentLayout.randomTaken), randomWords);
    this.#most(environment.word(environmentLayout.events), eventWords);
  }

  /** Did the last run change the frame? */
  get changed(): boolean {
    const { input, output, start, size } = this;
    const before = this.#last?.data.length ?? 0;
    if (size !== before) return true;
    for (let index = 0; index < size; index++)
      if (input[index] !== output[start + index]) return true;
    return false;
  }

  /** The frame that came out, in place. */
  get frame(): Uint8Array {
    return this.output.subarray(this.start, this.start + this.size);
  }

  /** Redirect target and events of the last run; `undefined` where there are none. */
  effects(): Pick<Outcome, "redirect" | "events"> | undefined {
    const target = this.#redirectOnly();
    const { readers = [] } = this.#options;
    if (readers.length === 0) return target;
    const events: ProgramEvent[] = [];
    for (const reader of readers) reader.drain(events);
    return events.length === 0
      ? target
      : { ...target, events: this.#trimmed(events) };
  }

  /** All of the last run, as values of its own. */
  outcome(): Outcome {
    return {
      verdict: this.verdict,
      data: Uint8Array.from(this.frame),
      events: [],
      ...this.effects(),
    };
  }

  /** Throws when a run took what it was not given: its results mean nothing. */
  check(): void {
    const { environment, readers = [] } = this.#options;
    const { name } = this.#program.spec;
    if (environment !== undefined) {
      if (environment.word(environmentLayout.clamped) > 0)
        throw new Bug(`${name}: a CPU number was out of range`);
    }
    if (readers.some((reader) => reader.lost() > 0))
      throw new Bug(`${name}: events were lost`);
  }

  /** Perf events without their padding, in the order in which they were sent. */
  #trimmed(events: readonly ProgramEvent[]): readonly ProgramEvent[] {
    const { environment } = this.#options;
    if (environment === undefined) return events;
    let sent = 0;
    return events.map((event) => {
      if (event.kind !== "perf") return event;
      const at = environmentLayout.eventSizes + 4 * (sent++ % eventWords);
      return { ...event, data: event.data.subarray(0, environment.word(at)) };
    });
  }

  /** Where to, as a value that is the same object for the same target. */
  #redirectOnly(): TargetOnly | undefined {
    const { environment } = this.#options;
    if (environment === undefined) return undefined;
    const wanted = this.#times === undefined ? 4 : 7;
    if (this.verdict !== wanted) return undefined;
    const { words } = environment;
    if (words[noted] === 0 || words[answered] !== wanted) return undefined;
    for (const known of this.#targets) {
      let at = noted;
      while (at < answered && known.words[at - noted] === words[at]) at++;
      if (at === answered) return known.only;
    }
    const only = { redirect: this.#redirect(environment), events: [] };
    this.#targets.unshift({ words: words.slice(noted, answered), only });
    this.#targets.length = Math.min(this.#targets.length, 8);
    return only;
  }

  #redirect(environment: EnvironmentWords): RedirectTarget {
    const { mapAt } = this.#options;
    const number = environment.word(environmentLayout.redirectCall);
    const call = redirectCalls[number - 1]?.helper;
    const long = environment.long(environmentLayout.redirectFlags);
    const { redirectFirst, redirectSecond } = environmentLayout;
    if (call !== "redirect_map") {
      const flags = call === "redirect" ? long : 0n;
      return { ifindex: environment.word(redirectFirst), flags };
    }
    const map = mapAt?.(environment.long(redirectFirst)) ?? "?";
    const toAll = (long & broadcast) !== 0n;
    const key = environment.word(redirectSecond);
    return { map, ...(toAll ? {} : { key }), flags: long };
  }

  /** The environment has room for so many of a kind. */
  #most(taken: number, room: number): void {
    if (taken > room)
      throw new UnsupportedError(
        `${this.#program.spec.name}: a run took ${taken} random numbers or sent as many events, ${room} are kept: not comparable`,
        { feature: `${taken} random numbers or events in a run` },
      );
  }

  #refuse(length: number, error: string): never {
    throw new InputError(
      `program ${this.#program.spec.name}: a test run on ${length} bytes failed with ${error}`,
      { code: "test-run" },
    );
  }
}

const broadcast = 0x8n;

function makesMetadata({ functions }: ProgramSpec): boolean {
  const number = helperByName("xdp_adjust_meta")?.number;
  return functions.some(({ instructions }) =>
    instructions.some(
      (each) =>
        each.kind === "call" &&
        each.callee.kind === "helper" &&
        each.callee.helper === number,
    ),
  );
}
