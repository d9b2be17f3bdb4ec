/**
 * One trial: everything that decides what a run does, and a bench that runs trials
 * on the bytecode of a program or on what it was lifted to, each from the same
 * first state.
 */
import { fromHex } from "#base";
import { BytecodeMachine, IrMachine, createState } from "#interp";
import type { Environment, Observer, Outcome, State } from "#interp";
import { lift } from "#ir";
import type { IrProgram } from "#ir";
import type { ProgramSpec } from "#isa";

/** One element of a map, written before the run. */
export interface Write {
  readonly map: string;
  readonly key: string;
  readonly value: Uint8Array;
}

export interface Trial {
  readonly data: Uint8Array;
  readonly ifindex: number;
  readonly rxQueue: number;
  readonly cpu: number;
  readonly time: bigint;
  readonly random: number;
  /** What bpf_fib_lookup answers. */
  readonly route: number;
  /** A map that has no elements, whatever the program declares. */
  readonly without?: string;
  readonly writes: readonly Write[];
}

export interface Replay {
  readonly outcome: Omit<Outcome, "fault">;
  readonly fault: string | undefined;
  /** Digest of all maps. */
  readonly state: string;
}

interface World {
  readonly machine: BytecodeMachine | IrMachine;
  readonly base: State;
}

/** Runs trials on a program, each from the same first state. */
export class Bench {
  readonly #program: ProgramSpec;
  readonly #observer: Observer;
  readonly #lifted: IrProgram | undefined;
  /** By the map that is without elements. */
  readonly #worlds = new Map<string, World>();
  #route = 0;

  constructor(
    program: ProgramSpec,
    options: { readonly observer?: Observer; readonly lifted?: boolean } = {},
  ) {
    this.#program = program;
    this.#observer = options.observer ?? {};
    this.#lifted = options.lifted === true ? lift(program) : undefined;
  }

  run(trial: Trial): Outcome {
    const { machine, base } = this.#world(trial.without);
    const state = base.clone();
    for (const { map, key, value } of trial.writes)
      state.update(map, fromHex(key), value);
    this.#route = trial.route;
    machine.use(state);
    return machine.run(trial);
  }

  /** Outcome and what the run left in the maps; a fault's place is left out. */
  replay(trial: Trial): Replay {
    const { fault, ...outcome } = this.run(trial);
    const { machine } = this.#world(trial.without);
    return { outcome, fault: fault?.text, state: machine.state.digest() };
  }

  #world(without = ""): World {
    const known = this.#worlds.get(without);
    if (known !== undefined) return known;
    // What user space sizes: eight elements, but events of one CPU only.
    const sized = this.#program.maps.map(({ name, type, maxEntries }) => {
      const usual = maxEntries || (type === "perf_event_array" ? 1 : 8);
      return [name, name === without ? 0 : usual] as const;
    });
    const base = createState(this.#program.maps, {
      cpus: 2,
      capacity: Object.fromEntries(sized),
    });
    const environment: Environment = {
      route: () => ({
        code: this.#route,
        ifindex: 3,
        sourceMac: Uint8Array.of(2, 0, 0, 0, 0, 3),
        destinationMac: Uint8Array.of(2, 0, 0, 0, 0, 4),
      }),
    };
    const options = { observer: this.#observer, environment };
    const machine =
      this.#lifted === undefined
        ? new BytecodeMachine(this.#program, base, options)
        : new IrMachine(this.#lifted, base, options);
    const world = { machine, base };
    this.#worlds.set(without, world);
    return world;
  }

  /** The value that the trial's run finds first in that cell; undefined: none possible. */
  valueOf(trial: Trial, map: string, key: string): Uint8Array | undefined {
    const own = trial.writes.findLast(
      (write) => write.map === map && write.key === key,
    );
    if (own !== undefined) return own.value;
    const { base } = this.#world(trial.without);
    const store = base.store(map);
    if (store.kind !== "cells") return undefined;
    const known = base.lookup(map, fromHex(key));
    if (known !== undefined) return known;
    const { copies, cells } = store;
    return new Uint8Array(
      copies > 1 ? copies * cells.stride : store.spec.valueSize,
    );
  }
}
