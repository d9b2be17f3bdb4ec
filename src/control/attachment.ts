/**
 * An attachment: one split program on its interfaces, for good. Its record in the
 * state folder says what was attached; the pins say what is. A record whose pins are
 * not there is what a killed command left, and no attachment.
 *
 *   STATE/attachments/NAME.json
 *   PINROOT/divisi/NAME/          a bpffs of its own (engine: pins)
 *     program  link-0 link-1 …  map-buckets map-%2ebss …
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { InputError, nearest } from "../base/index.ts";
import {
  pinName,
  type KernelMap,
  type Pins,
  type XdpMode,
} from "../engine/index.ts";
import type { Undo } from "./journal.ts";
import type { Placement } from "./placement.ts";

export type MapSpec = KernelMap["spec"];
type Fields = NonNullable<MapSpec["valueFields"]>;

/** A map as user space should see it, and how the copies make that up. */
export interface MapRecord {
  readonly name: string;
  readonly strategy: string;
  /** Type in the original program; differs where copies per CPU were made of it. */
  readonly originalType: MapSpec["type"];
  readonly type: MapSpec["type"];
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  readonly readOnly: boolean;
  /** Name of the data section that it stands for, else empty. */
  readonly section: string;
  readonly keyFields: Fields;
  readonly valueFields: Fields;
  /** Counters inside a value: copies per CPU are summed one by one. */
  readonly lanes: readonly { readonly offset: number; readonly size: number }[];
  /** The command that writes it, for maps of the dispatcher. */
  readonly writtenBy?: string;
  /** Filled by us with the interfaces. */
  readonly isFilled: boolean;
  /** How each core has cells of its own in it; absent: it has none. */
  readonly cores?: PrivateCells;
}

/** A layout that only divisi knows (codegen/bpf/shards); sizes are the original's. */
export interface PrivateCells {
  readonly layout: "allocator" | "sliced" | "table" | "locked";
  readonly cores: number;
  /** Indices or entries of each core; empty where every core has a whole copy. */
  readonly capacities: readonly number[];
}

export interface InterfaceRecord {
  readonly port: string;
  readonly name: string;
  readonly ifindex: number;
  readonly mode: XdpMode;
  /** File name of the pin. */
  readonly link: string;
}

export interface AttachmentRecord {
  readonly schema: "divisi.attachment/1";
  readonly name: string;
  /** What `split` wrote, as an absolute path. */
  readonly directory: string;
  readonly command: readonly string[];
  readonly time: string;
  readonly program: string;
  readonly strategy: string;
  readonly grade: string;
  readonly cores: number;
  /** A dispatcher brings packets to their cores, whatever queue they take. */
  readonly anyQueues?: boolean;
  /** Absent in old records. */
  readonly placement?: Placement;
  /** By path in the directory, as its certificate has them. */
  readonly sha256: Readonly<Record<string, string>>;
  readonly netns: string;
  readonly interfaces: readonly InterfaceRecord[];
  readonly pins: string;
  readonly maps: readonly MapRecord[];
  /** Counts upgrades: 1 at first. */
  readonly generation: number;
  /** What `detach` takes back, the last first. */
  readonly undos: readonly Undo[];
}

export function mapPin(name: string): string {
  return pinName(`map-${name}`);
}

export function recordPath(folder: string, name: string): string {
  return join(folder, "attachments", `${name}.json`);
}

export function readRecord(path: string): AttachmentRecord | undefined {
  if (!existsSync(path)) return undefined;
  try {
    const value = JSON.parse(readFileSync(path, "utf8")) as AttachmentRecord;
    if (value.schema === "divisi.attachment/1") return value;
  } catch {
    // Said below.
  }
  throw new InputError("this is no record of an attachment", {
    code: "record-malformed",
    file: path,
    fix: "if its pins are gone, remove the file",
  });
}

/** Whole or not at all, and on disk. */
export function writeRecord(path: string, record: AttachmentRecord): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const fd = openSync(`${path}.new`, "w", 0o600);
  try {
    writeSync(fd, `${JSON.stringify(record, null, 2)}\n`);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(`${path}.new`, path);
}

/** Every record, by name. */
export function readRecords(folder: string): readonly AttachmentRecord[] {
  const path = join(folder, "attachments");
  if (!existsSync(path)) return [];
  return readdirSync(path)
    .filter((name) => name.endsWith(".json"))
    .sort()
    .flatMap((name) => readRecord(join(path, name)) ?? []);
}

/** Is it pinned? */
export function isPinned({ pins: at }: AttachmentRecord, pins: Pins): boolean {
  const fd = existsSync(at) ? pins.open(join(at, "program")) : undefined;
  if (fd !== undefined) pins.close({ fd });
  return fd !== undefined;
}

/**
 * The attachment that a word means: its name, or the directory it came from. A usage
 * error names those that there are.
 */
export function findAttachment(
  records: readonly AttachmentRecord[],
  word: string,
  directory: string,
): AttachmentRecord {
  const named = records.find(({ name }) => name === word);
  if (named !== undefined) return named;
  const [first, ...others] = records.filter(
    (record) => record.directory === directory,
  );
  if (first !== undefined && others.length === 0) return first;
  const names = records.map(({ name }) => name);
  if (first !== undefined)
    throw new InputError(`${word} is attached more than once`, {
      code: "attachment-ambiguous",
      kind: "usage",
      fix: `name one of them: ${[first, ...others].map(({ name }) => name).join(", ")}`,
    });
  const near = nearest(word, names);
  throw new InputError(`nothing called ${word} is attached`, {
    code: "attachment-unknown",
    kind: "usage",
    fix:
      near !== undefined
        ? `did you mean ${near}?`
        : names.length === 0
          ? "nothing is attached"
          : `attached: ${names.join(", ")}`,
  });
}

export interface AttachedMap {
  readonly map: KernelMap;
  readonly record: MapRecord;
}

/** A map of the attachment, opened; undefined: it has none of that name. */
export function attachedMap(
  attachment: AttachmentRecord,
  name: string,
  { pins }: { readonly pins: Pins },
): AttachedMap | undefined {
  const record = attachment.maps.find((map) => map.name === name);
  if (record === undefined) return undefined;
  const path = join(attachment.pins, mapPin(name));
  const map = existsSync(attachment.pins) ? pins.map(path, name) : undefined;
  if (map !== undefined) return { map, record };
  throw new InputError(`map ${name} is no longer pinned`, {
    code: "attachment-broken",
    file: path,
    fix: `divisi detach ${attachment.name} removes the rest`,
  });
}
