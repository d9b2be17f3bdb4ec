/**
 * `open`: a network function running as plain JavaScript, over state in memory.
 *
 * What it does to a packet is what the compiled object does, packet by packet and
 * byte by byte: JavaScript's meaning is the meaning. Not promised: its speed, and
 * anything about several cores.
 */
import { InputError, Random, nearest } from "../../base/index.ts";
import { setClock } from "./clock.ts";
import type { MapEntry, Part, Primitive } from "./declaration.ts";
import type { Config, Context, Nf, State } from "./nf.ts";
import { RingEvents } from "./ring-events.ts";
import type { Type } from "./struct.ts";
import { aborted, type Verdict } from "./verdict.ts";
import { PacketView } from "./views.ts";

export interface OpenOptions<C> {
  /** Configuration that replaces the declared. */
  readonly set?: Partial<C>;
}

export interface Arrival {
  /** Index of the port on which the frame came. Default 0. */
  readonly port?: number;
  /** Nanoseconds. Default: as at the packet before, at first 0. */
  readonly now?: bigint;
  /** Draws a u32. Default: a seeded generator of the instance. */
  readonly random?: () => number;
}

/** What a packet emitted into a ring. */
export interface Emitted {
  readonly ring: string;
  readonly value: unknown;
}

export interface Outcome {
  readonly verdict: Verdict;
  /** The frame as it left: the one given, or a copy where something was assigned. */
  readonly frame: Uint8Array;
  readonly events: readonly Emitted[];
}

export interface Instance<C extends Config, S extends State> {
  readonly config: Readonly<C>;
  /** The state's own objects: fill and read them in tests. */
  readonly state: Readonly<S>;
  packet(frame: Uint8Array, arrival?: Arrival): Outcome;
  /** Every map in BPF's bytes, by the name it has in the object; rings are not maps. */
  contents(): Readonly<Record<string, readonly MapEntry[]>>;
}

/** Runs `nf` as plain JavaScript. Each instance has its own state. */
export function open<C extends Config, S extends State>(
  nf: Nf<C, S>,
  options: OpenOptions<C> = {},
): Instance<C, S> {
  return new Runner(nf, configured(nf, options.set ?? {}));
}

/** The configuration of `nf` with some of it replaced. */
export function configured<C extends Config>(
  nf: { readonly config: Readonly<C> },
  set: Readonly<Partial<Config>>,
): Readonly<C> {
  const config: Record<string, number | bigint | boolean> = { ...nf.config };
  for (const [name, value] of Object.entries(set)) {
    const old = config[name];
    if (old === undefined) throw unknownSetting(name, Object.keys(config));
    if (value === undefined || typeof value !== typeof old)
      throw new InputError(`${name} is a ${typeof old}`, {
        code: "nf-setting-type",
        kind: "usage",
        fix: `it is ${String(old)} by default`,
      });
    config[name] = value;
  }
  return Object.freeze(config) as Readonly<C>;
}

function unknownSetting(name: string, known: readonly string[]): InputError {
  const near = nearest(name, known);
  return new InputError(`no configuration value is named ${name}`, {
    code: "nf-setting",
    kind: "usage",
    ...(near === undefined ? {} : { fix: `did you mean ${near}?` }),
  });
}

/** Every map and composite of a state, with its name in the object. */
export function partsOf(state: State): readonly Part[] {
  return Object.entries(state).flatMap(([name, declaration]) =>
    declaration.parts(name),
  );
}

class Runner<C extends Config, S extends State> implements Instance<C, S> {
  readonly config: Readonly<C>;
  readonly #nf: Nf<C, S>;
  readonly #state: S;
  readonly #maps: readonly { name: string; map: Primitive }[];
  readonly #rings: readonly { name: string; ring: RingEvents<Type> }[];
  readonly #view = new PacketView();
  readonly #context: Arriving<C, S>;

  constructor(nf: Nf<C, S>, config: Readonly<C>) {
    this.config = config;
    this.#nf = nf;
    this.#state = nf.state(config);
    const maps = partsOf(this.#state).flatMap(({ name, declaration }) =>
      declaration.kind === "composite" ? [] : [{ name, map: declaration }],
    );
    this.#maps = maps.filter(({ map }) => map.kind !== "ring");
    this.#rings = maps.flatMap(({ name, map }) =>
      map instanceof RingEvents ? [{ name, ring: map }] : [],
    );
    this.#context = new Arriving<C, S>(config, this.#state);
  }

  get state(): Readonly<S> {
    setClock(this.#context.now);
    return this.#state;
  }

  packet(frame: Uint8Array, arrival: Arrival = {}): Outcome {
    const context = this.#context;
    const { ports } = this.#nf;
    context.port = arrival.port ?? 0;
    if (ports.length > 0 && ports[context.port] === undefined)
      throw new InputError(
        `port ${context.port} is none of ${ports.join(", ")}`,
        {
          code: "nf-port",
          kind: "usage",
        },
      );
    context.now = arrival.now ?? context.now;
    context.draw = arrival.random ?? context.drawOwn;
    setClock(context.now);
    this.#view.pointAt(frame);
    const verdict = this.#nf.handle(this.#view, context);
    const isNowhere =
      verdict.kind === "out"
        ? ports[verdict.port] === undefined
        : verdict.kind === "flood" && ports.length === 0;
    return {
      verdict: isNowhere ? aborted : verdict,
      frame: this.#view.data,
      events: this.#rings.length === 0 ? none : this.#events(),
    };
  }

  contents(): Readonly<Record<string, readonly MapEntry[]>> {
    return Object.fromEntries(
      this.#maps.map(({ name, map }) => [name, map.dump()]),
    );
  }

  #events(): readonly Emitted[] {
    return this.#rings.flatMap(({ name, ring }) =>
      ring.drain().map((value) => ({ ring: name, value })),
    );
  }
}

const none: readonly Emitted[] = Object.freeze([]);

/** The context; one object per instance, filled for each packet. */
class Arriving<C, S> implements Context<C, S> {
  now = 0n;
  port = 0;
  readonly config: Readonly<C>;
  readonly state: Readonly<S>;
  readonly #own = new Random(1);
  readonly drawOwn = (): number => this.#own.u32();
  draw: () => number = this.drawOwn;

  constructor(config: Readonly<C>, state: Readonly<S>) {
    this.config = config;
    this.state = state;
  }

  get random(): number {
    return this.draw() >>> 0;
  }
}
