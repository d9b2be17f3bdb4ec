/**
 * Configuration values from the outside: `--set NAME=VALUE`, parsed by the type
 * of the value in the program. Wrong words are the user's (exit 2).
 */
import { InputError, nearest } from "../../base/index.ts";
import type { ConfigEntry } from "./loaded.ts";

/** Bits and sign of the scalar types, by the library's name. */
export const scalarRanges: Readonly<
  Record<string, { readonly low: bigint; readonly high: bigint }>
> = {
  u8: unsigned(8),
  u16: unsigned(16),
  u32: unsigned(32),
  u64: unsigned(64),
  i8: signed(8),
  i16: signed(16),
  i32: signed(32),
  i64: signed(64),
  be16: unsigned(16),
  be32: unsigned(32),
  be64: unsigned(64),
  mac: unsigned(48),
  ipv4: unsigned(32),
};

function unsigned(bits: number) {
  return { low: 0n, high: (1n << BigInt(bits)) - 1n };
}

function signed(bits: number) {
  const half = 1n << BigInt(bits - 1);
  return { low: -half, high: half - 1n };
}

export function applySettings(
  config: readonly ConfigEntry[],
  set: Readonly<Record<string, string>>,
): ConfigEntry[] {
  const names = config.map((entry) => entry.name);
  for (const name of Object.keys(set)) {
    if (names.includes(name)) continue;
    const near = nearest(name, names);
    throw new InputError(`the program has no configuration value \`${name}\``, {
      code: "nf-unknown-setting",
      kind: "usage",
      fix:
        near !== undefined
          ? `did you mean \`${near}\`?`
          : names.length === 0
            ? "it has no configuration at all"
            : `it has: ${names.join(", ")}`,
    });
  }
  return config.map((entry) => {
    const text = set[entry.name];
    return text === undefined
      ? entry
      : { ...entry, value: parseSetting(entry, text) };
  });
}

function parseSetting(
  entry: ConfigEntry,
  text: string,
): number | bigint | boolean {
  const word = text.trim();
  const wrong = (expected: string): InputError =>
    new InputError(
      `${entry.name}=${text} is no value of type ${entry.type}: expected ${expected}`,
      { code: "nf-bad-setting", kind: "usage" },
    );
  if (typeof entry.value === "boolean") {
    if (word === "true" || word === "1") return true;
    if (word === "false" || word === "0") return false;
    throw wrong("true or false");
  }
  const range = scalarRanges[entry.type];
  if (range === undefined) throw wrong("a number");
  const value = parseInteger(entry.type, word);
  if (value === undefined)
    throw wrong(
      entry.type === "mac" ? "an address like 02:00:00:00:00:01" : "a number",
    );
  if (value < range.low || value > range.high)
    throw wrong(`a number from ${range.low} to ${range.high}`);
  return typeof entry.value === "bigint" ? value : Number(value);
}

function parseInteger(type: string, word: string): bigint | undefined {
  if (type === "mac" && /^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i.test(word))
    return BigInt(`0x${word.replace(/[:-]/g, "")}`);
  const bytes = word.split(".");
  if ((type === "be32" || type === "ipv4") && bytes.length === 4) {
    if (!bytes.every((byte) => /^\d{1,3}$/.test(byte) && Number(byte) < 256))
      return undefined;
    return bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
  }
  const digits = word.replaceAll("_", "").replace(/n$/, "");
  if (!/^(-?\d+|0x[0-9a-f]+)$/i.test(digits)) return undefined;
  return BigInt(digits);
}
