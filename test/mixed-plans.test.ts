/**
 * A plan that shards some objects and locks others: in pass 2 the cores have what is
 * sharded each for itself and what is locked together. Wrong on either side is seen: a
 * reference that parts a locked object, and an artifact that makes one private.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import type { MapTypeName } from "#isa";
import type { ObjectPart } from "#strategy";
import {
  artifactOf,
  planCell,
  planTexts,
  subjectOf,
  type Cell,
} from "./support/matrix.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);
const cores = 3;
const subject = await subjectOf("load-balancer", "C", "small", {
  seed,
  packets: 200,
  search: 0,
  kinds: ["uniform", "churn"],
});
const artifact = artifactOf(subject, cores);
const { plan, emitted } = artifact;

const cellOf = (changed: Partial<typeof artifact>): Cell =>
  planCell(
    subject,
    { ...artifact, ...changed },
    { seed, strategy: "plan", cores, mutants: 0 },
  );

test("flows are sharded, backends and their slots locked, in one plan", () => {
  const flows = "shard R1 wan:ipv4.dst,ipv4.src,l4.dport,l4.sport";
  deepEqual(planTexts(plan), {
    slots: "lock",
    ports: "copy",
    flows,
    flows_chain: flows,
    backends: "lock",
    backends_chain: "lock",
  });
});

test(`cores share what is locked (seed ${seed})`, () => {
  const { mismatches, first, tested } = cellOf({});
  deepEqual(first, []);
  equal(mismatches, 0);
  ok((tested?.verdicts["redirect"] ?? 0) > 50, "backends are used");
});

test("a reference that parts a locked object is seen", () => {
  const parted = (part: ObjectPart): ObjectPart =>
    part.object.startsWith("backends")
      ? { ...part, strategy: "shard", fields: [] }
      : part;
  const wrong = { ...plan, objects: plan.objects.map(parted) };
  ok(cellOf({ plan: wrong }).mismatches > 0);
});

/** Seen by what becomes of packets, not by the private map alone. */
const outcomes = ["verdict", "bytes"];
for (const [name, type, kinds] of [
  ["backends", "percpu_hash", ["state"]],
  ["backends_chain", "percpu_array", outcomes],
  ["slots", "percpu_array", outcomes],
] as const satisfies readonly (readonly [
  string,
  MapTypeName,
  readonly string[],
])[])
  test(`an artifact with ${name} private is seen`, () => {
    const maps = emitted.maps.map((map) =>
      map.name === name ? { ...map, type } : map,
    );
    const { tested } = cellOf({ emitted: { ...emitted, maps } });
    const found: readonly string[] =
      tested?.first.map(({ kind }) => kind) ?? [];
    ok(
      kinds.some((kind) => found.includes(kind)),
      found.join(),
    );
  });
