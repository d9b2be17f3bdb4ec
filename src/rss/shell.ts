/**
 * Names inside generated bash: the one place where text becomes shell words.
 *
 * The kernel takes nearly any byte in an interface name (quotes, `$`, `<`, ESC);
 * only "/", ":" and white space are out, and "." and "..". We also refuse a
 * leading "-", which tools would read as an option.
 */
import { InputError, printable } from "../base/index.ts";

/** One bash word, whatever the text is. */
export function quote(text: string): string {
  if (text.includes("\0"))
    throw new InputError("a name with a NUL byte", {
      code: "name-nul",
      kind: "usage",
    });
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** Throws unless the kernel could have an interface of this name. */
export function checkInterfaceName(name: string): void {
  const fits =
    name !== "." &&
    name !== ".." &&
    !name.startsWith("-") &&
    !/[/:\s\0]/.test(name) &&
    name.length > 0 &&
    new TextEncoder().encode(name).length <= 15;
  if (fits) return;
  throw new InputError(`${printable(name)} is no interface name`, {
    code: "interface-name",
    kind: "usage",
  });
}
