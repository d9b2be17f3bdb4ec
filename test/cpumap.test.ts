/**
 * Software dispatch in the kernel: real frames over veth to a dispatcher, cpumap workers
 * on two CPUs, each frame as the sequential program has it (support/cpumap.ts). More
 * packets: `node scripts/cpumap-agree.mjs`.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { openKernel, type Kernel } from "#engine";
import { generate, parseGenerator, type TracePacket } from "#traffic";
import { dispatchTraffic } from "./support/dispatch-traffic.ts";
import { tryCpumap, type CpumapTrial } from "./support/cpumap.ts";
import {
  anyEntry,
  sentBackAsIs,
  withoutKeyBytes,
} from "./support/dispatch-mutants.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 4);

function cpumapTest(
  name: string,
  body: (kernel: Kernel) => Promise<void>,
): void {
  void test(`${name} (seed ${seed})`, async () => {
    const kernel = await openKernel();
    try {
      await body(kernel);
    } finally {
      kernel.close();
    }
  });
}

const traffic = (text: string): readonly TracePacket[] => [
  ...generate(parseGenerator(`gen:${text},seed=${seed}`)),
];
const both = traffic("bidirectional,packets=2500,flows=200");
const one = traffic("zipf,packets=2500,flows=200");

type Row = Omit<CpumapTrial, "cores">;
const nat: Row = {
  object: "nfs/c/nat.o",
  trace: both,
  answer: { port: 1, frames: 1000 },
};
const mac: Row = { object: "testdata/dispatch/mac-meter.o", trace: one };

// prettier-ignore
const rows: readonly (readonly [Row, readonly string[]])[] = [
  [{ object: "nfs/c/firewall.o", trace: both, answer: { port: 1, frames: 500 } }, ["", "wire 0", "wire 1"]],
  [nat, ["", "wire 0", "wire 1"]],
  [{ object: "nfs/c/policer.o", trace: both, set: [["rate", "1"], ["burst", "700"]] }, ["", "wire 0", "wire 1"]],
  [{ object: "nfs/c/connection-limiter.o", trace: both }, ["wire 0", "wire 1"]],
  // Sent back by XDP_TX in the sequential program.
  [mac, ["", "wire 0"]],
  [{ object: "testdata/dispatch/vlan-meter.o", trace: dispatchTraffic("tagged", `zipf,packets=1500,flows=200,seed=${seed}`) }, ["wire 0"]],
  [{ object: "testdata/dispatch/gtp-meter.o", trace: dispatchTraffic("gtp", `zipf,packets=1500,flows=200,seed=${seed}`) }, ["", "stack 0"]],
  [{ object: "testdata/dispatch/vxlan-firewall.o", trace: dispatchTraffic("vxlan", `bidirectional,packets=1500,flows=200,tcp=0.5,seed=${seed}`) }, ["", "stack 0", "stack 1"]],
];

for (const [row, places] of rows)
  cpumapTest(`${row.object} on two CPUs`, async (kernel) => {
    const ran = await tryCpumap(kernel, { ...row, cores: 2 });
    deepEqual(ran.first, []);
    equal(ran.mismatches + ran.lost + ran.strays, 0);
    equal(ran.packets >= row.trace.length, true);
    deepEqual(Object.keys(ran.places).sort(), places);
    ok(
      ran.perCpu.every((packets) => packets > 0),
      ran.perCpu.join(),
    );
  });

// prettier-ignore
const mutants: readonly (readonly [string, Row, NonNullable<CpumapTrial["spoil"]>])[] = [
  ["a hash without some key bytes on one port", nat, withoutKeyBytes],
  ["a table that sends one key to two CPUs", nat, anyEntry],
  ["XDP_TX as it is", mac, sentBackAsIs],
];

for (const [name, row, spoil] of mutants)
  cpumapTest(`caught: ${name}`, async (kernel) => {
    const ran = await tryCpumap(kernel, { ...row, cores: 2, spoil });
    ok(ran.mismatches > 0);
  });

cpumapTest("queue and interface are those of the NIC", async (kernel) => {
  const seen: number[][] = [];
  const ran = await tryCpumap(kernel, {
    object: "testdata/dispatch/queue-meter.o",
    trace: one,
    cores: 2,
    queue: 1,
    look: (loaded) => {
      for (const [, [value = new Uint8Array()]] of loaded
        .map("arrivals")
        .entries())
        seen.push([...new Uint32Array(value.slice(8, 20).buffer)]);
    },
  });
  equal(ran.lost + ran.strays, 0);
  ok(ran.perCpu.every((packets) => packets > 0));
  ok(seen.length > 100);
  // Interface 3, queue 1; of metadata only what stood there before (a tag of the test).
  deepEqual([...new Set(seen.map((words) => words.join()))], ["3,1,8"]);
});
