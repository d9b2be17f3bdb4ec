/**
 * The partitioned grade on the NAT, the limiter of connections and the detector of
 * port scans: the sequential program once whole, and once per core on its share. Right
 * partings pass; wrong ones (ranges that overlap, steering by something else, a share
 * that does not keep its own) are seen.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { recogniseAllocators } from "#analysis";
import {
  chainLayout,
  headOf,
  splitLayouts,
  type ChainFacts,
  type LayoutPart,
} from "#codegen";
import { portableRunner } from "#engine";
import { createState, type PacketInput } from "#interp";
import { lift } from "#ir";
import type { ProgramSpec } from "#isa";
import { fieldPosition, parseFrame, readField } from "#packet";
import {
  rangesOf,
  runDifferential,
  type Aim,
  type AllocatorCheck,
  emittedDifferences,
  type EmittedLayout,
  type Episode,
  type Partition,
  type Tested,
} from "#proof";
import { withAnswers } from "./support/answers.ts";
import { caseOf, mixOf } from "./support/nf-mixes.ts";
import { withPorts } from "./support/nf-machines.ts";
import { programOf } from "./support/nf-suite.ts";
import { nfTraffic } from "./support/nf-traffic.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

/** The suite's allocators as the analysis finds them. */
function allocatorOf(
  program: ProgramSpec,
  name: string,
  more: {
    readonly capacity: number;
    readonly shares: readonly number[];
    readonly followers?: readonly string[];
  },
): AllocatorCheck {
  const chain = `${name}_chain`;
  const facts = factsOf(program).get(chain);
  if (facts === undefined) throw new Error(`${chain} is no allocator`);
  const { entries, cellSize, keyOffset, expiry, functions } = facts;
  equal(facts.capacity, more.capacity);
  return {
    chain,
    cellSize,
    capacity: more.capacity,
    ...(entries === undefined ? {} : { entries }),
    ...(keyOffset === undefined ? {} : { keyOffset }),
    ...(expiry === undefined ? {} : { expiry }),
    allocate: functions.allocate,
    functions: Object.values(functions),
    ranges: rangesOf(more.shares),
    followers: more.followers ?? [],
  };
}

const factsOf = (program: ProgramSpec): ReadonlyMap<string, ChainFacts> =>
  recogniseAllocators(program, lift(program)).allocators;

const natAim: Aim = {
  chain: "flows_chain",
  isAimed: ({ ifindex }) => ifindex === 2,
  words: (frame) => {
    const parsed = parseFrame(frame);
    const [source, destination] = ["l4.sport", "l4.dport"].map((name) =>
      fieldPosition(parsed, name as "l4.sport" | "l4.dport"),
    );
    if (source === undefined || destination === undefined) return undefined;
    const at = source >>> 3;
    return {
      source: at,
      destination: destination >>> 3,
      checksum: at + (parsed.l4 === "tcp" ? 16 : 6),
    };
  },
};

type Owner = (packet: PacketInput) => string;

function field(frame: Uint8Array, name: "ipv4.src" | "ipv4.dst"): string {
  return String(readField(parseFrame(frame), name) ?? "");
}
function port(frame: Uint8Array, name: "l4.sport" | "l4.dport"): string {
  return String(readField(parseFrame(frame), name) ?? "");
}

/** lan (dip, dport), wan (sip, sport): the server's. */
const byServer: Owner = ({ data, ifindex }) =>
  ifindex === 1
    ? `${field(data, "ipv4.dst")} ${port(data, "l4.dport")}`
    : `${field(data, "ipv4.src")} ${port(data, "l4.sport")}`;
const byClient: Owner = ({ data, ifindex }) =>
  ifindex === 1 ? field(data, "ipv4.src") : field(data, "ipv4.dst");
const bySource: Owner = ({ data }) => field(data, "ipv4.src");
const byPair: Owner = ({ data }) =>
  `${field(data, "ipv4.src")} ${field(data, "ipv4.dst")}`;
const byPort: Owner = ({ data }) => port(data, "l4.sport");

interface Trial {
  readonly program: ProgramSpec;
  readonly partition: Partition;
  readonly owner: Owner;
  readonly sharded: readonly string[];
  readonly cores: number;
  readonly packets: readonly Episode[];
  readonly mutants?: number;
}

/** The owners as numbers, spread by a hash. */
class Owners {
  readonly #numbers = new Map<string, number>();
  readonly #owner: Owner;
  constructor(owner: Owner) {
    this.#owner = owner;
  }
  number(packet: PacketInput): number {
    const name = this.#owner(packet);
    let number = this.#numbers.get(name);
    if (number === undefined)
      this.#numbers.set(name, (number = this.#numbers.size));
    return number;
  }
}

function run(trial: Trial): Tested {
  const { program, partition, cores } = trial;
  const contents = withPorts(program, {});
  const owners = new Owners(trial.owner);
  const emitted = emittedOf(trial);
  const episodes = trial.packets.map((episode) => ({
    ...episode,
    steering: episode.packets.map((packet) => owners.number(packet)),
  }));
  return runDifferential({
    sequential: program,
    contents,
    episodes,
    sharded: new Set(trial.sharded),
    rules: new Map(),
    cores,
    steering: (input) => input % cores,
    intern: (packet) => owners.number(packet),
    partition,
    partitionedState: (parted, left) =>
      emittedDifferences({
        maps: program.maps.filter(
          ({ type, readOnly }) => !readOnly && /^(hash|array)$/.test(type),
        ),
        initial: createState(program.maps, { cpus: cores, contents }),
        parted,
        partition,
        layoutOf: (map) => layoutOf(trial, map),
        emitted: left,
      }),
    runEmitted: (spec = emitted) => portableRunner(spec, { contents, seed }),
    runPrivate: () => portableRunner(emitted, { contents, seed }),
    shares: new Map(),
    emitted,
    steeringMutants: [],
    accesses: [],
    verdicts: [],
    seed,
    engine: "interp",
    mutants: trial.mutants ?? 0,
  });
}

/** How the emitted object keeps each map. */
function layoutOf(
  { program, partition, cores }: Trial,
  name: string,
): EmittedLayout {
  const map = required(program.maps.find((each) => each.name === name));
  const allocator = partition.allocators.find(({ chain }) => chain === name);
  if (cores > 1 && allocator !== undefined) {
    const layout = chainLayout(map.maxEntries, cores, allocator);
    return { kind: "allocator", headOf: (core) => headOf(layout, core) };
  }
  return cores > 1 && partition.sketches.has(name)
    ? { kind: "sliced", cells: map.maxEntries }
    : { kind: cores > 1 ? "as-is" : "unread" };
}

/** The object with cells of each core's own, on the portable engine. */
function emittedOf({ program, partition, cores }: Trial): ProgramSpec {
  const parts: LayoutPart[] = partition.allocators.map(({ chain }) => ({
    object: chain,
    layout: "allocator",
    allocator: required(factsOf(program).get(chain)),
  }));
  for (const object of partition.sketches)
    parts.push({ object, layout: "sliced" });
  const [entry] = program.functions;
  return splitLayouts(program, entry?.name ?? "", { cores, parts });
}

function required<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("nothing there");
  return value;
}

function traffic(name: string, count: number, more: object = {}): Episode {
  const known = caseOf(name);
  const [variant] = known.variants;
  const mix = variant === undefined ? known.mix : mixOf(known, variant);
  const { packets, answers } = withAnswers(
    nfTraffic({ ...mix, ...more }, { seed, count }),
    { seed },
  );
  return { name: "traffic", packets, answers, steering: [] };
}

const equalShares = (capacity: number, cores: number): number[] =>
  Array.from({ length: cores }, (_, core) =>
    Math.floor((capacity + cores - 1 - core) / cores),
  );

function nat(
  cores: number,
  capacity: number,
  shares?: readonly number[],
): Trial {
  const program = programOf("nat", {
    name: "",
    set: { capacity: String(capacity), start_port: "1000" },
    sizes: { flows: capacity, flows_chain: capacity + 1 },
  });
  return {
    program,
    cores,
    owner: byServer,
    sharded: ["flows"],
    partition: {
      allocators: [
        allocatorOf(program, "flows", {
          capacity,
          shares: shares ?? equalShares(capacity, cores),
        }),
      ],
      capacities: new Map(),
      sketches: new Set(),
      merged: new Map(),
      shared: new Set(),
      aim: natAim,
    },
    packets: [
      traffic("nat", 2500, {
        mapped: { address: 0xcb00_7101, port: 1000, count: 16 },
        servers: undefined,
        flows: 30,
      }),
    ],
  };
}

for (const cores of [1, 3, 16])
  test(`nat on ${cores} cores, no table full: equal up to a renaming (seed ${seed})`, () => {
    const found = run(nat(cores, 1024));
    deepEqual(found.first, []);
    equal(found.mismatches, 0);
    equal(found.capacityDeviation, 0);
    ok((found.verdicts["redirect"] ?? 0) > 500, JSON.stringify(found.verdicts));
  });

test("nat with small tables: what differs is counted", () => {
  const found = run(nat(3, 24));
  deepEqual(found.first, []);
  ok(found.capacityDeviation > 0);
});

test("wrong versions of the emitted nat are seen", () => {
  const { mutants } = run({ ...nat(3, 24), mutants: 20 });
  equal(mutants.total, 20);
  // One may be a checksum that comes out the same.
  ok(mutants.survivors.length <= 1, mutants.survivors.join());
});

test("nat, two cores with one range: seen", () => {
  const right = nat(2, 1024);
  const allocators = right.partition.allocators.map((allocator) => ({
    ...allocator,
    ranges: [
      { base: 0, count: 64 },
      { base: 0, count: 64 },
    ],
  }));
  const found = run({
    ...right,
    partition: { ...right.partition, allocators },
  });
  ok(found.mismatches > 0);
});

test("nat by its clients: replies reach the wrong core", () => {
  ok(run({ ...nat(3, 1024), owner: byClient }).mismatches > 100);
});

function scans(
  cores: number,
  capacity: number,
  owner = bySource,
  count = 2000,
): Trial {
  const program = programOf("port-scan-detector", {
    name: "",
    set: { max_ports: "4", capacity: String(capacity) },
    sizes: {
      sources: capacity,
      sources_chain: capacity + 1,
      touched: capacity,
    },
  });
  return {
    program,
    cores,
    owner,
    sharded: ["sources"],
    partition: {
      allocators: [
        allocatorOf(program, "sources", {
          capacity,
          shares: equalShares(capacity, cores),
          followers: ["touched"],
        }),
      ],
      capacities: new Map(),
      sketches: new Set(),
      merged: new Map(),
      shared: new Set(),
    },
    packets: [traffic("port-scan-detector", count)],
  };
}

test("port scans by source: equal, and counted where tables fill", () => {
  const found = run(scans(3, 1024));
  deepEqual(found.first, []);
  equal(found.capacityDeviation, 0);
  const small = run(scans(3, 8, bySource, 5000));
  deepEqual(small.first, []);
  ok(small.capacityDeviation > 0);
});

test("port scans by source and destination: a source on two cores is seen", () => {
  ok(run(scans(3, 1024, byPair)).mismatches > 0);
});

function clients(cores: number, columns: number, owner: Owner): Trial {
  const capacity = 1024;
  const program = programOf("connection-limiter", {
    name: "",
    set: {
      max_clients: "3",
      flow_capacity: String(capacity),
      bucket_capacity: String(columns),
    },
    sizes: {
      flows: capacity,
      flows_chain: capacity + 1,
      clients: 4 * columns,
    },
  });
  return {
    program,
    cores,
    owner,
    sharded: ["flows", "clients"],
    partition: {
      allocators: [
        allocatorOf(program, "flows", {
          capacity,
          shares: equalShares(capacity, cores),
        }),
      ],
      capacities: new Map(),
      sketches: new Set(["clients"]),
      sketchKey: (_, packet) => byPair(packet),
      merged: new Map(),
      shared: new Set(),
    },
    packets: [traffic("connection-limiter", 1500)],
  };
}

test("clients by pair: equal with a wide sketch, collisions counted in a narrow one", () => {
  const wide = run(clients(3, 4096, byPair));
  deepEqual(wide.first, []);
  equal(wide.capacityDeviation + wide.collisionDeviation, 0);
  const narrow = run(clients(3, 8, byPair));
  deepEqual(narrow.first, []);
  ok(narrow.collisionDeviation > 0);
});

test("clients by source port: a pair on two cores is seen", () => {
  ok(run(clients(3, 4096, byPort)).mismatches > 0);
});
