/**
 * The two engines beside each other, and what two cores make of private and of shared
 * state.
 *
 * `programs`: the network functions of nfs/c and two that only compute, on one core of
 * each engine, over the same packets, each net of its own engine's empty program. Both
 * are the program alone; they still do not cost the same things: the kernel's maps have
 * RCU and a seeded hash, its clock is a call, and in a virtual machine a dear one. A
 * portable figure never predicts a kernel's.
 *
 * `twoCores`: the same on one core and on two, private memory, both engines. Nothing is
 * shared there, so two cores that get in each other's way are the machine's doing (two
 * threads of one core, neighbours in its cache); of the portable engine the least of the
 * rounds stands beside the median, because what a machine adds to a time it never takes away.
 *
 * `shared`: in the kernel, two cores on one map, all on one key (hot) or over 1,024.
 * Contended figures follow where the host had put the CPUs, so each has its placement.
 */
import { readFileSync, readdirSync } from "node:fs";
import { cpus, loadavg, release } from "node:os";
import { join } from "node:path";
import {
  differenceInterval,
  emptyProgram,
  measureInterleaved,
  median,
  medianInterval,
  openKernel,
  PortableSubject,
  prepareSubject,
  type Kernel,
  type PlacedSample,
  type Subject,
  type SubjectSamples,
} from "#engine";
import { Random } from "#base";
import type { MapEntry, PacketInput } from "#interp";
import { parseFunctions, type MapSpec, type ProgramSpec } from "#isa";
import { programSpec, readObject, type Btf } from "#object";
import { generate, parseGenerator } from "#traffic";

const folder = join(import.meta.dirname, "../../nfs/c");
const seed = 1;
const say = (text: string): void => console.error(`  ${text}`);
const rounded = (value: number): number => Math.round(value * 10) / 10;

interface Case {
  readonly program: ProgramSpec;
  readonly btf?: Btf;
  readonly kind: "compute" | "map";
  readonly trace: string;
  readonly packets: readonly PacketInput[];
  readonly contents: Readonly<Record<string, readonly MapEntry[]>>;
}

const packetsOf = new Map<string, readonly PacketInput[]>();
function packets(trace: string): readonly PacketInput[] {
  const known = packetsOf.get(trace);
  if (known !== undefined) return known;
  const made = Array.from(
    generate(parseGenerator(trace)),
    ({ data, time, port }) => ({
      data,
      time,
      ifindex: 1 + port,
      rxQueue: 0,
      cpu: 0,
    }),
  );
  packetsOf.set(trace, made);
  return made;
}

const oneWay = "gen:uniform,packets=4096,flows=1024,seed=1";
const bothWays = "gen:bidirectional,packets=4096,flows=1024,seed=1";
const connections = "gen:churn,packets=4096,flows=1024,seed=1";

const index = (value: number): Uint8Array => Uint8Array.of(value, 0, 0, 0);
/** `part` bytes of each packet as keys of a map, each once. */
function keysFrom(
  trace: string,
  [from, to]: readonly [number, number],
  value: (packet: PacketInput) => Uint8Array,
): readonly MapEntry[] {
  const found = new Map<string, MapEntry>();
  for (const packet of packets(trace)) {
    const key = packet.data.slice(from, to);
    found.set(key.join(), { key, value: value(packet) });
  }
  return [...found.values()].slice(0, 1000);
}

// What each function is run on; every one meets its state.
// prettier-ignore
const tracesOf: Readonly<Record<string, string>> = {
  firewall: bothWays, nop: bothWays, policer: bothWays, static_bridge: bothWays, port_knock: connections,
};

function contentsOf(program: ProgramSpec): Case["contents"] {
  const trace = tracesOf[program.name] ?? oneWay;
  const has = (name: string): boolean =>
    program.maps.some((map) => map.name === name);
  const stations = keysFrom(trace, [0, 6], () => index(0)).flatMap(
    ({ key, value }) =>
      [0, 1].map((port) => ({ key: Uint8Array.of(...key, port, 0), value })),
  );
  return {
    ...(has("ports")
      ? { ports: [0, 1].map((port) => ({ key: index(port), value: index(1) })) }
      : {}),
    ...(has("stations") ? { stations } : {}),
    ...(program.name === "ddos_mitigator"
      ? { sources: keysFrom(trace, [26, 30], () => new Uint8Array(8)) }
      : {}),
  };
}

const xdp = (name: string, text: string, maps: readonly MapSpec[] = []) =>
  ({
    file: name,
    name,
    section: "xdp",
    type: "xdp",
    license: "GPL",
    functions: parseFunctions(`function ${name}\n${text}`),
    maps,
  }) satisfies ProgramSpec;

const bounds = `
  r2 = *(u32 *)(r1 + 0)
  r3 = *(u32 *)(r1 + 4)
  r4 = r2
  r4 += 60
  r0 = 1
  if r4 > r3 goto out`;

/** Sums the frame's words as the Internet checksum does: a loop of loads and adds. */
const checksum = xdp(
  "checksum",
  `${bounds}
  r0 = 0
  r5 = 0
top:
  r6 = r2
  r6 += r5
  r7 = *(u16 *)(r6 + 14)
  r0 += r7
  r7 = *(u16 *)(r6 + 16)
  r0 += r7
  r5 += 4
  if r5 < 40 goto top
  r1 = r0
  r1 >>= 16
  r0 &= 0xffff
  r0 += r1
  r0 &= 1
  r0 += 1
out:
  exit`,
);

/** Mixes the addresses and ports as hash functions do: shifts, multiplies, xors. */
const mixing = xdp(
  "mixing",
  `${bounds}
  r0 = *(u32 *)(r2 + 26)
  r1 = *(u32 *)(r2 + 30)
  r5 = *(u32 *)(r2 + 34)
  ${Array.from(
    { length: 12 },
    (_, round) => `
  r0 ^= r1
  r0 *= ${0x2545 + 2 * round}
  r6 = r0
  r6 >>= ${7 + round}
  r0 ^= r6
  r5 += r0
  r1 ^= r5`,
  ).join("")}
  r0 &= 1
  r0 += 1
out:
  exit`,
);

/** Has no room on its stack for a caller, so that no measuring loop can call it. */
const leftOut = ["ids.o"];

const cases: readonly Case[] = [
  ...readdirSync(folder)
    .filter((name) => name.endsWith(".o") && !leftOut.includes(name))
    .map((file): Case => {
      const bytes = new Uint8Array(readFileSync(join(folder, file)));
      const object = readObject(bytes, file);
      const program = programSpec(object);
      const trace = tracesOf[program.name] ?? oneWay;
      return {
        program,
        ...(object.btf === undefined ? {} : { btf: object.btf }),
        kind: program.name === "nop" ? "compute" : "map",
        trace,
        packets: packets(trace),
        contents: contentsOf(program),
      };
    }),
  ...[checksum, mixing].map((program): Case => ({
    program,
    kind: "compute",
    trace: oneWay,
    packets: packets(oneWay),
    contents: {},
  })),
];

function kernelSubject(kernel: Kernel, one: Case, cores: number): Subject {
  return prepareSubject(kernel, one.program, {
    packets: Array.from({ length: cores }, () => one.packets),
    contents: one.contents,
    state: "private",
    frameSize: 64,
    ...(one.btf === undefined ? {} : { btf: one.btf }),
  });
}

const timesOf = (samples: readonly PlacedSample[]): readonly number[] =>
  samples.map(({ nsPerPacket }) => nsPerPacket);

function net(times: readonly number[], base: readonly number[]) {
  return {
    ns: rounded(median(times) - median(base)),
    ci95: differenceInterval(times, base, { seed }).map(rounded),
    gross: rounded(median(times)),
    base: rounded(median(base)),
    least: rounded(Math.min(...times)),
    samples: times.length,
  };
}

/** Samples of two cores by placement; the others are all single. */
function byPlacement({ samples }: SubjectSamples) {
  return (["near", "far", "untagged"] as const).flatMap((placement) => {
    const times = timesOf(
      samples.filter((each) => each.placement === placement),
    );
    return times.length < 3
      ? []
      : [
          {
            placement,
            ns: rounded(median(times)),
            ci95: medianInterval(times, { seed }).map(rounded),
            samples: times.length,
          },
        ];
  });
}

interface Measured {
  readonly cores: number;
  /** By case; the last is an empty program. */
  readonly kernel: readonly SubjectSamples[];
  readonly portable: readonly (readonly number[])[];
}

/** All cases on each number of cores, in turn: what drifts drifts for all. */
async function kernelTimes(
  kernel: Kernel,
  counts: readonly number[],
  samples: number,
): Promise<readonly (readonly SubjectSamples[])[]> {
  const subjects = counts.flatMap((cores) => [
    ...cases.map((one) => kernelSubject(kernel, one, cores)),
    prepareSubject(kernel, emptyProgram, {
      packets: Array.from({ length: cores }, () => packets(oneWay)),
      frameSize: 64,
    }),
  ]);
  try {
    const all = await measureInterleaved(kernel, subjects, {
      samples,
      burst: 40,
    });
    const each = cases.length + 1;
    return counts.map((_, at) => all.slice(at * each, (at + 1) * each));
  } finally {
    for (const subject of subjects) subject.close();
  }
}

async function portableTimes(
  counts: readonly number[],
  rounds: number,
): Promise<readonly (readonly (readonly number[])[])[]> {
  const subjects = counts.map((cores) =>
    [...cases, undefined].map(
      (one) =>
        new PortableSubject(one?.program ?? emptyProgram, {
          packets: Array.from(
            { length: cores },
            () => one?.packets ?? packets(oneWay),
          ),
          contents: one?.contents ?? {},
          realTime: true,
        }),
    ),
  );
  const times = subjects.map((list) => list.map((): number[] => []));
  try {
    for (let round = -1; round < rounds; round++)
      for (const at of [...cases.keys(), cases.length])
        for (const which of counts.keys()) {
          const answers = await subjects[which]?.[at]?.sample(200_000);
          if (round < 0 || answers === undefined) continue;
          const all = answers.map((each) => each.ns / each.packets);
          const sum = all.reduce((total, ns) => total + ns, 0);
          times[which]?.[at]?.push(sum / all.length);
        }
  } finally {
    await Promise.all(subjects.flat().map((subject) => subject.close()));
  }
  return times;
}

async function measureAll(
  kernel: Kernel,
  counts: readonly number[],
  samples: number,
): Promise<readonly Measured[]> {
  const inKernel = await kernelTimes(kernel, counts, samples);
  const portable = await portableTimes(counts, 4 * samples);
  return counts.map((cores, at) => ({
    cores,
    kernel: inKernel[at] ?? [],
    portable: portable[at] ?? [],
  }));
}

function programRows({ kernel: inKernel, portable }: Measured) {
  const nothing = timesOf(inKernel.at(-1)?.samples ?? []);
  const idle = portable.at(-1) ?? [];
  return cases.map(({ program, kind, trace }, at) => {
    const samples = inKernel[at]?.samples ?? [];
    return {
      program: program.name,
      kind,
      trace,
      placement: [...new Set(samples.map((each) => each.placement))],
      kernel: net(timesOf(samples), nothing),
      portable: net(portable[at] ?? [], idle),
    };
  });
}

// Shared state: a key from the source address, masked to 1 or 1,024 keys.

const cell = (
  name: string,
  type: MapSpec["type"],
  valueSize: number,
): MapSpec => ({
  name,
  type,
  keySize: 4,
  valueSize,
  maxEntries: 1024,
  flags: 0,
  section: ".maps",
  readOnly: false,
});

/** int, bpf_spin_lock { val }, value { lock, pad, packets, bytes }: locks need types. */
const lockTypes: Btf = {
  types: [
    { kind: "void" },
    {
      kind: "int",
      name: "unsigned int",
      size: 4,
      bits: 32,
      offset: 0,
      encoding: 0,
    },
    {
      kind: "int",
      name: "unsigned long",
      size: 8,
      bits: 64,
      offset: 0,
      encoding: 0,
    },
    {
      kind: "struct",
      name: "bpf_spin_lock",
      size: 4,
      bitFields: false,
      members: [{ name: "val", type: 1, bitOffset: 0, bitSize: 0 }],
    },
    {
      kind: "struct",
      name: "value",
      size: 24,
      bitFields: false,
      members: [
        { name: "lock", type: 3, bitOffset: 0, bitSize: 0 },
        { name: "pad", type: 1, bitOffset: 32, bitSize: 0 },
        { name: "packets", type: 2, bitOffset: 64, bitSize: 0 },
        { name: "bytes", type: 2, bitOffset: 128, bitSize: 0 },
      ],
    },
  ],
};

const racyAdds = `
  r1 = *(u64 *)(r0 + 0)
  r1 += 1
  *(u64 *)(r0 + 0) = r1
  r1 = *(u64 *)(r0 + 8)
  r1 += 64
  *(u64 *)(r0 + 8) = r1`;
const atomicAdds = `
  r1 = 1
  lock *(u64 *)(r0 + 0) += r1
  r1 = 64
  lock *(u64 *)(r0 + 8) += r1`;
const lockedAdds = `
  r7 = r0
  r1 = r7
  call spin_lock
  r1 = *(u64 *)(r7 + 8)
  r1 += 1
  *(u64 *)(r7 + 8) = r1
  r1 = *(u64 *)(r7 + 16)
  r1 += 64
  *(u64 *)(r7 + 16) = r1
  r1 = r7
  call spin_unlock`;

const counting = (name: string, map: MapSpec, keys: number, adds: string) =>
  xdp(
    `${name}_${keys}`,
    `${bounds}
  r5 = *(u32 *)(r2 + 26)
  r5 &= ${keys - 1}
  *(u32 *)(r10 - 4) = r5
  r2 = r10
  r2 += -4
  r1 = map ${map.name} ll
  call map_lookup_elem
  if r0 == 0 goto miss${adds}
miss:
  r0 = 1
out:
  exit`,
    [map],
  );

const typed = { btfKey: 1, btfValue: 4 };
const kinds: readonly (readonly [string, MapSpec, string])[] = [
  ["percpu_array", cell("cells", "percpu_array", 16), racyAdds],
  ["array_racy", cell("cells", "array", 16), racyAdds],
  ["array_atomics", cell("cells", "array", 16), atomicAdds],
  ["array_lock", { ...cell("cells", "array", 24), ...typed }, lockedAdds],
  ["hash_atomics", cell("cells", "hash", 16), atomicAdds],
  ["hash_lock", { ...cell("cells", "hash", 24), ...typed }, lockedAdds],
];

/** Packets whose source addresses are keys below 1,024, each core's own draw. */
function keyed(core: number): readonly PacketInput[] {
  const random = new Random(seed + core);
  return packets(oneWay).map((packet) => {
    const data = packet.data.slice();
    new DataView(data.buffer).setUint32(26, random.below(1024), true);
    return { ...packet, data, ifindex: 1 };
  });
}

async function sharedTable(kernel: Kernel, samples: number) {
  const rows = kinds.flatMap(([name, map, adds]) =>
    [1, 1024].map((keys) => {
      const program = counting(name, map, keys, adds);
      const contents =
        map.type === "hash"
          ? {
              cells: Array.from({ length: 1024 }, (_, key) => ({
                key: Uint8Array.of(key & 255, key >> 8, 0, 0),
                value: new Uint8Array(map.valueSize),
              })),
            }
          : {};
      const subject = (cores: number) =>
        prepareSubject(kernel, program, {
          packets: Array.from({ length: cores }, (_, core) => keyed(core)),
          contents,
          btf: lockTypes,
          frameSize: 64,
        });
      return { name, keys, subjects: [subject(1), subject(2)] };
    }),
  );
  try {
    const measured = await measureInterleaved(
      kernel,
      rows.flatMap(({ subjects }) => subjects),
      { samples, burst: 30 },
    );
    return rows.map(({ name, keys, subjects }, at) => {
      const [one, two] = measured.slice(2 * at, 2 * at + 2);
      const single = median(timesOf(one?.samples ?? []));
      return {
        state: name,
        keys,
        how: subjects[0]?.how,
        oneCore: {
          ns: rounded(single),
          ci95: medianInterval(timesOf(one?.samples ?? []), { seed }).map(
            rounded,
          ),
        },
        twoCores: (two === undefined ? [] : byPlacement(two)).map((point) => ({
          ...point,
          speedup: Math.round((200 * single) / point.ns) / 100,
        })),
      };
    });
  } finally {
    for (const { subjects } of rows)
      for (const subject of subjects) subject.close();
  }
}

const kernel = await openKernel();
const cpuCount = kernel.allowedCpus().length;
const loadBefore = loadavg()[0] ?? 0;
const counts = cpuCount < 2 ? [1] : [1, 2];
const [onOne, onTwo] = await measureAll(kernel, counts, 12);
if (onOne === undefined) throw new Error("nothing was measured");
const programs = programRows(onOne);
for (const { program, kind, kernel: inKernel, portable } of programs)
  say(
    `${program.padEnd(16)} ${kind.padEnd(8)} kernel ${inKernel.ns} ns, portable ${portable.ns} ns`,
  );
const twoCores = onTwo === undefined ? [] : programRows(onTwo);
const shared = cpuCount < 2 ? [] : await sharedTable(kernel, 10);
for (const { state, keys, oneCore, twoCores: points } of shared)
  say(
    `${state.padEnd(14)} ${String(keys).padStart(5)} keys  1 core ${oneCore.ns} ns; 2: ${points.map(({ placement, ns, speedup }) => `${placement} ${ns} ns (${speedup}x)`).join(", ")}`,
  );
kernel.close();

const ratio = (kind: Case["kind"]) =>
  programs
    .filter((row) => row.kind === kind)
    .map(({ program, kernel: inKernel, portable }) => ({
      program,
      portableToKernel: Math.round((100 * portable.ns) / inKernel.ns) / 100,
    }));

console.log(
  JSON.stringify({
    schema: "divisi.bench-engines/1",
    machine: {
      cpu: cpus()[0]?.model ?? "unknown",
      cpus: cpus().length,
      kernel: release(),
      node: process.version,
      loadAverage: [rounded(loadBefore), rounded(loadavg()[0] ?? 0)],
    },
    includes: "program",
    says: "medians with 95 % bootstrap intervals; net: less the same engine's empty program; kernel: 32 packets a call, real-time threads, frames of 64 bytes rewritten for each packet; portable: real-time threads too, rounds in which the thread did not wait for a CPU",
    targets: { compute: 1.5, map: 1 },
    compute: ratio("compute"),
    map: ratio("map"),
    programs,
    twoCores: twoCores.map((row, at) => {
      const one = programs[at];
      const speedup = (engine: "kernel" | "portable"): number =>
        Math.round((200 * (one?.[engine].gross ?? 0)) / row[engine].gross) /
        100;
      return {
        program: row.program,
        placement: row.placement,
        kernel: { ...row.kernel, speedup: speedup("kernel") },
        portable: {
          ...row.portable,
          speedup: speedup("portable"),
          speedupOfLeast:
            Math.round(
              (200 * (one?.portable.least ?? 0)) / row.portable.least,
            ) / 100,
        },
      };
    }),
    shared,
  }),
);
