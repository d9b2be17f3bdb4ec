/**
 * What a trace does to the state, counted: who writes what, as the guards see it, and
 * what becomes of it in plans. The portable engine's own counters say the same.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  analyseLoaded,
  choosePlan,
  load,
  measureTraffic,
  runParallel,
  type PacketInput,
  type Plan,
  type TrafficFacts,
} from "divisi";
import { buildFrame } from "#packet";
import { ownWrites, writeShare } from "#strategy";
import { root } from "./support/cli.ts";

const bound = [
  { name: "lan", ifindex: 1 },
  { name: "wan", ifindex: 2 },
];

function subjectOf(name: string, ports: typeof bound | readonly [] = bound) {
  const file = `nfs/c/${name}.o`;
  const options = {
    file,
    set: [],
    ports,
    userWrites: [],
    kernelBtf: () => undefined,
  };
  const bytes = readFileSync(join(root, file));
  return analyseLoaded(load(bytes, options), options);
}

type Subject = ReturnType<typeof subjectOf>;

/** From host `from` to host `to`, at millisecond `at`. */
function packet(from: number, to: number, at: number, port = 0): PacketInput {
  const data = buildFrame({
    ipv4: { src: `10.0.0.${from}`, dst: `10.0.0.${to}` },
    udp: { sport: 1000 + from, dport: 80 },
  });
  data.set([2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from], 0);
  return {
    data,
    time: 1_000_000_000n + BigInt(at) * 1_000_000n,
    ifindex: port + 1,
    rxQueue: 0,
    cpu: 0,
  };
}

const measured = (
  { program, report, ports }: Subject,
  packets: readonly PacketInput[],
): TrafficFacts => measureTraffic({ program, report, ports, packets, seed: 1 });

function planFor({ report, ports }: Subject, traffic?: TrafficFacts): Plan {
  return choosePlan(report, {
    cores: 4,
    ports,
    samples: 10,
    guards: ["lock", "transaction"],
    ...(traffic === undefined ? {} : { traffic }),
  });
}

/** Ten stations; in the second half every fifth packet is of a new one. */
const stations = Array.from({ length: 400 }, (_, at) =>
  packet(
    at >= 200 && at % 5 === 0 ? 50 + at / 5 : 1 + (at % 10),
    1 + (at % 7),
    at,
  ),
);

test("a bridge: known stations are refreshed, new ones written", () => {
  const subject = subjectOf("dynamic-bridge");
  const facts = measured(subject, stations);
  equal(facts.packets, 200);
  equal(facts.warmUp, 200);
  deepEqual(facts.ports, [400, 0]);
  deepEqual(ownWrites(facts, "stations"), { written: 0.2, refreshed: 0 });
  deepEqual(ownWrites(facts, "stations_chain"), {
    written: 0.2,
    refreshed: 0.8,
  });
  const guarded = new Set(["stations", "stations_chain"]);
  equal(writeShare(facts, guarded, false), 0.2);
  equal(writeShare(facts, guarded, true), 1);
  equal(facts.touches["stations"]?.packets, 200);
});

test("the engine's guards count the same writers", async () => {
  const subject = subjectOf("dynamic-bridge");
  const { program, report } = subject;
  const chain = report.objects.find(({ name }) => name === "stations_chain");
  const { capacity = 0, expiry = 0n, functions } = chain?.allocator ?? {};
  if (functions === undefined) throw new Error("no allocator");
  const ages = [{ chain: "stations_chain", capacity, expiry, functions }];
  const facts = measured(subject, stations);
  const names = ["stations", "stations_chain"];
  for (const kind of ["lock", "transaction"] as const) {
    const counts = async (packets: readonly PacketInput[]) => {
      const run = await runParallel({
        program,
        cores: 1,
        packets,
        steer: new Uint8Array(packets.length),
        memory: "shared",
        guard: { kind, objects: names, ...(kind === "lock" ? { ages } : {}) },
      });
      const { writes = 0, serial = 0 } = run.cores[0]?.guard ?? {};
      return writes + serial;
    };
    const counted =
      (await counts(stations)) - (await counts(stations.slice(0, 200)));
    equal(
      writeShare(facts, new Set(names), kind === "transaction") * facts.packets,
      counted,
      kind,
    );
  }
});

test("one counter for all: the trace shows that one core is cheaper", () => {
  const subject = subjectOf("gcount", []);
  const packets = Array.from({ length: 400 }, (_, at) =>
    packet(1 + (at % 100), 7, at),
  );
  const facts = measured(subject, packets);
  deepEqual(ownWrites(facts, "total"), { written: 1, refreshed: 0 });
  const assumed = planFor(subject);
  equal(assumed.strategy, "lock");
  match(assumed.cost.from, /^assumed, without a trace/);
  equal(assumed.cost.traffic, undefined);
  const plan = planFor(subject, facts);
  equal(plan.strategy, "sequential");
  equal(plan.fallback, "total: every packet uses the same cell");
  match(plan.cost.from, /^measured on 200 packets/);
  deepEqual(
    plan.cost.traffic?.objects
      .map(({ name, written }) => [name, written])
      .toSorted(),
    [
      ["sources", 1],
      ["total", 1],
    ],
  );
  // Every alternative has a reason and a price, per object and as a whole.
  ok(plan.rejected.length > 2);
  for (const { reason, cost = 0 } of plan.rejected) {
    match(reason, /takes [\d.]+ ns a packet, this plan [\d.]+/);
    ok(cost > 0);
  }
  deepEqual(
    plan.estimates
      ?.filter(({ object }) => object === "total")
      .map(({ strategy, ns, refused, taken }) => [
        strategy,
        ns === undefined ? refused : ns > 0,
        taken,
      ]),
    [
      ["shard", "R4-constant-key", false],
      ["merge", "R-old-value-used", false],
      ["lock", true, false],
      ["transaction", true, false],
      ["sequential", true, true],
    ],
  );
  // Mutant: the counter's traffic taken for another object's.
  const swapped: TrafficFacts = {
    ...facts,
    writes: [
      {
        objects: ["sources"],
        refreshed: [],
        makesEntries: false,
        packets: 200,
      },
    ],
  };
  equal(planFor(subject, swapped).strategy, "lock");
});

test("one flow has all packets: cores do not help, and the estimate says so", () => {
  const subject = subjectOf("policer");
  const spread = Array.from({ length: 800 }, (_, at) =>
    packet(1 + (at % 200), 1 + (at % 200), at, 1),
  );
  const elephant = spread.map((_, at) => packet(1, 1, at, 1));
  const [even, one] = [spread, elephant].map((packets) =>
    planFor(subject, measured(subject, packets)),
  );
  equal(even?.strategy, "shard");
  ok((even?.cost.busiest ?? 9) < 1.2, String(even?.cost.busiest));
  equal(even?.cost.traffic?.largestFlow, 0.005);
  // As one core, with dearer neighbours: nothing is to be won.
  equal(one?.cost.traffic?.largestFlow, 1);
  equal(one?.cost.traffic?.largestEntry, 1);
  ok((one?.cost.busiest ?? 0) === 4, String(one?.cost.busiest));
});

test("a measured run: looks at every window, and results as without", async () => {
  const { program } = subjectOf("gcount", []);
  const packets = Array.from({ length: 4096 }, (_, at) =>
    packet(1 + (at % 100), 7, at),
  );
  // The second core has three times as much: the first leaves, and is not waited for.
  const steer = Uint8Array.from(packets, (_, at) => (at % 4 === 0 ? 0 : 1));
  const objects = ["total", "sources"];
  const options = {
    program,
    cores: 2,
    packets,
    steer,
    memory: "shared",
    guard: { kind: "lock", objects },
  } as const;
  const measuring = await runParallel({ ...options, window: 512 });
  deepEqual(
    measuring.cores.map(({ looks }) => looks?.map((look) => look.packets)),
    [
      [512, 1024],
      [512, 1024, 1536, 2048, 2560, 3072],
    ],
  );
  for (const { looks = [] } of measuring.cores)
    for (const [at, look] of looks.entries()) {
      ok(look.ns > (looks[at - 1]?.ns ?? 0));
      ok(look.at >= (looks[at - 1]?.at ?? 0));
      equal((look.guard?.reads ?? 0) + (look.guard?.writes ?? 0), look.packets);
    }
  const plain = await runParallel(options);
  equal(plain.cores[0]?.looks, undefined);
  deepEqual(measuring.verdicts, plain.verdicts);
});
