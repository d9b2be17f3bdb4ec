/**
 * Keys and values as words, and as text.
 *
 *   0a 00 00 01              every byte, two hex digits, as bpftool takes them
 *   0x0a000001               the same in one word
 *   10.0.0.1                 four bytes as an address is written
 *   source=10.0.0.1 port=53  members by name, where there are types; the rest is zero,
 *                            or stays, in an entry that is there
 *   =7                       the number itself, where the whole is one number
 *
 * A lone word of decimal digits could be a number or bytes, and is refused.
 */
import { nearest, toHex } from "../base/index.ts";
import type { MapRecord } from "../control/index.ts";
import { usage } from "./words.ts";

type Fields = MapRecord["keyFields"];

export interface Shape {
  /** `key` or `value`, for messages. */
  readonly what: string;
  readonly size: number;
  readonly fields: Fields;
}

/** `present`: what members that are not named keep. */
export function parseBytes(
  words: readonly string[],
  shape: Shape,
  present: Uint8Array = new Uint8Array(shape.size),
): Uint8Array {
  const { what, size } = shape;
  if (words.some((word) => word.includes("=")))
    return parseMembers(words, shape, present);
  const [only = ""] = words;
  if (words.length === 1 && /^\d+$/.test(only) && !/^(00)+$/.test(only))
    throw usage(
      `${what} ${only}: a number, or bytes in hex?`,
      meanings(only, shape),
    );
  const bytes = words
    .filter((word) => word !== "hex")
    .flatMap((word) => bytesOfWord(word, shape));
  if (bytes.length === size) return Uint8Array.from(bytes);
  throw usage(
    `the ${what} has ${size} bytes, ${bytes.length} are given`,
    example(shape),
  );
}

function bytesOfWord(word: string, shape: Shape): readonly number[] {
  const address = addressOf(word);
  if (address !== undefined) return address;
  const digits = /^(?:0x)?((?:[0-9a-f]{2})+)$/i.exec(word)?.[1];
  if (digits === undefined)
    throw usage(`${word} is no ${shape.what}`, example(shape));
  return Array.from({ length: digits.length / 2 }, (_, index) =>
    Number.parseInt(digits.slice(2 * index, 2 * index + 2), 16),
  );
}

/** What a lone word of digits may have meant, each as it can be typed. */
function meanings(digits: string, { what, size, fields }: Shape): string {
  const [first] = fields;
  const number =
    first === undefined
      ? []
      : [`${what} ${first.path}=${digits} is the number`];
  const hex =
    digits.length === 2 * size
      ? [`${what} 0x${digits} the ${size === 1 ? "byte" : "bytes"}`]
      : [];
  return [...number, ...hex].join(", ") || example({ what, size, fields });
}

function parseMembers(
  words: readonly string[],
  shape: Shape,
  present: Uint8Array,
): Uint8Array {
  const bytes = Uint8Array.from(present);
  const names = shape.fields.map(({ path }) => path);
  for (const word of words) {
    const at = word.indexOf("=");
    const name = word.slice(0, Math.max(0, at));
    const field = shape.fields.find(({ path }) => path === name);
    if (at < 0 || field === undefined) {
      const near = nearest(name, names);
      throw usage(
        names.length === 0
          ? `the map's ${shape.what} has no types: members cannot be named`
          : `the ${shape.what} has no member ${at < 0 ? word : name}`,
        near === undefined || near === ""
          ? example(shape)
          : `did you mean ${near}?`,
      );
    }
    setMember(bytes, field, word.slice(at + 1), shape);
  }
  return bytes;
}

function setMember(
  bytes: Uint8Array,
  { bitOffset, bits, path }: Fields[number],
  text: string,
  { what }: Shape,
): void {
  if (bitOffset % 8 !== 0 || bits % 8 !== 0)
    throw usage(`${path} is a bit field; give the ${what} in hex`);
  const address = bits === 32 ? addressOf(text) : undefined;
  if (address !== undefined) {
    bytes.set(address, bitOffset / 8);
    return;
  }
  if (!/^-?(\d+|0x[0-9a-f]+)$/i.test(text))
    throw usage(`${path}=${text}: a whole number is expected`);
  const value = text.startsWith("-") ? -BigInt(text.slice(1)) : BigInt(text);
  const limit = 1n << BigInt(bits);
  if (value >= limit || value < -(limit / 2n))
    throw usage(`${path}=${text} does not fit into ${bits} bits`);
  for (let byte = 0; byte < bits / 8; byte++)
    bytes[bitOffset / 8 + byte] = Number(
      (BigInt.asUintN(bits, value) >> BigInt(8 * byte)) & 0xffn,
    );
}

function addressOf(word: string): readonly number[] | undefined {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(word);
  const numbers = parts?.slice(1).map(Number);
  return numbers?.every((byte) => byte < 256) === true ? numbers : undefined;
}

function example({ size, fields }: Shape): string {
  const [first] = fields;
  const hex = `0x${"00".repeat(Math.min(size, 4))}${size > 4 ? "…" : ""}`;
  if (first === undefined) return `like ${hex}`;
  return `like ${hex}, or ${first.path}=0`;
}

/** `packets=5 bytes=320`, the number itself, or bytes where there are no types. */
export function bytesText(bytes: Uint8Array, fields: Fields): string {
  if (fields.length === 0) return spaced(bytes);
  const [first] = fields;
  if (fields.length === 1 && first?.path === "")
    return `${spaced(bytes)} (${memberOf(bytes, first)})`;
  return fields
    .map((field) => `${field.path}=${memberOf(bytes, field)}`)
    .join(" ");
}

/** As bpftool prints it: `["0x0a","0x00"]`. */
export function bytesJson(bytes: Uint8Array): readonly string[] {
  return [...bytes].map((byte) => `0x${byte.toString(16).padStart(2, "0")}`);
}

/** Members by path; undefined where there are no types. */
export function membersJson(
  bytes: Uint8Array,
  fields: Fields,
): bigint | Readonly<Record<string, bigint>> | undefined {
  const [first] = fields;
  if (first === undefined) return undefined;
  if (fields.length === 1 && first.path === "") return memberOf(bytes, first);
  return Object.fromEntries(
    fields.map((field) => [field.path, memberOf(bytes, field)]),
  );
}

function spaced(bytes: Uint8Array): string {
  return toHex(bytes).replace(/(?<=.)(?=(..)+$)/g, " ");
}

/** Unsigned, little-endian as on the machines that run this. */
function memberOf(
  bytes: Uint8Array,
  { bitOffset, bits }: Fields[number],
): bigint {
  const first = bitOffset >>> 3;
  const last = (bitOffset + bits + 7) >>> 3;
  let value = 0n;
  for (let at = last - 1; at >= first; at--)
    value = (value << 8n) | BigInt(bytes[at] ?? 0);
  return BigInt.asUintN(bits, value >> BigInt(bitOffset % 8));
}
