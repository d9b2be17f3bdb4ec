/**
 * A diagnostic as people read it: place, message, the line with what is meant
 * underlined, and what to write instead.
 *
 *     limiter.ts:12:17: error: the product may pass 2^53 [nf-product]
 *       12 |     const x = a * b;
 *          |               ^^^^^
 *       write: mul32(a, b)
 *
 * A line that is too long for the terminal is cut around what is meant.
 */
import { printable, type SourceDiagnostic } from "../base/index.ts";
import { columns, wrapped } from "./wrap.ts";

export function codeFrame(diagnostic: SourceDiagnostic): string {
  const { file, start, severity, message, code, fix } = diagnostic;
  const head = `${file}:${start.line}:${start.column}: ${severity}: ${message} [${code}]`;
  return [
    ...wrapped(head, 2),
    ...frame(diagnostic),
    ...(fix === undefined ? [] : wrapped(`  write: ${fix}`, 9)),
  ].join("\n");
}

function frame({ text, start, end }: SourceDiagnostic): string[] {
  if (text.trim() === "") return [];
  const number = String(start.line);
  const gutter = `${" ".repeat(2 + number.length)} | `;
  const from = Math.min(Math.max(start.column - 1, 0), text.length);
  const to = end.line === start.line ? end.column - 1 : text.length;
  const line = Array.from(text, (character) =>
    character === "\t" ? "  " : printable(character),
  );
  // Columns count UTF-16 units, cells what is shown of them.
  const cells = (length: number): number => {
    let units = 0;
    let shown = 0;
    for (const [index, character] of Array.from(text).entries()) {
      if (units >= length) break;
      units += character.length;
      shown += line[index]?.length ?? 0;
    }
    return shown;
  };
  const [left, right] = [cells(from), cells(to)];
  const shown = line.join("").trimEnd();
  const window = windowOn(shown, left, columns() - gutter.length);
  const marks = "^".repeat(
    Math.max(1, Math.min(right, window.end, shown.length) - left),
  );
  return [
    `  ${number} | ${shown.slice(window.start, window.end)}`,
    `${gutter}${" ".repeat(left - window.start)}${marks}`,
  ];
}

/** The part of a line that fits, with `at` in it. */
function windowOn(
  text: string,
  at: number,
  width: number,
): { readonly start: number; readonly end: number } {
  if (text.length <= width) return { start: 0, end: text.length };
  const start = Math.max(0, Math.min(at - 16, text.length - width));
  return { start, end: start + width };
}

/** As CLI.md has it; the line of the text is in the file. */
export function diagnosticJson(diagnostic: SourceDiagnostic): object {
  const { code, severity, message, fix, file, start, end } = diagnostic;
  return {
    code,
    severity,
    message,
    file,
    line: start.line,
    column: start.column,
    endLine: end.line,
    endColumn: end.column,
    ...(fix === undefined ? {} : { fix }),
  };
}
