/**
 * Machines that a network function is run on, side by side: here an object (of the C or
 * of the TypeScript source) in the portable engine or in the interpreter; nf-plain.ts has
 * the TypeScript function as plain JavaScript. Each run starts on fresh state and leaves
 * a record in proof's form; the packets asked for are shown in full.
 */
import type { Place } from "#base";
import { PortableProgram, anotherMemory, preparePortable } from "#engine";
import {
  BytecodeMachine,
  createState,
  type CellTouch,
  type Outcome,
  type PacketInput,
} from "#interp";
import type { MapSpec, ProgramSpec } from "#isa";
import {
  Recorder,
  deviceContents,
  dumpState,
  type MapContents,
  type RunRecord,
} from "#proof";
import { interfaces } from "./nf-traffic.ts";

export interface Ran {
  readonly record: RunRecord;
  readonly watched: ReadonlyMap<number, Outcome>;
}

export interface Machine {
  readonly name: string;
  readonly run: (
    packets: readonly PacketInput[],
    watch?: ReadonlySet<number>,
  ) => Ran;
}

const nothing: ReadonlySet<number> = new Set();
const seed = 1;

/** The object on the portable engine. */
export function portable(
  name: string,
  program: ProgramSpec,
  contents: MapContents,
  budget = 2 ** 24,
): Machine {
  const options = {
    cpus: 1,
    budget,
    contents: withPorts(program, contents),
    seed,
  };
  // Compiled once; every run has a memory of its own.
  let prepared: ReturnType<typeof preparePortable> | undefined;
  return {
    name,
    run: (packets, watch = nothing) => {
      prepared ??= preparePortable(program, options);
      const own = anotherMemory(prepared);
      const loaded = new PortableProgram(program, own, options);
      const recorder = new Recorder(packets.length);
      const watched = new Map<number, Outcome>();
      let done = 0;
      loaded.runBatches(packets, (index, input) => {
        const outcome = shown(loaded.outcome(index));
        recorder.add(done, input, outcome);
        if (watch.has(done)) watched.set(done, outcome);
        done++;
      });
      const dump = dumpState({
        maps: stateMaps(program),
        entries: (map) => loaded.entries(map),
      });
      return { record: recorder.finish(dump), watched };
    },
  };
}

/** What an interpreted run reached, over all runs of one machine. */
export class Reached {
  readonly #branches = new Map<Place, number>();
  readonly written = new Set<string>();

  readonly observer = {
    branch: (at: Place, taken: boolean): void => {
      const before = this.#branches.get(at) ?? 0;
      const now = before | (taken ? 2 : 1);
      if (now !== before) this.#branches.set(at, now);
    },
    touch: ({ writes, map }: CellTouch): void => {
      if (writes) this.written.add(map);
    },
  };

  /** Ways out of branches that were taken, by `function+instruction`: 1 falls through, 2 is taken. */
  all(): Map<string, number> {
    const all = new Map<string, number>();
    for (const [{ function: name, instruction }, bits] of this.#branches) {
      const key = `${name}+${instruction}`;
      all.set(key, (all.get(key) ?? 0) | bits);
    }
    return all;
  }
}

/** The object in the interpreter. */
export function interpreted(
  name: string,
  program: ProgramSpec,
  contents: MapContents,
  reached?: Reached,
): Machine {
  return {
    name,
    run: (packets, watch = nothing) => {
      const state = createState(program.maps, {
        cpus: 1,
        contents: withPorts(program, contents),
      });
      const machine = new BytecodeMachine(program, state, {
        seed,
        ...(reached === undefined ? {} : { observer: reached.observer }),
      });
      return recorded(packets, watch, {
        run: (input) => shown(machine.run(input)),
        dump: () =>
          dumpState({
            maps: stateMaps(program),
            entries: (map) => state.entries(map),
          }),
      });
    },
  };
}

export function recorded(
  packets: readonly PacketInput[],
  watch: ReadonlySet<number>,
  machine: {
    readonly run: (input: PacketInput) => Outcome;
    readonly dump: () => RunRecord["state"];
  },
): Ran {
  const recorder = new Recorder(packets.length);
  const watched = new Map<number, Outcome>();
  for (const [at, input] of packets.entries()) {
    const outcome = machine.run(input);
    recorder.add(at, input, outcome);
    if (watch.has(at)) watched.set(at, outcome);
  }
  return { record: recorder.finish(machine.dump()), watched };
}

/** Ports lead where frames come from; maps that a setting makes needless are not there. */
export function withPorts(
  program: ProgramSpec,
  contents: MapContents,
): MapContents {
  const names = new Set(program.maps.map(({ name }) => name));
  const known = Object.entries(contents).filter(([name]) => names.has(name));
  return {
    ...deviceContents(program, interfaces),
    ...Object.fromEntries(known),
  };
}

/** Maps whose contents are state: no read-only data, no devices. */
export function stateMaps({ maps }: ProgramSpec): readonly MapSpec[] {
  return maps.filter(
    ({ readOnly, type }) =>
      !readOnly &&
      type !== "devmap" &&
      type !== "ringbuf" &&
      type !== "prog_array",
  );
}

/** As JavaScript shows it: no log text. */
function shown(outcome: Outcome): Outcome {
  const { events } = outcome;
  if (events.length === 0) return outcome;
  return { ...outcome, events: events.filter(({ kind }) => kind !== "print") };
}
