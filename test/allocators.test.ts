/**
 * Index allocators are recognised by what they do: those of every network function, in
 * C and from TypeScript, with the constants that the sources say; and nothing that
 * behaves otherwise, however it is named. Mutants of the header, and of each single
 * instruction of its functions.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  analyse,
  recogniseAllocators,
  type Allocator,
  type StateReport,
} from "#analysis";
import { lift } from "#ir";
import type { FunctionSpec, Instruction, ProgramSpec } from "#isa";
import { programSpec, readObject, setVariable } from "#object";
import { nicProfile } from "#rss";
import { choosePlan } from "#strategy";
import { temporaryFolder } from "./support/cli.ts";
import { folder } from "./support/network-function.ts";
import { compiled } from "./support/nf-compile.ts";

const compiler = "clang-14";
const noClang =
  spawnSync(compiler, ["--version"]).error === undefined
    ? false
    : "clang-14 is not installed";

function committed(
  name: string,
  set: Readonly<Record<string, number>> = {},
): ProgramSpec {
  const file = join(folder, `${name}.o`);
  let object = readObject(readFileSync(file), file);
  for (const [variable, value] of Object.entries(set))
    object = setVariable(object, variable, String(value));
  return programSpec(object, {});
}

const allocatorsOf = ({ objects }: StateReport): Record<string, Allocator> =>
  Object.fromEntries(
    objects.flatMap(({ name, allocator }) =>
      allocator === undefined ? [] : [[name, allocator]],
    ),
  );

/** `flows_chain: flows, 65536, 1000000000, 32`, one per allocator. */
const texts = (report: StateReport): string[] =>
  Object.entries(allocatorsOf(report))
    .map(
      ([name, { entries, capacity, expiry, evictsOldest, cellSize }]) =>
        `${name}: ${entries}, ${capacity}, ${evictsOldest ? "evicts" : expiry}, ${cellSize}`,
    )
    .sort();

// prettier-ignore
const suite: readonly (readonly [string, readonly string[]])[] = [
  ["connection-limiter", ["flows_chain: flows, 65536, 1000000000, 32"]],
  ["dynamic-bridge",     ["stations_chain: stations, 65536, 300000000000, 24"]],
  ["hash-lb",            ["flows_chain: flows, 65536, 100000000000, 32"]],
  ["hhh",                ["sources_chain: sources, 65536, 160000000, 24"]],
  ["load-balancer",      ["backends_chain: backends, 32, 100000000000, 24", "flows_chain: flows, 65536, 100000000000, 32"]],
  ["nat",                ["flows_chain: flows, 65536, 100000000000, 32"]],
  ["port-scan-detector", ["sources_chain: sources, 65536, 1000000000, 24"]],
  ["wan-dedup",          ["payloads_chain: payloads, 65536, 100000000, 48"]],
  ["firewall",           []],
];

for (const [name, want] of suite)
  test(`${name}: in C and from TypeScript`, async () => {
    deepEqual(texts(analyse(committed(name))), want);
    const bytes = await compiled(name, {});
    const spec = programSpec(readObject(bytes, `${name}.o`), {});
    deepEqual(texts(analyse(spec)), want);
  });

// prettier-ignore
const settings: readonly (readonly [Readonly<Record<string, number>>, string])[] = [
  [{ capacity: 1, expiry: 0 },           "flows_chain: flows, 1, 0, 32"],
  [{ capacity: 2, expiry: 1 },           "flows_chain: flows, 2, 1, 32"],
  [{ capacity: 3, expiry: 7 },           "flows_chain: flows, 3, 7, 32"],
  [{ capacity: 1000, expiry: 123456 },   "flows_chain: flows, 1000, 123456, 32"],
  // Ports end at 65535, so the capacity does too.
  [{ capacity: 65536, start_port: 1024 }, "flows_chain: flows, 64512, 100000000000, 32"],
];

for (const [set, want] of settings)
  test(`nat with ${JSON.stringify(set)}`, () => {
    deepEqual(texts(analyse(committed("nat", set))), [want]);
  });

test("an allocator that hands out nothing is none", () => {
  const report = analyse(committed("nat", { capacity: 0 }));
  deepEqual(texts(report), []);
  deepEqual(
    report.notes.filter(({ code }) => code === "no-allocator").length,
    1,
  );
});

const source = `
#define CAPACITY 7
#define EXPIRY 100
#include "chain.h"

struct value { __u32 number; __u32 index; };
struct entry { __u64 count; };
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct entry);
} other SEC(".maps");
__u32 variable;

NF_INDEX_ALLOCATOR(ids, 8, CAPACITY, EXPIRY);
NF_EXPIRING_MAP(entries, __u32, struct value, 8, CAPACITY, EXPIRY);

SEC("xdp")
int chains(struct xdp_md *ctx)
{
	struct value value = {};
	__u64 now = bpf_ktime_get_ns();
	__u32 key = ctx->rx_queue_index;
	__u32 number = ids_chain_allocate(now);
	struct entry *entry = bpf_map_lookup_elem(&other, &key);

	if (entry)
		entry->count++;
	ids_chain_refresh(key, now);
	ids_chain_free(key + 1);
	entries_insert(&key, &value, now);
	entries_delete(&key);
	variable = number;
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
`;

/** The program above over a header in which texts were exchanged. */
function changed(
  changes: readonly (readonly [string, string])[],
  program = source,
): ProgramSpec {
  const scratch = temporaryFolder("allocators");
  let header = readFileSync(join(folder, "nf_chain.h"), "utf8");
  for (const [from, to] of changes) {
    equal(header.split(from).length, 2, from);
    header = header.replace(from, to);
  }
  writeFileSync(join(scratch, "chain.h"), header);
  const file = join(scratch, "chains.c");
  const object = join(scratch, "chains.o");
  writeFileSync(file, program);
  const asm = ["x86_64", "aarch64"]
    .map((machine) => `/usr/include/${machine}-linux-gnu`)
    .filter((path) => existsSync(path));
  // prettier-ignore
  const words = ["-O2", "-g", "-target", "bpf", "-mcpu=v3", `-I${scratch}`, `-I${folder}`, ...asm.map((path) => `-I${path}`), "-c", file, "-o", object];
  const { status, stderr } = spawnSync(compiler, words, { encoding: "utf8" });
  equal(status, 0, stderr);
  return programSpec(readObject(readFileSync(object), object), {});
}

test(
  "an allocator without a map, and a capacity below the map's",
  { skip: noClang },
  () => {
    deepEqual(texts(analyse(changed([]))), [
      "entries_chain: entries, 7, 100, 24",
      "ids: undefined, 7, 100, 16",
    ]);
  },
);

// What is wrong with it, and how the note begins to say so.
// prettier-ignore
const impostors: readonly (readonly [string, string, string, RegExp])[] = [
  ["hands out an index twice", "\t\thead->last = number;\n", "", /answers|leaves/],
  ["hands out the same index first", "number = fresh + 1;", "number = fresh ? fresh : 1;", /answers|leaves|reclaims|never/],
  ["forgets the free list", "if (number != 0) {", "if (number == 77) {", /answers|leaves/],
  ["frees without keeping the index", "cell->previous = NF_FREE_CELL;", "cell->previous = 0;", /leaves/],
  ["ignores expiry", "!nf_is_expired(cell, expiry, now))\n\t\t\treturn 0;\n\t\tnf_unlink", "now == 77)\n\t\t\treturn 0;\n\t\tnf_unlink", /could not be tried/],
  ["never reclaims", "if (!cell || !nf_is_expired(cell, expiry, now))\n\t\t\treturn 0;\n\t\tnf_unlink", "if (!cell || fresh)\n\t\t\treturn 0;\n\t\tnf_unlink", /never reclaims/],
  ["reclaims the newest", "number = head->next;\n\t\tif (number == 0)", "number = head->previous;\n\t\tif (number == 0)", /answers|leaves/],
  ["refreshes without moving", "\tnf_unlink(chain, cell);\n\tnf_append(chain, cell, index + 1, now);", "\tcell->last = now;", /leaves/],
  ["refreshes what is free", "\tif (!cell || cell->previous == NF_FREE_CELL)", "\tif (!cell)", /leaves/],
  ["does it at one time only", "\t\thead->last = number;\n", "\t\thead->last = now == 1234567 ? number - 1 : number;\n", /could not be tried|kind/],
  ["counts in another map", "cell->last = now;\n\tcell->next = 0;", "cell->last = now; { extern __u32 variable; variable++; }\n\tcell->next = 0;", /variables|touches/],
  ["has a clock of its own", "\tcell->last = now;\n\tcell->next = 0;", "\tcell->last = bpf_ktime_get_ns();\n\tcell->next = 0;", /calls more/],
];

for (const [what, from, to, why] of impostors)
  test(`no allocator: it ${what}`, { skip: noClang }, () => {
    const report = analyse(changed([[from, to]]));
    deepEqual(texts(report), []);
    const notes = report.notes.filter(({ code }) => code === "no-allocator");
    equal(notes.length, 2);
    for (const { message } of notes) match(message, why);
  });

test(
  "one that leaves a reclaimed entry in its map has none",
  { skip: noClang },
  () => {
    // It is an allocator, whose keys nobody deletes: entries are not linked.
    const report = analyse(
      changed([["if (map)\n\t\t\tbpf_map_delete_elem(map, cell + 1);", ""]]),
    );
    deepEqual(texts(report), [
      "entries_chain: undefined, 7, 100, 24",
      "ids: undefined, 7, 100, 16",
    ]);
  },
);

test("one that deletes another key is none", { skip: noClang }, () => {
  const report = analyse(
    changed([["delete_elem(map, cell + 1)", "delete_elem(map, &cell->next)"]]),
  );
  deepEqual(texts(report), ["ids: undefined, 7, 100, 16"]);
});

/** Small changes of one instruction. */
function* mutantsOf(instruction: Instruction): Generator<Instruction> {
  const { kind } = instruction;
  // Another stack byte is one that the machine has as zero, and the kernel refuses.
  if (kind === "load" || (kind === "store" && instruction.base !== 10))
    yield { ...instruction, offset: instruction.offset ^ 4 };
  if (kind === "alu" && instruction.src.kind === "immediate") {
    const value = instruction.src.value + 1;
    yield { ...instruction, src: { kind: "immediate", value } };
  }
  if (kind === "alu" && instruction.op === "add")
    yield { ...instruction, op: "sub" };
  if (kind !== "branch") return;
  const { op } = instruction;
  yield { ...instruction, op: op === "jeq" ? "jne" : "jeq" };
  if (op === "jgt") yield { ...instruction, op: "jge" };
  if (op === "jge") yield { ...instruction, op: "jgt" };
}

const withInstruction = (
  fn: FunctionSpec,
  at: number,
  instruction: Instruction,
): FunctionSpec => ({
  ...fn,
  instructions: fn.instructions.map((old, index) =>
    index === at ? instruction : old,
  ),
});

test("a change of any instruction of the allocator is seen", () => {
  const spec = committed("dynamic-bridge", { capacity: 6, expiry: 50 });
  const survivors: string[] = [];
  let count = 0;
  for (const [index, fn] of spec.functions.entries()) {
    if (!/_chain_(allocate|free|refresh)$/.test(fn.name)) continue;
    for (const [at, instruction] of fn.instructions.entries())
      for (const mutant of mutantsOf(instruction)) {
        const functions = spec.functions.with(
          index,
          withInstruction(fn, at, mutant),
        );
        count++;
        const program = { ...spec, functions };
        const { allocators } = recogniseAllocators(program, lift(program));
        // One with another expiry is an allocator too.
        const [found] = allocators.values();
        if (found !== undefined && found.expiry === 50n)
          survivors.push(`${fn.name}+${at}`);
      }
  }
  ok(count > 150, `${count} mutants`);
  deepEqual(survivors, []);
});

const family = `
#include "chain.h"

struct key { __be32 source; __be32 destination; };
struct value { __u32 number; __u32 index; };
NF_EXPIRING_MAP(flows, struct key, struct value, 16, 9, 100);
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

SEC("xdp")
int chains(struct xdp_md *ctx)
{
	struct iphdr *ip = parse_l3(ctx);
	__u64 now = bpf_ktime_get_ns(), *count;
	struct value *value, first = {};
	struct key key = {};

	if (!ip)
		return XDP_DROP;
	key.source = ip->saddr;
	value = flows_get(&key, now);
	if (!value)
		return flows_insert(&key, &first, now) ? XDP_PASS : XDP_DROP;
	flows_refresh(value, now);
	count = bpf_map_lookup_elem(&counts, &value->index);
	if (count)
		*count += 1;
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
`;

/** `counts follow the indices`, or why nothing belongs to the allocator. */
function familyText(
  change: readonly [string, string],
  userWrites: readonly string[] = [],
): string {
  equal(family.split(change[0]).length > 1, true, change[0]);
  const program = family.replace(...change);
  const { objects, notes } = analyse(changed([], program), { userWrites });
  const note = notes.find(({ code }) => code === "allocator-otherwise");
  const owned = objects.flatMap(({ accesses }) =>
    accesses.filter(({ own, through }) => own ?? through),
  );
  const follows = objects.find(({ name }) => name === "counts")?.indexedBy;
  if (note === undefined)
    return `${follows} is followed, ${owned.length > 20} belong`;
  equal(owned.length, 0);
  equal(follows, undefined);
  return note.message.replace(/ \([^()]*\)$/, "");
}

const otherwise = "flows_chain is used otherwise than as an allocator's: ";

// What the program does besides, and what follows.
// prettier-ignore
const uses: readonly (readonly [string, readonly [string, string], string])[] = [
  ["nothing", ["", ""], "flows_chain is followed, true belong"],
  ["clamps the index", ["&value->index);", "&(__u32){value->index < 8 ? value->index : 8});"], "flows_chain is followed, true belong"],
  ["counts by the next index", ["&value->index);", "&(__u32){value->index + 1});"], "undefined is followed, true belong"],
  ["counts by another word of the entry", ["&value->index);", "&value->number);"], "undefined is followed, true belong"],
  ["changes an entry's index", ["*count += 1;", "value->index ^= 1;"], `${otherwise}the index of an entry is changed`],
  ["changes a cell", ["*count += 1;", "*(volatile __u32 *)((struct nf_cell *)bpf_map_lookup_elem(&flows_chain, &value->index) ?: 0) = 1;"], `${otherwise}its cells are written`],
  ["refreshes a neighbour", ["flows_refresh(value, now);", "flows_chain_refresh(value->index + 1, now);"], `${otherwise}flows_chain_refresh is handed an index from elsewhere`],
  ["frees what it read elsewhere", ["flows_refresh(value, now);", "flows_chain_free(value->number);"], `${otherwise}flows_chain_free is handed an index from elsewhere`],
  ["makes an entry of its own", ["*count += 1;", "bpf_map_update_elem(&flows, &key, &first, BPF_ANY);"], `${otherwise}an entry has another index than a fresh one`],
  ["makes an entry under another key", ["\t\treturn flows_insert(&key, &first, now) ? XDP_PASS : XDP_DROP;", `{
		__u32 number = flows_chain_allocate(now);
		struct flows_cell *cell = bpf_map_lookup_elem(&flows_chain, &number);

		if (!number || !cell)
			return XDP_DROP;
		cell->key = key;
		key.destination = ip->daddr;
		first.index = number - 1;
		bpf_map_update_elem(&flows, &key, &first, BPF_ANY);
		return XDP_PASS;
	}`], `${otherwise}the cell of an entry does not hold its key`],
];

for (const [what, change, want] of uses)
  test(`a program that ${what}`, { skip: noClang }, () => {
    equal(familyText(change), want);
  });

test("entries that user space writes", { skip: noClang }, () => {
  equal(familyText(["", ""], ["flows"]), `${otherwise}user space writes flows`);
});

test("a hash is a function of what was hashed, in order", () => {
  const { objects } = analyse(committed("connection-limiter"));
  const clients = objects.find(({ name }) => name === "clients");
  ok(clients !== undefined && clients.accesses.length > 0);
  for (const { key } of clients.accesses) {
    const all = key.bits.flatMap((bit) => {
      if (bit.kind === "linear") return [];
      ok(bit.why.kind === "nonlinear");
      return bit.why.of ?? [];
    });
    const names = all.map(({ field, bit }) => `${field}.${bit}`);
    equal(new Set(names).size, 64);
    const fields = new Set(all.map(({ field }) => field));
    deepEqual([...fields], ["ipv4.src", "ipv4.dst"]);
  }
});

test("entries fewer than indices are not parted: one core's would take another's room", () => {
  const program = committed("nat", { capacity: 64 });
  const codes = (entries: number): readonly string[] => {
    const maps = program.maps.map((map) =>
      map.name === "flows" ? { ...map, maxEntries: entries } : map,
    );
    const { refusals } = choosePlan(analyse({ ...program, maps }), {
      cores: 4,
      profile: nicProfile("generic"),
      ports: [
        { name: "lan", ifindex: 1 },
        { name: "wan", ifindex: 2 },
      ],
      samples: 10,
    });
    return refusals
      .filter(({ strategy }) => strategy === "shard")
      .map(({ object, code, edit }) => `${object} ${code}: ${edit}`);
  };
  deepEqual(codes(64), []);
  const edit =
    "give flows 64 entries (--map-size flows=64), or lower the capacity to 63";
  deepEqual(codes(63), [
    `flows R-capacity: ${edit}`,
    `flows_chain R-family: ${edit}`,
  ]);
});
