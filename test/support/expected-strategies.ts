/**
 * What every network function of the suite must come to on four cores behind the generic
 * NIC profile, C and TypeScript alike: strategy, rule and fields of each object, and the
 * grade of the plan. A weaker grade than here is a failure.
 *
 * What cannot be sharded is named with the code of its refusal, and with what becomes of
 * it instead; the plan must never shard it. Of two that cannot be sharded together (r3) the
 * one that is told first is locked. Where nothing ties packets together, any spreading is
 * right.
 *
 * Two rows say more than the source's: what port-scan-detector keeps by source and port
 * lies in cells of the source's index, so that both are R1 by the source (there: R2);
 * load-balancer's flows are sharded, and only backends are locked.
 *
 * Source: the table of verdicts in Maestro (NSDI'24), as the suite's semantics refine it.
 */
import type { Grade } from "#strategy";

export interface ExpectedPlan {
  /** The weakest that is accepted. */
  readonly grade: Grade;
  /** As `partText` says it: ports and fields sorted. Copies need not be named. */
  readonly objects: Readonly<Record<string, string>>;
  /** Objects that must be refused, by code. */
  readonly refused?: Readonly<Record<string, string>>;
}

const four = "ipv4.dst,ipv4.src,l4.dport,l4.sport";
const bothWays = `lan:${four} wan:${four}`;
/** A hash map and the chain of its indices are one family. */
const family = (name: string, text: string) => ({
  [name]: text,
  [`${name}_chain`]: text,
});

// prettier-ignore
export const expectedPlans: Readonly<Record<string, ExpectedPlan>> = {
  "nop": { grade: "exact", objects: {} },
  "fwd": { grade: "exact", objects: {} },
  "static-bridge": { grade: "exact", objects: {} },
  "allow": { grade: "exact", objects: {} },
  "proxy": { grade: "exact", objects: {} },
  "policer": { grade: "exact", objects: { buckets: "shard R1 wan:ipv4.dst" } },
  "firewall": { grade: "exact", objects: { flows: `shard R1 ${bothWays}` } },
  "nat": { grade: "partitioned", objects: family("flows", "shard R5 lan:ipv4.dst,l4.dport wan:ipv4.src,l4.sport") },
  "connection-limiter": { grade: "partitioned", objects: { ...family("flows", "shard R2 wan:ipv4.dst,ipv4.src"), clients: "shard R2 wan:ipv4.dst,ipv4.src" } },
  "port-scan-detector": { grade: "partitioned", objects: { ...family("sources", "shard R1 wan:ipv4.src"), touched: "shard R1 wan:ipv4.src" } },
  "hhh": { grade: "partitioned", objects: family("sources", "shard R2 wan:ipv4.src/8") },
  "hash-lb": { grade: "partitioned", objects: family("flows", `shard R1 wan:${four}`) },
  "dynamic-bridge": { grade: "reordered", objects: family("stations", "lock"), refused: { stations: "R4-mac" } },
  "load-balancer": { grade: "partitioned", objects: { ...family("flows", `shard R1 wan:${four}`), ...family("backends", "lock"), slots: "lock" }, refused: { slots: "R4-iterate", backends: "R4-iterate" } },
  "ctrnat": { grade: "reordered", objects: { flows: `shard R1 lan:${four}`, allocated: "lock", tuples: "lock" }, refused: { allocated: "R4-constant-key", tuples: "R4-state-derived" } },
  "gcount": { grade: "reordered", objects: { sources: "shard R1 port0:ipv4.src", total: "lock" }, refused: { total: "R4-constant-key" } },
  "r3": { grade: "reordered", objects: { sources: "lock", destinations: "shard R1 port0:ipv4.dst" }, refused: { "sources|destinations": "R3-disjoint" } },
  "wan-dedup": { grade: "partitioned", objects: { ...family("payloads", `shard R1 ${bothWays}`), dropped: "merge" } },
  "conntrack": { grade: "exact", objects: { connections: `shard R2 port0:${four}` } },
  "source-counter": { grade: "exact", objects: { sources: "shard R1 port0:ipv4.src" } },
  "flow-counter": { grade: "exact", objects: { flows: `shard R1 port0:${four}` } },
  "heavy-hitter": { grade: "exact", objects: { flows: `shard R1 port0:${four}` } },
  "token-bucket": { grade: "exact", objects: { flows: `shard R1 port0:${four}` } },
  "port-knock": { grade: "exact", objects: { sources: "shard R1 port0:ipv4.src" } },
  "ids": { grade: "merged", objects: { matches: "merge" } },
  "ddos-mitigator": { grade: "merged", objects: { sources: "shard R1 port0:ipv4.src", dropped: "merge" } },
  "arr": { grade: "exact", objects: { counts: "shard R1 port0:l4.dport[8:16]" } },
};
