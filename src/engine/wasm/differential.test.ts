/**
 * Random programs on the portable engine, in both forms of control flow, against
 * interp: verdict, packet, and place of the fault. And the judge judged: modules with
 * one opcode exchanged must be found out.
 */
import { deepEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../base/index.ts";
import { isReducible } from "../../codegen/index.ts";
import {
  bufferShape,
  randomGraph,
  randomMaps,
  randomProgram,
  xdpShape,
} from "./random-program.test.kit.ts";
import {
  compareEngines,
  mapOf,
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

test(`random programs that call agree, in shared memory too (seed ${seed})`, () => {
  const random = new Random(seed).fork(2);
  const maps = randomMaps.map(([name, type]) => mapOf(name, type, [4, 16, 4]));
  const modes = [
    { type: "xdp", shape: xdpShape },
    { type: "sched_cls", shape: bufferShape },
  ] as const;
  let faults = 0;
  let runs = 0;
  for (let index = 0; index < 120; index++)
    for (const { type, shape } of modes) {
      const text = randomProgram(random, 5 + random.below(30), shape, true);
      const packets = packetsOf(random, 10);
      const program = programOf(text, maps, type);
      for (const options of [
        { control: "structured" },
        { control: "dispatch", memory: { core: 0, cores: 1 } },
      ] as const) {
        const { differences, want } = compareEngines(program, packets, options);
        deepEqual(differences, [], `${type}, ${options.control}\n${text}`);
        faults += want.filter(({ fault }) => fault !== undefined).length;
        runs += want.length;
      }
    }
  ok(faults > runs / 50 && faults < runs / 2, `${faults} faults of ${runs}`);
});

test(`random graphs agree, whatever their loops (seed ${seed})`, () => {
  const random = new Random(seed).fork(1);
  const seen = { reducible: 0, irreducible: 0 };
  for (let index = 0; index < 150; index++) {
    const text = randomGraph(random, 2 + random.below(8));
    const [main] = programOf(text).functions;
    if (main === undefined) continue;
    seen[isReducible(main) ? "reducible" : "irreducible"]++;
    expectSame(text, random, 6);
  }
  ok(seen.reducible > 20 && seen.irreducible > 20, JSON.stringify(seen));
});

// Each is right only while a check stays that a wrong fact would remove.
// prettier-ignore
const needed: readonly (readonly [name: string, body: string])[] = [
  ["two ways checked different offsets", `
r9 = *(s8 *)(r6 + 1)
r8 = r6
r8 += r9
r2 = *(u8 *)(r6 + 2)
if r2 & 1 goto high
r0 = *(u8 *)(r8 + 0)
r0 = *(u8 *)(r8 + 9)
goto both
high:
r0 = *(u8 *)(r8 + 8)
both:
r0 = *(u8 *)(r8 + 2)`],
  ["two ways compared different sizes", `
r2 = *(u8 *)(r6 + 2)
r8 = r6
if r2 & 1 goto long
r8 += 20
if r8 > r7 goto out
goto both
long:
r8 += 40
if r8 > r7 goto out
both:
r0 = *(u8 *)(r6 + 30)`],
  ["a copy from the round before", `
r9 = *(u8 *)(r6 + 1)
r5 = 3
r8 = r6
r4 = r6
again:
r0 = *(u8 *)(r4 + 29)
r8 += r9
r0 = *(u8 *)(r8 + 30)
r4 = r8
r5 -= 1
if r5 != 0 goto again`],
  ["compared below its start", `
r9 = *(s8 *)(r6 + 1)
r8 = r6
r8 += r9
r2 = r8
r2 += 8
if r2 > r7 goto out
r0 = *(u8 *)(r8 + 0)`],
  ["compared after wrapping around", `
r9 = *(u8 *)(r6 + 1)
r8 = r6
r8 += r9
r8 -= 2147483647
r2 = r8
r2 += 2147483647
if r2 > r7 goto out
r0 = *(u8 *)(r8 + 0)`],
  ["spilled, overwritten in part, filled", `
*(u64 *)(r10 - 8) = r6
r2 = *(u8 *)(r6 + 1)
*(u8 *)(r10 - 8) = r2
r8 = *(u64 *)(r10 - 8)
r8 = r6
*(u64 *)(r10 - 8) = r8
*(u32 *)(r10 - 12) = r2
r8 = *(u64 *)(r10 - 8)
r0 = *(u8 *)(r8 + 40)`],
];

for (const [name, body] of needed)
  test(`a check that is needed stays: ${name} (seed ${seed})`, () => {
    const text = `r6 = *(u32 *)(r1 + 0)\nr7 = *(u32 *)(r1 + 4)\nr0 = 0${body}\nout:\nexit`;
    const faults = expectSame(text, new Random(seed).fork(3), 400);
    ok(faults > 3 && faults < 400, `${faults} faults`);
  });

// What a comparison of data + 20 with data_end proves, and the first byte it does not.
// prettier-ignore
const comparisons: readonly (readonly [text: string, goesOnWhenTaken: boolean, first: number])[] = [
  ["r2 > r7", false, 20], ["r7 < r2", false, 20], ["r2 >= r7", false, 21], ["r7 <= r2", false, 21],
  ["r2 <= r7", true, 20], ["r7 >= r2", true, 20], ["r2 < r7", true, 21], ["r7 > r2", true, 21],
  ["r2 == r7", true, 20], ["r2 s> r7", false, 20], ["w2 > w7", false, 20],
];

for (const [comparison, goesOn, first] of comparisons)
  test(`no more is believed than ${comparison} ${goesOn ? "" : "not "}taken says`, () => {
    const branch = goesOn
      ? `if ${comparison} goto inside\nexit\ninside:`
      : `if ${comparison} goto out`;
    const text = `r6 = *(u32 *)(r1 + 0)\nr7 = *(u32 *)(r1 + 4)\nr0 = 0\nr2 = r6\nr2 += 20\n${branch}\nr0 = *(u8 *)(r6 + ${first - 1})\nr0 = *(u8 *)(r6 + ${first})\nout:\nexit`;
    const random = new Random(seed);
    const lengths = Array.from({ length: 20 }, (_, index) => 14 + index);
    const packets = lengths.map((length) => ({
      data: random.bytes(length),
      ifindex: 1,
      rxQueue: 0,
      cpu: 0,
      time: 0n,
    }));
    const { differences, want } = compareEngines(programOf(text), packets);
    deepEqual(differences, []);
    const faults = want.filter(({ fault }) => fault !== undefined);
    deepEqual(faults.length, 1, "one length is just too short");
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
