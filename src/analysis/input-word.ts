/** A 32-bit word of the environment as atoms: ifindex, CPU or queue number. */
import type { Form, Symbols } from "./symbols.ts";
import { fromBits, type Word } from "./word.ts";

export function inputWord(
  space: "cpu" | "queue" | "ifindex",
  symbols: Symbols,
): Word {
  const forms: Form[] = [];
  for (let index = 0; index < 32; index++)
    forms.push(symbols.input(space, 0, index >> 3, 7 - (index & 7)));
  return fromBits(forms);
}
