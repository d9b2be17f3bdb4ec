/**
 * Every helper and kernel function that compiles, on small programs that take its ways
 * to succeed and to fail: the portable engine must do what interp does, in both forms
 * of control flow. What does not compile is refused by name and line, at load.
 */
import { deepEqual, ok, throws } from "node:assert/strict";
import { test } from "node:test";
import { UnsupportedError } from "../../base/index.ts";
import { portableHelpers } from "../../codegen/index.ts";
import {
  helperFunctions,
  kfuncFunctions,
  type PacketInput,
} from "../../interp/index.ts";
import {
  helperByName,
  helpers,
  kfuncs,
  type MapSpec,
  type ProgramTypeName,
} from "../../isa/index.ts";
import { helperCases } from "./helper-cases.test.kit.ts";
import { loadPortable } from "./program.ts";
import { compareEngines, mapOf, programOf } from "./twin.test.kit.ts";

const bytes = (length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => index);

/** An IPv4 TCP SYN, the same with a VLAN tag, an IPv6 one, something short. */
function frames(): readonly Uint8Array[] {
  const four = bytes(74);
  four.set([0x08, 0x00, 0x45, 0, 0, 60, 0, 1, 0x40, 0, 64, 6, 0x12, 0x34], 12);
  four.set([10, 0, 0, 1, 10, 0, 0, 2, 0x30, 0x39, 0, 80], 26);
  four.set([0xa0, 2, 0xff, 0xff, 0, 0, 0, 0, 2, 4, 5, 0xb4], 46);
  const tagged = bytes(78);
  tagged.set(four.subarray(0, 12));
  tagged.set([0x81, 0x00, 0x00, 0x05], 12);
  tagged.set(four.subarray(12), 16);
  const six = bytes(94);
  six.set([0x86, 0xdd, 0x60, 0, 0, 0, 0, 40, 6, 64], 12);
  return [four, tagged, six, bytes(14), bytes(60)];
}

const packets: readonly PacketInput[] = frames().map((data, index) => ({
  data,
  ifindex: 1 + index,
  rxQueue: index,
  cpu: index % 2,
  time: 0x1_2345_6789n * BigInt(index + 1),
}));

const maps: Readonly<Record<string, MapSpec>> = Object.fromEntries(
  [
    mapOf("array", "array", [4, 16, 4]),
    mapOf("hash", "hash", [4, 8, 3]),
    mapOf("lru", "lru_hash", [4, 8, 3]),
    mapOf("percpu", "percpu_array", [4, 8, 4]),
    mapOf("perhash", "percpu_hash", [4, 8, 3]),
    mapOf("dev", "devmap", [4, 4, 8]),
    mapOf("perf", "perf_event_array", [4, 4, 2]),
    mapOf("programs", "prog_array", [4, 4, 4]),
    mapOf("queue", "queue", [0, 8, 3]),
    mapOf("stack", "stack", [0, 8, 3]),
    mapOf("bloom", "bloom_filter", [0, 8, 3]),
    mapOf("ring", "ringbuf", [0, 0, 4096]),
    mapOf("locked", "array", [4, 16, 2], {
      valueFields: [
        { path: "lock", bitOffset: 0, bits: 32, kind: "spin-lock" },
      ],
    }),
    mapOf("timed", "array", [4, 24, 2], {
      valueFields: [{ path: "timer", bitOffset: 0, bits: 128, kind: "timer" }],
    }),
  ].map((map) => [map.name, map]),
);

const key = (value: number): Uint8Array => Uint8Array.of(value, 0, 0, 0);
const contents = {
  hash: [3, 1, 2].map((at) => ({ key: key(at), value: bytes(8).fill(at) })),
  lru: [3, 1].map((at) => ({ key: key(at), value: bytes(8).fill(at) })),
  dev: [{ key: key(1), value: key(7) }],
};

/** The maps that a program text names. */
function mapsIn(text: string): readonly MapSpec[] {
  return [...new Set(text.matchAll(/(?:map|value) (\w+)/g))].flatMap(
    ([, name = ""]) => maps[name] ?? [],
  );
}

function check(name: string, type: ProgramTypeName, body: string): void {
  const text = `r6 = r1\n${body}`;
  const used = [...new Set(mapsIn(text))];
  const program = programOf(text, used, type);
  const names = new Set(used.map((map) => map.name));
  const given = Object.fromEntries(
    Object.entries(contents).filter(([map]) => names.has(map)),
  );
  for (const control of ["structured", "dispatch"] as const) {
    const { differences } = compareEngines(program, packets, {
      control,
      contents: given,
    });
    deepEqual(differences, [], `${name}: ${control}\n${text}`);
  }
}

for (const [name, cases] of Object.entries(helperCases))
  test(`${name}, ${cases.length} programs`, () => {
    for (const { type, body } of cases) check(name, type, body);
  });

test("every helper that compiles has programs here", () => {
  const names = [...portableHelpers.keys()];
  const missing = names.filter((name) => !(name in helperCases));
  deepEqual(missing, []);
});

test("interp and the portable engine have the same", () => {
  const interps = [...helperFunctions.keys(), ...kfuncFunctions.keys()];
  const inPlace = ["tail_call"];
  deepEqual(
    [...interps, ...inPlace].sort(),
    [...portableHelpers.keys()].sort(),
  );
});

const compiles = portableHelpers;

test("all others are refused at load, by name and line", () => {
  let refused = 0;
  const expectRefusal = (call: string, what: string): void => {
    const program = programOf(`r0 = 0\n${call}\nexit`);
    const [main] = program.functions;
    ok(main);
    const line = { at: 1, file: "nf.c", text: "call();", line: 42, column: 3 };
    const functions = [{ ...main, lines: [line] }];
    throws(
      () => loadPortable({ ...program, functions }),
      (error) =>
        error instanceof UnsupportedError &&
        error.message.includes(what) &&
        error.message.includes("nf.c:42"),
      call,
    );
    refused++;
  };
  for (const { name } of helpers)
    if (!compiles.has(name)) expectRefusal(`call ${name}`, `bpf_${name}`);
  for (const { name } of kfuncs)
    if (!compiles.has(name)) expectRefusal(`call kfunc ${name}`, name);
  ok(refused > 50, `${refused} refused`);
  ok(helperByName("map_lookup_elem"));
});
