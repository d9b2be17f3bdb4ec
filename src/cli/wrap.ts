/** Text in the terminal's width: 80 columns where there is no terminal. */
import process from "node:process";
import { printable } from "../base/index.ts";

const usual = 80;
const least = 40;

/** Columns to write in; a terminal wider than usual changes nothing. */
export function columns(): number {
  const { isTTY, columns: width } = process.stdout;
  return isTTY && width > 0 ? Math.max(least, Math.min(usual, width)) : usual;
}

/** Breaks at spaces; lines behind the first are indented. */
export function wrapped(
  text: string,
  indent: number,
  width = columns(),
): string[] {
  const lines: string[] = [];
  let rest = printable(text);
  while (rest.length > width) {
    const space = rest.lastIndexOf(" ", width);
    const at = space > indent ? space : width;
    lines.push(rest.slice(0, at).trimEnd());
    rest = `${" ".repeat(indent)}${rest.slice(at).trimStart()}`;
  }
  return [...lines, rest];
}
