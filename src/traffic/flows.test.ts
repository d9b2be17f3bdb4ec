import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../base/index.ts";
import { buildFrame, parsePrefix, type FrameSpec } from "../packet/index.ts";
import { fitZipf, flowStatistics } from "./flows.ts";
import type { TracePacket } from "./packet.ts";
import { mergeByPort, portsByPrefix } from "./ports.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);
const udp = { sport: 1, dport: 2 };
const ipv4 = { src: "10.0.0.1", dst: "192.168.0.1" };
const packet = (spec: FrameSpec, time = 0n, port = 0): TracePacket => {
  const data = buildFrame(spec);
  return { data, wireLength: data.length, time, port };
};

test("counts of a small trace", async () => {
  const cut = packet({ ipv4, udp, size: 100 }, 2_000_000_000n, 2);
  const found = await flowStatistics([
    packet({ ipv4, udp }, 1_000_000_000n),
    packet({ ipv4, tcp: udp }, 1_500_000_000n),
    { ...cut, data: cut.data.subarray(0, 50) },
    packet({ arp: { op: 1, senderIp: 1n, targetIp: 2n } }, 1_600_000_000n),
    packet({ eth: { type: 0x88cc } }, 1_700_000_000n),
    packet({ ipv4: { ...ipv4, protocol: 89 } }, 1_800_000_000n),
    packet({ ipv4, icmp: { type: 8 } }, 1_900_000_000n),
  ]);
  deepEqual(
    { ...found, zipf: undefined, shares: undefined, size: undefined },
    {
      packets: 7,
      flows: 6,
      bytes: 42 + 54 + 100 + 42 + 14 + 34 + 42,
      truncated: 1,
      size: undefined,
      shares: undefined,
      zipf: undefined,
      flowsFor: { half: 3, most: 6 },
      nanoseconds: 1_000_000_000n,
      packetsPerSecond: 6,
      bitsPerSecond: (8 * 328 * 6) / 7,
      newFlowsPerSecond: 36 / 7,
      protocols: {
        udp: 2,
        tcp: 1,
        arp: 1,
        "ethertype-88cc": 1,
        "ip-89": 1,
        icmp: 1,
      },
      ports: [6, 0, 1],
    },
  );
  equal(found.shares.top1, 2 / 7);
  equal(found.shares.top10, 1);
});

test("an empty trace has no flows and no rate", async () => {
  const found = await flowStatistics([]);
  deepEqual(
    [
      found.packets,
      found.flows,
      found.packetsPerSecond,
      found.size.least,
      found.zipf,
    ],
    [0, 0, undefined, 0, undefined],
  );
});

test("the fit finds the exponent of exact Zipf counts", () => {
  for (const skew of [0, 0.5, 1, 1.26, 2])
    for (const ranks of [10, 1000, 50_000]) {
      const counts = Float64Array.from(
        { length: ranks },
        (_, rank) => (rank + 1) ** -skew,
      );
      const fit = fitZipf(counts);
      ok(
        fit !== undefined &&
          Math.abs(fit.skew - skew) < 0.005 &&
          fit.distance < 0.005,
        `${skew} over ${ranks}: ${JSON.stringify(fit)}`,
      );
    }
  // Counts that are no power law are far from any.
  const steps = Float64Array.from({ length: 100 }, (_, rank) =>
    rank < 50 ? 1000 : 1,
  );
  ok((fitZipf(steps)?.distance ?? 0) > 0.1);
});

test("ports by the side of the source, and by file in order of time", async () => {
  const gather = async (trace: AsyncIterable<TracePacket>): Promise<string> => {
    const all: string[] = [];
    for await (const { port, time } of trace) all.push(`${port}:${time}`);
    return all.join(" ");
  };
  const back = { src: ipv4.dst, dst: ipv4.src };
  const trace = [
    packet({ ipv4, udp }, 1n),
    packet({ ipv4: back, udp }, 2n),
    packet({ eth: {} }, 3n),
  ];
  equal(
    await gather(
      portsByPrefix(trace, parsePrefix("10.0.0.0/8"), {
        inside: 4,
        outside: 7,
      }),
    ),
    "4:1 7:2 7:3",
  );
  const random = new Random(seed);
  const times = (count: number): bigint[] =>
    Array.from({ length: count }, () => BigInt(random.below(50))).sort((a, b) =>
      Number(a - b),
    );
  const traces = [times(30), times(0), times(20)].map((list) =>
    list.map((time) => packet({ eth: {} }, time)),
  );
  const merged = await gather(mergeByPort(traces));
  const want = traces
    .flatMap((list, port) => list.map(({ time }) => ({ port, time })))
    .sort((a, b) => Number(a.time - b.time) || a.port - b.port);
  equal(
    merged,
    want.map(({ port, time }) => `${port}:${time}`).join(" "),
    `seed ${seed}`,
  );
});
