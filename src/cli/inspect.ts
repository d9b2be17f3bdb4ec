/** `divisi inspect`: what is in an object, without judging it. */
import { printable } from "../base/index.ts";
import {
  placeOf,
  printInstruction,
  totalSlots,
  type FunctionSpec,
  type MapSpec,
} from "../isa/index.ts";
import { lift, printIr } from "../ir/index.ts";
import type { ObjectSpec } from "../object/index.ts";
import type { Words } from "./command.ts";
import { controlFlowDot } from "./dot.ts";
import { editedObject } from "./edited-object.ts";
import { loadProgram } from "./input.ts";
import { objectFile } from "./object-file.ts";
import type { Answer, Rendering } from "./render.ts";
import { isSet } from "./words.ts";
import { wrapped } from "./wrap.ts";

export async function inspect(
  words: Words,
  _rendering: Rendering,
): Promise<Answer> {
  const [path = ""] = words.args;
  const file = await objectFile(path, words);
  if (isSet(words, "ir") || isSet(words, "dot")) {
    const { program } = loadProgram(file, words);
    const ir = lift(program);
    const text = isSet(words, "dot") ? controlFlowDot(ir) : printIr(ir);
    return {
      exit: 0,
      json: { schema: "divisi.inspect/1", program: program.name, text },
      text,
    };
  }
  const object = editedObject(file, words);
  return {
    exit: 0,
    json: { schema: "divisi.inspect/1", ...summary(object) },
    text: isSet(words, "asm") ? listing(object) : overview(object),
  };
}

function summary(object: ObjectSpec): object {
  return {
    file: object.file,
    license: object.license,
    programs: object.programs,
    maps: object.maps.map(({ data, inner, ...map }) => ({
      ...map,
      ...(data === undefined ? {} : { dataBytes: data.length }),
      ...(inner === undefined ? {} : { inner: inner.type }),
    })),
    functions: object.functions.map((fn) => ({
      name: fn.name,
      section: fn.section,
      linkage: fn.linkage,
      instructions: fn.instructions.length,
      slots: totalSlots(fn.instructions),
    })),
    btfTypes: object.btf?.types.length ?? 0,
    variables: object.variables,
    externs: object.externs,
    notes: object.notes,
  };
}

function overview(object: ObjectSpec): string {
  const entries = new Set(object.programs.map(({ name }) => name));
  const others = object.functions.filter(({ name }) => !entries.has(name));
  const lines = wrapped(
    `${object.file}  (licence ${object.license === "" ? "none" : object.license}, ${object.btf === undefined ? "no BTF" : `${object.btf.types.length} BTF types`})`,
    2,
  );
  lines.push(
    "",
    "programs",
    ...table(
      object.programs.map(({ name, section, type }) => {
        const fn = object.functions.find((other) => other.name === name);
        return [
          name,
          type ?? "unknown type",
          section,
          sizeOf(fn?.instructions ?? []),
        ];
      }),
    ),
  );
  if (others.length > 0)
    lines.push(
      "",
      "subprograms",
      ...table(
        others.map((fn) => [
          fn.name,
          fn.linkage,
          fn.section,
          sizeOf(fn.instructions),
        ]),
      ),
    );
  if (object.maps.length > 0)
    lines.push("", "maps", ...table(object.maps.map(mapRow)));
  for (const note of object.notes)
    lines.push("", ...wrapped(`note: ${note.message}`, 2));
  return lines.join("\n");
}

/** A longer word moves the rest of its row only. */
const widestColumn = 28;

/** Columns as wide as their words; of the last one's lines each is a line here. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.min(
      widestColumn,
      Math.max(...rows.map((row) => (row[column] ?? "").length)),
    ),
  );
  return rows.flatMap((row) => {
    const words = row.slice(0, -1);
    const before = `  ${words.map((word, column) => word.padEnd(widths[column] ?? 0)).join("  ")}`;
    const indent = 4 + (widths[0] ?? 0);
    const [first = "", ...more] = (row.at(-1) ?? "").split("\n");
    return [
      ...wrapped(`${before}  ${first}`, indent),
      ...more.flatMap((line) =>
        wrapped(`${" ".repeat(indent)}${line}`, indent + 2),
      ),
    ];
  });
}

/** Instructions as listings number them, and the kernel's count of 8-byte slots. */
function sizeOf(instructions: FunctionSpec["instructions"]): string {
  return `${instructions.length} instructions in ${totalSlots(instructions)} slots`;
}

function mapRow(map: MapSpec): string[] {
  const sizes = `key ${map.keySize} B, value ${map.valueSize} B, ${map.maxEntries === 0 ? "sized by user space" : `${map.maxEntries} entries`}`;
  const fields = (map.keyFields ?? [])
    .map(({ path }) => path)
    .filter((name) => name !== "");
  const key =
    fields.length > 0 && fields.length <= 8
      ? `\nkey {${fields.join(", ")}}`
      : "";
  return [
    map.name,
    map.type,
    `${sizes}${map.readOnly ? ", read-only" : ""}${key}`,
  ];
}

function listing(object: ObjectSpec): string {
  return object.functions.map(functionListing).join("\n\n");
}

function functionListing(fn: FunctionSpec): string {
  const lines = [`${fn.name}:  (${fn.section})`];
  let last = "";
  for (const [index, instruction] of fn.instructions.entries()) {
    const place = placeOf(fn, index);
    if (place.text !== undefined && place.line !== undefined) {
      const text = `; ${place.file ?? ""}:${place.line}  ${place.text}`;
      if (text !== last) lines.push(printable(text));
      last = text;
    }
    lines.push(
      `${String(index).padStart(6)}: ${printInstruction(instruction, (target) => `L${target}`)}`,
    );
  }
  return lines.join("\n");
}
