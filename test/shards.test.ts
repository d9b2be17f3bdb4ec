/**
 * Private layouts: a network function over k cores behaves as k sequential ones do, each
 * with its share of the capacity, packet by packet and cell by cell, in the interpreter,
 * the portable engine and the kernel.
 */
import { deepEqual, equal } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test, type TestContext } from "node:test";
import { UnsupportedError } from "#base";
import { capacitiesOf, splitLayouts, type LayoutPart } from "#codegen";
import { openKernel, testRunTakes } from "#engine";
import type { PacketInput } from "#interp";
import type { StateDump } from "#proof";
import { asHashes, tableParts } from "./support/as-tables.ts";
import { root } from "./support/cli.ts";
import { compiled } from "./support/nf-compile.ts";
import { caseOf, mixOf } from "./support/nf-mixes.ts";
import { nfTraffic, type TrafficMix } from "./support/nf-traffic.ts";
import {
  chainsOf,
  configure,
  inKernel,
  interpreted,
  joined,
  portable,
  splitObject,
  splitPorts,
  withoutFreeCells,
  type Ran,
  type RunObject,
  type SplitShape,
} from "./support/split-runs.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

const kernel = await openKernel().catch((error: unknown) => {
  if (error instanceof UnsupportedError) return error;
  throw error;
});
after(() => {
  if (!(kernel instanceof UnsupportedError)) kernel.close();
});

interface ShardCase {
  readonly name: string;
  /** The variable with the capacity. */
  readonly capacity: string;
  readonly set: Readonly<Record<string, string>>;
  readonly sizes: Readonly<Record<string, number>>;
  /** The one with the external port of index 0. */
  readonly start?: string;
  readonly chain: string;
  readonly indexed?: readonly string[];
  readonly sliced?: Readonly<Record<string, number>>;
  readonly mix: TrafficMix;
  /** What decides on the core; undefined: all packets come to one. */
  readonly owner?: (packet: Ends) => number;
}

interface Ends {
  readonly isLan: boolean;
  readonly src: number;
  readonly dst: number;
  readonly sport: number;
  readonly dport: number;
}

const capacity = 35;
const table = (name: string) => ({
  [name]: capacity,
  [`${name}_chain`]: capacity + 1,
});

function mixed(name: string, more: TrafficMix = {}): TrafficMix {
  const known = caseOf(name);
  const [variant] = known.variants;
  const mix = mixOf(known, variant ?? { name: "" });
  return { ...mix, ...more, parts: { ...mix.parts, ...more.parts } };
}

// prettier-ignore
const cases: readonly ShardCase[] = [
  { name: "nat", capacity: "capacity", set: { refresh: "1" }, sizes: table("flows"), start: "start_port", chain: "flows_chain",
    mix: mixed("nat", { mapped: { address: 0xcb00_7101, port: 1000, count: 40 }, servers: Array.from({ length: 12 }, (_, at) => 0xc0a8_0001 + 0x101 * at) }),
    owner: ({ isLan, src, dst, sport, dport }) => (isLan ? dst + dport : src + sport) },
  { name: "connection-limiter", capacity: "flow_capacity", set: { max_clients: "3", bucket_capacity: "8" }, sizes: { ...table("flows"), clients: 32 }, chain: "flows_chain", sliced: { clients: 32 },
    mix: mixed("connection-limiter"), owner: ({ src, dst }) => src + dst },
  { name: "port-scan-detector", capacity: "capacity", set: { max_ports: "4" }, sizes: { ...table("sources"), touched: capacity }, chain: "sources_chain", indexed: ["touched"],
    mix: mixed("port-scan-detector"), owner: ({ src }) => src },
  { name: "hhh", capacity: "capacity", set: { burst: "3000", levels: String(0xa880_0000), link_rate: "100000000" }, sizes: table("sources"), chain: "sources_chain",
    mix: mixed("hhh", { spans: [480_000n, 40_000n] }), owner: ({ src }) => src >>> 8 },
  { name: "hash-lb", capacity: "capacity", set: {}, sizes: table("flows"), chain: "flows_chain",
    mix: mixed("hash-lb"), owner: ({ src, dst, sport, dport }) => src + dst + sport + dport },
  { name: "wan-dedup", capacity: "capacity", set: {}, sizes: table("payloads"), chain: "payloads_chain", mix: mixed("wan-dedup") },
  { name: "dynamic-bridge", capacity: "capacity", set: { learn_moves: "true" }, sizes: table("stations"), chain: "stations_chain", mix: mixed("dynamic-bridge") },
  { name: "load-balancer", capacity: "flow_capacity", set: { backend_capacity: "6", height: "7" }, sizes: { ...table("flows"), backends: 6, backends_chain: 7, slots: 6 }, chain: "flows_chain", mix: mixed("load-balancer") },
];

/** Addresses and ports where they are, wherever a packet is cut. */
function endsOf({ data, ifindex }: PacketInput): Ends {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const at = 14 + 4 * ((data[14] ?? 5) & 15);
  const read = (offset: number, size: 2 | 4): number => {
    if (offset + size > data.length) return 0;
    return size === 2 ? view.getUint16(offset) : view.getUint32(offset);
  };
  return {
    isLan: ifindex === splitPorts[0],
    src: read(26, 4),
    dst: read(30, 4),
    sport: read(at, 2),
    dport: read(at + 2, 2),
  };
}

/** Traffic on ports with queues; each packet on its core's. */
function traffic(
  { mix, owner }: ShardCase,
  cores: number,
  count: number,
): readonly PacketInput[] {
  return nfTraffic(mix, { seed, count })
    .map((packet) => ({ ...packet, ifindex: 10 + packet.ifindex }))
    .filter((packet) => testRunTakes("xdp", packet))
    .map((packet): PacketInput => {
      const key = owner === undefined ? cores - 1 : owner(endsOf(packet));
      const mixedKey = Math.imul(key, 0x9e37_79b1) >>> 8;
      return {
        ...packet,
        cpu: 0,
        rxQueue: owner === undefined ? key : mixedKey % cores,
      };
    });
}

const start = 1000;

function settingOf(each: ShardCase, own: { first: number; capacity: number }) {
  return {
    set: {
      ...each.set,
      [each.capacity]: String(own.capacity),
      ...(each.start === undefined
        ? {}
        : { [each.start]: String(start + own.first) }),
    },
    sizes: each.sizes,
  };
}

function partsOf(each: ShardCase, object: ReturnType<typeof configure>) {
  const facts = chainsOf(object).get(each.chain);
  if (facts === undefined) throw new Error(`${each.name}: no ${each.chain}`);
  const parts: LayoutPart[] = [
    { object: each.chain, layout: "allocator", allocator: facts },
    ...Object.keys(each.sliced ?? {}).map((name): LayoutPart => ({
      object: name,
      layout: "sliced",
    })),
  ];
  const shape = (cores: number): SplitShape => ({
    cores,
    chain: each.chain,
    facts,
    indexAt: each.name === "hhh" ? 16 : 4,
    cells: capacity + 1,
    indexed: each.indexed ?? [],
    sliced: each.sliced ?? {},
  });
  return { parts, shape };
}

function sourceOf(each: ShardCase): Uint8Array {
  return readFileSync(join(root, `nfs/c/${each.name}.o`));
}

/** What each core would do alone, in the order of the packets; and the states. */
function alone(
  each: ShardCase,
  cores: number,
  packets: readonly PacketInput[],
): { outcomes: readonly string[]; states: readonly StateDump[] } {
  const outcomes: string[] = [];
  let first = 0;
  const states = capacitiesOf(capacity, cores).map((own, core) => {
    const object = configure(
      sourceOf(each),
      each.name,
      settingOf(each, { first, capacity: own }),
    );
    first += own;
    const mine = [...packets.entries()].filter(
      ([, { rxQueue }]) => rxQueue === core,
    );
    const ran = interpreted(
      object,
      mine.map(([, packet]) => packet),
      contentsOf(each),
    );
    for (const [at, [index]] of mine.entries())
      outcomes[index] = ran.outcomes[at] ?? "";
    return ran.state;
  });
  return { outcomes, states };
}

function contentsOf({ name }: ShardCase) {
  return caseOf(name).variants[0]?.contents ?? {};
}

function expectSame(
  have: Ran,
  want: Ran,
  shape: SplitShape & { readonly what: string },
): void {
  equal(have.outcomes.length, want.outcomes.length, shape.what);
  for (const [index, text] of want.outcomes.entries())
    equal(have.outcomes[index], text, `${shape.what}: packet ${index}`);
  deepEqual(
    [shape.what, sorted(withoutFreeCells(have.state, shape))],
    [shape.what, sorted(want.state)],
  );
}

function sorted(state: StateDump): unknown {
  return [...state]
    .map(([name, entries]) => [
      name,
      [...entries].sort(([a], [b]) => (a < b ? -1 : 1)),
    ])
    .filter(([, entries]) => entries?.length !== 0)
    .sort(([a], [b]) => ((a ?? "") < (b ?? "") ? -1 : 1));
}

async function objectsOf(each: ShardCase) {
  const whole = settingOf(each, { first: 0, capacity });
  const ts = await compiled(each.name, { ...whole.set });
  const objects = [
    ["C", configure(sourceOf(each), each.name, whole)],
    ["TypeScript", configure(ts, each.name, { set: {}, sizes: each.sizes })],
  ] as const;
  return objects.map(
    ([language, object]) => [language, object, partsOf(each, object)] as const,
  );
}

const inTheKernel =
  kernel instanceof UnsupportedError ? undefined : inKernel(kernel);

// Verifying and interpreting take long: two numbers of cores there, four on the engine.
const machines: readonly (readonly [
  string,
  RunObject | undefined,
  readonly number[],
])[] = [
  ["interpreter", interpreted, [3]],
  ["portable engine", portable, [2, 3, 8, 16]],
  ["kernel", inTheKernel, [3, 16]],
];

for (const each of cases)
  void test(`${each.name}: k cores are k programs (seed ${seed})`, async (t: TestContext) => {
    const objects = await objectsOf(each);
    for (const cores of [2, 3, 8, 16]) {
      const packets = traffic(each, cores, 1000);
      const used = new Set(packets.map(({ rxQueue }) => rxQueue));
      equal(used.size, each.owner === undefined ? 1 : cores);
      const { outcomes, states } = alone(each, cores, packets);
      for (const [language, object, { parts, shape }] of objects) {
        const want = { outcomes, state: joined(shape(cores), states) };
        const { entries } = shape(cores).facts;
        const tables = tableParts(object, cores).filter(
          (part) => part.object === entries,
        );
        equal(tables.length, 1);
        for (const own of cores === 3 ? [[], tables] : [[]]) {
          const split = splitObject(object, cores, [...parts, ...own]);
          for (const [name, run, when] of machines) {
            if (!when.includes(cores)) continue;
            if (run === undefined) {
              t.diagnostic(`no ${name} here`);
              continue;
            }
            const what = `${language}, ${cores} cores, ${name}, ${own.length} tables`;
            const ran = run(split, packets, contentsOf(each));
            const state = asHashes(ran.state, object.maps, own);
            expectSame({ ...ran, state }, want, { ...shape(cores), what });
          }
        }
      }
    }
  });

void test("on one core the object is what it was", () => {
  for (const each of cases) {
    const object = configure(
      sourceOf(each),
      each.name,
      settingOf(each, { first: 0, capacity }),
    );
    const facts = {
      capacity,
      evictsOldest: false,
      cellSize: 32,
      functions: { allocate: "" },
    };
    const part = {
      object: each.chain,
      layout: "allocator",
      allocator: facts,
    } as const;
    deepEqual(splitLayouts(object, "", { cores: 1, parts: [part] }), object);
  }
});
