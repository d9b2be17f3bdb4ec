/** The models that imitate: sizes of real traffic, attacks, and traffic that changes. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../base/index.ts";
import {
  checkChecksums,
  fiveTuple,
  parseFrame,
  readField,
} from "../packet/index.ts";
import { attackFlows, attackKinds, type AttackKind } from "./attack-kinds.ts";
import { generate } from "./generate.ts";
import { parseGenerator } from "./generator.ts";
import type { TracePacket } from "./packet.ts";
import { rankProfiles, rankSizes } from "./rank-sizes.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

function make(text: string): TracePacket[] {
  return [...generate(parseGenerator(text))];
}

function flowOf({ data }: TracePacket): string {
  const it = fiveTuple(parseFrame(data));
  return it === undefined
    ? ""
    : `${it.src} ${it.dst} ${it.protocol} ${it.sport} ${it.dport}`;
}

function counts(packets: readonly TracePacket[]): Map<string, number> {
  const map = new Map<string, number>();
  for (const packet of packets) {
    const flow = flowOf(packet);
    map.set(flow, (map.get(flow) ?? 0) + 1);
  }
  return map;
}

function sorted(map: ReadonlyMap<string, number>): number[] {
  return [...map.values()].sort((left, right) => right - left);
}

function percent(part: number, whole: number): number {
  return Math.round((1000 * part) / whole) / 10;
}

// Flows for 50, 80, 90, 95, 99 % of the packets; shares of the 1, 10, 100, 1,000 largest.
// prettier-ignore
const golden = {
  caida: { flowsFor: [332, 2967, 6304, 8804, 10_804], shares: [4.9, 16.5, 36.6, 64.6], imbalance: [[4, 1.14], [8, 1.35], [16, 1.66]] },
  kth:   { flowsFor: [30, 184, 496, 1011, 1619],      shares: [7.1, 29.9, 71.8, 94.9], imbalance: [[4, 1.24], [8, 1.53], [16, 2.16]] },
} as const;

for (const name of ["caida", "kth"] as const)
  void test(`${name}: one window has the published figures`, () => {
    const profile = rankProfiles[name];
    const packets = make(`gen:${name},packets=${profile.packets},seed=${seed}`);
    const sizes = sorted(counts(packets));
    equal(sizes.length, profile.flows);
    deepEqual(sizes.slice(0, 10), profile.largest);
    for (const [least, flows] of profile.atLeast)
      equal(sizes.filter((size) => size >= least).length, flows, `>= ${least}`);
    const top = (count: number): number =>
      sizes.slice(0, count).reduce((sum, size) => sum + size, 0);
    const { shares, flowsFor } = golden[name];
    for (const [index, count] of [1, 10, 100, 1000].entries()) {
      const have = percent(top(count), profile.packets);
      const want = shares[index] ?? 0;
      ok(Math.abs(have - want) <= 0.1, `top ${count}: ${have}, not ${want}`);
    }
    for (const [index, part] of [50, 80, 90, 95, 99].entries()) {
      let sum = 0;
      let flows = 0;
      while (100 * sum < part * profile.packets) sum += sizes[flows++] ?? 0;
      const want = flowsFor[index] ?? 0;
      ok(Math.abs(flows - want) <= 1, `${part} %: ${flows}, not ${want}`);
    }
  });

for (const name of ["caida", "kth"] as const)
  void test(`${name}: flows placed at random load queues as published`, () => {
    const sizes = rankSizes(rankProfiles[name]);
    const random = new Random(seed);
    for (const [queues, want] of golden[name].imbalance) {
      const ratios = Array.from({ length: 1001 }, () => {
        const load = new Float64Array(queues);
        for (const size of sizes) {
          const queue = random.below(queues);
          load[queue] = (load[queue] ?? 0) + size;
        }
        return (Math.max(...load) * queues) / rankProfiles[name].packets;
      }).sort((left, right) => left - right);
      const median = ratios[500] ?? 0;
      ok(
        Math.abs(median / want - 1) < 0.04,
        `${queues} queues: ${median}, not ${want} (seed ${seed})`,
      );
    }
  });

test("windows: large flows persist, small ones are new", () => {
  const { packets, atLeast } = rankProfiles.kth;
  const all = make(`gen:kth,packets=${2 * packets}`);
  const first = counts(all.slice(0, packets));
  const second = counts(all.slice(packets));
  const both = [...first.keys()].filter((flow) => second.has(flow));
  equal(both.length, atLeast.find(([least]) => least === 50)?.[1]);
  ok(both.every((flow) => (first.get(flow) ?? 0) >= 50));
});

test("attacks: packets and flows as they are known", () => {
  for (const kind of Object.keys(attackKinds) as AttackKind[]) {
    const row = attackKinds[kind];
    const packets = make(`gen:attack,kind=${kind},packets=${row.packets}`);
    equal(packets.length, row.packets);
    equal(attackFlows(kind, row.packets), row.flows, kind);
    if (kind === "odd" || kind === "fragments") continue;
    const flows = counts(packets).size;
    // Where the flow is drawn, a few of thousands may not come up.
    ok(flows <= row.flows && flows >= 0.95 * row.flows, `${kind}: ${flows}`);
  }
});

test("attacks: what each kind is", () => {
  const odd = make("gen:attack,kind=odd,packets=9");
  equal(new Set(odd.map(({ data }) => data.join())).size, 9);
  deepEqual(
    odd.map(({ data }) => (data[12] ?? 0) * 256 + (data[13] ?? 0)),
    [0x806, 0x800, 0x88a8, 0x8847, 0x86dd, 0x800, 0x800, 0x800, 0x800],
  );
  const parts = make("gen:attack,kind=fragments,packets=1000,size=98");
  const word = ({ data }: TracePacket): number =>
    (data[20] ?? 0) * 256 + (data[21] ?? 0);
  for (let index = 0; index < parts.length; index += 2) {
    const [first, second] = [parts[index], parts[index + 1]];
    if (first === undefined || second === undefined) continue;
    deepEqual([word(first) & 0x3fff, word(second) & 0x1fff], [0x2000, 3]);
    deepEqual(first.data.slice(18, 20), second.data.slice(18, 20));
  }
  const flood = make("gen:attack,kind=syn-flood,packets=2000");
  ok(
    flood.every(
      ({ data }) => Number(readField(parseFrame(data), "tcp.flags")) === 2,
    ),
  );
  equal(new Set(flood.map((packet) => flowOf(packet))).size, 200);
  const dhcp = make("gen:attack,kind=dhcp-flood,packets=50");
  equal(counts(dhcp).size, 1);
  equal(new Set(dhcp.map(({ data }) => data.slice(42).join())).size, 50);
  for (const [kind, share] of [
    ["elephant", 0.83],
    ["two-flows", 0.78],
  ] as const) {
    const [top = 0] = sorted(
      counts(make(`gen:attack,kind=${kind},packets=20000,seed=${seed}`)),
    );
    ok(Math.abs(top / 20_000 - share) < 0.015, `${kind}: ${top}`);
  }
  for (const { data } of make("gen:attack,kind=brute-force,packets=200"))
    deepEqual(checkChecksums(data), { ipv4: "good", transport: "good" });
});

/** Distinct flows in each of `parts` equal parts. */
function flowsIn(
  packets: readonly TracePacket[],
  parts: number,
): Set<string>[] {
  const size = packets.length / parts;
  return Array.from(
    { length: parts },
    (_, part) =>
      new Set(counts(packets.slice(part * size, (part + 1) * size)).keys()),
  );
}

test("traffic that changes", () => {
  const ramp = flowsIn(make("gen:ramp,packets=40000,flows=400"), 4).map(
    ({ size }) => size,
  );
  deepEqual(
    ramp.map((size, part) => Math.abs(size - 100 * (part + 1)) < 12),
    [true, true, true, true],
    String(ramp),
  );

  const [a, b, c] = flowsIn(
    make("gen:flip-flop,packets=30000,flows=100,epochs=3"),
    3,
  );
  equal(a?.size, 50);
  ok(![...(a ?? [])].some((flow) => b?.has(flow)));
  deepEqual([...(a ?? [])].sort(), [...(c ?? [])].sort());

  const moving = make("gen:moving-zipf,packets=40000,flows=1000,epochs=4");
  const largest = [0, 1, 2, 3].map((part) => {
    const part4 = counts(moving.slice(part * 10_000, (part + 1) * 10_000));
    return [...part4].sort((left, right) => right[1] - left[1])[0]?.[0];
  });
  equal(new Set(largest).size, 4);

  const crowd = make("gen:flash-crowd,packets=30000,flows=500");
  const toServer = [0, 1, 2].map((part) => {
    const all = crowd.slice(part * 10_000, (part + 1) * 10_000);
    const server = new Map<string, number>();
    for (const { data } of all) {
      const dst = data.slice(30, 34).join(".");
      server.set(dst, (server.get(dst) ?? 0) + 1);
    }
    return sorted(server)[0] ?? 0;
  });
  ok((toServer[0] ?? 0) < 500 && (toServer[2] ?? 0) < 500, String(toServer));
  ok(Math.abs((toServer[1] ?? 0) - 8000) < 200, String(toServer));

  const bursts = make("gen:burst,packets=20000,flows=300,length=32");
  let runs = 0;
  let before = "";
  for (const packet of bursts) {
    const flow = flowOf(packet);
    if (flow !== before) runs++;
    before = flow;
  }
  ok(Math.abs(20_000 / runs - 32) < 3, `${20_000 / runs} a burst`);
});

test("each of them is the same for the same words, and has many flows' tuples", () => {
  for (const model of [
    "caida",
    "kth",
    "attack",
    "ramp",
    "flash-crowd",
    "flip-flop",
    "moving-zipf",
    "burst",
  ]) {
    const text = `gen:${model},packets=500`;
    deepEqual(make(text), make(text));
  }
});
