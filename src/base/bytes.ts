/**
 * Bounded reading and growing writing of bytes. A read past the end is an
 * InputError with the absolute offset, never a RangeError: every binary parser
 * of the project reads through ByteReader, and so cannot leave its input.
 */
import { InputError } from "./errors.ts";

/** A window on bytes with an endianness. Offsets given to it are relative to it. */
export class ByteReader {
  readonly bytes: Uint8Array;
  readonly littleEndian: boolean;
  /** Word for messages, e.g. `ELF header`. */
  readonly what: string;
  /** Offset of this window in the whole file, for messages. */
  readonly origin: number;
  readonly #view: DataView;

  constructor(
    bytes: Uint8Array,
    options: { littleEndian?: boolean; what?: string; origin?: number } = {},
  ) {
    this.bytes = bytes;
    this.littleEndian = options.littleEndian ?? true;
    this.what = options.what ?? "input";
    this.origin = options.origin ?? 0;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get length(): number {
    return this.bytes.length;
  }

  /** Throws unless `offset … offset + size` lies inside. */
  need(offset: number, size: number): void {
    const fits =
      Number.isSafeInteger(offset) &&
      Number.isSafeInteger(size) &&
      offset >= 0 &&
      size >= 0 &&
      offset + size <= this.bytes.length;
    if (fits) return;
    throw new InputError(
      `${this.what}: ${size} bytes expected at offset ${this.origin + offset}, but it ends at ${this.origin + this.bytes.length}`,
      { code: "truncated", offset: this.origin + offset },
    );
  }

  u8(offset: number): number {
    this.need(offset, 1);
    return this.#view.getUint8(offset);
  }
  u16(offset: number): number {
    this.need(offset, 2);
    return this.#view.getUint16(offset, this.littleEndian);
  }
  u32(offset: number): number {
    this.need(offset, 4);
    return this.#view.getUint32(offset, this.littleEndian);
  }
  i16(offset: number): number {
    this.need(offset, 2);
    return this.#view.getInt16(offset, this.littleEndian);
  }
  i32(offset: number): number {
    this.need(offset, 4);
    return this.#view.getInt32(offset, this.littleEndian);
  }
  u64(offset: number): bigint {
    this.need(offset, 8);
    return this.#view.getBigUint64(offset, this.littleEndian);
  }
  /** A 64-bit value that must be a safe integer (offsets and sizes). */
  size64(offset: number): number {
    const value = this.u64(offset);
    if (value > BigInt(Number.MAX_SAFE_INTEGER))
      throw new InputError(`${this.what}: ${value} is no possible size`, {
        code: "size-impossible",
        offset: this.origin + offset,
      });
    return Number(value);
  }
  /** Bytes up to the next NUL as text; bad UTF-8 becomes U+FFFD. */
  cString(offset: number): string {
    this.need(offset, 0);
    const end = this.bytes.indexOf(0, offset);
    if (end < 0)
      throw new InputError(`${this.what}: string without end`, {
        code: "string-unterminated",
        offset: this.origin + offset,
      });
    return new TextDecoder().decode(this.bytes.subarray(offset, end));
  }
  slice(offset: number, size: number, what = this.what): ByteReader {
    this.need(offset, size);
    return new ByteReader(this.bytes.subarray(offset, offset + size), {
      littleEndian: this.littleEndian,
      what,
      origin: this.origin + offset,
    });
  }
}

/**
 * Grows as it is written to; `finish` gives the bytes. Growing replaces buffer
 * and view, so it comes before either is named in an expression.
 */
export class ByteWriter {
  readonly littleEndian: boolean;
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  constructor(littleEndian = true) {
    this.littleEndian = littleEndian;
  }

  get length(): number {
    return this.#length;
  }
  u8(value: number): this {
    const at = this.#grow(1);
    this.#view.setUint8(at, value);
    return this;
  }
  u16(value: number): this {
    const at = this.#grow(2);
    this.#view.setUint16(at, value, this.littleEndian);
    return this;
  }
  u32(value: number): this {
    const at = this.#grow(4);
    this.#view.setUint32(at, value, this.littleEndian);
    return this;
  }
  u64(value: bigint): this {
    const at = this.#grow(8);
    this.#view.setBigUint64(at, BigInt.asUintN(64, value), this.littleEndian);
    return this;
  }
  raw(bytes: Uint8Array): this {
    const at = this.#grow(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }
  cString(text: string): this {
    return this.raw(new TextEncoder().encode(text)).u8(0);
  }
  /** Zero bytes up to a multiple of `alignment`. */
  align(alignment: number): this {
    while (this.#length % alignment !== 0) this.u8(0);
    return this;
  }
  /** Overwrites four bytes that were written before. */
  patchU32(offset: number, value: number): void {
    this.#view.setUint32(offset, value, this.littleEndian);
  }
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  #grow(size: number): number {
    const at = this.#length;
    this.#length += size;
    if (this.#length > this.#bytes.length) {
      const next = new Uint8Array(Math.max(this.#length, at * 2));
      next.set(this.#bytes.subarray(0, at));
      this.#bytes = next;
      this.#view = new DataView(next.buffer);
    }
    return at;
  }
}

const hexOfByte = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, "0"),
);

/** Lower-case hex without separators. */
export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += hexOfByte[byte] ?? "";
  return text;
}

/** Inverse of toHex; accepts `:` and white space between bytes. */
export function fromHex(text: string): Uint8Array {
  const digits = text.replace(/[\s:]/g, "");
  if (digits.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(digits))
    throw new InputError(`not hexadecimal bytes: ${text}`, {
      code: "hex-malformed",
      kind: "usage",
    });
  const bytes = new Uint8Array(digits.length / 2);
  for (let index = 0; index < bytes.length; index++)
    bytes[index] = Number.parseInt(digits.slice(2 * index, 2 * index + 2), 16);
  return bytes;
}

export function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false;
  for (let index = 0; index < left.length; index++)
    if (left[index] !== right[index]) return false;
  return true;
}
