/**
 * Words of one line of the text form. Whatever is not as expected is an
 * InputError with the line's number.
 */
import { InputError } from "../base/index.ts";

const pattern =
  /\s*(?:("(?:[^"\\]|\\.)*")|(-?\d+)|([A-Za-z][A-Za-z0-9_]*(?:-[A-Za-z][A-Za-z0-9_]*)*)|([^\s]))/y;

export class Scanner {
  readonly #words: readonly string[];
  readonly #line: number;
  readonly #file: string;
  #at = 0;

  constructor(text: string, line: number, file: string) {
    this.#line = line;
    this.#file = file;
    const words: string[] = [];
    pattern.lastIndex = 0;
    for (;;) {
      const match = pattern.exec(text);
      if (match === null) break;
      words.push(match[0].trim());
    }
    this.#words = words;
  }

  fail(expected: string): never {
    throw new InputError(
      `${expected} expected, found ${this.peek() ?? "the end of the line"}`,
      { code: "ir-text-malformed", file: this.#file, line: this.#line },
    );
  }

  peek(ahead = 0): string | undefined {
    return this.#words[this.#at + ahead];
  }

  /** Takes the word if it is that one. */
  accept(word: string): boolean {
    if (this.peek() !== word) return false;
    this.#at++;
    return true;
  }

  expect(word: string): void {
    if (!this.accept(word)) this.fail(`“${word}”`);
  }

  word(what = "a word"): string {
    const word = this.peek();
    if (word === undefined || !/^[A-Za-z]/.test(word)) return this.fail(what);
    this.#at++;
    return word;
  }

  integer(what = "a number"): number {
    const value = Number(this.big(what));
    return Number.isSafeInteger(value) ? value : this.fail(what);
  }

  big(what = "a number"): bigint {
    const word = this.peek();
    if (word === undefined || word.length > 32 || !/^-?\d+$/.test(word))
      return this.fail(what);
    this.#at++;
    return BigInt(word);
  }

  string(): string {
    const word = this.peek();
    if (word?.startsWith('"') !== true) return this.fail("a quoted name");
    try {
      const value: unknown = JSON.parse(word);
      if (typeof value !== "string") return this.fail("a quoted name");
      this.#at++;
      return value;
    } catch (error) {
      if (error instanceof InputError) throw error;
      return this.fail("a quoted name");
    }
  }

  /** `v12` for the letter v. */
  name(letter: string): number {
    const word = this.peek();
    if (word === undefined || !new RegExp(`^${letter}\\d{1,9}$`).test(word))
      return this.fail(`${letter} and a number`);
    this.#at++;
    return Number(word.slice(1));
  }

  /** `+4`, `-4`; `+?` is undefined. */
  offset(): number | undefined {
    if (this.accept("+"))
      return this.accept("?") ? undefined : this.integer("an offset");
    return this.integer("an offset");
  }

  known(): number {
    const value = this.offset();
    return value === undefined ? this.fail("an offset") : value;
  }

  /** Items separated by commas up to the closing word, which is taken. */
  list<T>(close: string, item: () => T): T[] {
    const items: T[] = [];
    if (this.accept(close)) return items;
    do items.push(item());
    while (this.accept(","));
    this.expect(close);
    return items;
  }

  end(): void {
    if (this.peek() !== undefined) this.fail("the end of the line");
  }
}
