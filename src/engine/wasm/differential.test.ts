/**
 * Random programs on the portable engine, in both forms of control flow, against
 * interp: verdict, packet, and place of the fault. And the judge judged: modules with
 * one opcode exchanged must be found out.
 */
import { deepEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../base/index.ts";
import { randomGraph, randomProgram } from "./random-program.test.kit.ts";
import {
  compareEngines,
  packetsOf,
  programOf,
  type TwinOptions,
} from "./twin.test.kit.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

function expectSame(text: string, random: Random, count: number): number {
  const packets = packetsOf(random, count);
  const program = programOf(text);
  let faults = 0;
  for (const control of ["structured", "dispatch"] as const) {
    const { differences, want } = compareEngines(program, packets, { control });
    deepEqual(differences, [], `${control}\n${text}`);
    faults = want.filter(({ fault }) => fault !== undefined).length;
  }
  return faults;
}

test(`random programs agree (seed ${seed})`, () => {
  const random = new Random(seed);
  let faults = 0;
  const [programs, packets] = [150, 12];
  for (let index = 0; index < programs; index++)
    faults += expectSame(
      randomProgram(random, 5 + random.below(40)),
      random,
      packets,
    );
  // Neither all faults nor none, or it compares nothing.
  ok(faults > 20 && faults < (programs * packets) / 2, `${faults} faults`);
});

test(`random graphs agree, whatever their loops (seed ${seed})`, () => {
  const random = new Random(seed).fork(1);
  for (let index = 0; index < 150; index++)
    expectSame(randomGraph(random, 2 + random.below(8)), random, 6);
});

/** Exchanges opcode bytes from position `nth` of their kind in the code section on. */
function exchange(from: number, to: number, nth: number) {
  return (bytes: Uint8Array): Uint8Array => {
    const copy = bytes.slice();
    let seen = 0;
    for (let at = 0; at < copy.length; at++)
      if (copy[at] === from && seen++ === nth) copy[at] = to;
    return copy;
  };
}

/** Differences, or that the module is no module any more. */
function judge(text: string, random: Random, options: TwinOptions): string {
  try {
    const { differences } = compareEngines(
      programOf(text),
      packetsOf(random, 40),
      options,
    );
    return differences.length > 0 ? "caught" : "missed";
  } catch (error) {
    if (String(error).startsWith("CompileError")) return "invalid";
    return "caught";
  }
}

// prettier-ignore
const mutants: readonly (readonly [name: string, from: number, to: number, text: string])[] = [
  ["add for sub", 0x7c, 0x7d, "r0 += r2"],
  ["unsigned for signed division", 0x7f, 0x80, "r0 s/= r2"],
  ["logical for arithmetic shift", 0x87, 0x88, "r0 s>>= 3"],
  ["32-bit sign extension for zero extension", 0xad, 0xac, "w0 -= 200"],
  ["signed for unsigned load", 0x31, 0x30, "r0 = *(u8 *)(r6 + 3)"],
  ["less for less or equal", 0x58, 0x54, "if r2 <= 2 goto out\nr0 = 5"],
  ["wider store", 0x3c, 0x3d, "*(u8 *)(r6 + 4) = r2"],
  ["no fault: bounds the other way round", 0x5a, 0x54, "r0 = *(u8 *)(r6 + 60)"],
];

for (const [name, from, to, text] of mutants)
  test(`a wrong opcode is caught: ${name}`, () => {
    const program = `r6 = *(u32 *)(r1 + 0)\nr0 = *(u8 *)(r6 + 1)\nr2 = *(u8 *)(r6 + 2)\nr0 -= 100\n${text}\nout:\nr1 = r0\nr1 >>= 32\nr0 ^= r1\nexit`;
    const answers = Array.from({ length: 24 }, (_, nth) =>
      judge(program, new Random(seed), { tamper: exchange(from, to, nth) }),
    );
    ok(answers.includes("caught"), answers.join(" "));
    const untouched = judge(program, new Random(seed), {});
    deepEqual(untouched, "missed");
  });
