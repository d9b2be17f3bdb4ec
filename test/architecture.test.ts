/**
 * The rooms of src/ and who may import whom: this table is the law. It reads
 * every import and fails on an upward import, a bypassed door, an unknown room,
 * a stranger outside its fence, and on finding hardly any import.
 */
import { deepEqual, ok } from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";

// Each room may import rooms above it only: no cycle can be written.
// prettier-ignore
const table: Readonly<Record<string, string>> = {
  base: "",
  host: "",
  isa: "base",
  packet: "base",
  object: "base isa",
  ir: "base isa",
  rss: "base packet",
  traffic: "base packet",
  interp: "base isa ir",
  nf: "base isa packet ir",
  analysis: "base isa packet ir interp",
  proof: "base isa ir interp",
  strategy: "base packet ir analysis rss proof",
  optimize: "base isa ir interp analysis proof",
  offload: "base packet ir analysis strategy traffic",
  codegen: "base isa packet ir strategy offload",
  engine: "base host isa packet object interp codegen proof",
  control: "base packet object rss strategy offload codegen engine",
  report: "base packet analysis strategy engine offload traffic",
};
const all = Object.keys(table).join(" ");
const verbs = {
  "compile.ts": all,
  "covering.ts": all,
  "chain-facts.ts": all,
  "reachable.ts": `${all} chain-facts.ts`,
  "replies.ts": all,
  "filling.ts": `${all} replies.ts`,
  "guided-episodes.ts": `${all} replies.ts`,
  "full-episodes.ts": `${all} covering.ts filling.ts guided-episodes.ts replies.ts`,
  "parting.ts": all,
  "dispatched.ts": all,
  "trial.ts": `${all} covering.ts dispatched.ts full-episodes.ts parting.ts reachable.ts`,
  "guarded.ts": all,
  "measured-traffic.ts": `${all} analysed.ts`,
  "analysed.ts": all,
  "edited.ts": all,
  "pipeline.ts": `${all} analysed.ts dispatched.ts edited.ts trial.ts`,
  "index.ts": `${all} analysed.ts compile.ts dispatched.ts edited.ts guarded.ts measured-traffic.ts pipeline.ts trial.ts`,
};
const rows = Object.entries({ ...table, ...verbs, cli: verbs["index.ts"] });
const mayImport = new Map(rows.map(([from, to]) => [from, to.split(" ")]));

// A package or built-in, and the only files that may import it.
const fences: readonly (readonly [RegExp, RegExp])[] = [
  [/^koffi$/, /^engine\/kernel\/syscalls\.ts$/],
  [/^z3-solver$/, /^engine\/solver\//],
  [/^bullmq$/, /^engine\/queue\//],
  [/^typescript-api$/, /^nf\/front\/typescript-api\.ts$/],
  [/^commander$/, /^cli\//],
  [/^node:(test|assert.*)$/, /\.test\.ts$/],
  [/^fast-check$/, /\.test\.ts$/],
  [/^node:(?!test|assert)/, /^(cli|engine|control|host)\/|\.test\.ts$/],
];

const root = join(import.meta.dirname, "../../src");

function isAllowed(file: string, path: string): boolean {
  if (!path.startsWith("."))
    return fences.some(([what, where]) => what.test(path) && where.test(file));
  const target = join(dirname(file), path);
  const [from = "", to = ""] = [file, target].map((part) => part.split("/")[0]);
  if (from === to) return target !== `${from}/index.ts`;
  const door = to.endsWith(".ts") ? to : `${to}/index.ts`;
  return target === door && mayImport.get(from)?.includes(to) === true;
}

function importsOf(text: string): string[] {
  const code = text
    .replace(/\/\*[\s\S]*?\*\//g, "")
    .replace(/^\s*\/\/.*$/gm, "");
  const found = code.matchAll(
    /(?:^|[\s;}])(?:import|export)\b[^'"`;]*?\bfrom\s*["']([^"']+)["']|\bimport\s*\(?\s*["']([^"']+)["']/g,
  );
  return [...found].map((match) => match[1] ?? match[2] ?? "");
}

const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter(
  (file) => file.endsWith(".ts"),
);
const imports = files.flatMap((file) =>
  importsOf(readFileSync(join(root, file), "utf8")).map((path) => ({
    file,
    path,
  })),
);

test("every import goes downwards and through a door", () => {
  const wrong = imports.filter(({ file, path }) => !isAllowed(file, path));
  deepEqual(
    wrong.map(({ file, path }) => `${file} imports ${path}`),
    [],
  );
});

test("every room is known and says what it is", () => {
  const rooms = readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
  deepEqual(
    rooms.filter((room) => !mayImport.has(room)),
    [],
  );
  deepEqual(
    [...mayImport.keys()].filter(
      (room) =>
        !room.endsWith(".ts") && !existsSync(join(root, room, "README.md")),
    ),
    [],
    "rooms without README",
  );
});

test("no file passes 400 lines of code, tables excepted", () => {
  const long = files.filter((file) => {
    if (/\.test\.ts$|table/.test(file)) return false;
    const text = readFileSync(join(root, file), "utf8");
    if (text.includes("prettier-ignore")) return false;
    const code = text
      .replace(/\/\*[\s\S]*?\*\//g, "")
      .split("\n")
      .filter((line) => line.trim() !== "" && !/^\s*\/\//.test(line));
    return code.length > 400;
  });
  deepEqual(long, []);
});

test("the gate saw imports, and catches each kind of wrong one", () => {
  ok(imports.length > 200, `${imports.length} imports found`);
  const cases: readonly (readonly [string, string, boolean])[] = [
    ["isa/decode.ts", "../base/index.ts", true],
    ["isa/decode.ts", "../ir/index.ts", false],
    ["ir/lift.ts", "../isa/program.ts", false],
    ["ir/lift.ts", "./index.ts", false],
    ["isa/decode.ts", "koffi", false],
    ["engine/kernel/syscalls.ts", "koffi", true],
    ["isa/decode.ts", "node:fs", false],
    ["cli/main.ts", "node:fs", true],
    ["cli/main.ts", "left-pad", false],
    ["nowhere/a.ts", "../base/index.ts", false],
  ];
  for (const [file, path, want] of cases)
    deepEqual([file, path, isAllowed(file, path)], [file, path, want]);
});
