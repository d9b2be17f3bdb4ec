/** BTF both ways, and types that no compiler makes. */
import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { InputError } from "../base/index.ts";
import { kinds, type Btf, type BtfType } from "./btf.ts";
import { readBtfExt, writeBtfWithExt, type BtfExt } from "./btf-ext.ts";
import { compiledFixtures } from "./fixtures.test.ts";
import { layoutOf } from "./layout.ts";
import { parseMapDefinition } from "./map-definition.ts";
import { readBtf, readBtfSection } from "./read-btf.ts";
import { readElf } from "./elf.ts";
import { resolveType, sizeOfType } from "./resolve.ts";
import { writeBtf } from "./write-btf.ts";

/** One of every kind, with every flag. */
// prettier-ignore
const everyKind: readonly BtfType[] = [
  { kind: "void" },
  { kind: "int", name: "int", size: 4, bits: 32, offset: 0, encoding: 1 },
  { kind: "pointer", type: 1 },
  { kind: "array", type: 1, index: 1, count: 7 },
  { kind: "struct", name: "s", size: 8, bitFields: true, members: [
    { name: "a", type: 1, bitOffset: 0, bitSize: 3 }, { name: "", type: 5, bitOffset: 32, bitSize: 0 }] },
  { kind: "union", name: "", size: 4, bitFields: false, members: [{ name: "b", type: 1, bitOffset: 0, bitSize: 0 }] },
  { kind: "enum", name: "e", size: 4, signed: true, values: [{ name: "x", value: -5n }, { name: "y", value: 7n }] },
  { kind: "enum", name: "u", size: 4, signed: false, values: [{ name: "big", value: 0xffff_ffffn }] },
  { kind: "forward", name: "f", of: "union" },
  { kind: "forward", name: "g", of: "struct" },
  { kind: "typedef", name: "t", type: 4 },
  { kind: "volatile", type: 10 },
  { kind: "const", type: 11 },
  { kind: "restrict", type: 2 },
  { kind: "prototype", type: 1, parameters: [{ name: "p", type: 2 }, { name: "", type: 0 }] },
  { kind: "function", name: "fn", type: 14, linkage: "extern" },
  { kind: "variable", name: "v", type: 12, linkage: "static" },
  { kind: "section", name: ".data", size: 16, variables: [{ type: 16, offset: 8, size: 8 }] },
  { kind: "float", name: "double", size: 8 },
  { kind: "declaration-tag", name: "tag", type: 4, component: 1, attribute: false },
  { kind: "declaration-tag", name: "tag", type: 4, component: -1, attribute: true },
  { kind: "type-tag", name: "user", type: 1, attribute: false },
  { kind: "enum64", name: "l", size: 8, signed: true, values: [{ name: "m", value: -(2n ** 63n) }] },
  { kind: "enum64", name: "l", size: 8, signed: false, values: [{ name: "m", value: 2n ** 64n - 1n }] },
];

test("every kind is written and read", () => {
  deepEqual(
    new Set(everyKind.slice(1).map(({ kind }) => kind)),
    new Set(kinds.slice(1)),
  );
  const btf: Btf = { types: everyKind };
  deepEqual(readBtf(writeBtf(btf)), btf);
});

test("compilers' BTF and BTF.ext are written and read", () => {
  let seen = 0;
  for (const { name, bytes } of compiledFixtures()) {
    const find = (wanted: string) =>
      readElf(bytes).sections.find((section) => section.name === wanted);
    const [section, extSection] = [find(".BTF"), find(".BTF.ext")];
    if (section === undefined || extSection === undefined) continue;
    const { btf, strings } = readBtfSection(section.bytes);
    const ext = readBtfExt(extSection.bytes, strings);
    const written = writeBtfWithExt(btf, ext);
    const again = readBtfSection(written.btf);
    deepEqual(again.btf, btf, name);
    ok(written.ext !== undefined);
    const read: BtfExt = readBtfExt(written.ext, again.strings);
    deepEqual(read, ext, name);
    ok(written.btf.length <= section.bytes.length, "strings are shared");
    seen++;
  }
  ok(seen >= 5);
});

const kernel = "/sys/kernel/btf/vmlinux";
const skip = existsSync(kernel) ? false : `no ${kernel}`;

test("the running kernel's BTF is written and read", { skip }, () => {
  const btf = readBtf(new Uint8Array(readFileSync(kernel)));
  ok(btf.types.length > 10_000);
  deepEqual(readBtf(writeBtf(btf)), btf);
});

test("types that end nowhere are refused, not followed", () => {
  const loop: Btf = {
    types: [
      { kind: "void" },
      { kind: "typedef", name: "t", type: 1 },
      { kind: "array", type: 3, index: 1, count: 2 },
      { kind: "array", type: 2, index: 1, count: 2 },
      {
        kind: "struct",
        name: "s",
        size: 8,
        bitFields: false,
        members: [
          { name: "a", type: 4, bitOffset: 0, bitSize: 0 },
          { name: "b", type: 4, bitOffset: 0, bitSize: 0 },
        ],
      },
      { kind: "array", type: 6, index: 1, count: 0xffff_ffff },
      { kind: "array", type: 7, index: 1, count: 0xffff_ffff },
      { kind: "array", type: 8, index: 1, count: 0xffff_ffff },
      {
        kind: "struct",
        name: "",
        size: 0xffff_ffff,
        bitFields: false,
        members: [],
      },
    ],
  };
  deepEqual(readBtf(writeBtf(loop)), loop);
  const isDepth = (error: unknown): boolean =>
    error instanceof InputError && error.code === "btf-depth";
  throws(() => resolveType(loop, 1), isDepth);
  throws(() => sizeOfType(loop, 2), InputError);
  throws(() => sizeOfType(loop, 5), InputError);
  throws(() => parseMapDefinition(loop, 1, "m"), isDepth);
  equal(layoutOf(loop, 4), undefined, "no layout within limits");
});

test("an id beyond the last type is refused where it stands", () => {
  const bytes = writeBtf({
    types: [{ kind: "void" }, { kind: "pointer", type: 9 }],
  });
  throws(
    () => readBtf(bytes, 1000),
    (error: unknown) =>
      error instanceof InputError &&
      error.code === "btf-id" &&
      error.offset === 1024,
  );
});

test("large arrays are one field, and opaque kernel types keep their kind", () => {
  // prettier-ignore
  const types: readonly BtfType[] = [
    { kind: "void" },
    { kind: "int", name: "u8", size: 1, bits: 8, offset: 0, encoding: 0 },
    { kind: "array", type: 1, index: 1, count: 2000 },
    { kind: "struct", name: "bpf_spin_lock", size: 4, bitFields: false, members: [{ name: "val", type: 1, bitOffset: 0, bitSize: 0 }] },
    { kind: "struct", name: "v", size: 2004, bitFields: false, members: [
      { name: "lock", type: 3, bitOffset: 0, bitSize: 0 }, { name: "data", type: 2, bitOffset: 32, bitSize: 0 }] },
  ];
  deepEqual(layoutOf({ types }, 4), [
    { path: "lock", bitOffset: 0, bits: 32, kind: "spin-lock" },
    { path: "data", bitOffset: 32, bits: 16_000, kind: "other" },
  ]);
});
