import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import type { BranchOp } from "../isa/index.ts";
import { assume, joinFacts, noFacts, widenFacts, type Facts } from "./facts.ts";
import { layoutOf } from "./layout.ts";
import { Symbols } from "./symbols.ts";
import { binary, unary } from "./arithmetic.ts";
import { fromBits, number, type Word } from "./word.ts";

const symbols = new Symbols();
const input = (byte: number, size: number): Word =>
  fromBits(
    Array.from({ length: 8 * size }, (_, at) =>
      symbols.input("packet", 0, byte + (at >> 3), 7 - (at & 7)),
    ),
  );
const ifindex = fromBits(
  Array.from({ length: 32 }, (_, at) =>
    symbols.input("ifindex", 0, at >> 3, 7 - (at & 7)),
  ),
);
const masked = (word: Word, mask: bigint) =>
  binary("and", { left: word, right: number(mask) }, 32, symbols);

// Loads are little-endian: 0x0008 is EtherType 0x0800.
const etherType = input(12, 2);
const swapped = unary("swap16", etherType, symbols);
const versionAndLength = input(14, 1);
const fragment = input(20, 2);
const protocol = input(23, 1);

type Test = readonly [Word, BranchOp, bigint, boolean];

function after(...tests: readonly Test[]): Facts | undefined {
  let facts: Facts | undefined = noFacts;
  for (const [left, op, value, outcome] of tests)
    facts =
      facts &&
      assume(
        facts,
        { op, width: 32, left, right: number(value), outcome },
        symbols,
      );
  return facts;
}

const isIp: Test = [etherType, "jeq", 0x0008n, true];

/** Tests on a path, and what they say of the layout. */
// prettier-ignore
const table: readonly (readonly [string, readonly Test[], object | undefined])[] = [
  ["nothing", [], { l3: undefined, protocols: undefined, unfragmented: false }],
  ["IPv4", [isIp], { l3: { kind: "ipv4", at: 14 }, etherTypes: [0x800] }],
  ["IPv4, host order", [[swapped, "jne", 0x800n, false]], { l3: { kind: "ipv4", at: 14 } }],
  ["not IPv4", [[etherType, "jeq", 0x0008n, false]], { l3: undefined, etherTypes: undefined }],
  ["IPv4 and not IPv4", [isIp, [swapped, "jeq", 0x800n, false]], undefined],
  ["behind a tag", [[etherType, "jeq", 0x0081n, true], [input(16, 2), "jeq", 0x0008n, true]], { l3: { kind: "ipv4", at: 18 }, etherTypes: [0x800] }],
  ["IPv6 UDP", [[etherType, "jeq", 0xdd86n, true], [input(20, 1), "jeq", 17n, true]], { l3: { kind: "ipv6", at: 14 }, protocols: [17], unfragmented: true }],
  ["TCP", [isIp, [protocol, "jeq", 6n, true]], { protocols: [6] }],
  ["TCP and UDP", [isIp, [protocol, "jeq", 6n, true], [protocol, "jeq", 17n, true]], undefined],
  ["no fragment", [isIp, [masked(fragment, 0xff3fn), "jeq", 0n, true]], { unfragmented: true }],
  ["no fragment, by jset", [isIp, [fragment, "jset", 0xff3fn, false]], { unfragmented: true }],
  ["only the offset", [isIp, [masked(fragment, 0xff1fn), "jeq", 0n, true]], { unfragmented: false }],
  ["offset and flag", [isIp, [masked(fragment, 0xff1fn), "jeq", 0n, true], [masked(fragment, 0x20n), "jne", 0n, false]], { unfragmented: true }],
  ["plain header", [isIp, [versionAndLength, "jeq", 0x45n, true]], { plainHeader: true, wellFormed: true }],
  ["five words or more", [isIp, [masked(versionAndLength, 15n), "jlt", 5n, false]], { plainHeader: false, wellFormed: true }],
  ["five words at most", [isIp, [masked(versionAndLength, 15n), "jle", 5n, true]], { plainHeader: false, wellFormed: false }],
  ["this port", [[ifindex, "jeq", 3n, true]], { ifindex: [3] }],
  ["not these ports", [[ifindex, "jeq", 3n, false], [ifindex, "jne", 70000n, true]], { ifindex: undefined, notIfindex: [3, 70000] }],
];

for (const [name, tests, want] of table)
  test(`facts: ${name}`, () => {
    const facts = after(...tests);
    if (want === undefined || facts === undefined)
      return equal(facts, want, "contradiction");
    const layout: object = layoutOf(facts, symbols);
    const picked = Object.entries(layout).filter(([key]) => key in want);
    deepEqual(Object.fromEntries(picked), want);
  });

test("a join keeps small sets", () => {
  const tcp = after(isIp, [protocol, "jeq", 6n, true]) ?? noFacts;
  const udp = after(isIp, [protocol, "jeq", 17n, true]) ?? noFacts;
  const both = layoutOf(joinFacts(tcp, udp), symbols);
  deepEqual(both.protocols, [6, 17]);
  deepEqual(both.l3, { kind: "ipv4", at: 14 });
  deepEqual(layoutOf(widenFacts(tcp, udp), symbols).protocols, [6, 17]);
  const many = [1, 2, 6, 17, 50].map(
    (value) => after(isIp, [protocol, "jeq", BigInt(value), true]) ?? noFacts,
  );
  const widened = many.reduce((all, one) => widenFacts(all, one));
  equal(layoutOf(widened, symbols).protocols, undefined);
  equal(
    layoutOf(joinFacts(tcp, after(isIp) ?? noFacts), symbols).protocols,
    undefined,
  );
  const one = after([ifindex, "jeq", 1n, true]) ?? noFacts;
  const others =
    after([ifindex, "jeq", 1n, false], [ifindex, "jeq", 2n, false]) ?? noFacts;
  deepEqual(layoutOf(joinFacts(one, others), symbols).notIfindex, [2]);
});
