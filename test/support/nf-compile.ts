/** A TypeScript source of the suite as an object's bytes. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Bug } from "#base";
import { compileNf } from "divisi";
import { root } from "./cli.ts";

/** `change`: of the source's text, for mutants. */
export async function compiled(
  name: string,
  set: Readonly<Record<string, string>>,
  change: (text: string) => string = (text) => text,
): Promise<Uint8Array> {
  const path = join(root, `nfs/ts/${name}.ts`);
  const read = (file: string): string | undefined => {
    try {
      const text = readFileSync(file, "utf8");
      return file === path ? change(text) : text;
    } catch {
      return undefined;
    }
  };
  const made = await compileNf({ path, read, set: Object.entries(set) });
  if (made.kind === "object") return made.bytes;
  throw new Bug(
    made.diagnostics
      .map(({ code, message, start }) => `${start.line}: ${code}: ${message}`)
      .join("\n"),
  );
}
