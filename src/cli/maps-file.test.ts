import { deepEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import type { MapSpec } from "../isa/index.ts";
import { parseMapsFile, printMapsFile } from "./maps-file.ts";

const map = (name: string, type: MapSpec["type"] = "hash"): MapSpec => ({
  name,
  type,
  keySize: 2,
  valueSize: 4,
  maxEntries: 8,
  flags: 0,
  section: ".maps",
  readOnly: false,
});
const want = {
  a: [{ key: Uint8Array.of(1, 2), value: Uint8Array.of(3, 0, 0, 255) }],
};

test("the forms in which contents may come", () => {
  const forms = [
    `{"a":[{"key":["0x01","0x02"],"value":["0x03","0x00","0x00","0xff"]}]}`,
    `{"a":[{"key":[1,2],"value":[3,0,0,255]}]}`,
    `{"a":[{"key":"0x0102","value":"030000ff"}]}`,
    `[{"key":["0x01","0x02"],"value":["0x03","0x00","0x00","0xff"],"formatted":{"key":1}}]`,
  ];
  for (const form of forms)
    deepEqual(parseMapsFile(form, "m.json", [map("a")]), want);
});

test("what is printed is read", () => {
  const more = { ...want, b: [] };
  const maps = [map("a"), map("b")];
  deepEqual(parseMapsFile(printMapsFile(more), "m.json", maps), more);
});

test("what does not fit is refused with its place", () => {
  const bad: readonly (readonly [string, RegExp])[] = [
    ["{", /not JSON/],
    ["3", /an object of map names/],
    [`{"b":[]}`, /no map b/],
    [`{"aa":[]}`, /did you mean a\?/],
    [`{"a":3}`, /a: an array/],
    [`{"a":[3]}`, /a, element 0/],
    [
      `{"a":[{"key":[1],"value":[1,2,3,4]}]}`,
      /key: 2 bytes are expected, not 1/,
    ],
    [`{"a":[{"key":[1,256],"value":[1,2,3,4]}]}`, /bytes are expected/],
    [`{"a":[{"key":[1,2]}]}`, /value: bytes are expected/],
  ];
  for (const [text, says] of bad)
    throws(() => parseMapsFile(text, "m.json", [map("a")]), says);
  throws(() => parseMapsFile("[]", "m.json", [map("a"), map("b")]), /has a, b/);
});
