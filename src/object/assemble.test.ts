/**
 * Objects made from nothing: what bpftool lists of them, and that the kernel takes
 * them with every kind of map that a compiler declares.
 */
import { deepEqual, equal, match, ok, throws } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { Bug } from "../base/index.ts";
import {
  parseFunctions,
  type DataType,
  type MapSpec,
  type MapTypeName,
  type ProgramDataTypes,
} from "../isa/index.ts";
import { assembleObject, type Assembly } from "./assemble.ts";
import { temporaryFolder } from "./fixtures.test.ts";
import { normalise } from "./normalise.ts";
import { readObject } from "./read-object.ts";
import { portVariables, setVariable } from "./set-variable.ts";
import { writeObject } from "./write-object.ts";

const u32: DataType = { kind: "scalar", name: "u32" };
const u64: DataType = { kind: "scalar", name: "u64" };

function struct(
  name: string,
  size: number,
  ...fields: readonly (readonly [string, number, DataType])[]
): DataType {
  const members = fields.map(([field, offset, type]) => ({
    name: field,
    offset,
    type,
  }));
  return { kind: "struct", name, size, fields: members };
}

const flowKey = struct(
  "flow_key",
  16,
  ["source", 0, { kind: "scalar", name: "be32" }],
  ["destination", 4, { kind: "scalar", name: "be32" }],
  [
    "ports",
    8,
    { kind: "array", element: { kind: "scalar", name: "be16" }, count: 2 },
  ],
  ["protocol", 12, { kind: "scalar", name: "u8" }],
);
const flow = struct(
  "flow",
  16,
  ["last", 0, u64],
  ["is_new", 8, { kind: "scalar", name: "bool" }],
);
const cell = struct(
  "flows_chain_cell",
  40,
  ["last", 0, u64],
  ["next", 8, u32],
  ["previous", 12, u32],
  ["key", 16, flowKey],
  ["station", 32, { kind: "scalar", name: "mac" }],
);
const prefix = struct(
  "lpm_key",
  8,
  ["prefix_length", 0, u32],
  ["address", 4, { kind: "scalar", name: "be32" }],
);

function map(
  name: string,
  type: MapTypeName,
  sizes: readonly [number, number, number],
  flags = 0,
): MapSpec {
  const [keySize, valueSize, maxEntries] = sizes;
  // prettier-ignore
  return { name, type, keySize, valueSize, maxEntries, flags, section: ".maps", readOnly: false };
}

// prettier-ignore
const maps: readonly MapSpec[] = [
  map("flows", "hash", [16, 16, 1024]),
  map("flows_chain", "array", [4, 40, 1025]),
  map("recent", "lru_hash", [4, 8, 64]),
  map("own", "percpu_array", [4, 8, 4]),
  map("own_flows", "percpu_hash", [16, 16, 64]),
  map("routes", "lpm_trie", [8, 4, 16], 1),
  map("ports", "devmap", [4, 4, 2]),
  map("events", "ringbuf", [0, 0, 4096]),
  { name: ".rodata", type: "array", keySize: 4, valueSize: 8, maxEntries: 1, flags: 0, section: ".rodata", readOnly: true, data: Uint8Array.of(1, 0, 0, 0, 2, 0, 0, 0) },
];

const types: ProgramDataTypes = {
  maps: new Map([
    ["flows", { key: flowKey, value: flow }],
    ["flows_chain", { key: u32, value: cell }],
    ["recent", { key: u32, value: u64 }],
    ["own", { key: u32, value: u64 }],
    ["own_flows", { key: flowKey, value: flow }],
    ["routes", { key: prefix, value: u32 }],
    ["ports", { key: u32, value: u32 }],
    ["events", { value: u64 }],
  ]),
  variables: [
    { name: "lan_ifindex", section: ".rodata", offset: 0, type: u32 },
    { name: "wan_ifindex", section: ".rodata", offset: 4, type: u32 },
  ],
  functions: new Map([
    [
      "flows_chain_free",
      {
        parameters: [
          { name: "index", type: u32 },
          { name: "cell", type: { kind: "pointer", target: cell } },
        ],
        result: u32,
      },
    ],
  ]),
};

// Every map is named, so that every map is made.
const functions = parseFunctions(`
function nf_1 section "xdp" global
  .line "nf.ts" 12 5 "    if (ctx.port === lan)"
  r2 = *(u32 *)(r1 + 12)
  r3 = value .rodata[4] ll
  r3 = *(u32 *)(r3 + 0)
  .line "nf.ts" 13 7 "      flows.free(3);"
  r1 = 3
  r2 = r10
  call function flows_chain_free
${maps
  .filter(({ section }) => section === ".maps")
  .map(({ name }) => `  r1 = map ${name} ll`)
  .join("\n")}
  .line "nf.ts" 14 1 "    return drop;"
  r0 = 1
  exit

function flows_chain_free section ".text" static
  .line "chain.ts" 40 3 "  return index;"
  r0 = r1
  exit
`);

const assembly: Assembly = {
  file: "nf.ts",
  license: "GPL",
  maps,
  functions,
  types,
};

test("written and read it is the same, with its source lines", () => {
  const object = assembleObject(assembly);
  const bytes = writeObject(object);
  const again = readObject(bytes, "nf.ts");
  deepEqual({ ...again, notes: [] }, { ...normalise(object), notes: [] });
  deepEqual(again.notes, []);
  deepEqual(writeObject(assembleObject(assembly)), bytes, "bytes are stable");
  const [fn] = again.functions.filter(({ linkage }) => linkage === "global");
  deepEqual(
    fn?.lines.map(({ file, line, column, text }) => [file, line, column, text]),
    [
      ["nf.ts", 12, 5, "    if (ctx.port === lan)"],
      ["nf.ts", 13, 7, "      flows.free(3);"],
      ["nf.ts", 14, 1, "    return drop;"],
    ],
  );
});

test("read-only variables are found by name, and bind ports", () => {
  const object = readObject(writeObject(assembleObject(assembly)), "nf.ts");
  deepEqual(portVariables(object), [
    { name: "lan", ifindex: 1 },
    { name: "wan", ifindex: 2 },
  ]);
  const set = setVariable(object, "wan_ifindex", "7");
  deepEqual(
    set.maps.find(({ name }) => name === ".rodata")?.data,
    Uint8Array.of(1, 0, 0, 0, 7, 0, 0, 0),
  );
});

test("keys and values have members with names", () => {
  const object = assembleObject(assembly);
  const found = object.maps.find(({ name }) => name === "flows_chain");
  deepEqual(
    found?.valueFields
      ?.map(({ path, bitOffset, bits }) => [path, bitOffset, bits])
      .slice(0, 9),
    [
      ["last", 0, 64],
      ["next", 64, 32],
      ["previous", 96, 32],
      ["key.source", 128, 32],
      ["key.destination", 160, 32],
      ["key.ports[0]", 192, 16],
      ["key.ports[1]", 208, 16],
      ["key.protocol", 224, 8],
      ["station[0]", 256, 8],
    ],
  );
});

test("a type that does not fit its map is our bug", () => {
  const wrong = new Map([["flows", { key: u32 }]]);
  throws(
    () => assembleObject({ ...assembly, types: { ...types, maps: wrong } }),
    new Bug("map flows: its key has 16 bytes, its type 4"),
  );
});

// The kernel and libbpf as judges

function noLoader(): string | undefined {
  if (process.getuid?.() !== 0) return "not root";
  const probe = spawnSync("bpftool", ["prog", "show"]);
  return probe.status === 0 ? undefined : "no bpftool, or no bpf(2)";
}
const skip = noLoader() ?? false;

function bpftool(...words: readonly string[]): string {
  const done = spawnSync("bpftool", words, { encoding: "utf8" });
  equal(done.status, 0, `${words.join(" ")}: ${done.stderr}${done.stdout}`);
  return done.stdout;
}

test("bpftool lists it as it would a compiler's", { skip }, () => {
  const file = join(temporaryFolder(), "assembled.o");
  writeFileSync(file, writeObject(assembleObject(assembly)));
  const dump = bpftool("btf", "dump", "file", file, "format", "c");
  const flat = dump.replaceAll(/\s+/g, " ");
  for (const piece of [
    "typedef unsigned int __u32;",
    "typedef __u32 __be32;",
    "struct flow_key { __be32 source; __be32 destination; __be16 ports[2]; __u8 protocol; };",
    "struct flow { __u64 last; bool is_new; };",
    "struct flows_chain_cell { __u64 last; __u32 next; __u32 previous; struct flow_key key; __u8 station[6]; };",
    "struct xdp_md { __u32 data; __u32 data_end; __u32 data_meta; __u32 ingress_ifindex; __u32 rx_queue_index; __u32 egress_ifindex; };",
  ])
    ok(flat.includes(piece), `${piece}\n${dump}`);
  const raw = bpftool("btf", "dump", "file", file);
  match(raw, /FUNC 'nf_1' type_id=\d+ linkage=global/);
  match(raw, /FUNC 'flows_chain_free' type_id=\d+ linkage=static/);
  match(raw, /'index' type_id=\d+\n\t'cell' type_id=\d+/);
  match(raw, /DATASEC '\.rodata' size=8 vlen=2/);
  match(raw, /VAR 'lan_ifindex' type_id=\d+, linkage=global/);
});

test("the kernel takes it, types and lines included", { skip }, () => {
  const file = join(temporaryFolder(), "assembled.o");
  const pin = `/sys/fs/bpf/divisi-assemble-${process.pid}`;
  writeFileSync(file, writeObject(assembleObject(assembly)));
  try {
    bpftool("prog", "load", file, pin);
    const listing = bpftool("prog", "dump", "xlated", "pinned", pin, "linum");
    match(
      listing,
      /; if \(ctx\.port === lan\) \[file:nf\.ts line_num:12 line_col:5\]/,
    );
    match(listing, /; return index; \[file:chain\.ts line_num:40 line_col:3\]/);
    const { map_ids: ids } = JSON.parse(
      bpftool("-j", "prog", "show", "pinned", pin),
    ) as { map_ids: readonly number[] };
    const names = ids.map((id) => {
      const shown = JSON.parse(
        bpftool("-j", "map", "show", "id", String(id)),
      ) as { name: string; btf_id?: number };
      return `${shown.name.replace(/.*\./, ".")}${shown.btf_id === undefined ? "" : " typed"}`;
    });
    deepEqual(names.sort(), [
      ".rodata typed",
      "events",
      "flows typed",
      "flows_chain typed",
      "own typed",
      "own_flows typed",
      "ports",
      "recent typed",
      "routes typed",
    ]);
  } finally {
    rmSync(pin, { force: true });
  }
});
