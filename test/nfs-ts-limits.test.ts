/**
 * The TypeScript network functions that limit do what their headers say, run as
 * plain JavaScript: buckets to the byte and the nanosecond, and what sources and
 * flows are allowed.
 */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "#base";
import { tcpFlags, type FrameSpec } from "#packet";
import heavyHitter from "../nfs/ts/heavy-hitter.ts";
import policer from "../nfs/ts/policer.ts";
import portKnock from "../nfs/ts/port-knock.ts";
import tokenBucket from "../nfs/ts/token-bucket.ts";
import {
  arp,
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
  type Sender,
  type Step,
} from "./support/nf.ts";

const { syn, ack, fin } = tcpFlags;
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

test("heavy-hitter: 1023 bytes pass, 1024 drop; FIN forgets", () => {
  const flow = (flags: number, size: number): FrameSpec =>
    sized(size, tcp(4000, 80, flags));
  const to = session(heavyHitter);
  expectVerdicts(to, [
    ["not begun: its own length", flow(ack, 1023), "pass"],
    ["not begun, too long", flow(ack, 1024), "drop"],
    ["SYN: 500", flow(syn, 500), "pass"],
    ["1023", flow(ack, 523), "pass"],
    ["1083", flow(ack, 60), "drop"],
    ["1143, and forgotten", flow(ack | fin, 60), "drop"],
    ["unknown", flow(ack, 60), "pass"],
    ["SYN and FIN begin", flow(syn | fin, 1000), "pass"],
    ["1060", flow(ack, 60), "drop"],
  ]);
  deepEqual(to.words("flows"), [
    "0a000001c0a800090fa0005006000000 2404000000000000",
  ]);
  expectVerdicts(session(heavyHitter, { limit: 100n }), [
    ["UDP begins", sized(60, udp(1, 2)), "pass"],
    ["120", sized(60, udp(1, 2)), "drop"],
    ...notL4.map(([what, frame]): Step => [what, frame, "drop"]),
  ]);
});

test("token-bucket: 16 at once, then one per 1024 ns", () => {
  const packet = udp(4000, 53);
  const burst = (start: bigint): readonly Step[] =>
    Array.from({ length: 17 }, (_, sent) => [
      `${sent}`,
      packet,
      sent < 16 ? "pass" : "drop",
      lan,
      start,
    ]);
  const to = session(tokenBucket);
  expectVerdicts(to, burst(0n));
  expectVerdicts(to, [
    ["1023 ns earn nothing", packet, "drop", lan, 1023n],
    ["nor do 1023 more", packet, "drop", lan, 2046n],
    ["1024 ns earn one", packet, "pass", lan, 3070n],
    ["which is spent", packet, "drop", lan, 3070n],
  ]);
  deepEqual(to.words("flows"), [
    "0a000001c0a800090fa0003511000000 0000000000000000fe0b000000000000",
  ]);
  // Longer than 2^32 ns, and longer than 2^42 ns, whose thousandths wrap 32 bits.
  expectVerdicts(to, burst(5_000_000_000n));
  const wraps = 5_000_000_000n + (1n << 42n);
  expectVerdicts(to, [
    ["2^32 intervals are none", packet, "drop", lan, wraps],
    ["an interval more", packet, "pass", lan, wraps + 1024n],
  ]);
});

test("token-bucket: who begins, who ends", () => {
  const flow = (flags: number): FrameSpec => tcp(4000, 80, flags);
  const to = session(tokenBucket);
  expectVerdicts(to, [
    ["not begun", flow(ack), "pass"],
    ...notL4.map(([what, frame]): Step => [what, frame, "drop"]),
  ]);
  deepEqual(to.words("flows"), []);
  expectVerdicts(to, [
    ["begun, FIN is not looked at", flow(syn | fin), "pass"],
    ["with options", withOptions(flow(ack)), "pass"],
  ]);
  deepEqual(to.words("flows"), [
    "0a000001c0a800090fa0005006000000 0e000000000000000000000000000000",
  ]);
  expectVerdicts(to, [["FIN forgets", flow(fin), "pass"]]);
  deepEqual(to.words("flows"), []);
});

test("port-knock: the sequence, and what resets it", () => {
  // prettier-ignore
  const cases: readonly (readonly [string, readonly (readonly [number, number])[], string])[] = [
    ["in order, then reset", [[100, syn], [101, ack], [102, ack], [100, ack], [100, ack], [100, ack], [100, ack]], "--P----"],
    ["no SYN: unknown", [[100, ack], [101, ack], [102, ack]], "---"],
    ["SYN elsewhere: known, closed", [[7, syn], [100, ack], [101, ack], [102, ack]], "---P"],
    ["a wrong port resets", [[100, syn], [101, ack], [7, ack], [102, ack], [100, ack], [101, ack], [102, ack]], "------P"],
    ["SYN+FIN on a miss creates", [[100, syn | fin], [101, ack], [102, ack]], "--P"],
    ["FIN forgets after the update", [[100, syn], [101, ack], [102, ack | fin], [100, ack], [101, ack], [102, ack]], "--P---"],
    ["FIN in the middle", [[100, syn], [101, ack | fin], [102, ack]], "---"],
  ];
  for (const [what, packets, verdicts] of cases) {
    const to = session(portKnock);
    const got = packets.map(([dport, flags]) =>
      to.send(tcp(4000, dport, flags)).verdict === "pass" ? "P" : "-",
    );
    equal(got.join(""), verdicts, what);
  }
});

test("port-knock: options move the ports; what is no whole TCP packet drops", () => {
  const to = session(portKnock);
  expectVerdicts(to, [
    ["100", withOptions(tcp(1, 100, syn)), "drop"],
    ["101", tcp(1, 101), "drop"],
    ["UDP", udp(1, 102), "drop"],
    ...notL4.map(([what, frame]): Step => [what, frame, "drop"]),
    [
      "another source",
      { ...tcp(1, 102), ipv4: { src: server, dst: inside } },
      "drop",
    ],
    ["102", withOptions(tcp(1, 102)), "pass"],
  ]);
  deepEqual(to.words("sources"), ["0a000001 03000000"]);
});

test("without enforce packets go back, and the state is the same", () => {
  const packets = [
    tcp(4000, 100, syn),
    tcp(4000, 101),
    tcp(4000, 102),
    tcp(4000, 9),
  ];
  const back = (to: Sender): void => {
    for (const packet of packets) {
      const sent = to.send(packet);
      equal(sent.verdict, "tx");
      equal(toHex(sent.frame.subarray(0, 12)), "020000000001020000000002");
    }
    equal(to.send(arp).verdict, "drop");
  };
  const set = { enforce: false };
  const cases: readonly (readonly [string, Sender, Sender])[] = [
    ["sources", session(portKnock, set), session(portKnock)],
    ["flows", session(heavyHitter, set), session(heavyHitter)],
    ["flows", session(tokenBucket, set), session(tokenBucket)],
  ];
  for (const [map, bouncing, enforcing] of cases) {
    back(bouncing);
    for (const packet of packets) enforcing.send(packet);
    deepEqual(bouncing.words(map), enforcing.words(map));
  }
});
