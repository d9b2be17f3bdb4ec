/**
 * From the words of the command line to values: numbers, sizes, durations,
 * repeated NAME=VALUE. A bad word is a usage error (exit 2) that says what was
 * expected.
 */
import { InputError, nearest } from "../base/index.ts";
import type { Words } from "./command.ts";

export function usage(text: string, fix?: string): InputError {
  return new InputError(text, {
    code: "usage",
    kind: "usage",
    ...(fix === undefined ? {} : { fix }),
  });
}

export function isSet(words: Words, flag: string): boolean {
  return words.flags.has(flag);
}

/** The last value given, as other tools do it. */
export function valueOf(words: Words, flag: string): string | undefined {
  return words.flags.get(flag)?.at(-1);
}

export function valuesOf(words: Words, flag: string): readonly string[] {
  return words.flags.get(flag) ?? [];
}

/** The value, which must be one of `choices`. */
export function choiceOf<T extends string>(
  words: Words,
  flag: string,
  choices: readonly T[],
): T | undefined {
  const word = valueOf(words, flag);
  if (word === undefined) return undefined;
  const found = choices.find((choice) => choice === word);
  if (found !== undefined) return found;
  const near = nearest(word, choices);
  throw usage(
    `--${flag} takes ${choices.join(", ")}; not ${word}`,
    near === undefined ? undefined : `did you mean ${near}?`,
  );
}

/** A whole number with optional k, m, g (powers of 1000). */
export function countOf(
  words: Words,
  flag: string,
  range: readonly [number, number],
): number | undefined {
  const word = valueOf(words, flag);
  if (word === undefined) return undefined;
  const match = /^(\d+)([kmg]?)$/i.exec(word);
  const scale = { "": 1, k: 1e3, m: 1e6, g: 1e9 }[
    (match?.[2] ?? "").toLowerCase()
  ];
  const value = Number(match?.[1] ?? Number.NaN) * (scale ?? Number.NaN);
  if (!Number.isSafeInteger(value) || value < range[0] || value > range[1])
    throw usage(
      `--${flag} takes a whole number from ${range[0]} to ${range[1]}; not ${word}`,
    );
  return value;
}

/** A duration with its unit, in milliseconds. */
export function durationOf(words: Words, flag: string): number | undefined {
  const word = valueOf(words, flag);
  if (word === undefined) return undefined;
  const match = /^(\d+(?:\.\d+)?)(ns|us|ms|s)$/.exec(word);
  const scale = { ns: 1e-6, us: 1e-3, ms: 1, s: 1000 }[match?.[2] ?? ""];
  const value = Number(match?.[1] ?? Number.NaN) * (scale ?? Number.NaN);
  if (Number.isFinite(value) && value > 0 && value < 2 ** 31) return value;
  throw usage(`--${flag} takes a duration such as 10s or 500ms; not ${word}`);
}

/** `NAME=VALUE` pairs of a repeatable flag. */
export function pairsOf(
  words: Words,
  flag: string,
): readonly (readonly [string, string])[] {
  return valuesOf(words, flag).map((word) => {
    const at = word.indexOf("=");
    if (at < 1) throw usage(`--${flag} takes NAME=VALUE; not ${word}`);
    return [word.slice(0, at), word.slice(at + 1)];
  });
}

/** The seed given, or a fresh one: it is printed either way. */
export function seedOf(words: Words): number {
  return countOf(words, "seed", [0, 0xffff_ffff]) ?? 1;
}
