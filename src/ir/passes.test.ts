/** simplify, inlining and promotion: what they leave. That they keep behaviour is test/lift.test.ts's matter. */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { parseFunctions } from "../isa/index.ts";
import { inlineCalls } from "./inline.ts";
import { lift } from "./lift.ts";
import { parseIr } from "./parse.ts";
import { printIr } from "./print.ts";
import type { IrProgram } from "./program.ts";
import { simplify } from "./simplify.ts";
import { verifyIr } from "./verify.ts";
import {
  foldBinary,
  foldBranch,
  foldConcat,
  foldExtract,
  foldUnary,
} from "./word.ts";

function lifted(text: string): IrProgram {
  return lift({
    file: "t.o",
    name: "main",
    section: "xdp",
    type: "xdp",
    license: "GPL",
    functions: parseFunctions(text),
    maps: [],
  });
}

function body(ir: IrProgram): string[] {
  deepEqual(verifyIr(ir), []);
  return printIr(ir)
    .split("\n")
    .slice(3)
    .map((line) => line.replace(/ ; .*$/, "").trim())
    .filter((line) => line !== "" && line !== "}");
}

/** One expression over x, y (any words) and its simple form; the last line counts. */
function expectSimple(lines: readonly string[], want: readonly string[]): void {
  const text = [
    'program "main" type xdp file "t.o"',
    'function "main" (v0: context+0) {',
    "b0:",
    ...[
      "v1 = load8 v0+16",
      "v2 = load4 v0+12",
      "v3 = load1 v0+12",
      ...lines,
    ].map((line) => `${line} ; 0`),
    "}",
  ].join("\n");
  const ir = parseIr(text);
  deepEqual(verifyIr(ir), [], text);
  deepEqual(
    body(simplify(ir)),
    [
      "b0:",
      "v1 = load8 v0+16",
      "v2 = load4 v0+12",
      "v3 = load1 v0+12",
      ...want,
    ],
    text,
  );
}

// prettier-ignore
const rules: readonly (readonly [readonly string[], readonly string[]])[] = [
  [["v4 = const 6", "v5 = const 7", "v6 = mul64 v4, v5", "return v6"], ["v4 = const 42", "return v4"]],
  [["v4 = const 0", "v5 = add64 v1, v4", "return v5"], ["return v1"]],
  [["v4 = const 0", "v5 = add32 v1, v4", "return v5"], ["v4 = const 0", "v5 = add32 v1, v4", "return v5"]],
  [["v4 = const 0", "v5 = or32 v2, v4", "return v5"], ["return v2"]],
  [["v4 = const 0", "v5 = and64 v1, v4", "return v5"], ["v4 = const 0", "return v4"]],
  [["v4 = const 255", "v5 = and64 v3, v4", "return v5"], ["return v3"]],
  [["v4 = const 255", "v5 = and64 v2, v4", "return v5"], ["v4 = const 255", "v5 = and64 v2, v4", "return v5"]],
  [["v4 = const 127", "v5 = and64 v3, v4", "return v5"], ["v4 = const 127", "v5 = and64 v3, v4", "return v5"]],
  [["v4 = zext32 v2", "return v4"], ["return v2"]],
  [["v4 = zext32 v1", "return v4"], ["v4 = zext32 v1", "return v4"]],
  [["v4 = extract v3, 0, 1", "return v4"], ["return v3"]],
  [["v4 = extract v1, 2, 4", "v5 = extract v4, 1, 2", "return v5"], ["v4 = extract v1, 3, 2", "return v4"]],
  [["v4 = extract v1, 0, 4", "v5 = extract v1, 4, 4", "v6 = concat v4:4, v5:4", "return v6"], ["return v1"]],
  [["v4 = extract v1, 4, 4", "v5 = extract v1, 0, 4", "v6 = concat v4:4, v5:4", "return v6"], ["v4 = extract v1, 4, 4", "v5 = extract v1, 0, 4", "v6 = concat v4:4, v5:4", "return v6"]],
  [["v4 = extract v1, 2, 2", "v5 = extract v1, 4, 1", "v6 = concat v4:2, v5:1", "return v6"], ["v4 = extract v1, 2, 3", "return v4"]],
  [["v4 = extract v1, 2, 2", "v5 = const 0", "v6 = concat v4:2, v5:6", "return v6"], ["v4 = extract v1, 2, 2", "return v4"]],
  [["v4 = concat v2:4, v3:1", "v5 = extract v4, 4, 1", "return v5"], ["return v3"]],
  [["v4 = add64 v1, v2", "v5 = add64 v1, v2", "v6 = xor64 v4, v5", "return v6"], ["v4 = add64 v1, v2", "v5 = xor64 v4, v4", "return v5"]],
  [["v4 = undefined", "v5 = undefined", "v6 = xor64 v4, v5", "return v6"], ["v4 = undefined", "v5 = undefined", "v6 = xor64 v4, v5", "return v6"]],
];

test("every rule, with a case next to it that it must not touch", () => {
  for (const [lines, want] of rules) expectSimple(lines, want);
});

test("branches on constants go, with what they alone reached", () => {
  const ir = simplify(
    lifted("r2 = 5\nif r2 > 3 goto a\nr0 = 1\nexit\na:\nr0 = 2\nexit"),
  );
  deepEqual(
    body(ir).filter((line) => /branch|return|const/.test(line)),
    ["v1 = const 2", "return v1"],
  );
});

test("a parameter that gets one value is that value, around a loop too", () => {
  const ir = simplify(
    lifted(
      "r2 = *(u32 *)(r1 + 12)\nr3 = 0\na:\nr3 += 1\nr4 = r2\nr2 = r4\nif r3 < 9 goto a\nr0 = r2\nexit",
    ),
  );
  equal(ir.functions[0]?.blocks[1]?.params.length, 1);
});

// op, width, left, right, result; RFC 9669 section 4.1
// prettier-ignore
const words: readonly (readonly [Parameters<typeof foldBinary>[0], 32 | 64, bigint, bigint, bigint])[] = [
  ["add", 64, 2n ** 64n - 1n, 2n, 1n], ["add", 32, 2n ** 32n - 1n, 1n, 0n], ["sub", 32, 0n, 1n, 2n ** 32n - 1n],
  ["mul", 64, 2n ** 63n + 1n, 2n, 2n], ["div", 64, 7n, 0n, 0n], ["mod", 64, 7n, 0n, 7n], ["mod", 32, 2n ** 32n + 7n, 0n, 7n],
  ["sdiv", 64, 2n ** 64n - 7n, 2n, 2n ** 64n - 3n], ["sdiv", 32, 2n ** 31n, 2n ** 32n - 1n, 2n ** 31n],
  ["smod", 64, 2n ** 64n - 7n, 3n, 2n ** 64n - 1n], ["smod", 64, 2n ** 64n - 7n, 0n, 2n ** 64n - 7n], ["sdiv", 64, 5n, 0n, 0n],
  ["lsh", 64, 1n, 65n, 2n], ["lsh", 32, 1n, 31n, 2n ** 31n], ["rsh", 32, 2n ** 40n + 8n, 3n, 1n], ["arsh", 32, 2n ** 31n, 4n, 0xf800_0000n],
  ["arsh", 64, 2n ** 63n, 63n, 2n ** 64n - 1n], ["xor", 32, 2n ** 33n, 5n, 5n], ["and", 64, 12n, 10n, 8n], ["or", 64, 12n, 10n, 14n],
];

test("constants fold as the instruction set says", () => {
  for (const [op, width, left, right, want] of words)
    equal(
      foldBinary(op, width, left, right),
      want,
      `${op}${width} ${left} ${right}`,
    );
  equal(foldUnary("swap16", 0x123456n), 0x5634n);
  equal(foldUnary("swap64", 1n), 1n << 56n);
  equal(foldUnary("sext8", 0x80n), 2n ** 64n - 128n);
  equal(foldUnary("neg32", 1n), 2n ** 32n - 1n);
  equal(foldExtract(0x8877665544332211n, 2, 3), 0x554433n);
  equal(
    foldConcat([
      { value: 0x1122n, size: 1 },
      { value: 0x33n, size: 2 },
    ]),
    0x3322n,
  );
  equal(foldBranch("jsgt", 32, 0xffff_ffffn, 0n), false);
  equal(foldBranch("jgt", 32, 0xffff_ffffn, 0n), true);
  equal(foldBranch("jset", 64, 6n, 1n), false);
  equal(foldBranch("jeq", 32, 2n ** 32n, 0n), true);
});

const withCall = `
  *(u64 *)(r10 - 8) = 7
  r1 = r10
  r1 += -8
  r2 = 3
  call function f
  r0 = *(u64 *)(r10 - 8)
  exit
  function f
  r3 = *(u64 *)(r1 + 0)
  r3 += r2
  *(u64 *)(r10 - 16) = r3
  *(u64 *)(r1 + 0) = r3
  r0 = *(u64 *)(r10 - 16)
  exit`;

test("an inlined callee's accesses to the caller's frame become values", () => {
  equal(lifted(withCall).functions[0]?.slots.length, 1);
  const ir = inlineCalls(lifted(withCall), { budget: 1000 });
  equal(ir.functions.length, 1);
  deepEqual(ir.functions[0]?.slots, []);
  equal(
    body(ir).some((line) => line === "v1 = const 10"),
    true,
    printIr(ir),
  );
});

test("an out-parameter that gets a packet pointer keeps its type", () => {
  const ir = inlineCalls(
    lifted(
      `r2 = r10
       r2 += -8
       call function f
       r1 = *(u64 *)(r10 - 8)
       r0 = *(u8 *)(r1 + 3)
       exit
       function f
       r3 = *(u32 *)(r1 + 0)
       *(u64 *)(r2 + 0) = r3
       r0 = 0
       exit`,
    ),
    { budget: 1000 },
  );
  deepEqual(ir.functions[0]?.slots, []);
  equal(body(ir).includes("v1: packet+0 = load4 v0+0"), true, printIr(ir));
  equal(body(ir).includes("v2 = load1 v1+3"), true, printIr(ir));
});

// prettier-ignore
const left: readonly (readonly [string, string, number])[] = [
  ["no budget", withCall, 5],
  ["recursion", "r0 = 1\ncall function f\nexit\nfunction f\nr0 = 1\ncall function f\nexit", 1000],
  ["a tail call inside", "r6 = r1\ncall function f\nexit\nfunction f\nr2 = 0 ll\nr3 = 0\ncall tail_call\nr0 = 2\nexit", 1000],
  ["a callback", "r1 = 3\nr2 = function f ll\nr3 = 0\nr4 = 0\ncall loop\nr0 = 0\nexit\nfunction f\nr0 = 0\nexit", 1000],
];

test("what is not inlined stays a call", () => {
  for (const [name, text, budget] of left) {
    const ir = inlineCalls(lifted(text), { budget });
    deepEqual(verifyIr(ir), [], name);
    equal(ir.functions.length, 2, name);
  }
});

test("places of inlined code name the function they came from", () => {
  const ir = inlineCalls(
    lifted(
      "r2 = 3\ncall function f\nexit\nfunction f\nr0 = *(u32 *)(r1 + 12)\nr0 *= r0\nexit",
    ),
    { budget: 99 },
  );
  const places = ir.functions[0]?.blocks.flatMap((block) =>
    block.instructions.map((i) => i.at.function),
  );
  deepEqual([...new Set(places)], ["f"]);
});
