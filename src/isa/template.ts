/**
 * The text of a table row as a pattern. A line of text is cut into tokens; each
 * token gives one word of the line's skeleton (its class, or itself when it is
 * a keyword or a sign) and, unless it is one of these, a value. A line and a
 * template with the same skeleton match, so parsing is one look-up:
 *
 *   r1 = *(u32 *)(r2 + 8)      skeleton  R = * ( u32 * ) ( R O )
 *   {r:dst} = *(u32 *)({r:base} {o:offset})        values 1, 2, 8
 */
import { Bug } from "../base/index.ts";
import {
  instructionRows,
  type InstructionRow,
  type MemberPath,
} from "./instruction-table.ts";

export const placeholders = /\{(\w):([\w.]+)\}/g;
export const namePattern = /^[A-Za-z_.$][\w.$]*$/;

export interface Token {
  /** `R` `W` `I` `O` `N` for a register, half register, number, offset, name; else the token itself. */
  readonly word: string;
  readonly value: bigint | string;
}

// String, comment sign excluded by the caller; signs longest first.
const lexer =
  /\s*(?:("(?:[^"\\]|\\.)*")|(s(?:>>=|\/=|%=|>=|<=|>|<)|<<=|>>=|[-+*/%|&^!=<>]=|[()[\]*&=<>,+-])|(0[xX][0-9a-fA-F]+|[0-9]+)(?![\w.$])|([A-Za-z_.$][\w.$]*))/y;

const wordsOfTemplates = instructionRows
  .map((row) => row.text.replace(placeholders, " "))
  .join(" ");

/** Words that mean something in the text form; a name spelled like one is quoted. */
export const keywords: ReadonlySet<string> = new Set([
  ...(wordsOfTemplates.match(/[A-Za-z_][\w.]*/g) ?? []),
  ...Array.from({ length: 16 }, (_, n) => [`r${n}`, `w${n}`]).flat(),
]);

/** Tokens of a line, or the position from which nothing could be read. */
export function tokenize(line: string): readonly Token[] | number {
  const raw: Token[] = [];
  lexer.lastIndex = 0;
  const end = line.trimEnd().length;
  while (lexer.lastIndex < end) {
    const at = lexer.lastIndex;
    const match = lexer.exec(line);
    if (match === null) return at;
    const [, text, sign, number, name] = match;
    if (text !== undefined) {
      const value = unquote(text);
      if (value === undefined) return at;
      raw.push({ word: "N", value });
    } else if (sign !== undefined) raw.push({ word: sign, value: sign });
    else if (number !== undefined)
      raw.push({ word: "I", value: BigInt(number) });
    else raw.push(classify(name ?? ""));
  }
  return joinSigns(raw);
}

function unquote(text: string): string | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "string" ? value : undefined;
  } catch {
    return undefined;
  }
}

function classify(name: string): Token {
  const register = /^([rw])(10|[0-9])$/.exec(name);
  if (register !== null)
    return {
      word: register[1] === "r" ? "R" : "W",
      value: BigInt(register[2] ?? 0),
    };
  return keywords.has(name)
    ? { word: name, value: name }
    : { word: "N", value: name };
}

/** After a register, a sign and a number are one offset; elsewhere `-` and a number are one number. */
function joinSigns(raw: readonly Token[]): readonly Token[] {
  const tokens: Token[] = [];
  for (let index = 0; index < raw.length; index++) {
    const token = raw[index];
    if (token === undefined) break;
    const next = raw[index + 1];
    const signed = token.word === "-" || token.word === "+";
    if (signed && next?.word === "I" && typeof next.value === "bigint") {
      const value = token.word === "-" ? -next.value : next.value;
      const afterRegister = tokens.at(-1)?.word === "R";
      if (afterRegister || token.word === "-") {
        tokens.push({ word: afterRegister ? "O" : "I", value });
        index++;
        continue;
      }
    }
    tokens.push(token);
  }
  return tokens;
}

/** What a value of a line is for: a member, or a fixed register such as the r0 of cmpxchg. */
export type Slot =
  | {
      readonly kind: "member";
      /** Template class: see the instruction table. */
      readonly type: string;
      readonly path: MemberPath;
    }
  | { readonly kind: "fixed"; readonly value: bigint | string };

export interface Template {
  readonly row: InstructionRow;
  /** One per value-bearing token, in order. */
  readonly slots: readonly Slot[];
}

const classes: Readonly<Record<string, readonly string[]>> = {
  r: ["R"],
  w: ["W"],
  i: ["I"],
  u: ["I"],
  p: ["I"],
  o: ["O"],
  n: ["N"],
  L: ["N"],
  h: ["N", "I"],
};
const valueWords: ReadonlySet<string> = new Set(["R", "W", "I", "O", "N"]);

export function skeletonOf(tokens: readonly Token[]): string {
  return tokens.map((token) => token.word).join(" ");
}

/** The values of a line's tokens, in order. */
export function valuesOf(
  tokens: readonly Token[],
): readonly (bigint | string)[] {
  return tokens
    .filter((token) => valueWords.has(token.word))
    .map((token) => token.value);
}

/** Every template by its skeleton. */
export const templates: ReadonlyMap<string, Template> = collect();

function collect(): ReadonlyMap<string, Template> {
  const found = new Map<string, Template>();
  for (const row of instructionRows)
    for (let variant = 0; variant < 2; variant++) {
      const template = compile(row, variant);
      if (template === undefined) continue;
      const other = found.get(template.skeleton);
      if (other !== undefined)
        throw new Bug(`two rows read ${template.skeleton}: ${other.row.text}`);
      found.set(template.skeleton, { row, slots: template.slots });
    }
  return found;
}

/** Template with the classes' first or second word; undefined when there is no second. */
function compile(
  row: InstructionRow,
  variant: number,
): { skeleton: string; slots: readonly Slot[] } | undefined {
  const words: string[] = [];
  const slots: Slot[] = [];
  let varied = variant === 0;
  const literal = (text: string): void => {
    const tokens = tokenize(text);
    if (typeof tokens === "number") throw new Bug(`template ${row.text}`);
    for (const { word, value } of tokens) {
      words.push(word);
      if (valueWords.has(word)) slots.push({ kind: "fixed", value });
    }
  };
  let from = 0;
  for (const match of row.text.matchAll(placeholders)) {
    literal(row.text.slice(from, match.index));
    from = match.index + match[0].length;
    const [, type = "", path = ""] = match;
    const list = classes[type] ?? [];
    if (list[variant] !== undefined) varied = true;
    words.push(list[variant] ?? list[0] ?? "");
    slots.push({ kind: "member", type, path: path as MemberPath });
  }
  literal(row.text.slice(from));
  return varied ? { skeleton: words.join(" "), slots } : undefined;
}
