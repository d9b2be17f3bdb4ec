/**
 * The tutorial, followed by a newcomer: its files are written and compiled, its
 * tests run, its commands typed, in order, in one folder. A `ts refused` block
 * must be refused with exactly the words of the `text` block behind it; one behind
 * commands is what the last of them prints, a line `…` standing for any lines.
 */
import { equal, match, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { root, temporaryFolder } from "./support/cli.ts";

interface CodeBlock {
  readonly language: string;
  /** `refused`, a file's name. */
  readonly words: readonly string[];
  readonly text: string;
}

const page = readFileSync(join(root, "docs/concepts/writing-an-nf.md"), "utf8");
const blocks = [...page.matchAll(/^```(\w+) ?(.*)\n([\s\S]*?)^```$/gm)].map(
  ([, language = "", words = "", text = ""]): CodeBlock => ({
    language,
    words: words.split(" ").filter((word) => word !== ""),
    text,
  }),
);

// Commands that a test cannot type: they need the network, or change the machine.
const elsewhere = [/^npm install$/, /^bpftool prog load /];

let folder = temporaryFolder("tutorial");

// What `npm install` and npx would have made.
const bin = join(folder, "bin");
mkdirSync(bin);
const command = (name: string, script: string): void => {
  const path = join(bin, name);
  writeFileSync(path, `#!/bin/sh\nexec ${script} "$@"\n`);
  chmodSync(path, 0o755);
};
const node = process.execPath;
command("divisi", `${node} ${join(root, "dist/cli/main.js")}`);
command("tsc", `${node} ${join(root, "node_modules/typescript/bin/tsc")}`);
symlinkSync(node, join(bin, "node"));

function installed(): void {
  const modules = join(folder, "node_modules");
  if (existsSync(modules)) return;
  mkdirSync(modules);
  symlinkSync(root, join(modules, "divisi"));
  for (const name of ["@types", "undici-types"])
    symlinkSync(join(root, "node_modules", name), join(modules, name));
}

function shell(line: string): ReturnType<typeof run> {
  return run("sh", ["-c", line.replaceAll(/\bnpx divisi\b/g, "divisi")]);
}

function run(
  name: string,
  words: readonly string[],
): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(name, words, {
    cwd: folder,
    encoding: "utf8",
    env: {
      PATH: `${bin}:${process.env["PATH"] ?? ""}`,
      HOME: folder,
      NO_COLOR: "1",
    },
    timeout: 120_000,
  });
}

/** One to a line, but for those that a backslash continues. */
function commandsOf(text: string): readonly string[] {
  return text
    .replaceAll(/\\\n */g, "")
    .trimEnd()
    .split("\n");
}

/** The text, `…` on a line of its own being any lines. */
function pattern(text: string): RegExp {
  const parts = text
    .split(/^…\n/m)
    .map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`));
  return new RegExp(`^${parts.join("(?:.*\n)*")}$`);
}

test("the page has files, tests and commands", () => {
  const count = (language: string): number =>
    blocks.filter((block) => block.language === language).length;
  ok(count("ts") >= 6, `${count("ts")} files`);
  ok(count("sh") >= 4, `${count("sh")} blocks of commands`);
  equal(count("ts") + count("sh") + count("text"), blocks.length);
});

for (const [index, { language, words, text }] of blocks.entries()) {
  if (language === "sh")
    for (const [at, line] of commandsOf(text).entries()) {
      if (elsewhere.some((pattern) => pattern.test(line))) continue;
      const next = blocks[index + 1];
      const isLast = at === commandsOf(text).length - 1;
      const printed =
        isLast && next?.language === "text" ? next.text : undefined;
      test(line, () => {
        const [, directory] = /^cd (\w+)$/.exec(line) ?? [];
        if (directory !== undefined) {
          folder = join(folder, directory);
          installed();
          return;
        }
        const { status, stdout, stderr } = shell(line);
        equal(status, 0, `${stdout}${stderr}`);
        if (printed !== undefined) match(stdout, pattern(printed));
      });
    }
  if (language !== "ts") continue;
  const [first = "", second] = words;
  if (first === "refused") {
    test(`${second} is refused, with these words`, () => {
      ok(second !== undefined, "a refused file has a name");
      writeFileSync(join(folder, second), text);
      const { status, stderr } = shell(`divisi build ${second} -o refused.o`);
      equal(status, 3);
      const next = blocks[index + 1];
      equal(next?.language, "text");
      equal(stderr, next?.text);
      equal(existsSync(join(folder, "refused.o")), false);
    });
    continue;
  }
  test(`${first} is what it says`, () => {
    ok(/^[\w.-]+\.ts$/.test(first), "a file has a name");
    const path = join(folder, first);
    // What `new` wrote is shown as it is.
    if (existsSync(path)) equal(text, readFileSync(path, "utf8"));
    else writeFileSync(path, text);
    const checked = shell("tsc");
    equal(checked.status, 0, checked.stdout);
    const result = first.endsWith(".test.ts")
      ? shell(`node --test build/${first.replace(/\.ts$/, ".js")}`)
      : /^export default nf\(/m.test(text)
        ? shell(`divisi build ${first} -o built.o`)
        : undefined;
    equal(result?.status ?? 0, 0, `${result?.stdout}${result?.stderr}`);
  });
}
