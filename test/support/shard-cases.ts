/**
 * Network functions with an index allocator, each with traffic that fills and expires
 * it, and whose packets are whose: what split objects are compared on.
 */
import { deepEqual, equal } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { capacitiesOf, chainLayout, type LayoutPart } from "#codegen";
import { testRunTakes } from "#engine";
import type { PacketInput } from "#interp";
import type { StateDump } from "#proof";
import { root } from "./cli.ts";
import { caseOf, mixOf } from "./nf-mixes.ts";
import { nfTraffic, type TrafficMix } from "./nf-traffic.ts";
import {
  chainsOf,
  configure,
  interpreted,
  splitPorts,
  withoutFreeCells,
  type Ran,
  type SplitShape,
} from "./split-runs.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

export interface ShardCase {
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

export const capacity = 35;
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
export const cases: readonly ShardCase[] = [
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
export function traffic(
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

/** External port of index 0. */
export const start = 1000;

export function settingOf(
  each: ShardCase,
  own: { first: number; capacity: number },
) {
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

export function partsOf(each: ShardCase, object: ReturnType<typeof configure>) {
  const facts = chainsOf(object).get(each.chain);
  if (facts === undefined) throw new Error(`${each.name}: no ${each.chain}`);
  const parts: LayoutPart[] = [
    { object: each.chain, layout: "allocator", allocator: facts },
    ...Object.keys(each.sliced ?? {}).map((name): LayoutPart => ({
      object: name,
      layout: "sliced",
    })),
  ];
  const shape = (
    cores: number,
  ): SplitShape & { readonly layout: ReturnType<typeof chainLayout> } => ({
    layout: chainLayout(capacity + 1, cores, facts),
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

export function sourceOf(each: ShardCase): Uint8Array {
  return readFileSync(join(root, `nfs/c/${each.name}.o`));
}

/** What each core would do alone, in the order of the packets; and the states. */
export function alone(
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

export function contentsOf({ name }: ShardCase) {
  return caseOf(name).variants[0]?.contents ?? {};
}

export function expectSame(
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
