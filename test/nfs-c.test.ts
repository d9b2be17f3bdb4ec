/**
 * The C network functions: every committed object is what clang 14 makes of its
 * source, holds no path of a machine, and loads.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  cpSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
} from "node:fs";
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { analyse } from "#analysis";
import { programSpec, readObject } from "#object";

const root = join(import.meta.dirname, "../..");
const folder = join(root, "nfs/c");
const scratch = mkdtempSync(join(tmpdir(), "nfs-c-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

const have = (command: string): boolean =>
  spawnSync(command, ["--version"]).error === undefined;
const noClang = have("clang-14") ? false : "clang-14 is not installed";
const noLoader =
  !have("bpftool") || process.getuid?.() !== 0
    ? "loading needs bpftool and root"
    : false;

const objects = readdirSync(folder).filter((name) => name.endsWith(".o"));

function build(...words: string[]) {
  return spawnSync(
    process.execPath,
    [join(root, "scripts/build-nfs.mjs"), ...words],
    { encoding: "utf8" },
  );
}

const text = readFileSync(join(folder, "README.md"), "utf8");

/** Rows of the tables of programs: name, variables, state. */
const rows = text
  .split("\n")
  .map((line) => line.split("|").map((cell) => cell.trim()))
  .filter((cells) => cells.length === 6 && /^[a-z0-9]/.test(cells[1] ?? ""))
  .map(([, name = "", variables = "", state = ""]) => ({
    name: name.replace(/ \(.*/, ""),
    variables,
    state,
  }))
  .filter(({ name }) => name !== "program");

const specOf = (name: string) =>
  programSpec(readObject(readFileSync(join(folder, `${name}.o`)), name));

test("the README has a row for every program, and every program has an object", () => {
  const sources = readdirSync(folder).filter((name) => name.endsWith(".c"));
  const names = rows.map(({ name }) => name).sort();
  equal(names.length, 27);
  deepEqual(names, sources.map((name) => name.slice(0, -2)).sort());
  deepEqual(names, objects.map((name) => name.slice(0, -2)).sort());
});

const wordsIn = (cell: string, what: RegExp): string[] =>
  [...cell.matchAll(what)].map(([, word = ""]) => word);

test("the README names every variable and every map", () => {
  for (const { name, variables, state } of rows) {
    const { maps } = specOf(name);
    const rodata = maps.find((map) => map.name === ".rodata");
    const have = (rodata?.valueFields ?? [])
      .map(({ path }) => path)
      .filter((path) => !path.endsWith("_ifindex"));
    const macs = "lan_mac lan_next_hop wan_mac wan_next_hop".split(" ");
    const named = [
      ...(/\bmacs\b/.test(variables) ? macs : []),
      ...wordsIn(variables, /`([a-z_]+)`/g),
    ];
    deepEqual([...new Set(have)].sort(), [...new Set(named)].sort(), name);
    const stated = [
      ...wordsIn(state, /`([a-z_]+)` (?:\(expiring|hash|array|counter|ring)/g),
      ...wordsIn(state, /`([a-z_]+)` \(expiring/g).map((map) => `${map}_chain`),
    ];
    deepEqual(
      maps
        .map((map) => map.name)
        .filter((map) => !/^ports$|^\.rodata/.test(map))
        .sort(),
      stated.sort(),
      name,
    );
  }
});

test("the analysis knows every map of every program", () => {
  for (const { name } of rows) {
    const spec = specOf(name);
    const { objects: found } = analyse(spec);
    deepEqual(
      found.map((object) => object.name).sort(),
      spec.maps
        .map((map) => map.name)
        .filter((map) => map !== ".rodata")
        .sort(),
      name,
    );
  }
});

test("a build gives the committed instructions", { skip: noClang }, () => {
  const { status, stdout, stderr } = build("--check");
  equal(stderr, "");
  match(stdout, /^\d+ objects checked/);
  equal(status, 0);
});

test("a changed constant in a source is found", { skip: noClang }, () => {
  const copy = join(scratch, "c");
  cpSync(folder, copy, { recursive: true });
  const file = join(copy, "port-knock.c");
  const source = readFileSync(file, "utf8");
  writeFileSync(file, source.replace("KNOCK_3 102", "KNOCK_3 103"));
  const { status, stderr } = build("--check", "--folder", copy);
  equal(
    stderr.trim(),
    "port-knock.o: the committed instructions are not those of port-knock.c",
  );
  equal(status, 1);
});

test("no object names a path of the machine that built it", () => {
  for (const object of objects) {
    const text = readFileSync(join(folder, object), "latin1");
    const paths =
      text.match(/(?<![\x21-\x7e])[\w./-]*\/[\w./-]{3,}(?![\x21-\x7e])/g) ?? [];
    ok(paths.length > 0, object);
    equal(paths.filter((path) => !path.startsWith("./nfs/c/")).join(" "), "");
  }
});

test("every object loads", { skip: noLoader }, () => {
  for (const object of objects) {
    const pin = `/sys/fs/bpf/nfs-c-test-${process.pid}`;
    const { status, stderr } = spawnSync(
      "bpftool",
      ["prog", "load", join(folder, object), pin],
      { encoding: "utf8" },
    );
    rmSync(pin, { force: true });
    equal(status, 0, `${object}: ${stderr}`);
  }
});
