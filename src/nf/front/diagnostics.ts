/**
 * Messages with their place in the text: making one from a node, and the code
 * frame in which people read it.
 *
 *     FILE:12:13: error: a product may reach 2^53 … [nf-product]
 *       12 |   const p = a * b;
 *          |             ^^^^^
 *       write: mul32(a, b)
 */
import type { NfDiagnostic } from "./loaded.ts";
import type { ts } from "./typescript-api.ts";

export interface Said {
  readonly code: string;
  readonly message: string;
  readonly fix?: string | undefined;
  readonly severity?: "error" | "warning";
  readonly typescript?: number;
}

export function diagnosticAt(node: ts.Node, said: Said): NfDiagnostic {
  const file = node.getSourceFile();
  return diagnosticIn(file, [node.getStart(file), node.getEnd()], said);
}

export function diagnosticIn(
  file: ts.SourceFile,
  [from, to]: readonly [number, number],
  said: Said,
): NfDiagnostic {
  const place = (position: number) => {
    const at = file.getLineAndCharacterOfPosition(position);
    return { line: at.line + 1, column: at.character + 1 };
  };
  const start = place(from);
  const lines = file.text.split("\n");
  return {
    code: said.code,
    severity: said.severity ?? "error",
    message: said.message,
    ...(said.fix === undefined ? {} : { fix: said.fix }),
    file: file.fileName,
    start,
    end: place(Math.max(to, from)),
    text: (lines[start.line - 1] ?? "").replace(/\r$/, ""),
    ...(said.typescript === undefined ? {} : { typescript: said.typescript }),
  };
}

/** The message, its line of source with the fault underlined, and the way out. */
export function printDiagnostic(diagnostic: NfDiagnostic): string {
  const { file, start, end, text, code, severity, message, fix } = diagnostic;
  const last = end.line === start.line ? end.column : text.length + 1;
  const marks = "^".repeat(Math.max(1, last - start.column));
  const number = String(start.line);
  const pad = " ".repeat(number.length);
  const under = text.slice(0, start.column - 1).replace(/[^\t]/g, " ");
  return [
    `${file}:${start.line}:${start.column}: ${severity}: ${message} [${code}]`,
    `  ${number} | ${text}`,
    `  ${pad} | ${under}${marks}`,
    ...(fix === undefined ? [] : [`  write: ${fix}`]),
  ].join("\n");
}
