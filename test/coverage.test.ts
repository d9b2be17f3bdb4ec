/**
 * What makes a run strong must be in reach: a program for IPv6 whose trace is IPv4 only,
 * and look-ups in arrays whose index is always in range.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import type { PacketInput } from "#interp";
import { buildFrame } from "#packet";
import { coveringPackets } from "divisi";
import { artifactOf, planCell, subjectOf } from "./support/matrix.ts";
import { compiledCase, noClang } from "./strategy-cases.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

const ipv4: PacketInput = {
  data: buildFrame({
    ipv4: { src: "10.0.0.1", dst: "10.0.0.2" },
    udp: { sport: 1, dport: 2 },
  }),
  ifindex: 1,
  rxQueue: 0,
  cpu: 0,
  time: 1n,
};

test(
  `packets of IPv6 are found from seeds of IPv4 (seed ${seed})`,
  { skip: noClang },
  () => {
    const { spec, report, ports } = compiledCase("ipv6");
    const { packets } = coveringPackets({
      program: spec,
      report,
      ports,
      cpus: 1,
      seeds: [ipv4],
      seed,
      budget: 3000,
    });
    const written = packets.filter(
      ({ data }) => data[12] === 0x86 && data[13] === 0xdd && data.length >= 58,
    );
    ok(written.length > 2, `${written.length} of ${packets.length}`);
  },
);

for (const language of ["C", "TypeScript"] as const)
  test(`arr in ${language}: the null that no index gives is not asked for (seed ${seed})`, async () => {
    const subject = await subjectOf("arr", language, "small", {
      seed,
      packets: 200,
      search: 3000,
      kinds: ["uniform"],
    });
    const cell = planCell(subject, artifactOf(subject, 3), {
      seed,
      mutants: 8,
      strategy: "plan",
      cores: 3,
    });
    deepEqual(cell.weaknesses, []);
    equal(cell.strength, "strong");
    equal(cell.mismatches, 0);
  });
