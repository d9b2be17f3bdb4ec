/** What people see of a diagnostic, exactly. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import type { SourceDiagnostic } from "../base/index.ts";
import { codeFrame, diagnosticJson } from "./code-frame.ts";

const plain: SourceDiagnostic = {
  code: "nf-product",
  severity: "error",
  message: "the product may pass 2^53",
  fix: "mul32(a, b)",
  file: "limiter.ts",
  start: { line: 12, column: 15 },
  end: { line: 12, column: 20 },
  text: "    const x = a * b;",
};

const cases: readonly (readonly [
  string,
  Partial<SourceDiagnostic>,
  readonly string[],
])[] = [
  [
    "underlined",
    {},
    [
      "limiter.ts:12:15: error: the product may pass 2^53 [nf-product]",
      "  12 |     const x = a * b;",
      "     |               ^^^^^",
      "  write: mul32(a, b)",
    ],
  ],
  [
    "tabs and characters of two units",
    {
      text: '\tlog("😀", a * b);',
      start: { line: 12, column: 12 },
      end: { line: 12, column: 17 },
    },
    [
      "limiter.ts:12:12: error: the product may pass 2^53 [nf-product]",
      '  12 |   log("😀", a * b);',
      "     |             ^^^^^",
      "  write: mul32(a, b)",
    ],
  ],
  [
    "several lines: to the end of the first",
    { end: { line: 14, column: 2 } },
    [
      "limiter.ts:12:15: error: the product may pass 2^53 [nf-product]",
      "  12 |     const x = a * b;",
      "     |               ^^^^^^",
      "  write: mul32(a, b)",
    ],
  ],
  [
    "nothing to show: no frame",
    { text: "", start: { line: 1, column: 1 }, end: { line: 1, column: 1 } },
    [
      "limiter.ts:1:1: error: the product may pass 2^53 [nf-product]",
      "  write: mul32(a, b)",
    ],
  ],
  [
    "at the end of the line: one mark",
    { start: { line: 12, column: 21 }, end: { line: 12, column: 21 } },
    [
      "limiter.ts:12:21: error: the product may pass 2^53 [nf-product]",
      "  12 |     const x = a * b;",
      "     |                     ^",
      "  write: mul32(a, b)",
    ],
  ],
];

for (const [name, change, want] of cases)
  test(name, () => {
    deepEqual(codeFrame({ ...plain, ...change }).split("\n"), want);
  });

test("a long line is cut around what is meant", () => {
  const text = `${"  const y = 1;".repeat(20)} const x = a * b; ${"// more".repeat(30)}`;
  const at = text.indexOf("a * b") + 1;
  const lines = codeFrame({
    ...plain,
    text,
    start: { line: 12, column: at },
    end: { line: 12, column: at + 5 },
  }).split("\n");
  for (const line of lines) ok(line.length <= 80, line);
  const [, source = "", marks = ""] = lines;
  equal(source.slice(marks.indexOf("^"), marks.lastIndexOf("^") + 1), "a * b");
});

test("an escape sequence in a source does not reach the terminal", () => {
  const shown = codeFrame({ ...plain, text: "    const x\u001b[2J = a;" });
  ok(!shown.includes("\u001b"));
});

test("as JSON", () => {
  deepEqual(diagnosticJson(plain), {
    code: "nf-product",
    severity: "error",
    message: "the product may pass 2^53",
    file: "limiter.ts",
    line: 12,
    column: 15,
    endLine: 12,
    endColumn: 20,
    fix: "mul32(a, b)",
  });
});
