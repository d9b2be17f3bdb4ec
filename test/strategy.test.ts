/**
 * Programs to plans: the fields that each network function is sharded by, and
 * for each kind of refusal a program that meets it.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { test } from "node:test";
import {
  choosePlan,
  printPlan,
  planJson,
  analyzeJson,
  type Plan,
} from "#strategy";
import {
  compiledCase,
  networkFunction,
  noClang,
  type Case,
} from "./strategy-cases.ts";

const planOf = ({ report, ports }: Case, profile = "generic"): Plan =>
  choosePlan(report, { cores: 4, profile, ports, samples: 10 });

/** `sources shard R1 ipv4.src; dropped merge`, refusals as `total shard R4-…`. */
function summary(plan: Plan): string {
  const several = plan.ports.length > 1;
  const parts = plan.objects.map(({ object, strategy, rule, fields = [] }) =>
    [
      object,
      strategy,
      rule,
      fields
        .map(
          ({ port, fields }) => `${several ? `${port}:` : ""}${fields.join()}`,
        )
        .join(" "),
    ]
      .filter((word) => word !== undefined && word !== "")
      .join(" "),
  );
  return `${plan.strategy} ${plan.grade}, ${parts.join("; ")}`;
}

// prettier-ignore
const functions: readonly (readonly [string, string])[] = [
  ["nop", "shard exact, ports copy"],
  ["static-bridge", "shard exact, stations copy; ports copy"],
  ["policer", "shard exact, buckets shard R1 wan:ipv4.dst; ports copy"],
  ["firewall", "shard exact, flows shard R1 lan:ipv4.src,ipv4.dst,l4.sport,l4.dport wan:ipv4.dst,ipv4.src,l4.dport,l4.sport; ports copy"],
  ["port-knock", "shard exact, sources shard R1 ipv4.src"],
  ["ddos-mitigator", "shard merged, sources shard R1 ipv4.src; dropped merge"],
  ["source-counter", "shard exact, sources shard R1 ipv4.src"],
  ["flow-counter", "shard exact, flows shard R1 ipv4.src,ipv4.dst,l4.sport,l4.dport"],
];

for (const [name, want] of functions)
  test(`${name}: ${want}`, () => {
    const plan = planOf(networkFunction(name));
    equal(summary(plan), want);
    equal(plan.fallback, undefined);
  });

// Program, plan, and the codes of its refusals of shard.
// prettier-ignore
const cases: readonly (readonly [string, string, string])[] = [
  ["arr", "shard exact, cells shard R1 l4.dport[8:16]", ""],
  ["calls", "shard exact, sources shard R1 ipv4.src", ""],
  ["hhh", "shard exact, buckets shard R2 ipv4.src/28", ""],
  ["ipv6", "shard exact, clients shard R1 ipv6.src,l4.sport", ""],
  ["loops", "shard exact, sources shard R1 ipv4.src", ""],
  ["no-ihl", "shard exact, flows shard R1 ipv4.src,ipv4.dst", ""],
  ["plain-header", "shard exact, ports_seen shard R1 l4.sport", ""],
  ["psd", "shard exact, probes shard R2 ipv4.src; sources shard R1 ipv4.src", ""],
  ["r3-maps", "shard merged, by_source shard R1 ipv4.src[16:32]; by_destination merge", ""],
  ["rewrites", "shard exact, counts shard R1 ipv4.dst", ""],
  ["symmetric", "shard exact, pairs shard R1 ipv4.src,ipv4.dst", ""],
  ["two-lengths", "shard exact, counts shard R2 ipv4.src/24", ""],
  ["vlan", "sequential exact, sources sequential", "sources R-vlan-tags"],
  ["dual-stack", "shard exact, sources4 shard R1 ipv4.src; sources6 shard R1 ipv6.src", ""],
  ["dual-map", "shard exact, sources shard R1 ipv4.src,ipv6.src", ""],
  ["mapped", "shard exact, sources shard R1 ipv4.src,ipv6.src", ""],
  ["cpus", "merge merged, by_hand copy; per_cpu copy; events copy; .bss merge", ".bss R4-constant-key"],
  ["gcount", "sequential exact, per_source sequential; total sequential", "total R4-constant-key"],
  ["locked", "sequential exact, sources sequential; swapped sequential", "swapped R4-constant-key"],
  ["ctrnat", "sequential exact, out_map sequential; next_port sequential; in_map sequential", "next_port R4-constant-key, in_map R4-state-derived"],
  ["dbridge", "sequential exact, stations sequential", "stations R4-mac"],
  ["mac-count", "sequential exact, stations sequential", "stations R4-mac"],
  ["r3", "sequential exact, counts sequential", "counts R3-disjoint"],
  ["either", "sequential exact, counts sequential", "counts R3-disjoint"],
  ["hashed", "shard partitioned, cells shard R2 ipv4.src", ""],
  ["tail", "sequential exact, sources sequential; next sequential", " R-tail-call"],
  ["walk", "sequential exact, cells sequential", "cells R4-opaque"],
  ["prefixes", "sequential exact, networks sequential", "networks R4-opaque"],
  ["queue-verdict", "shard exact, sources shard R1 ipv4.src", ""],
  ["short-ipv6", "shard exact, sources shard R1 ipv6.src", ""],
  ["fixed-types", "sequential exact, inner sequential; outer sequential; outer[] sequential; locked sequential; mapped sequential",
    "inner R4-constant-key, outer[] R4-constant-key, locked R4-constant-key, mapped R4-constant-key"],
];

for (const [name, want, codes] of cases)
  test(`${name}: ${want}`, { skip: noClang }, () => {
    const one = compiledCase(name);
    // ctrnat's report names one port only; the plan is made for both.
    const plan = planOf(one);
    equal(summary(plan).replaceAll(/(lan|wan):/g, ""), want);
    const refused = plan.refusals.filter(
      ({ strategy }) => strategy === "shard",
    );
    equal(
      refused.map(({ object, code }) => `${object} ${code}`).join(", "),
      codes,
    );
    for (const { edit, obligation, slice, at } of plan.refusals) {
      ok(edit.length > 10 && obligation.length > 10);
      ok(slice.length === 0 || at?.line !== undefined, "a refusal has a line");
    }
    equal(plan.fallback === undefined, plan.strategy !== "sequential");
  });

// What differs from one core's run is said, even where no check meets it.
// prettier-ignore
const deviations: readonly (readonly [string, string])[] = [
  ["queue-verdict", "full-table core-number core-number"],
  ["short-ipv6", "full-table malformed-header"],
  ["ipv6", "full-table"],
  ["dual-stack", "full-table full-table"],
];

for (const [name, want] of deviations)
  test(`${name} differs in ${want}`, { skip: noClang }, () => {
    const plan = planOf(compiledCase(name));
    equal(plan.deviations.map(({ code }) => code).join(" "), want);
  });

test("sums that parts do not add up to", { skip: noClang }, () => {
  const { refusals } = planOf(compiledCase("sums"));
  const merges = refusals.filter(({ strategy }) => strategy === "merge");
  deepEqual(
    merges.map(({ object, code }) => `${object} ${code}`),
    [
      "crossing R-crossing-sums",
      "narrow R-old-value-used",
      "cut R-old-value-used",
    ],
  );
});

test("what cannot become per-CPU is not merged", { skip: noClang }, () => {
  const { refusals } = planOf(compiledCase("fixed-types"));
  const merges = refusals.filter(({ strategy }) => strategy === "merge");
  const why = /spin lock|maps of maps|into memory/;
  equal(merges.length, 4);
  for (const { code, text } of merges) {
    equal(code, "R-merge-type");
    match(text, why);
  }
});

test(
  "software dispatch is offered where a key exists that no NIC hashes",
  { skip: noClang },
  () => {
    const plan = planOf(compiledCase("mac-count"));
    deepEqual(
      plan.alternatives.map(({ fields }) => fields),
      [[{ port: "any", fields: ["eth.src"] }]],
    );
    deepEqual(planOf(compiledCase("dbridge")).alternatives, []);
    // veth has no hash at all: the key of port-knock has to be hashed in software.
    const veth = planOf(networkFunction("port-knock"), "veth");
    equal(veth.refusals[0]?.code, "rss-no-rss");
    match(veth.alternatives[0]?.text ?? "", /ipv4\.src.*55 %/);
  },
);

test("what is forced is done or refused", () => {
  const { report, ports } = networkFunction("port-knock");
  const forced = choosePlan(report, { ports, force: "merge", samples: 10 });
  equal(forced.strategy, "sequential");
  deepEqual(
    forced.refusals.map(({ code }) => code),
    ["R-old-value-used"],
  );
  const one = choosePlan(report, { ports, force: "sequential", samples: 10 });
  equal(one.fallback, undefined);
  equal(one.cores, 1);
  const mitigator = networkFunction("ddos-mitigator");
  const exact = choosePlan(mitigator.report, { grade: "exact", samples: 10 });
  equal(exact.strategy, "sequential");
  deepEqual(
    exact.rejected.map(({ object, strategy }) => `${object} ${strategy}`),
    ["dropped merge"],
  );
});

test("a plan as text has 30 lines of 80 columns at most", () => {
  for (const [name] of functions) {
    const lines = printPlan(planOf(networkFunction(name))).split("\n");
    ok(lines.length <= 31, name);
    for (const line of lines) ok(line.length <= 80, `${name}: ${line}`);
  }
  equal(
    printPlan(planOf(networkFunction("port-knock")))
      .replace(/[0-9a-f]{24}/, "KEY")
      .replace(/1\.0\d times/, "1.0N times"),
    `port_knock: shard on 4 cores, grade exact

objects  sources  shard: one core per ipv4.src (R1: port-knock.c:66)
NIC      generic, index mode, 57 free key bits, 128 of 128 table entries
           reached, busiest core 1.0N times the mean
         key KEY… (40 bytes)
differs  which keys find sources full depends on the order across cores; equal
           while it does not fill
`,
  );
});

test("the JSON of analyze and split has its fixed fields", () => {
  const one = networkFunction("firewall");
  const json = analyzeJson(one.report, {
    type: "xdp",
    ms: 1,
    ports: one.ports,
  });
  deepEqual(JSON.parse(JSON.stringify(json)), json);
  equal(json.schema, "divisi.analyze/1");
  deepEqual(json.program, {
    name: "firewall",
    type: "xdp",
    insns: 149,
    maps: 2,
  });
  const [flows] = json.objects;
  equal(flows?.access, "read-write");
  deepEqual(
    flows?.strategies.map(({ name, verdict }) => `${name} ${verdict}`),
    ["copy no", "shard yes", "merge no"],
  );
  deepEqual(
    json.races.map(({ kind }) => kind),
    ["lost-update", "check-then-act", "unlocked-write"],
  );
  const plan = planJson(planOf(one));
  deepEqual(JSON.parse(JSON.stringify(plan)), plan);
  deepEqual(
    plan.rss?.ports.map(({ name }) => name),
    ["lan", "wan"],
  );
});
