/** Which loops are written out, and what is left of them. That the rest stays is test/lift.test.ts's matter. */
import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { parseFunctions } from "../isa/index.ts";
import { lift } from "./lift.ts";
import { loops } from "./loops.ts";
import { printIr } from "./print.ts";
import { unrollLoops } from "./unroll.ts";
import { verifyIr } from "./verify.ts";

const wide = { rounds: 64, instructions: 1000 };

/** How many loops stay, and the constants that calls get, in the order of the text. */
function expectUnrolled(
  text: string,
  want: readonly [number, string],
  options = wide,
): void {
  const ir = unrollLoops(
    lift({
      file: "t.o",
      name: "main",
      section: "xdp",
      type: "xdp",
      license: "GPL",
      functions: parseFunctions(text),
      maps: [],
    }),
    options,
  );
  deepEqual(verifyIr(ir), [], text);
  const [fn] = ir.functions;
  const constants = new Map<number, string>();
  const said: string[] = [];
  for (const { instructions } of fn?.blocks ?? [])
    for (const each of instructions)
      if (each.kind === "const")
        constants.set(each.result, BigInt.asIntN(64, each.value).toString());
  for (const { instructions } of fn?.blocks ?? [])
    for (const each of instructions)
      if (each.kind === "call") {
        const [first] = each.args;
        said.push(constants.get(first ?? -1) ?? "?");
      }
  const left = fn === undefined ? 0 : loops(fn).loops.length;
  deepEqual([left, said.join(" ")], want, printIr(ir));
}

test("loops that count to a number are written out, others stay", () => {
  // prettier-ignore
  const cases: readonly (readonly [string, readonly [number, string]])[] = [
    // Down, its test behind the body; up, its test before it.
    ["r6 = 3; again:; r1 = r6; r2 = 0; call redirect; r6 += -1; if r6 != 0 goto again; r0 = 2; exit", [0, "3 2 1"]],
    ["r6 = 0; again:; if r6 > 5 goto end; r1 = r6; r2 = 0; call redirect; r6 += 2; goto again; end:; r0 = 2; exit", [0, "0 2 4"]],
    // Left early where a packet says so: the counter is still known.
    ["r7 = *(u32 *)(r1 + 12); r6 = 0; again:; r1 = r6; r2 = 0; call redirect; if r0 == r7 goto end; r6 += 1; if r6 < 3 goto again; end:; r0 = 2; exit", [0, "0 1 2"]],
    // What comes out of it differs by exit.
    ["r7 = *(u32 *)(r1 + 12); r6 = 0; again:; r8 = r6; if r6 == r7 goto end; r6 += 1; if r6 < 2 goto again; r8 = 9; end:; r1 = r8; r2 = 0; call redirect; r0 = 2; exit", [0, "?"]],
    // A number behind a word that is equal to itself.
    ["r7 = *(u32 *)(r1 + 16); r7 ^= r7; r6 = 0; again:; r6 += r7; r1 = r6; r2 = 0; call redirect; r6 += 1; if r6 < 2 goto again; r0 = 2; exit", [0, "0 1"]],
    // One in another; the inner one's bound is the outer one's number.
    ["r6 = 1; outer:; r8 = r6; inner:; r1 = r8; r2 = 0; call redirect; r8 += -1; if r8 != 0 goto inner; r6 += 1; if r6 < 4 goto outer; r0 = 2; exit", [0, "1 2 1 3 2 1"]],
    // As often as the packet says; for ever; too often; nothing that counts.
    ["r6 = *(u32 *)(r1 + 12); again:; r1 = r6; r2 = 0; call redirect; r6 += -1; if r6 != 0 goto again; r0 = 2; exit", [1, "?"]],
    ["r6 = 7; again:; r1 = 1; r2 = 0; call redirect; if r6 == 7 goto again; r0 = 2; exit", [1, "1"]],
    ["r6 = 65; again:; r1 = r6; r2 = 0; call redirect; r6 += -1; if r6 != 0 goto again; r0 = 2; exit", [1, "?"]],
    ["r7 = *(u32 *)(r1 + 12); again:; r1 = 1; r2 = 0; call redirect; if r0 == r7 goto again; r0 = 2; exit", [1, "1"]],
  ];
  for (const [lines, want] of cases) expectUnrolled(text(lines), want);
});

test("no more rounds and instructions than asked for", () => {
  const three = text(
    "r6 = 3; again:; r1 = r6; r2 = 0; call redirect; r6 += -1; if r6 != 0 goto again; r0 = 2; exit",
  );
  expectUnrolled(three, [0, "3 2 1"], { rounds: 3, instructions: 1000 });
  expectUnrolled(three, [1, "?"], { rounds: 2, instructions: 1000 });
  expectUnrolled(three, [1, "?"], { rounds: 64, instructions: 15 });
});

const text = (lines: string): string =>
  `main:\n${lines.replaceAll("; ", "\n")}`;
