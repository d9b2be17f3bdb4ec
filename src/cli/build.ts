/** `divisi build`: PROG as an object that any loader takes, and nothing more. */
import { totalSlots } from "../isa/index.ts";
import { writeObject, type ObjectSpec } from "../object/index.ts";
import type { Words } from "./command.ts";
import { sha256, writeWhole } from "./files.ts";
import { editedObject } from "./edited-object.ts";
import { objectFile } from "./object-file.ts";
import { say, writeData, type Answer, type Rendering } from "./render.ts";
import { isSet, usage, valueOf } from "./words.ts";
import { wrapped } from "./wrap.ts";

export async function build(
  words: Words,
  rendering: Rendering,
): Promise<Answer> {
  const [path = ""] = words.args;
  const output = valueOf(words, "output");
  if (output === undefined)
    throw usage("-o FILE.o is missing", "divisi build PROG -o FILE.o");
  if (output === "-" && rendering.json)
    throw usage("--json and -o - both want stdout");
  const file = await objectFile(path, words);
  const object = editedObject(file, words);
  // What nobody asked to change keeps its bytes.
  const isEdited = file.set.length > 0 || isSet(words, "map-size");
  const bytes = isEdited ? writeObject(object) : file.bytes;
  const text = summary(object, output, bytes.length);
  if (output !== "-") writeWhole(output, bytes);
  else {
    if (!rendering.quiet) say(text);
    await writeData(bytes);
  }
  return {
    exit: 0,
    json: {
      schema: "divisi.build/1",
      output,
      bytes: bytes.length,
      sha256: sha256(bytes),
      programs: object.programs,
      functions: object.functions.map(({ name, instructions }) => ({
        name,
        instructions: instructions.length,
        slots: totalSlots(instructions),
      })),
      maps: object.maps.map(({ name, type, maxEntries }) => ({
        name,
        type,
        maxEntries,
      })),
      ...(file.sources === undefined ? {} : { sources: file.sources }),
    },
    text: output === "-" ? "" : text,
  };
}

function summary(object: ObjectSpec, output: string, size: number): string {
  const sum = (numbers: readonly number[]): number =>
    numbers.reduce((total, number) => total + number, 0);
  const count = (number: number, what: string): string =>
    `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;
  const { programs, functions, maps } = object;
  return wrapped(
    `${output}  ${programs.map(({ name }) => name).join(", ")}: ${[
      count(
        sum(functions.map(({ instructions }) => instructions.length)),
        "instruction",
      ),
      count(functions.length, "function"),
      count(maps.length, "map"),
      count(size, "byte"),
    ].join(", ")}`,
    2,
  ).join("\n");
}
