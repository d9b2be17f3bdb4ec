import { deepEqual, equal, throws } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readObject } from "./read-object.ts";
import { hasVariable, setVariable } from "./set-variable.ts";

const object = readObject(
  new Uint8Array(
    readFileSync(join(import.meta.dirname, "../../nfs/c/firewall.o")),
  ),
  "firewall.o",
);
const rodata = (changed: typeof object): Uint8Array | undefined =>
  changed.maps.find(({ name }) => name === ".rodata")?.data;

/** The same bytes as a struct. */
const withMember = {
  ...object,
  maps: object.maps.map((map) => ({
    ...map,
    valueFields: [
      { path: "pair.own[5]", bitOffset: 27 * 8, bits: 8, kind: "int" as const },
    ],
  })),
};

test("a variable and a member are set, all else stays", () => {
  const before = rodata(object) ?? new Uint8Array();
  const after = rodata(setVariable(object, "wan_ifindex", "0x0102"));
  const want = before.slice();
  want.set([2, 1, 0, 0], 4);
  deepEqual(after, want);
  const member = rodata(setVariable(withMember, "pair.own[5]", "255"));
  equal(member?.[27], 255);
  deepEqual(rodata(object), before);
});

test("what cannot be set is refused", () => {
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ["wan_ifindx", "1", /no read-only variable wan_ifindx/],
    ["wan_ifindex", "one", /whole number/],
    ["wan_ifindex", "4294967296", /32 bits/],
    ["lan_mac[0]", "1", /no read-only variable/],
  ];
  for (const [name, value, says] of cases)
    throws(() => setVariable(object, name, value), says);
  equal(hasVariable(object, "expiry"), true);
  equal(hasVariable(object, "flows"), false);
});
