/**
 * The TypeScript network functions do what their headers say, run as plain
 * JavaScript: forwarders, bridges and counters, against results worked out by hand.
 */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "#base";
import { buildFrame, type FrameSpec } from "#packet";
import { ipv4, mac } from "divisi/nf";
import allow from "../nfs/ts/allow.ts";
import arr from "../nfs/ts/arr.ts";
import ddosMitigator from "../nfs/ts/ddos-mitigator.ts";
import dynamicBridge from "../nfs/ts/dynamic-bridge.ts";
import flowCounter from "../nfs/ts/flow-counter.ts";
import fwd from "../nfs/ts/fwd.ts";
import gcount from "../nfs/ts/gcount.ts";
import ids from "../nfs/ts/ids.ts";
import nop from "../nfs/ts/nop.ts";
import r3 from "../nfs/ts/r3.ts";
import sourceCounter from "../nfs/ts/source-counter.ts";
import staticBridge from "../nfs/ts/static-bridge.ts";
import wanDedup from "../nfs/ts/wan-dedup.ts";
import {
  answer,
  arp,
  expectVerdicts,
  icmp,
  inside,
  lan,
  notL4,
  second,
  server,
  session,
  tcp,
  udp,
  wan,
  withOptions,
  type Step,
} from "./support/nf.ts";

const station = (dst: string, src = "02:00:00:00:00:01") => ({
  eth: { dst, src },
});

test("nop: the other port, unchanged", () => {
  const to = session(nop);
  for (const [what, bytes] of [["TCP", tcp(1, 2)] as const, ...notL4]) {
    const given = bytes instanceof Uint8Array ? bytes : buildFrame(bytes);
    deepEqual(to.send(given, lan).frame, given, what);
    equal(to.send(given, lan).verdict, "out 1", what);
    equal(to.send(given, wan).verdict, "out 0", what);
  }
});

test("fwd: the other port, with the MACs of that port", () => {
  const to = session(fwd);
  const macs = (bytes: Uint8Array): string => toHex(bytes.subarray(0, 12));
  const there = to.send(tcp(1, 2), lan);
  equal(there.verdict, "out 1");
  equal(macs(there.frame), "020000000012020000000002");
  deepEqual(there.frame.subarray(12), buildFrame(tcp(1, 2)).subarray(12));
  const back = to.send(new Uint8Array(14), wan);
  equal(back.verdict, "out 0");
  equal(macs(back.frame), "020000000011020000000001");
  equal(to.send(new Uint8Array(13), wan).verdict, "drop");
  const other = session(fwd, { wan_next_hop: mac("02:00:00:00:00:99") });
  equal(macs(other.send(arp).frame), "020000000099020000000002");
});

test("static-bridge: hit, filtered, miss floods, the port is part of the key", () => {
  const to = session(staticBridge);
  const { stations } = to.instance.state;
  const known = mac("02:00:00:00:00:07");
  stations.set({ mac: known, port: lan }, wan);
  stations.set({ mac: known, port: wan }, -2);
  expectVerdicts(to, [
    ["hit", station("02:00:00:00:00:07"), "out 1", lan],
    ["filtered", station("02:00:00:00:00:07"), "drop", wan],
    ["miss", station("02:00:00:00:00:08"), "flood", lan],
    ["short", new Uint8Array(13), "drop", lan],
  ]);
  deepEqual(to.words("stations"), [
    "0200000000070000 01000000",
    "0200000000070100 feffffff",
  ]);
});

test("dynamic-bridge: learns sources first, then looks the destination up", () => {
  const a = "02:00:00:00:00:0a";
  const b = "02:00:00:00:00:0b";
  const c = "02:00:00:00:00:0c";
  const end = 300n * second;
  expectVerdicts(session(dynamicBridge), [
    ["to itself: behind its own port", station(a, a), "drop", lan],
    ["unknown", station(c, b), "flood", wan],
    ["known", station(a, b), "out 0", wan],
    ["and back", station(b, a), "out 1", lan],
    ["does not move", station(c, a), "flood", wan],
    ["is still behind lan", station(a, b), "out 0", wan],
    ["alive to the end", station(a, b), "out 0", wan, end],
    ["gone after it", station(a, b), "flood", wan, end + 1n],
    ["b was refreshed", station(b, c), "out 1", lan, end + 1n],
    ["short", new Uint8Array(13), "drop", lan, end + 1n],
  ]);
  expectVerdicts(session(dynamicBridge, { learn_moves: true }), [
    ["a behind lan", station(b, a), "flood", lan],
    ["a behind wan", station(b, a), "flood", wan],
    ["from lan", station(a, b), "out 1", lan],
  ]);
});

test("dynamic-bridge: a full table learns nothing until its oldest has expired", () => {
  const a = "02:00:00:00:00:0a";
  const b = "02:00:00:00:00:0b";
  const c = "02:00:00:00:00:0c";
  const to = session(dynamicBridge, { capacity: 2, expiry: 100n });
  expectVerdicts(to, [
    ["a", station(c, a), "flood", lan, 0n],
    ["b", station(c, b), "flood", lan, 10n],
    ["no place for c", station(c, c), "flood", wan, 20n],
    ["a refreshed: b is the oldest", station(c, a), "flood", lan, 50n],
    ["b alive", station(b, a), "drop", lan, 110n],
    ["c takes b's place", station(b, c), "flood", wan, 111n],
    ["c known", station(c, a), "out 1", lan, 111n],
  ]);
  equal(to.words("stations").length, 2);
});

test("source-counter: packets and bytes per source; all pass", () => {
  const to = session(sourceCounter);
  for (const size of [60, 100, 1500])
    equal(to.send({ ...tcp(1, 2), size }).verdict, "pass");
  to.send({
    ipv4: { src: "10.0.0.2", dst: server, moreFragments: true },
    udp: { sport: 1, dport: 2 },
    size: 64,
  });
  equal(to.send(arp).verdict, "pass");
  deepEqual(to.words("sources"), [
    "0a000001 03000000000000007c06000000000000",
    "0a000002 01000000000000004000000000000000",
  ]);
});

test("counters: who finds the table full is not counted, and passes", () => {
  const to = session(sourceCounter);
  const { sources } = to.instance.state;
  for (let address = 0; address < 65_536; address++)
    sources.set(address, { packets: 1n, bytes: 1n });
  equal(to.send(tcp(1, 2)).verdict, "pass");
  equal(sources.has(ipv4(inside)), false);
  equal(to.words("sources").length, 65_536);
});

test("flow-counter: per direction; fragments and others pass uncounted", () => {
  const to = session(flowCounter);
  const flow = tcp(4000, 80);
  to.send({ ...flow, size: 60 });
  to.send({ ...withOptions(flow), size: 70 });
  to.send({ ...udp(4000, 80), size: 60 });
  to.send({ ...answer(flow), size: 60 });
  for (const [what, bytes] of notL4)
    equal(to.send(bytes).verdict, "pass", what);
  deepEqual(to.words("flows"), [
    "0a000001c0a800090fa0005006000000 02000000000000008200000000000000",
    "0a000001c0a800090fa0005011000000 01000000000000003c00000000000000",
    "c0a800090a00000100500fa006000000 01000000000000003c00000000000000",
  ]);
});

test("ddos-mitigator: listed sources drop and count, nothing is inserted", () => {
  const to = session(ddosMitigator);
  to.instance.state.sources.set(ipv4(inside), 0n);
  const from = { src: inside, dst: server };
  expectVerdicts(to, [
    ["listed", tcp(1, 2), "drop"],
    ["protocol 0", { ipv4: { ...from, protocol: 0 } }, "drop"],
    ["not listed", { ipv4: { ...from, src: "10.0.0.2" } }, "pass"],
    ["a fragment", { ipv4: { ...from, fragmentOffset: 9 } }, "drop"],
    ["ARP", arp, "pass"],
    ["cut", buildFrame(tcp(1, 2)).subarray(0, 33), "pass"],
    ["nothing", new Uint8Array(), "pass"],
  ]);
  deepEqual(to.words("sources"), ["0a000001 0300000000000000"]);
  deepEqual(to.words("dropped"), ["00000000 0200000000000000"]);
});

test("ddos-mitigator: without enforce frames go back, counts are the same", () => {
  const to = session(ddosMitigator, { enforce: false });
  to.instance.state.sources.set(ipv4(inside), 0n);
  const sent = to.send(tcp(1, 2));
  equal(sent.verdict, "tx");
  equal(toHex(sent.frame.subarray(0, 12)), "020000000001020000000002");
  deepEqual(sent.frame.subarray(12), buildFrame(tcp(1, 2)).subarray(12));
  expectVerdicts(to, [
    ["not listed", { ipv4: { src: server, dst: inside } }, "tx"],
    ["ARP", arp, "tx"],
    ["13 bytes", new Uint8Array(13), "drop"],
  ]);
  deepEqual(to.words("sources"), ["0a000001 0100000000000000"]);
});

test("allow: the listed flows of each port", () => {
  const to = session(allow);
  to.instance.state.allowed.set(
    {
      source: ipv4(inside),
      destination: ipv4(server),
      source_port: 4000,
      destination_port: 80,
      protocol: 6,
      port: lan,
    },
    1,
  );
  expectVerdicts(to, [
    ["listed", tcp(4000, 80), "out 1", lan],
    ["with options", withOptions(tcp(4000, 80)), "out 1", lan],
    ["other input", tcp(4000, 80), "drop", wan],
    ["other port", tcp(4000, 81), "drop", lan],
    ["other protocol", udp(4000, 80), "drop", lan],
    ["its answer", answer(tcp(4000, 80)), "drop", wan],
    ...notL4.map(([what, bytes]) => [what, bytes, "drop", lan] as const),
  ]);
  deepEqual(to.words("allowed"), ["0a000001c0a800090fa0005006000000 01000000"]);
});

test("r3: a count per source and one per destination", () => {
  const to = session(r3);
  expectVerdicts(to, [
    ["there", tcp(1, 2), "pass"],
    ["back", answer(tcp(1, 2)), "pass"],
    [
      "a fragment",
      { ipv4: { src: inside, dst: server, fragmentOffset: 1 } },
      "pass",
    ],
    ["ICMP", icmp, "pass"],
    ["ARP", arp, "drop"],
    ["cut", buildFrame(tcp(1, 2)).subarray(0, 33), "drop"],
  ]);
  deepEqual(to.words("sources"), [
    "0a000001 0300000000000000",
    "c0a80009 0100000000000000",
  ]);
  deepEqual(to.words("destinations"), [
    "c0a80009 0300000000000000",
    "0a000001 0100000000000000",
  ]);
});

test("gcount: each source knows the number of its last packet", () => {
  const to = session(gcount);
  expectVerdicts(to, [
    ["0", tcp(1, 2), "pass"],
    ["1", answer(tcp(1, 2)), "pass"],
    ["2", icmp, "pass"],
    ["no number", arp, "drop"],
  ]);
  deepEqual(to.words("total"), ["00000000 0300000000000000"]);
  deepEqual(to.words("sources"), [
    "0a000001 02000000000000000200000000000000",
    "c0a80009 01000000000000000100000000000000",
  ]);
});

test("arr: cells by the low byte of the destination port", () => {
  const to = session(arr);
  expectVerdicts(to, [
    ["0x0101", tcp(5, 0x0101), "pass"],
    ["0x0201", udp(6, 0x0201), "pass"],
    ["0x02ff", withOptions(tcp(7, 0x02ff)), "pass"],
    ...notL4.map(([what, bytes]) => [what, bytes, "drop"] as const),
  ]);
  const counts = to.words("counts").filter((word) => !/ 0+$/.test(word));
  deepEqual(counts, ["01000000 0200000000000000", "ff000000 0100000000000000"]);
});

const withTcpOptions: FrameSpec = {
  ipv4: { src: inside, dst: server },
  tcp: { sport: 1, dport: 2, options: new Uint8Array([1, 1, 1, 1]) },
};

test("ids: the first signature in the order of the list, anywhere in depth bytes", () => {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
  const number = (text: string): bigint =>
    bytes(text).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  const to = session(ids, { depth: 16 });
  const { signatures } = to.instance.state;
  const list = (place: number, text: string, mask: bigint): void => {
    const cell = signatures.at(place);
    cell.value = number(text) & mask;
    cell.mask = mask;
    cell.length = bytes(text).length;
  };
  list(1, "attackXY", (1n << 64n) - 1n);
  list(3, "ev1l", 0xffff_00ffn);
  list(5, "z", 0xffn);
  const held = (text: string, frame = udp(1, 2)): FrameSpec => ({
    ...frame,
    payload: bytes(text),
  });
  expectVerdicts(to, [
    ["nothing", held("........"), "pass"],
    ["no payload", held(""), "pass"],
    ["at the start", held("attackXY"), "drop"],
    ["at the end of depth", held("........attackXY"), "drop"],
    ["one byte later", held(".........attackXY"), "pass"],
    ["with a gap", held("..evil", withOptions(tcp(1, 2))), "drop"],
    ["behind TCP options", held("ev.l", withTcpOptions), "drop"],
    ["the first of the list, not of the payload", held("z.ev.l.."), "drop"],
    ["shorter than it is long", held("ttackXY"), "pass"],
    ["only the last", held("......z"), "drop"],
    ...notL4.map(([what, frame]): Step => [what, frame, "pass"]),
  ]);
  deepEqual(to.words("matches"), [
    "00000000 0000000000000000",
    "01000000 0200000000000000",
    "02000000 0000000000000000",
    "03000000 0300000000000000",
    "04000000 0000000000000000",
    "05000000 0100000000000000",
    "06000000 0000000000000000",
    "07000000 0000000000000000",
  ]);
});

test("wan-dedup: one of equal payloads per window", () => {
  const held = (size: number, fill: number, frame = udp(1, 2)): FrameSpec => ({
    ...frame,
    payload: new Uint8Array(size).fill(fill),
  });
  const segment = (seq: number): FrameSpec => ({
    ipv4: { src: inside, dst: server },
    tcp: { sport: 1, dport: 2, seq },
    payload: new Uint8Array(100).fill(1),
  });
  const to = session(wanDedup, { expiry: 100n });
  expectVerdicts(to, [
    ["new", held(100, 1), "out 1", lan, 0n],
    ["again", held(100, 1), "drop", lan, 0n],
    ["by another port", held(100, 1), "drop", wan, 100n],
    ["the window is over", held(100, 1), "out 1", lan, 101n],
    ["and another begins", held(100, 1), "drop", lan, 102n],
    ["back", answer(held(100, 1)), "out 0", wan, 102n],
    ["another byte", held(100, 2), "out 1", lan, 102n],
    ["another length", held(99, 1), "out 1", lan, 102n],
    ["98", held(98, 1), "out 1", lan, 102n],
    ["97", held(97, 1), "out 1", lan, 102n],
    ["97 again", withOptions(held(97, 1)), "drop", lan, 102n],
    ["another port of theirs", held(100, 1, udp(1, 3)), "out 1", lan, 102n],
    ["a segment", segment(7), "out 1", lan, 102n],
    ["that arrives twice", segment(7), "drop", lan, 102n],
    ["the same bytes once more", segment(107), "out 1", lan, 102n],
    ["512 bytes", held(512, 1), "out 1", lan, 102n],
    ["512 again", held(512, 1), "drop", lan, 102n],
    ["513 bytes", held(513, 1), "out 1", lan, 102n],
    ["513 again", held(513, 1), "out 1", lan, 102n],
    ["no payload", held(0, 1), "out 1", lan, 102n],
    ["no payload again", held(0, 1), "out 1", lan, 102n],
    ...notL4.flatMap(([what, frame]): Step[] => [
      [what, frame, "out 0", wan, 102n],
      [what, frame, "out 0", wan, 102n],
    ]),
  ]);
  deepEqual(to.words("dropped"), ["00000000 0600000000000000"]);
});

test("wan-dedup: a full table remembers nothing new, and forwards", () => {
  const held = (fill: number): FrameSpec => ({
    ...udp(1, 2),
    payload: new Uint8Array(8).fill(fill),
  });
  const to = session(wanDedup, { capacity: 1 });
  expectVerdicts(to, [
    ["first", held(1), "out 1"],
    ["second", held(2), "out 1"],
    ["second again", held(2), "out 1"],
    ["first again", held(1), "drop"],
  ]);
});
