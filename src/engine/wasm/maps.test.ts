/**
 * Maps and helpers of the portable engine against interp: long random sequences of
 * operations on small maps, so that they fill, evict and are found again; and each
 * helper with arguments drawn from the packet.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { Random, UnsupportedError } from "../../base/index.ts";
import type { MapSpec } from "../../isa/index.ts";
import { loadPortable } from "./program.ts";
import {
  compareEngines,
  cpus,
  mapOf,
  packetsOf,
  programOf,
} from "./twin.test.kit.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

/** r6 = data behind a check of 14 bytes; `number` bytes of it become numbers. */
const start = `
r6 = *(u32 *)(r1 + 0)
r2 = *(u32 *)(r1 + 4)
r7 = r1
r3 = r6
r3 += 14
r0 = 0
if r3 > r2 goto out`;
const end = `
out:
exit`;

/** data[0] chooses: look up and count, update, delete, or update under a pointer. */
function mapProgram(spec: MapSpec): string {
  const key =
    spec.type === "lpm_trie"
      ? ["r2 = *(u8 *)(r6 + 1)", "r2 %= 36", "*(u32 *)(r10 - 32) = r2"]
      : ["r2 = *(u8 *)(r6 + 1)", "r2 &= 7", "*(u32 *)(r10 - 32) = r2"];
  const value = ["r2 = *(u64 *)(r6 + 4)", "*(u64 *)(r10 - 64) = r2"];
  const call = (name: string, flags: string): string[] => [
    `r1 = map ${spec.name} ll`,
    "r2 = r10",
    "r2 += -32",
    "r3 = r10",
    "r3 += -64",
    flags,
    `call ${name}`,
  ];
  return [
    start,
    ...key,
    "r2 = *(u8 *)(r6 + 2)",
    "r2 &= 3",
    "r2 *= 0x01010101",
    "*(u32 *)(r10 - 28) = r2",
    "*(u64 *)(r10 - 24) = 5",
    ...value,
    "*(u64 *)(r10 - 56) = 9",
    "r8 = *(u8 *)(r6 + 0)",
    "r8 &= 3",
    "r9 = *(u8 *)(r6 + 3)",
    "r9 &= 3",
    "if r8 == 1 goto update",
    "if r8 == 2 goto delete",
    ...call("map_lookup_elem", "r4 = 0"),
    "if r0 == 0 goto out",
    "r1 = 1",
    "if r8 == 3 goto under",
    "r1 = atomic_fetch_add((u64 *)(r0 + 0), r1)",
    "r0 = r1",
    "exit",
    "under:",
    "r8 = r0",
    ...call("map_update_elem", "r4 = r9"),
    "r1 = *(u32 *)(r8 + 0)",
    "r0 += r1",
    "exit",
    "update:",
    ...call("map_update_elem", "r4 = r9"),
    "exit",
    "delete:",
    ...call("map_delete_elem", "r4 = 0"),
    end,
  ].join("\n");
}

// prettier-ignore
const maps: readonly MapSpec[] = [
  mapOf("array", "array", [4, 8, 6]),
  mapOf("array_odd", "array", [4, 13, 6]),
  mapOf("percpu_array", "percpu_array", [4, 12, 6]),
  mapOf("hash4", "hash", [4, 8, 5]),
  mapOf("hash6", "hash", [6, 16, 5]),
  mapOf("hash16", "hash", [16, 9, 12]),
  mapOf("hash_nothing", "hash", [4, 8, 0]),
  mapOf("percpu_hash", "percpu_hash", [8, 12, 6]),
  mapOf("lru", "lru_hash", [4, 8, 5]),
  mapOf("lru7", "lru_hash", [7, 8, 11]),
  mapOf("lru_one", "lru_hash", [4, 8, 1]),
  mapOf("lru_percpu", "lru_percpu_hash", [4, 8, 5]),
  mapOf("lpm", "lpm_trie", [8, 8, 7], { flags: 1 }),
  mapOf("lpm3", "lpm_trie", [7, 8, 9], { flags: 1 }),
  mapOf("lpm16", "lpm_trie", [20, 8, 9], { flags: 1 }),
  mapOf("lpm1", "lpm_trie", [5, 8, 9], { flags: 1 }),
];

for (const [spec, memory] of maps.flatMap((spec) =>
  (["private", { core: 1, cores: 2 }] as const).map(
    (memory) => [spec, memory] as const,
  ),
))
  test(`${spec.name}: 4,000 operations in ${memory === "private" ? memory : "shared"} memory (seed ${seed})`, () => {
    const program = programOf(mapProgram(spec), [spec]);
    const packets = packetsOf(new Random(seed), 4000);
    const { differences, want } = compareEngines(program, packets, { memory });
    deepEqual(differences.slice(0, 3), []);
    const answers = new Set(want.map(({ verdict }) => verdict));
    ok(answers.size > 3, `answers seen: ${answers.size}`);
  });

test("initial contents and another capacity are taken, and written out again", () => {
  const spec = mapOf("flows", "hash", [4, 8, 2]);
  const program = programOf(mapProgram(spec), [spec]);
  const entry = (key: number) => ({
    key: Uint8Array.of(key, 0, 0, 0),
    value: Uint8Array.of(key, 1, 2, 3, 4, 5, 6, 7),
  });
  const options = {
    capacities: { flows: 3 },
    contents: { flows: [entry(9), entry(1), entry(4)] },
  };
  const packets = packetsOf(new Random(seed), 500);
  deepEqual(compareEngines(program, packets, options).differences, []);
  const loaded = loadPortable(program, { cpus, ...options });
  deepEqual(loaded.entries("flows"), [entry(1), entry(4), entry(9)]);
  let error = "";
  try {
    loadPortable(program, { contents: options.contents });
  } catch (thrown) {
    error = String(thrown);
  }
  equal(
    error,
    "InputError: map flows: initial element 04000000 is refused (error 7)",
  );
});

test("data sections have their contents; read-only ones cannot be written", () => {
  const data = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
  const rodata = mapOf(".rodata", "array", [4, 12, 1], {
    section: ".rodata",
    data,
    readOnly: true,
  });
  const read = programOf(
    `${start}\nr2 = *(u8 *)(r6 + 1)\nr2 &= 7\nr1 = value .rodata[1] ll\nr1 += r2\nr0 = *(u32 *)(r1 + 0)${end}`,
    [rodata],
  );
  const packets = packetsOf(new Random(seed), 200);
  deepEqual(compareEngines(read, packets).differences, []);
  const wild = programOf(
    `${start}\nr2 = *(u8 *)(r6 + 1)\nr1 = value .rodata[0] ll\nr1 += r2\nr0 = *(u32 *)(r1 + 0)${end}`,
    [rodata],
  );
  const outcome = compareEngines(wild, packets);
  deepEqual(outcome.differences, []);
  ok(outcome.want.some(({ fault }) => fault !== undefined));
  const write = programOf(
    `r1 = value .rodata[0] ll\n*(u8 *)(r1 + 0) = 1\nr0 = 0\nexit`,
    [rodata],
  );
  const [first] = loadPortable(write).run(packets);
  deepEqual(first?.fault?.at, { function: "main", instruction: 1 });
});

test("values cannot be left: null, before, behind, across two of them", () => {
  const spec = mapOf("array", "array", [4, 12, 4]);
  const lookup = `${start}\n*(u32 *)(r10 - 4) = 1\nr1 = map array ll\nr2 = r10\nr2 += -4\ncall map_lookup_elem\n`;
  const packets = packetsOf(new Random(seed), 200);
  // prettier-ignore
  const bodies: readonly (readonly [body: string, fails: boolean])[] = [
    ["if r0 == 0 goto out\nr0 = *(u32 *)(r0 + 8)", false],
    ["if r0 == 0 goto out\nr0 = *(u32 *)(r0 + 9)", true],
    ["if r0 == 0 goto out\nr0 = *(u32 *)(r0 - 1)", true],
    ["r2 = *(u8 *)(r6 + 1)\nr0 += r2\nr0 = *(u32 *)(r0 + 0)", true],
    ["if r0 == 0 goto out\nr2 = *(u8 *)(r6 + 1)\nr2 &= 15\nr0 += r2\nr0 = *(u32 *)(r0 + 0)", true],
    ["if r0 == 0 goto out\nr2 = *(u8 *)(r6 + 1)\nr2 &= 7\nr0 += r2\nr0 = *(u32 *)(r0 + 0)", false],
    ["r0 = *(u32 *)(r0 + 0)", false],
  ];
  for (const [body, fails] of bodies) {
    const program = programOf(`${lookup}${body}${end}`, [spec]);
    const { differences, want } = compareEngines(program, packets);
    deepEqual(differences, [], body);
    equal(
      want.some(({ fault }) => fault !== undefined),
      fails,
      body,
    );
  }
  const missing = lookup.replace("(r10 - 4) = 1", "(r10 - 4) = 4");
  for (const offset of [0, 4]) {
    const text = `${missing}r0 += ${offset}\nr0 = *(u8 *)(r0 + 0)${end}`;
    const { differences, want } = compareEngines(
      programOf(text, [spec]),
      packets,
    );
    deepEqual(differences, []);
    ok(want.every(({ fault }) => fault !== undefined));
  }
});

const call = (name: string, ...args: readonly string[]): string =>
  [...args, `call ${name}`].join("\n");
const argument = (register: string, byte: number, more: string): string =>
  `${register} = *(u8 *)(r6 + ${byte})\n${register} ${more}`;
const signed = (register: string, byte: number): string =>
  `${register} = *(s8 *)(r6 + ${byte})`;
const stackTo = (register: string, at: number): string =>
  `${register} = r10\n${register} += -${at}`;
/** Reads what the packet begins with after it was moved. */
const look = `r8 = r0
r2 = *(u32 *)(r7 + 0)
r3 = *(u32 *)(r7 + 4)
r4 = r2
r4 += 4
if r4 > r3 goto out
r0 = *(u32 *)(r2 + 0)
r0 += r8`;
const ports = mapOf("ports", "devmap", [4, 4, 4]);
const open = {
  contents: {
    ports: [1, 2].map((port) => ({
      key: Uint8Array.of(port, 0, 0, 0),
      value: Uint8Array.of(port, 0, 0, 0),
    })),
  },
};
const events = mapOf("events", "perf_event_array", [4, 4, 1]);
const ring = mapOf("ring", "ringbuf", [0, 0, 64]);
const text = mapOf(".rodata", "array", [4, 24, 1], {
  data: new TextEncoder().encode("%d and %x, %llu of %c%%\0"),
  readOnly: true,
});
const words = `r2 = *(u64 *)(r6 + 0)\n*(u64 *)(r10 - 16) = r2\nr2 = *(u64 *)(r6 + 6)\n*(u64 *)(r10 - 8) = r2`;

// prettier-ignore
const helpers: readonly (readonly [name: string, body: string, maps?: readonly MapSpec[], options?: object])[] = [
  ["xdp_adjust_head", `${call("xdp_adjust_head", "r1 = r7", signed("r2", 1))}\n${look}`],
  ["xdp_adjust_head, far", `${call("xdp_adjust_head", "r1 = r7", `${signed("r2", 1)}\nr2 *= 4`)}\n${look}`],
  ["xdp_adjust_tail", `${call("xdp_adjust_tail", "r1 = r7", `${signed("r2", 1)}\nr2 *= 31`)}\n${look}`],
  ["xdp_adjust_meta", `${call("xdp_adjust_meta", "r1 = r7", `${signed("r2", 1)}\nr2 *= 2`)}\nr8 = r0\nr2 = *(u32 *)(r7 + 8)\nr3 = *(u32 *)(r7 + 0)\nr4 = r2\nr4 += 4\nif r4 > r3 goto out\n*(u32 *)(r2 + 0) = 7\nr0 = *(u32 *)(r2 + 0)\nr0 += r8`],
  ["adjust_meta, then adjust_head", `r1 = r7\nr2 = -8\ncall xdp_adjust_meta\n${call("xdp_adjust_head", "r1 = r7", signed("r2", 1))}\n${look}`],
  ["pointers from before a move are void", `r3 = *(u32 *)(r7 + 4)\nr2 = r6\nr2 += 34\nif r2 > r3 goto out\nr8 = *(u32 *)(r6 + 30)\n${call("xdp_adjust_tail", "r1 = r7", "r2 = -20")}\nr0 = *(u32 *)(r6 + 30)\nout:\nexit`],
  ["xdp_get_buff_len", call("xdp_get_buff_len", "r1 = r7")],
  ["xdp_load_bytes", `${call("xdp_load_bytes", "r1 = r7", argument("r2", 1, "+= 0"), stackTo("r3", 16), argument("r4", 2, "&= 15"))}\nr8 = r0\nr0 = *(u64 *)(r10 - 16)\nr0 += r8`],
  ["xdp_store_bytes", `${words}\n${call("xdp_store_bytes", "r1 = r7", argument("r2", 1, "+= 0"), stackTo("r3", 16), "r4 = 9")}`],
  ["csum_diff", `${words}\n${call("csum_diff", stackTo("r1", 16), argument("r2", 1, "&= 12"), stackTo("r3", 8), argument("r4", 2, "&= 8"), "r5 = *(u32 *)(r6 + 2)")}`],
  ["csum_diff, odd size", call("csum_diff", "r1 = 0", "r2 = 0", stackTo("r3", 8), "r4 = 7", "r5 = 0")],
  ["csum_diff, outside", call("csum_diff", "r1 = 0", argument("r2", 1, "&= 4"), stackTo("r3", 8), "r4 = 4", "r5 = 0")],
  ["fib_lookup", `${argument("r2", 1, "&= 15")}\n*(u8 *)(r10 - 64) = r2\n${call("fib_lookup", "r1 = r7", stackTo("r2", 64), "r3 = 64", argument("r4", 2, "&= 127"))}`],
  ["check_mtu", `r2 = *(u16 *)(r6 + 1)\nr2 &= 2047\n*(u32 *)(r10 - 4) = r2\n${call("check_mtu", "r1 = r7", "r2 = 0", stackTo("r3", 4), signed("r4", 3), argument("r5", 4, "&= 1"))}\nr1 = *(u32 *)(r10 - 4)\nr0 *= 10000\nr0 += r1`],
  ["jiffies64, numa node", "call jiffies64\nr8 = r0\ncall get_numa_node_id\nr0 += r8"],
  ["redirect", call("redirect", argument("r1", 1, "&= 7"), argument("r2", 2, "&= 1"))],
  ["redirect_map", call("redirect_map", "r1 = map ports ll", argument("r2", 1, "&= 3"), argument("r3", 2, "&= 31")), [ports], open],
  ["redirect, then redirect_map", `r1 = 9\nr2 = 0\ncall redirect\n${call("redirect_map", "r1 = map ports ll", argument("r2", 1, "&= 3"), "r3 = 2")}\nr0 = 4`, [ports], open],
  ["perf_event_output", `${words}\n${call("perf_event_output", "r1 = r7", "r2 = map events ll", "r3 = *(u8 *)(r6 + 1)\nr3 <<= 32\nr4 = *(u8 *)(r6 + 2)\nr4 &= 1\nr3 |= r4", stackTo("r4", 16), argument("r5", 3, "&= 15"))}`, [events]],
  ["perf_event_output, this CPU", `${words}\n${call("perf_event_output", "r1 = r7", "r2 = map events ll", "r3 = 0xffffffff ll", stackTo("r4", 16), "r5 = 16")}`, [events]],
  ["ringbuf_output", `${words}\n${call("ringbuf_output", "r1 = map ring ll", stackTo("r2", 16), argument("r3", 1, "&= 15"), argument("r4", 2, "&= 3"))}`, [ring]],
  ["ringbuf_reserve", `${call("ringbuf_reserve", "r1 = map ring ll", argument("r2", 1, "&= 127\nr2 += 8"), "r3 = 0")}\nif r0 == 0 goto out\nr8 = r0\nr1 = *(u8 *)(r6 + 2)\n*(u8 *)(r8 + 0) = r1\nr1 = r8\nr2 = 0\nr3 = *(u8 *)(r6 + 3)\nif r3 > 100 goto discard\ncall ringbuf_submit\nr0 = 3\nexit\ndiscard:\ncall ringbuf_discard\nr0 = 4`, [ring]],
  ["get_prandom_u32", "call get_prandom_u32\nr8 = r0\ncall get_prandom_u32\nr0 ^= r8"],
  ["trace_printk", call("trace_printk", "r1 = value .rodata[0] ll", "r2 = 24", argument("r3", 1, "+= -9"), argument("r4", 2, "*= 77"), "r5 = *(u64 *)(r6 + 4)"), [text]],
  ["spin_lock", `*(u32 *)(r10 - 4) = 1\nr1 = map locked ll\nr2 = r10\nr2 += -4\ncall map_lookup_elem\nif r0 == 0 goto out\nr8 = r0\nr1 = r0\ncall spin_lock\nr2 = *(u32 *)(r8 + 4)\nr2 += 1\n*(u32 *)(r8 + 4) = r2\nr1 = r8\ncall spin_unlock\nr0 = 2`,
    [mapOf("locked", "array", [4, 8, 2], { valueFields: [{ path: "lock", bitOffset: 0, bits: 32, kind: "spin-lock" }] })]],
  ["tail_call", `r1 = r7\nr2 = map programs ll\nr3 = *(u8 *)(r6 + 1)\nr3 &= 3\ncall tail_call\nr0 = 99\nout:\nexit\nfunction other section "xdp" global\nr0 = *(u32 *)(r1 + 12)\nr0 += 1000\nexit`,
    [mapOf("programs", "prog_array", [4, 4, 4], { values: [{ index: 2, target: { kind: "function", name: "other" } }] })]],
];

const inner = mapOf("inner", "hash", [4, 8, 3]);
const innerArray = mapOf("inner", "array", [4, 8, 3]);
const lruInner = mapOf("inner", "lru_hash", [4, 8, 2]);
const u32 = (value: number): Uint8Array =>
  Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24);
const name = (text: string): Uint8Array => new TextEncoder().encode(text);
/** Looks the outer map up by data[1], then works on the inner one by data[2]. */
const nested = (work: string): string =>
  `r2 = *(u8 *)(r6 + 1)\nr2 &= 7\n*(u32 *)(r10 - 4) = r2\nr2 = *(u8 *)(r6 + 2)\nr2 &= 3\n*(u32 *)(r10 - 8) = r2
r2 = *(u64 *)(r6 + 4)\n*(u64 *)(r10 - 16) = r2\nr1 = map outer ll\n${stackTo("r2", 4)}\ncall map_lookup_elem\nif r0 == 0 goto out\nr8 = r0\nr1 = r8\n${stackTo("r2", 8)}\n${work}\nout:\nexit`;
const readInner =
  "call map_lookup_elem\nif r0 == 0 goto out\nr1 = *(u32 *)(r0 + 0)\nr1 += 1\n*(u32 *)(r0 + 0) = r1\nr0 = r1";
const writeInner = `${stackTo("r3", 16)}\nr4 = *(u8 *)(r6 + 3)\nr4 &= 3\ncall map_update_elem`;
const removeInner = `r9 = *(u8 *)(r6 + 3)\nif r9 > 3 goto write\ncall map_delete_elem\nexit\nwrite:\n${writeInner}`;
const outers = (
  type: MapSpec["type"],
  template: MapSpec,
): readonly MapSpec[] => [
  mapOf("outer", type, [4, 4, 6], { inner: template }),
  { ...template, name: "one" },
];
/** Two cells with a map of the object, two with one made from the template. */
const filled = {
  contents: {
    outer: [1, 2, 3, 5].map((at) => ({
      key: u32(at),
      value: name(at < 3 ? "one" : "made"),
    })),
  },
};

/** Pushes, pops or peeks by data[1]. */
const queued = (map: string, pops: boolean): string => `${words}
r1 = map ${map} ll
${stackTo("r2", 16)}
r8 = *(u8 *)(r6 + 1)
r8 &= 3
if r8 == 0 goto peek
${pops ? "if r8 == 1 goto pop\n" : ""}r3 = *(u8 *)(r6 + 2)
r3 &= 3
call map_push_elem
exit
peek:
call map_peek_elem
r1 = *(u32 *)(r10 - 16)
r0 += r1
exit
${pops ? `pop:\ncall map_pop_elem\nr1 = *(u32 *)(r10 - 16)\nr0 += r1\nexit\n` : ""}out:
exit`;

// prettier-ignore
const newMaps: typeof helpers = [
  ["hash of hashes, looked up", nested(readInner), outers("hash_of_maps", inner), { contents: { ...filled.contents, one: [{ key: u32(1), value: new Uint8Array(8) }] } }],
  ["hash of hashes, written", nested(writeInner), outers("hash_of_maps", inner), filled],
  ["array of hashes, written and deleted", nested(removeInner), outers("array_of_maps", inner), filled],
  ["array of arrays", nested(readInner), outers("array_of_maps", innerArray), filled],
  ["array of LRU maps", nested(removeInner), outers("array_of_maps", lruInner), filled],
  ["array of maps, filled by the object", nested(readInner),
    [mapOf("outer", "array_of_maps", [4, 4, 4], { inner: innerArray, values: [{ index: 1, target: { kind: "map", name: "x" } }, { index: 3, target: { kind: "map", name: "y" } }] })]],
  ["queue", queued("queue", true), [mapOf("queue", "queue", [0, 12, 3])]],
  ["stack", queued("stack", true), [mapOf("stack", "stack", [0, 12, 3])]],
  ["bloom filter", queued("bloom", false), [mapOf("bloom", "bloom_filter", [0, 4, 3])]],
];

const placed = (["private", { core: 0, cores: 2 }] as const).flatMap((memory) =>
  [...helpers, ...newMaps].map(([name, body, specs, options]) => ({
    name,
    body,
    specs,
    options: { ...options, memory },
  })),
);

for (const { name, body, specs, options } of placed)
  test(`${name}, ${options.memory === "private" ? "private" : "shared"} memory (seed ${seed})`, () => {
    const whole = body.includes("out:") ? body : `${body}${end}`;
    const program = programOf(`${start}\n${whole}`, specs);
    const packets = packetsOf(new Random(seed).fork(7), 300);
    const { differences, want } = compareEngines(program, packets, options);
    deepEqual(differences.slice(0, 3), []);
    ok(want.length === packets.length);
  });

test("a map type that the engine lacks is refused at the call", () => {
  const spec = mapOf("queue", "queue", [0, 4, 4]);
  const program = programOf(
    `r1 = map queue ll\nr2 = r10\nr2 += -8\ncall map_lookup_elem\nexit`,
    [spec],
  );
  let error = "";
  try {
    loadPortable(program);
  } catch (thrown) {
    error = String(thrown);
  }
  equal(
    error,
    "UnsupportedError: test: main+3: the portable engine has no bpf_map_lookup_elem on a map of type queue",
  );
});

test("types without values here are refused at the call, by name", () => {
  // prettier-ignore
  const types: readonly MapSpec["type"][] = ["sockmap", "sockhash", "cgroup_storage", "percpu_cgroup_storage", "sk_storage", "cgroup_array", "stack_trace", "reuseport_sockarray", "ringbuf", "perf_event_array", "arena"];
  for (const type of types) {
    const program = programOf(
      `r1 = map m ll\nr2 = r10\nr2 += -8\n*(u64 *)(r10 - 8) = 0\ncall map_lookup_elem\nr0 = 0\nexit`,
      [mapOf("m", type, [4, 4, 4])],
    );
    let error: unknown;
    try {
      loadPortable(program);
    } catch (thrown) {
      error = thrown;
    }
    ok(error instanceof UnsupportedError);
    equal(
      error.message,
      `test: main+4: the portable engine has no bpf_map_lookup_elem on a map of type ${type}`,
    );
  }
});
