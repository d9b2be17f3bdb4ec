/**
 * What the compiler's code costs: each network function of the suite as the C object
 * (clang -O2) and as the TypeScript object, in instructions and in nanoseconds per packet
 * in the kernel, both on the same packets in turn (measureInterleaved), less an empty
 * program in the same loop. docs/reference/nf-code-quality.md is made from this.
 *
 * The packets are the suite's own mix for the function, frames of 14 to 128 bytes; maps
 * have the sizes of its first setting. Redirects lead to the loopback device.
 */
import { cpus, loadavg, release } from "node:os";
import {
  changeInterval,
  emptyProgram,
  frameSizeFor,
  measureInterleaved,
  median,
  openKernel,
  prepareSubject,
  type Kernel,
  type Subject,
  type SubjectSamples,
} from "#engine";
import type { PacketInput } from "#interp";
import { totalSlots, type ProgramSpec } from "#isa";
import { caseOf, mixOf } from "../test/support/nf-mixes.ts";
import { nfNames, objectsOf } from "../test/support/nf-suite.ts";
import { nfTraffic } from "../test/support/nf-traffic.ts";

const samples = 16;
const burst = 25;
const packetCount = 2048;
const seed = 1;

/** TCP or UDP with something behind the header. */
function isWhole({ data }: PacketInput): boolean {
  const protocol = data[23] ?? 0;
  return data[14] === 0x45 && data.length >= 80 && [6, 17].includes(protocol);
}

/** Instructions as the kernel counts them. */
function slots(program: ProgramSpec): number {
  return program.functions.reduce(
    (sum, { instructions }) => sum + totalSlots(instructions),
    0,
  );
}

const figures = (subject: SubjectSamples | undefined): number[] =>
  (subject?.samples ?? []).map(({ nsPerPacket }) => nsPerPacket);

async function measured(kernel: Kernel, name: string) {
  const known = caseOf(name);
  const [variant] = known.variants;
  if (variant === undefined) throw new RangeError(`no setting of ${name}`);
  const traffic = nfTraffic(mixOf(known, variant), {
    seed,
    count: 4 * packetCount,
  });
  const packets = traffic
    .filter(({ data }) => data.length >= 14 && data.length <= 128)
    .slice(0, packetCount);
  const frameSize = frameSizeFor([packets]);
  const loopback = Uint8Array.of(1, 0, 0, 0);
  const ports = [0, 1].map((slot) => ({
    key: Uint8Array.of(slot, 0, 0, 0),
    value: loopback,
  }));
  const objects = await objectsOf(name, variant);
  const subjects: Subject[] = [];
  const prepare = (how: Subject["how"], rows: readonly PacketInput[]): void => {
    for (const subject of subjects.splice(0)) subject.close();
    for (const { program, btf } of objects) {
      const hasPorts = program.maps.some((map) => map.name === "ports");
      subjects.push(
        prepareSubject(kernel, program, {
          packets: [rows],
          frameSize,
          how,
          contents: { ...(hasPorts ? { ports } : {}), ...variant.contents },
          ...(btf === undefined ? {} : { btf }),
        }),
      );
    }
    const packets = [rows];
    subjects.push(
      prepareSubject(kernel, emptyProgram, { packets, frameSize, how }),
    );
  };
  try {
    prepare("loop", packets);
    // All alike: where one cannot be called from a loop, one packet for all.
    if (subjects.some(({ how }) => how === "repeat"))
      prepare("repeat", packets.filter(isWhole).slice(0, 1));
    const [{ how } = { how: "loop" }] = subjects;
    const taken = await measureInterleaved(kernel, subjects, {
      samples,
      burst,
    });
    const base = median(figures(taken.at(-1)));
    const own = objects.map((_, at) =>
      figures(taken[at]).map((ns) => Math.max(0.1, ns - base)),
    );
    const [before = [], after = []] = own;
    const rounded = (value: number): number => Math.round(value * 1000) / 1000;
    const change = changeInterval(before, after, { seed });
    return {
      name,
      instructions: Object.fromEntries(
        objects.map(({ language, program }) => [language, slots(program)]),
      ),
      ns: Object.fromEntries(
        objects.map(({ language }, at) => [
          language,
          rounded(median(own[at] ?? [])),
        ]),
      ),
      base: rounded(base),
      ratio: rounded(median(after) / median(before)),
      ratio95: change.map((part) => rounded(1 + part)),
      how,
      load: loadavg()[0] ?? 0,
    };
  } finally {
    for (const subject of subjects) subject.close();
  }
}

const only = process.env["NF"]?.split(",") ?? nfNames;
const kernel = await openKernel();
const rows = [];
for (const name of only) {
  const row = await measured(kernel, name);
  rows.push(row);
  console.error(
    `${name.padEnd(20)} ${JSON.stringify(row.instructions)} ${JSON.stringify(row.ns)} ${row.ratio} ${JSON.stringify(row.ratio95)}`,
  );
}
kernel.close();
const loads = rows.map(({ load }) => load);
console.log(
  JSON.stringify(
    {
      machine: {
        cpu: cpus()[0]?.model,
        cores: cpus().length,
        kernel: release(),
        node: process.version,
        /** Least and greatest while functions were measured. */
        load: [Math.min(...loads), Math.max(...loads)],
      },
      includes: "program",
      samples,
      functions: rows,
    },
    undefined,
    2,
  ),
);
