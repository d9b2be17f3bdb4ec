/**
 * Programs as text with the whole r0 they leave; the machine must agree. The values
 * are RFC 9669's, worked out by hand.
 */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { lift } from "../ir/index.ts";
import { parseFunctions, type ProgramSpec } from "../isa/index.ts";
import { BytecodeMachine } from "./bytecode-machine.ts";
import { IrMachine } from "./ir-machine.ts";
import { packetRandom } from "./machine.ts";
import type { Outcome, PacketInput } from "./outcome.ts";
import { createState } from "./state.ts";
import { binarySteps, type BinaryStep } from "./word-steps.ts";

const packet: PacketInput = {
  data: Uint8Array.from({ length: 64 }, (_, index) => index),
  ifindex: 3,
  rxQueue: 2,
  cpu: 1,
  time: 0x123456789n,
};

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

function run(text: string): Outcome {
  return new BytecodeMachine(program(text), createState([])).run(packet);
}

function runLifted(text: string): Outcome {
  return new IrMachine(lift(program(text)), createState([])).run(packet);
}

/** All 64 bits of r0 at the `exit` of main, seen through two runs. */
function result(body: string, more = "", how = run): bigint {
  const low = how(`${body}\nexit\n${more}`);
  const high = how(`${body}\nr0 >>= 32\nexit\n${more}`);
  deepEqual([low.fault, high.fault], [undefined, undefined], body);
  return (BigInt(high.verdict) << 32n) | BigInt(low.verdict);
}

const r = (...lines: readonly string[]): string => lines.join("\n");
const minus = (value: bigint): bigint => BigInt.asUintN(64, -value);
const min64 = "r1 = 0x8000000000000000 ll";

// prettier-ignore
const programs: readonly (readonly [name: string, body: string, want: bigint])[] = [
  ["add carries", r("r0 = 0xffffffff ll", "r0 += 1"), 0x1_0000_0000n],
  ["add wraps", r("r0 = 0xffffffffffffffff ll", "r0 += 2"), 1n],
  ["add32 zero-extends", r("r0 = 0x1ffffffff ll", "w0 += 1"), 0n],
  ["add of a negative immediate", r("r0 = 1", "r0 += -2"), minus(1n)],
  ["sub borrows", r("r0 = 0x100000000 ll", "r0 -= 1"), 0xffff_ffffn],
  ["sub32", r("r0 = 0", "w0 -= 1"), 0xffff_ffffn],
  ["mul64", r("r0 = 0x100000001 ll", "r0 *= 0x7fffffff"), 0x7fffffff_7fffffffn],
  ["mul wraps", r("r0 = 0x8000000000000001 ll", "r0 *= 2"), 2n],
  ["mul32", r("r0 = 0x10001", "w0 *= 0x10001"), 0x20001n],
  ["div64 is unsigned", r("r0 = -2", "r0 /= 2"), 0x7fff_ffff_ffff_ffffn],
  ["div32 is unsigned", r("r0 = -2", "w0 /= 2"), 0x7fff_ffffn],
  ["div64 by zero is 0", r("r0 = 7", "r1 = 0", "r0 /= r1"), 0n],
  ["div32 by zero is 0", r("r0 = 7", "r1 = 0x100000000 ll", "w0 /= w1"), 0n],
  ["mod64", r("r0 = -1", "r0 %= 10"), 5n],
  ["mod64 by zero keeps dst", r("r0 = -7", "r1 = 0", "r0 %= r1"), minus(7n)],
  ["mod32 by zero zero-extends dst", r("r0 = -7", "r1 = 0", "w0 %= w1"), 0xffff_fff9n],
  ["sdiv64 truncates", r("r0 = -7", "r0 s/= 2"), minus(3n)],
  ["sdiv32 truncates", r("r0 = -7", "w0 s/= 2"), 0xffff_fffdn],
  ["sdiv64 by zero is 0", r("r0 = -7", "r1 = 0", "r0 s/= r1"), 0n],
  ["sdiv64 of the least by -1", r(min64, "r0 = r1", "r0 s/= -1"), 1n << 63n],
  ["sdiv32 of the least by -1", r("w0 = 0x80000000", "w0 s/= -1"), 0x8000_0000n],
  ["smod64 has the dividend's sign", r("r0 = -7", "r0 s%= 3"), minus(1n)],
  ["smod32 has the dividend's sign", r("r0 = 7", "w0 s%= -3"), 1n],
  ["smod64 by zero keeps dst", r("r0 = -7", "r1 = 0", "r0 s%= r1"), minus(7n)],
  ["smod64 of the least by -1", r(min64, "r0 = r1", "r0 s%= -1"), 0n],
  ["smod32 of the least by -1", r("w0 = 0x80000000", "w0 s%= -1"), 0n],
  ["or, and, xor", r("r0 = 0xf0", "r0 |= 0x0f", "r0 &= 0x3c", "r0 ^= -1"), minus(0x3dn)],
  ["and32 zero-extends", r("r0 = -1", "w0 &= -1"), 0xffff_ffffn],
  ["lsh by 0", r("r0 = 0x123456789 ll", "r0 <<= 0"), 0x1_2345_6789n],
  ["lsh by 4", r("r0 = 0x123456789 ll", "r0 <<= 4"), 0x12_3456_7890n],
  ["lsh by 32", r("r0 = 0x123456789 ll", "r0 <<= 32"), 0x2345_6789_0000_0000n],
  ["lsh by 40", r("r0 = 0x123456789 ll", "r0 <<= 40"), 0x4567_8900_0000_0000n],
  ["lsh64 masks its count", r("r0 = 1", "r1 = 65", "r0 <<= r1"), 2n],
  ["lsh32 masks its count", r("r0 = 1", "r1 = 33", "w0 <<= w1"), 2n],
  ["rsh by 4", r("r0 = 0xfedcba9876543210 ll", "r0 >>= 4"), 0x0fed_cba9_8765_4321n],
  ["rsh by 36", r("r0 = 0xfedcba9876543210 ll", "r0 >>= 36"), 0xfedcba9n],
  ["rsh64 masks its count", r("r0 = 4", "r1 = 66", "r0 >>= r1"), 1n],
  ["arsh by 0", r("r0 = -256", "r0 s>>= 0"), minus(256n)],
  ["arsh by 4", r("r0 = -256", "r0 s>>= 4"), minus(16n)],
  ["arsh by 32", r("r0 = 0x8000000000000000 ll", "r0 s>>= 32"), minus(0x8000_0000n)],
  ["arsh by 60", r("r0 = -1", "r0 <<= 60", "r0 s>>= 60"), minus(1n)],
  ["arsh32", r("w0 = 0x80000000", "w0 s>>= 4"), 0xf800_0000n],
  ["neg64", r("r0 = 5", "r0 = -r0"), minus(5n)],
  ["neg32", r("r0 = 5", "w0 = -w0"), 0xffff_fffbn],
  ["mov of a negative immediate", "r0 = -1", minus(1n)],
  ["mov32 of a negative immediate", "w0 = -1", 0xffff_ffffn],
  ["mov32 cuts", r("r1 = 0x123456789 ll", "w0 = w1"), 0x2345_6789n],
  ["movsx8", r("r1 = 0x180", "r0 = (s8)r1"), minus(0x80n)],
  ["movsx16", r("r1 = 0x8000", "r0 = (s16)r1"), minus(0x8000n)],
  ["movsx32", r("r1 = 0x80000000 ll", "r0 = (s32)r1"), minus(0x8000_0000n)],
  ["movsx8 at width 32", r("r1 = 0x80", "w0 = (s8)w1"), 0xffff_ff80n],
  ["be16", r("r0 = 0x11223344", "r0 = be16 r0"), 0x4433n],
  ["be32", r("r0 = 0x1122334455667788 ll", "r0 = be32 r0"), 0x8877_6655n],
  ["be64", r("r0 = 0x1122334455667788 ll", "r0 = be64 r0"), 0x8877_6655_4433_2211n],
  ["le16", r("r0 = 0x1122334455667788 ll", "r0 = le16 r0"), 0x7788n],
  ["le64", r("r0 = 0x1122334455667788 ll", "r0 = le64 r0"), 0x1122_3344_5566_7788n],
  ["bswap32", r("r0 = 0x1122334455667788 ll", "r0 = bswap32 r0"), 0x8877_6655n],
  ["stack, byte order", r("r1 = 0x1122334455667788 ll", "*(u64 *)(r10 - 8) = r1", "r0 = *(u16 *)(r10 - 7)"), 0x6677n],
  ["store of an immediate", r("*(u64 *)(r10 - 8) = -2", "r0 = *(u64 *)(r10 - 8)"), minus(2n)],
  ["signed load", r("*(u8 *)(r10 - 1) = 0x80", "r0 = *(s8 *)(r10 - 1)"), minus(0x80n)],
  ["signed load 32", r("*(u32 *)(r10 - 4) = -5", "r0 = *(s32 *)(r10 - 4)"), minus(5n)],
  ["atomic add", r("*(u64 *)(r10 - 8) = 5", "r1 = -1", "lock *(u64 *)(r10 - 8) += r1", "r0 = *(u64 *)(r10 - 8)"), 4n],
  ["atomic add 32 leaves its neighbour", r("*(u64 *)(r10 - 8) = -1", "r1 = 1", "lock *(u32 *)(r10 - 8) += w1", "r0 = *(u64 *)(r10 - 8)"), 0xffff_ffff_0000_0000n],
  ["fetch add", r("*(u64 *)(r10 - 8) = 5", "r0 = 3", "r0 = atomic_fetch_add((u64 *)(r10 - 8), r0)", "r1 = *(u64 *)(r10 - 8)", "r0 *= 100", "r0 += r1"), 508n],
  ["fetch or 32 zero-extends", r("*(u64 *)(r10 - 8) = -1", "r0 = -1", "w0 = atomic_fetch_or((u32 *)(r10 - 8), w0)"), 0xffff_ffffn],
  ["xchg", r("*(u64 *)(r10 - 8) = 5", "r0 = 9", "r0 = xchg_64(r10 - 8, r0)", "r1 = *(u64 *)(r10 - 8)", "r0 *= 10", "r0 += r1"), 59n],
  ["cmpxchg hit", r("*(u64 *)(r10 - 8) = 5", "r0 = 5", "r1 = 7", "r0 = cmpxchg_64(r10 - 8, r0, r1)", "r1 = *(u64 *)(r10 - 8)", "r0 *= 10", "r0 += r1"), 57n],
  ["cmpxchg miss", r("*(u64 *)(r10 - 8) = 5", "r0 = 6", "r1 = 7", "r0 = cmpxchg_64(r10 - 8, r0, r1)", "r1 = *(u64 *)(r10 - 8)", "r0 *= 10", "r0 += r1"), 55n],
  ["signed branch", r("r0 = 1", "r1 = -1", "if r1 s< 0 goto out", "r0 = 0", "out:"), 1n],
  ["unsigned branch", r("r0 = 1", "r1 = -1", "if r1 > 5 goto out", "r0 = 0", "out:"), 1n],
  ["branch on 32 bits", r("r0 = 1", "r1 = 0x500000000 ll", "if w1 == 0 goto out", "r0 = 0", "out:"), 1n],
  ["immediate of a branch is sign-extended", r("r0 = 1", "r1 = 0xffffffff ll", "if r1 != -1 goto out", "r0 = 0", "out:"), 1n],
  ["jset", r("r0 = 1", "r1 = 6", "if r1 & 2 goto out", "r0 = 0", "out:"), 1n],
  ["loop", r("r0 = 0", "r1 = 10", "again:", "r0 += r1", "r1 += -1", "if r1 != 0 goto again"), 55n],
  ["context: ingress, queue", r("r0 = *(u32 *)(r1 + 12)", "r2 = *(u32 *)(r1 + 16)", "r0 *= 10", "r0 += r2"), 32n],
  ["packet", r("r2 = *(u32 *)(r1 + 0)", "r3 = *(u32 *)(r1 + 4)", "r0 = *(u32 *)(r2 + 4)", "r3 -= r2", "r3 <<= 32", "r0 += r3"), 0x40_0706_0504n],
  ["packet load in network order", r("r6 = r1", "r0 = *(u16 *)skb[2]"), 0x203n],
  ["time", "call ktime_get_ns", 0x1_2345_6789n],
  ["cpu", "call get_smp_processor_id", 1n],
  ["random numbers of seed 1 and this time", "call get_prandom_u32", BigInt(packetRandom(1, packet).u32())],
];

for (const [name, body, want] of programs) {
  test(name, () => equal(result(body), want));
  test(`${name}, lifted`, () => equal(result(body, "", runLifted), want));
}

test("a call has its own frame and gives r0", () => {
  const body = r(
    "*(u64 *)(r10 - 8) = 1",
    "r1 = 20",
    "r6 = 3",
    "call function double",
    "r1 = *(u64 *)(r10 - 8)",
    "r0 += r1",
    "r0 += r6",
  );
  const more = r(
    'function double section ".text" static',
    "*(u64 *)(r10 - 8) = r1",
    "r0 = *(u64 *)(r10 - 8)",
    "r0 += r1",
    "r6 = 7",
    "exit",
  );
  for (const how of [run, runLifted]) equal(result(body, more, how), 44n);
});

test("a callee writes to its caller's frame", () => {
  const body = r(
    "r1 = r10",
    "r1 += -8",
    "call function set",
    "r0 = *(u64 *)(r10 - 8)",
  );
  const more = r(
    'function set section ".text" static',
    "*(u64 *)(r1 + 0) = 77",
    "r0 = 0",
    "exit",
  );
  for (const how of [run, runLifted]) equal(result(body, more, how), 77n);
});

test("bpf_loop calls back with the index and stops on a true answer", () => {
  const body = r(
    "*(u64 *)(r10 - 8) = 0",
    "r1 = 100",
    "r2 = function each ll",
    "r3 = r10",
    "r3 += -8",
    "r4 = 0",
    "call loop",
    "r1 = *(u64 *)(r10 - 8)",
    "r0 *= 1000",
    "r0 += r1",
  );
  const more = r(
    'function each section ".text" static',
    "r3 = *(u64 *)(r2 + 0)",
    "r3 += r1",
    "*(u64 *)(r2 + 0) = r3",
    "r0 = 0",
    "if r1 < 4 goto out",
    "r0 = 1",
    "out:",
    "exit",
  );
  for (const how of [run, runLifted]) equal(result(body, more, how), 5010n);
});

// prettier-ignore
const faults: readonly (readonly [body: string, text: RegExp, instruction: number])[] = [
  [r("r0 = 0", "r0 = *(u8 *)(r0 + 0)"), /null is no memory/, 1],
  [r("r0 = *(u32 *)(r1 + 24)"), /context/, 0],
  [r("r2 = *(u32 *)(r1 + 0)", "r0 = *(u8 *)(r2 + 64)"), /1 bytes at packet byte 64/, 1],
  [r("r2 = *(u32 *)(r1 + 0)", "r0 = *(u8 *)(r2 - 1)"), /packet byte -1/, 1],
  [r("r0 = *(u8 *)(r10 + 0)"), /stack/, 0],
  [r("r0 = *(u64 *)(r10 - 520)"), /no memory|stack/, 0],
  [r("again:", "goto again"), /budget/, 0],
  [r("r0 = 0", "r1 = -8", "r1 += r10", "*(u64 *)(r1 + 4) = 1"), /stack/, 3],
];

for (const [body, text, instruction] of faults)
  test(`fault: ${body.replaceAll("\n", "; ")}`, () => {
    const outcome = run(`${body}\nexit`);
    equal(outcome.verdict, 0);
    equal(text.test(outcome.fault?.text ?? ""), true, outcome.fault?.text);
    deepEqual(outcome.fault?.at, { function: "main", instruction });
  });

test("endless recursion ends at the eighth frame", () => {
  const outcome = run(r("call function main", "exit"));
  equal(outcome.fault?.text, "more than 8 frames");
});

test("nothing but the helper that is reached is refused", () => {
  equal(
    run(r("r0 = 2", "goto out", "call user_ringbuf_drain", "out:", "exit"))
      .verdict,
    2,
  );
  try {
    run(r("call user_ringbuf_drain", "exit"));
    throw new Error("it ran");
  } catch (error) {
    equal(
      String(error),
      "UnsupportedError: main+0: the interpreter has no helper bpf_user_ringbuf_drain",
    );
  }
});

/** Names of the table's rows that the machine gets wrong. */
function failing(): string[] {
  return programs
    .filter(([, body, want]) => result(body) !== want)
    .map(([name]) => name);
}

type Operation = keyof typeof binarySteps;

// Each breaks one operation; the rows that must notice are named.
const mutants: readonly (readonly [
  what: string,
  op: Operation,
  width: 32 | 64,
  instead: (original: BinaryStep) => BinaryStep,
  noticed: string,
])[] = [
  [
    "division by zero gives the dividend",
    "div",
    64,
    () => binarySteps.mod[64],
    "div64 by zero is 0",
  ],
  [
    "modulo by zero gives zero",
    "mod",
    64,
    () => binarySteps.div[64],
    "mod64 by zero keeps dst",
  ],
  [
    "add32 does not zero-extend",
    "add",
    32,
    () => binarySteps.add[64],
    "add32 zero-extends",
  ],
  ["sub without borrow", "sub", 64, () => binarySteps.xor[64], "sub borrows"],
  [
    "signed division is unsigned",
    "sdiv",
    64,
    () => binarySteps.div[64],
    "sdiv64 truncates",
  ],
  ["arsh shifts zeros in", "arsh", 64, () => binarySteps.rsh[64], "arsh by 4"],
  [
    "shift counts of 32 bits are not masked to 5",
    "lsh",
    32,
    () => binarySteps.lsh[64],
    "lsh32 masks its count",
  ],
];

for (const [what, op, width, instead, noticed] of mutants)
  test(`mutant: ${what}`, () => {
    const row = binarySteps[op];
    const original = row[width];
    deepEqual(failing(), []);
    try {
      Reflect.set(row, width, instead(original));
      equal(failing().includes(noticed), true, failing().join());
    } finally {
      Reflect.set(row, width, original);
    }
  });
