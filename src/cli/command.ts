/**
 * The shape of a command. The table of them is commands.ts; the parser, the
 * help, the reference page, the man page and the completions derive from it.
 */
import type { Answer, Rendering } from "./render.ts";

export interface Flag {
  /** Long name without dashes. */
  readonly name: string;
  readonly short?: string;
  /** Name of its value in help; a flag without is a switch. */
  readonly value?: string;
  readonly repeatable?: true;
  readonly text: string;
  /** The only values it takes. */
  readonly choices?: readonly string[];
  /** Tests and completion: what kind of thing the value is. */
  readonly completes?: "file" | "directory" | "interface";
}

export interface Argument {
  readonly name: string;
  readonly optional?: true;
  readonly rest?: true;
  readonly text: string;
}

export interface WordTable {
  readonly title: string;
  readonly rows: readonly (readonly [word: string, text: string])[];
}

/** Words as given: flag name → its values, in order (a switch: one empty string). */
export interface Words {
  readonly args: readonly string[];
  readonly flags: ReadonlyMap<string, readonly string[]>;
}

export interface Command {
  /** `split`, or `rss solve` for a subcommand. */
  readonly name: string;
  readonly summary: string;
  readonly args: readonly Argument[];
  readonly flags: readonly Flag[];
  /** What its words may say besides, under a title each. */
  readonly tables?: readonly WordTable[];
  /** Two at least: what to type, what it does. */
  readonly examples: readonly (readonly [string, string])[];
  readonly run: (words: Words, rendering: Rendering) => Promise<Answer>;
}

/** What the flag does, the words it takes, and whether it takes several. */
export function flagText({ text, choices, repeatable }: Flag): string {
  const words = choices === undefined ? text : `${text}: ${choices.join(", ")}`;
  return repeatable === true ? `${words} (repeatable)` : words;
}
