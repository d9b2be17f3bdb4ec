import { deepEqual, doesNotMatch, equal, match } from "node:assert/strict";
import { test } from "node:test";
import { decide } from "./decide.ts";
import { parseIr } from "./parse.ts";
import { printIr } from "./print.ts";
import { verifyIr } from "./verify.ts";

/** Edges of `lines` that are decided away, as `3+` (taken) and `3-`; .rodata is 00 ff 02 00. */
function expectInfeasible(
  lines: readonly string[],
  want: string,
  readOnly = true,
): void {
  const ir = parseIr(
    [
      'program "main" type xdp file "t.o"',
      `map {"name":".rodata","type":"array","keySize":4,"valueSize":4,"maxEntries":1,"flags":0,"section":".rodata","data":{"hex":"00ff0200"},"readOnly":${readOnly}}`,
      'function "main" (v0: context+0) {',
      "b0:",
      "v1 = load4 v0+12 ; 0",
      'v2: map-value ".rodata"+1 = map-value ".rodata"+1 ; 1',
      ...lines,
      "}",
    ].join("\n"),
  );
  deepEqual(verifyIr(ir), []);
  const { program, infeasible } = decide(ir);
  deepEqual(verifyIr(program), []);
  equal(
    infeasible
      .map(({ instruction, taken }) => `${instruction}${taken ? "+" : "-"}`)
      .join(" "),
    want,
    lines.join("\n"),
  );
}

const ends = ["b1:", "return v0 ; 8", "b2:", "return v1 ; 9"];
const zero = "v3 = const 0 ; 2";

test("what frozen data and constants decide", () => {
  // prettier-ignore
  const cases: readonly (readonly [readonly string[], string])[] = [
    [["v4 = load1 v2+0 ; 3", "branch jne64 v4, v3 ? b1 : b2 ; 4"], "4-"],
    [["v4 = load1 v2-1 ; 3", "branch jne64 v4, v3 ? b1 : b2 ; 4"], "4+"],
    [["v4 = load2 v2+0 ; 3", "branch jslt64 v4, v3 ? b1 : b2 ; 4"], "4+"],
    [["v4 = loads1 v2+0 ; 3", "branch jslt64 v4, v3 ? b1 : b2 ; 4"], "4-"],
    [["v4 = load1 v2+0 ; 3", "v5 = and64 v4, v3 ; 4", "branch jeq64 v5, v3 ? b1 : b2 ; 5"], "5-"],
    // Beyond the data, of the packet's input, or against it: not decided.
    [["v4 = load1 v2+3 ; 3", "branch jne64 v4, v3 ? b1 : b2 ; 4"], ""],
    [["branch jne64 v1, v3 ? b1 : b2 ; 4"], ""],
    [["v4 = load1 v2+0 ; 3", "branch jne64 v4, v1 ? b1 : b2 ; 4"], ""],
  ];
  for (const [lines, want] of cases)
    expectInfeasible([zero, ...lines, ...ends], want);
  expectInfeasible(
    [zero, "v4 = load1 v2+0 ; 3", "branch jne64 v4, v3 ? b1 : b2 ; 4", ...ends],
    "",
    false,
  );
});

test("behind a decided branch nothing is reached, and what flows from there is nothing", () => {
  // The option is off: 5's branch is dead, and b3 always gets 7.
  // prettier-ignore
  expectInfeasible([
    zero,
    "v4 = const 7 ; 2",
    "v5 = load1 v2-1 ; 3",
    "branch jne64 v5, v3 ? b1 : b2 ; 4",
    "b1:",
    "branch jeq64 v1, v3 ? b3(v1) : b2 ; 5",
    "b2:",
    "jump b3(v4) ; 6",
    "b3(v6):",
    "branch jeq64 v6, v4 ? b4 : b5 ; 7",
    "b4:", "return v3 ; 8",
    "b5:", "return v4 ; 9",
  ], "4+ 5+ 5- 7-");
});

test("a loop over a constant is not taken for decided, one that leaves at once is", () => {
  // prettier-ignore
  const loop = (first: string): string[] => [
    zero,
    `v4 = const ${first} ; 2`,
    "v5 = const 1 ; 2",
    "jump b1(v4) ; 3",
    "b1(v6):",
    "branch jeq64 v6, v3 ? b2 : b3 ; 4",
    "b2:", "return v6 ; 5",
    "b3:",
    "v7 = sub64 v6, v5 ; 6",
    "jump b1(v7) ; 7",
  ];
  expectInfeasible(loop("5"), "");
  expectInfeasible(loop("0"), "4-");
});

test("decided branches are jumps, and what is not reached is gone", () => {
  const { program } = decide(
    parseIr(
      [
        'program "main" type xdp file "t.o"',
        'function "main" (v0: context+0) {',
        "b0:",
        "v1 = const 1 ; 0",
        "branch jeq64 v1, v1 ? b1 : b2 ; 1",
        "b1:",
        "return v1 ; 2",
        "b2:",
        "v2 = const 3 ; 3",
        "return v2 ; 4",
        "}",
      ].join("\n"),
    ),
  );
  const text = printIr(program);
  match(text, /jump b1 ; 1/);
  doesNotMatch(text, /branch|const 3|b2/);
});
