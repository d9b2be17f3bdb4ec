/** Lowered text of small programs, and that they compute what the IR says. */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
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
