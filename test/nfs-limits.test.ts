/**
 * The C network functions that limit, watch and distribute: connection-limiter,
 * port-scan-detector, hhh, load-balancer, hash-lb. Tables as in nfs-suite.test.ts.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { Random, toHex } from "#base";
import { tcpFlags, type FrameSpec } from "#packet";
import {
  arp,
  back,
  endsOf,
  expectRun,
  lan,
  load,
  notL4,
  second,
  stranger,
  tcp,
  there,
  udp,
  verdict,
  wan,
  words,
  type Entries,
  type Running,
  type Step,
} from "./support/network-function.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

/** The hash of nf_hash.h over whole words. */
function hashOf(key: Uint8Array, start: number): number {
  const view = new DataView(key.buffer, key.byteOffset, key.length);
  let hash = start;
  for (let at = 0; at < key.length; at += 4) {
    hash = Math.imul(hash ^ view.getUint32(at, true), 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  hash = Math.imul(hash, 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}

/** flow_key of a packet `10.0.0.1:4000 10.0.0.2:80`. */
function keyOf(text: string, protocol = 17): Uint8Array {
  const [src = "", sport = "", dst = "", dport = ""] = text.split(/[: ]/);
  const port = (word: string): number[] => [
    Number(word) >> 8,
    Number(word) & 255,
  ];
  const address = (word: string): number[] => word.split(".").map(Number);
  const bytes = [
    ...address(src),
    ...address(dst),
    ...port(sport),
    ...port(dport),
  ];
  return new Uint8Array([...bytes, protocol, 0, 0, 0]);
}

// --- connection-limiter ---

/** Flow number `at` of a client to the server. */
const flow = (at: number, client = "10.0.0.1"): FrameSpec =>
  udp(`${client}:${1000 + at} 192.168.0.9:80`);

const flows = (count: number, time = 0n, want = "out 0"): Step[] =>
  Array.from({ length: count }, (_, at): Step => [wan, time, flow(at), want]);

test("connection-limiter: max_clients + 2 flows of a pair", () => {
  // prettier-ignore
  expectRun(load("connection-limiter"), [
    ...flows(62),
    [wan, 0n, flow(62), "drop"],
    [wan, 0n, flow(62), "out 0"],                // it stayed in the table
    [wan, 0n, flow(0), "out 0"],
    [wan, 0n, flow(99, "10.0.0.2"), "out 0"],    // another client
    [wan, 0n, udp("10.0.0.1:1099 192.168.0.8:80"), "out 0"], // another server
    [lan, 0n, flow(99), "out 1"],
    [stranger, 0n, flow(0), "drop"],
  ]);
});

test("connection-limiter: strict forgets what it refuses", () => {
  // prettier-ignore
  expectRun(load("connection-limiter", { set: { strict: "true", max_clients: "0" } }), [
    ...flows(2),
    [wan, 0n, flow(2), "drop"],
    [wan, 0n, flow(2), "drop"],
    [wan, 0n, flow(1), "out 0"],
    // Flows and counts expired; known flows keep counts alive, and no more.
    [wan, 11n * second, flow(2), "out 0"],
    [wan, 11n * second, flow(3), "out 0"],
    [wan, 11n * second, flow(4), "drop"],
  ]);
});

test("connection-limiter: a flow lives for 1 s, a count for 10 s", () => {
  const set = { max_clients: "0" };
  // prettier-ignore
  expectRun(load("connection-limiter", { set }), [
    ...flows(2),
    [wan, 1n * second, flow(0), "out 0"],        // alive to the nanosecond
    [wan, 1n * second + 1n, flow(1), "drop"],    // expired: new, and above the limit
    [wan, 11n * second, flow(9), "drop"],        // counts refreshed at 1 s, by flow 0
    [wan, 11n * second + 1n, flow(10), "out 0"], // and now absent
    [wan, 11n * second + 1n, flow(11), "out 0"],
    [wan, 11n * second + 1n, flow(12), "drop"],
  ]);
});

test("connection-limiter: a full table admits without limit", () => {
  const set = { max_clients: "0", flow_capacity: "2", flow_expiry: "100" };
  const limiter = load("connection-limiter", { set });
  // prettier-ignore
  expectRun(limiter, [
    ...flows(2),
    [wan, 0n, flow(2), "out 0"],
    [wan, 0n, flow(3), "out 0"],
    [wan, 101n, flow(4), "drop"],                // an expired flow made room
  ]);
  equal(words(limiter.state, "flows").length, 2);
});

test("connection-limiter: four rows, each its own cells", () => {
  const { run, state } = load("connection-limiter", {
    set: { bucket_capacity: "100" },
  });
  run(flow(1), { ifindex: wan, time: 5n });
  const pair = keyOf(there).subarray(0, 8);
  const used = words(state, "clients")
    .map((word, at) => [word, at] as const)
    .filter(([word]) => !/ 0+$/.test(word))
    .map(([word]) => word);
  deepEqual(
    used,
    [0, 1, 2, 3]
      .map((row) => row * 100 + (hashOf(pair, row + 1) % 100))
      .map((at) => {
        const key = toHex(new Uint8Array(Uint32Array.of(at).buffer));
        return `${key} 05000000000000000000000001000000`;
      }),
  );
});

// --- port-scan-detector ---

const touch = (port: number, source = "10.0.0.1"): FrameSpec =>
  tcp(`${source}:4000 192.168.0.9:${port}`);

test("port-scan-detector: so many ports, and no more", () => {
  const ports = Array.from({ length: 60 }, (_, at) => at + 1);
  // prettier-ignore
  expectRun(load("port-scan-detector"), [
    ...ports.map((port): Step => [wan, 0n, touch(port), "out 0"]),
    [wan, 0n, touch(61), "drop"],
    [wan, 0n, touch(60), "out 0"],
    [wan, 0n, touch(1), "out 0"],
    [wan, 0n, touch(61, "10.0.0.2"), "out 0"],
    [lan, 0n, touch(61), "out 1"],
    [stranger, 0n, touch(1), "drop"],
    // A dropped packet refreshes too: alive at 2 s, where the set is still full.
    [wan, 1n * second, touch(61), "drop"],
    [wan, 2n * second, touch(61), "drop"],
    [wan, 3n * second + 1n, touch(61), "out 0"], // silent for more than 1 s: a new set
    [wan, 3n * second + 1n, touch(1), "out 0"],
  ]);
});

test("port-scan-detector: the limit, to the largest", () => {
  for (const [set, admitted] of [
    [{ max_ports: "1" }, 1],
    [{ max_ports: "64" }, 64],
    [{ max_ports: "100" }, 64],
  ] as const) {
    const { run } = load("port-scan-detector", { set });
    const verdicts = Array.from({ length: 70 }, (_, at) =>
      verdict(run(touch(at), { ifindex: wan })),
    );
    equal(verdicts.filter((word) => word === "out 0").length, admitted);
    equal(verdicts.indexOf("drop"), admitted);
  }
});

test("port-scan-detector: a full table passes, an index that changes hands is empty", () => {
  const set = { capacity: "1", expiry: "100", max_ports: "2" };
  const detector = load("port-scan-detector", { set });
  // prettier-ignore
  expectRun(detector, [
    [wan, 0n, touch(1), "out 0"],
    [wan, 0n, touch(2), "out 0"],
    [wan, 0n, touch(3), "drop"],
    [wan, 0n, touch(7, "10.0.0.2"), "out 0"],    // full: unwatched
    [wan, 0n, touch(8, "10.0.0.2"), "out 0"],
    [wan, 0n, touch(9, "10.0.0.2"), "out 0"],
    [wan, 101n, touch(7, "10.0.0.2"), "out 0"],  // takes over the index
    [wan, 101n, touch(1, "10.0.0.2"), "out 0"],  // whose ports are gone
    [wan, 101n, touch(2, "10.0.0.2"), "drop"],
    [wan, 101n, touch(3), "out 0"],
  ]);
  deepEqual(words(detector.state, "sources"), ["0a000002 0200000000000000"]);
});

// --- hhh ---

/** Prefixes reported by a frame of `size` bytes. */
function reported(
  { run }: Running,
  src: string,
  options: { size: number; time?: bigint },
): string[] {
  const { size, time = 0n } = options;
  const frame = udp(`${src}:1 192.168.0.9:80`, { size });
  const outcome = run(frame, { ifindex: wan, time });
  equal(verdict(outcome), "out 0");
  return outcome.events.map(({ map, data }) => {
    equal(map, "reports");
    return `${data.subarray(0, 4).join(".")}/${data[4]}`;
  });
}

test("hhh: what exceeds its share is reported, level by level, and passes", () => {
  // 625,000 bytes per second, 100,000 at once.
  const hitters = load("hhh");
  for (let sent = 0; sent < 99; sent++)
    deepEqual(reported(hitters, "10.1.2.3", { size: 1000 }), []);
  // prettier-ignore
  const cases: readonly (readonly [string, number, bigint, readonly string[]])[] = [
    // 1000 tokens are left: strict.
    ["10.1.2.3", 1000, 0n, ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24"]],
    ["10.1.9.3", 1000, 0n, ["10.0.0.0/8", "10.1.0.0/16"]],
    ["10.7.9.3", 1000, 0n, ["10.0.0.0/8"]],
    ["11.1.2.3", 1000, 0n, []],
    // 1600 ns are a token.
    ["10.1.2.3", 1000, 1_599n, ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24"]],
    ["10.1.2.3", 1000, 3_199n, []],
    // After burst / rate = 160 ms of silence all is as new.
    ["10.1.2.3", 1000, 3_199n + 160_000_001n, []],
  ];
  for (const [src, size, time, want] of cases)
    deepEqual(reported(hitters, src, { size, time }), want, `${src} ${time}`);
});

test("hhh: a new prefix larger than the burst is reported, not stored", () => {
  const hitters = load("hhh", { set: { burst: "500", levels: "0x80008000" } });
  deepEqual(reported(hitters, "10.1.2.3", { size: 501 }), [
    "10.1.0.0/16",
    "10.1.2.3/32",
  ]);
  equal(words(hitters.state, "sources").length, 0);
  deepEqual(reported(hitters, "10.1.2.3", { size: 500 }), []);
  equal(words(hitters.state, "sources").length, 2);
  deepEqual(reported(hitters, "10.1.2.4", { size: 60 }), ["10.1.0.0/16"]);
});

test("hhh: no room ends the way down; the oldest bucket gives way when full again", () => {
  const hitters = load("hhh", { set: { capacity: "4" } });
  reported(hitters, "10.1.2.3", { size: 100 });
  reported(hitters, "10.9.2.3", { size: 100 });
  const keys = (): string[] =>
    words(hitters.state, "sources").map((word) => word.slice(0, 16));
  deepEqual(keys(), [
    "0a00000008000000",
    "0a01000010000000",
    "0a01020018000000",
    "0a09000010000000",
  ]);
  reported(hitters, "10.9.2.3", { size: 100, time: 160_000_000n });
  deepEqual(keys().length, 4);
  reported(hitters, "10.9.2.3", { size: 100, time: 160_000_001n });
  deepEqual(keys(), [
    "0a00000008000000",
    "0a01020018000000",
    "0a09000010000000",
    "0a09020018000000",
  ]);
});

test("hhh: IPv4 of any kind is counted, all else drops", () => {
  const { run, state } = load("hhh");
  for (const [what, want] of [
    ["icmp", "out"],
    ["first fragment", "out"],
    ["UDP header cut", "out"],
    ["arp", "drop"],
    ["IPv4 header cut", "drop"],
    ["IPv4 options cut", "drop"],
    ["vlan", "drop"],
    ["ipv6", "drop"],
  ] as const) {
    const frame = notL4[what];
    ok(frame !== undefined);
    equal(
      verdict(run(frame, { ifindex: wan }))
        .slice(0, 4)
        .trim(),
      want,
    );
    equal(
      verdict(run(frame, { ifindex: lan }))
        .slice(0, 4)
        .trim(),
      want,
    );
    equal(verdict(run(frame, { ifindex: stranger })), "drop");
  }
  equal(words(state, "sources").length, 3);
});

// --- load-balancer ---

/** A heartbeat of backend 10.9.0.N. */
const beat = (backend: number): FrameSpec => ({
  ...udp(`10.9.0.${backend}:1 10.0.0.1:2`),
  eth: { src: `02:00:00:00:09:0${backend.toString(16)}` },
});

/** The backend that a packet goes to, or its verdict. */
function backendOf({ run }: Running, text: string, time = 0n): string {
  const outcome = run(udp(text), { ifindex: wan, time });
  if (verdict(outcome) !== "out 0") return verdict(outcome);
  const [, address = ""] =
    / 10\.9\.0\.(\d+):80$/.exec(endsOf(outcome.data)) ?? [];
  const mac = Number(address).toString(16).padStart(2, "0");
  equal(toHex(outcome.data.subarray(0, 12)), `0200000009${mac}020000000001`);
  return address;
}

/** The lists as they are defined. */
function listsOf(height: number, backends: number): number[][] {
  const lists = Array.from({ length: height }, (): number[] => []);
  for (let turn = 0; turn < height; turn++)
    for (let backend = 0; backend < backends; backend++) {
      const offset = (31 * backend) % height;
      const step = 1 + (backend % (height - 1));
      lists[(offset + step * turn) % height]?.push(backend);
    }
  return lists;
}

for (const [height, count] of [
  [97, 13],
  [97, 1],
  [5, 9],
  [65521, 15],
] as const)
  test(`load-balancer: the first live backend of the list, height ${height} (seed ${seed})`, () => {
    const random = new Random(seed);
    const balancer = load("load-balancer", { set: { height: `${height}` } });
    const alive = new Set<number>();
    for (let backend = 0; backend < count; backend++) {
      const time = random.chance(0.5) ? 0n : 100n * second;
      if (time > 0n) alive.add(backend);
      balancer.run(beat(backend + 1), { ifindex: lan, time: 0n });
    }
    for (const backend of alive)
      balancer.run(beat(backend + 1), { ifindex: lan, time: 100n * second });
    const lists = height > 1000 ? undefined : listsOf(height, count);
    const row = (text: string): number => hashOf(keyOf(text), 0) % height;
    for (let sent = 0; sent < 40; sent++) {
      const text = `192.168.${random.below(250)}.${random.below(250)}:${random.below(60_000)} 10.0.0.1:80`;
      const list = lists?.[row(text)] ?? listOf(row(text), height, count);
      const first = list.find((backend) => alive.has(backend));
      const want = first === undefined ? "drop" : `${first + 1}`;
      equal(backendOf(balancer, text, 100n * second + 1n), want);
      equal(backendOf(balancer, text, 100n * second + 1n), want);
    }
  });

/** One list by search, for heights whose lists would be many. */
function listOf(row: number, height: number, backends: number): number[] {
  const turn = (backend: number): number => {
    const step = 1 + (backend % (height - 1));
    for (let at = 0, place = (31 * backend) % height; ; at++) {
      if (place === row) return at;
      place = (place + step) % height;
    }
  };
  return Array.from({ length: backends }, (_, backend) => backend)
    .map((backend) => [turn(backend), backend] as const)
    .sort((left, right) => left[0] - right[0] || left[1] - right[1])
    .map(([, backend]) => backend);
}

test("load-balancer: heartbeats, death, and flows that stay", () => {
  const balancer = load("load-balancer", {
    set: { backend_expiry: "100", flow_expiry: "1000" },
  });
  equal(backendOf(balancer, there), "drop");
  equal(words(balancer.state, "flows").length, 0);
  equal(verdict(balancer.run(beat(1), { ifindex: lan })), "drop");
  equal(verdict(balancer.run(beat(2), { ifindex: stranger })), "drop");
  equal(backendOf(balancer, there, 100n), "1");
  equal(backendOf(balancer, there, 101n), "drop");
  equal(words(balancer.state, "flows").length, 0); // deleted, and none to go to
  balancer.run(beat(2), { ifindex: lan, time: 101n });
  equal(backendOf(balancer, there, 101n), "2");
  balancer.run(beat(1), { ifindex: lan, time: 102n });
  for (const time of [102n, 150n, 201n])
    equal(backendOf(balancer, there, time), "2");
  equal(backendOf(balancer, there, 202n), "1");
  equal(verdict(balancer.run(tcp(back), { ifindex: lan, time: 202n })), "drop");
});

test("load-balancer: more backends than fit are ignored, a full flow table is not", () => {
  const set = { backend_capacity: "1", flow_capacity: "1" };
  const balancer = load("load-balancer", { set });
  balancer.run(beat(3), { ifindex: lan });
  balancer.run(beat(4), { ifindex: lan });
  for (const port of [1, 2, 3])
    equal(backendOf(balancer, `192.168.0.1:${port} 10.0.0.1:80`), "3");
  equal(words(balancer.state, "flows").length, 1);
  deepEqual(words(balancer.state, "backends"), ["0a090003 0000000000000000"]);
});

test("load-balancer: a heartbeat keeps the MAC that was registered", () => {
  const balancer = load("load-balancer");
  balancer.run(beat(1), { ifindex: lan });
  balancer.run({ ...beat(1), eth: { src: 7n } }, { ifindex: lan });
  equal(backendOf(balancer, there), "1");
  // Registered anew after it expired, with the MAC that it has then.
  balancer.run(
    { ...beat(1), eth: { src: 7n } },
    { ifindex: lan, time: 101n * second },
  );
  const { data } = balancer.run(udp(there), {
    ifindex: wan,
    time: 101n * second,
  });
  equal(toHex(data.subarray(0, 6)), "000000000007");
});

// --- hash-lb ---

const servers: Entries = Array.from({ length: 64 }, (_, at) => [
  [at, 0, 0, 0],
  at === 13
    ? Array.from({ length: 12 }, () => 0)
    : [10, 9, 0, at, 2, 0, 0, 0, 9, at, 0, 0],
]);

test("hash-lb: by hash, until the flow ends", () => {
  const balancer = load("hash-lb", { contents: { backends: servers } });
  const seen = new Set<string>();
  for (let port = 1; port <= 300; port++) {
    const text = `192.168.0.1:${port} 10.0.0.1:80`;
    const want = hashOf(keyOf(text), 0) % 64;
    const have = backendOf(balancer, text);
    equal(have, want === 13 ? "drop" : `${want}`);
    seen.add(have);
  }
  ok(seen.size > 60 && seen.has("drop"));
  const stored = words(balancer.state, "flows").length;
  ok(stored < 300);
  const open = tcp("192.168.0.1:1 10.0.0.1:80", tcpFlags.syn);
  balancer.run(open, { ifindex: wan });
  equal(words(balancer.state, "flows").length, stored + 1);
  for (const flags of [tcpFlags.fin, tcpFlags.rst | tcpFlags.ack]) {
    balancer.run(open, { ifindex: wan });
    const last = tcp("192.168.0.1:1 10.0.0.1:80", flags);
    for (let sent = 0; sent < 2; sent++) {
      equal(verdict(balancer.run(last, { ifindex: wan })), "out 0");
      equal(words(balancer.state, "flows").length, stored);
    }
  }
  equal(verdict(balancer.run(open, { ifindex: lan })), "out 1");
  equal(verdict(balancer.run(arp, { ifindex: wan })), "drop");
});

test("hash-lb: a stored flow keeps its backend; full forwards all the same", () => {
  const set = { capacity: "1", expiry: "100" };
  const balancer = load("hash-lb", { set, contents: { backends: servers } });
  const first = "192.168.0.1:1 10.0.0.1:80";
  const home = backendOf(balancer, first);
  // Its entry says another backend, as if the list had been longer.
  const [entry] = balancer.state.entries("flows");
  ok(entry !== undefined);
  balancer.state.update(
    "flows",
    entry.key,
    new Uint8Array([7, 0, 0, 0, 0, 0, 0, 0]),
  );
  equal(backendOf(balancer, first, 100n), "7");
  equal(
    backendOf(balancer, "192.168.0.1:2 10.0.0.1:80", 150n) === "drop",
    false,
  );
  equal(words(balancer.state, "flows").length, 1);
  // Refreshed at 100: expired after 200, then by hash again.
  equal(backendOf(balancer, first, 201n), home);
});
