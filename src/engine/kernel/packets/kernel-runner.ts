/**
 * The kernel as the differential run's pass 2: the program rewritten so that its
 * environment is an input, one fresh load per run, packets one by one.
 */
import type { ProgramSpec } from "../../../isa/index.ts";
import { Recorder, type Runner } from "../../../proof/index.ts";
import type { Kernel } from "../kernel.ts";
import { KernelStage, type StageOptions } from "./kernel-stage.ts";

export type KernelRunnerOptions = Omit<StageOptions, "cpus">;

export function kernelRunner(
  kernel: Kernel,
  program: ProgramSpec,
  options: KernelRunnerOptions,
): Runner {
  return (packets, cpus) => {
    const stage = new KernelStage(kernel, program, {
      ...options,
      cpus,
    });
    try {
      const recorder = new Recorder(packets.length);
      const { runs } = stage;
      stage.run(packets, (index) => {
        const output = runs.changed ? runs.frame : undefined;
        recorder.note(index, runs.verdict, output, runs.effects());
      });
      return recorder.finish(stage.dump());
    } finally {
      stage.close();
    }
  };
}
