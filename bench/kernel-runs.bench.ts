/**
 * Differential single-packet runs in the kernel per second, for the programs of nfs/c.
 *
 * One run is what `check --engine kernel` does per packet: the environment written, one
 * BPF_PROG_TEST_RUN (repeat 1), verdict, frame, redirect target and events read, and
 * noted in a record (`includes: "system call + record"`); beside it the same without the
 * record. Programs with per-CPU maps stay on one CPU. Seconds are CPU time of the process
 * (user and system), since the machine may be shared; wall time is given too.
 */
import { readFileSync, readdirSync } from "node:fs";
import { cpus, loadavg, release } from "node:os";
import { join } from "node:path";
import { KernelStage, openKernel } from "#engine";
import type { PacketInput } from "#interp";
import { hasVariable, programSpec, readObject, setVariable } from "#object";
import { Recorder, deviceContents } from "#proof";
import { generate, parseGenerator } from "#traffic";

const folder = join(import.meta.dirname, "../../nfs/c");
const trace = "gen:bidirectional,packets=4096,flows=1024,seed=1";
const rounds = 40;
const warmUp = 10;
const ports = [11, 12] as const;

const packets: PacketInput[] = Array.from(
  generate(parseGenerator(trace)),
  ({ data, time, port }) => ({
    data,
    time,
    ifindex: ports[port] ?? ports[0],
    rxQueue: 0,
    cpu: 0,
  }),
);

function quantile(sorted: readonly number[], part: number): number {
  return sorted[Math.floor((sorted.length - 1) * part)] ?? 0;
}

/** Runs per second of each round, by CPU time and by wall time. */
function sample(stage: KernelStage, isRecorded: boolean) {
  const { runs } = stage;
  const [byCpu, byWall]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds + warmUp; round++) {
    const recorder = new Recorder(packets.length);
    const before = process.cpuUsage();
    const started = performance.now();
    stage.run(packets, (index) => {
      if (!isRecorded) return;
      const output = runs.changed ? runs.frame : undefined;
      recorder.note(index, runs.verdict, output, runs.effects());
    });
    const wall = (performance.now() - started) / 1e3;
    const { user, system } = process.cpuUsage(before);
    if (round < warmUp) continue;
    byCpu.push(packets.length / ((user + system) / 1e6));
    byWall.push(packets.length / wall);
  }
  const figures = (values: number[]) => {
    const sorted = values.sort((left, right) => left - right);
    return {
      perSecond: Math.round(quantile(sorted, 0.5)),
      range95: [0.025, 0.975].map((part) => Math.round(quantile(sorted, part))),
    };
  };
  return { cpuTime: figures(byCpu), wallTime: figures(byWall) };
}

const kernel = await openKernel();
const rows = readdirSync(folder)
  .filter((name) => name.endsWith(".o"))
  .map((file) => {
    let object = readObject(readFileSync(join(folder, file)), file);
    for (const [at, port] of ["lan", "wan"].entries())
      if (hasVariable(object, `${port}_ifindex`))
        object = setVariable(object, `${port}_ifindex`, String(ports[at]));
    const program = programSpec(object);
    const contents = deviceContents(program, ports);
    const stage = new KernelStage(kernel, program, { contents });
    const bare = sample(stage, false);
    const recorded = sample(stage, true);
    stage.close();
    console.error(
      `${program.name.padEnd(16)} ${recorded.cpuTime.perSecond} recorded runs/s of CPU time, ${bare.cpuTime.perSecond} bare`,
    );
    return { program: program.name, recorded, bare };
  });
kernel.close();
console.log(
  JSON.stringify(
    {
      machine: {
        cpu: cpus()[0]?.model,
        cores: cpus().length,
        kernel: release(),
        node: process.version,
        loadAverage: loadavg()[0],
      },
      trace,
      includes: "system call + record",
      rounds,
      programs: rows,
    },
    undefined,
    2,
  ),
);
