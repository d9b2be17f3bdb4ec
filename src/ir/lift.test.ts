/** What lifting makes of bytecode, in the text form; behaviour is test/lift.test.ts's matter. */
import { deepEqual, equal, throws } from "node:assert/strict";
import { test } from "node:test";
import { InputError } from "../base/index.ts";
import {
  parseFunctions,
  type MapSpec,
  type ProgramSpec,
} from "../isa/index.ts";
import { lift } from "./lift.ts";
import { parseIr } from "./parse.ts";
import { printIr, printType } from "./print.ts";
import type { IrProgram } from "./program.ts";
import { verifyIr } from "./verify.ts";

const inner: MapSpec = {
  name: "inner",
  type: "hash",
  keySize: 4,
  valueSize: 8,
  maxEntries: 8,
  flags: 0,
  section: ".maps",
  readOnly: false,
};
const maps: readonly MapSpec[] = [
  { ...inner, name: "m" },
  { ...inner, name: "outer", type: "array_of_maps", valueSize: 4, inner },
];

function program(text: string, type: ProgramSpec["type"] = "xdp"): ProgramSpec {
  return {
    file: "test.o",
    name: "main",
    section: "xdp",
    type,
    license: "GPL",
    functions: parseFunctions(text),
    maps,
  };
}

function lifted(text: string, type: ProgramSpec["type"] = "xdp"): IrProgram {
  const ir = lift(program(text, type));
  deepEqual(verifyIr(ir), [], text);
  deepEqual(parseIr(printIr(ir)), ir);
  return ir;
}

/** Functions without their places. */
function shown(ir: IrProgram): string {
  const text = printIr(ir);
  return text
    .slice(text.indexOf("\nfunction"))
    .replace(/ ; .*$/gm, "")
    .trim();
}

function expectLift(bytecode: string, want: string): void {
  const lines = want.split("\n").map((line) => line.trim());
  const have = shown(lifted(bytecode))
    .split("\n")
    .map((line) => line.trim());
  deepEqual(
    have,
    lines.filter((line) => line !== ""),
  );
}

test("registers are values, branches carry what differs", () => {
  expectLift(
    `r0 = 1
     r2 = *(u32 *)(r1 + 12)
     if r2 == 3 goto out
     r0 = 2
     out:
     exit`,
    `function "main" (v0: context+0) {
     b0:
     v1 = const 1
     v2 = load4 v0+12
     v3 = const 3
     branch jeq64 v2, v3 ? b2(v1) : b1
     b1:
     v4 = const 2
     jump b2(v4)
     b2(v5):
     return v5
     }`,
  );
});

test("a spilled packet pointer keeps its type; the stack is gone", () => {
  expectLift(
    `r2 = *(u32 *)(r1 + 0)
     *(u64 *)(r10 - 8) = r2
     r2 = 0
     r3 = *(u64 *)(r10 - 8)
     r0 = *(u8 *)(r3 + 12)
     exit`,
    `function "main" (v0: context+0) {
     b0:
     v1: packet+0 = load4 v0+0
     v2 = load1 v1+12
     return v2
     }`,
  );
});

test("accesses of different sizes meet in pieces", () => {
  expectLift(
    `r2 = *(u32 *)(r1 + 12)
     *(u64 *)(r10 - 8) = r2
     *(u16 *)(r10 - 6) = 7
     r0 = *(u32 *)(r10 - 8)
     exit`,
    `function "main" (v0: context+0) {
     b0:
     v1 = load4 v0+12
     v2 = extract v1, 0, 2
     v3 = const 7
     v4 = extract v3, 0, 2
     v5 = concat v2:2, v4:2
     return v5
     }`,
  );
});

test("a key on the stack is a slot of its size, a spill beside it a value", () => {
  const ir = lifted(
    `r6 = r1
     *(u32 *)(r10 - 4) = 1
     *(u64 *)(r10 - 16) = r6
     r1 = map m ll
     r2 = r10
     r2 += -4
     call map_lookup_elem
     r1 = *(u64 *)(r10 - 16)
     r0 = *(u32 *)(r1 + 16)
     exit`,
  );
  deepEqual(
    ir.functions[0]?.slots.map(({ offset, size }) => [offset, size]),
    [[-4, 4]],
  );
});

// bytecode, slots of main as offset:size
// prettier-ignore
const frames: readonly (readonly [string, string, string])[] = [
  ["unknown index: all of the frame that it may reach", "r2 = *(u8 *)(r1 + 12)\nr2 &= 7\nr3 = r10\nr3 += -16\nr3 += r2\nr0 = 0\n*(u8 *)(r3 + 0) = r0\nexit", "-16:16"],
  ["an index that a comparison bounds", "r2 = *(u8 *)(r1 + 12)\nif r2 > 3 goto out\nr3 = r10\nr3 += -16\nr3 += r2\n*(u8 *)(r3 + 0) = r2\nout:\nr0 = 0\nexit", "-16:16"],
  ["an unbounded index: everything", "r2 = *(u64 *)(r1 + 12)\nr3 = r10\nr3 += r2\nr0 = 0\n*(u8 *)(r3 + 0) = r0\nexit", "-512:512"],
  ["an address stored in a map value: everything", "*(u32 *)(r10 - 4) = 1\nr1 = map m ll\nr2 = r10\nr2 += -4\ncall map_lookup_elem\nif r0 == 0 goto out\nr1 = r10\nr1 += -64\n*(u64 *)(r0 + 0) = r1\nout:\nr0 = 0\nexit", "-512:512"],
  ["memory of known size", "r1 = r10\nr1 += -32\n*(u64 *)(r10 - 8) = 1\nr2 = 12\nr3 = 5\ncall trace_printk\nr0 = *(u64 *)(r10 - 8)\nexit", "-32:12"],
  ["a callee that looks at 8 bytes", "r1 = r10\nr1 += -32\n*(u64 *)(r10 - 8) = 1\ncall function f\nr0 = *(u64 *)(r10 - 8)\nexit\nfunction f\nr0 = *(u64 *)(r1 + 0)\nexit", "-32:8"],
  ["a callee that looks below", "r1 = r10\nr1 += -32\ncall function f\nexit\nfunction f\nr0 = *(u64 *)(r1 - 8)\nexit", "-40:9"],
  ["a recursive callee: everything", "r1 = r10\nr1 += -32\ncall function f\nexit\nfunction f\ncall function f\nexit", "-512:512"],
  ["a context of bpf_loop", "*(u64 *)(r10 - 8) = 1\nr1 = 3\nr2 = function f ll\nr3 = r10\nr3 += -8\nr4 = 0\ncall loop\nr0 = 0\nexit\nfunction f\nr0 = *(u32 *)(r2 + 4)\nexit", "-8:8"],
  ["two addresses in one register", "r2 = r10\nr2 += -8\nr3 = *(u32 *)(r1 + 12)\nif r3 == 0 goto a\nr2 = r10\nr2 += -24\na:\n*(u32 *)(r2 + 0) = r3\nr0 = 0\nexit", "-24:24"],
  ["addresses compared only", "r2 = r10\nr2 += -8\nr0 = 0\nif r2 == r10 goto a\nr0 = 1\na:\nexit", "0:0 -8:0"],
];

test("what escapes of the frame", () => {
  for (const [name, bytecode, want] of frames) {
    const ir = lifted(bytecode);
    const have = ir.functions[0]?.slots
      .map(({ offset, size }) => `${offset}:${size}`)
      .join(" ");
    equal(have, want, name);
  }
});

/** Type of main's last value. */
function lastType(ir: IrProgram): string {
  const type = ir.functions[0]?.values.at(-1);
  return type === undefined ? "none" : printType(type);
}

// prettier-ignore
const types: readonly (readonly [string, string])[] = [
  ["r0 = *(u32 *)(r1 + 4)\nexit", "packet-end+0"],
  ["r0 = *(u32 *)(r1 + 8)\nexit", "packet-meta+0"],
  ["r0 = *(u32 *)(r1 + 12)\nexit", "scalar"],
  ["r0 = *(u16 *)(r1 + 0)\nexit", "scalar"],
  ["r1 += 4\nr0 = *(u32 *)(r1 - 4)\nexit", "packet+0"],
  ["r0 = *(u32 *)(r1 + 0)\nr0 += 14\nexit", "packet+14"],
  ["r0 = *(u32 *)(r1 + 0)\nr0 -= 2\nexit", "packet-2"],
  ["r2 = *(u32 *)(r1 + 12)\nr0 = *(u32 *)(r1 + 0)\nr0 += r2\nexit", "packet+?"],
  ["r2 = *(u32 *)(r1 + 4)\nr0 = *(u32 *)(r1 + 0)\nr0 -= r2\nexit", "scalar"],
  ["*(u32 *)(r10 - 4) = 1\nr1 = map outer ll\nr2 = r10\nr2 += -4\ncall map_lookup_elem\nexit", 'map "outer[]"+0 or null'],
  ["*(u32 *)(r10 - 4) = 1\nr1 = map outer ll\nr2 = r10\nr2 += -4\ncall map_lookup_elem\nr1 = r0\nr2 = r10\nr2 += -4\ncall map_lookup_elem\nexit", 'map-value "outer[]"+0 or null'],
  ["r0 = value m[4] ll\nexit", 'map-value "m"+4'],
  ["r1 = map m ll\nr2 = 8\nr3 = 0\ncall ringbuf_reserve\nexit", 'kernel "record"+0 or null'],
  ["r1 = *(u32 *)(r1 + 0)\ncall function f\nexit\nfunction f\nr0 = r1\nr0 += 6\nexit", "packet+6"],
  ["r0 = ksym jiffies ll\nexit", 'kernel "jiffies"+0'],
  ["r0 = *(u32 *)(r1 + 0)\nr2 = *(u32 *)(r1 + 12)\nif r2 == 0 goto a\nr0 = *(u32 *)(r1 + 8)\na:\nexit", "unknown+?"],
  ["r0 = *(u32 *)(r1 + 0)\nr2 = *(u32 *)(r1 + 12)\nif r2 == 0 goto a\nr0 = 0\na:\nexit", "packet+0 or null"],
];

test("pointers have regions and offsets", () => {
  for (const [bytecode, want] of types)
    equal(lastType(lifted(bytecode)), want, bytecode);
});

test("a socket buffer's packet fields stand elsewhere", () => {
  equal(
    lastType(lifted("r0 = *(u32 *)(r1 + 76)\nexit", "sched_cls")),
    "packet+0",
  );
  equal(lastType(lifted("r0 = *(u32 *)(r1 + 0)\nexit", "sched_cls")), "scalar");
});

test("parameters are what a function reads; a caller's slot is its frame", () => {
  const ir = lifted(
    `r2 = r10
     r2 += -8
     r1 = 5
     call function f
     exit
     function f
     *(u32 *)(r2 + 0) = r1
     r0 = 0
     exit`,
  );
  const [, f] = ir.functions;
  deepEqual(
    f?.params.map((param) => printType(f.values[param] ?? { kind: "scalar" })),
    ["scalar", "frame+?"],
  );
});

// prettier-ignore
const ends: readonly (readonly [string, string])[] = [
  ["callx r1", 'trap "calls through a register"'],
  ["r0 = 0", `trap "leaves the function's code"`],
  ["r0 = 0\nexit\nr0 = 1\nexit", "return v1"],
];

test("ends of code; what nothing reaches is dropped", () => {
  for (const [bytecode, want] of ends) {
    const text = shown(lifted(bytecode));
    equal(text.includes(want), true, text);
    equal(text.includes("b1"), false, text);
  }
});

test("a loop back to the first instruction gets an entry in front", () => {
  const text = shown(lifted("a:\nr1 += 1\nif r1 != 9 goto a\nr0 = r1\nexit"));
  equal(text.includes("b0:\n  jump b1(v0)"), true, text);
});

test("loops, may_goto, LD_ABS, atomics and casts stay what they are", () => {
  const text = shown(
    lifted(
      `r6 = r1
       r7 = 0
       a:
       may_goto out
       r0 = *(u16 *)skb[12]
       r7 += r0
       r1 = value m[0] ll
       lock *(u64 *)(r1 + 0) += r7
       r7 = atomic_fetch_xor((u64 *)(r1 + 0), r7)
       r2 = addr_space_cast(r7, 1)
       *(u8 *)(r2 + 1) = 0
       goto a
       out:
       r0 = r7
       exit`,
    ),
  );
  for (const part of [
    "may-goto",
    "load-packet2",
    "atomic-add8",
    "atomic-xor8",
    "fetch",
    "address-cast",
  ])
    equal(text.includes(part), true, `${part}\n${text}`);
});

test("an unlinked load is the input's fault", () => {
  throws(() => lift(program("r1 = raw 1 5 0 ll\nr0 = 0\nexit")), InputError);
});
