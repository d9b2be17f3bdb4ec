/** The owner function against all affine functions of a few bits, tried one by one. */
import { deepEqual, equal, ok } from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { Random } from "../base/index.ts";
import { fieldBits, type FieldBit } from "../packet/index.ts";
import type { Conjunct, LinearForm } from "../rss/index.ts";
import { ownerFunction, type OwnerGroup } from "./owner-function.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 5);
const bits: readonly FieldBit[] = [
  { field: "ipv4.src", bit: 0 },
  { field: "ipv4.src", bit: 1 },
  { field: "ipv4.dst", bit: 0 },
  { field: "eth.src", bit: 7 },
];
const size = 2 ** bits.length;
const ports = ["lan", "wan"] as const;
const parity = (value: number): number =>
  value.toString(2).replaceAll("0", "").length & 1;
const bitOf = (packet: number, { field, bit }: FieldBit): number =>
  (packet >> bits.findIndex((one) => one.field === field && one.bit === bit)) &
  1;
const valueOf = ({ bits: all, constant }: LinearForm, packet: number): number =>
  all.reduce<number>((sum, bit) => sum ^ bitOf(packet, bit), constant);

/** What the lanes of a group make of a packet. */
function ownerOf({ lanes }: OwnerGroup, packet: number): string {
  return lanes
    .map(({ bits: width, runs, constant }) => {
      let value = constant;
      for (const { field, first } of runs)
        for (let at = 0; at < width; at++)
          value ^=
            BigInt(bitOf(packet, { field, bit: first + at })) <<
            BigInt(width - 1 - at);
      return value.toString(2).padStart(width, "0");
    })
    .join("");
}

function meets(conjunct: Conjunct, p: number, q: number): boolean {
  return conjunct.equations.every(
    ({ left, right }) => valueOf(left, p) === valueOf(right, q),
  );
}

function* pairs(): Generator<readonly [number, number]> {
  for (let p = 0; p < size; p++)
    for (let q = 0; q < size; q++) yield [p, q] as const;
}

/** How many pairs of affine functions, one per port, serve all conjuncts. */
function functionsBySearch(conjuncts: readonly Conjunct[]): number {
  const named = ports.map((port) =>
    conjuncts.some(({ ports: own }) => own.includes(port)),
  );
  let count = 0;
  for (let lan = 0; lan < (named[0] === true ? 2 * size : 1); lan++)
    for (let wan = 0; wan < (named[1] === true ? 2 * size : 1); wan++) {
      const owner = (port: string, packet: number): number => {
        const code = port === "lan" ? lan : wan;
        return parity(packet & (code >> 1)) ^ (code & 1);
      };
      const fits = conjuncts.every((conjunct) => {
        const [from, to] = conjunct.ports;
        for (const [p, q] of pairs())
          if (meets(conjunct, p, q) && owner(from, p) !== owner(to, q))
            return false;
        return true;
      });
      if (fits) count++;
    }
  return count;
}

function drawForm(random: Random): LinearForm {
  return {
    bits: bits.filter(() => random.below(3) === 0),
    constant: random.below(4) === 0 ? 1 : 0,
  };
}

function drawConjunct(random: Random): Conjunct {
  return {
    ports: [random.pick(ports), random.pick(ports)],
    equations: Array.from({ length: random.below(5) }, () => ({
      left: drawForm(random),
      right: drawForm(random),
    })),
  };
}

/** Do equations hold for any two packets at all? What never meets asks for nothing. */
const canMeet = (conjunct: Conjunct): boolean =>
  [...pairs()].some(([p, q]) => meets(conjunct, p, q));

/** Groups of ports that conjuncts link, each with a constant of its own. */
function linkedParts(conjuncts: readonly Conjunct[]): number {
  const named = ports.filter((port) =>
    conjuncts.some(({ ports: own }) => own.includes(port)),
  );
  const isLinked = conjuncts.some(({ ports: [one, other] }) => one !== other);
  return isLinked ? 1 : named.length;
}

test("all affine functions that serve, and none that does not", () => {
  const random = new Random(seed);
  let found = 0;
  for (let round = 0; round < 60; round++) {
    const conjuncts = Array.from({ length: 1 + random.below(3) }, () =>
      drawConjunct(random),
    ).filter(canMeet);
    if (conjuncts.length === 0) continue;
    const answer = ownerFunction(conjuncts);
    const where = `round ${round}, seed ${seed}`;
    for (const conjunct of conjuncts)
      for (const [p, q] of pairs()) {
        if (!meets(conjunct, p, q)) continue;
        const [left, right] = [p, q].map((packet, end) => {
          const group = answer?.groups.find(
            ({ port }) => port === conjunct.ports[end],
          );
          return group === undefined ? "" : ownerOf(group, packet);
        });
        equal(left, right, where);
      }
    const lanes = answer?.groups.map((group) =>
      group.lanes.reduce((sum, lane) => sum + lane.bits, 0),
    ) ?? [0];
    const isOne = linkedParts(conjuncts) === 1;
    const width = isOne
      ? (lanes[0] ?? 0)
      : lanes.reduce((sum, own) => sum + own, 0);
    equal(
      2 ** (width + linkedParts(conjuncts)),
      functionsBySearch(conjuncts),
      where,
    );
    if (answer !== undefined) found++;
  }
  ok(found > 10, `${found} with an owner`);
});

const whole = (field: FieldBit["field"], shift = 0): readonly LinearForm[] =>
  fieldBits(field)
    .slice(shift)
    .map((bit) => ({ bits: [bit], constant: 0 }));
const same = (
  left: readonly LinearForm[],
  right: readonly LinearForm[],
): Conjunct["equations"] =>
  left.flatMap((form, at) => {
    const other = right[at];
    return other === undefined ? [] : [{ left: form, right: other }];
  });
/** `lan: ipv4.src+0/32` … */
const shape = (conjuncts: readonly Conjunct[]): readonly string[] =>
  (ownerFunction(conjuncts)?.groups ?? []).map(
    ({ port, lanes }) =>
      `${port}: ${lanes.map(({ runs, bits: width }) => `${runs.map(({ field, first }) => `${field}+${first}`).join("^")}/${width}`).join(" ")}`,
  );

test("bits side by side are one lane", () => {
  const [src, dst] = [whole("ipv4.src"), whole("ipv4.dst")];
  const mac = whole("eth.src");
  const six = whole("ipv6.dst");
  // prettier-ignore
  const cases: readonly (readonly [readonly Conjunct[], readonly string[]])[] = [
    [[{ ports: ["lan", "lan"], equations: same(mac, mac) }], ["lan: eth.src+0/48"]],
    [[{ ports: ["lan", "lan"], equations: same(six, six) }], ["lan: ipv6.dst+0/64 ipv6.dst+64/64"]],
    [[{ ports: ["lan", "wan"], equations: [...same(src, dst), ...same(dst, src)] }],
      ["lan: ipv4.src+0/32 ipv4.dst+0/32", "wan: ipv4.dst+0/32 ipv4.src+0/32"]],
    // One port, both directions: the XOR of the two.
    [[{ ports: ["lan", "lan"], equations: [...same(src, dst), ...same(dst, src)] },
      { ports: ["lan", "lan"], equations: [...same(src, src), ...same(dst, dst)] }],
      ["lan: ipv4.src+0^ipv4.dst+0/32"]],
    [[{ ports: ["lan", "lan"], equations: same(src.slice(0, 24), src.slice(0, 24)) }], ["lan: ipv4.src+0/24"]],
    // Two keys with nothing in common.
    [[{ ports: ["lan", "lan"], equations: same(src, src) }, { ports: ["lan", "lan"], equations: same(dst, dst) }], []],
    [[{ ports: ["lan", "lan"], equations: same(mac, whole("eth.dst")) }, { ports: ["lan", "lan"], equations: same(mac, mac) },
      { ports: ["lan", "lan"], equations: same(whole("eth.dst"), whole("eth.dst")) }], []],
  ];
  for (const [conjuncts, want] of cases) deepEqual(shape(conjuncts), want);
});
