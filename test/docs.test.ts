/**
 * Paths that the documentation names exist: in every page a path from the root,
 * in a room's README and in the header of a file a file of that room.
 */
import { deepEqual, ok } from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";

const root = join(import.meta.dirname, "../..");
const read = (path: string): string => readFileSync(join(root, path), "utf8");

function filesUnder(folder: string, ending: string): string[] {
  return readdirSync(join(root, folder), {
    recursive: true,
    encoding: "utf8",
  })
    .filter((name) => name.endsWith(ending))
    .map((name) => join(folder, name));
}

const pages = [
  "README.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  ...filesUnder("docs", ".md"),
  ...filesUnder("src", "README.md"),
  ...filesUnder("nfs", "README.md"),
];

// Made by commands, or by the user.
const made = /^(out|dist|dist-dev|node_modules)\b/;

/** `src/x/y.ts`, `docs/x.md`, and links to files. */
function pathsIn(page: string, text: string): string[] {
  const quoted = [...text.matchAll(/`([\w./-]+)`/g)].map((m) => m[1] ?? "");
  const links = [...text.matchAll(/\]\(([^)#:]+)\)/g)].map((m) =>
    join(dirname(page), m[1] ?? ""),
  );
  const fromRoot = quoted.filter(
    (word) =>
      /^(src|test|docs|nfs|scripts|bench|testdata|\.ci)\//.test(word) &&
      !made.test(word),
  );
  return [...fromRoot, ...links];
}

test("every path that a page names exists", () => {
  const named = pages.flatMap((page) =>
    pathsIn(page, read(page)).map((path) => ({ page, path })),
  );
  ok(named.length > 20, `${named.length} paths found`);
  deepEqual(
    named.filter(({ path }) => !existsSync(join(root, path))),
    [],
  );
});

test("every file that a room's README or a file's header names is there", () => {
  const sources = [
    ...filesUnder("src", "README.md").map(
      (path) => [path, read(path)] as const,
    ),
    ...filesUnder("src", ".ts").map(
      (path) =>
        [
          path,
          /^(?:#!.*\n)?\/\*\*[\s\S]*?\*\//.exec(read(path))?.[0] ?? "",
        ] as const,
    ),
  ];
  let seen = 0;
  const missing: string[] = [];
  for (const [path, text] of sources)
    for (const [, name = ""] of text.matchAll(
      /(?<![\w/.-])([a-z0-9][a-z0-9/-]*(?:\.test)?\.ts)\b/g,
    )) {
      seen++;
      const places = [
        join(dirname(path), name),
        join("src", name),
        join("src", path.split("/")[1] ?? "", name),
        name,
      ];
      // Names of the user's files, and of files in other kinds of paths.
      if (/^(nf|x|limiter)\.ts$/.test(name)) continue;
      if (!places.some((place) => existsSync(join(root, place))))
        missing.push(`${path} names ${name}`);
    }
  ok(seen > 10, `${seen} names found`);
  deepEqual(missing, []);
});

test("no page or file tells of the machine it was made on", () => {
  const told = [
    ...pages,
    ...filesUnder("src", ".ts"),
    ...filesUnder("test", ".ts"),
  ]
    .filter((path) => !path.endsWith("docs.test.ts"))
    .filter((path) =>
      /\/work\/|(?<![\w$"])\/root\/|registry\.npmjs/.test(read(path)),
    );
  deepEqual(told, []);
});
