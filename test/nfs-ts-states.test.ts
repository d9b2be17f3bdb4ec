/**
 * The TypeScript network functions that keep a state per flow or source and run in
 * two modes do what their headers say, run as plain JavaScript: bytes to the byte,
 * intervals to the nanosecond, TCP flags, every row of their tables.
 */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { fromHex, toHex } from "#base";
import { tcpFlags, type FrameSpec } from "#packet";
import conntrack from "../nfs/ts/conntrack.ts";
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

const { syn, ack, fin, rst, psh } = tcpFlags;
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

/** A segment of the connection under test, from its creator (">") or peer ("<"). */
function segment(
  from: ">" | "<",
  flags: number,
  seq: number,
  acknowledged = 0,
): FrameSpec {
  const ends = { creator: "10.0.0.9", peer: "10.0.0.5" };
  const [src, dst] =
    from === ">" ? [ends.creator, ends.peer] : [ends.peer, ends.creator];
  const [sport, dport] = from === ">" ? [4000, 80] : [80, 4000];
  return {
    ipv4: { src, dst },
    tcp: { sport, dport, flags, seq, ack: acknowledged },
  };
}

/** What conntrack keeps of it: state, seconds to live at time 0, sequence. */
function kept(to: Sender): string {
  const [word] = to.words("connections");
  if (word === undefined) return "unknown";
  const value = fromHex(word.slice(33));
  const view = new DataView(value.buffer);
  const names = [
    "",
    "SYN_SENT",
    "SYN_RECV",
    "ESTABLISHED",
    "FIN_WAIT_1",
    "FIN_WAIT_2",
    "LAST_ACK",
  ];
  const ttl = view.getBigUint64(0, true) / 1_000_000_000n;
  return `${names[value[8] ?? 0]} ${ttl} ${view.getUint32(12).toString(16)}`;
}

const opened = [
  [segment(">", syn, 0x100), "pass", "SYN_SENT 120 101"],
  [segment("<", syn | ack, 0x200, 0x101), "pass", "SYN_RECV 60 201"],
  [segment(">", ack, 0x101, 0x201), "pass", "ESTABLISHED 432000 201"],
] as const;
const closing = [
  ...opened,
  [segment(">", fin | ack, 0x101, 0x201), "pass", "FIN_WAIT_1 120 201"],
  [segment("<", ack, 0x201, 0x102), "pass", "FIN_WAIT_2 120 201"],
  [segment("<", fin | ack, 0x201, 0x102), "pass", "LAST_ACK 30 102"],
] as const;

test("conntrack: every row of the table", () => {
  // prettier-ignore
  const cases: readonly (readonly [string, number, readonly (readonly [FrameSpec, string, string])[]])[] = [
    ["unknown: no SYN", 0, [[segment(">", ack, 1), "pass", "unknown"]]],
    ["unknown: more than SYN", 0, [[segment(">", syn | ack, 1), "pass", "unknown"]]],
    ["unknown: RST", 0, [[segment(">", syn | rst, 1), "pass", "unknown"]]],
    ["SYN_SENT: SYN again", 1, [[segment(">", syn, 0x900), "pass", "SYN_SENT 120 101"]]],
    ["SYN_SENT: something else", 1, [[segment(">", ack, 0x101), "drop", "SYN_SENT 120 101"]]],
    ["SYN_SENT: peer's SYN alone", 1, [[segment("<", syn, 0x200), "drop", "SYN_SENT 120 101"]]],
    ["SYN_SENT: peer acknowledges another", 1, [[segment("<", syn | ack, 0x200, 0x102), "drop", "SYN_SENT 120 101"]]],
    ["SYN_SENT: peer's PSH too", 1, [[segment("<", syn | ack | psh, 0x200, 0x101), "drop", "SYN_SENT 120 101"]]],
    ["SYN_RECV: another number", 2, [[segment(">", ack, 0x101, 0x202), "drop", "SYN_RECV 60 201"]]],
    ["SYN_RECV: ACK and PSH", 2, [[segment(">", ack | psh, 0x101, 0x201), "drop", "SYN_RECV 60 201"]]],
    ["SYN_RECV: peer again, its own number", 2, [[segment("<", syn | ack, 0x200, 0x201), "pass", "SYN_RECV 60 201"]]],
    ["SYN_RECV: peer again, ours", 2, [[segment("<", syn | ack, 0x200, 0x101), "drop", "SYN_RECV 60 201"]]],
    ["ESTABLISHED: data, either way", 3, [[segment(">", ack | psh, 9, 9), "pass", "ESTABLISHED 432000 201"], [segment("<", ack, 9, 9), "pass", "ESTABLISHED 432000 201"], [segment("<", syn, 9, 9), "pass", "ESTABLISHED 432000 201"]]],
    ["ESTABLISHED: RST changes nothing", 3, [[segment(">", rst, 9), "pass", "ESTABLISHED 432000 201"], [segment("<", rst | fin, 9), "pass", "ESTABLISHED 432000 201"]]],
    ["ESTABLISHED: peer closes first", 3, [[segment("<", fin | ack, 0x201, 0x101), "pass", "FIN_WAIT_1 120 101"]]],
    ["FIN_WAIT_1: creator", 4, [[segment(">", ack, 1, 1), "pass", "FIN_WAIT_1 120 201"]]],
    ["FIN_WAIT_1: no ACK", 4, [[segment("<", fin, 0x201), "drop", "FIN_WAIT_1 120 201"]]],
    ["FIN_WAIT_1: another number", 4, [[segment("<", ack, 0x202), "drop", "FIN_WAIT_1 120 201"]]],
    ["FIN_WAIT_1: ACK with FIN goes on at once", 4, [[segment("<", fin | ack, 0x201, 0x102), "pass", "LAST_ACK 30 102"]]],
    ["FIN_WAIT_2: no FIN", 5, [[segment("<", ack, 7), "pass", "FIN_WAIT_2 120 201"], [segment(">", fin, 7), "pass", "FIN_WAIT_2 120 201"]]],
    ["LAST_ACK: another number", 6, [[segment(">", ack, 0x103), "pass", "LAST_ACK 30 102"]]],
    ["LAST_ACK: no ACK", 6, [[segment(">", fin, 0x102), "pass", "LAST_ACK 30 102"]]],
    ["LAST_ACK: by the peer", 6, [[segment("<", ack, 0x102), "pass", "unknown"]]],
    ["LAST_ACK: the end", 6, [[segment(">", ack, 0x102, 0x202), "pass", "unknown"]]],
  ];
  for (const [what, steps, packets] of cases) {
    const to = session(conntrack);
    for (const [frame, verdict, state] of [
      ...closing.slice(0, steps),
      ...packets,
    ])
      deepEqual([to.send(frame).verdict, kept(to)], [verdict, state], what);
  }
});

test("conntrack: between equal addresses only the creator is known", () => {
  const self = (sport: number, dport: number, flags: number): FrameSpec => ({
    ipv4: { src: inside, dst: inside },
    tcp: { sport, dport, flags, seq: 1, ack: 2 },
  });
  const to = session(conntrack);
  expectVerdicts(to, [
    ["SYN", self(80, 4000, syn), "pass"],
    ["its answer is unknown", self(4000, 80, syn | ack), "pass"],
    ["the creator's is not expected", self(80, 4000, ack), "drop"],
  ]);
  const key = "0a0000010a00000100500fa006000000";
  deepEqual(to.words("connections"), [
    `${key} 00b08ef01b0000000100000000000002`,
  ]);
  expectVerdicts(to, [["a SYN begins anew", self(4000, 80, syn), "pass"]]);
  deepEqual(to.words("connections"), [
    `${key} 00b08ef01b0000000100010000000002`,
  ]);
});

test("conntrack: numbers count in their lowest byte", () => {
  const to = session(conntrack);
  to.send(segment(">", syn, 0x1234_56ff));
  equal(kept(to), "SYN_SENT 120 12345600");
  to.send(segment("<", syn | ack, 0xffff_ffff, 0x1234_5600));
  equal(kept(to), "SYN_RECV 60 ffffff00");
});

test("conntrack: what no connection is kept of", () => {
  const to = session(conntrack);
  expectVerdicts(to, [["UDP", udp(1, 2), "pass"], ...dropped(lan)]);
  equal(kept(to), "unknown");
  const second = session(conntrack);
  second.send(segment(">", syn, 1), lan, 5_000_000_000n);
  equal(kept(second), "SYN_SENT 125 2");
  deepEqual(
    second.words("connections")[0]?.slice(0, 32),
    "0a0000050a00000900500fa006000000",
  );
});
