/**
 * `divisi run --engine kernel`: a trace through the running kernel packet by packet
 * (BPF_PROG_TEST_RUN), the program's environment taken from the trace. No interface of
 * the machine takes part; a redirect leads nowhere. Times are of whole test runs.
 */
import { UnsupportedError } from "../base/index.ts";
import { controlEnvironment, rewrittenText } from "../codegen/index.ts";
import { KernelStage, openKernel, testRunTakes } from "../engine/index.ts";
import type { Outcome, PacketInput } from "../interp/index.ts";
import type { ProgramSpec } from "../isa/index.ts";
import type { Btf } from "../object/index.ts";
import { mergedDigest, type MapContents } from "../proof/index.ts";

export interface KernelRun {
  readonly outcomes: readonly Outcome[];
  /** The test runs of all cores are made one by one: there is one time. */
  readonly cores: readonly { readonly packets: number }[];
  readonly ns: number;
  readonly spent: string;
  readonly stateDigest: string;
  readonly misdirected: number;
  readonly rewrittenCalls: readonly string[];
}

export interface KernelRunRequest {
  readonly seed: number;
  readonly contents: MapContents;
  readonly cores: number;
  readonly btf: Btf | undefined;
}

/** Packets name their core as `cpu`; all share one state, as in the kernel. */
export async function runOnKernel(
  program: ProgramSpec,
  inputs: readonly PacketInput[],
  { seed, contents, cores, btf }: KernelRunRequest,
): Promise<KernelRun> {
  const bad = inputs.findIndex((input) => !testRunTakes(program.type, input));
  if (bad >= 0)
    throw new UnsupportedError(
      `packet ${bad} has ${inputs[bad]?.data.length} bytes, which no test run of the kernel takes`,
      { feature: "frames of that length", fix: "use --engine wasm" },
    );
  const kernel = await openKernel();
  try {
    const stage = new KernelStage(kernel, program, {
      seed,
      contents,
      cpus: cores,
      ...(btf === undefined ? {} : { btf }),
    });
    const outcomes: Outcome[] = [];
    const started = performance.now();
    stage.run(inputs, () => outcomes.push(stage.runs.outcome()));
    const ns = (performance.now() - started) * 1e6;
    const found = {
      ...contents,
      ...Object.fromEntries(
        stage.maps.map(({ name }) => [name, stage.entries(name)]),
      ),
    };
    const counts = Array.from({ length: cores }, () => 0);
    for (const { cpu } of inputs) counts[cpu] = (counts[cpu] ?? 0) + 1;
    return {
      outcomes,
      cores: counts.map((packets) => ({ packets })),
      ns: Math.round(ns),
      spent: "of test runs, one per packet",
      stateDigest: mergedDigest(
        program.maps,
        counts.map(() => found),
      ),
      misdirected: 0,
      rewrittenCalls: controlEnvironment(program, {
        cpus: cores,
      }).rewritten.map(rewrittenText),
    };
  } finally {
    kernel.close();
  }
}
