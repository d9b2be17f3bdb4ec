/** An object with what the command line changes in it: variables, sizes of maps. */
import { InputError } from "../base/index.ts";
import {
  readObject,
  resizeMap,
  setVariable,
  type ObjectSpec,
} from "../object/index.ts";
import type { Words } from "./command.ts";
import type { ObjectFile } from "./object-file.ts";
import { pairsOf, usage } from "./words.ts";

/** The object as it stands, with `--set` and `--map-size`; no program is chosen. */
export function editedObject(
  { path, bytes, set }: ObjectFile,
  words: Words,
): ObjectSpec {
  return inFile(path, () => {
    let object = readObject(bytes, path);
    for (const [name, value] of set) object = setVariable(object, name, value);
    for (const [name, entries] of mapSizesOf(words))
      object = resizeMap(object, name, entries);
    return object;
  });
}

/** `--map-size`: entries by name. */
export function mapSizesOf(
  words: Words,
): readonly (readonly [string, number])[] {
  return pairsOf(words, "map-size").map(([name, value]) => {
    const entries = Number(value);
    if (!/^\d+$/.test(value) || entries < 1 || entries > 0xffff_ffff)
      throw usage(
        `--map-size ${name}: a number of entries is expected, not ${value}`,
      );
    return [name, entries] as const;
  });
}

/** Errors of readers that saw bytes only name the file. */
export function inFile<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof InputError && error.kind === "input"
      ? error.inFile(path)
      : error;
  }
}
