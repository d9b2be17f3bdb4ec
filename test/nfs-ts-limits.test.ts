/**
 * The TypeScript network functions that limit do what their headers say, run as
 * plain JavaScript: buckets to the byte and the nanosecond, and what sources and
 * flows are allowed.
 */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { printIpv4, type FrameSpec } from "#packet";
import connectionLimiter from "../nfs/ts/connection-limiter.ts";
import hhh from "../nfs/ts/hhh.ts";
import policer from "../nfs/ts/policer.ts";
import portScanDetector from "../nfs/ts/port-scan-detector.ts";
import {
  arp,
  dropped,
  expectVerdicts,
  icmp,
  inside,
  lan,
  notL4,
  server,
  session,
  tcp,
  udp,
  wan,
  withOptions,
  type Step,
} from "./support/nf.ts";

const sized = (size: number, frame = tcp(4000, 80)): FrameSpec => ({
  ...frame,
  size,
});

test("policer: the bucket, to the byte and the nanosecond", () => {
  const to = session(policer);
  expectVerdicts(to, [["from lan: no bucket", sized(60), "out 1", lan]]);
  deepEqual(to.words("buckets"), []);
  // burst 100,000 bytes, 1,000,000 bytes a second: full after 0.1 s.
  for (let sent = 0; sent < 100; sent++)
    equal(
      to.send(sized(1000), wan, 5n).verdict,
      sent < 99 ? "out 0" : "drop",
      `${sent}`,
    );
  expectVerdicts(to, [
    ["strict: 1000 are enough for 999", sized(999), "out 0", wan, 5n],
  ]);
  deepEqual(to.words("buckets"), ["c0a80009 01000000000000000500000000000000"]);
  expectVerdicts(to, [
    ["999 us later: 1000 of 1000", sized(1000), "drop", wan, 999_005n],
    ["1 us later: 1001", sized(1000), "out 0", wan, 1_000_005n],
    ["full again", sized(1000), "out 0", wan, 1_000_000_000n],
  ]);
  deepEqual(
    to.words("buckets").map((word) => word.slice(9, 25)),
    ["b882010000000000"],
  );
  expectVerdicts(to, [
    ["any IPv4", icmp, "out 0", wan],
    ["ARP", arp, "drop", wan],
    ["ARP from lan", arp, "drop", lan],
  ]);
});

test("policer: expiry, frames above the burst, a full table", () => {
  const small = { rate: 1_000n, burst: 100n };
  // Full after 0.1 s.
  const to = session(policer, small);
  expectVerdicts(to, [
    ["above the burst", sized(101), "drop", wan, 0n],
    ["all of it", sized(100), "out 0", wan, 0n],
    ["at the end: full, but strict", sized(100), "drop", wan, 100_000_000n],
    ["expired: as unknown", sized(100), "out 0", wan, 200_000_001n],
  ]);
  equal(to.words("buckets").length, 1);

  const full = session(policer);
  const { buckets } = full.instance.state;
  for (let address = 0; address < 65_536; address++)
    buckets.set(address, { tokens: 0n, last: 0n });
  expectVerdicts(full, [
    ["no place", sized(100), "drop", wan, 1_000_000n],
    ["no way of lan's", sized(100), "out 1", lan, 1_000_000n],
  ]);
  buckets.delete(0);
  expectVerdicts(full, [["a place", sized(100), "out 0", wan, 1_000_000n]]);
});

/** The i-th flow of one pair of addresses. */
const flowNumber = (i: number): FrameSpec => tcp(10_000 + i, 80);

test("connection-limiter: max_clients + 2 flows of a pair get in", () => {
  const to = session(connectionLimiter, {
    max_clients: 5,
    bucket_capacity: 1024,
  });
  const steps = Array.from({ length: 9 }, (_, i): Step => [
    `flow ${i}`,
    flowNumber(i),
    i < 7 ? "out 0" : "drop",
    wan,
    BigInt(i),
  ]);
  expectVerdicts(to, steps);
  expectVerdicts(to, [
    ["a refused flow stays", flowNumber(8), "out 0", wan, 9n],
    ["a known one", withOptions(flowNumber(1)), "out 0", wan, 9n],
    [
      "another pair",
      { ...flowNumber(1), ipv4: { src: server, dst: inside } },
      "out 0",
      wan,
      9n,
    ],
    ["another protocol is a flow", udp(1, 80), "drop", wan, 9n],
    ["from lan", flowNumber(99), "out 1", lan, 9n],
    ...notL4.map(([what, frame]): Step => [what, frame, "drop", wan, 9n]),
  ]);
  equal(to.words("flows").length, 11);
  // Four rows for each of two pairs: last, count, used.
  const cells = to.words("clients").filter((word) => !/ 0+$/.test(word));
  deepEqual(
    cells.map((word) => word.slice(9)),
    cells.map((word) =>
      word.slice(25, 33) === "00000000"
        ? "09000000000000000000000001000000"
        : "09000000000000000600000001000000",
    ),
  );
  equal(cells.length, 8);
});

test("connection-limiter: strict forgets what it refuses", () => {
  const to = session(connectionLimiter, {
    max_clients: 0,
    strict: true,
    bucket_capacity: 1024,
  });
  expectVerdicts(to, [
    ["first", flowNumber(0), "out 0", wan],
    ["second", flowNumber(1), "out 0", wan],
    ["third", flowNumber(2), "drop", wan],
    ["and again", flowNumber(2), "drop", wan],
  ]);
  equal(to.words("flows").length, 2);
});

test("connection-limiter: flows, then counters end; a full table does not limit", () => {
  const to = session(connectionLimiter, {
    max_clients: 0,
    flow_capacity: 2,
    bucket_capacity: 1024,
    flow_expiry: 10n,
    bucket_expiry: 100n,
  });
  expectVerdicts(to, [
    ["first", flowNumber(0), "out 0", wan, 0n],
    ["second", flowNumber(1), "out 0", wan, 0n],
    ["full: unlimited", flowNumber(2), "out 0", wan, 10n],
    ["again", flowNumber(3), "out 0", wan, 10n],
    ["place, but above the limit", flowNumber(2), "drop", wan, 11n],
    ["it was remembered", flowNumber(2), "out 0", wan, 12n],
    ["that kept the counters", flowNumber(3), "drop", wan, 112n],
    ["they end", flowNumber(4), "out 0", wan, 213n],
  ]);
  const counts = to.words("clients").filter((word) => !/ 0+$/.test(word));
  deepEqual(
    counts.map((word) => word.slice(9)),
    Array.from({ length: 4 }, () => "d5000000000000000000000001000000"),
  );
});

test("port-scan-detector: max_ports of a source, and it forgets", () => {
  const probe = (dport: number, src = inside): FrameSpec => ({
    ipv4: { src, dst: server },
    udp: { sport: 1, dport },
  });
  const to = session(portScanDetector, { max_ports: 3, expiry: 100n });
  expectVerdicts(to, [
    ["1", probe(1), "out 0", wan, 0n],
    ["2", probe(2), "out 0", wan, 0n],
    ["2 again", withOptions(probe(2)), "out 0", wan, 0n],
    ["3, by TCP", tcp(9, 3), "out 0", wan, 0n],
    ["4", probe(4), "drop", wan, 50n],
    ["1 is known", probe(1), "out 0", wan, 50n],
    ["another source", probe(4, "10.0.0.2"), "out 0", wan, 50n],
    ["from lan", probe(4), "out 1", lan, 50n],
    ["dropped ones refresh too", probe(4), "drop", wan, 150n],
    ["forgotten", probe(4), "out 0", wan, 251n],
    ["its ports too", probe(3), "out 0", wan, 251n],
    ["and so on", probe(2), "out 0", wan, 251n],
    ["full again", probe(1), "drop", wan, 251n],
    ...dropped(wan),
  ]);
  equal(to.words("sources").length, 2);
});

test("port-scan-detector: a source that takes an index does not take its ports", () => {
  const probe = (dport: number, src: string): FrameSpec => ({
    ipv4: { src, dst: server },
    udp: { sport: 1, dport },
  });
  const to = session(portScanDetector, {
    max_ports: 2,
    expiry: 100n,
    capacity: 1,
  });
  expectVerdicts(to, [
    ["1 of a", probe(1, "10.0.0.1"), "out 0", wan, 0n],
    ["2 of a", probe(2, "10.0.0.1"), "out 0", wan, 0n],
    ["table full: unlimited", probe(1, "10.0.0.2"), "out 0", wan, 100n],
    ["unlimited", probe(2, "10.0.0.2"), "out 0", wan, 100n],
    ["unlimited", probe(3, "10.0.0.2"), "out 0", wan, 100n],
    ["b takes the place", probe(5, "10.0.0.2"), "out 0", wan, 101n],
    ["2 is new", probe(2, "10.0.0.2"), "out 0", wan, 101n],
    ["1 is one more", probe(1, "10.0.0.2"), "drop", wan, 101n],
    ["a finds no place", probe(9, "10.0.0.1"), "out 0", wan, 101n],
  ]);
  deepEqual(to.words("sources"), ["0a000002 0200000000000000"]);
  deepEqual(
    to.words("touched").map((word) => word.slice(9, 21)),
    ["000500020000"],
  );
});

test("port-scan-detector: at most 64 ports, whatever the setting", () => {
  const to = session(portScanDetector, { max_ports: 100 });
  const steps = Array.from({ length: 65 }, (_, port): Step => [
    `port ${port}`,
    udp(1, port),
    port < 64 ? "out 0" : "drop",
    wan,
  ]);
  expectVerdicts(to, steps);
});

test("hhh: reports prefixes above their share, drops nothing", () => {
  // 1000 bytes a second; full after 0.1 s.
  const to = session(hhh, { link_rate: 16_000n, burst: 100n });
  const from = (src: string, size: number): FrameSpec => ({
    ipv4: { src, dst: server },
    icmp: { type: 8 },
    size,
  });
  const reports = (src: string, size: number, now: bigint): string[] => {
    const sent = to.send(from(src, size), wan, now);
    equal(sent.verdict, "out 0");
    return sent.events.map(({ ring, value }) => {
      const { address, length } = value as { address: number; length: number };
      return `${ring} ${printIpv4(BigInt(address))}/${length}`;
    });
  };
  deepEqual(reports("10.1.1.1", 60, 0n), []);
  deepEqual(reports("10.1.2.1", 60, 0n), [
    "reports 10.0.0.0/8",
    "reports 10.1.0.0/16",
  ]);
  deepEqual(reports("10.1.1.9", 42, 0n), [
    "reports 10.0.0.0/8",
    "reports 10.1.0.0/16",
    "reports 10.1.1.0/24",
  ]);
  deepEqual(reports("11.0.0.1", 100, 0n), []);
  deepEqual(reports("12.0.0.1", 101, 0n), [
    "reports 12.0.0.0/8",
    "reports 12.0.0.0/16",
    "reports 12.0.0.0/24",
  ]);
  equal(to.words("sources").length, 7);
  // 40 are left of 10/8: 21 ms later 61, which are enough for 60; 3 ms earlier not.
  deepEqual(reports("10.9.9.9", 60, 18_000_000n), ["reports 10.0.0.0/8"]);
  deepEqual(reports("10.9.9.9", 60, 21_000_000n), [
    "reports 10.9.0.0/16",
    "reports 10.9.9.0/24",
  ]);
  expectVerdicts(to, [
    ["from lan", from("10.1.1.1", 100), "out 1", lan],
    ["ARP", arp, "drop", wan],
    ["ARP from lan", arp, "drop", lan],
  ]);
});

test("hhh: a full table leaves the deeper levels out", () => {
  const to = session(hhh, { capacity: 2, levels: 0x8080_8080 });
  const source = { ipv4: { src: inside, dst: server }, icmp: { type: 8 } };
  expectVerdicts(to, [["/8 and /16", source, "out 0", wan]]);
  deepEqual(
    to.words("sources").map((word) => word.slice(0, 16)),
    ["0a00000008000000", "0a00000010000000"],
  );
  const all = session(hhh, { levels: 0xffff_ffff });
  expectVerdicts(all, [["every level", source, "out 0", wan]]);
  deepEqual(
    all.words("sources").map((word) => word.slice(8, 10)),
    Array.from({ length: 32 }, (_, i) => (i + 1).toString(16).padStart(2, "0")),
  );
});
