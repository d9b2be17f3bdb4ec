/**
 * `divisi map get|set|dump|load`: the maps of an attachment as the original program's,
 * whatever the plan made of them.
 */
import { resolve } from "node:path";
import { InputError, nearest } from "../base/index.ts";
import {
  attachedMap,
  copiesOf,
  findAttachment,
  isMerged,
  originalEntries,
  originalValue,
  readRecords,
  stateFolder,
  writeOriginals,
  type AttachedMap,
  type MapRecord,
  type OriginalEntry,
} from "../control/index.ts";
import { openKernel } from "../engine/index.ts";
import type { MapSpec } from "../isa/index.ts";
import type { Words } from "./command.ts";
import { readInput } from "./files.ts";
import {
  bytesJson,
  bytesText,
  membersJson,
  parseBytes,
  type Shape,
} from "./map-words.ts";
import { parseMapsFile } from "./maps-file.ts";
import type { Answer } from "./render.ts";
import { usage } from "./words.ts";

export async function mapGet(words: Words): Promise<Answer> {
  return withMap(words, ({ map, record }, rest) => {
    const { key } = keyAndValue(rest);
    const bytes = parseBytes(key, keyShape(record));
    const values = originalValue(map, record, bytes);
    if (values === undefined)
      return {
        exit: 1,
        json: { schema: "divisi.map/1", map: record.name, found: false },
        text: `${record.name} has no such key`,
      };
    const entry = { key: bytes, values };
    return {
      exit: 0,
      json: {
        schema: "divisi.map/1",
        map: record.name,
        found: true,
        ...entryJson(entry, record),
      },
      text: entryText(entry, record),
    };
  });
}

export async function mapSet(words: Words): Promise<Answer> {
  return withMap(words, ({ map, record }, rest) => {
    const { key, value } = keyAndValue(rest);
    if (value === undefined)
      throw usage(
        "the value is missing",
        "divisi map set NAME MAP key KEY value VALUE",
      );
    refuseReadOnly(record);
    const bytes = parseBytes(key, keyShape(record));
    const shape = {
      what: "value",
      size: record.valueSize,
      fields: record.valueFields,
    };
    // Members that are not named stay, in every copy.
    const present = originalValue(map, record, bytes) ?? [];
    const count = copiesOf(map, record);
    const entry = {
      key: bytes,
      values: Array.from({ length: count }, (_, copy) =>
        parseBytes(value, shape, present[copy]),
      ),
    };
    writeOriginals(map, record, [entry]);
    return {
      exit: 0,
      json: {
        schema: "divisi.map/1",
        map: record.name,
        ...entryJson(entry, record),
      },
      text: entryText(entry, record),
    };
  });
}

export async function mapDump(words: Words): Promise<Answer> {
  return withMap(words, ({ map, record }) => {
    const entries = originalEntries(map, record);
    return {
      exit: 0,
      json: {
        schema: "divisi.map/1",
        [record.name]: entries.map((entry) => entryJson(entry, record)),
      },
      text: [
        ...entries.map((entry) => entryText(entry, record)),
        `${record.name}: ${entries.length} ${entries.length === 1 ? "entry" : "entries"}, ${howStored(record)}`,
      ].join("\n"),
    };
  });
}

export async function mapLoad(words: Words): Promise<Answer> {
  return withMap(words, ({ map, record }, [file = ""]) => {
    refuseReadOnly(record);
    const text = new TextDecoder().decode(readInput(file));
    const spec: MapSpec = {
      ...map.spec,
      type: record.originalType,
      section: ".maps",
    };
    const loaded = parseMapsFile(text, file, [spec])[record.name];
    if (loaded === undefined)
      throw new InputError(`it says nothing of map ${record.name}`, {
        code: "maps-file",
        file,
      });
    const entries = loaded.map(({ key, value }) => ({ key, values: [value] }));
    writeOriginals(map, record, entries);
    return {
      exit: 0,
      json: {
        schema: "divisi.map/1",
        map: record.name,
        loaded: loaded.length,
      },
      text: `${record.name}: ${loaded.length} ${loaded.length === 1 ? "entry" : "entries"} written; others stay`,
    };
  });
}

async function withMap(
  words: Words,
  work: (found: AttachedMap, rest: readonly string[]) => Answer,
): Promise<Answer> {
  const [word = "", name = "", ...rest] = words.args;
  const kernel = await openKernel();
  try {
    const attachment = findAttachment(
      readRecords(stateFolder()),
      word,
      resolve(word),
    );
    const found = attachedMap(attachment, name, kernel);
    if (found === undefined) {
      const names = attachment.maps.map((map) => map.name);
      const near = nearest(name, names);
      throw usage(
        `${attachment.name} has no map ${name}`,
        near === undefined
          ? `it has ${names.join(", ") || "none"}`
          : `did you mean ${near}?`,
      );
    }
    try {
      return work(found, rest);
    } finally {
      found.map.close();
    }
  } finally {
    kernel.close();
  }
}

/** `[key] KEY… [value VALUE…]`. */
function keyAndValue(words: readonly string[]): {
  readonly key: readonly string[];
  readonly value: readonly string[] | undefined;
} {
  const start = words[0] === "key" ? 1 : 0;
  const at = words.indexOf("value", start);
  return {
    key: words.slice(start, at < 0 ? words.length : at),
    value: at < 0 ? undefined : words.slice(at + 1),
  };
}

function keyShape({ keySize, keyFields }: MapRecord): Shape {
  return { what: "key", size: keySize, fields: keyFields };
}

function refuseReadOnly({ name, readOnly, writtenBy }: MapRecord): void {
  if (writtenBy !== undefined)
    throw new InputError(
      `map ${name} is the dispatcher's: packets would lose their order`,
      { code: "map-dispatcher", fix: `it is written by ${writtenBy}` },
    );
  if (readOnly)
    throw new InputError(`map ${name} is read only`, { code: "map-read-only" });
}

function howStored(record: MapRecord): string {
  if (isMerged(record)) return "summed over a copy per CPU";
  const { cores } = record;
  if (cores?.layout === "sliced")
    return `a copy for each of ${cores.cores} cores`;
  if (cores?.layout === "locked")
    return "one map for all cores, a lock in each value";
  if (cores?.layout === "table")
    return cores.cores === 1
      ? "a table of the program's own"
      : `${cores.cores} tables, entries ${sharesText(cores.capacities)}`;
  if (cores?.layout === "allocator")
    return `${cores.cores} heads, indices ${sharesText(cores.capacities)}`;
  return /percpu/.test(record.originalType)
    ? "a copy per CPU, as in the program"
    : "one map for all cores";
}

/** `2 × 8,739 + 6 × 8,738`. */
function sharesText(capacities: readonly number[]): string {
  const counts = new Map<number, number>();
  for (const capacity of capacities)
    counts.set(capacity, (counts.get(capacity) ?? 0) + 1);
  return [...counts]
    .map(([capacity, count]) => `${count} × ${capacity.toLocaleString("en")}`)
    .join(" + ");
}

function entryJson({ key, values }: OriginalEntry, record: MapRecord): object {
  const { keyFields, valueFields } = record;
  const [first = new Uint8Array()] = values;
  const isPerCpu = values.length > 1;
  const formattedKey = membersJson(key, keyFields);
  const formatted = (value: Uint8Array) => membersJson(value, valueFields);
  return {
    key: bytesJson(key),
    ...(isPerCpu
      ? {
          values: values.map((value, cpu) => ({
            cpu,
            value: bytesJson(value),
          })),
        }
      : { value: bytesJson(first) }),
    ...(formattedKey === undefined || valueFields.length === 0
      ? {}
      : {
          formatted: {
            key: numbered(formattedKey),
            ...(isPerCpu
              ? {
                  values: values.map((value, cpu) => ({
                    cpu,
                    value: numbered(formatted(value)),
                  })),
                }
              : { value: numbered(formatted(first)) }),
          },
        }),
  };
}

/** Numbers where JSON can hold them exactly. */
function numbered(value: unknown): unknown {
  if (typeof value === "bigint")
    return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, part]) => [name, numbered(part)]),
  );
}

function entryText({ key, values }: OriginalEntry, record: MapRecord): string {
  const name = bytesText(key, record.keyFields);
  const unit = record.cores === undefined ? "cpu" : "core";
  return values
    .map(
      (value, cpu) =>
        `${name}${values.length > 1 ? ` [${unit} ${cpu}]` : ""}  →  ${bytesText(value, record.valueFields)}`,
    )
    .join("\n");
}
