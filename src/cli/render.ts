/**
 * The only file that writes to a stream. Data goes to stdout, words for people
 * to stderr; under `--json` stdout holds one value and nothing else.
 */
import process from "node:process";
import { printable } from "../base/index.ts";
import { wrapped } from "./wrap.ts";

export interface Rendering {
  readonly json: boolean;
  readonly quiet: boolean;
  /** 0, 1 (-v) or 2 (-vv). */
  readonly verbosity: number;
}

/** What a command hands back: one value for `--json`, the same as text, and yes or no. */
export interface Answer {
  readonly exit: 0 | 1;
  readonly json: unknown;
  readonly text: string;
}

export function renderAnswer(answer: Answer, rendering: Rendering): void {
  if (rendering.quiet) return;
  if (rendering.json) renderJson(answer.json);
  else if (answer.text !== "") write(process.stdout, withNewline(answer.text));
}

export function renderJson(value: unknown): void {
  write(process.stdout, `${JSON.stringify(value, replaceBigint, 2)}\n`);
}

/** A line for people; control characters are made visible first. */
export function say(text: string): void {
  const lines = text.split("\n").flatMap((line) => {
    const { isTTY, columns } = process.stderr;
    if (!isTTY || columns < 40) return [printable(line)];
    // What would be broken within a word (a path) stays whole for copying.
    const isWhole = line.split(" ").some((word) => word.length > columns - 4);
    return isWhole ? [printable(line)] : wrapped(line, 2, columns);
  });
  write(process.stderr, `${lines.join("\n")}\n`);
}

/** Raw data (a capture, a disassembly stream) to stdout; resolves when it is taken. */
export function writeData(bytes: Uint8Array | string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(bytes, (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
}

/** Progress on stderr: a bar on a terminal, a line per 10 s elsewhere. */
export class Progress {
  readonly #label: string;
  readonly #started = Date.now();
  readonly #enabled: boolean;
  #last = 0;
  #drawn = false;

  constructor(label: string, rendering: Rendering) {
    this.#label = label;
    this.#enabled = !rendering.quiet;
  }

  update(done: number, total: number): void {
    if (!this.#enabled || total === 0) return;
    const now = Date.now();
    const terminal = process.stderr.isTTY;
    if (now - Math.max(this.#last, this.#started) < (terminal ? 100 : 10_000))
      return;
    this.#last = now;
    const seconds = (now - this.#started) / 1000;
    const rate = done / seconds;
    const left = rate > 0 ? Math.ceil((total - done) / rate) : 0;
    const words = `${this.#label} ${Math.floor((100 * done) / total)} % (${Math.round(rate).toLocaleString("en")}/s, ${left} s left)`;
    if (!terminal) {
      write(process.stderr, `${words}\n`);
      return;
    }
    const filled = Math.round((20 * done) / total);
    write(
      process.stderr,
      `\r\u001b[K[${"#".repeat(filled)}${".".repeat(20 - filled)}] ${words}`,
    );
    this.#drawn = true;
  }

  /** Takes the bar off the terminal. */
  finish(): void {
    if (this.#drawn) write(process.stderr, "\r\u001b[K");
    this.#drawn = false;
  }
}

function write(stream: NodeJS.WriteStream, text: string): void {
  stream.write(text);
}

function withNewline(text: string): string {
  const shown = text
    .split("\n")
    .map((line) => printable(line))
    .join("\n");
  return shown.endsWith("\n") ? shown : `${shown}\n`;
}

function replaceBigint(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? value.toString() : value;
}
