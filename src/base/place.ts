/**
 * Where a thing stands in the user's program: an instruction of a function and,
 * where the object has BTF line information, the source line behind it.
 * Text form: `port-knock.c:42` or, without line information, `xdp_main+17`.
 */
export interface Place {
  readonly function: string;
  /** Index into the function's instructions (a 16-byte load counts once). */
  readonly instruction: number;
  readonly file?: string;
  /** From 1. */
  readonly line?: number;
  /** From 1. */
  readonly column?: number;
  /** The source line itself, without its indentation. */
  readonly text?: string;
}

export function printPlace(place: Place): string {
  if (place.file === undefined || place.line === undefined)
    return `${place.function}+${place.instruction}`;
  const name = place.file.slice(place.file.lastIndexOf("/") + 1);
  return `${name}:${place.line}`;
}
