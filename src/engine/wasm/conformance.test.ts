/**
 * Programs as text with the whole r0 they leave, by RFC 9669: structured control,
 * br_table and interp must all agree. Then faults: the same place as interp's.
 */
import { deepEqual, equal, match } from "node:assert/strict";
import { test } from "node:test";
import type { Control } from "../../codegen/index.ts";
import type { Outcome, PacketInput } from "../../interp/index.ts";
import { loadPortable } from "./program.ts";
import { compareEngines, programOf } from "./twin.test.kit.ts";

const packet: PacketInput = {
  data: Uint8Array.from({ length: 64 }, (_, index) => index),
  ifindex: 3,
  rxQueue: 2,
  cpu: 1,
  time: 0x123456789n,
};

function run(text: string, control: Control = "structured"): Outcome {
  const program = loadPortable(programOf(text), { cpus: 2, control });
  const [outcome] = program.run([packet]);
  if (outcome === undefined) throw new Error("no outcome");
  return outcome;
}

/** All 64 bits of r0 at the `exit` of main, seen through two runs. */
function result(body: string, more: string, control: Control): bigint {
  const low = run(`${body}\nexit\n${more}`, control);
  const high = run(`${body}\nr0 >>= 32\nexit\n${more}`, control);
  deepEqual([low.fault, high.fault], [undefined, undefined], body);
  return (BigInt(high.verdict) << 32n) | BigInt(low.verdict);
}

const r = (...lines: readonly string[]): string => lines.join("\n");
const minus = (value: bigint): bigint => BigInt.asUintN(64, -value);
const least = "r1 = 0x8000000000000000 ll";
const callee = (name: string, ...lines: readonly string[]): string =>
  r(`function ${name} section ".text" static`, ...lines);

// prettier-ignore
const programs: readonly (readonly [body: string, want: bigint, more?: string])[] = [
  [r("r0 = 0xffffffff ll", "r0 += 1"), 0x1_0000_0000n],
  [r("r0 = -1", "w0 += 1"), 0n],
  [r("r0 = 0", "w0 -= 1"), 0xffff_ffffn],
  [r("r0 = 0x100000001 ll", "r0 *= 0x7fffffff"), 0x7fffffff_7fffffffn],
  [r("r0 = 0x10001", "w0 *= 0x10001"), 0x20001n],
  [r("r0 = -2", "r0 /= 2"), 0x7fff_ffff_ffff_ffffn],
  [r("r0 = -2", "w0 /= 2"), 0x7fff_ffffn],
  [r("r0 = 7", "r1 = 0", "r0 /= r1"), 0n],
  [r("r0 = 7", "r1 = 0x100000000 ll", "w0 /= w1"), 0n],
  [r("r0 = -1", "r0 %= 10"), 5n],
  [r("r0 = -7", "r1 = 0", "r0 %= r1"), minus(7n)],
  [r("r0 = -7", "r1 = 0", "w0 %= w1"), 0xffff_fff9n],
  [r("r0 = -7", "r0 s/= 2"), minus(3n)],
  [r("r0 = -7", "w0 s/= 2"), 0xffff_fffdn],
  [r("r0 = -7", "r1 = 0", "r0 s/= r1"), 0n],
  [r(least, "r0 = r1", "r0 s/= -1"), 1n << 63n],
  [r("w0 = 0x80000000", "w0 s/= -1"), 0x8000_0000n],
  [r("r0 = -7", "r0 s%= 3"), minus(1n)],
  [r("r0 = 7", "w0 s%= -3"), 1n],
  [r("r0 = -7", "r1 = 0", "r0 s%= r1"), minus(7n)],
  [r(least, "r0 = r1", "r0 s%= -1"), 0n],
  [r("w0 = 0x80000000", "w0 s%= -1"), 0n],
  [r("r0 = 0xf0", "r0 |= 0x0f", "r0 &= 0x3c", "r0 ^= -1"), minus(0x3dn)],
  [r("r0 = 1", "r1 = 65", "r0 <<= r1"), 2n],
  [r("r0 = 1", "r1 = 33", "w0 <<= w1"), 2n],
  [r("r0 = 0xfedcba9876543210 ll", "r0 >>= 36"), 0xfedcba9n],
  [r("r0 = -256", "r0 s>>= 4"), minus(16n)],
  [r("w0 = 0x80000000", "w0 s>>= 4"), 0xf800_0000n],
  [r("r0 = 5", "r0 = -r0"), minus(5n)],
  [r("r0 = 5", "w0 = -w0"), 0xffff_fffbn],
  ["r0 = -1", minus(1n)],
  ["w0 = -1", 0xffff_ffffn],
  [r("r1 = 0x123456789 ll", "w0 = w1"), 0x2345_6789n],
  [r("r1 = 0x180", "r0 = (s8)r1"), minus(0x80n)],
  [r("r1 = 0x8000", "r0 = (s16)r1"), minus(0x8000n)],
  [r("r1 = 0x80000000 ll", "r0 = (s32)r1"), minus(0x8000_0000n)],
  [r("r1 = 0x80", "w0 = (s8)w1"), 0xffff_ff80n],
  [r("r0 = 0x11223344", "r0 = be16 r0"), 0x4433n],
  [r("r0 = 0x1122334455667788 ll", "r0 = be32 r0"), 0x8877_6655n],
  [r("r0 = 0x1122334455667788 ll", "r0 = be64 r0"), 0x8877_6655_4433_2211n],
  [r("r0 = 0x1122334455667788 ll", "r0 = le16 r0"), 0x7788n],
  [r("r0 = 0x1122334455667788 ll", "r0 = le32 r0"), 0x5566_7788n],
  [r("r0 = 0x1122334455667788 ll", "r0 = le64 r0"), 0x1122_3344_5566_7788n],
  [r("r0 = 0x1122334455667788 ll", "r0 = bswap16 r0"), 0x8877n],
  [r("r0 = 0x1122334455667788 ll", "r0 = bswap64 r0"), 0x8877_6655_4433_2211n],
  [r("r1 = 0x1122334455667788 ll", "*(u64 *)(r10 - 8) = r1", "r0 = *(u16 *)(r10 - 7)"), 0x6677n],
  [r("*(u64 *)(r10 - 8) = -2", "r0 = *(u64 *)(r10 - 8)"), minus(2n)],
  [r("*(u8 *)(r10 - 1) = 0x80", "r0 = *(s8 *)(r10 - 1)"), minus(0x80n)],
  [r("*(u16 *)(r10 - 2) = 0x8001", "r0 = *(s16 *)(r10 - 2)"), minus(0x7fffn)],
  [r("*(u32 *)(r10 - 4) = -5", "r0 = *(s32 *)(r10 - 4)"), minus(5n)],
  [r("*(u64 *)(r10 - 8) = 5", "r1 = -1", "lock *(u64 *)(r10 - 8) += r1", "r0 = *(u64 *)(r10 - 8)"), 4n],
  [r("*(u64 *)(r10 - 8) = -1", "r1 = 1", "lock *(u32 *)(r10 - 8) += w1", "r0 = *(u64 *)(r10 - 8)"), 0xffff_ffff_0000_0000n],
  [r("*(u64 *)(r10 - 8) = 5", "r0 = 3", "r0 = atomic_fetch_add((u64 *)(r10 - 8), r0)", "r1 = *(u64 *)(r10 - 8)", "r0 *= 100", "r0 += r1"), 508n],
  [r("*(u64 *)(r10 - 8) = -1", "r0 = -1", "w0 = atomic_fetch_or((u32 *)(r10 - 8), w0)"), 0xffff_ffffn],
  [r("*(u64 *)(r10 - 8) = 5", "r0 = 9", "r0 = xchg_64(r10 - 8, r0)", "r1 = *(u64 *)(r10 - 8)", "r0 *= 10", "r0 += r1"), 59n],
  [r("*(u64 *)(r10 - 8) = 5", "r0 = 5", "r1 = 7", "r0 = cmpxchg_64(r10 - 8, r0, r1)", "r1 = *(u64 *)(r10 - 8)", "r0 *= 10", "r0 += r1"), 57n],
  [r("*(u64 *)(r10 - 8) = 5", "r0 = 6", "r1 = 7", "r0 = cmpxchg_64(r10 - 8, r0, r1)", "r1 = *(u64 *)(r10 - 8)", "r0 *= 10", "r0 += r1"), 55n],
  [r("*(u64 *)(r10 - 8) = -1", "r0 = 0x5ffffffff ll", "r1 = 7", "w0 = cmpxchg32_32(r10 - 8, w0, w1)", "r1 = *(u64 *)(r10 - 8)", "r0 += r1"), 6n],
  [r("r0 = 1", "r1 = -1", "if r1 s< 0 goto out", "r0 = 0", "out:"), 1n],
  [r("r0 = 1", "r1 = -1", "if r1 > 5 goto out", "r0 = 0", "out:"), 1n],
  [r("r0 = 1", "r1 = 0x500000000 ll", "if w1 == 0 goto out", "r0 = 0", "out:"), 1n],
  [r("r0 = 1", "r1 = 6", "if r1 & 2 goto out", "r0 = 0", "out:"), 1n],
  [r("r0 = 1", "r1 = 0x200000000 ll", "if r1 & -1 goto out", "r0 = 0", "out:"), 1n],
  [r("r0 = 0", "r1 = 10", "again:", "r0 += r1", "r1 += -1", "if r1 != 0 goto again"), 55n],
  // Two ways into a loop: no structured form exists.
  [r("r0 = 0", "r2 = *(u32 *)(r1 + 12)", "r1 = 5", "if r2 == 3 goto b", "a:", "r0 += 100", "b:", "r0 += 1", "r1 += -1", "if r1 != 0 goto a"), 405n],
  [r("r0 = 0", "again:", "r0 += 1", "may_goto out", "if r0 != 9 goto again", "out:"), 9n],
  [r("r0 = *(u32 *)(r1 + 12)", "r2 = *(u32 *)(r1 + 16)", "r0 *= 10", "r0 += r2"), 32n],
  [r("r2 = *(u32 *)(r1 + 0)", "r3 = *(u32 *)(r1 + 4)", "r0 = *(u32 *)(r2 + 4)", "r3 -= r2", "r3 <<= 32", "r0 += r3"), 0x40_0706_0504n],
  ["call ktime_get_ns", 0x1_2345_6789n],
  ["call get_smp_processor_id", 1n],
  [r("*(u64 *)(r10 - 8) = 1", "r1 = 20", "r6 = 3", "call function double", "r1 = *(u64 *)(r10 - 8)", "r0 += r1", "r0 += r6"), 44n,
    callee("double", "*(u64 *)(r10 - 8) = r1", "r0 = *(u64 *)(r10 - 8)", "r0 += r1", "r6 = 7", "exit")],
  [r("r1 = r10", "r1 += -8", "call function set", "r0 = *(u64 *)(r10 - 8)"), 77n,
    callee("set", "*(u64 *)(r1 + 0) = 77", "r0 = 0", "exit")],
  [r("*(u64 *)(r10 - 8) = 0", "r1 = 100", "r2 = function each ll", "r3 = r10", "r3 += -8", "r4 = 0", "call loop", "r1 = *(u64 *)(r10 - 8)", "r0 *= 1000", "r0 += r1"), 5010n,
    callee("each", "r3 = *(u64 *)(r2 + 0)", "r3 += r1", "*(u64 *)(r2 + 0) = r3", "r0 = 0", "if r1 < 4 goto out", "r0 = 1", "out:", "exit")],
  [r("r1 = 0x800001", "r2 = function each ll", "r3 = 0", "r4 = 0", "call loop"), minus(7n), callee("each", "r0 = 0", "exit")],
  [r("r1 = 1", "r2 = function each ll", "r3 = 0", "r4 = 1", "call loop"), minus(22n), callee("each", "r0 = 0", "exit")],
];

for (const [body, want, more] of programs)
  test(body.replaceAll("\n", "; "), () => {
    for (const control of ["structured", "dispatch"] as const)
      equal(result(body, more ?? "", control), want, control);
    const program = programOf(`${body}\nexit\n${more ?? ""}`);
    deepEqual(compareEngines(program, [packet]).differences, []);
  });

// prettier-ignore
const faults: readonly (readonly [body: string, instruction: number])[] = [
  [r("r0 = 0", "r0 = *(u8 *)(r0 + 0)"), 1],
  [r("r0 = *(u32 *)(r1 + 24)"), 0],
  [r("*(u32 *)(r1 + 0) = 5"), 0],
  [r("r2 = *(u32 *)(r1 + 0)", "r0 = *(u8 *)(r2 + 64)"), 1],
  [r("r2 = *(u32 *)(r1 + 0)", "r0 = *(u64 *)(r2 + 57)"), 1],
  [r("r2 = *(u32 *)(r1 + 0)", "r0 = *(u8 *)(r2 - 1)"), 1],
  [r("r2 = *(u32 *)(r1 + 0)", "r3 = 1 ll", "r3 <<= 32", "r2 += r3", "r0 = *(u8 *)(r2 + 0)"), 4],
  [r("r2 = *(u32 *)(r1 + 0)", "r2 -= 2147483647", "r2 -= 2147483647", "r0 = *(u8 *)(r2 + 0)"), 3],
  [r("r0 = *(u8 *)(r10 + 0)"), 0],
  [r("r0 = *(u64 *)(r10 - 520)"), 0],
  [r("*(u64 *)(r10 - 513) = 1"), 0],
  [r("r0 = 0", "r1 = -8", "r1 += r10", "*(u64 *)(r1 + 4) = 1"), 3],
  [r("r1 = 1024", "r0 = *(u64 *)(r1 + 0)"), 1],
  [r("r2 = r1", "r2 *= 1", "*(u32 *)(r2 + 0) = 1"), 2],
];

for (const [body, instruction] of faults)
  test(`fault: ${body.replaceAll("\n", "; ")}`, () => {
    for (const control of ["structured", "dispatch"] as const) {
      const outcome = run(`${body}\nr0 = 1\nexit`, control);
      equal(outcome.verdict, 0);
      deepEqual(outcome.fault, {
        text: "access outside memory",
        at: { function: "main", instruction },
      });
    }
  });

test("a loop without end uses up the budget, in each form of loop", () => {
  const each = callee("each", "r0 = 0", "again:", "goto again");
  const loops = [
    r("again:", "goto again"),
    r("again:", "r0 = 1", "if r0 == 1 goto again", "exit"),
    r(
      "r1 = 5",
      "r2 = function each ll",
      "r3 = 0",
      "r4 = 0",
      "call loop",
      "exit",
      each,
    ),
  ];
  const places = ["main+0", "main+0", "each+1"];
  for (const [index, text] of loops.entries()) {
    const { fault } = run(text);
    match(fault?.text ?? "", /budget/, text);
    equal(`${fault?.at.function}+${fault?.at.instruction}`, places[index]);
  }
});

test("a packet behind a fault is run as if nothing had happened", () => {
  const text = r(
    "r0 = 2",
    "r2 = *(u32 *)(r1 + 12)",
    "if r2 == 3 goto out",
    "r0 = *(u32 *)(r2 + 0)",
    "out:",
    "exit",
  );
  const packets = [3, 4, 3, 5, 3].map((ifindex) => ({ ...packet, ifindex }));
  const outcomes = loadPortable(programOf(text)).run(packets);
  deepEqual(
    outcomes.map(({ verdict, fault }) => [verdict, fault?.at.instruction]),
    [
      [2, undefined],
      [0, 3],
      [2, undefined],
      [0, 3],
      [2, undefined],
    ],
  );
});

test("what is never written reads as zero, whatever ran before", () => {
  const text = r(
    "r2 = *(u32 *)(r1 + 12)",
    "r0 = 1",
    "if r2 != 3 goto read",
    "*(u64 *)(r10 - 8) = 7",
    "exit",
    "read:",
    "r0 = *(u64 *)(r10 - 8)",
    "exit",
  );
  const packets = [3, 4].map((ifindex) => ({ ...packet, ifindex }));
  const outcomes = loadPortable(programOf(text)).run(packets);
  deepEqual(
    outcomes.map(({ verdict }) => verdict),
    [1, 0],
  );
  const sometimes = text.replace("exit\nread:", "read:");
  const joined = loadPortable(programOf(sometimes)).run(packets);
  deepEqual(
    joined.map(({ verdict }) => verdict),
    [7, 0],
  );
});

// prettier-ignore
const refused: readonly (readonly [body: string, message: string])[] = [
  ["call user_ringbuf_drain", "UnsupportedError: test: main+0: the portable engine has no helper bpf_user_ringbuf_drain"],
  [r("r0 = 0", "r0 = *(u16 *)skb[2]"), "UnsupportedError: test: main+1: the portable engine has no LD_ABS and LD_IND in type xdp"],
  ["r1 = ksym jiffies ll", "UnsupportedError: test: main+0: the portable engine has no kernel symbol jiffies"],
  ["call function main", "InputError: test: main calls itself, perhaps through others"],
  ["call function nowhere", "InputError: test: main calls nowhere, which the object does not hold"],
];

for (const [body, message] of refused)
  test(`refused: ${body.replaceAll("\n", "; ")}`, () => {
    let error: unknown;
    try {
      run(`${body}\nexit`);
    } catch (thrown) {
      error = thrown;
    }
    equal(String(error), message);
  });
