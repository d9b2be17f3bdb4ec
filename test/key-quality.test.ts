/**
 * Keys that ship: busiest core over the mean at most 1.10 on 16 cores, for what the
 * network functions ask for and on every profile that can, and below what published
 * keys have. Where one key (one /8) is all there is, no hash helps: those are named.
 */
import { equal, ok } from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { analyseLoaded, choosePlan, load } from "divisi";
import { nicProfile, solveKeys, type Requirement } from "#rss";
import { root } from "./support/cli.ts";

const target = 1.1;
const classes = [
  ["tcp4", "udp4"],
  ["tcp4", "udp4"],
] as const;

/** Packets of the WAN that agree on the first bits of these fields meet. */
function wan(
  ...fields: readonly (readonly ["ipv4.src" | "ipv4.dst", number])[]
): Requirement {
  return {
    ports: ["lan", "wan"],
    conjuncts: [
      {
        ports: ["wan", "wan"],
        equations: fields.flatMap(([field, bits]) =>
          Array.from({ length: bits }, (_, bit) => {
            const form = { bits: [{ field, bit }], constant: 0 } as const;
            return { left: form, right: form };
          }),
        ),
        classes,
      },
    ],
  };
}

// The last column: max over mean with the published key, 16 cores, worst row.
// prettier-ignore
const rows: readonly (readonly [string, Requirement, number])[] = [
  ["policer",             wan(["ipv4.dst", 32]),                     16],
  ["port-scan-detector",  wan(["ipv4.src", 32]),                   4.05],
  ["hhh /28",             wan(["ipv4.src", 28]),                     16],
  ["connection-limiter",  wan(["ipv4.src", 32], ["ipv4.dst", 32]), 1.22],
];

for (const nic of ["generic", "x710", "e810", "mlx5"])
  for (const [name, requirement, published] of rows)
    test(`${name} on ${nic}`, () => {
      const answer = solveKeys(requirement, {
        profile: nicProfile(nic),
        cores: 16,
      });
      ok(answer.kind === "solution");
      for (const { imbalance } of answer.ports)
        for (const load of Object.values(imbalance)) {
          ok(load <= target, JSON.stringify(imbalance));
          ok(load < published);
        }
    });

// One /8, or one destination port, is a single key of these.
const fewKeys = new Set(["hhh", "arr"]);

test("every network function that a NIC can shard", () => {
  const folder = join(root, "nfs/c");
  let sharded = 0;
  for (const file of readdirSync(folder).filter((name) =>
    name.endsWith(".o"),
  )) {
    const options = {
      file,
      set: [],
      ports: [
        { name: "lan", ifindex: 1 },
        { name: "wan", ifindex: 2 },
      ],
      userWrites: [],
      kernelBtf: () => undefined,
    };
    const bytes = readFileSync(join(folder, file));
    const analysed = analyseLoaded(load(bytes, options), options);
    const { strategy, rss } = choosePlan(analysed.report, {
      cores: 16,
      profile: "e810",
      ports: analysed.ports,
    });
    if (strategy !== "shard" || rss === undefined) continue;
    sharded++;
    equal(rss.cores, 16);
    for (const { name, imbalance } of rss.ports)
      ok(
        Object.values(imbalance).every((load) => load <= target) ||
          fewKeys.has(file.replace(".o", "")),
        `${file} ${name}: ${JSON.stringify(imbalance)}`,
      );
  }
  ok(sharded >= 8, `${sharded} of them sharded`);
});
