import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { test } from "node:test";
import { InputError, Random, toHex } from "../base/index.ts";
import {
  buildFrame,
  checkChecksums,
  fiveTuple,
  parseFrame,
  readField,
  reverseTuple,
  tcpFlags,
  type FiveTuple,
} from "../packet/index.ts";
import { flowStatistics, queueLoad } from "./flows.ts";
import { dressed, FrameMill, flowTuple } from "./frame-mill.ts";
import { generate } from "./generate.ts";
import { isGenerator, parseGenerator, printGenerator } from "./generator.ts";
import type { TracePacket } from "./packet.ts";
import { zipfSampler } from "./zipf-sampler.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

function make(text: string): TracePacket[] {
  return [...generate(parseGenerator(text))];
}

function tuple({ data }: TracePacket): FiveTuple {
  const found = fiveTuple(parseFrame(data));
  ok(found !== undefined);
  return found;
}

const name = (it: FiveTuple): string =>
  `${it.src} ${it.dst} ${it.protocol} ${it.sport} ${it.dport}`;

test("words: defaults, units, canonical form", () => {
  // prettier-ignore
  const cases: readonly (readonly [string, string])[] = [
    ["gen:zipf", "gen:zipf,packets=200000,flows=1000,seed=1,skew=1.26,size=64,rate=1000000,tcp=0.8,v6=0,vlan=0,hosts=0,port=0"],
    ["gen:zipf,packets=1m,flows=10k,seed=3", "gen:zipf,packets=1000000,flows=10000,seed=3,skew=1.26,size=64,rate=1000000,tcp=0.8,v6=0,vlan=0,hosts=0,port=0"],
    ["uniform,size=imix,tcp=50%,rate=1.5m", "gen:uniform,packets=200000,flows=1000,seed=1,size=imix,rate=1500000,tcp=0.5,v6=0,vlan=0,hosts=0,port=0"],
    ["gen:single-flow,size=64+1514", "gen:single-flow,packets=200000,flows=1,seed=1,size=64+1514,rate=1000000,tcp=1,v6=0,vlan=0,hosts=0,port=0"],
    ["gen:bidirectional", "gen:bidirectional,packets=200000,flows=1000,seed=1,skew=0,size=64,rate=1000000,tcp=0.8,v6=0,vlan=0,hosts=0,lan=0,wan=1,replies=0.5,unsolicited=0.01"],
    ["gen:churn,length=20", "gen:churn,packets=200000,flows=1000,seed=1,size=64,rate=1000000,tcp=1,v6=0,vlan=0,hosts=0,port=0,length=20"],
    ["gen:caida,packets=1k", "gen:caida,packets=1000,seed=1,size=64,rate=1000000,tcp=0.8,v6=0,vlan=0,hosts=0,port=0"],
    ["gen:attack,kind=odd", "gen:attack,packets=200000,seed=1,size=64,rate=1000000,tcp=1,v6=0,vlan=0,hosts=0,port=0,kind=odd"],
    ["gen:coverage", "gen:coverage,packets=200000,flows=1000,seed=1,size=64,rate=1000000,tcp=0.8,v6=0,vlan=0,hosts=0,port=0"],
  ];
  for (const [text, want] of cases) {
    const model = parseGenerator(text);
    equal(printGenerator(model), want);
    deepEqual(parseGenerator(want), model);
  }
  deepEqual([isGenerator("gen:zipf"), isGenerator("a.pcap")], [true, false]);
});

test("words: what is wrong, and what was meant", () => {
  // prettier-ignore
  const cases: readonly (readonly [string, RegExp])[] = [
    ["gen:zip", /did you mean zipf/], ["gen:", /one of uniform/], ["gen:constructor", /unknown generator/],
    ["gen:zipf,flow=3", /did you mean flows/], ["gen:uniform,skew=1", /unknown option of generator uniform/],
    ["gen:zipf,flows", /needs one value/], ["gen:zipf,flows=1=2", /needs one value/], ["gen:zipf,flows=", /whole number/],
    ["gen:zipf,flows=0", /from 1 to/], ["gen:zipf,flows=1.5", /whole number/], ["gen:zipf,flows=1e9", /whole number/],
    ["gen:zipf,flows=-1", /whole number/], ["gen:zipf,flows=5%", /whole number/], ["gen:zipf,tcp=2", /share/],
    ["gen:zipf,skew=1k", /number/], ["gen:zipf,size=59", /from 60/], ["gen:zipf,size=64+", /joined/],
    ["gen:zipf,seed=1,seed=1", /twice/], ["gen:attack,kind=syn-flod", /did you mean syn-flood/], ["gen:caida,flows=3", /unknown option of generator caida/],
    ["gen:flip-flop,epochs=0", /from 1 to/], ["gen:single-flow,flows=2", /one flow/], ["gen:bidirectional,wan=0", /different/],
  ];
  for (const [text, want] of cases)
    throws(
      () => parseGenerator(text),
      (error: unknown) =>
        error instanceof InputError &&
        error.kind === "usage" &&
        want.test(error.message),
      text,
    );
  throws(() => make("gen:coverage"), /needs a program/);
});

/** The frame's own address 6 at a place, which must be in the host's /64. */
function address6(frame: Uint8Array, at: number, host: number): bigint {
  const bytes = frame.subarray(at, at + 16);
  const address = BigInt(`0x${toHex(bytes)}`);
  equal(address >> 64n, (0x2001_0db8n << 32n) | BigInt(host));
  return address;
}

test("frames are what the frame builder would make", () => {
  const mill = new FrameMill();
  const random = new Random(seed);
  for (let round = 0; round < 300; round++) {
    const flow = dressed(
      flowTuple(random.u32() >>> 8, {
        seed: random.u32(),
        hosts: 1 + random.below(1000),
        tcp: 0.5,
      }),
      { seed: random.u32(), v6: 0.5, vlan: 0.5 },
    );
    const size = 78 + random.below(200);
    const reply = random.chance(0.5);
    const words = {
      reply,
      size,
      flags: random.below(256),
      seq: random.u32(),
      ack: random.u32(),
    };
    const ends = [
      [flow.client, flow.clientPort],
      [flow.server, flow.serverPort],
    ] as const;
    const [[src, sport], [dst, dport]] = reply ? [ends[1], ends[0]] : ends;
    const ports = { sport, dport };
    const made = mill.make(flow, words);
    const at = flow.vlan === undefined ? 22 : 26;
    const want = buildFrame({
      eth: {
        src: (0x0200n << 32n) | BigInt(src),
        dst: (0x0200n << 32n) | BigInt(dst),
      },
      ...(flow.vlan === undefined ? {} : { vlans: [flow.vlan] }),
      ...(flow.version === 6
        ? {
            ipv6: {
              src: address6(made, at, src),
              dst: address6(made, at + 16, dst),
            },
          }
        : { ipv4: { src: BigInt(src), dst: BigInt(dst) } }),
      ...(flow.protocol === 6
        ? {
            tcp: {
              ...ports,
              flags: words.flags,
              seq: words.seq,
              ack: words.ack,
            },
          }
        : { udp: ports }),
      size,
    });
    deepEqual(made, want, `seed ${seed} round ${round}`);
  }
});

test("the same words give the same packets; another seed others", () => {
  for (const model of [
    "uniform",
    "zipf",
    "single-flow",
    "bidirectional",
    "churn",
  ]) {
    const text = `gen:${model},packets=500`;
    deepEqual(make(text), make(text));
    ok(
      name(tuple(make(text)[0] as TracePacket)) !==
        name(tuple(make(`${text},seed=2`)[0] as TracePacket)),
    );
  }
  for (const { data } of make("gen:bidirectional,packets=2000,size=imix"))
    deepEqual(checkChecksums(data), { ipv4: "good", transport: "good" });
});

test("flows, sizes, times, shares", async () => {
  const uniform = await flowStatistics(
    make("gen:uniform,flows=100,packets=20000,rate=1m,tcp=30%,size=imix"),
  );
  equal(uniform.flows, 100);
  ok(
    uniform.shares.top1 < 0.016 && (uniform.zipf?.skew ?? 9) < 0.1,
    String(uniform.shares.top1),
  );
  equal(uniform.nanoseconds, 19_999_000n);
  ok(Math.abs((uniform.protocols["tcp"] ?? 0) / 20000 - 0.3) < 0.12);
  deepEqual([uniform.size.least, uniform.size.most], [64, 1514]);
  ok(Math.abs(uniform.size.mean - (7 * 64 + 4 * 590 + 1514) / 12) < 20);
  const zipf = await flowStatistics(make("gen:zipf,flows=1000"));
  // notes: s = 1.26 over 1,000 flows gives 26 % to the largest.
  ok(Math.abs(zipf.shares.top1 - 0.26) < 0.01, String(zipf.shares.top1));
  ok(Math.abs((zipf.zipf?.skew ?? 0) - 1.26) < 0.05, String(zipf.zipf?.skew));
  const steep = await flowStatistics(make("gen:zipf,flows=1000,skew=1"));
  ok(Math.abs(steep.shares.top1 - 0.134) < 0.01);
  const single = await flowStatistics(make("gen:single-flow,packets=100"));
  deepEqual([single.flows, single.shares.top1, single.zipf], [1, 1, undefined]);
  const hosts = new Set(
    make("gen:uniform,flows=500,hosts=10,packets=5000").map(
      (packet) => tuple(packet).src,
    ),
  );
  equal(hosts.size, 10);
  equal(
    new Set(
      make("gen:uniform,flows=500,hosts=1,packets=9000").map((packet) =>
        name(tuple(packet)),
      ),
    ).size,
    500,
  );
});

test("IPv6 and tags: shares of flows, one kind per flow, good sums", () => {
  const kinds = new Map<string, string>();
  for (const { data, wireLength } of make(
    "gen:bidirectional,flows=400,packets=20000,v6=30%,vlan=0.5,unsolicited=0",
  )) {
    const frame = parseFrame(data);
    const it = fiveTuple(frame);
    ok(it !== undefined);
    equal(data.length, wireLength);
    const { transport, ipv4 } = checkChecksums(data);
    equal(transport, "good");
    const isTagged = data[12] === 0x81;
    const isSix = ipv4 !== "good";
    const ends = [name(it), name(reverseTuple(it))].sort().join(" ");
    const kind = `${isSix ? "six" : "four"}${isTagged ? " tagged" : ""}`;
    equal(kinds.get(ends) ?? kind, kind);
    kinds.set(ends, kind);
  }
  equal(kinds.size, 400);
  const share = (word: string): number =>
    [...kinds.values()].filter((kind) => kind.includes(word)).length / 400;
  ok(Math.abs(share("six") - 0.3) < 0.08, `${share("six")} IPv6`);
  ok(Math.abs(share("tagged") - 0.5) < 0.08, `${share("tagged")} tagged`);
  deepEqual(
    make("gen:zipf,packets=300,v6=0,vlan=0"),
    make("gen:zipf,packets=300"),
  );
});

test("bidirectional: replies mirror a flow that the lan opened", () => {
  const opened = new Set<string>();
  let replies = 0;
  let strangers = 0;
  for (const packet of make(
    "gen:bidirectional,packets=20000,flows=50,skew=1.1,unsolicited=5%",
  )) {
    const it = tuple(packet);
    if (packet.port === 0) {
      opened.add(name(it));
      continue;
    }
    equal(packet.port, 1);
    if (opened.has(name(reverseTuple(it)))) replies++;
    else strangers++;
  }
  equal(opened.size, 50);
  ok(Math.abs(replies / 20000 - 0.475) < 0.02, `${replies} replies`);
  ok(Math.abs(strangers / 20000 - 0.05) < 0.01, `${strangers} strangers`);
  const none = make("gen:bidirectional,packets=5000,unsolicited=0,replies=0");
  ok(none.every(({ port }) => port === 0));
});

test("churn: every connection starts with SYN and ends with FIN", () => {
  const open = new Map<string, number>();
  let ended = 0;
  let most = 0;
  let lengths = 0;
  for (const packet of make("gen:churn,packets=30000,flows=20,length=10")) {
    const key = name(tuple(packet));
    const flags = Number(readField(parseFrame(packet.data), "tcp.flags"));
    const before = open.get(key);
    equal(flags === tcpFlags.syn, before === undefined);
    open.set(key, (before ?? 0) + 1);
    most = Math.max(most, open.size);
    if ((flags & tcpFlags.fin) === 0) continue;
    ended++;
    lengths += open.get(key) ?? 0;
    open.delete(key);
  }
  equal(most <= 20, true);
  ok(
    ended > 2500 && Math.abs(lengths / ended - 10) < 0.5,
    `${ended} ended, mean ${lengths / ended}`,
  );
});

test("sequence numbers count bytes, acknowledgements those of the other side", () => {
  const next = new Map<string, number>();
  for (const packet of make(
    "gen:bidirectional,packets=5000,flows=20,unsolicited=0,tcp=1,size=imix",
  )) {
    const it = tuple(packet);
    const parsed = parseFrame(packet.data);
    const seq = Number(readField(parsed, "tcp.seq"));
    const want = next.get(name(it));
    if (want !== undefined) equal(seq, want);
    next.set(name(it), (seq + packet.data.length - 54) >>> 0);
    const other = next.get(name(reverseTuple(it)));
    const isAck = (Number(readField(parsed, "tcp.flags")) & tcpFlags.ack) !== 0;
    if (other !== undefined && isAck)
      equal(Number(readField(parsed, "tcp.ack")), other);
  }
});

test("the sampler has the distribution it says", () => {
  const draw = zipfSampler(50, 1.1, new Random(seed));
  const counts = Array<number>(50).fill(0);
  const rounds = 200_000;
  for (let round = 0; round < rounds; round++) {
    const rank = draw();
    counts[rank] = (counts[rank] ?? 0) + 1;
  }
  const weights = counts.map((_, rank) => (rank + 1) ** -1.1);
  const all = weights.reduce((sum, one) => sum + one);
  for (const [rank, weight] of weights.entries())
    ok(
      Math.abs((counts[rank] ?? 0) / rounds - weight / all) < 0.004,
      `rank ${rank}, seed ${seed}`,
    );
});

test("queue load of a single flow is the number of queues", async () => {
  const packets = make("gen:single-flow,packets=100");
  deepEqual(await queueLoad(packets, 8, () => 3), {
    packets: [0, 0, 0, 100, 0, 0, 0, 0],
    imbalance: 8,
  });
  let turn = 0;
  equal((await queueLoad(packets, 4, () => turn++ % 4)).imbalance, 1);
  equal((await queueLoad(packets, 4, () => undefined)).imbalance, 1);
});
