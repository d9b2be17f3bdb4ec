/**
 * The portable engine as the differential run's pass 2: one state, packets in
 * order, each with the CPU it was steered to.
 */
import type { ProgramSpec } from "../../isa/index.ts";
import {
  Recorder,
  dumpState,
  type MapContents,
  type Runner,
} from "../../proof/index.ts";
import { loadPortable } from "./program.ts";

export interface RunnerOptions {
  readonly contents?: MapContents;
  readonly seed: number;
  /** Entries of a map instead of its max_entries, by name. */
  readonly capacities?: Readonly<Record<string, number>>;
}

export function portableRunner(
  program: ProgramSpec,
  options: RunnerOptions,
): Runner {
  return (packets, cpus) => {
    const loaded = loadPortable(program, { ...options, cpus });
    const recorder = new Recorder(packets.length);
    let done = 0;
    loaded.runBatches(packets, (index, input) => {
      recorder.add(done++, input, loaded.outcome(index));
    });
    return recorder.finish(
      dumpState({
        maps: program.maps,
        entries: (map) => loaded.written(map),
      }),
    );
  };
}
