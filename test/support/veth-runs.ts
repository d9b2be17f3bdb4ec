/**
 * Split programs at real veth interfaces, two CPUs at once: each queue is fed by a
 * sender on its own CPU, packets go to the queue that the emitted NIC settings say, and
 * every verdict, frame and map is compared with the portable engine's, which runs the
 * packets on the queues of the plan at the times that the kernel saw.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fromHex, toHex } from "#base";
import {
  controlEnvironment,
  tableEntries,
  tableLayout,
  type TableLayout,
} from "#codegen";
import {
  compareFates,
  compareState,
  loadPortable,
  referenceOf,
  runOnWires,
  type Fate,
  type Kernel,
  type LoadedPrograms,
  type TraceFrame,
} from "#engine";
import type { PacketInput } from "#interp";
import type { ProgramSpec } from "#isa";
import { programSpec, readObject, type ObjectSpec } from "#object";
import { deviceContents, type MapContents, type StateDump } from "#proof";
import { NicModel, nicProfile, portConfig } from "#rss";
import type { PlanOptions } from "#strategy";
import { analyseLoaded, generate, load } from "divisi";
import { root } from "./cli.ts";
import { caseOf } from "./nf-mixes.ts";
import { nfTraffic, type TrafficMix } from "./nf-traffic.ts";

export const vethNames = [
  "firewall",
  "nat",
  "policer",
  "connection-limiter",
] as const;

const cores = 2;
/** Interfaces of lan and wan, in a namespace of the run. */
const ports = [
  { name: "v0", ifindex: 3 },
  { name: "v1", ifindex: 4 },
] as const;
const interfaces = ports.map(({ ifindex }) => ifindex);

export interface VethSubject {
  readonly name: string;
  readonly object: ObjectSpec;
  readonly program: ProgramSpec;
  readonly contents: MapContents;
  /** Maps that are private tables, one a core. */
  readonly tables: ReadonlyMap<string, TableLayout>;
  /** The plan gives each core cells that no other finds. */
  readonly hasOwnCells: boolean;
  /** The queue that the NIC would choose. */
  readonly queueOf: (port: number, data: Uint8Array) => number;
  readonly mix: TrafficMix;
}

/**
 * What `split` writes of the C source's object for two cores, without its check. With
 * private tables a core finds no entry of another, so that a packet on the wrong queue
 * shows as another answer; in shared maps it need not.
 */
export function vethSubject(
  name: string,
  layout: NonNullable<PlanOptions["layout"]> = "private",
): VethSubject {
  const file = `nfs/c/${name}.o`;
  const options = {
    file,
    set: [],
    ports: ports.map(({ ifindex }, at) => ({
      name: at === 0 ? "lan" : "wan",
      ifindex,
    })),
    userWrites: [],
    kernelBtf: () => undefined,
    mapSizes: [],
  };
  const bytes = readFileSync(join(root, file));
  const analysed = analyseLoaded(load(bytes, options), options);
  const profile = nicProfile("generic");
  const { plan, setup, ...artifact } = generate(analysed, profile, {
    cores,
    profile,
    ports: analysed.ports,
    samples: 10,
    layout,
  });
  if (setup === undefined) throw new Error(`${name} is not divided`);
  const object = readObject(artifact.bytes, "core.o");
  const program = programSpec(object);
  const models = setup.ports.map(
    ({ name: port }) => new NicModel(portConfig(setup, port)),
  );
  const tables = new Map(
    plan.objects.flatMap(({ object: map, layout: kind, capacities = [] }) => {
      const spec = analysed.program.maps.find(({ name }) => name === map);
      return kind === "table" && spec !== undefined
        ? [[map, tableLayout(spec, capacities)] as const]
        : [];
    }),
  );
  const { mix } = caseOf(name);
  return {
    name,
    object,
    program,
    contents: deviceContents(program, interfaces),
    tables,
    hasOwnCells: plan.objects.some(({ layout }) =>
      ["allocator", "sliced", "table"].includes(layout),
    ),
    queueOf: (port, data) => models[port]?.queueOf(data).queue ?? 0,
    mix: {
      ...mix,
      flows: 600,
      parts: { ...mix.parts, lapse: 0, stranger: 0, mapped: 0 },
    },
  };
}

interface Planned extends TraceFrame {
  /** The plan's queue. */
  readonly wanted: number;
}

/** Frames with ports and queues; answers to what the program translated among them. */
export function vethFrames(
  subject: VethSubject,
  { packets, seed }: { readonly packets: number; readonly seed: number },
): readonly Planned[] {
  const drawn = nfTraffic(subject.mix, { seed, count: packets })
    .filter(({ data }) => data.length >= 14 && data.length <= 1514)
    .map(({ data, ifindex }) => framed(subject, data, ifindex - 1));
  if (subject.name !== "nat") return drawn.slice(0, packets);
  const { program, contents } = subject;
  const loaded = loadPortable(program, { cpus: cores, contents, seed: 1 });
  const outcomes = loaded.run(drawn.map((frame, at) => inputOf(frame, at)));
  return drawn
    .flatMap((frame, at) => {
      const outcome = outcomes[at];
      const isAnswered =
        frame.port === 0 && outcome?.verdict === 4 && at % 3 !== 0;
      return isAnswered
        ? [frame, framed(subject, answerTo(outcome.data), 1)]
        : [frame];
    })
    .slice(0, packets);
}

function framed(
  { queueOf }: VethSubject,
  data: Uint8Array,
  port: number,
): Planned {
  const queue = queueOf(port, data);
  return { data, port, queue, wanted: queue };
}

function inputOf({ data, port, queue }: TraceFrame, at: number): PacketInput {
  return {
    data,
    ifindex: interfaces[port] ?? 0,
    rxQueue: queue,
    cpu: queue,
    time: 1_000_000_000n + BigInt(at),
  };
}

/** Source and destination exchanged: addresses of both layers, and ports. */
function answerTo(data: Uint8Array): Uint8Array {
  const answer = data.slice();
  const l4 = 14 + 4 * ((data[14] ?? 5) & 15);
  const swap = (one: number, other: number, size: number): void => {
    answer.set(data.subarray(one, one + size), other);
    answer.set(data.subarray(other, other + size), one);
  };
  swap(0, 6, 6);
  swap(26, 30, 4);
  swap(l4, l4 + 2, 2);
  return answer;
}

export interface VethAnswer {
  readonly packets: number;
  readonly mismatches: number;
  readonly stateDifferences: number;
  /** On another queue than the plan's. */
  readonly misdirected: number;
  readonly lost: number;
  readonly strays: number;
  readonly perCore: readonly number[];
  /** How often one CPU's run began behind the other's. */
  readonly alternations: number;
  readonly verdicts: Readonly<Record<string, number>>;
  readonly texts: readonly string[];
  readonly seconds: number;
}

export async function runVeth(
  kernel: Kernel,
  { object, program, contents, tables }: VethSubject,
  frames: readonly Planned[],
): Promise<VethAnswer> {
  const { btf } = object;
  const types = btf === undefined ? {} : { btf };
  const began = performance.now();
  return runOnWires(
    kernel,
    {
      bind: () => {
        // The verifier's word on the object as it is.
        kernel.load([program], types).close();
        const { program: controlled } = controlEnvironment(program, {
          cpus: cores,
          atOnce: true,
        });
        return { program: controlled, contents, ...types };
      },
      frames,
      ports,
      interfaces: "make",
      queues: cores,
    },
    ({ fates, lostBefore, lostAfter, strays, loaded }) => {
      const options = { program, contents, cpus: cores, seed: 1, interfaces };
      const asPlanned = fates.map((fate): Fate => {
        const queue = frames[fate.frame]?.wanted ?? fate.run.queue;
        return { ...fate, run: { ...fate.run, queue } };
      });
      const reference = referenceOf(asPlanned, options);
      const mismatches = compareFates(fates, reference.outcomes, options);
      const plain = program.maps.filter(({ name }) => !tables.has(name));
      const state = [
        ...compareState(
          loaded,
          { ...program, maps: plain },
          {
            ...reference,
            state: new Map(
              [...reference.state].filter(([map]) => !tables.has(map)),
            ),
          },
        ),
        ...tableDifferences(tables, loaded, reference.state),
      ];
      const verdicts: Record<string, number> = {};
      for (const { verdict } of fates)
        verdicts[verdict] = (verdicts[verdict] ?? 0) + 1;
      return {
        packets: fates.length,
        mismatches: mismatches.length,
        stateDifferences: state.length,
        misdirected: fates.filter(
          ({ frame, run }) => frames[frame]?.wanted !== run.queue,
        ).length,
        lost: lostBefore.length + lostAfter,
        strays,
        perCore: Array.from(
          { length: cores },
          (_, cpu) => fates.filter(({ run }) => run.cpu === cpu).length,
        ),
        alternations: fates.filter(
          ({ run }, at) => at > 0 && fates[at - 1]?.run.cpu !== run.cpu,
        ).length,
        verdicts,
        texts: [
          ...mismatches
            .slice(0, 3)
            .map(
              ({ packet, what, want, have }) =>
                `packet ${packet}: ${what} ${have}, wanted ${want}`,
            ),
          ...state.slice(0, 3),
        ],
        seconds: (performance.now() - began) / 1000,
      };
    },
  );
}

/**
 * A sentence for each entry that a core's table has and should not have, lacks, or holds
 * with another value. Where in its table an entry stands depends on the table's own seed.
 */
function tableDifferences(
  tables: VethSubject["tables"],
  loaded: LoadedPrograms,
  state: StateDump,
): readonly string[] {
  return [...tables].flatMap(([map, layout]) => {
    const have = new Map<string, string>();
    for (const [core, [value = new Uint8Array()]] of loaded.map(map).entries())
      note(have, toHex(core), tableEntries(value, layout));
    const want = new Map<string, string>();
    for (const [core, [value = ""]] of state.get(map) ?? [])
      note(want, core, tableEntries(fromHex(value), layout));
    return [...new Set([...want.keys(), ...have.keys()])].flatMap((entry) => {
      const [is, wanted] = [have.get(entry), want.get(entry)];
      return is === wanted
        ? []
        : [`${map}, ${entry} is ${is ?? "absent"}, wanted ${wanted ?? "none"}`];
    });
  });
}

function note(
  entries: Map<string, string>,
  core: string,
  found: ReturnType<typeof tableEntries>,
): void {
  for (const { key, value } of found)
    entries.set(`core ${core} key ${toHex(key)}`, toHex(value));
}

/** Every n-th frame on the other queue: what a wrong NIC key would do. */
export function misdirected(
  frames: readonly Planned[],
  every: number,
): readonly Planned[] {
  return frames.map((frame, at) =>
    at % every === 0 ? { ...frame, queue: 1 - frame.wanted } : frame,
  );
}
