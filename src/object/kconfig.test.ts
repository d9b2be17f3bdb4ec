import { deepEqual, equal, throws } from "node:assert/strict";
import { test } from "node:test";
import { InputError } from "../base/index.ts";
import type { BtfType } from "./btf.ts";
import { emptyObject } from "./edit.ts";
import { fillKconfig } from "./kconfig.ts";
import type { ObjectSpec } from "./spec.ts";

const int = (name: string, size: number, encoding: number): BtfType => ({
  kind: "int",
  name,
  size,
  bits: 8 * size,
  offset: 0,
  encoding,
});

// Types by name; `text` is char[8], `tri` libbpf's enum.
const types: readonly BtfType[] = [
  { kind: "void" },
  int("_Bool", 1, 4),
  int("char", 1, 0),
  int("int", 4, 1),
  int("unsigned long", 8, 0),
  { kind: "array", type: 2, index: 3, count: 8 },
  {
    kind: "enum",
    name: "libbpf_tristate",
    size: 4,
    signed: false,
    values: [],
  },
];
const ids = { bool: 1, char: 2, int: 3, long: 4, text: 5, tri: 6 } as const;
const sizes = { bool: 1, char: 1, int: 4, long: 8, text: 8, tri: 4 } as const;

/** One extern CONFIG_X of a type. */
function object(type: keyof typeof ids, weak = false): ObjectSpec {
  const size = sizes[type];
  return {
    ...emptyObject("x.o", "GPL"),
    btf: {
      types: [
        ...types,
        {
          kind: "variable",
          name: "CONFIG_X",
          type: ids[type],
          linkage: "extern",
        },
        {
          kind: "section",
          name: ".kconfig",
          size: 4 + size,
          variables: [{ type: types.length, offset: 4, size }],
        },
      ],
    },
    maps: [
      {
        name: ".kconfig",
        type: "array",
        keySize: 4,
        valueSize: 4 + size,
        maxEntries: 1,
        flags: 0,
        section: ".kconfig",
        readOnly: true,
      },
    ],
    externs: [{ kind: "kconfig", name: "CONFIG_X", weak, offset: 4, size }],
  };
}

test("values take the form of their types", () => {
  const table: readonly (readonly [
    keyof typeof ids,
    string,
    readonly number[] | "refused",
  ])[] = [
    ["bool", "y", [1]],
    ["bool", "m", "refused"],
    ["char", "m", [0x6d]],
    ["tri", "y", [1, 0, 0, 0]],
    ["tri", "m", [2, 0, 0, 0]],
    ["tri", '"y"', "refused"],
    ["int", "250", [250, 0, 0, 0]],
    ["int", "-2", [0xfe, 0xff, 0xff, 0xff]],
    ["int", "0x1_0", "refused"],
    ["int", "4294967296", "refused"],
    ["int", "y", "refused"],
    ["long", "0xffffffffff", [255, 255, 255, 255, 255, 0, 0, 0]],
    ["text", '"abc"', [97, 98, 99, 0, 0, 0, 0, 0]],
    ["text", '"abcdefghij"', [97, 98, 99, 100, 101, 102, 103, 0]],
    ["text", "7", "refused"],
  ];
  for (const [type, value, want] of table) {
    const given = object(type);
    if (want === "refused") {
      throws(() => fillKconfig(given, () => value), InputError, value);
      continue;
    }
    const [map] = fillKconfig(given, () => value).object.maps;
    deepEqual(
      [...(map?.data ?? [])],
      [0, 0, 0, 0, ...want],
      `${type} ${value}`,
    );
  }
});

test("what nobody knows is zero where it may be, and named where it may not", () => {
  const nothing = (): undefined => undefined;
  const weak = fillKconfig(object("int", true), nothing);
  deepEqual(weak.missing, []);
  deepEqual([...(weak.object.maps[0]?.data ?? [])], [0, 0, 0, 0, 0, 0, 0, 0]);
  const strong = fillKconfig(object("int"), nothing);
  deepEqual(strong.missing, ["CONFIG_X"]);
  equal(strong.object.maps[0]?.data, undefined);
});
