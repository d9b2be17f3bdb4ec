/**
 * Straight-line programs drawn at random: both machines against a judge that computes
 * with BigInt alone and shares nothing with them.
 */
import { equal } from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../base/index.ts";
import { lift } from "../ir/index.ts";
import { parseFunctions, type ProgramSpec } from "../isa/index.ts";
import { BytecodeMachine } from "./bytecode-machine.ts";
import { IrMachine } from "./ir-machine.ts";
import { createState } from "./state.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 11);
const packet = {
  data: new Uint8Array(64),
  ifindex: 1,
  rxQueue: 0,
  cpu: 0,
  time: 0n,
};

type Meaning = (l: bigint, r: bigint, bits: number) => bigint;
const signed = (value: bigint, bits: number): bigint =>
  BigInt.asIntN(bits, value);

// prettier-ignore
const meanings: Readonly<Record<string, Meaning>> = {
  "+=": (l, r) => l + r,
  "-=": (l, r) => l - r,
  "*=": (l, r) => l * r,
  "/=": (l, r) => (r === 0n ? 0n : l / r),
  "%=": (l, r) => (r === 0n ? l : l % r),
  "s/=": (l, r, bits) => (r === 0n ? 0n : signed(l, bits) / signed(r, bits)),
  "s%=": (l, r, bits) => (r === 0n ? l : signed(l, bits) % signed(r, bits)),
  "|=": (l, r) => l | r,
  "&=": (l, r) => l & r,
  "^=": (l, r) => l ^ r,
  "<<=": (l, r, bits) => l << (r & BigInt(bits - 1)),
  ">>=": (l, r, bits) => l >> (r & BigInt(bits - 1)),
  "s>>=": (l, r, bits) => signed(l, bits) >> (r & BigInt(bits - 1)),
  "=": (_, r) => r,
};

const starts = [
  0n,
  1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 32n,
  2n ** 63n,
  2n ** 64n - 1n,
];

/** Text of a program and the r0 that it must leave. */
function draw(random: Random): { text: string; want: bigint } {
  const registers = Array.from({ length: 4 }, () =>
    random.chance(0.5) ? random.pick(starts) : random.u64(),
  );
  const lines = registers.map(
    (value, index) => `r${index} = 0x${value.toString(16)} ll`,
  );
  for (let count = 0; count < 24; count++) {
    const dst = random.below(4);
    const src = random.below(4);
    const bits = random.chance(0.5) ? 64 : 32;
    const letter = bits === 64 ? "r" : "w";
    const op = random.pick(Object.keys(meanings));
    const isShift = op.includes("<<") || op.includes(">>");
    // An immediate divisor of zero and a shift past the width are no valid code.
    const immediate = random.chance(0.4)
      ? isShift
        ? random.below(bits)
        : random.u32() | 0 || 1
      : undefined;
    const right = BigInt.asUintN(
      bits,
      immediate === undefined ? (registers[src] ?? 0n) : BigInt(immediate),
    );
    const left = BigInt.asUintN(bits, registers[dst] ?? 0n);
    const value = meanings[op]?.(left, right, bits) ?? 0n;
    registers[dst] = BigInt.asUintN(bits, value);
    lines.push(`${letter}${dst} ${op} ${immediate ?? `${letter}${src}`}`);
  }
  return { text: lines.join("\n"), want: registers[0] ?? 0n };
}

function program(text: string): ProgramSpec {
  return {
    file: "test",
    name: "main",
    section: "xdp",
    type: "xdp",
    license: "GPL",
    functions: parseFunctions(text),
    maps: [],
  };
}

test(`machines agree with plain BigInt (seed ${seed})`, () => {
  const random = new Random(seed);
  for (let count = 0; count < 300; count++) {
    const { text, want } = draw(random);
    for (const [body, part] of [
      [`${text}\nexit`, want & 0xffff_ffffn],
      [`${text}\nr0 >>= 32\nexit`, want >> 32n],
    ] as const) {
      const spec = program(body);
      const state = createState([]);
      equal(
        new BytecodeMachine(spec, state).run(packet).verdict,
        Number(part),
        body,
      );
      equal(
        new IrMachine(lift(spec), state).run(packet).verdict,
        Number(part),
        body,
      );
    }
  }
});
