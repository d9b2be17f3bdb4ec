/** The interpreter as pass 2: slower than an engine, and nothing but the meaning. */
import {
  BytecodeMachine,
  createState,
  type Environment,
  type Outcome,
} from "../interp/index.ts";
import type { ProgramSpec } from "../isa/index.ts";
import { Recorder, type MapContents, type Runner } from "./record.ts";
import { dumpState } from "./state-dump.ts";

export interface InterpRunnerOptions {
  readonly contents?: MapContents;
  readonly seed: number;
  /** Entries of a map instead of its max_entries, by name. */
  readonly capacities?: Readonly<Record<string, number>>;
  readonly environment?: Environment;
  /** An outcome as the machine that it is compared with can show it. */
  readonly shown?: (outcome: Outcome) => Outcome;
}

export function interpRunner(
  program: ProgramSpec,
  options: InterpRunnerOptions,
): Runner {
  const { contents, seed, capacities, environment = {} } = options;
  const { shown = (outcome: Outcome) => outcome } = options;
  return (packets, cpus) => {
    const state = createState(program.maps, {
      cpus,
      ...(contents === undefined ? {} : { contents }),
      ...(capacities === undefined ? {} : { capacity: capacities }),
    });
    const machine = new BytecodeMachine(program, state, { seed, environment });
    const recorder = new Recorder(packets.length);
    for (const [index, input] of packets.entries())
      recorder.add(index, input, shown(machine.run(input)));
    return recorder.finish(dumpState(state));
  };
}
