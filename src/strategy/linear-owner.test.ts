/** Owner functions against a slow twin that tries every coefficient vector. */
import { deepEqual } from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { Random } from "../base/index.ts";
import type { FieldBit } from "../packet/index.ts";
import type { Conjunct, LinearForm } from "../rss/index.ts";
import { ownersOf } from "./linear-owner.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 5);
const bits: readonly FieldBit[] = [
  { field: "ipv4.src", bit: 0 },
  { field: "ipv4.src", bit: 1 },
  { field: "ipv4.dst", bit: 0 },
  { field: "ipv4.dst", bit: 1 },
];
const ports = ["lan", "wan"] as const;
const parity = (value: number): number =>
  value.toString(2).replaceAll("0", "").length & 1;
const valueOf = (form: LinearForm, packet: number): number =>
  form.bits.reduce(
    (sum, bit) =>
      sum ^
      ((packet >>
        bits.findIndex((b) => b.field === bit.field && b.bit === bit.bit)) &
        1),
    0,
  );

/** Per port the bits that some owner function uses, by trying all pairs of functions. */
function bySearch(conjuncts: readonly Conjunct[]): Record<string, number> {
  const used: Record<string, number> = {};
  const size = 2 ** bits.length;
  for (let lan = 0; lan < size; lan++)
    for (let wan = 0; wan < size; wan++) {
      const owner = (port: string, packet: number) =>
        parity(packet & (port === "lan" ? lan : wan));
      const fits = conjuncts.every(({ ports: [from, to], equations }) => {
        for (let p = 0; p < size; p++)
          for (let q = 0; q < size; q++)
            if (
              equations.every(
                ({ left, right }) => valueOf(left, p) === valueOf(right, q),
              ) &&
              owner(from, p) !== owner(to, q)
            )
              return false;
        return true;
      });
      if (!fits) continue;
      used["lan"] = (used["lan"] ?? 0) | lan;
      used["wan"] = (used["wan"] ?? 0) | wan;
    }
  return used;
}

/** What the fast way says, as the same bit masks. */
function fast(conjuncts: readonly Conjunct[]): Record<string, number> {
  const used: Record<string, number> = {};
  for (const { port, fields } of ownersOf(conjuncts, () => true)) {
    let mask = 0;
    for (const [at, { field, bit }] of bits.entries())
      if (
        fields.some((text) =>
          bit === 0
            ? text === `${field}/1` || text === `${field}/2`
            : text === `${field}[1]` || text === `${field}/2`,
        )
      )
        mask |= 1 << at;
    used[port] = mask;
  }
  return used;
}

test(`owner functions are those that a search finds (seed ${seed})`, () => {
  const random = new Random(seed);
  const form = (): LinearForm => ({
    bits: bits.filter(() => random.chance(0.4)),
    constant: 0,
  });
  let kinds = 0;
  for (let count = 0; count < 60; count++) {
    const conjuncts: Conjunct[] = Array.from(
      { length: 1 + random.below(3) },
      () => ({
        ports: [random.pick(ports), random.pick(ports)],
        equations: Array.from({ length: random.below(4) }, () => ({
          left: form(),
          right: form(),
        })),
        classes: [["tcp4"], ["tcp4"]],
      }),
    );
    const quick = fast(conjuncts);
    const slow = bySearch(conjuncts);
    // Bits that no equation names cannot help, and the fast way has no column for them.
    for (const [port, mask] of Object.entries(quick)) {
      deepEqual(mask, slow[port], JSON.stringify({ port, conjuncts }));
      if (mask !== 0) kinds++;
    }
  }
  deepEqual(kinds > 10, true, `${kinds} with an owner`);
});
