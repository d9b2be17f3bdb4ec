import { equal, ok } from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { Random } from "../base/index.ts";
import type { FieldBit, FieldName } from "../packet/index.ts";
import { conditionsOf, termPort, termPosition } from "./conditions.ts";
import { LinearSystem } from "./gf2.ts";
import { matchedPairs } from "./matched-pairs.ts";
import { hashInput, packetClasses, type ClassInputs } from "./packet-class.ts";
import type { Conjunct, Requirement } from "./requirement.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

const inputs = Object.fromEntries(
  packetClasses.map((name) => [name, name === "tcp4" ? ["sdfn"] : ["sd"]]),
) as unknown as ClassInputs;
const fields: readonly (readonly [FieldName, number])[] = [
  ["ipv4.src", 32],
  ["ipv4.dst", 32],
  ["l4.sport", 16],
  ["l4.dport", 16],
  ["eth.src", 48],
  ["ipv4.tos", 8],
];

function draw(random: Random): Conjunct {
  const used = new Set<string>();
  const bit = (side: string): FieldBit[] => {
    if (random.chance(0.1)) return [];
    const [field, size] = random.pick(fields);
    const found = { field, bit: random.below(size) };
    const name = `${side} ${field} ${found.bit}`;
    if (used.has(name)) return [];
    used.add(name);
    return [found];
  };
  const name = random.pick(["tcp4", "other4"] as const);
  return {
    ports: random.chance(0.5) ? ["a", "b"] : ["a", "a"],
    equations: Array.from({ length: random.below(80) }, () => ({
      left: { bits: bit("p"), constant: 0 as const },
      right: { bits: bit("q"), constant: 0 as const },
    })),
    classes: [[name], [name]],
  };
}

/** The same demand in a shape that only elimination takes: one equation twice. */
function general(conjunct: Conjunct): Conjunct {
  const [first] = conjunct.equations;
  return first === undefined
    ? conjunct
    : { ...conjunct, equations: [...conjunct.equations, first] };
}

function systemOf(conjunct: Conjunct): LinearSystem {
  const requirement: Requirement = { ports: ["a", "b"], conjuncts: [conjunct] };
  const system = new LinearSystem(256);
  for (const condition of conditionsOf(requirement, [inputs, inputs])
    .conditions)
    system.add(
      condition.map((term) => 128 * termPort(term) + termPosition(term)),
    );
  return system;
}

test(`matched pairs span what elimination finds (seed ${seed})`, () => {
  const random = new Random(seed);
  let taken = 0;
  let constrained = 0;
  for (let round = 0; round < 400; round++) {
    const conjunct = draw(random);
    const name = conjunct.classes?.[0]?.[0] ?? "tcp4";
    const input = hashInput(name, name === "tcp4" ? "sdfn" : "sd");
    if (conjunct.equations.length === 0) continue;
    const twice = general(conjunct);
    const isEmpty =
      conjunct.equations[0]?.left.bits.length === 0 &&
      conjunct.equations[0].right.bits.length === 0;
    if (isEmpty) continue;
    ok(matchedPairs(conjunct, input, input) !== undefined);
    equal(matchedPairs(twice, input, input), undefined);
    taken++;
    const fast = systemOf(conjunct);
    const slow = systemOf(twice);
    const where = `round ${round}, seed ${seed}`;
    equal(fast.rank, slow.rank, where);
    constrained += fast.rank;
    for (const one of conditionsOf({ ports: ["a", "b"], conjuncts: [twice] }, [
      inputs,
      inputs,
    ]).conditions)
      ok(
        !fast.add(one.map((term) => 128 * termPort(term) + termPosition(term))),
        where,
      );
  }
  ok(taken > 300 && constrained > 10_000, `${taken} ${constrained}`);
});

test("other shapes are left to elimination", () => {
  const input = hashInput("tcp4", "sdfn");
  const bit = (field: FieldName, at: number): FieldBit => ({ field, bit: at });
  const conjunct = (
    left: readonly FieldBit[],
    right: readonly FieldBit[],
    constant: 0 | 1 = 0,
  ): Conjunct => ({
    ports: ["a", "a"],
    equations: [
      { left: { bits: left, constant }, right: { bits: right, constant: 0 } },
    ],
  });
  const src = bit("ipv4.src", 3);
  const dst = bit("ipv4.dst", 3);
  for (const other of [
    conjunct([src, dst], [src]),
    conjunct([src], [src, dst]),
    conjunct([src], [src], 1),
    conjunct([bit("ipv4.protocol", 0)], [src]),
  ])
    equal(matchedPairs(other, input, input), undefined);
});
