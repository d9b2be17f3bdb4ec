/** Lowered text of small programs, and that they compute what the IR says. */
import { deepEqual, equal, throws } from "node:assert/strict";
import { test } from "node:test";
import { UnsupportedError } from "../../../base/index.ts";
import { lift } from "../../../ir/index.ts";
import {
  parseFunctions,
  printFunction,
  type ProgramSpec,
} from "../../../isa/index.ts";
import { lowerProgram } from "./lower-program.ts";

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

/** Lines of the only function, without its head. */
function lowered(text: string): readonly string[] {
  const [fn, second] = lowerProgram(lift(program(text)));
  equal(second, undefined);
  return fn === undefined
    ? []
    : printFunction(fn)
        .split("\n")
        .slice(1)
        .map((line) => line.trim())
        .filter((line) => line !== "");
}

test("a bounds check stays on the pointer that is used", () => {
  const text = [
    "r2 = *(u32 *)(r1 + 0)",
    "r3 = *(u32 *)(r1 + 4)",
    "r4 = r2",
    "r4 += 20",
    "w0 = 2",
    "if r4 > r3 goto out",
    "r0 = *(u8 *)(r2 + 19)",
    "out:",
    "exit",
  ].join("\n");
  const lines = lowered(text);
  const plain = lines.map((line) => line.replace(/\b[rw]\d+/g, "R"));
  // Checked and used: one register, and no copy of it in between.
  deepEqual(
    plain.slice(0, 4),
    ["R = *(u32 *)(R + 0)", "R = *(u32 *)(R + 4)", "R = R", "R += 20"],
    lines.join("\n"),
  );
});

test("LD_ABS and LD_IND find the context in r6, without moves", () => {
  const text = [
    "r6 = r1",
    "r0 = *(u16 *)skb[12]",
    "r7 = r0",
    "r0 = *(u8 *)skb[r7 + 14]",
    "r0 += r7",
    "exit",
  ].join("\n");
  const lines = lowered(text);
  equal(lines[0], "r6 = r1");
  equal(lines.filter((line) => line.startsWith("r6 =")).length, 1);
  equal(lines.filter((line) => line.includes("skb[")).length, 2);
});

test("sign extensions and signed division, in v3 and v4", () => {
  const text = [
    "r0 = *(u32 *)(r1 + 12)",
    "r2 = *(u32 *)(r1 + 16)",
    "w0 s/= w2",
    "r0 = (s8)r0",
    "exit",
  ].join("\n");
  const ops = (instructionSet: "v3" | "v4"): string[] =>
    lowerProgram(lift(program(text)), { instructionSet })
      .flatMap((fn) => fn.instructions)
      .flatMap((each) => (each.kind === "alu" ? [each.op] : []));
  deepEqual(ops("v4"), ["sdiv", "movsx8"]);
  const plain = ops("v3");
  equal(plain.filter((op) => op === "div").length, 1);
  equal(plain.includes("sdiv") || plain.includes("movsx8"), false);
});

test("equal ends of blocks are one", () => {
  const text = [
    "r2 = *(u32 *)(r1 + 12)",
    ...[1, 2, 3, 4].flatMap((value) => [
      "w0 = 7",
      `if r2 == ${value} goto out`,
    ]),
    "w0 = 3",
    "out:",
    "exit",
  ].join("\n");
  const lines = lowered(text);
  equal(lines.filter((line) => line === "w0 = 7").length, 1, lines.join("\n"));
});

test("frames and chains of calls that need too much are refused", () => {
  // The helper reads all of the frame.
  const deep = (name: string, bytes: number, call: string): string =>
    [
      `function ${name}`,
      ...Array.from(
        { length: bytes / 8 },
        (_, at) => `*(u64 *)(r10 - ${8 + 8 * at}) = 0`,
      ),
      "r1 = r10",
      `r1 += -${bytes}`,
      `r2 = ${bytes}`,
      "r3 = 0",
      "r4 = 0",
      "r5 = 0",
      "call csum_diff",
      call,
      "exit",
    ].join("\n");
  const leaf = deep("leaf", 256, "r0 += 1");
  const fits = `${deep("main", 256, "call function leaf")}\n${leaf}`;
  equal(lowerProgram(lift(program(fits))).length, 2);
  const over = `${deep("main", 272, "call function leaf")}\n${leaf}`;
  throws(
    () => lowerProgram(lift(program(over))),
    (error) =>
      error instanceof UnsupportedError &&
      /main, leaf need 528 bytes/.test(error.message),
  );
});

test("lines of the source go along", () => {
  const lines = [1, 1, 2].map((line, index) => ({
    at: index,
    file: "a.ts",
    text: `line ${line}`,
    line,
    column: 3,
  }));
  const text = "r0 = *(u32 *)(r1 + 12)\nr0 += 1\nr0 *= 3\nexit";
  const spec = program(text);
  const functions = spec.functions.map((fn) => ({ ...fn, lines }));
  const [fn] = lowerProgram(lift({ ...spec, functions }));
  deepEqual(
    fn?.lines.map(({ at: index, line }) => [index, line]),
    [
      [0, 1],
      [2, 2],
    ],
  );
});
