/**
 * The partitioned grade on the NAT, the limiter of connections and the detector of
 * port scans: the sequential program once whole, and once per core on its share. Right
 * partings pass; wrong ones (ranges that overlap, steering by something else, a share
 * that does not keep its own) are seen.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { createState, BytecodeMachine, type PacketInput } from "#interp";
import type { ProgramSpec } from "#isa";
import { fieldPosition, parseFrame, readField } from "#packet";
import {
  Recorder,
  dumpState,
  rangesOf,
  rangeContents,
  runDifferential,
  type Aim,
  type AllocatorCheck,
  type Episode,
  type Partition,
  type Runner,
  type Tested,
} from "#proof";
import { withAnswers } from "./support/answers.ts";
import { caseOf, mixOf } from "./support/nf-mixes.ts";
import { withPorts } from "./support/nf-machines.ts";
import { programOf } from "./support/nf-suite.ts";
import { nfTraffic } from "./support/nf-traffic.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

/** What an analysis would say of the suite's allocators. */
function allocatorOf(
  program: ProgramSpec,
  name: string,
  more: {
    readonly capacity: number;
    readonly expiry: bigint;
    readonly shares: readonly number[];
    readonly followers?: readonly string[];
  },
): AllocatorCheck {
  const chain = program.maps.find((map) => map.name === `${name}_chain`);
  return {
    chain: `${name}_chain`,
    cellSize: chain?.valueSize ?? 0,
    capacity: more.capacity,
    entries: name,
    keyOffset: 16,
    expiry: more.expiry,
    allocate: `${name}_chain_allocate`,
    functions: ["allocate", "refresh", "free"].map(
      (word) => `${name}_chain_${word}`,
    ),
    ranges: rangesOf(more.shares),
    followers: more.followers ?? [],
  };
}

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
    runEmitted: () => parts(program, partition, cores),
    runPrivate: () => parts(program, partition, cores),
    shares: new Map(),
    emitted: program,
    steeringMutants: [],
    accesses: [],
    verdicts: [],
    seed,
    engine: "interp",
    mutants: 0,
  });
}

/** The cores' states, each with its range: what an emitted object should behave as. */
function parts(
  program: ProgramSpec,
  { allocators }: Partition,
  cores: number,
): Runner {
  const contents = withPorts(program, {});
  return (packets) => {
    const machines = Array.from({ length: cores }, (_, core) => {
      const ranges = allocators.map((allocator) => [
        allocator.chain,
        rangeContents(
          allocator,
          allocator.ranges[core] ?? { base: 0, count: 0 },
        ),
      ]);
      const state = createState(program.maps, {
        cpus: cores,
        contents: { ...contents, ...Object.fromEntries(ranges) },
      });
      return new BytecodeMachine(program, state, { seed });
    });
    const recorder = new Recorder(packets.length);
    for (const [index, input] of packets.entries()) {
      const outcome = machines[input.cpu]?.run(input);
      if (outcome !== undefined) recorder.add(index, input, outcome);
    }
    return recorder.finish(dumpState({ maps: [], entries: () => [] }));
  };
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
          expiry: 100_000_000_000n,
          shares: shares ?? equalShares(capacity, cores),
        }),
      ],
      capacities: new Map(),
      sketches: new Set(),
      merged: new Map(),
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
          expiry: 1_000_000_000n,
          shares: equalShares(capacity, cores),
          followers: ["touched"],
        }),
      ],
      capacities: new Map(),
      sketches: new Set(),
      merged: new Map(),
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
          expiry: 1_000_000_000n,
          shares: equalShares(capacity, cores),
        }),
      ],
      capacities: new Map(),
      sketches: new Set(["clients"]),
      sketchKey: (_, packet) => byPair(packet),
      merged: new Map(),
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
