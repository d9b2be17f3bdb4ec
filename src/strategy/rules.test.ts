/**
 * Plans for reports made by hand: allocators, keys that are inherited, indices that
 * come with packets, sketches; what is guarded, and what is refused with which words.
 */
import { deepEqual, equal, match } from "node:assert/strict";
import { test } from "node:test";
import type {
  Access,
  AccessGuard,
  Allocator,
  Interchange,
  Key,
  KeyBit,
  OpaqueReason,
  StateObject,
  StateReport,
} from "../analysis/index.ts";
import { fields, type FieldName } from "../packet/index.ts";
import { capacitySplit } from "./capacity.ts";
import { choosePlan, type PlanOptions } from "./choose.ts";
import type { Plan, Port } from "./plan.ts";

const lan = 1;
const wan = 2;
const ports: readonly Port[] = [
  { name: "lan", ifindex: lan },
  { name: "wan", ifindex: wan },
];

const on = (...ifindex: number[]): AccessGuard => ({
  ifindex,
  etherTypes: [0x0800],
  protocols: [6, 17],
  unfragmented: true,
  ipHeaderHonoured: true,
  wellFormed: true,
  portsPresent: true,
  text: `ifindex ${ifindex.join(" or ")}`,
});

const keyOf = (...names: FieldName[]): Key => ({
  bits: names.flatMap((field) =>
    Array.from({ length: fields[field].bits }, (_, bit) => ({
      kind: "linear" as const,
      bits: [{ field, bit }],
      constant: 0 as const,
    })),
  ),
  text: names.length === 1 ? (names[0] ?? "") : `{${names.join(", ")}}`,
});
const opaqueKey = (why: OpaqueReason, text: string): Key => ({
  bits: Array.from({ length: 32 }, (): KeyBit => ({ kind: "opaque", why })),
  text,
});
const constantKey = (value: number): Key => ({
  bits: Array.from({ length: 32 }, (_, at): KeyBit => ({
    kind: "linear",
    bits: [],
    constant: (value >>> at) & 1 ? 1 : 0,
  })),
  text: String(value),
});
/** A hash of these fields, in this order. */
const hashOf = (...names: FieldName[]): Key =>
  opaqueKey(
    {
      kind: "nonlinear",
      text: "a hash",
      of: keyOf(...names).bits.flatMap((bit) =>
        bit.kind === "linear" ? bit.bits : [],
      ),
    },
    "arithmetic",
  );

let line = 0;
function access(
  op: Access["op"],
  key: Key,
  guard: AccessGuard,
  more: Partial<Access> = {},
): Access {
  line++;
  return {
    id: `a${line}`,
    op,
    key,
    guard,
    valueUsed: true,
    atomic: false,
    at: { function: "f", instruction: line, file: "f.c", line },
    ...more,
  };
}

function object(
  name: string,
  type: StateObject["type"],
  accesses: readonly Access[],
  more: Partial<StateObject> = {},
): StateObject {
  const isWritten = accesses.some(({ op }) => op !== "lookup" && op !== "read");
  return {
    name,
    type,
    access: isWritten ? "read-write" : "read-only",
    cpuIndexed: false,
    userWrites: false,
    accesses,
    ...more,
  };
}

const report = (...objects: StateObject[]): StateReport => ({
  program: "f",
  instructions: 1,
  objects,
  races: [],
  testsPort: true,
  testedPorts: [lan, wan],
  notes: [],
});

const planFor = (of: StateReport, options: PlanOptions = {}): Plan =>
  choosePlan(of, {
    cores: 4,
    ports,
    samples: 10,
    guards: ["lock", "transaction"],
    ...options,
  });

/** `flows shard R5 lan:ipv4.dst,l4.dport as-is; …`. */
function text({ objects, grade, strategy }: Plan): string {
  const parts = objects.map(({ object, strategy, rule, fields = [], layout }) =>
    [
      object,
      strategy,
      ...(rule === undefined ? [] : [rule]),
      ...fields.map(({ port, fields }) => `${port}:${fields.join()}`),
      ...(layout === "as-is" ? [] : [layout]),
    ].join(" "),
  );
  return [`${strategy} ${grade}`, ...parts].join("; ");
}

const flow = keyOf(
  "ipv4.src",
  "ipv4.dst",
  "l4.sport",
  "l4.dport",
  "ipv4.protocol",
);

const chain = (entries: string, capacity = 10): Allocator => ({
  role: "chain",
  entries,
  capacity,
  expiry: 1n,
  evictsOldest: false,
  cellSize: 32,
  functions: { allocate: `${entries}_chain_allocate` },
  tried: { operations: 1, seed: 1 },
});

/** An expiring map `name` keyed by `key` on the ports of `guard`. */
function expiring(
  name: string,
  key: Key,
  guard: AccessGuard,
  more: {
    readonly allocator?: Partial<Allocator>;
    readonly cells?: readonly Access[];
    readonly interchanges?: readonly Interchange[];
    readonly userWrites?: boolean;
  } = {},
): readonly [StateObject, StateObject] {
  const own = opaqueKey(
    { kind: "state", object: `${name}_chain` },
    `value of ${name}_chain`,
  );
  const through = { object: name, key };
  const index = opaqueKey({ kind: "state", object: name }, `value of ${name}`);
  return [
    object(
      name,
      "hash",
      [
        access("lookup", key, guard),
        access("update", key, guard),
        access("delete", own, guard, { own: "link" }),
      ],
      { userWrites: more.userWrites === true },
    ),
    object(
      `${name}_chain`,
      "array",
      [
        access("write", constantKey(0), guard, { own: "head" }),
        access("write", own, guard, { own: "function" }),
        access("write", index, guard, { through }),
        ...(more.cells ?? []),
      ],
      {
        allocator: { ...chain(name), ...more.allocator },
        ...(more.interchanges === undefined
          ? {}
          : { interchanges: more.interchanges }),
      },
    ),
  ];
}

test("an expiring map is sharded by its key, its allocator by ranges", () => {
  const plan = planFor(report(...expiring("flows", flow, on(wan))));
  equal(
    text(plan),
    "shard partitioned; flows shard R1 wan:ipv4.src,ipv4.dst,l4.sport,l4.dport; flows_chain shard R1 wan:ipv4.src,ipv4.dst,l4.sport,l4.dport allocator",
  );
  deepEqual(plan.objects[1]?.capacities, [3, 3, 2, 2]);
  deepEqual(
    plan.deviations.map(({ code }) => code),
    ["capacity-per-core", "index-choice"],
  );
  deepEqual(plan.refusals, []);
});

/** A translator: inside flows out, outside packets by the index in their port. */
function nat(holds: boolean): StateReport {
  const met = access("read", hashOf("l4.dport"), on(wan));
  const interchange: Interchange = {
    access: met.id,
    packet: keyOf("ipv4.src", "l4.sport", "ipv4.protocol"),
    stored: keyOf("ipv4.dst", "l4.dport", "ipv4.protocol"),
    storedBy: on(lan),
    holds,
    ...(holds
      ? {}
      : {
          reason: {
            code: "R5-refresh",
            text: "the entry is refreshed before it is compared",
            at: met.at,
          },
        }),
  };
  return report(
    ...expiring("flows", flow, on(lan), {
      cells: [met],
      interchanges: [interchange],
    }),
  );
}

test("R5: an index from the packet counts as what it is compared with", () => {
  const plan = planFor(nat(true));
  equal(
    text(plan),
    "shard partitioned; flows shard R5 lan:ipv4.dst,l4.dport wan:ipv4.src,l4.sport; flows_chain shard R5 lan:ipv4.dst,l4.dport wan:ipv4.src,l4.sport allocator",
  );
  // Replies come in on the other port: both have one indirection table.
  deepEqual(
    plan.rss?.groups.map((group) => group.ports),
    [["lan", "wan"]],
  );
});

test("R5: what can be told apart is refused, and locked", () => {
  const plan = planFor(nat(false));
  equal(text(plan), "lock reordered; flows lock; flows_chain lock");
  const [refusal] = plan.refusals;
  equal(refusal?.code, "R5-refresh");
  match(refusal?.text ?? "", /refreshed before it is compared/);
  match(refusal?.edit ?? "", /before anything else/);
  equal(
    refusal?.conjunct,
    "{ipv4.src, l4.sport, ipv4.protocol} of the packet = {ipv4.dst, l4.dport, ipv4.protocol} of the one that made the entry",
  );
  deepEqual(plan.runtime.kind === "plain" ? [] : plan.runtime.objects, [
    "flows",
    "flows_chain",
  ]);
  equal(plan.fallback, refusal?.text);
});

test("R2: a flow table and a sketch meet on what both have", () => {
  const pair = object("clients", "array", [
    access("read", hashOf("ipv4.src", "ipv4.dst"), on(wan)),
    access("write", hashOf("ipv4.src", "ipv4.dst"), on(wan)),
  ]);
  const plan = planFor(report(...expiring("flows", flow, on(wan)), pair));
  equal(
    text(plan),
    "shard partitioned; flows shard R2 wan:ipv4.src,ipv4.dst; flows_chain shard R2 wan:ipv4.src,ipv4.dst allocator; clients shard R2 wan:ipv4.src,ipv4.dst sliced",
  );
  match(plan.deviations.map(({ code }) => code).join(), /sketch-collisions/);
});

test("a hash of swapped arguments is no hash of the same ones", () => {
  const both = report(
    object("pairs", "array", [
      access("write", hashOf("ipv4.src", "ipv4.dst"), on(lan)),
      access("write", hashOf("ipv4.dst", "ipv4.src"), on(wan)),
    ]),
  );
  const plan = planFor(both);
  equal(
    text(plan),
    "shard partitioned; pairs shard R2 lan:ipv4.src,ipv4.dst wan:ipv4.dst,ipv4.src sliced",
  );
  const crossing = plan.requirement.conjuncts.find(
    ({ ports: [one, other] }) => one !== other,
  );
  equal(crossing?.equations[0]?.left.bits[0]?.field, "ipv4.src");
  equal(crossing?.equations[0]?.right.bits[0]?.field, "ipv4.dst");
});

test("an array that follows the index goes with it", () => {
  const index = opaqueKey(
    { kind: "state", object: "sources" },
    "value of sources",
  );
  const touched = object(
    "touched",
    "array",
    [
      access("write", index, on(wan), {
        through: { object: "sources", key: keyOf("ipv4.src") },
      }),
    ],
    { indexedBy: "sources_chain" },
  );
  const plan = planFor(
    report(...expiring("sources", keyOf("ipv4.src"), on(wan)), touched),
  );
  equal(
    text(plan),
    "shard partitioned; sources shard R1 wan:ipv4.src; sources_chain shard R1 wan:ipv4.src allocator; touched shard R1 wan:ipv4.src",
  );
});

test("a map that user space writes keeps its layout", () => {
  const written = expiring("flows", flow, on(wan), { userWrites: true });
  const plan = planFor(report(...written));
  equal(text(plan), "lock reordered; flows lock; flows_chain lock");
  equal(plan.refusals[0]?.code, "R-user-writes");
});

test("fewer indices than cores", () => {
  const few = expiring("flows", flow, on(wan), { allocator: { capacity: 3 } });
  equal(planFor(report(...few)).refusals[0]?.code, "R-capacity");
  equal(planFor(report(...few), { cores: 3 }).strategy, "shard");
});

const sources = object("sources", "hash", [
  access("lookup", keyOf("ipv4.src"), on(wan)),
  access("update", keyOf("ipv4.src"), on(wan)),
]);
const destinations = object("destinations", "hash", [
  access("update", keyOf("ipv4.dst"), on(wan)),
]);
const total = object("total", "array", [
  access("add", constantKey(0), on(wan), { atomic: true }),
]);

test("one plan: one object sharded, the other locked", () => {
  const plan = planFor(report(sources, total));
  equal(
    text(plan),
    "lock reordered; sources shard R1 wan:ipv4.src; total lock",
  );
  equal(plan.refusals[0]?.code, "R4-constant-key");
  equal(plan.refusals[0]?.conjunct, "any two");
  equal(plan.fallback, "total: every packet uses the same cell");
  deepEqual(plan.runtime.kind === "lock" ? plan.runtime.objects : [], [
    "total",
  ]);
  const r3 = planFor(report(sources, destinations));
  equal(
    text(r3),
    "lock reordered; sources lock; destinations shard R1 wan:ipv4.dst",
  );
  equal(r3.refusals[0]?.code, "R3-disjoint");
  match(
    r3.refusals[0]?.text ?? "",
    /^sources and destinations are touched under ipv4.src and under ipv4.dst/,
  );
  equal(
    r3.refusals[0]?.conjunct,
    "two with equal ipv4.src; and two with equal ipv4.dst",
  );
});

test("every rejected alternative has a reason and a cost", () => {
  const { rejected, cost, objects } = planFor(report(sources, total));
  deepEqual(
    rejected
      .map(
        ({ strategy, cost }) =>
          `${strategy} ${cost === undefined ? "free" : "priced"}`,
      )
      .sort(),
    [
      "transaction priced",
      "lock priced",
      "transaction priced",
      "sequential priced",
    ].sort(),
  );
  for (const { reason, cost: other = 0 } of rejected) {
    match(reason, /takes [\d.]+ ns a packet/);
    equal(other >= 0.75 * cost.nsPerPacket, true);
  }
  equal(
    objects.every((part) => (part.cost ?? 0) > 0),
    true,
  );
});

const traffic = (writing: number) => ({
  packets: 1000,
  instructions: 60_000,
  touches: {
    sources: { cells: 2000, entries: 0 },
    total: { cells: 1000, entries: 0 },
  },
  writes: [
    {
      objects: ["sources", "total"],
      refreshed: [],
      makesEntries: false,
      packets: 1000 * writing,
    },
    {
      objects: ["sources"],
      refreshed: ["total"],
      makesEntries: false,
      packets: 1000 * (1 - writing),
    },
  ],
});

test("where most packets write what is locked, one core is cheaper", () => {
  const rare = planFor(report(sources, total), { traffic: traffic(0.01) });
  equal(rare.strategy, "lock");
  equal(rare.cost.writing, 0.01);
  const all = planFor(report(sources, total), { traffic: traffic(1) });
  equal(all.strategy, "sequential");
  equal(all.fallback, "total: every packet uses the same cell");
  match(
    all.rejected.map(({ reason }) => reason).join("\n"),
    /a lock around total takes [\d.]+ ns a packet, this plan [\d.]+/,
  );
});

test("forced strategies are taken, or refused", () => {
  const forced = planFor(report(sources, total), {
    force: { sources: "transaction" },
  });
  equal(text(forced), "transaction reordered; sources transaction; total lock");
  const lock = planFor(report(sources, total), { force: "lock", guards: [] });
  equal(text(lock), "lock reordered; sources lock; total lock");
  equal(lock.fallback, undefined);
  const shard = planFor(report(sources, total), { force: { total: "shard" } });
  equal(shard.strategy, "sequential");
  equal(shard.fallback, "total: every packet uses the same cell");
  const exact = planFor(report(sources, total), { grade: "exact" });
  equal(exact.strategy, "sequential");
});

test("capacities sum to the whole, on any number of cores", () => {
  for (const capacity of [0, 1, 7, 1000, 65_535, 65_536])
    for (const cores of [1, 2, 3, 8, 10, 16]) {
      const shares = capacitySplit(capacity, cores);
      equal(shares.length, cores);
      equal(
        shares.reduce((sum, share) => sum + share, 0),
        capacity,
      );
      equal(Math.max(...shares) - Math.min(...shares) <= 1, true);
    }
});
