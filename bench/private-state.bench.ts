/**
 * What private state costs in the kernel, and what it saves.
 *
 * `candidates`: ways to keep a hash map, one operation each: look a 16-byte key up and
 * add 1 to its value. Keys are uniform; cores have keys of their own, so nothing is
 * contended but what a map itself shares. Net of an empty program in the same loop.
 *
 * `functions`: network functions whose keys the NIC would make disjoint, with shared
 * hash maps and with private tables, on one core and on two, each net of the empty
 * program on as many cores. `speedup` is packets per second over those of the
 * sequential program on one core. They are those of nfs/c that a plan shards and that
 * put entries into a hash map themselves (ddos-mitigator's are user space's).
 *
 * Everything is the program alone (no NIC, driver, dispatch, packet cache misses), on
 * real-time threads, samples of all subjects in turn. Two-core samples carry where the
 * host had put the CPUs (near or far caches), which shared maps depend on.
 */
import { readFileSync } from "node:fs";
import { cpus, loadavg, release } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { recogniseAllocators } from "#analysis";
import { Random } from "#base";
import {
  capacitiesOf,
  splitLayouts,
  tableFunction,
  tableFunctionName,
  tableLayout,
  tableLookupText,
  tableMap,
  type LayoutPart,
} from "#codegen";
import {
  changeInterval,
  differenceInterval,
  emptyProgram,
  measureInterleaved,
  median,
  openKernel,
  prepareSubject,
  type Kernel,
  type Subject,
  type SubjectSamples,
} from "#engine";
import type { MapEntry, PacketInput } from "#interp";
import { lift } from "#ir";
import { parseFunction, type MapSpec, type ProgramSpec } from "#isa";
import {
  hasVariable,
  programSpec,
  readObject,
  setVariable,
  type Btf,
} from "#object";
import { generate, parseGenerator } from "#traffic";

const seed = 1;
const frameSize = 64;
const samples = Number(process.env["SAMPLES"] ?? 10);
const say = (text: string): void => console.error(`  ${text}`);
const rounded = (value: number): number => Math.round(value * 10) / 10;

// --- candidates ---

const keySize = 16;
const valueSize = 16;
const keyAt = 26;

/** Of each core: `count` packets, each with a key of its own, in random order. */
function keyedPackets(cores: number, count: number): readonly PacketInput[][] {
  const random = new Random(seed);
  return Array.from({ length: cores }, (_, core) =>
    Array.from({ length: count / cores }, (): PacketInput => {
      const data = new Uint8Array(frameSize);
      data.set(random.bytes(keySize), keyAt);
      return { data, ifindex: 1, rxQueue: core, cpu: core, time: 0n };
    }),
  );
}

const hash: MapSpec = {
  name: "cells",
  type: "hash",
  keySize,
  valueSize,
  maxEntries: 1,
  flags: 0,
  section: ".maps",
  readOnly: false,
};

/** Copies the key, then `find` (r8 queue, key at r10 - 16); r0 is the value or 0. */
function counting(
  name: string,
  maps: readonly MapSpec[],
  ways: {
    readonly find: string;
    readonly insert: string;
    readonly add?: string;
    readonly functions?: readonly ProgramSpec["functions"][number][];
  },
): ProgramSpec {
  const text = `function ${name}
    r8 = *(u32 *)(r1 + 16)
    r2 = *(u32 *)(r1 + 0)
    r3 = *(u32 *)(r1 + 4)
    r4 = r2
    r4 += ${frameSize}
    if r4 > r3 goto out
    r4 = *(u64 *)(r2 + ${keyAt})
    *(u64 *)(r10 - 16) = r4
    r4 = *(u64 *)(r2 + ${keyAt + 8})
    *(u64 *)(r10 - 8) = r4
    ${ways.find}
    if r0 == 0 goto insert
    ${ways.add ?? plainAdd}
    r0 = 1
    exit
  insert:
    r1 = 0
    *(u64 *)(r10 - 32) = r1
    *(u64 *)(r10 - 24) = r1
    ${ways.insert}
  out:
    r0 = 1
    exit`;
  return {
    file: name,
    name,
    section: "xdp",
    type: "xdp",
    license: "GPL",
    functions: [
      parseFunction(text.replaceAll("+ -", "- ")),
      ...(ways.functions ?? []),
    ],
    maps,
  };
}

/** int, long, bpf_spin_lock, the value { lock, pad, count } and the key. */
const lockTypes: Btf = {
  types: [
    { kind: "void" },
    ...[4, 8].map(
      (size) =>
        ({
          kind: "int",
          name: size === 4 ? "unsigned int" : "unsigned long",
          size,
          bits: 8 * size,
          offset: 0,
          encoding: 0,
        }) as const,
    ),
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
      size: valueSize,
      bitFields: false,
      members: [
        { name: "lock", type: 3, bitOffset: 0, bitSize: 0 },
        { name: "pad", type: 1, bitOffset: 32, bitSize: 0 },
        { name: "count", type: 2, bitOffset: 64, bitSize: 0 },
      ],
    },
    { kind: "array", type: 1, index: 1, count: keySize / 4 },
  ],
};

const plainAdd = `
    r1 = *(u64 *)(r0 + 0)
    r1 += 1
    *(u64 *)(r0 + 0) = r1`;
const lockedAdd = `
    r7 = r0
    r1 = r7
    call spin_lock
    r1 = *(u64 *)(r7 + 8)
    r1 += 1
    *(u64 *)(r7 + 8) = r1
    r1 = r7
    call spin_unlock`;

const key = "r2 = r10\n r2 += -16";
const update = `${key}
    r3 = r10
    r3 += -32
    r4 = 0`;

function inOneMap(name: string, map: MapSpec, add = plainAdd): ProgramSpec {
  return counting(name, [map], {
    add,
    find: `${key}\n r1 = map cells ll\n call map_lookup_elem`,
    insert: `${update}\n r1 = map cells ll\n call map_update_elem`,
  });
}

/** An inner hash map for each queue. */
function inInnerMaps(cores: number, entries: number): ProgramSpec {
  const inner = { ...hash, maxEntries: entries / cores };
  const outer: MapSpec = {
    ...hash,
    name: "outer",
    type: "array_of_maps",
    keySize: 4,
    valueSize: 4,
    maxEntries: cores,
    inner: { ...inner, name: "inner" },
    values: Array.from({ length: cores }, (_, index) => ({
      index,
      target: { kind: "map", name: `cells${index}` } as const,
    })),
  };
  const own = Array.from({ length: cores }, (_, core) => ({
    ...inner,
    name: `cells${core}`,
  }));
  const take = `
    *(u32 *)(r10 - 36) = r8
    r2 = r10
    r2 += -36
    r1 = map outer ll
    call map_lookup_elem
    if r0 == 0 goto out
    r1 = r0`;
  return counting("inner_map", [outer, ...own], {
    find: `${take}\n ${key}\n call map_lookup_elem`,
    insert: `${take}\n ${update}\n call map_update_elem`,
  });
}

function inTables(
  cores: number,
  entries: number,
  isMapped: boolean,
): ProgramSpec {
  const map = { ...hash, maxEntries: entries };
  const layout = tableLayout(map, capacitiesOf(entries, cores));
  const request = {
    map: "cells",
    layout,
    key: 8,
    value: 8,
    operation: "update",
  } as const;
  const lookup = tableLookupText({
    map: "cells",
    layout,
    key: { base: "r10", offset: -16, alignment: 8 },
    core: -40,
    scratch: -56,
  });
  const spec = tableMap(map, layout);
  return counting(
    isMapped ? "table" : "table_unmapped",
    [isMapped ? spec : { ...spec, flags: 0 }],
    {
      find: `*(u64 *)(r10 - 40) = r8\n ${lookup}`,
      insert: `${update}\n r1 = r8\n call function ${tableFunctionName(request)}`,
      functions: [tableFunction(request)],
    },
  );
}

interface Candidate {
  readonly name: string;
  readonly program: (cores: number, entries: number) => ProgramSpec;
  /** `private`: a copy of the program and of its maps for each core, without dispatch. */
  readonly state?: "private";
  readonly btf?: Btf;
}

const candidates: readonly Candidate[] = [
  {
    name: "shared hash",
    program: (_, entries) =>
      inOneMap("hash", { ...hash, maxEntries: 2 * entries }),
  },
  {
    name: "shared hash, a lock per entry",
    btf: lockTypes,
    program: (_, entries) =>
      inOneMap(
        "locked",
        {
          ...hash,
          maxEntries: 2 * entries,
          btfKey: 5,
          btfValue: 4,
          valueFields: [
            { path: "lock", bitOffset: 0, bits: 32, kind: "spin-lock" },
            { path: "count", bitOffset: 64, bits: 64, kind: "int" },
          ],
        },
        lockedAdd,
      ),
  },
  {
    name: "per-CPU hash",
    program: (_, entries) =>
      inOneMap("percpu", {
        ...hash,
        type: "percpu_hash",
        maxEntries: 2 * entries,
      }),
  },
  {
    name: "inner hash per queue",
    program: (cores, entries) => inInnerMaps(cores, 2 * entries),
  },
  {
    name: "own program and hash per core",
    state: "private",
    program: (cores, entries) =>
      inOneMap("own", { ...hash, maxEntries: (2 * entries) / cores }),
  },
  {
    name: "table in an array value",
    program: (cores, entries) => inTables(cores, 2 * entries, false),
  },
  {
    name: "table in a mmapable array value",
    program: (cores, entries) => inTables(cores, 2 * entries, true),
  },
];

// --- network functions ---

const folder = join(import.meta.dirname, "../../nfs/c");
const oneWay = "gen:uniform,packets=4096,flows=1024,seed=1";
const bothWays = "gen:bidirectional,packets=4096,flows=1024,seed=1";
const many = (trace: string): string =>
  trace.replace("packets=4096,flows=1024", "packets=65536,flows=32768");

interface FunctionCase {
  readonly name: string;
  readonly trace: string;
  /** Bytes of the frame that say, with their swapped twins, whose packet it is. */
  readonly owner: readonly (readonly [from: number, to: number])[];
  /** Measured with 32 times as many flows too. */
  readonly isLarge?: boolean;
  /** Arrays of which each core has its own, in every variant. */
  readonly sliced?: readonly string[];
  /** Sources get first bytes of many values: the generator's have one. */
  readonly isSpread?: boolean;
}

const sources = [[26, 30]] as const;
const destinations = [[30, 34]] as const;
const prefixes = [[26, 27]] as const;
const pairs = [
  [26, 30],
  [30, 34],
] as const;
/** Both directions alike: the sum of both addresses and both ports. */
const flows = [
  [26, 30],
  [30, 34],
  [34, 36],
  [36, 38],
] as const;

// prettier-ignore
const functions: readonly FunctionCase[] = [
  { name: "source-counter",     trace: oneWay,   owner: sources },
  { name: "flow-counter",       trace: oneWay,   owner: flows, isLarge: true },
  { name: "policer",            trace: oneWay,   owner: destinations },
  { name: "token-bucket",       trace: oneWay,   owner: flows },
  { name: "conntrack",          trace: bothWays, owner: flows, isLarge: true },
  { name: "firewall",           trace: bothWays, owner: flows, isLarge: true },
  { name: "nat",                trace: oneWay,   owner: flows },
  { name: "hash-lb",            trace: oneWay,   owner: flows },
  { name: "port-scan-detector", trace: oneWay,   owner: sources },
  { name: "connection-limiter", trace: oneWay,   owner: pairs, sliced: ["clients"] },
  { name: "heavy-hitter",       trace: oneWay,   owner: flows },
  { name: "port-knock",         trace: oneWay,   owner: sources },
  { name: "hhh",                trace: oneWay,   owner: prefixes, isSpread: true },
  { name: "wan-dedup",          trace: oneWay,   owner: flows },
];

function ownerOf(
  { data }: PacketInput,
  parts: FunctionCase["owner"],
  cores: number,
): number {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const sum = parts.reduce(
    (total, [from, to]) =>
      total +
      (to - from === 4
        ? view.getUint32(from)
        : to - from === 2
          ? view.getUint16(from)
          : view.getUint8(from)),
    0,
  );
  return ((Math.imul(sum >>> 0, 0x9e37_79b1) >>> 16) & 0xffff) % cores;
}

interface Prepared {
  readonly program: ProgramSpec;
  readonly btf?: Btf;
  readonly contents: Readonly<Record<string, readonly MapEntry[]>>;
}

const index = (value: number): Uint8Array => Uint8Array.of(value, 0, 0, 0);

function prepared(
  { name, sliced = [] }: FunctionCase,
  layout: "shared" | "private",
  cores: number,
): Prepared {
  let object = readObject(readFileSync(join(folder, `${name}.o`)), name);
  // The generator's first port is where the functions with a WAN expect traffic.
  const wan = name === "nat" || name === "firewall" ? 2 : 1;
  for (const [port, number] of [
    ["lan", 3 - wan],
    ["wan", wan],
  ] as const)
    if (hasVariable(object, `${port}_ifindex`))
      object = setVariable(object, `${port}_ifindex`, String(number));
  const plain = programSpec(object);
  const { allocators } = recogniseAllocators(plain, lift(plain));
  const chains = [...allocators].map(([array, allocator]): LayoutPart => ({
    object: array,
    layout: "allocator",
    allocator,
  }));
  const tables = plain.maps
    .filter(({ type }) => type === "hash")
    .map((map): LayoutPart => ({
      object: map.name,
      layout: "table",
      capacities: capacitiesOf(map.maxEntries, cores),
    }));
  const slices = sliced.map((each): LayoutPart => ({
    object: each,
    layout: "sliced",
  }));
  const apart = [...chains, ...slices];
  const parts = layout === "private" ? [...apart, ...tables] : apart;
  const split = splitLayouts(object, plain.name, { cores, parts });
  const program = programSpec(split);
  return {
    program,
    ...(split.btf === undefined ? {} : { btf: split.btf }),
    contents: program.maps.some((map) => map.name === "ports")
      ? { ports: [0, 1].map((port) => ({ key: index(port), value: index(1) })) }
      : {},
  };
}

function functionPackets(
  { trace, owner, isSpread = false }: FunctionCase,
  cores: number,
): readonly PacketInput[][] {
  const all = Array.from(
    generate(parseGenerator(trace)),
    ({ data, time, port }): PacketInput => ({
      data,
      time,
      ifindex: 1 + port,
      rxQueue: 0,
      cpu: 0,
    }),
  );
  // Checksums of headers are nothing that this function looks at.
  if (isSpread) for (const { data } of all) data[26] = data[29] ?? 0;
  return Array.from({ length: cores }, (_, core) =>
    all
      .filter((packet) => ownerOf(packet, owner, cores) === core)
      .map((packet) => ({ ...packet, rxQueue: core, cpu: core })),
  );
}

// --- measuring ---

interface Row {
  readonly group: string;
  readonly subject: Subject;
  readonly cores: number;
  /** Position of the empty program with the same packets. */
  base?: number;
}

const times = ({ samples: taken }: SubjectSamples): readonly number[] =>
  taken.map(({ nsPerPacket }) => nsPerPacket);

async function measured(
  kernel: Kernel,
  rows: readonly Row[],
): Promise<readonly SubjectSamples[]> {
  return measureInterleaved(
    kernel,
    rows.map(({ subject }) => subject),
    { samples, burst: 25 },
  );
}

function net(own: SubjectSamples, base: SubjectSamples) {
  const [have, empty] = [times(own), times(base)];
  const placements = own.samples.map(({ placement }) => placement);
  return {
    ns: rounded(median(have) - median(empty)),
    ci95: differenceInterval(have, empty, { seed }).map(rounded),
    gross: rounded(median(have)),
    base: rounded(median(empty)),
    samples: have.length,
    placements: Object.fromEntries(
      [...new Set(placements)].map((each) => [
        each,
        placements.filter((other) => other === each).length,
      ]),
    ),
    realTime: own.realTime,
  };
}

/** Net times of each sample, for ratios. */
function netTimes(
  own: SubjectSamples,
  base: SubjectSamples,
): readonly number[] {
  const empty = median(times(base));
  return times(own).map((ns) => ns - empty);
}

async function candidateTable(kernel: Kernel) {
  const results: unknown[] = [];
  for (const entries of [1024, 65_536])
    for (const cores of [1, 2]) {
      const packets = keyedPackets(cores, entries);
      const options = { packets, frameSize };
      const empty = prepareSubject(kernel, emptyProgram, options);
      const subjects = candidates.map(({ program, state, btf }) =>
        prepareSubject(kernel, program(cores, entries), {
          ...options,
          ...(state === undefined ? {} : { state }),
          ...(btf === undefined ? {} : { btf }),
        }),
      );
      try {
        const [base, ...all] = await measured(
          kernel,
          [empty, ...subjects].map((subject) => ({
            group: "candidates",
            subject,
            cores,
          })),
        );
        if (base === undefined) continue;
        for (const [at, own] of all.entries()) {
          const figures = net(own, base);
          const name = candidates[at]?.name ?? "";
          say(
            `${name.padEnd(32)} ${entries} entries, ${cores} cores: ${figures.ns} ns [${figures.ci95.join("..")}]`,
          );
          results.push({ candidate: name, entries, cores, ...figures });
        }
      } finally {
        for (const subject of [empty, ...subjects]) subject.close();
      }
    }
  return results;
}

async function functionTable(kernel: Kernel, each: FunctionCase) {
  const variants = [
    { layout: "shared", cores: 1 },
    { layout: "private", cores: 1 },
    { layout: "shared", cores: 2 },
    { layout: "private", cores: 2 },
  ] as const;
  const bases = [1, 2].map((cores) =>
    prepareSubject(kernel, emptyProgram, {
      packets: functionPackets(each, cores),
      frameSize,
    }),
  );
  const subjects = variants.map(({ layout, cores }) =>
    prepareSubject(kernel, ...subjectOf(each, layout, cores)),
  );
  try {
    const all = await measured(
      kernel,
      [...bases, ...subjects].map((subject) => ({
        group: each.name,
        subject,
        cores: 1,
      })),
    );
    const [one, two, ...own] = all;
    const sequential = own[0];
    if (one === undefined || two === undefined || sequential === undefined)
      return [];
    const start = netTimes(sequential, one);
    return own.map((ran, at) => {
      const { layout, cores } = variants[at] ?? { layout: "shared", cores: 1 };
      const base = cores === 1 ? one : two;
      const mine = netTimes(ran, base);
      const figures = net(ran, base);
      // Relative change of time per packet of one core; `cores` of them work.
      const change = changeInterval(start, mine, { seed });
      const speedups = change.map((part) => rounded2(cores / (1 + part)));
      const speedup = rounded2((cores * median(start)) / median(mine));
      say(
        `${each.name.padEnd(20)} ${each.trace.includes("65536") ? "64Ki" : "1Ki "} ${layout.padEnd(8)} ${cores} cores: ${figures.ns} ns, ${speedup}× [${speedups.toSorted((a, b) => a - b).join("..")}]`,
      );
      return {
        function: each.name,
        trace: each.trace,
        layout: at === 0 ? "sequential" : layout,
        cores,
        ...figures,
        speedup,
        speedupCi95: speedups.toSorted((a, b) => a - b),
      };
    });
  } finally {
    for (const subject of [...bases, ...subjects]) subject.close();
  }
}

function rounded2(value: number): number {
  return Math.round(value * 100) / 100;
}

function subjectOf(
  each: FunctionCase,
  layout: "shared" | "private",
  cores: number,
): [ProgramSpec, Parameters<typeof prepareSubject>[2]] {
  const { program, btf, contents } = prepared(each, layout, cores);
  return [
    program,
    {
      packets: functionPackets(each, cores),
      contents,
      frameSize,
      ...(btf === undefined ? {} : { btf }),
    },
  ];
}

const kernel = await openKernel();
const only = process.env["ONLY"];
const rows = [];
const table =
  only === undefined || only === "candidates"
    ? await candidateTable(kernel)
    : [];
const cases = functions
  .filter(({ name }) => only === undefined || only.split(",").includes(name))
  .flatMap((each) =>
    [each.trace, ...(each.isLarge === true ? [many(each.trace)] : [])].map(
      (trace): FunctionCase => ({ ...each, trace }),
    ),
  );
const start = Date.now();
for (const [done, each] of cases.entries()) {
  const left =
    ((Date.now() - start) / Math.max(1, done)) * (cases.length - done);
  say(
    `${done + 1} of ${cases.length}: ${each.name}${done === 0 ? "" : `, about ${Math.ceil(left / 1000)} s left`}`,
  );
  rows.push(...(await functionTable(kernel, each)));
}
kernel.close();
console.log(
  JSON.stringify(
    {
      machine: {
        cpu: cpus()[0]?.model,
        cores: cpus().length,
        real: true,
        kernel: release(),
        node: process.version,
        loadAverage: loadavg()[0],
      },
      includes: "program",
      unit: "nanoseconds per packet and core, net of an empty program",
      samples,
      seed,
      candidates: table,
      functions: rows,
    },
    undefined,
    2,
  ),
);
