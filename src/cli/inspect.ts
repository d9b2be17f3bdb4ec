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
  const parts = [
    `${object.file}  (licence ${object.license === "" ? "none" : object.license}, ${object.btf === undefined ? "no BTF" : `${object.btf.types.length} BTF types`})`,
    "",
    "programs",
    ...object.programs.map(({ name, section, type }) => {
      const fn = object.functions.find((candidate) => candidate.name === name);
      return `  ${name.padEnd(28)} ${(type ?? "unknown type").padEnd(14)} ${section.padEnd(20)} ${sizeOf(fn?.instructions ?? [])}`;
    }),
  ];
  const entries = new Set(object.programs.map(({ name }) => name));
  const others = object.functions.filter(({ name }) => !entries.has(name));
  if (others.length > 0)
    parts.push(
      "",
      "subprograms",
      ...others.map(
        (fn) =>
          `  ${fn.name.padEnd(28)} ${fn.linkage.padEnd(14)} ${fn.section.padEnd(20)} ${sizeOf(fn.instructions)}`,
      ),
    );
  if (object.maps.length > 0)
    parts.push("", "maps", ...object.maps.map(mapLine));
  for (const note of object.notes) parts.push("", `note: ${note.message}`);
  return parts.join("\n");
}

/** Instructions as listings number them, and the kernel's count of 8-byte slots. */
function sizeOf(instructions: FunctionSpec["instructions"]): string {
  return `${instructions.length} instructions in ${totalSlots(instructions)} slots`;
}

function mapLine(map: MapSpec): string {
  const sizes = `key ${map.keySize} B, value ${map.valueSize} B, ${map.maxEntries === 0 ? "sized by user space" : `${map.maxEntries} entries`}`;
  const fields = (map.keyFields ?? [])
    .map(({ path }) => path)
    .filter((name) => name !== "");
  return `  ${map.name.padEnd(28)} ${map.type.padEnd(14)} ${sizes}${map.readOnly ? ", read-only" : ""}${fields.length > 0 && fields.length <= 8 ? `\n  ${" ".repeat(29)}key {${fields.join(", ")}}` : ""}`;
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
