/**
 * Every row of the null-space table: the dimension of the keys' space and the
 * table entries that the best key reaches, in full and in index mode, for 96-bit
 * inputs and 512 entries.
 */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { parseFieldSpec, specBits, type FieldBit } from "../packet/index.ts";
import { nicProfile } from "./find-profile.ts";
import type { NicProfile } from "./nic-profile.ts";
import type { Conjunct, Requirement } from "./requirement.ts";
import { solveKeys } from "./solve.ts";

/** `ipv4.src=ipv4.dst l4.sport=l4.dport`: what p and q agree on. */
function conjunct(ports: string, equations: string): Conjunct {
  const [left = "", right = ""] = ports.split(" ");
  const bits = (spec: string): readonly FieldBit[] =>
    specBits(parseFieldSpec(spec));
  return {
    ports: [left, right],
    equations: equations.split(" ").flatMap((equation) => {
      const [of = "", to = of] = equation.split("=");
      return bits(of).map((bit, index) => ({
        left: { bits: [bit], constant: 0 as const },
        right: { bits: bits(to).slice(index, index + 1), constant: 0 as const },
      }));
    }),
    classes: [
      ["tcp4", "udp4"],
      ["tcp4", "udp4"],
    ],
  };
}

const swapped =
  "ipv4.src=ipv4.dst ipv4.dst=ipv4.src l4.sport=l4.dport l4.dport=l4.sport";
const one = (...equations: string[]): Requirement => ({
  ports: ["a"],
  conjuncts: equations.map((each) => conjunct("a a", each)),
});
const two = (...conjuncts: Conjunct[]): Requirement => ({
  ports: ["lan", "wan"],
  conjuncts,
});

const e810 = nicProfile("e810");
// The 4-tuple, whatever the search would like.
const fixed: NicProfile = { ...e810, settable: [] };
const only = { ...fixed, inputs: { tcp4: ["sdfn"], udp4: ["sdfn"] } } as const;

function have(
  requirement: Requirement,
  mode: "full" | "index",
  tableBits: number,
): string {
  const answer = solveKeys(requirement, {
    profile: only,
    mode,
    tableBits,
    cores: 2,
    maxImbalance: Infinity,
  });
  const best = answer.kind === "solution" ? answer : answer.best;
  return `${best?.freeBits} ${best?.entries}`;
}

// prettier-ignore
const rows: readonly (readonly [string, Requirement, string, string])[] = [
  ["none", { ports: ["a"], conjuncts: [] }, "127 512", "127 512"],
  ["fw, two swapped keys", two(conjunct("lan wan", swapped)), "34 512", "126 512"],
  ["one port symmetric", one(swapped), "17 512", "63 512"],
  ["(sip,dip)", one("ipv4.src ipv4.dst"), "64 512", "87 512"],
  ["sip", one("ipv4.src"), "32 512", "55 512"],
  ["dip", one("ipv4.dst"), "1 512", "47 512"],
  ["sport", one("l4.sport"), "0 1", "31 512"],
  ["dport", one("l4.dport"), "16 512", "39 512"],
  ["(dip,dport)", one("ipv4.dst l4.dport"), "17 512", "63 512"],
  ["nat, two keys", two(conjunct("lan wan", "ipv4.dst=ipv4.src l4.dport=l4.sport")), "1 512", "78 512"],
  ["wan dip = lan sip", two(conjunct("wan lan", "ipv4.dst=ipv4.src")), "1 512", "70 512"],
  ["sip /28", one("ipv4.src/28"), "28 32", "51 512"],
  ["sip /24", one("ipv4.src/24"), "24 2", "47 512"],
  ["sip /23", one("ipv4.src/23"), "23 1", "46 512"],
  ["sip /8", one("ipv4.src/8"), "8 1", "31 256"],
  ["dip /16", one("ipv4.dst/16"), "0 1", "31 512"],
];

for (const [name, requirement, full, index] of rows)
  test(`null space: ${name}`, () => {
    deepEqual(
      {
        full: have(requirement, "full", 9),
        index: have(requirement, "index", 9),
      },
      { full, index },
    );
  });

test("null space: dip /8 reaches one entry of 512, 128 of 128", () => {
  const [, fullEntries] = have(one("ipv4.dst/8"), "full", 9).split(" ");
  const [, indexEntries] = have(one("ipv4.dst/8"), "index", 9).split(" ");
  const [, smallEntries] = have(one("ipv4.dst/8"), "index", 7).split(" ");
  deepEqual([fullEntries, indexEntries, smallEntries], ["1", "1", "128"]);
  equal(have(one("ipv4.dst/8"), "full", 9), "0 1");
});

test("null space: r3 is refused in both modes", () => {
  for (const mode of ["full", "index"] as const) {
    const answer = solveKeys(one("ipv4.src", "ipv4.dst"), {
      profile: only,
      mode,
    });
    equal(answer.kind === "refusal" && answer.code, "R3-disjoint");
  }
  equal(have(one("ipv4.src", "ipv4.dst"), "full", 9), "0 1");
});
