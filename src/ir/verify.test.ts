/** Each rule of verify.ts is broken once, by a change of sound text, and seen. */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { id } from "../base/index.ts";
import { parseIr } from "./parse.ts";
import type { IrFunction, IrProgram } from "./program.ts";
import { verifyIr } from "./verify.ts";

const sound = `program "main" type xdp file "a.o"
map {"name":"m","type":"hash","keySize":4,"valueSize":8,"maxEntries":8,"flags":0,"section":".maps","readOnly":false}
function "main" (v0: context+0) {
  slot s0 at -8 size 4
  slot s1 at -4 size 4
b0:
  v1 = load4 v0+12 ; 0
  v2: slot s0+0 = slot s0+0 ; 1
  v3: slot s1+0 = slot s1+0 ; 2
  store4 v2+0, v1 ; 3
  v4: map "m"+0 = map "m" ; 4
  v5: map-value "m"+0 or null = call helper 1(v4, v2) ; 5
  v6: map-value "m"+4 = map-value "m"+4 ; 6
  v7: function "f"+0 = function "f" ; 7
  v8 = const 5 ; 8
  v9 = extract v8, 4, 4 ; 9
  v10 = concat v9:4, v8:4 ; 10
  v11 = loads2 v3+0 ; 11
  v12 = atomic-cmpxchg4 v3+0, v8 expected v1 fetch ; 12
  v13 = atomic-add4 v3+0, v8 ; 13
  branch jeq64 v1, v8 ? b1(v10) : b2 ; 14
b1(v14):
  v15 = call function "f"(v14, v8) ; 15
  jump b3(v15) ; 16
b2:
  jump b3(v12) ; 17
b3(v16):
  return v16 ; 18
}
function "f" (v0, v1) {
b0:
  return v1 ; 0
}
`;

// code, text, what it becomes
// prettier-ignore
const textual: readonly (readonly [string, string, string])[] = [
  ["ir-edge", "jump b3(v15)", "jump b9(v15)"],
  ["ir-edge", "jump b3(v15)", "jump b3"],
  ["ir-edge", "jump b3(v15)", "jump b3(v15, v15)"],
  ["ir-entry", "jump b3(v15)", "jump b0"],
  ["ir-entry", "b0:\n  v1 = load4", "b0(v17):\n  v1 = load4"],
  ["ir-reach", "branch jeq64 v1, v8 ? b1(v10) : b2", "jump b1(v10)"],
  ["ir-dominance", "jump b3(v12)", "jump b3(v15)"],
  ["ir-dominance", "return v16", "return v15"],
  ["ir-dominance", "v9 = extract v8", "v9 = extract v10"],
  ["ir-slot", "slot s0 at -8 size 4", "slot s0 at -8 size 5"],
  ["ir-slot", "slot s1 at -4 size 4", "slot s1 at -4 size 5"],
  ["ir-slot", "slot s1+0 = slot s1+0", "slot s2+0 = slot s2+0"],
  ["ir-numbering", "slot s1 at -4", "slot s2 at -4"],
  ["ir-numbering", 'function "f" (v0, v1)', 'function "main" (v0, v1)'],
  ["ir-name", 'map "m"+0 = map "m"', 'map "n"+0 = map "n"'],
  ["ir-name", 'map-value "m"+4 = map-value "m"+4', 'map-value "m"+9 = map-value "m"+9'],
  ["ir-name", 'function "f"+0 = function "f"', 'function "g"+0 = function "g"'],
  ["ir-name", 'call function "f"', 'call function "g"'],
  ["ir-call", 'call function "f"(v14, v8)', 'call function "f"(v14)'],
  ["ir-call", "call helper 1(v4, v2)", "call helper 1(v4, v2, v2)"],
  ["ir-operand", "extract v8, 4, 4", "extract v8, 4, 5"],
  ["ir-operand", "extract v8, 4, 4", "extract v8, -1, 4"],
  ["ir-operand", "concat v9:4, v8:4", "concat v9:4, v8:5"],
  ["ir-operand", "concat v9:4, v8:4", "concat v9:0, v8:4"],
  ["ir-operand", "loads2", "loads8"],
  ["ir-operand", " expected v1", ""],
  ["ir-operand", "expected v1 fetch", "expected v1"],
  ["ir-operand", "jump b3(v12)", "jump b3(v13)"],
  ["ir-type", "v1 = load4", "v1: packet+0 = load4"],
  ["ir-type", "v5: map-value \"m\"+0 or null", "v5: map-value \"m\"+0"],
  ["ir-type", "v2: slot s0+0 =", "v2: slot s1+0 ="],
  ["ir-type", "v2: slot s0+0 =", "v2: slot s0+1 ="],
  ["ir-type", "v4: map \"m\"+0 =", "v4 ="],
];

test("a sound program has no finding; a vaguer type is sound", () => {
  deepEqual(verifyIr(parseIr(sound)), []);
  const vague = sound.replace("v2: slot s0+0 =", "v2: unknown+? =");
  deepEqual(verifyIr(parseIr(vague)), []);
});

test("every broken rule is found under its code", () => {
  for (const [code, from, to] of textual) {
    equal(sound.includes(from), true, from);
    const found = verifyIr(parseIr(sound.replace(from, to)));
    equal(
      found.some((finding) => finding.code === code),
      true,
      `${code}: ${from} → ${to}: ${JSON.stringify(found.map((f) => f.message))}`,
    );
  }
});

// What text cannot say.
// prettier-ignore
const structural: readonly (readonly [string, (main: IrFunction, program: IrProgram) => Partial<IrFunction> | IrProgram])[] = [
  ["ir-definition", (main) => ({ values: main.values.slice(0, -1) })],
  ["ir-definition", (main) => ({ values: [...main.values, { kind: "scalar" }] })],
  ["ir-definition", () => ({ params: [id(0), id(0)] })],
  ["ir-definition", (main) => ({ blocks: main.blocks.map((block) => (block.id === 2 ? { ...block, instructions: main.blocks[0]?.instructions.slice(0, 1) ?? [] } : block)) })],
  ["ir-numbering", (main) => ({ blocks: main.blocks.map((block, at) => (at === 2 ? { ...block, id: id(5) } : block)) })],
  ["ir-entry", () => ({ params: [] })],
  ["ir-entry", () => ({ blocks: [] })],
  ["ir-entry", (_, program) => ({ ...program, functions: [] })],
  ["ir-operand", (main) => ({ blocks: main.blocks.map((block) => ({ ...block, instructions: block.instructions.map((i) => (i.kind === "const" ? { ...i, value: -1n } : i)) })) })],
];

test("what text cannot say is found as well", () => {
  for (const [code, change] of structural) {
    const program = parseIr(sound);
    const [main, ...rest] = program.functions;
    if (main === undefined) throw new Error("no function");
    const changed = change(main, program);
    const wrong =
      "functions" in changed
        ? changed
        : { ...program, functions: [{ ...main, ...changed }, ...rest] };
    const found = verifyIr(wrong);
    equal(
      found.some((finding) => finding.code === code),
      true,
      `${code}: ${JSON.stringify(found.map((f) => f.message))}`,
    );
  }
});
