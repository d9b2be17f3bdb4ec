/**
 * CO-RE: each relocation kind against a small target, and libbpf as the judge on
 * the running kernel.
 */
import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { InputError } from "../base/index.ts";
import { parseInstruction, printInstruction } from "../isa/index.ts";
import { applyCoreRelocations } from "./apply-core.ts";
import type { Btf, BtfMember, BtfType } from "./btf.ts";
import { essentialName } from "./core-compat.ts";
import { relocationKinds, type RelocationKind } from "./core-value.ts";
import { emptyObject } from "./edit.ts";
import { compiled, temporaryFolder } from "./fixtures.test.ts";
import { readBtf } from "./read-btf.ts";
import { readObject } from "./read-object.ts";
import type { ObjectSpec } from "./spec.ts";
import { writeObject } from "./write-object.ts";

const member = (
  name: string,
  type: number,
  bitOffset: number,
  bitSize = 0,
): BtfMember => ({ name, type, bitOffset, bitSize });

// prettier-ignore
const common: readonly BtfType[] = [
  { kind: "void" },
  { kind: "int", name: "int", size: 4, bits: 32, offset: 0, encoding: 1 },
  { kind: "int", name: "unsigned int", size: 4, bits: 32, offset: 0, encoding: 0 },
  { kind: "int", name: "unsigned long", size: 8, bits: 64, offset: 0, encoding: 0 },
  { kind: "array", type: 2, index: 1, count: 4 },
];

// prettier-ignore
const local: Btf = { types: [
  ...common,
  /* 5 */ { kind: "struct", name: "s___mine", size: 32, bitFields: true, members: [
    member("count", 2, 0), member("list", 4, 32), member("flag", 2, 160, 1), member("gone", 1, 192), member("sign", 1, 224)] },
  /* 6 */ { kind: "enum", name: "e", size: 4, signed: false, values: [{ name: "A___x", value: 1n }, { name: "B", value: 2n }] },
  /* 7 */ { kind: "struct", name: "missing", size: 4, bitFields: false, members: [] },
  /* 8 */ { kind: "struct", name: "twice", size: 4, bitFields: false, members: [member("a", 1, 0)] },
] };

// prettier-ignore
const target: Btf = { types: [
  ...common,
  /* 5 */ { kind: "union", name: "", size: 24, bitFields: false, members: [member("list", 4, 64), member("count", 3, 0)] },
  /* 6 */ { kind: "struct", name: "s", size: 64, bitFields: true, members: [
    member("first", 3, 0), member("", 5, 64), member("flag", 2, 286, 1), member("sign", 3, 320)] },
  /* 7 */ { kind: "enum", name: "e___other", size: 4, signed: false, values: [{ name: "A", value: 9n }] },
  /* 8 */ { kind: "struct", name: "twice___1", size: 8, bitFields: false, members: [member("a", 1, 0)] },
  /* 9 */ { kind: "struct", name: "twice___2", size: 8, bitFields: false, members: [member("a", 1, 32)] },
] };

function objectWith(
  text: string,
  kind: RelocationKind,
  typeId: number,
  access: string,
): ObjectSpec {
  const object = emptyObject("core.o", "GPL");
  return {
    ...object,
    btf: local,
    functions: [
      {
        name: "f",
        section: "xdp",
        linkage: "global",
        instructions: [parseInstruction(text)],
        lines: [],
        coreRelocations: [
          { at: 0, typeId, access, kind: relocationKinds.indexOf(kind) },
        ],
      },
    ],
  };
}

function relocated(
  text: string,
  kind: RelocationKind,
  typeId: number,
  access: string,
): string {
  const object = objectWith(text, kind, typeId, access);
  const result = applyCoreRelocations(object, target);
  const [fn] = result.functions;
  const [instruction] = fn?.instructions ?? [];
  ok(instruction !== undefined);
  deepEqual(fn?.coreRelocations, []);
  const printed = printInstruction(instruction);
  equal(printed.includes("195896080"), result.notes.length === 1);
  return printed.includes("195896080") ? "poison" : printed;
}

const same = (text: string): string => printInstruction(parseInstruction(text));

test("each kind of relocation", () => {
  // prettier-ignore
  const table: readonly (readonly [string, RelocationKind, number, string, string])[] = [
    ["r1 += 0", "field-offset", 5, "0:0", "r1 += 8"],
    ["r1 += 32", "field-offset", 5, "1:0", "r1 += 72"],
    ["r1 += 12", "field-offset", 5, "0:1:2", "r1 += 24"],
    // An unsigned field that grew: the load grows with it.
    ["r1 = *(u32 *)(r2 + 0)", "field-offset", 5, "0:0", "r1 = *(u64 *)(r2 + 8)"],
    ["r1 = *(u32 *)(r2 + 12)", "field-offset", 5, "0:1:2", "r1 = *(u32 *)(r2 + 24)"],
    // A signed one must not: the value would be another.
    ["r1 = *(u32 *)(r2 + 28)", "field-offset", 5, "0:4", "poison"],
    ["r1 += 28", "field-offset", 5, "0:4", "r1 += 40"],
    ["r1 += 24", "field-offset", 5, "0:3", "poison"],
    ["r1 = 1", "field-exists", 5, "0:3", "r1 = 0"],
    ["r1 = 1", "field-exists", 5, "0:1", "r1 = 1"],
    ["r1 = 16", "field-size", 5, "0:1", "r1 = 16"],
    ["r1 = 4", "field-size", 5, "0:0", "r1 = 8"],
    ["r1 = 1", "field-signed", 5, "0:4", "r1 = 0"],
    // Bit 286 of width 1 in units of 4 bytes: unit 32, bit 30 of it.
    ["r1 += 20", "field-offset", 5, "0:2", "r1 += 32"],
    ["r1 <<= 63", "field-left-shift", 5, "0:2", "r1 <<= 33"],
    ["r1 >>= 63", "field-right-shift", 5, "0:2", "r1 >>= 63"],
    ["r1 = 5", "type-id-local", 5, "0", "r1 = 5"],
    ["r1 = 5", "type-id-target", 5, "0", "r1 = 6"],
    ["r1 = 1", "type-exists", 5, "0", "r1 = 1"],
    ["r1 = 1", "type-exists", 7, "0", "r1 = 0"],
    ["r1 = 32", "type-size", 5, "0", "r1 = 64"],
    ["r1 = 1", "type-matches", 5, "0", "r1 = 0"],
    ["r1 = 1 ll", "enumerator-value", 6, "0", "r1 = 9 ll"],
    ["r1 = 2", "enumerator-value", 6, "1", "poison"],
    ["r1 = 1", "enumerator-exists", 6, "1", "r1 = 0"],
  ];
  for (const [text, kind, type, access, want] of table)
    equal(
      relocated(text, kind, type, access),
      want === "poison" ? want : same(want),
      `${text} ${kind} ${type} ${access}`,
    );
});

test("records that make no sense are refused, with function and instruction", () => {
  // prettier-ignore
  const table: readonly (readonly [string, RelocationKind, number, string, string])[] = [
    ["r1 += 4", "field-offset", 5, "0:0", "core-mismatch"],
    ["r1 += r2", "field-offset", 5, "0:0", "core-instruction"],
    ["r1 += 0", "field-offset", 5, "0:9", "core-access"],
    ["r1 += 0", "field-offset", 5, "0:0:0", "core-access"],
    ["r1 += 0", "field-offset", 5, "x", "core-access"],
    ["r1 += 0", "field-offset", 4, "0:0", "core-type"],
    ["r1 += 0", "field-offset", 8, "0:0", "core-ambiguous"],
    ["r1 = 1", "enumerator-value", 6, "7", "core-access"],
  ];
  for (const [text, kind, type, access, code] of table)
    throws(
      () => applyCoreRelocations(objectWith(text, kind, type, access), target),
      (error: unknown) =>
        error instanceof InputError &&
        error.code === code &&
        error.file === "core.o" &&
        error.message.startsWith("f, instruction 0: "),
      `${text} ${kind} ${type} ${access}`,
    );
});

test("flavours", () => {
  const table: readonly (readonly [string, string])[] = [
    ["s___mine", "s"],
    ["s___a___b", "s___a"],
    ["___s", "___s"],
    ["s____x", "s____x"],
    ["s___", "s___"],
    ["plain", "plain"],
  ];
  for (const [name, want] of table) equal(essentialName(name), want, name);
});

const kernel = "/sys/kernel/btf/vmlinux";

function noJudge(): string | false {
  if (!existsSync(kernel)) return `no ${kernel}`;
  if (process.getuid?.() !== 0) return "not root";
  const probe = spawnSync("bpftool", ["prog", "show"]);
  return probe.status === 0 ? false : "bpftool or bpf(2) cannot be used";
}

/** The program as the kernel holds it, map numbers aside. */
function translated(bytes: Uint8Array): string {
  const file = join(temporaryFolder(), "core.o");
  const pin = `/sys/fs/bpf/divisi-core-test-${process.pid}`;
  writeFileSync(file, bytes);
  rmSync(pin, { force: true });
  const loaded = spawnSync("bpftool", ["prog", "load", file, pin], {
    encoding: "utf8",
  });
  equal(loaded.status, 0, loaded.stderr);
  const dump = spawnSync("bpftool", ["prog", "dump", "xlated", "pinned", pin], {
    encoding: "utf8",
  });
  rmSync(pin, { force: true });
  return dump.stdout.replaceAll(/map\[id:\d+\]/g, "map");
}

test("on the running kernel, as libbpf does it", { skip: noJudge() }, () => {
  const bytes = compiled("core");
  const object = readObject(bytes, "core.o");
  const btf = readBtf(new Uint8Array(readFileSync(kernel)));
  const applied = applyCoreRelocations(object, btf);
  equal(applied.notes.length, 1, "one access to a field that is nowhere");
  const before = object.functions.flatMap((fn) => fn.instructions);
  const after = applied.functions.flatMap((fn) => fn.instructions);
  const changed = before.filter(
    (instruction, index) =>
      JSON.stringify(instruction, show) !== JSON.stringify(after[index], show),
  );
  ok(changed.length >= 10, `${changed.length} instructions changed`);
  equal(translated(writeObject(applied)), translated(bytes));
});

const show = (_: string, value: unknown): unknown =>
  typeof value === "bigint" ? value.toString() : value;
