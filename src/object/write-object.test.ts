/**
 * Writing: readObject(writeObject(x)) = normalise(x) for every fixture, unedited
 * code keeps its bytes, and the kernel's own loader takes what we write.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import {
  editFunction,
  local,
  type Edit,
  type FunctionSpec,
} from "../isa/index.ts";
import {
  addMap,
  addVariable,
  emptyObject,
  replaceFunctions,
  resizeMap,
  setMapType,
} from "./edit.ts";
import { readElf } from "./elf.ts";
import { allFixtures, compiled, temporaryFolder } from "./fixtures.test.ts";
import { normalise } from "./normalise.ts";
import { readObject } from "./read-object.ts";
import type { ObjectSpec } from "./spec.ts";
import { writeObject } from "./write-object.ts";

/** The object without its notes: a normalised object gives fewer. */
function plain(object: ObjectSpec): ObjectSpec {
  return { ...object, notes: [] };
}

for (const { name, bytes } of allFixtures()) {
  test(`${name}: written and read it is the same`, () => {
    const object = readObject(bytes, name);
    const written = writeObject(object);
    const again = readObject(written, name);
    deepEqual(plain(again), plain(normalise(object)));
    deepEqual(writeObject(again), written, "bytes are stable");
    deepEqual(normalise(normalise(object)), normalise(object));
  });
}

test("unedited code, data and relocations keep their bytes", () => {
  let sections = 0;
  for (const { name, bytes } of allFixtures()) {
    const object = readObject(bytes, name);
    // What libbpf refuses is rearranged; see normalise.
    if (/^(calls|legacy)/.test(name)) continue;
    const written = readElf(writeObject(object)).sections;
    for (const section of readElf(bytes).sections) {
      if ((section.flags & 2) === 0 || section.size === 0) continue;
      if (/^\.(eh_frame|maps)/.test(section.name)) continue;
      const now = written.find((other) => other.name === section.name);
      deepEqual(now?.bytes, new Uint8Array(section.bytes), section.name);
      sections++;
    }
  }
  ok(sections > 60, `${sections} sections`);
});

// The kernel and libbpf as judges

const pins = "/sys/fs/bpf/divisi-object-test";

/** Why the loader cannot be asked here; undefined if it can. */
function noLoader(): string | undefined {
  if (process.getuid?.() !== 0) return "not root";
  if (spawnSync("bpftool", ["version"]).status !== 0) return "no bpftool";
  if (!existsSync("/sys/fs/bpf")) return "no bpf file system";
  const mounts = execFileSync("mount", ["-t", "bpf"], { encoding: "utf8" });
  if (!mounts.includes("/sys/fs/bpf"))
    spawnSync("mount", ["-t", "bpf", "bpf", "/sys/fs/bpf"]);
  const probe = spawnSync("bpftool", ["prog", "show"], { encoding: "utf8" });
  return probe.status === 0 ? undefined : "bpf(2) is not permitted";
}

/** What bpftool says to the object: "" when it loads. */
function load(bytes: Uint8Array, words: readonly string[] = []): string {
  return withLoaded(bytes, words, () => undefined);
}

/** Loads, lets `look` see the folder of pinned programs, and unloads. */
function withLoaded(
  bytes: Uint8Array,
  words: readonly string[],
  look: (folder: string) => void,
): string {
  const file = join(temporaryFolder(), "loaded.o");
  const folder = `${pins}-${process.pid}`;
  writeFileSync(file, bytes);
  rmSync(folder, { recursive: true, force: true });
  // Maps that ask for it are pinned by libbpf; what was not there goes again.
  const pinned = readObject(bytes, file)
    .maps.filter(({ pinning }) => pinning !== undefined)
    .map(({ name }) => join("/sys/fs/bpf", name))
    .filter((path) => !existsSync(path));
  const done = spawnSync(
    "bpftool",
    ["prog", "loadall", file, folder, ...words],
    { encoding: "utf8" },
  );
  try {
    if (done.status === 0) look(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
    for (const path of pinned) rmSync(path, { force: true });
  }
  return done.status === 0 ? "" : `${done.stderr}${done.stdout}`;
}

/** Programs as the kernel holds them, with source lines; map numbers aside. */
function translated(bytes: Uint8Array): string {
  let text = "";
  const why = withLoaded(bytes, [], (folder) => {
    for (const name of readdirSync(folder).sort()) {
      const pin = join(folder, name);
      const words = ["prog", "dump", "xlated", "pinned", pin, "linum"];
      const dump = spawnSync("bpftool", words, { encoding: "utf8" });
      equal(dump.status, 0, dump.stderr);
      text += `${name}:\n${dump.stdout}`;
    }
  });
  equal(why, "");
  return text
    .replaceAll(/map\[id:\d+\]/g, "map")
    .replaceAll(/bpf_prog_[0-9a-f]{16}/g, "program");
}

const skip = noLoader() ?? false;

test("what loads still loads when written back", { skip }, () => {
  let loaded = 0;
  for (const { name, bytes } of allFixtures()) {
    const before = load(bytes);
    // The kernel has nothing that fentry/func could attach to.
    if (before !== "") {
      ok(/xdpdump_bpf|^(calls|legacy)/.test(name), `${name}: ${before}`);
      continue;
    }
    equal(load(writeObject(readObject(bytes, name))), "", name);
    loaded++;
  }
  ok(loaded >= 24, `${loaded} objects loaded`);
});

test("what libbpf refuses loads when written back", { skip }, () => {
  const cases: readonly (readonly [Uint8Array, ...string[]])[] = [
    [compiled("calls")],
    [compiled("legacy"), "type", "xdp"],
    [compiled("legacy", []), "type", "xdp"],
  ];
  for (const [bytes, ...words] of cases) {
    ok(load(bytes, words) !== "");
    equal(load(writeObject(readObject(bytes, "x.o")), words), "");
  }
});

test("edited maps, variables and functions load", { skip }, () => {
  const object = readObject(compiled("maps"), "maps.o");
  const variable = addVariable(object, ".data", "ready", new Uint8Array(4));
  const table = addMap(variable.object, {
    name: "table",
    type: "percpu_hash",
    keySize: 6,
    valueSize: 40,
    maxEntries: 77,
    flags: 0,
    section: ".maps",
    readOnly: false,
  });
  const prologue: FunctionSpec = {
    name: "prologue",
    section: ".text",
    linkage: "static",
    // prettier-ignore
    instructions: [
      { kind: "load-wide", dst: 1, value: { kind: "map-value", map: ".data", offset: variable.variable.offset } },
      { kind: "load", size: 4, signed: false, dst: 0, base: 1, offset: 0 },
      { kind: "exit" },
    ],
    lines: [],
    coreRelocations: [],
  };
  const functions = object.functions.map((fn): FunctionSpec => {
    if (fn.name !== "other") return fn;
    // Two instructions in front: every index moves by two.
    return {
      ...fn,
      instructions: [
        {
          kind: "alu",
          op: "mov",
          width: 64,
          dst: 6,
          src: { kind: "register", register: 1 },
        },
        { kind: "call", callee: { kind: "function", name: "prologue" } },
        {
          kind: "alu",
          op: "mov",
          width: 64,
          dst: 1,
          src: { kind: "register", register: 6 },
        },
        ...fn.instructions,
      ],
      lines: fn.lines.map((line) => ({ ...line, at: line.at + 3 })),
    };
  });
  const edited = resizeMap(
    setMapType(
      replaceFunctions(table, [...functions, prologue]),
      "first",
      "hash",
    ),
    "outer",
    9,
  );
  equal(load(writeObject(edited)), "");
  const read = readObject(writeObject(edited), "maps.o");
  deepEqual(
    read.maps.map(({ name, maxEntries }) => [name, maxEntries]).slice(2, 6),
    [
      ["outer", 9],
      ["jumps", 4],
      ["outer_hash", 4],
      ["table", 77],
    ],
  );
  ok(read.variables.some(({ name }) => name === "ready"));
});

test("an object made from nothing loads", { skip }, () => {
  const map = addMap(emptyObject("made.o", "GPL"), {
    name: "cells",
    type: "array",
    keySize: 4,
    valueSize: 8,
    maxEntries: 1,
    flags: 0,
    section: ".maps",
    readOnly: false,
  });
  const made = replaceFunctions(map, [
    {
      name: "entry",
      section: "xdp",
      linkage: "global",
      // prettier-ignore
      instructions: [
        { kind: "load-wide", dst: 1, value: { kind: "map", map: "cells" } },
        { kind: "alu", op: "mov", width: 64, dst: 0, src: { kind: "immediate", value: 2 } },
        { kind: "exit" },
      ],
      lines: [],
      coreRelocations: [],
    },
  ]);
  equal(load(writeObject(made)), "");
});

/** A jump to the next instruction in front of every instruction: the kernel drops them. */
function padded(object: ObjectSpec): ObjectSpec {
  return replaceFunctions(
    object,
    object.functions.map((fn) =>
      editFunction(
        fn,
        fn.instructions.map((_, at): Edit => ({
          kind: "insert",
          at,
          instructions: [{ kind: "jump", target: local(1), long: false }],
        })),
      ),
    ),
  );
}

test("inserted code moves jumps, calls and lines; deleted, all is back", () => {
  for (const { name, bytes } of allFixtures()) {
    const object = readObject(bytes, name);
    const again = readObject(writeObject(padded(object)), name);
    const cut = again.functions.map((fn) =>
      editFunction(
        fn,
        fn.instructions.flatMap((_, at): Edit[] =>
          at % 2 === 0 ? [{ kind: "delete", at }] : [],
        ),
      ),
    );
    deepEqual(cut, normalise(object).functions, name);
  }
});

test("the kernel sees the same program through inserted code", { skip }, () => {
  const names = /^(maps|core|xdpfilt_alw_all|xdp-dispatcher|firewall|policer)/;
  let compared = 0;
  for (const { name, bytes } of allFixtures().filter((f) =>
    names.test(f.name),
  )) {
    const object = readObject(bytes, name);
    const want = translated(bytes);
    ok(want.includes("; "), "source lines are shown");
    equal(translated(writeObject(padded(object))), want, name);
    compared++;
  }
  ok(compared >= 6);
});

test(
  "mutant: a jump that is off by one does not pass for the same",
  { skip },
  () => {
    const bytes = compiled("maps");
    const object = padded(readObject(bytes, "maps.o"));
    const want = translated(bytes);
    const off = object.functions.map((fn): FunctionSpec => {
      const at = fn.instructions.findIndex(({ kind }) => kind === "branch");
      const instruction = fn.instructions[at];
      if (instruction?.kind !== "branch") return fn;
      const target = instruction.target + 2;
      const instructions = fn.instructions.with(at, { ...instruction, target });
      return { ...fn, instructions };
    });
    const mutant = writeObject(replaceFunctions(object, off));
    const why = load(mutant);
    ok(why !== "" || translated(mutant) !== want);
  },
);
