/**
 * The TypeScript network functions that keep a state per flow or source and run in
 * two modes do what their headers say, run as plain JavaScript: bytes to the byte,
 * intervals to the nanosecond, TCP flags, every row of their tables.
 */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "#base";
import { tcpFlags, type FrameSpec } from "#packet";
import heavyHitter from "../nfs/ts/heavy-hitter.ts";
import portKnock from "../nfs/ts/port-knock.ts";
import tokenBucket from "../nfs/ts/token-bucket.ts";
import {
  arp,
  dropped,
  expectVerdicts,
  inside,
  lan,
  server,
  session,
  tcp,
  udp,
  withOptions,
  type Sender,
  type Step,
} from "./support/nf.ts";

const { syn, ack, fin } = tcpFlags;
const sized = (size: number, frame = tcp(4000, 80)): FrameSpec => ({
  ...frame,
  size,
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
    ...dropped(lan),
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
  expectVerdicts(to, [["not begun", flow(ack), "pass"], ...dropped(lan)]);
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
    ...dropped(lan),
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
