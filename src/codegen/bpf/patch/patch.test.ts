import { deepEqual, equal, match, throws } from "node:assert/strict";
import { test } from "node:test";
import { UnsupportedError } from "../../../base/index.ts";
import { parseFunctions, printFunction } from "../../../isa/index.ts";
import { freeArgument } from "./arguments-read.ts";
import { withBody, withMap, withStaticFunctions, type Code } from "./code.ts";
import { frameDepth, freeSlot } from "./frame.ts";
import { callsWith, mapCalls } from "./map-calls.ts";
import { withOwnCore } from "./own-core.ts";

/** `L3` stands for the third instruction of its function, from 0. */
function labelled(text: string): string {
  let at = 0;
  return text
    .split("\n")
    .flatMap((line) => {
      if (/^\s*(function.*|\.line.*|)$/.test(line)) {
        at = line.includes("function") ? 0 : at;
        return [line];
      }
      const label = text.includes(`goto L${at}`) ? [`L${at}:`] : [];
      at++;
      return [...label, line];
    })
    .join("\n");
}

function codeOf(text: string): Code {
  return { functions: parseFunctions(labelled(text)), maps: [] };
}

function one(text: string): Code["functions"][number] {
  const [fn] = parseFunctions(labelled(text));
  if (fn === undefined) throw new Error("no function");
  return fn;
}

// prettier-ignore
const free: readonly (readonly [what: string, want: number | undefined, text: string])[] = [
  ["reads nothing", 5, "r0 = 0\nexit"],
  ["reads the highest", 4, "r0 = r5\nexit"],
  ["writes first", 5, "r5 = 1\nr0 = r5\nexit"],
  ["on one way only", 4, "if r1 == 0 goto L2\nr5 = 1\nr0 = r5\nexit"],
  ["a helper reads two", 5, "call map_lookup_elem\nr0 = 0\nexit"],
  ["a helper reads all", undefined, "call perf_event_output\nr0 = 0\nexit"],
  ["a call's own reads", 4, "call function other\nexit\nfunction other\nr0 = r5\nexit"],
  ["a call of itself reads all", undefined, "call function main\nexit"],
];
for (const [what, want, text] of free)
  void test(`free argument: ${what}`, () => {
    equal(freeArgument(codeOf(`function main\n${text}`), "main"), want);
  });

// prettier-ignore
const calls: readonly (readonly [what: string, want: readonly (string | undefined)[], text: string])[] = [
  ["beside the call", ["a"], "r1 = map a ll\ncall map_lookup_elem\nexit"],
  ["through a saved register", ["a", "a"], "r6 = map a ll\nr1 = r6\ncall map_lookup_elem\nr1 = r6\ncall map_lookup_elem\nexit"],
  ["spilled", ["a"], "r1 = map a ll\n*(u64 *)(r10 - 16) = r1\nr2 = r10\nr2 += -8\n*(u32 *)(r2 + 0) = 0\nr1 = *(u64 *)(r10 - 16)\ncall map_lookup_elem\nexit"],
  ["spilled and overwritten", [undefined], "r1 = map a ll\n*(u64 *)(r10 - 16) = r1\n*(u32 *)(r10 - 12) = 0\nr1 = *(u64 *)(r10 - 16)\ncall map_lookup_elem\nexit"],
  ["one of two", [undefined], "r1 = map a ll\nif r2 == 0 goto L3\nr1 = map b ll\ncall map_lookup_elem\nexit"],
  ["the same on both ways", ["a"], "if r2 == 0 goto L3\nr1 = map a ll\ngoto L4\nr1 = map a ll\ncall map_lookup_elem\nexit"],
  ["gone behind a call", ["a", undefined], "r1 = map a ll\ncall map_lookup_elem\ncall map_lookup_elem\nexit"],
  ["overwritten through a frame address that nobody knows", [undefined], "r1 = map a ll\n*(u64 *)(r10 - 16) = r1\nr2 = r10\nr3 = 8\nr2 -= r3\n*(u64 *)(r2 + 0) = 0\nr1 = *(u64 *)(r10 - 16)\ncall map_lookup_elem\nexit"],
];
for (const [what, want, text] of calls)
  void test(`map of a call: ${what}`, () => {
    deepEqual(
      mapCalls(one(text.replace(/^/, "function main\n"))).map(({ map }) => map),
      want,
    );
  });

// prettier-ignore
const refusals: readonly (readonly [what: string, text: string])[] = [
  ["another helper", "r1 = map a ll\ncall map_delete_elem\nexit"],
  ["handed to a function", "r1 = map a ll\ncall function other\nexit\nfunction other\nexit"],
  ["stored in a cell", "r6 = map a ll\n*(u64 *)(r7 + 0) = r6\nexit"],
  ["a call that may be one", "r1 = map a ll\nif r2 == 0 goto L3\nr1 = map b ll\ncall map_lookup_elem\nexit"],
  ["its cells by address", "r1 = value a[0] ll\nexit"],
];
for (const [what, text] of refusals)
  void test(`refused: ${what}`, () => {
    throws(
      () =>
        callsWith(
          codeOf(`function main\n${text}`),
          "a",
          new Set(["map_lookup_elem"]),
        ),
      UnsupportedError,
    );
  });

// prettier-ignore
const depths: readonly (readonly [want: number, text: string])[] = [
  [0, "r0 = 0\nexit"],
  [12, "*(u32 *)(r10 - 12) = 0\nexit"],
  [24, "r2 = r10\nr2 += -24\ncall map_lookup_elem\nexit"],
  [32, "r6 = r10\nr6 += -24\n*(u64 *)(r6 - 8) = 0\nexit"],
];
for (const [want, text] of depths)
  void test(`frame: ${want} bytes`, () => {
    const fn = one(`function main\n${text}`);
    equal(frameDepth(fn), want);
    equal(freeSlot(fn, 8), -Math.ceil(want / 8) * 8 - 8);
  });

void test("no room in a frame", () => {
  throws(
    () => freeSlot(one("function main\n*(u64 *)(r10 - 512) = 0\nexit"), 8),
    UnsupportedError,
  );
});

void test("the own core goes through callers, in registers that are free", () => {
  const code = codeOf(`
function main
  *(u64 *)(r10 - 8) = 0
  r2 = 7
  call function middle
  exit
function middle section ".text" static
  r1 = r5
  r0 = r2
  if r0 == 0 goto L3
  call function inner
  exit
function inner section ".text" static
  r0 = r1
  exit
function aside section ".text" static
  r0 = 0
  exit`);
  const { code: patched, own } = withOwnCore(code, {
    entry: "main",
    cores: 4,
    users: new Set(["inner"]),
  });
  deepEqual(
    [...own].map(([name, { slot, at }]) => [name, slot, at]),
    [
      ["main", -16, 4],
      ["middle", -8, 1],
      ["inner", -8, 1],
    ],
  );
  const text = patched.functions.map(printFunction).join("");
  match(
    text,
    /r0 = \*\(u32 \*\)\(r1 \+ 16\)\n {2}if r0 < 4 goto L3\n {2}r0 = 4\nL3:\n {2}\*\(u64 \*\)\(r10 - 16\) = r0/,
  );
  match(text, /r4 = \*\(u64 \*\)\(r10 - 16\)\n {2}call function middle/);
  // A jump to the call runs what hands the number over.
  match(
    text,
    /goto L4\nL4:\n {2}r5 = \*\(u64 \*\)\(r10 - 8\)\n {2}call function inner/,
  );
  equal(patched.functions[3], code.functions[3]);
});

void test("functions that are called back do not know their core", () => {
  const code = codeOf(`
function main
  r2 = function inner ll
  call loop
  exit
function inner section ".text" static
  r0 = 0
  exit`);
  throws(
    () =>
      withOwnCore(code, { entry: "main", cores: 2, users: new Set(["inner"]) }),
    UnsupportedError,
  );
});

void test("functions and maps are added, bodies replaced", () => {
  const code = codeOf(`function main
  .line "a.c" 3 1 "x"
  r0 = 0
  .line "a.c" 4 1 "y"
  exit`);
  const added = withStaticFunctions(code, "function more\nr0 = 1\nexit");
  deepEqual(
    added.functions.map(({ name, section, linkage }) => [
      name,
      section,
      linkage,
    ]),
    [
      ["main", "xdp", "global"],
      ["more", ".text", "static"],
    ],
  );
  throws(() => withStaticFunctions(added, "function more\nexit"));
  const [main] = code.functions;
  if (main === undefined) throw new Error("no function");
  const body = withBody(main, "r0 = 2\nr0 += 1\nexit");
  deepEqual(
    body.lines.map(({ at, line }) => [at, line]),
    [[0, 3]],
  );
  const map = {
    name: "m",
    type: "array",
    keySize: 4,
    valueSize: 8,
    maxEntries: 2,
    flags: 0,
    readOnly: false,
  } as const;
  const data = { ...map, name: ".bss", section: ".bss" };
  deepEqual(
    withMap({ ...code, maps: [data] }, map).maps.map(({ name, section }) => [
      name,
      section,
    ]),
    [
      ["m", ".maps"],
      [".bss", ".bss"],
    ],
  );
});
