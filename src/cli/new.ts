/** `divisi new`: a starter network function in a folder of its own. */
import { readFileSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import type { Words } from "./command.ts";
import { checkTarget, writeDirectory } from "./files.ts";
import type { Answer, Rendering } from "./render.ts";
import { starter } from "./starter.ts";
import { version } from "./version.ts";
import { isSet, usage } from "./words.ts";

export async function newProject(
  words: Words,
  _rendering: Rendering,
): Promise<Answer> {
  const [directory = ""] = words.args;
  const name = basename(directory);
  if (!/^[a-z][a-z0-9-]*$/.test(name))
    throw usage(
      `${name} is no name for a network function`,
      "lower-case letters, digits and -, a letter first",
    );
  const files = starter(name, version());
  checkTarget(directory, isSet(words, "force"), (existing) =>
    changed(existing, files),
  );
  writeDirectory(directory, files);
  return {
    exit: 0,
    json: {
      schema: "divisi.new/1",
      directory,
      name,
      files: files.map(({ path }) => path),
    },
    text: [
      `${directory}  ${files.map(({ path }) => path).join(" ")}`,
      "",
      `  cd ${directory}`,
      "  npm install",
      "  npm test",
      "  npm run split",
    ].join("\n"),
  };
}

/** What of a folder is not ours, and would be lost. */
function changed(
  directory: string,
  files: ReturnType<typeof starter>,
): string | undefined {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const file = files.find(({ path }) => path === entry.name);
    if (file === undefined || !entry.isFile())
      return `it has ${entry.name}, which divisi new did not write`;
    const path = join(directory, entry.name);
    if (readFileSync(path, "utf8") !== file.content)
      return `${entry.name} is not as divisi new wrote it`;
  }
  return undefined;
}
