/** Declaring and running a network function; and what the types promise. */
import { deepEqual, equal, notEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { InputError, toHex } from "../../base/index.ts";
import {
  aborted,
  array,
  be16,
  be32,
  bool,
  counter,
  drop,
  flood,
  frame,
  hashMap,
  indexAllocator,
  ipv4,
  lruMap,
  mac,
  nf,
  open,
  out,
  partsOf,
  pass,
  perCpu,
  redirect,
  ringEvents,
  struct,
  tcpFlags,
  tx,
  u32,
  u64,
  u8,
  vector,
  type Ipv4Header,
  type Ports,
  type Verdict,
} from "./index.ts";

const FlowKey = struct("flow_key", {
  source: be32,
  destination: be32,
  source_port: be16,
  destination_port: be16,
  protocol: u8,
});
const Flow = struct("flow", { port: u32 });
const [lan, wan] = [0, 1];

const flowOf = (ip: Ipv4Header, l4: Ports): Parameters<typeof FlowKey>[0] => ({
  source: ip.src,
  destination: ip.dst,
  source_port: l4.sport,
  destination_port: l4.dport,
  protocol: ip.protocol,
});

const firewall = nf({
  name: "firewall",
  ports: ["lan", "wan"],
  config: {
    capacity: u32(65_536),
    expiry: u64(100_000_000_000n),
    next_hop: mac("02:00:00:00:00:12"),
  },
  state: (config) => ({
    flows: hashMap({
      key: FlowKey,
      value: Flow,
      capacity: config.capacity,
      expireAfter: config.expiry,
    }),
  }),
  handle(pkt, ctx) {
    const { flows } = ctx.state;
    const { ipv4: ip, eth } = pkt;
    if (eth === undefined || ip === undefined) return drop;
    const { l4 } = ip;
    if (l4 === undefined) return drop;
    if (ctx.port === lan) {
      const key = FlowKey(flowOf(ip, l4));
      const flow = flows.get(key);
      if (flow === undefined) flows.insert(key, { port: lan });
      else flows.refresh(flow);
      eth.dst = ctx.config.next_hop;
      return out(wan);
    }
    const flow = flows.get({
      source: ip.dst,
      destination: ip.src,
      source_port: l4.dport,
      destination_port: l4.sport,
      protocol: ip.protocol,
    });
    if (flow === undefined) return drop;
    flows.refresh(flow);
    return out(flow.port);
  },
});

const request = frame({
  ipv4: { src: "10.0.0.1", dst: "1.2.3.4" },
  tcp: { sport: 1000, dport: 80, flags: tcpFlags.syn },
});
const reply = frame({
  ipv4: { src: "1.2.3.4", dst: "10.0.0.1" },
  tcp: { sport: 80, dport: 1000 },
});

test("a firewall lets replies in while the flow lives", () => {
  const instance = open(firewall, { set: { expiry: 10n } });
  equal(instance.config.capacity, 65_536);
  // prettier-ignore
  const steps: readonly (readonly [Uint8Array, number, bigint, Verdict])[] = [
    [reply, wan, 0n, drop],
    [request, lan, 0n, out(wan)],
    [reply, wan, 10n, out(lan)],
    [reply, wan, 20n, out(lan)],
    [reply, wan, 31n, drop],
    [request, lan, 31n, out(wan)],
    [new Uint8Array(13), lan, 31n, drop],
  ];
  for (const [data, port, now, want] of steps)
    deepEqual(instance.packet(data, { port, now }).verdict, want);
  const left = instance.packet(request, { port: lan }).frame;
  equal(toHex(left.subarray(0, 6)), "020000000012");
  equal(
    toHex(request.subarray(0, 6)),
    "020000000002",
    "the caller's frame stays",
  );
  const contents = instance.contents();
  deepEqual(Object.keys(contents), ["flows", "flows_chain"]);
  equal(contents["flows"]?.length, 1);
  equal(contents["flows_chain"]?.length, 65_537);
});

test("state is filled and read from a test, at the instance's time", () => {
  const instance = open(firewall, { set: { expiry: 10n } });
  const key = {
    source: ipv4("10.0.0.1"),
    destination: ipv4("1.2.3.4"),
    source_port: 1000,
    destination_port: 80,
    protocol: 6,
  };
  instance.packet(new Uint8Array(), { now: 100n });
  equal(instance.state.flows.insert(key, { port: wan }), true);
  open(firewall).packet(new Uint8Array(), { now: 10_000n });
  deepEqual({ ...instance.state.flows.get(key) }, { port: wan, index: 0 });
  deepEqual(instance.packet(reply, { port: wan }).verdict, out(wan));
});

test("instances share nothing, also where state is a plain object", () => {
  const plain = nf({
    name: "plain",
    state: { hits: counter(), seen: array({ value: u32, capacity: 2 }) },
    handle(pkt, ctx) {
      ctx.state.hits.increment();
      ctx.state.seen.at(1).value = pkt.length;
      return pass;
    },
  });
  const [one, two] = [open(plain), open(plain)];
  one.packet(new Uint8Array(60));
  equal(one.state.hits.count, 1n);
  equal(two.state.hits.count, 0n);
  equal(one.state.seen.at(1).value, 60);
  equal(two.state.seen.at(1).value, 0);
  notEqual(open(firewall).state.flows, open(firewall).state.flows);
});

test("verdicts, ports, time and draws", () => {
  const verdicts = [
    pass,
    drop,
    tx,
    aborted,
    flood,
    redirect(7),
    out(0),
    out(1),
    out(2),
    out(-1),
    out(0.5),
    out(100),
  ];
  const each = nf({
    name: "each",
    ports: ["a", "b"],
    state: {
      log: ringEvents({
        value: struct("event", { now: u64, draws: vector(u32, 2), port: u8 }),
        capacity: 4096,
      }),
    },
    handle(pkt, ctx) {
      ctx.state.log.emit({
        now: ctx.now,
        draws: [ctx.random, ctx.random],
        port: ctx.port,
      });
      return verdicts[pkt.u8(0) ?? 0] ?? drop;
    },
  });
  const instance = open(each);
  let draw = 40;
  const run = (
    index: number,
    arrival: Parameters<typeof instance.packet>[1],
  ): ReturnType<typeof instance.packet> =>
    instance.packet(new Uint8Array([index]), arrival);
  deepEqual(
    verdicts.map((_, index) => run(index, {}).verdict),
    [...verdicts.slice(0, 8), aborted, aborted, aborted, aborted],
  );
  deepEqual(run(0, { now: 5n, port: 1, random: () => draw++ }).events, [
    { ring: "log", value: { now: 5n, draws: [40, 41], port: 1 } },
  ]);
  const [first, second] = [run(0, {}), run(0, {})];
  notEqual(
    JSON.stringify(first.events, hideBig),
    JSON.stringify(second.events, hideBig),
  );
  throws(() => run(0, { port: 2 }), /port 2 is none of a, b/);
  deepEqual(instance.contents(), {}, "a ring is no map");
  for (const verdict of [flood, out(0)]) {
    const nowhere = nf({ name: "nowhere", handle: () => verdict });
    deepEqual(open(nowhere).packet(new Uint8Array()).verdict, aborted);
  }
});

const hideBig = (_: string, value: unknown): unknown =>
  typeof value === "bigint" ? `${value}n` : value;

test("settings replace what is declared, by name and kind", () => {
  equal(open(firewall, { set: { capacity: 5 } }).state.flows.capacity, 5);
  const set =
    (values: object): (() => unknown) =>
    () =>
      open(firewall, { set: values });
  throws(
    set({ capacty: 5 }),
    (error) =>
      error instanceof InputError && error.fix === "did you mean capacity?",
  );
  throws(set({ capacity: 5n }), /capacity is a number/);
  throws(set({ expiry: undefined }), /expiry is a bigint/);
  equal(open(firewall).config.capacity, 65_536, "the declaration is as it was");
});

test("names are checked where they are declared", () => {
  const handle = (): Verdict => pass;
  for (const name of ["", "two words", "1st", "-x"])
    throws(() => nf({ name, handle }), InputError);
  for (const ports of [["a", "a"], ["a-b"], [""]])
    throws(() => nf({ name: "x", ports, handle }), InputError);
});

test("every map has its name once", () => {
  const parts = partsOf({
    flows: hashMap({ key: u32, value: u32, capacity: 4, expireAfter: 1n }),
    ids: indexAllocator({ capacity: 4, expireAfter: 1n }),
    cache: lruMap({ key: u32, value: u32, capacity: 4 }),
    hits: counter(),
  });
  deepEqual(
    parts.map(({ name, declaration }) => `${name}: ${declaration.kind}`),
    [
      "flows: composite",
      "flows: hash",
      "flows_chain: composite",
      "flows_chain: array",
      "ids: composite",
      "ids_chain: composite",
      "ids: array",
      "cache: lru-hash",
      "hits: counter",
    ],
  );
});

test("types: what is wrong does not compile", () => {
  const Value = struct("value", {
    a: u32,
    b: u64,
    c: bool,
    v: vector(be16, 4),
  });
  const typed = nf({
    name: "typed",
    config: { on: bool(true), n: u32(3) },
    state: (config) => ({
      cells: array({ value: u64, capacity: config.n }),
      values: perCpu(hashMap({ key: be32, value: Value, capacity: 10 })),
    }),
    handle(pkt, ctx) {
      const { cells, values } = ctx.state;
      const on: boolean = ctx.config.on;
      const held = values.get(3);
      if (held !== undefined) [held.a, held.b, held.c] = [1, 2n, on];
      return [
        // @ts-expect-error: a cell may be missing
        () => (cells.get(3).value = 3n),
        // @ts-expect-error: 64 bits are a bigint
        () => (cells.at(2).value = 3),
        // @ts-expect-error: a header may be missing
        () => pkt.ipv4.src,
        // @ts-expect-error: a field is missing
        () => values.set(3, { a: 1, b: 2n, c: true }),
        // @ts-expect-error: a field too many
        () => values.set(3, { a: 1, b: 2n, c: true, v: [1, 2, 3, 4], d: 3 }),
        // @ts-expect-error: no such map
        () => ctx.state.nope,
        // @ts-expect-error: read-only
        () => (ctx.config.n = 3),
        // @ts-expect-error: no such field
        () => held?.port,
      ].length > 0
        ? pass
        : drop;
    },
  });
  equal(open(typed).packet(new Uint8Array()).verdict, pass);
  // @ts-expect-error: n is a number
  throws(() => open(typed, { set: { n: 4n } }));
  // @ts-expect-error: a verdict is wanted
  const nothing = nf({ name: "nothing", handle: () => 3 });
  equal(nothing.name, "nothing");
});
