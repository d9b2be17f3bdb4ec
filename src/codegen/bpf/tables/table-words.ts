/**
 * A key's words in the text of generated code: taken from where the key is given,
 * hashed, and compared with an entry's.
 *
 * The verifier wants loads from the frame aligned, so a word may be several loads; the
 * word, and with it the hash, is the same (table-layout.ts).
 */
import { header, type KeyWord, type TableLayout } from "./table-layout.ts";

/** What divides an address: 8, or less where it is in the frame at odd places. */
export type Alignment = 1 | 2 | 4 | 8;

/** Where a key or value is given: a register plus an offset. */
export interface Given {
  readonly base: string;
  readonly offset: number;
  readonly alignment: Alignment;
}

/** A word of the key, zero-extended, in `to`. */
export function loadWord(
  word: KeyWord,
  { base, offset, alignment }: Given,
  { to, spare }: { readonly to: string; readonly spare: string },
): string {
  return pieces(word.at, word.bytes, alignment)
    .map(({ at, size }, index) => {
      const load = `*(u${8 * size} *)(${base} + ${offset + at})\n`;
      return index === 0
        ? `${to} = ${load}`
        : `${spare} = ${load} ${spare} <<= ${8 * (at - word.at)}\n ${to} |= ${spare}\n`;
    })
    .join("");
}

/** Aligned loads that cover the bytes. */
export function pieces(
  at: number,
  bytes: number,
  alignment: Alignment,
): readonly { readonly at: number; readonly size: number }[] {
  const list: { at: number; size: number }[] = [];
  for (let done = 0; done < bytes;) {
    let size: number = alignment;
    while (size > bytes - done || (at + done) % size !== 0) size /= 2;
    list.push({ at: at + done, size });
    done += size;
  }
  return list;
}

/** A key's words: registers that hold them, or loads into `to` wherever one is wanted. */
export type Words =
  | { readonly kind: "registers"; readonly registers: readonly string[] }
  | {
      readonly kind: "given";
      readonly key: Given;
      readonly to: string;
      readonly spare: string;
    };

/** The register with a word, and the text that puts it there. */
export function wordAt(
  words: Words,
  layout: TableLayout,
  index: number,
): { readonly text: string; readonly register: string } {
  const word = layout.words[index];
  if (words.kind === "registers" || word === undefined)
    return {
      text: "",
      register:
        words.kind === "registers" ? (words.registers[index] ?? "") : "",
    };
  return { text: loadWord(word, words.key, words), register: words.to };
}

/** Seed → 4 times the bucket in `to`. */
export function hashText(
  layout: TableLayout,
  words: Words,
  {
    seed,
    to,
    half,
  }: { readonly seed: string; readonly to: string; readonly half: string },
): string {
  const text = [`${to} = ${seed}`];
  for (const index of layout.words.keys()) {
    const { text: load, register } = wordAt(words, layout, index);
    text.push(
      `${load}\n${to} ^= ${register}\n${to} *= ${seed}`,
      `${half} = ${to}\n${half} >>= 32\n${to} ^= ${half}`,
    );
  }
  text.push(`${to} *= ${seed}`, `${to} >>= ${64 - layout.bucketBits}`);
  text.push(`${to} <<= 2`);
  return text.join("\n");
}

/** Goes to `other` unless the entry (less the header) has the key. */
export function compareText(
  { words: all, keyAt, ...layout }: TableLayout,
  words: Words,
  {
    entry,
    other,
    spare,
  }: { readonly entry: string; readonly other: string; readonly spare: string },
): string {
  return all
    .map((word, index) => {
      const place = header.size + keyAt + word.at;
      const given = wordAt(words, { ...layout, keyAt, words: all }, index);
      return `${given.text}
    ${spare} = *(u${8 * word.size} *)(${entry} + ${place})
    if ${spare} != ${given.register} goto ${other}\n`;
    })
    .join("");
}

/** Highest link less 1 that an entry can have. */
export function lastLink({ entries, stride }: TableLayout): number {
  return ((entries - 1) * stride) / 8;
}
