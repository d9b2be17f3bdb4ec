/**
 * The laws of the table's four readers on random functions that use every row:
 * decode∘encode, encode∘decode, parse∘print, and the fuzz law of decode.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { InputError, Random } from "../base/index.ts";
import { decode } from "./decode.ts";
import { encode } from "./encode.ts";
import { build, withTarget } from "./form.ts";
import { parseFunction, printFunction } from "./function-text.ts";
import {
  instructionRows,
  type FieldRole,
  type InstructionRow,
  type MemberPath,
} from "./instruction-table.ts";
import type { Instruction } from "./instruction.ts";
import { parseInstruction } from "./parse.ts";
import { printInstruction } from "./print.ts";
import type { FunctionSpec } from "./program.ts";
import { slotOf } from "./slots.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 20240917);

const int32 = fc.oneof(
  fc.integer(),
  fc.constantFrom(0, 1, -1, 0x7fffffff, -0x80000000),
);
const offset16 = fc.oneof(
  fc.integer({ min: -0x8000, max: 0x7fff }),
  fc.constantFrom(0, 8, -8),
);
const name = fc.oneof(
  fc.constantFrom(
    "flows",
    ".rodata.str1.1",
    "r1",
    "map",
    "ll",
    "a b",
    'x"y',
    "s",
    "",
    "L1",
    "\u0000",
  ),
  fc.string(),
);

function arbitraryMember(
  role: FieldRole,
): fc.Arbitrary<number | bigint | string> | undefined {
  if (typeof role === "number" || role === "target") return undefined;
  const inner = role.split(".").at(-1);
  if (role === "value.value")
    return fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
  if (role === "offset") return offset16;
  if (role === "callee.offset") return offset16.filter((value) => value !== 0);
  if (role === "value.offset") return fc.integer({ min: 0, max: 0xffff_ffff });
  if (role === "value.pseudo") return fc.integer({ min: 1, max: 6 });
  if (role === "callee.pseudo") return fc.integer({ min: 1, max: 2 });
  if (inner === "map" || inner === "name") return name;
  const registers = ["dst", "src", "base", "left", "index", "register"];
  if (registers.includes(inner ?? "")) return fc.integer({ min: 0, max: 10 });
  return int32;
}

function arbitraryOf(row: InstructionRow): fc.Arbitrary<Instruction> {
  const roles = [row.dst, row.src, row.offset, row.imm, row.high ?? 0];
  const members: Record<string, fc.Arbitrary<number | bigint | string>> = {};
  for (const role of roles) {
    const arbitrary = arbitraryMember(role);
    if (arbitrary !== undefined && typeof role === "string")
      members[role] = arbitrary;
  }
  return fc
    .record(members)
    .map((values) =>
      build(row, Object.entries(values) as [MemberPath, string][]),
    )
    .filter(
      (instruction) =>
        // The two forms of callx r0 are one encoding.
        instruction.kind !== "call-register" ||
        instruction.inImmediate !== true ||
        instruction.register !== 0,
    );
}

const linkedRows = instructionRows.filter((row) => row.symbolic !== true);

function bodies(
  rows: readonly InstructionRow[],
): fc.Arbitrary<readonly Instruction[]> {
  return fc
    .array(fc.tuple(fc.oneof(...rows.map(arbitraryOf)), fc.nat()), {
      minLength: 1,
      maxLength: 40,
    })
    .map((drawn) =>
      drawn.map(([instruction, n]) =>
        withTarget(instruction, n % drawn.length),
      ),
    );
}

const records = fc.record({
  file: fc.string(),
  line: fc.nat(),
  column: fc.nat(1023),
  text: fc.string(),
});

const functions: fc.Arbitrary<FunctionSpec> = fc
  .record({
    name,
    section: fc.string(),
    linkage: fc.constantFrom("global", "static"),
    instructions: bodies(instructionRows),
    lines: fc.array(fc.tuple(fc.nat(), records), { maxLength: 5 }),
    cores: fc.array(fc.tuple(fc.nat(), fc.nat(), fc.string(), fc.nat(20)), {
      maxLength: 3,
    }),
    btf: fc.option(fc.nat(), { nil: undefined }),
  })
  .map(({ name, section, linkage, instructions, lines, cores, btf }) => {
    const byPlace = (a: { at: number }, b: { at: number }): number =>
      a.at - b.at;
    return {
      name,
      section,
      linkage,
      instructions,
      lines: lines
        .map(([n, line]) => ({ at: n % instructions.length, ...line }))
        .sort(byPlace),
      coreRelocations: cores
        .map(([n, typeId, access, kind]) => ({
          at: n % instructions.length,
          typeId,
          access,
          kind,
        }))
        .sort(byPlace),
      ...(btf === undefined ? {} : { btfFunction: btf }),
    };
  });

function holds<T>(
  what: fc.Arbitrary<T>,
  law: (value: T) => void,
  numRuns = 400,
): void {
  fc.assert(fc.property(what, law), { seed, numRuns });
}

test(`decode(encode(i)) = i (seed ${seed})`, () => {
  holds(bodies(linkedRows), (instructions) => {
    for (const littleEndian of [true, false]) {
      const decoded = decode(encode(instructions, { littleEndian }), {
        littleEndian,
      });
      deepEqual(decoded.instructions, instructions);
      deepEqual(decoded.slots, slotOf(instructions));
    }
  });
});

test("every row goes through all four readers", () => {
  for (const row of instructionRows) {
    const [sample] = fc.sample(arbitraryOf(row), { seed, numRuns: 1 });
    ok(sample !== undefined);
    const instruction = withTarget(sample, 0);
    deepEqual(parseInstruction(printInstruction(instruction)), instruction);
    if (row.symbolic !== true)
      deepEqual(decode(encode([instruction])).instructions, [instruction]);
  }
  ok(instructionRows.length > 150);
});

test(`parse(print(i)) = i (seed ${seed})`, () => {
  holds(
    fc.oneof(...instructionRows.map(arbitraryOf)),
    (instruction) => {
      deepEqual(parseInstruction(printInstruction(instruction)), instruction);
    },
    3000,
  );
});

test(`parse(print(f)) = f (seed ${seed})`, () => {
  holds(functions, (fn) => {
    deepEqual(parseFunction(printFunction(fn)), fn);
  });
});

test(`encode(decode(x)) = x, else an InputError with offset (seed ${seed})`, () => {
  const random = new Random(seed);
  const opcodes = [...new Set(linkedRows.map((row) => row.opcode))];
  const small = [0, 0, 0, 0, 0, 1, 8, 16, 0xff, 0x80];
  let decoded = 0;
  let refused = 0;
  for (let round = 0; round < 40_000; round++) {
    const bytes = new Uint8Array(
      8 * (1 + random.below(3)) + (random.chance(0.02) ? 3 : 0),
    );
    for (let at = 0; at + 8 <= bytes.length; at += 8) {
      bytes[at] = random.chance(0.95) ? random.pick(opcodes) : random.u32();
      bytes[at + 1] = random.chance(0.5) ? random.below(11) : random.u32();
      for (let byte = 2; byte < 8; byte++)
        bytes[at + byte] = random.pick(small);
    }
    try {
      deepEqual(encode(decode(bytes).instructions), bytes);
      decoded++;
    } catch (error) {
      ok(error instanceof InputError, String(error));
      ok(error.offset !== undefined && error.offset <= bytes.length);
      refused++;
    }
  }
  ok(decoded > 400 && refused > 400, `${decoded} decoded, ${refused} refused`);
});

test(`parse of any text: a value or an InputError (seed ${seed})`, () => {
  const words = [
    "r1",
    "w2",
    "=",
    "(",
    ")",
    "u32",
    "*",
    "+",
    "-",
    "8",
    "0x99999999999999999999",
    "goto",
    "L1",
    '"',
    "if",
    "ll",
    ";",
    "call",
    "\\",
    "lock",
  ];
  holds(
    fc.oneof(
      fc.string(),
      fc
        .array(fc.constantFrom(...words), { maxLength: 12 })
        .map((list) => list.join(" ")),
    ),
    (text) => {
      try {
        parseFunction(text);
      } catch (error) {
        ok(error instanceof InputError, String(error));
      }
    },
    4000,
  );
});

test("the text form is LLVM's", () => {
  // prettier-ignore
  const cases: readonly (readonly [string, string])[] = [
    ["bf21000000000000", "r1 = r2"],
    ["bc21000000000000", "w1 = w2"],
    ["b7010000feffffff", "r1 = -2"],
    ["1702000005000000", "r2 -= 5"],
    ["77030000 20000000", "r3 >>= 32"],
    ["c7030000 20000000", "r3 s>>= 32"],
    ["8701000000000000", "r1 = -r1"],
    ["dc01000010000000", "r1 = be16 r1"],
    ["d701000020000000", "r1 = bswap32 r1"],
    ["61120800 00000000", "r2 = *(u32 *)(r1 + 8)"],
    ["912108 00 00000000", "r1 = *(s8 *)(r2 + 8)"],
    ["7baaf8ff00000000", "*(u64 *)(r10 - 8) = r10"],
    ["720afcff 07000000", "*(u8 *)(r10 - 4) = 7"],
    ["db21100000000000", "lock *(u64 *)(r1 + 16) += r2"],
    ["c321000001000000", "w2 = atomic_fetch_add((u32 *)(r1 + 0), w2)"],
    ["db210000e1000000", "r2 = xchg_64(r1 + 0, r2)"],
    ["c3210000f1000000", "w0 = cmpxchg32_32(r1 + 0, w0, w2)"],
    ["db120000 00010000", "r2 = load_acquire((u64 *)(r1 + 0))"],
    ["180100002a0000000000000000000000", "r1 = 42 ll"],
    ["8500000001000000", "call map_lookup_elem"],
    ["85000000ffff0000", "call 65535"],
    ["8510000004000000", "call raw 1 4"],
    ["8d03000000000000", "callx r3"],
    ["9500000000000000", "exit"],
    ["280000000c000000", "r0 = *(u16 *)skb[12]"],
    ["5070000004000000", "r0 = *(u8 *)skb[r7 + 4]"],
    ["05000000000000009500000000000000", "goto L1"],
    ["06000000000000009500000000000000", "gotol L1"],
    ["e5000000000000009500000000000000", "may_goto L1"],
    ["65010000feffffff9500000000000000", "if r1 s> -2 goto L1"],
    ["5e21000000000000 9500000000000000", "if w1 != w2 goto L1"],
    ["bf21010001000000", "r1 = addr_space_cast(r2, 1)"],
  ];
  for (const [hex, text] of cases) {
    const bytes = Uint8Array.from(Buffer.from(hex.replaceAll(" ", ""), "hex"));
    const { instructions } = decode(bytes);
    const [first] = instructions;
    ok(first !== undefined);
    equal(printInstruction(first), text);
    deepEqual(parseInstruction(text), first);
  }
});

test("refusals of decode name the slot", () => {
  // prettier-ignore
  const cases: readonly (readonly [string, string, number])[] = [
    ["9500", "insn-truncated", 100],
    ["ff00000000000000", "insn-opcode", 100],
    ["95000000000000009500000100000000", "insn-reserved", 108],
    ["b71b000000000000", "insn-reserved", 100],
    ["bf0b000000000000", "insn-register", 100],
    ["1801000000000000", "insn-truncated", 100],
    ["18010000000000000000010000000000", "insn-reserved", 108],
    ["18710000000000000000000000000000", "insn-reserved", 100],
    ["05000100000000009500000000000000", "insn-target", 100],
    ["0500feff00000000", "insn-target", 100],
    ["050001000000000018010000000000000000000000000000", "insn-target", 100],
    ["e5100000000000009500000000000000", "insn-reserved", 100],
    ["dc01000011000000", "insn-reserved", 100],
  ];
  for (const [hex, code, offset] of cases) {
    const bytes = Uint8Array.from(Buffer.from(hex, "hex"));
    try {
      decode(bytes, { what: "x", origin: 100 });
      ok(false, `${hex} was decoded`);
    } catch (error) {
      ok(error instanceof InputError, String(error));
      deepEqual([error.code, error.offset], [code, offset], error.message);
    }
  }
});
