/**
 * A program nested deeper than the stack is: TypeScript's parser and our own walks
 * go down the tree by recursion. Where one of them runs out of stack, the program
 * is refused like any other bad input. Law: nothing half done is used afterwards,
 * so whoever keeps parsed files forgets them (`forget`).
 */
import { InputError } from "../../base/index.ts";

export function withinStack<T>(
  file: string | undefined,
  step: () => T,
  forget: () => void = () => undefined,
): T {
  try {
    return step();
  } catch (error) {
    if (!isStackOverflow(error)) throw error;
    forget();
    throw new InputError("the program is nested too deeply to be followed", {
      code: "nf-too-complex",
      ...(file === undefined ? {} : { file }),
      fix: "parts of a long expression as `const`s of their own; fewer parentheses and blocks inside each other",
    });
  }
}

export function isStackOverflow(error: unknown): boolean {
  return error instanceof RangeError && /call stack/i.test(error.message);
}
