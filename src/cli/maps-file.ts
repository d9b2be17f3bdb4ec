/**
 * `--maps FILE.json`: first contents of maps.
 *
 *   { "MAP": [ { "key": BYTES, "value": BYTES }, … ], … }
 *
 * or, where the program has one map that this can be, the bare array that
 * `bpftool map dump -j` prints. BYTES: an array of "0x0a"-like strings or
 * numbers, or one hex string. Per-CPU elements carry `values: [{cpu, value}]`.
 */
import { InputError, fromHex, nearest, toHex } from "../base/index.ts";
import { mapTypeRow, type MapSpec } from "../isa/index.ts";
import type { MapContents } from "../proof/index.ts";

interface Entry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** Parses `text` for a program with these maps; `file` is for messages. */
export function parseMapsFile(
  text: string,
  file: string,
  maps: readonly MapSpec[],
): MapContents {
  const bad = (what: string): InputError =>
    new InputError(what, { code: "maps-file", file });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw bad(
      `not JSON: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  if (Array.isArray(value)) {
    const candidates = maps.filter(
      (map) => map.section !== "" && map.data === undefined,
    );
    const [only] = candidates;
    if (candidates.length !== 1 || only === undefined)
      throw bad(
        `a bare array fits a program with one map; this one has ${candidates.map(({ name }) => name).join(", ") || "none"}: {"MAP": [...]} is expected`,
      );
    return { [only.name]: entriesOf(value, only, bad) };
  }
  if (typeof value !== "object" || value === null)
    throw bad("an object of map names, or an array of elements, is expected");
  const contents: Record<string, readonly Entry[]> = {};
  for (const [name, list] of Object.entries(value)) {
    // What `map dump --json` prints names its form.
    if (name === "schema") continue;
    const map = maps.find((candidate) => candidate.name === name);
    if (map === undefined) {
      const near = nearest(
        name,
        maps.map((candidate) => candidate.name),
      );
      throw bad(
        `the program has no map ${name}${near === undefined ? "" : `; did you mean ${near}?`}`,
      );
    }
    if (!Array.isArray(list)) throw bad(`${name}: an array is expected`);
    contents[name] = entriesOf(list, map, bad);
  }
  return contents;
}

/** Law: parseMapsFile(printMapsFile(x)) = x. */
export function printMapsFile(contents: MapContents): string {
  const maps = Object.entries(contents).map(([name, entries]) => {
    const elements = entries.map(
      ({ key, value }) =>
        `    ${JSON.stringify({ key: toHex(key), value: toHex(value) })}`,
    );
    return `  ${JSON.stringify(name)}: [\n${elements.join(",\n")}\n  ]`;
  });
  return `{\n${maps.join(",\n")}\n}\n`;
}

function entriesOf(
  list: readonly unknown[],
  map: MapSpec,
  bad: (what: string) => InputError,
): Entry[] {
  return list.map((item, index) => {
    const where = `${map.name}, element ${index}`;
    if (typeof item !== "object" || item === null)
      throw bad(`${where}: {"key": …, "value": …} is expected`);
    const record = item as Record<string, unknown>;
    const key = bytesOf(record["key"], map.keySize, `${where}, key`, bad);
    if (mapTypeRow(map.type).perCpu !== true)
      return {
        key,
        value: bytesOf(record["value"], map.valueSize, `${where}, value`, bad),
      };
    throw bad(`${where}: first contents of per-CPU maps cannot be given yet`);
  });
}

function bytesOf(
  value: unknown,
  size: number,
  where: string,
  bad: (what: string) => InputError,
): Uint8Array {
  const bytes = rawBytes(value);
  if (bytes === undefined)
    throw bad(`${where}: bytes are expected, like ["0x0a", "0x00"]`);
  if (bytes.length !== size)
    throw bad(`${where}: ${size} bytes are expected, not ${bytes.length}`);
  return bytes;
}

function rawBytes(value: unknown): Uint8Array | undefined {
  if (typeof value === "string") {
    const digits = value.replace(/^0x/, "");
    return /^([0-9a-fA-F]{2})*$/.test(digits) ? fromHex(digits) : undefined;
  }
  if (!Array.isArray(value)) return undefined;
  const numbers = value.map((item) =>
    typeof item === "number"
      ? item
      : typeof item === "string" && /^(0x[0-9a-fA-F]{1,2}|\d{1,3})$/.test(item)
        ? Number(item)
        : Number.NaN,
  );
  if (
    !numbers.every((byte) => Number.isInteger(byte) && byte >= 0 && byte < 256)
  )
    return undefined;
  return Uint8Array.from(numbers);
}
