/** Text form: parse inverts print; damaged text is an InputError with its line. */
import { deepEqual, equal, throws } from "node:assert/strict";
import { test } from "node:test";
import { InputError, Random } from "../base/index.ts";
import { parseIr } from "./parse.ts";
import { printIr } from "./print.ts";
import { verifyIr } from "./verify.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 12);

/** One of everything. */
const sample = `program "main" type xdp file "a \\"b\\".o"
map {"name":"m","type":"hash","keySize":4,"valueSize":16,"maxEntries":8,"flags":0,"extra":{"u64":"18446744073709551615"},"section":".maps","readOnly":false}
map {"name":".rodata","type":"array","keySize":4,"valueSize":4,"maxEntries":1,"flags":0,"section":".rodata","data":{"hex":"01020304"},"readOnly":true}
map {"name":"outer","type":"array_of_maps","keySize":4,"valueSize":4,"maxEntries":1,"flags":0,"inner":{"name":"i","type":"array","keySize":4,"valueSize":8,"maxEntries":1,"flags":0,"section":".maps","readOnly":false},"section":".maps","readOnly":false}

function "main" (v0: context+0) {
  slot s0 at -8 size 4
  slot s1 at -520 size 0
b0:
  v1: packet+0 = load4 v0+0 ; 0 "a.c":3:7 text "  x = \\"y\\";"
  v2: packet-end+0 = load4 v0+4 ; 1 "a.c" line 3
  v3 = const -1 ; 2 column 4
  v4: slot s0+0 = slot s0+0 ; 3 in "other"
  store4 v4+0, v3 ; 4
  store8 v4-8, v3 release ; 5
  v5: map "m"+0 = map "m" ; 6
  v6: map-value "m"+0 or null = call helper 1(v5, v4) ; 7
  v7: map-value ".rodata"+2 = map-value ".rodata"+2 ; 8
  v8: function "callback"+0 = function "callback" ; 9
  v9: kernel "jiffies"+0 = kernel-symbol "jiffies" ; 10
  v10: packet+4294967295 = add64 v1, v11 ; 11
  jump b1(v3, v1) ; 12
b1(v12, v13: packet+?):
  v14 = sdiv32 v12, v3 ; 13
  v15 = neg32 v14 ; 14
  v16 = swap64 v15 ; 15
  v17 = extract v16, 2, 3 ; 16
  v18 = concat v17:3, v16:2 ; 17
  v19 = undefined ; 18
  v20 = loads2 v13+14 ; 19
  v21 = load8 v7+0 acquire ; 20
  v22 = atomic-add4 v6+0, v20 ; 21
  v23 = atomic-cmpxchg8 v6+8, v20 expected v21 fetch ; 22
  v24: kernel "arena"+? = address-cast v23, 65536 ; 23
  v25 = load-packet2 v0, 12 ; 24
  v26 = load-packet1 v0, v25, -3 ; 25
  v27 = call function "callback"(v26, v4) ; 26
  v28: unknown+? = call kfunc "some_kfunc"(v3, v3, v3, v3, v3) ; 27
  v29: unknown+? = call raw 2:77(v3, v3, v3, v3, v3) ; 28
  branch jsle32 v18, v19 ? b1(v18, v10) : b2 ; 29
b2:
  may-goto b3 : b4 ; 30
b3:
  return v27 ; 31
b4:
  trap "calls through a register" ; 32
}

function "callback" (v0, v1: frame+?) {
b0:
  return v0 ; 0
}
`.replace(
  "v10: packet+4294967295 = add64 v1, v11 ; 11",
  "v11 = const 4294967295 ; 11\n  v10: packet+4294967295 = add64 v1, v11 ; 11",
);

test("one of everything is sound and comes back", () => {
  const program = parseIr(sample);
  deepEqual(verifyIr(program), []);
  equal(printIr(program), sample);
  deepEqual(parseIr(printIr(program)), program);
});

// prettier-ignore
const wrong: readonly (readonly [string, string, number])[] = [
  ["type xdp", "type xpd", 1],
  ["slot s0 at -8", "slot s0 at x", 7],
  ["v1: packet+0 = load4", "v1: packets+0 = load4", 10],
  ["load4 v0+0", "load3 v0+0", 10],
  ["v3 = const -1", "v1 = const -1", 12],
  ["sdiv32", "sdiv16", 25],
  ["jsle32", "jxx32", 41],
  ["may-goto b3 : b4", "may-goto b3 b4", 43],
  ["helper 1(v5, v4)", "helper 1(v5, v4", 17],
  ['"keySize":4,"valueSize":16', '"keySize":4', 2],
  ["; 31", "", 45],
];

test("what is wrong is named with its line", () => {
  for (const [from, to, line] of wrong) {
    equal(sample.includes(from), true, from);
    throws(
      () => parseIr(sample.replace(from, to), "x.ir"),
      (error) =>
        error instanceof InputError &&
        error.file === "x.ir" &&
        error.line === line,
      `${from} → ${to}`,
    );
  }
});

test(`damaged text is a program or an InputError, DIVISI_SEED=${seed}`, () => {
  const random = new Random(seed);
  let parsed = 0;
  for (let round = 0; round < 3000; round++) {
    const at = random.below(sample.length);
    const cut = random.below(4);
    const bit = random.pick([
      "",
      "v",
      "b",
      "9",
      '"',
      "(",
      "{",
      "}",
      "\n",
      "+",
      " ",
      "-",
      "\\",
    ]);
    const text = sample.slice(0, at) + bit + sample.slice(at + cut);
    try {
      const program = parseIr(text);
      verifyIr(program);
      parsed++;
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
    }
  }
  equal(parsed > 100, true, `${parsed} were programs`);
});
