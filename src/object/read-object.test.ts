/** Reading: what each way to say a thing in C becomes in the specification. */
import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { test } from "node:test";
import { InputError } from "../base/index.ts";
import type { FunctionSpec, MapSpec } from "../isa/index.ts";
import { compiled } from "./fixtures.test.ts";
import { programSpec, programTypeOfSection } from "./program.ts";
import { readObject } from "./read-object.ts";
import type { ObjectSpec } from "./spec.ts";

const maps = readObject(compiled("maps"), "maps.o");
const legacy = readObject(compiled("legacy"), "legacy.o");
const untyped = readObject(compiled("legacy", []), "untyped.o");
const calls = readObject(compiled("calls"), "calls.o");

function mapOf(object: ObjectSpec, name: string): MapSpec {
  const map = object.maps.find((other) => other.name === name);
  ok(map !== undefined, name);
  return map;
}

/** Type, key size, value size, entries, flags. */
function shape({ type, keySize, valueSize, maxEntries, flags }: MapSpec) {
  return [type, keySize, valueSize, maxEntries, flags];
}

function functionOf(object: ObjectSpec, name: string): FunctionSpec {
  const fn = object.functions.find((other) => other.name === name);
  ok(fn !== undefined, name);
  return fn;
}

/** What instructions of `fn` name: `map first`, `function add`, `.data+0`. */
function namesIn(fn: FunctionSpec): string[] {
  return fn.instructions.flatMap((instruction) => {
    if (instruction.kind === "call") {
      const { callee } = instruction;
      return callee.kind === "function" || callee.kind === "kfunc"
        ? [`${callee.kind} ${callee.name}`]
        : [];
    }
    if (instruction.kind !== "load-wide") return [];
    const { value } = instruction;
    switch (value.kind) {
      case "map":
        return [`map ${value.map}`];
      case "map-value":
        return [`${value.map}+${value.offset}`];
      case "function":
      case "kernel-symbol":
        return [`${value.kind} ${value.name}`];
      case "number":
      case "raw":
        return [value.kind];
    }
  });
}

test("maps: every kind of definition", () => {
  const table: readonly (readonly [
    ObjectSpec,
    string,
    ReturnType<typeof shape>,
  ])[] = [
    [maps, "first", ["hash", 4, 24, 16, 0]],
    [maps, "second", ["hash", 4, 24, 16, 0]],
    [maps, "outer", ["array_of_maps", 4, 4, 4, 0]],
    [maps, "outer_hash", ["hash_of_maps", 4, 4, 4, 0]],
    [maps, "jumps", ["prog_array", 4, 4, 4, 0]],
    [maps, ".rodata", ["array", 4, 13, 1, 0x480]],
    [maps, ".data", ["array", 4, 8, 1, 0x400]],
    [maps, ".bss", ["array", 4, 4, 1, 0]],
    [maps, ".kconfig", ["array", 4, 5, 1, 0x480]],
    [legacy, "counters", ["percpu_array", 4, 8, 64, 0]],
    [legacy, "routes", ["lpm_trie", 8, 4, 100, 1]],
    [legacy, "tables", ["array_of_maps", 4, 4, 2, 0]],
    [untyped, "counters", ["percpu_array", 4, 8, 64, 0]],
    [untyped, "routes", ["lpm_trie", 8, 4, 100, 1]],
    [untyped, "tables", ["array_of_maps", 4, 4, 2, 0]],
    [untyped, ".data", ["array", 4, 4, 1, 0]],
  ];
  for (const [object, name, want] of table)
    deepEqual(shape(mapOf(object, name)), want, `${object.file} ${name}`);
});

test("maps of maps: templates and what they hold from the start", () => {
  const inner = mapOf(maps, "outer").inner;
  ok(inner !== undefined);
  deepEqual(shape(inner), shape(mapOf(maps, "first")));
  equal(inner.name, "outer.inner");
  const anonymous = mapOf(maps, "outer_hash").inner;
  ok(anonymous !== undefined);
  deepEqual(shape(anonymous), ["array", 4, 8, 1, 0]);
  const legacyInner = mapOf(legacy, "tables").inner;
  ok(legacyInner !== undefined);
  deepEqual(shape(legacyInner), shape(mapOf(legacy, "template")));
  deepEqual(mapOf(maps, "outer").values, [
    { index: 1, target: { kind: "map", name: "first" } },
    { index: 2, target: { kind: "map", name: "second" } },
  ]);
  deepEqual(mapOf(maps, "jumps").values, [
    { index: 2, target: { kind: "function", name: "tail" } },
  ]);
});

test("layouts: nested, bit fields, unions, arrays", () => {
  deepEqual(mapOf(maps, "first").keyFields, [
    { path: "", bitOffset: 0, bits: 32, kind: "int" },
  ]);
  deepEqual(
    mapOf(maps, "first").valueFields?.map(
      ({ path, bitOffset, bits }) => `${path} ${bitOffset} ${bits}`,
    ),
    [
      "low 0 3",
      "high 3 5",
      "count 64 64",
      "inner.ports[0] 128 16",
      "inner.ports[1] 144 16",
      "inner.word 160 32",
      "inner.bytes[0] 160 8",
      "inner.bytes[1] 168 8",
      "inner.bytes[2] 176 8",
      "inner.bytes[3] 184 8",
    ],
  );
  const variables = maps.variables.map(
    ({ name, section, offset, size, linkage }) =>
      `${section}+${offset} ${name} ${size} ${linkage}`,
  );
  deepEqual(variables, [
    ".rodata+0 factor 4 global",
    ".rodata+4 greeting 9 static",
    ".data+0 bias 8 global",
    ".bss+0 runs 4 static",
  ]);
  deepEqual(
    [...(mapOf(maps, ".rodata").data ?? [])].slice(0, 5),
    [5, 0, 0, 0, 104],
  );
});

test("names stand where relocations and relative calls were", () => {
  deepEqual(namesIn(functionOf(maps, "entry")), [
    "function add",
    "map outer",
    "map outer_hash",
    "map jumps",
    ".kconfig+0",
    ".kconfig+4",
    "function weigh",
    "function scale",
  ]);
  deepEqual(namesIn(functionOf(maps, "weigh")), [
    ".bss+0",
    "function scale",
    ".data+0",
  ]);
  deepEqual(namesIn(functionOf(calls, "second")), [
    "kernel-symbol divisi_nosuch_symbol",
    "kfunc bpf_cast_to_kern_ctx",
    "function entry",
    "function hidden",
  ]);
  deepEqual(calls.externs, [
    { kind: "function", name: "bpf_cast_to_kern_ctx", weak: false },
    { kind: "variable", name: "divisi_nosuch_symbol", weak: true },
  ]);
  deepEqual(maps.externs, [
    {
      kind: "kconfig",
      name: "LINUX_KERNEL_VERSION",
      weak: false,
      offset: 0,
      size: 4,
    },
    { kind: "kconfig", name: "CONFIG_BPF", weak: true, offset: 4, size: 1 },
  ]);
});

test("functions: sections cut at symbols, with lines and BTF", () => {
  const shown = (object: ObjectSpec): string[] =>
    object.functions.map(
      ({ name, section, linkage }) => `${section} ${name} ${linkage}`,
    );
  deepEqual(shown(maps).slice(0, 4), [
    ".text weigh global",
    ".text scale static",
    ".text add static",
    ".text difference static",
  ]);
  deepEqual(shown(legacy), ["2/5 part static", "xdp_prog entry global"]);
  equal(functionOf(calls, "hidden").linkage, "static");
  for (const fn of maps.functions) {
    equal(fn.lines[0]?.at, 0, fn.name);
    ok(fn.lines.every(({ file }) => file.endsWith("maps.c")));
    const type = maps.btf?.types[fn.btfFunction ?? 0];
    equal(type?.kind === "function" ? type.name : "", fn.name);
  }
  deepEqual(
    untyped.functions.flatMap(({ lines }) => lines),
    [],
  );
  equal(legacy.kernelVersion, 0x60100);
  equal(legacy.license, "GPL");
});

test("programs: which, and of which type", () => {
  const shown = ({ programs }: ObjectSpec): string[] =>
    programs.map(({ name, type }) => `${name} ${type}`);
  deepEqual(shown(maps), ["tail xdp", "entry xdp", "other xdp"]);
  deepEqual(shown(legacy), ["part undefined", "entry xdp"]);
  deepEqual(shown(calls), ["entry xdp", "second xdp"]);
  const sections: readonly (readonly [string, string | undefined])[] = [
    ["xdp", "xdp"],
    ["xdp/devmap", "xdp"],
    ["xdp.frags", "xdp"],
    ["xdp_prog", "xdp"],
    ["xdp1", "xdp"],
    ["xdpfoo", undefined],
    ["tc", "sched_cls"],
    ["tcx/ingress", "sched_cls"],
    ["classifier", "sched_cls"],
    ["tcp", undefined],
    ["tracepoint/net/x", "tracepoint"],
    ["tp_btf/x", "tracing"],
    ["socket", "socket_filter"],
    ["sockops", "sock_ops"],
    ["?tc", "sched_cls"],
    ["xdp.frags/cpumap", "xdp"],
    ["cgroup/sock_release", "cgroup_sock"],
    ["lsm_cgroup/socket_bind", "lsm"],
    ["2/5", undefined],
  ];
  for (const [section, type] of sections)
    equal(programTypeOfSection(section), type, section);
});

test("programSpec: functions and maps that are reached", () => {
  const spec = programSpec(maps, { entry: "entry" });
  deepEqual(
    spec.functions.map(({ name }) => name),
    ["entry", "add", "weigh", "scale"],
  );
  deepEqual(
    spec.maps.map(({ name }) => name),
    // prettier-ignore
    ["first", "second", "outer", "jumps", "outer_hash", ".rodata", ".data", ".bss", ".kconfig"],
  );
  equal(programSpec(maps, { entry: "other" }).maps.length, 2);
});

test("programSpec asks for what it needs, and names the candidates", () => {
  const refused = (
    object: ObjectSpec,
    choice: Parameters<typeof programSpec>[1],
  ): string => {
    try {
      programSpec(object, choice);
    } catch (error) {
      ok(error instanceof InputError);
      equal(error.file, object.file);
      return `${error.kind} ${error.code}: ${error.message} ${error.fix ?? ""}`;
    }
    return "";
  };
  ok(
    /^usage entry-ambiguous: .*tail \(xdp\), entry \(xdp\)/.test(
      refused(maps, {}),
    ),
  );
  ok(
    /^usage entry-unknown: .*did you mean `entry`/.test(
      refused(maps, { entry: "entri" }),
    ),
  );
  ok(
    /^usage program-type-unknown: .*--type/.test(
      refused(legacy, { entry: "part" }),
    ),
  );
  equal(programSpec(legacy, { entry: "part", type: "xdp" }).type, "xdp");
  const bare = { ...maps, functions: [], programs: [] };
  ok(refused(bare, {}).startsWith("input program-missing"));
});

test("files that are not ours are refused with the reason", () => {
  const changed = (at: number, value: number): Uint8Array => {
    const bytes = compiled("legacy").slice();
    bytes[at] = value;
    return bytes;
  };
  const cases: readonly (readonly [Uint8Array, string, number])[] = [
    [new Uint8Array(0), "elf-magic", 0],
    [new TextEncoder().encode("#!/bin/sh\n"), "elf-magic", 0],
    [changed(4, 1), "elf-class", 4],
    [changed(5, 2), "elf-big-endian", 5],
    [changed(16, 2), "elf-type", 16],
    [changed(18, 62), "elf-machine", 18],
    [changed(58, 63), "elf-section-header", 58],
    [compiled("legacy").slice(0, 40), "truncated", 0],
  ];
  for (const [bytes, code, offset] of cases)
    throws(
      () => readObject(bytes, "bad.o"),
      (error: unknown) =>
        error instanceof InputError &&
        error.code === code &&
        error.offset === offset &&
        error.file === "bad.o" &&
        error.kind === "input",
      code,
    );
});
