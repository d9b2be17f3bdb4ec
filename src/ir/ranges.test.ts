import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { parseIr } from "./parse.ts";
import type { RangeFacts } from "./propagation.ts";
import { decideByRange } from "./ranges.ts";
import { verifyIr } from "./verify.ts";

/** Edges of `lines` that no number takes, as `3+` (taken) and `3-`; .rodata is 10 00 00 00. */
function expectInfeasible(
  lines: readonly string[],
  want: string,
  facts: RangeFacts = {},
): void {
  const ir = parseIr(
    [
      'program "main" type xdp file "t.o"',
      'map {"name":".rodata","type":"array","keySize":4,"valueSize":4,"maxEntries":1,"flags":0,"section":".rodata","data":{"hex":"10000000"},"readOnly":true}',
      'map {"name":"cells","type":"array","keySize":4,"valueSize":8,"maxEntries":48,"flags":0,"section":".maps","readOnly":false}',
      'function "main" (v0: context+0) {',
      "slot s0 at -4 size 4",
      "b0:",
      "v1: packet+0 = load4 v0+0 ; 0",
      "v2: packet-end+0 = load4 v0+4 ; 0",
      "v3 = const 0 ; 0",
      "v4 = load1 v1+9 ; 0",
      "v5 = load8 v1+16 ; 0",
      'v6: map-value ".rodata"+0 = map-value ".rodata"+0 ; 0',
      "v7 = load4 v6+0 ; 0",
      "v8 = const 16 ; 0",
      ...lines,
      "}",
    ].join("\n"),
  );
  deepEqual(verifyIr(ir), []);
  const { program, infeasible } = decideByRange(ir, facts);
  deepEqual(verifyIr(program), []);
  equal(
    infeasible
      .map(({ instruction, taken }) => `${instruction}${taken ? "+" : "-"}`)
      .join(" "),
    want,
    lines.join("\n"),
  );
}

const ends = ["b1:", "return v3 ; 8", "b2:", "return v4 ; 9"];
const test9 = "branch jge32 v9, v8 ? b1 : b2 ; 4";

test("what the numbers that operands can be decide", () => {
  // prettier-ignore
  const cases: readonly (readonly [readonly string[], string])[] = [
    [["v9 = const 256 ; 1", "branch jge64 v4, v9 ? b1 : b2 ; 4"], "4+"],
    [["v9 = const 255 ; 1", "branch jge64 v4, v9 ? b1 : b2 ; 4"], ""],
    [["v9 = mod32 v5, v7 ; 1", test9], ""],
    [["v10 = zext32 v5 ; 1", "v9 = mod32 v10, v7 ; 1", test9], "4+"],
    [["v9 = and32 v4, v8 ; 1", "branch jgt32 v9, v8 ? b1 : b2 ; 4"], "4+"],
    [["v9 = rsh32 v4, v8 ; 1", "branch jeq32 v9, v3 ? b1 : b2 ; 4"], "4-"],
    // A remainder without the instruction, of one number and of another.
    [["v9 = zext32 v5 ; 1", "v10 = div32 v9, v7 ; 1", "v11 = mul32 v10, v7 ; 1", "v12 = sub32 v5, v11 ; 1", "branch jlt32 v12, v8 ? b1 : b2 ; 4"], "4-"],
    [["v9 = zext32 v5 ; 1", "v10 = div32 v9, v7 ; 1", "v11 = mul32 v10, v7 ; 1", "v12 = sub32 v4, v11 ; 1", "branch jlt32 v12, v8 ? b1 : b2 ; 4"], ""],
    [["v9 = zext32 v5 ; 1", "v10 = div32 v9, v4 ; 1", "v11 = mul32 v10, v4 ; 1", "v12 = sub32 v5, v11 ; 1", "branch jlt32 v12, v8 ? b1 : b2 ; 4"], ""],
    // A sum that may wrap says nothing.
    [["v9 = add32 v4, v8 ; 1", "branch jlt32 v9, v8 ? b1 : b2 ; 4"], "4+"],
    [["v9 = add32 v5, v8 ; 1", "branch jlt32 v9, v8 ? b1 : b2 ; 4"], ""],
    // Signed comparisons of what may be negative.
    [["branch jslt64 v4, v3 ? b1 : b2 ; 4"], "4+"],
    [["branch jslt64 v5, v3 ? b1 : b2 ; 4"], ""],
  ];
  for (const [lines, want] of cases)
    expectInfeasible([...lines, ...ends], want);
});

test("pointers into the packet are not null, other words may be", () => {
  // prettier-ignore
  const cases: readonly (readonly [readonly string[], string])[] = [
    [["v9: packet+? = add64 v1, v4 ; 1", "branch jeq64 v9, v3 ? b1 : b2 ; 4"], "4+"],
    [["v9 = add64 v5, v4 ; 1", "branch jeq64 v9, v3 ? b1 : b2 ; 4"], ""],
    [["branch jeq64 v5, v3 ? b1 : b2 ; 4"], ""],
  ];
  for (const [lines, want] of cases)
    expectInfeasible([...lines, ...ends], want);
});

test("what a test says holds where only it leads", () => {
  // prettier-ignore
  expectInfeasible([
    "branch jlt64 v4, v8 ? b1 : b2 ; 1",
    "b1:", "branch jgt64 v4, v8 ? b3 : b4 ; 2",
    "b2:", "branch jlt64 v4, v8 ? b3 : b4 ; 3",
    // Both ways meet: nothing is known any more.
    "b3:", "branch jlt64 v4, v8 ? b5 : b6 ; 4",
    "b4:", "branch jlt64 v4, v8 ? b5 : b6 ; 5",
    "b5:", "return v3 ; 8",
    "b6:", "return v4 ; 9",
  ], "2+ 3+ 4+ 4-");
});

test("a counter of a loop ends up as anything", () => {
  // prettier-ignore
  expectInfeasible([
    "v9 = const 1 ; 1",
    "jump b1(v3) ; 1",
    "b1(v10):", "v11 = add64 v10, v9 ; 2", "branch jlt64 v11, v5 ? b1(v11) : b2 ; 3",
    "b2:", "branch jgt64 v11, v8 ? b3 : b4 ; 4",
    "b3:", "return v3 ; 8",
    "b4:", "return v4 ; 9",
  ], "");
});

test("a look-up finds a cell where the number that was just stored is below its size", () => {
  const found: RangeFacts = {
    notNull: (_call, _fn, key) => key !== undefined && key.high < 48n,
  };
  const lookup = (stored: readonly string[]): readonly string[] => {
    const next = 11 + stored.filter((line) => line.startsWith("v")).length;
    return [
      "v9: slot s0+0 = slot s0+0 ; 1",
      'v10: map "cells"+0 = map "cells" ; 1',
      ...stored,
      `v${next}: map-value "cells"+0 or null = call helper 1(v10, v9) ; 3`,
      `branch jeq64 v${next}, v3 ? b1 : b2 ; 4`,
      ...ends,
    ];
  };
  // prettier-ignore
  const cases: readonly (readonly [readonly string[], string])[] = [
    [["v11 = and32 v4, v8 ; 1", "store4 v9+0, v11 ; 2"], "4+"],
    [["store4 v9+0, v4 ; 2"], ""],
    [["v11 = and32 v4, v8 ; 1", "store2 v9+0, v11 ; 2"], ""],
    [["v11 = and32 v4, v8 ; 1", "store4 v9+0, v11 ; 2", "store4 v9+0, v4 ; 2"], ""],
    [["v11 = and32 v4, v8 ; 1", "store4 v9+0, v11 ; 2", "v12 = call helper 5() ; 2"], ""],
  ];
  for (const [stored, want] of cases)
    expectInfeasible(lookup(stored), want, found);
});
