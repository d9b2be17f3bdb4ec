/**
 * Object files for this room's tests: the C files of testdata/object, compiled
 * here, the network functions of nfs/c and the objects that libxdp1 installs.
 */
import { ok } from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";

const root = join(import.meta.dirname, "../..");
const headers = readdirSync("/usr/include")
  .map((name) => join("/usr/include", name))
  .find((path) => existsSync(join(path, "asm/types.h")));

let folder: string | undefined;
const built = new Map<string, Uint8Array>();

/** A folder that goes when the process does. */
export function temporaryFolder(): string {
  if (folder === undefined) {
    const made = mkdtempSync(join(tmpdir(), "divisi-object-"));
    process.on("exit", () => rmSync(made, { recursive: true, force: true }));
    folder = made;
  }
  return folder;
}

/** testdata/object/NAME.c compiled with `flags`. */
export function compiled(
  name: string,
  flags: readonly string[] = ["-g"],
): Uint8Array {
  const key = `${name} ${flags.join(" ")}`;
  const known = built.get(key);
  if (known !== undefined) return known;
  const out = join(temporaryFolder(), `${name}.o`);
  const source = join(root, "testdata/object", `${name}.c`);
  const words = ["-O2", "-target", "bpf", `-I${headers}`, ...flags];
  execFileSync("clang", [...words, "-c", source, "-o", out]);
  const bytes = new Uint8Array(readFileSync(out));
  built.set(key, bytes);
  return bytes;
}

export interface Fixture {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export function compiledFixtures(): Fixture[] {
  const list: readonly (readonly [string, ...string[]])[] = [
    ["maps", "-g"],
    ["maps", "-g", "-mcpu=v3"],
    ["legacy", "-g"],
    ["legacy"],
    ["calls", "-g"],
    ["core", "-g"],
  ];
  return list.map(([name, ...flags]) => ({
    name: [name, ...flags].join(" "),
    bytes: compiled(name, flags),
  }));
}

export function installedFixtures(): Fixture[] {
  const packaged = execFileSync("dpkg", ["-L", "libxdp1"], { encoding: "utf8" })
    .split("\n")
    .filter((path) => /\/bpf\/[^/]+\.o$/.test(path));
  const own = readdirSync(join(root, "nfs/c"))
    .filter((name) => name.endsWith(".o"))
    .map((name) => join(root, "nfs/c", name));
  return [...packaged, ...own].map((path) => ({
    name: path.slice(path.lastIndexOf("/") + 1),
    bytes: new Uint8Array(readFileSync(path)),
  }));
}

export function allFixtures(): Fixture[] {
  return [...compiledFixtures(), ...installedFixtures()];
}

test("there are fixtures of each kind", () => {
  ok(compiledFixtures().length >= 6);
  ok(installedFixtures().length >= 20);
});
