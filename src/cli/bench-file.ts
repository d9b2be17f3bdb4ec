/**
 * Reading what `bench --out` wrote: only what `compare` needs, and every member that
 * it needs is checked. An InputError names the file and the member.
 */
import { InputError } from "../base/index.ts";

export interface ResultPoint {
  readonly program: string;
  readonly engine: string;
  readonly strategy: string;
  readonly state: string;
  readonly cores: number;
  readonly real: boolean;
  readonly includes: string;
  readonly placement: string;
  readonly nsPerPacket: number;
  readonly samples: readonly number[];
}

export interface ResultFile {
  readonly path: string;
  readonly machine: Readonly<Record<string, unknown>>;
  readonly trace: string;
  readonly points: readonly ResultPoint[];
}

export function parseResult(text: string, path: string): ResultFile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw bad(path, `is no JSON: ${reason}`);
  }
  const file = record(value, path, "the file");
  if (file["schema"] !== "divisi.bench/1")
    throw bad(
      path,
      `schema divisi.bench/1 is expected, not ${JSON.stringify(file["schema"])}`,
    );
  const points = file["points"];
  if (!Array.isArray(points)) throw bad(path, "points is missing or no list");
  return {
    path,
    machine: record(file["machine"], path, "machine"),
    trace: JSON.stringify(file["trace"] ?? []),
    points: points.map((point: unknown, index) =>
      pointFrom(point, path, `points[${index}]`),
    ),
  };
}

function pointFrom(value: unknown, path: string, place: string): ResultPoint {
  const point = record(value, path, place);
  const text = (name: string): string => {
    const member = point[name];
    if (typeof member === "string") return member;
    throw bad(path, `${place}.${name}: text is expected`);
  };
  const positive = (member: unknown, name: string): number => {
    if (typeof member === "number" && member > 0 && Number.isFinite(member))
      return member;
    throw bad(path, `${place}.${name}: a number above 0 is expected`);
  };
  const { samples, real } = point;
  if (typeof real !== "boolean")
    throw bad(path, `${place}.real: true or false is expected`);
  if (!Array.isArray(samples))
    throw bad(path, `${place}.samples: a list is expected`);
  return {
    program: text("program"),
    engine: text("engine"),
    strategy: text("strategy"),
    state: text("state"),
    includes: text("includes"),
    placement: text("placement"),
    real,
    cores: positive(point["cores"], "cores"),
    nsPerPacket: positive(point["nsPerPacket"], "nsPerPacket"),
    samples: samples.map((sample: unknown, index) =>
      positive(sample, `samples[${index}]`),
    ),
  };
}

function record(
  value: unknown,
  path: string,
  place: string,
): Readonly<Record<string, unknown>> {
  if (typeof value === "object" && value !== null && !Array.isArray(value))
    return value as Readonly<Record<string, unknown>>;
  throw bad(path, `${place}: an object is expected`);
}

function bad(file: string, text: string): InputError {
  return new InputError(text, {
    code: "bench-file",
    file,
    fix: "divisi bench … --out FILE.json writes such a file",
  });
}
