/**
 * The C network functions that judge by state: heavy-hitter, token-bucket, conntrack and
 * the two older ones of their kind in both modes, ids, wan-dedup, and those that show
 * what cannot be divided (ctrnat, r3, gcount, arr). Tables as in nfs-suite.test.ts.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "#base";
import { buildFrame, tcpFlags, type FrameSpec } from "#packet";
import {
  arp,
  back,
  changed,
  endsOf,
  expectRun,
  lan,
  load,
  notL4,
  options,
  second,
  stranger,
  tcp,
  there,
  udp,
  verdict,
  wan,
  words,
  type Entries,
  type Step,
} from "./support/network-function.ts";

const { ack, fin, rst, syn, psh } = tcpFlags;

const sized = (frame: FrameSpec, size: number): FrameSpec => ({
  ...frame,
  size,
});

// --- modes ---

// What they say of what is not L4: enforce, bounce.
// prettier-ignore
const modes: Readonly<Record<string, readonly [string, string]>> = {
  "ddos-mitigator": ["pass", "tx"],
  "port-knock":     ["drop", "drop"],
  "heavy-hitter":   ["drop", "drop"],
  "token-bucket":   ["drop", "drop"],
  "conntrack":      ["drop", "drop"],
};

for (const [name, [enforced, bounced]] of Object.entries(modes))
  test(`${name}: two modes, one state`, () => {
    const one = load(name);
    const other = load(name, { set: { enforce: "false" } });
    for (const [what, frame] of Object.entries(notL4)) {
      const sent = frame instanceof Uint8Array ? frame : buildFrame(frame);
      equal(verdict(one.run(sent)), enforced, what);
      const outcome = other.run(sent);
      equal(verdict(outcome), bounced, what);
      if (bounced === "drop") equal(toHex(outcome.data), toHex(sent), what);
    }
    const frames = [syn, ack, syn | ack, fin | ack, rst].flatMap((flags) =>
      [there, back].flatMap((ends) => [tcp(ends, flags), tcp(ends, flags)]),
    );
    for (const [at, frame] of frames.entries()) {
      const time = BigInt(at) * 500n;
      const sent = buildFrame({ ...frame, eth: { dst: 1n, src: 2n } });
      ok(["pass", "drop"].includes(verdict(one.run(sent, { time }))));
      const outcome = other.run(sent, { time });
      equal(verdict(outcome), "tx");
      equal(
        toHex(outcome.data),
        `000000000002000000000001${toHex(sent.subarray(12))}`,
      );
    }
    for (const { name: map } of one.state.maps)
      if (map !== ".rodata")
        deepEqual(words(one.state, map), words(other.state, map));
    // No whole Ethernet header, nothing to exchange.
    equal(verdict(other.run(new Uint8Array(13))), "drop");
  });

// --- heavy-hitter ---

test("heavy-hitter: below 1024 bytes, this packet included", () => {
  const open = tcp(there, syn);
  // prettier-ignore
  expectRun(load("heavy-hitter"), [
    [lan, 0n, sized(tcp(there), 1023), "pass"],      // unknown, no SYN: its own bytes
    [lan, 0n, sized(tcp(there), 1024), "drop"],
    [lan, 0n, sized(open, 1000), "pass"],            // created
    [lan, 0n, sized(udp(there), 60), "pass"],        // another protocol, another flow
    [lan, 0n, sized(tcp(back), 60), "pass"],         // another direction
    [lan, 0n, sized(tcp(there), 60), "drop"],        // 1060
    [lan, 0n, sized(udp(there), 963), "pass"],       // 1023
    [lan, 0n, sized(udp(there), 60), "drop"],
    [lan, 0n, sized(tcp(there, fin), 60), "drop"],   // counted, then forgotten
    [lan, 0n, sized(tcp(there), 60), "pass"],
  ]);
});

test("heavy-hitter: SYN and FIN on a miss create; the limit is settable", () => {
  const hitter = load("heavy-hitter", { set: { limit: "100" } });
  // prettier-ignore
  expectRun(hitter, [
    [lan, 0n, sized(tcp(there, syn | fin), 60), "pass"],
    [lan, 0n, sized(tcp(there), 60), "drop"],
    [lan, 0n, sized({ ...udp(back), ipv4: { src: "192.168.0.9", dst: "10.0.0.1", options } }, 99), "pass"],
  ]);
  deepEqual(words(hitter.state, "flows"), [
    "0a000001c0a800090fa0005006000000 7800000000000000",
    "c0a800090a00000100500fa011000000 6300000000000000",
  ]);
});

test("heavy-hitter, token-bucket: where the table is full flows stay unknown", () => {
  const hitter = load("heavy-hitter", { capacity: { flows: 1 } });
  // prettier-ignore
  expectRun(hitter, [
    [lan, 0n, sized(udp(there), 600), "pass"],
    [lan, 0n, sized(udp(back), 600), "pass"],
    [lan, 0n, sized(udp(back), 600), "pass"],
    [lan, 0n, sized(udp(there), 600), "drop"],
  ]);
  const bucket = load("token-bucket", { capacity: { flows: 1 } });
  const burst = Array.from({ length: 16 }, (): Step => [
    lan,
    0n,
    udp(there),
    "pass",
  ]);
  expectRun(bucket, [
    ...burst,
    [lan, 0n, udp(there), "drop"],
    ...Array.from({ length: 20 }, (): Step => [lan, 0n, udp(back), "pass"]),
  ]);
});

// --- token-bucket ---

const packets = (count: number, time: bigint, want: string): Step[] =>
  Array.from({ length: count }, (): Step => [lan, time, udp(there), want]);

test("token-bucket: 16 at once, then one per 1024 ns", () => {
  // prettier-ignore
  expectRun(load("token-bucket"), [
    ...packets(16, 0n, "pass"),
    ...packets(1, 0n, "drop"),
    ...packets(1, 1023n, "drop"),               // and the 1023 ns are lost
    ...packets(1, 2046n, "drop"),
    ...packets(1, 3070n, "pass"),
    ...packets(1, 3070n, "drop"),
    ...packets(3, 3070n + 3n * 1024n, "pass"),
    ...packets(1, 3070n + 3n * 1024n, "drop"),
    ...packets(16, 5n * second, "pass"),        // 16 at most, after more than 4.29 s
    ...packets(1, 5n * second, "drop"),
    // 2^42 ns are no tokens in 32 bits.
    ...packets(1, 5n * second + (1n << 42n), "drop"),
  ]);
});

test("token-bucket: who is created and forgotten", () => {
  const bucket = load("token-bucket");
  // prettier-ignore
  expectRun(bucket, [
    [lan, 0n, tcp(there, ack), "pass"],
    [lan, 0n, tcp(there, fin), "pass"],
  ]);
  equal(words(bucket.state, "flows").length, 0);
  bucket.run(tcp(there, syn | fin), { time: 7n });
  deepEqual(words(bucket.state, "flows"), [
    "0a000001c0a800090fa0005006000000 0f000000000000000700000000000000",
  ]);
  bucket.run(tcp(there, ack), { time: 8n });
  deepEqual(words(bucket.state, "flows"), [
    "0a000001c0a800090fa0005006000000 0e000000000000000800000000000000",
  ]);
  equal(verdict(bucket.run(tcp(there, fin), { time: 9n })), "pass");
  equal(words(bucket.state, "flows").length, 0);
});

// --- conntrack ---

/** What a packet of a conversation is, and what it must do: `F SA 5 2 drop`. */
function expectTalk(
  text: string,
  { forward = there, reverse = back } = {},
): void {
  const machine = load("conntrack");
  const letters: Readonly<Record<string, number>> = {
    S: syn,
    A: ack,
    F: fin,
    R: rst,
    P: psh,
  };
  const lines = text.trim().split("\n");
  const have = lines.map((line, at) => {
    const [side = "", word = "", seq = "", acked = ""] = line
      .trim()
      .split(/ +/);
    const flags = word
      .split("")
      .reduce((all, one) => all | (letters[one] ?? 0), 0);
    const frame = tcp(side === "F" ? forward : reverse, flags);
    ok(frame.tcp !== undefined);
    const sent = {
      ...frame,
      tcp: { ...frame.tcp, seq: Number(seq), ack: Number(acked) },
    };
    const outcome = machine.run(sent, { time: BigInt(at) });
    const [entry] = machine.state.entries("connections");
    const view = new DataView(
      (entry?.value ?? new Uint8Array(16)).slice().buffer,
    );
    const ttl = (view.getBigUint64(0, true) - BigInt(at)) / second;
    const state =
      entry === undefined ? "-" : `${names[view.getUint8(8)]}:${ttl}`;
    return `${side} ${word} ${seq} ${acked} ${verdict(outcome)} ${state}`;
  });
  deepEqual(
    have,
    lines.map((line) => line.trim().split(/ +/).join(" ")),
  );
}

const names = [
  "?",
  "SYN_SENT",
  "SYN_RECV",
  "ESTABLISHED",
  "FIN_WAIT_1",
  "FIN_WAIT_2",
  "LAST_ACK",
];

const opened = `
  F S  100 0   pass SYN_SENT:120
  R SA 300 101 pass SYN_RECV:60
  F A  101 301 pass ESTABLISHED:432000`;

test("conntrack: every row of the table", () => {
  // A miss: only a lone SYN creates.
  expectTalk(`
    F A  1 1 pass -
    F SA 1 1 pass -
    F SP 1 1 pass -
    F S  1 0 pass SYN_SENT:120`);
  // SYN_SENT.
  expectTalk(`
    F S  100 0   pass SYN_SENT:120
    F S  100 0   pass SYN_SENT:120
    F A  101 1   drop SYN_SENT:119
    R A  300 101 drop SYN_SENT:119
    R SA 300 100 drop SYN_SENT:119
    R RA 300 101 pass SYN_SENT:119
    R SA 300 101 pass SYN_RECV:60
    F S  100 0   drop SYN_RECV:59
    F A  101 300 drop SYN_RECV:59
    F AP 101 301 drop SYN_RECV:59
    R SA 300 101 drop SYN_RECV:59
    R SA 300 301 pass SYN_RECV:60
    R A  300 301 drop SYN_RECV:59
    F A  101 301 pass ESTABLISHED:432000`);
  // ESTABLISHED; its creator closes.
  expectTalk(`${opened}
    F AP 101 301 pass ESTABLISHED:432000
    R AP 301 102 pass ESTABLISHED:432000
    R S  301 102 pass ESTABLISHED:432000
    F FA 102 302 pass FIN_WAIT_1:120
    F A  103 303 pass FIN_WAIT_1:119
    R A  301 103 drop FIN_WAIT_1:119
    R F  302 103 drop FIN_WAIT_1:119
    R A  302 103 pass FIN_WAIT_2:120
    F A  103 303 pass FIN_WAIT_2:119
    R A  1   2   pass FIN_WAIT_2:120
    R F  302 103 pass LAST_ACK:30
    R A  104 9   pass LAST_ACK:30
    F F  103 9   pass LAST_ACK:30
    F RA 103 9   pass LAST_ACK:29
    F A  103 9   pass -`);
  // The other end closes; the answer has FIN at once.
  expectTalk(`${opened}
    R FA 301 102 pass FIN_WAIT_1:120
    F A  102 302 pass FIN_WAIT_1:119
    R FA 102 302 pass LAST_ACK:30
    R A  302 303 pass -`);
});

test("conntrack: ends by address, equal ones by port", () => {
  expectTalk(opened, { forward: back, reverse: there });
  const same = load("conntrack");
  // Between equal addresses an answer is a miss: the port alone is reversed.
  const forward = "10.0.0.1:4000 10.0.0.1:80";
  const reverse = "10.0.0.1:80 10.0.0.1:4000";
  expectTalk(
    `
    F S  100 0   pass SYN_SENT:120
    R SA 300 101 pass SYN_SENT:119
    F A  101 301 drop SYN_SENT:119
    R S  5   0   pass SYN_SENT:120
    R A  5   0   drop SYN_SENT:119`,
    { forward, reverse },
  );
  same.run(tcp(forward, syn));
  deepEqual(
    words(same.state, "connections").map((word) => word.split(" ")[0]),
    ["0a0000010a00000100500fa006000000"],
  );
  const { run, state } = load("conntrack");
  run(tcp(back, syn));
  deepEqual(words(state, "connections"), [
    "0a000001c0a800090fa0005006000000 00b08ef01b0000000101010000000001",
  ]);
});

test("conntrack: an acknowledgement counts in the last byte only", () => {
  expectTalk(`
    F S  255        0   pass SYN_SENT:120
    R SA 300        256 drop SYN_SENT:119
    R SA 4294967295 0   pass SYN_RECV:60
    F A  256        0   drop SYN_RECV:59
    F A  256 4294967040 pass ESTABLISHED:432000`);
});

test("conntrack: UDP and a full table leave no state", () => {
  const { run, state } = load("conntrack", { capacity: { connections: 1 } });
  // prettier-ignore
  expectRun({ run, state }, [
    [lan, 0n, udp(there), "pass"],
    [lan, 0n, tcp(there, syn), "pass"],
    [lan, 0n, tcp("10.0.0.2:1 10.0.0.3:2", syn), "pass"],
    [lan, 0n, tcp("10.0.0.3:2 10.0.0.2:1", ack), "pass"],
    [lan, 0n, tcp(back, ack), "drop"],
  ]);
  equal(words(state, "connections").length, 1);
});

// --- ids ---

const u64 = (value: bigint): number[] => [
  ...new Uint8Array(BigUint64Array.of(value).buffer),
];
const text = (word: string): bigint =>
  BigInt(`0x${Buffer.from(word).toString("hex")}`);

/** A signature of that place: a text, and which of its bits count. */
const signature = (
  at: number,
  word: string,
  mask = (1n << BigInt(8 * word.length)) - 1n,
): readonly [number[], number[]] => [
  [at, 0, 0, 0],
  [...u64(text(word)), ...u64(mask), word.length, 0, 0, 0, 0, 0, 0, 0],
];

const carrying = (payload: string, frame: FrameSpec = udp(there)) => ({
  ...frame,
  payload: new Uint8Array(Buffer.from(payload)),
});

test("ids: a pattern anywhere in the first bytes of a payload", () => {
  const signatures: Entries = [
    signature(1, "attack"),
    signature(2, "GET /bin"),
    signature(5, "A", 0xdfn),
  ];
  const inspector = load("ids", { contents: { signatures } });
  // prettier-ignore
  expectRun(inspector, [
    [lan, 0n, carrying("no room"), "pass"],
    [lan, 0n, carrying("xxattackxx"), "drop"],
    [lan, 0n, carrying("attack"), "drop"],
    [lan, 0n, carrying("tt_ck"), "pass"],
    [lan, 0n, carrying("xGET /binx", tcp(there)), "drop"],
    [lan, 0n, carrying("GET /bix", tcp(there)), "pass"],
    [lan, 0n, carrying("some a"), "drop"],             // either case
    [lan, 0n, carrying("atta"), "drop"],
    [lan, 0n, carrying(`${"x".repeat(58)}attack`), "drop"],
    [lan, 0n, carrying(`${"x".repeat(63)}a`), "drop"],
    [lan, 0n, carrying(`${"x".repeat(64)}a`), "pass"], // behind the depth
    [lan, 0n, udp(there), "pass"],
    [lan, 0n, tcp(there), "pass"],
    ...Object.values(notL4).map((frame): Step => [lan, 0n, frame, "pass"]),
  ]);
  // Options of both headers move the payload.
  const frame = carrying("attack", {
    ipv4: { src: "10.0.0.1", dst: "10.0.0.2", options },
    tcp: { sport: 1, dport: 2, options: new Uint8Array(40).fill(1) },
  });
  equal(verdict(inspector.run(frame)), "drop");
  const count = (at: number, hits: number): string =>
    `0${at}000000 0${hits}00000000000000`;
  deepEqual(
    words(inspector.state, "matches").filter((word) => !/ 0+$/.test(word)),
    [count(1, 4), count(2, 1), count(5, 3)],
  );
});

test("ids: the depth, and a pattern of zeros", () => {
  const signatures: Entries = [signature(0, "\0\0\0")];
  // prettier-ignore
  expectRun(load("ids", { set: { depth: "3" }, contents: { signatures } }), [
    [lan, 0n, carrying("\0\0"), "pass"],      // no more than the window holds at first
    [lan, 0n, carrying("\0\0\0"), "drop"],
    [lan, 0n, carrying("x\0\0\0"), "pass"],
  ]);
  expectRun(load("ids", { set: { depth: "1000" }, contents: { signatures } }), [
    [lan, 0n, carrying(`${"x".repeat(125)}\0\0\0`), "drop"],
    [lan, 0n, carrying(`${"x".repeat(126)}\0\0\0`), "pass"],
    // A data offset below 5 counts as 5.
    [lan, 0n, changed(buildFrame(carrying("abc", tcp(there))), 46, 0), "pass"],
  ]);
});

// --- wan-dedup ---

test("wan-dedup: the same payload of the same endpoints within 100 ms", () => {
  const ms = 1_000_000n;
  const dedup = load("wan-dedup");
  const twice = carrying("a payload of some length");
  // prettier-ignore
  expectRun(dedup, [
    [lan, 0n, twice, "out 1"],
    [lan, 0n, twice, "drop"],
    [wan, 0n, twice, "drop"],
    [lan, 50n * ms, twice, "drop"],
    [lan, 100n * ms, twice, "drop"],            // alive to the nanosecond, not refreshed
    [lan, 100n * ms + 1n, twice, "out 1"],
    [lan, 200n * ms, twice, "drop"],
    [lan, 0n, carrying("a payload of some lengtH"), "out 1"],
    [lan, 0n, carrying("a payload of some length", udp(back)), "out 1"],
    [wan, 0n, carrying("a payload of some lengt"), "out 0"],
    [wan, 0n, carrying("a payload of some length\0"), "out 0"],
    [lan, 0n, udp(there), "out 1"],
    [lan, 0n, udp(there), "out 1"],             // nothing in it
    [stranger, 0n, twice, "drop"],
    ...Object.values(notL4).flatMap((frame): Step[] => [
      [lan, 0n, frame, "out 1"],
      [wan, 0n, frame, "out 0"],
    ]),
  ]);
  deepEqual(words(dedup.state, "dropped"), ["00000000 0500000000000000"]);
});

test("wan-dedup: TCP repeats by sequence number; long payloads pass", () => {
  const segment = (seq: number, payload: string): FrameSpec => ({
    ipv4: { src: "10.0.0.1", dst: "10.0.0.2" },
    tcp: { sport: 1, dport: 2, seq },
    payload: new Uint8Array(Buffer.from(payload)),
  });
  // prettier-ignore
  expectRun(load("wan-dedup"), [
    [lan, 0n, segment(1, "again"), "out 1"],
    [lan, 0n, segment(6, "again"), "out 1"],
    [lan, 0n, segment(1, "again"), "drop"],
    [lan, 0n, segment(1, "x".repeat(512)), "out 1"],
    [lan, 0n, segment(1, `${"x".repeat(511)}y`), "out 1"],
    [lan, 0n, segment(1, "x".repeat(512)), "drop"],
    [lan, 0n, segment(1, "x".repeat(513)), "out 1"],
    [lan, 0n, segment(1, "x".repeat(513)), "out 1"],
  ]);
});

test("wan-dedup: what one fingerprint cannot tell apart the other can", () => {
  // The top bit of a word, and what the first fingerprint makes of it one word later.
  const words_ = (...list: number[]): FrameSpec => {
    const payload = new Uint8Array(4 * list.length);
    for (const [at, word] of list.entries())
      new DataView(payload.buffer).setUint32(4 * at, word);
    return udp(there, { payload });
  };
  expectRun(load("wan-dedup"), [
    [lan, 0n, words_(1, 2, 3), "out 1"],
    [lan, 0n, words_(0x80000001, 0x80010002, 3), "out 1"],
    [lan, 0n, words_(0x80000001, 0x80040002, 3), "out 1"],
  ]);
});

test("wan-dedup: full forgets nothing alive, and reuses what expired", () => {
  const dedup = load("wan-dedup", { set: { capacity: "1", expiry: "100" } });
  // prettier-ignore
  expectRun(dedup, [
    [lan, 0n, carrying("one"), "out 1"],
    [lan, 50n, carrying("two"), "out 1"],
    [lan, 50n, carrying("two"), "out 1"],
    [lan, 100n, carrying("one"), "drop"],
    [lan, 101n, carrying("two"), "out 1"],
    [lan, 101n, carrying("two"), "drop"],
    [lan, 101n, carrying("one"), "out 1"],
  ]);
  equal(words(dedup.state, "payloads").length, 1);
});

// --- what cannot be divided ---

test("ctrnat: a number for each new flow, none comes back", () => {
  const nat = load("ctrnat", { set: { start_port: "65533" } });
  const from = (host: number): FrameSpec =>
    udp(`10.0.0.${host}:4000 192.168.0.9:80`);
  equal(endsOf(nat.run(from(1)).data), "203.0.113.1:65533 192.168.0.9:80");
  equal(endsOf(nat.run(from(1)).data), "203.0.113.1:65533 192.168.0.9:80");
  equal(endsOf(nat.run(from(2)).data), "203.0.113.1:65534 192.168.0.9:80");
  const answer = nat.run(udp("192.168.0.9:80 203.0.113.1:65534"), {
    ifindex: wan,
  });
  equal(endsOf(answer.data), "192.168.0.9:80 10.0.0.2:4000");
  equal(toHex(answer.data.subarray(0, 12)), "020000000011020000000001");
  // prettier-ignore
  expectRun(nat, [
    [lan, 0n, from(3), "out 1"],
    [lan, 0n, from(4), "drop"],
    [lan, 1000n * second, from(1), "out 1"],
    [wan, 0n, udp("192.168.0.9:80 203.0.113.1:65533"), "out 0"],
    [wan, 0n, udp("192.168.0.9:81 203.0.113.1:65533"), "drop"],
    [wan, 0n, udp("192.168.0.8:80 203.0.113.1:65533"), "drop"],
    [wan, 0n, tcp("192.168.0.9:80 203.0.113.1:65533"), "drop"],
    [wan, 0n, udp("192.168.0.9:80 203.0.113.1:65532"), "drop"],
    [stranger, 0n, from(1), "drop"],
    ...Object.values(notL4).flatMap((frame): Step[] => [
      [lan, 0n, frame, "drop"],
      [wan, 0n, frame, "drop"],
    ]),
  ]);
  deepEqual(words(nat.state, "allocated"), ["00000000 0400000000000000"]);
});

test("ctrnat: a full table drops, and the number is gone", () => {
  const nat = load("ctrnat", { capacity: { flows: 1 } });
  // prettier-ignore
  expectRun(nat, [
    [lan, 0n, udp(there), "out 1"],
    [lan, 0n, udp(back), "drop"],
    [lan, 0n, udp(there), "out 1"],
  ]);
  deepEqual(words(nat.state, "allocated"), ["00000000 0200000000000000"]);
});

test("r3, gcount, arr: what they count", () => {
  const sent = [
    udp(there),
    tcp(there),
    udp(back),
    udp("10.0.0.1:1 10.0.0.2:592"),
  ];
  const expected: Readonly<Record<string, Readonly<Record<string, string[]>>>> =
    {
      r3: {
        sources: ["0a000001 0300000000000000", "c0a80009 0100000000000000"],
        destinations: [
          "c0a80009 0200000000000000",
          "0a000001 0100000000000000",
          "0a000002 0100000000000000",
        ],
      },
      gcount: {
        sources: [
          "0a000001 03000000000000000300000000000000",
          "c0a80009 01000000000000000200000000000000",
        ],
        total: ["00000000 0400000000000000"],
      },
      // 80 twice, 4000 & 255 = 160, 592 & 255 = 80.
      arr: {
        counts: ["50000000 0300000000000000", "a0000000 0100000000000000"],
      },
    };
  for (const [name, maps] of Object.entries(expected)) {
    const { run, state } = load(name);
    for (const frame of sent) equal(verdict(run(frame)), "pass");
    equal(verdict(run(arp)), "drop");
    const fragment = notL4["last fragment"] ?? arp;
    if (name === "arr") equal(verdict(run(fragment)), "drop");
    for (const [map, want] of Object.entries(maps))
      deepEqual(
        words(state, map)
          .filter((word) => !/ 0+$/.test(word))
          .sort(),
        [...want].sort(),
        name,
      );
  }
});

test("r3, gcount: a full table still passes", () => {
  for (const name of ["r3", "gcount"]) {
    const { run, state } = load(name, { capacity: { sources: 1 } });
    expectRun({ run, state }, [
      [lan, 0n, udp(there), "pass"],
      [lan, 0n, udp(back), "pass"],
    ]);
    equal(words(state, "sources").length, 1);
  }
});
