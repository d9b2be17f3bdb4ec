/**
 * The text form of functions, for tests, logs and golden files:
 *
 *   function count section "xdp" global btf 7
 *     .line "count.c" 12 5 "  value = lookup(&key);"
 *     .core 3 "0:1" 0
 *     r1 = map counters ll
 *     call map_lookup_elem
 *     if r0 == 0 goto L3      ; comments run to the end of the line
 *   L3:
 *     exit
 *
 * `.line` and `.core` speak of the next instruction. When reading, labels are
 * free names, the header may be missing (function `main` of section `xdp`), and
 * `section`, the linkage and `btf` may be left out.
 *
 * Law: parseFunction(printFunction(f)) = f, where lines and CO-RE records are
 * sorted by instruction.
 */
import { InputError } from "../base/index.ts";
import { targetOf } from "./form.ts";
import type { Instruction } from "./instruction.ts";
import { parseInstruction } from "./parse.ts";
import { printInstruction, printName } from "./print.ts";
import type { CoreRelocation, FunctionSpec, LineInfo } from "./program.ts";

export function printFunction(fn: FunctionSpec): string {
  const btf = fn.btfFunction === undefined ? "" : ` btf ${fn.btfFunction}`;
  const out = [
    `function ${printName(fn.name)} section ${JSON.stringify(fn.section)} ${fn.linkage}${btf}`,
  ];
  const labels = new Set(
    fn.instructions.flatMap((instruction) => targetOf(instruction) ?? []),
  );
  const lines = groupBy(fn.lines);
  const records = groupBy(fn.coreRelocations);
  for (let at = 0; at <= fn.instructions.length; at++) {
    if (labels.has(at)) out.push(`L${at}:`);
    for (const { file, line, column, text } of lines.get(at) ?? [])
      out.push(
        `  .line ${JSON.stringify(file)} ${line} ${column} ${JSON.stringify(text)}`,
      );
    for (const { typeId, access, kind } of records.get(at) ?? [])
      out.push(`  .core ${typeId} ${JSON.stringify(access)} ${kind}`);
    const instruction = fn.instructions[at];
    if (instruction !== undefined)
      out.push(`  ${printInstruction(instruction)}`);
  }
  return `${out.join("\n")}\n`;
}

function groupBy<T extends { readonly at: number }>(
  records: readonly T[],
): ReadonlyMap<number, readonly T[]> {
  const groups = new Map<number, T[]>();
  for (const record of records) {
    const group = groups.get(record.at);
    if (group === undefined) groups.set(record.at, [record]);
    else group.push(record);
  }
  return groups;
}

/** Exactly one function. */
export function parseFunction(text: string, file?: string): FunctionSpec {
  const [first, second] = parseFunctions(text, file);
  if (first !== undefined && second === undefined) return first;
  throw new InputError("one function expected", {
    code: "insn-text",
    ...(file === undefined ? {} : { file }),
  });
}

interface Draft {
  header: Omit<FunctionSpec, "instructions" | "lines" | "coreRelocations">;
  readonly labels: Map<string, number>;
  readonly texts: { readonly text: string; readonly line: number }[];
  readonly lines: LineInfo[];
  readonly records: CoreRelocation[];
}

function draftOf(header: Draft["header"]): Draft {
  return { header, labels: new Map(), texts: [], lines: [], records: [] };
}

/** Any number of functions. */
export function parseFunctions(
  text: string,
  file?: string,
): readonly FunctionSpec[] {
  const drafts: Draft[] = [];
  for (const [index, whole] of text.split("\n").entries()) {
    const line = index + 1;
    const source = withoutComment(whole).trim();
    if (source === "") continue;
    if (/^function\s/.test(source)) {
      drafts.push(draftOf(parseHeader(source, line, file)));
      continue;
    }
    let draft = drafts.at(-1);
    if (draft === undefined) {
      draft = draftOf({ name: "main", section: "xdp", linkage: "global" });
      drafts.push(draft);
    }
    readLine(draft, source, line, file);
  }
  return drafts.map((draft) => finish(draft, file));
}

/** Cuts from the first `;` or `//` outside a string. */
function withoutComment(line: string): string {
  const match = /^(?:"(?:[^"\\]|\\.)*"|[^";/]|\/(?!\/))*/.exec(line);
  const kept = match?.[0] ?? "";
  const rest = line.slice(kept.length);
  // What is neither a comment nor a whole string is left for the parser to refuse.
  return rest.startsWith(";") || rest.startsWith("//") ? kept : line;
}

function problem(text: string, line: number, file?: string): InputError {
  return new InputError(text, {
    code: "insn-text",
    line,
    ...(file === undefined ? {} : { file }),
  });
}

const string = String.raw`"(?:[^"\\]|\\.)*"`;
const headerForm = new RegExp(
  String.raw`^function\s+(${string}|[\w.$]+)(?:\s+section\s+(${string}|\S+))?(?:\s+(global|static))?(?:\s+btf\s+(\d{1,10}))?$`,
);
const lineForm = new RegExp(
  String.raw`^\.line\s+(${string})\s+(\d{1,10})\s+(\d{1,10})\s+(${string})$`,
);
const coreForm = new RegExp(
  String.raw`^\.core\s+(\d{1,10})\s+(${string})\s+(\d{1,10})$`,
);

function unquote(text: string, line: number, file?: string): string {
  if (!text.startsWith('"')) return text;
  try {
    return String(JSON.parse(text));
  } catch {
    throw problem(`malformed string ${text}`, line, file);
  }
}

function parseHeader(
  source: string,
  line: number,
  file?: string,
): Draft["header"] {
  const match = headerForm.exec(source);
  if (match === null) throw problem("malformed function line", line, file);
  const [, name = "", section = "xdp", linkage = "global", btf] = match;
  return {
    name: unquote(name, line, file),
    section: unquote(section, line, file),
    linkage: linkage === "static" ? "static" : "global",
    ...(btf === undefined ? {} : { btfFunction: Number(btf) }),
  };
}

function readLine(
  draft: Draft,
  source: string,
  line: number,
  file?: string,
): void {
  const at = draft.texts.length;
  const label = /^([A-Za-z_.$][\w.$]*):$/.exec(source)?.[1];
  if (label !== undefined) {
    if (draft.labels.has(label))
      throw problem(`label ${label} stands twice`, line, file);
    draft.labels.set(label, at);
    return;
  }
  const info = lineForm.exec(source);
  if (info !== null) {
    const [, name = "", row = "", column = "", text = ""] = info;
    draft.lines.push({
      at,
      file: unquote(name, line, file),
      line: Number(row),
      column: Number(column),
      text: unquote(text, line, file),
    });
    return;
  }
  const record = coreForm.exec(source);
  if (record !== null) {
    const [, type = "", access = "", kind = ""] = record;
    draft.records.push({
      at,
      typeId: Number(type),
      access: unquote(access, line, file),
      kind: Number(kind),
    });
    return;
  }
  draft.texts.push({ text: source, line });
}

function finish(draft: Draft, file?: string): FunctionSpec {
  const options = {
    targetOf: (label: string) => draft.labels.get(label),
    ...(file === undefined ? {} : { file }),
  };
  const instructions = draft.texts.map(({ text, line }): Instruction =>
    parseInstruction(text, { ...options, line }),
  );
  for (const [label, at] of draft.labels)
    if (at >= instructions.length)
      throw problem(
        `label ${label} stands behind the last instruction`,
        0,
        file,
      );
  return {
    ...draft.header,
    instructions,
    lines: draft.lines,
    coreRelocations: draft.records,
  };
}
