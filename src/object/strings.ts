/**
 * String tables of ELF and BTF: NUL-terminated texts named by their offset.
 *
 * Reading is bounded: tables may share tails, so a hostile file can name every
 * suffix of one long text. The sum of all texts handed out is therefore limited
 * to a multiple of the table's size; no compiler comes near it.
 */
import { InputError } from "../base/index.ts";

const decoder = new TextDecoder();
const encoder = new TextEncoder();

export class StringTable {
  readonly #bytes: Uint8Array;
  readonly #what: string;
  readonly #origin: number;
  readonly #known = new Map<number, string>();
  /** The whole table, where each byte is a character: cut, not decoded text by text. */
  readonly #ascii: string | undefined;
  #budget: number;

  /** `origin`: offset of the table in the file, for messages. */
  constructor(bytes: Uint8Array, what: string, origin: number) {
    this.#bytes = bytes;
    this.#what = what;
    this.#origin = origin;
    this.#budget = 8 * bytes.length + 65_536;
    const whole = decoder.decode(bytes);
    this.#ascii = whole.length === bytes.length ? whole : undefined;
  }

  at(offset: number): string {
    const known = this.#known.get(offset);
    if (known !== undefined) return known;
    if (offset === 0 && this.#bytes.length === 0) return "";
    if (offset >= this.#bytes.length)
      throw this.#fault("string-outside", offset, "lies outside the table");
    const end = this.#bytes.indexOf(0, offset);
    if (end < 0) throw this.#fault("string-unterminated", offset, "has no end");
    this.#budget -= end - offset;
    if (this.#budget < 0)
      throw this.#fault("string-budget", offset, "overlaps too many others");
    const text =
      this.#ascii?.slice(offset, end) ??
      decoder.decode(this.#bytes.subarray(offset, end));
    this.#known.set(offset, text);
    return text;
  }

  #fault(code: string, offset: number, why: string): InputError {
    return new InputError(`${this.#what}: the string at ${offset} ${why}`, {
      code,
      offset: this.#origin + offset,
    });
  }
}

/** Collects texts, each stored once, in order of first use; offset 0 is "". */
export class StringTableBuilder {
  readonly #offsets = new Map<string, number>([["", 0]]);
  readonly #parts: Uint8Array[] = [new Uint8Array(1)];
  #length = 1;

  /** Offset of `text` in the table; texts end at a NUL, so inner ones cut it. */
  add(text: string): number {
    const known = this.#offsets.get(text);
    if (known !== undefined) return known;
    const nul = text.indexOf("\0");
    if (nul >= 0) return this.add(text.slice(0, nul));
    const offset = this.#length;
    const bytes = encoder.encode(`${text}\0`);
    this.#offsets.set(text, offset);
    this.#parts.push(bytes);
    this.#length += bytes.length;
    return offset;
  }

  finish(): Uint8Array {
    const bytes = new Uint8Array(this.#length);
    let at = 0;
    for (const part of this.#parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }
}
