/**
 * Concrete against abstract for allocators and what they number: packets that touch one
 * entry, its cell, or what is indexed by it, are led to one core by the family's
 * demands. Network functions of the suite, and random programs over an expiring map.
 * `DIVISI_SEED` sets the seed.
 *
 * Not counted: what the allocator's functions touch, and accesses that the report calls
 * the core's own (heads and fresh cells are checked to be that); a packet that brought an
 * index and failed the comparison.
 *
 * The mutants at the end show that a wrong report would be found.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import {
  analyse,
  type Access,
  type StateObject,
  type StateReport,
} from "#analysis";
import { Random, toHex } from "#base";
import { BytecodeMachine, createState, type CellTouch } from "#interp";
import type { ProgramSpec } from "#isa";
import { programSpec, readObject, setVariable } from "#object";
import { parseFrame } from "#packet";
import type { Conjunct } from "#rss";
import { demandsOf, familiesOf, type Family, type Port } from "#strategy";
import { lanAndWan, noClang } from "./strategy-cases.ts";
import { temporaryFolder } from "./support/cli.ts";
import { drawFrame, holds, type Touched } from "./support/foreseen.ts";
import { folder } from "./support/network-function.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 20240611);
const PACKETS = 600;
/** Packets of one entry that are compared with each other. */
const MOST = 24;
const DROP = 1;
const compiler = "clang-14";
const wan: Port = { name: "wan", ifindex: 2 };

const isPlain = (frame: Uint8Array): boolean =>
  frame.length >= 38 && frame[12] === 8 && frame[13] === 0;

/** Addresses and ports exchanged. */
function replyTo(frame: Uint8Array): Uint8Array {
  const reply = frame.slice();
  const l4 = 14 + 4 * ((frame[14] ?? 0) & 15);
  const exchange = (from: number, to: number, size: number): void => {
    reply.set(frame.subarray(to, to + size), from);
    reply.set(frame.subarray(from, from + size), to);
  };
  exchange(26, 30, 4);
  if (l4 + 4 <= frame.length) exchange(l4, l4 + 2, 2);
  return reply;
}

interface Run {
  /** Per entry of the family the packets that touched what belongs to it. */
  readonly entries: ReadonlyMap<string, readonly Touched[]>;
  /** Touches that the report calls a head or a fresh cell, and are not. */
  readonly wrong: readonly string[];
  readonly touches: number;
}

const indexOf = (cell: string): number =>
  Number.parseInt(cell.match(/../g)?.reverse().join("") ?? "0", 16);

const place = ({ function: fn, instruction }: CellTouch["at"]): string =>
  `${fn}+${instruction}`;

/** Accesses by object and place in the code. */
function accessesOf(report: StateReport): ReadonlyMap<string, Access[]> {
  const found = new Map<string, Access[]>();
  for (const { name, accesses } of report.objects)
    for (const access of accesses) {
      if (access.callee !== undefined) continue;
      const at = `${name} ${place(access.at)}`;
      found.set(at, [...(found.get(at) ?? []), access]);
    }
  return found;
}

function run(spec: ProgramSpec, report: StateReport, family: Family): Run {
  const { allocator } = family;
  ok(allocator?.allocator?.entries !== undefined);
  const { entries: map, functions } = allocator.allocator;
  const entriesSpec = spec.maps.find(({ name }) => name === map);
  const field = entriesSpec?.valueFields?.find(({ path }) => path === "index");
  ok(field !== undefined);
  const accesses = accessesOf(report);
  const met = new Set(
    report.objects.flatMap(({ interchanges = [] }) =>
      interchanges.map(({ access }) => access),
    ),
  );
  const members = new Map(family.members.map((one) => [one.name, one]));
  const own = new Set(Object.values(functions));
  const state = createState(spec.maps);
  const keys = (): ReadonlyMap<number, string> =>
    new Map(
      state.entries(map).map(({ key, value }) => {
        const view = new DataView(value.buffer, value.byteOffset);
        return [view.getUint32(field.bitOffset / 8, true), toHex(key)] as const;
      }),
    );
  let touched: CellTouch[] = [];
  const machine = new BytecodeMachine(spec, state, {
    observer: { touch: (touch) => void touched.push(touch) },
    seed,
  });
  const random = new Random(seed);
  const found = new Map<string, Touched[]>();
  const wrong: string[] = [];
  const answered: Uint8Array[] = [];
  let touches = 0;
  let time = 0n;
  for (let count = 0; count < PACKETS; count++) {
    const isReply = answered.length > 0 && random.chance(0.4);
    const data = isReply ? replyTo(random.pick(answered)) : drawFrame(random);
    const port = isReply ? wan : random.pick(lanAndWan);
    const before = keys();
    touched = [];
    time += BigInt(random.below(400));
    const { verdict, data: sent } = machine.run({
      data,
      ifindex: port.ifindex,
      rxQueue: 0,
      cpu: 0,
      time,
    });
    const after = keys();
    if (port.name !== wan.name && verdict !== DROP && isPlain(sent)) {
      answered.push(sent);
      if (answered.length > 6) answered.shift();
    }
    const frame = parseFrame(data.slice());
    for (const touch of touched) {
      if (!members.has(touch.map) || own.has(touch.at.function)) continue;
      const some = accesses.get(`${touch.map} ${place(touch.at)}`) ?? [];
      const isChain = touch.map === allocator.name;
      const number = indexOf(touch.cell) + (isChain ? 0 : 1);
      const kinds = new Set(some.map((access) => access.own));
      const at = place(touch.at);
      if (touch.map !== map && kinds.size === 1 && kinds.has("head"))
        if (number !== 0) wrong.push(`${at}: cell ${number} is no head`);
      if (touch.map !== map && kinds.size === 1 && kinds.has("fresh"))
        if (before.get(number - 1) === (after.get(number - 1) ?? "gone"))
          wrong.push(`${at}: cell ${number} is not fresh`);
      if (some.length > 0 && !kinds.has(undefined)) continue;
      if (verdict === DROP && some.some(({ id }) => met.has(id))) continue;
      const owners =
        touch.map === map
          ? [touch.cell]
          : [after.get(number - 1), before.get(number - 1)];
      const [owner, other = owner] = owners;
      // Given away within the packet: whose it was is not known.
      if (owner === undefined || owner !== other || number === 0) continue;
      touches++;
      const list = found.get(owner) ?? [];
      found.set(owner, list);
      if (list.at(-1)?.frame !== frame || list.at(-1)?.at !== at)
        list.push({ frame, port: port.name, at: `${touch.map} ${at}` });
    }
  }
  return { entries: found, wrong, touches };
}

/** Entries whose packets the conjuncts do not all lead to one core. */
function scattered(
  { entries }: Run,
  conjuncts: readonly Conjunct[],
): readonly string[] {
  const out: string[] = [];
  for (const [key, all] of entries) {
    const step = Math.max(1, Math.floor(all.length / MOST));
    const some = all.filter(
      ({ at }, index) => index % step === 0 || at.includes("update"),
    );
    const group = some.map((_, index) => index);
    const find = (at: number): number =>
      group[at] === at ? at : find(group[at] ?? 0);
    for (const [i, p] of some.entries())
      for (let j = i + 1; j < some.length; j++) {
        const q = some[j];
        if (q === undefined || find(i) === find(j)) continue;
        const isOne = p.frame === q.frame;
        if (
          isOne ||
          conjuncts.some((one) => holds(one, p, q) || holds(one, q, p))
        )
          group[find(j)] = find(i);
      }
    const roots = new Set(some.map((_, index) => find(index)));
    if (roots.size > 1)
      out.push(`${key}: ${[...roots].map((at) => some[at]?.at).join(", ")}`);
  }
  return out;
}

const familyOf = (report: StateReport): Family | undefined =>
  familiesOf(report.objects).find(
    ({ allocator }) => allocator?.allocator?.entries !== undefined,
  );

const conjunctsOf = (family: Family): readonly Conjunct[] =>
  demandsOf(family, lanAndWan).map(({ conjunct }) => conjunct);

function expectForeseen(spec: ProgramSpec, least: number): void {
  const report = analyse(spec);
  const family = familyOf(report);
  ok(family !== undefined);
  const ran = run(spec, report, family);
  deepEqual(ran.wrong.slice(0, 3), []);
  deepEqual(scattered(ran, conjunctsOf(family)).slice(0, 3), []);
  ok(ran.touches >= least, `${ran.touches} touches`);
}

function committed(
  name: string,
  set: Readonly<Record<string, number>>,
): ProgramSpec {
  const file = join(folder, `${name}.o`);
  let object = readObject(readFileSync(file), file);
  for (const [variable, value] of Object.entries(set))
    object = setVariable(object, variable, String(value));
  return programSpec(object, {});
}

// prettier-ignore
const suite: readonly (readonly [string, Readonly<Record<string, number>>])[] = [
  ["nat", { capacity: 5, expiry: 9000, start_port: 99 }],
  ["nat", { capacity: 5, expiry: 9000, start_port: 99, refresh: 1 }],
  ["connection-limiter", { flow_capacity: 6, flow_expiry: 3000 }],
  ["port-scan-detector", { capacity: 2, expiry: 3000 }],
  ["hash-lb", { capacity: 6, expiry: 3000 }],
  ["hhh", { capacity: 5 }],
  ["dynamic-bridge", { capacity: 2, expiry: 500 }],
];

for (const [name, set] of suite)
  test(`${name} ${JSON.stringify(set)}: packets of an entry meet (seed ${seed})`, () => {
    expectForeseen(committed(name, set), 80);
  });

/** A program over an expiring map, an array by its indices, and perhaps indices from packets. */
function sourceOf(random: Random): string {
  const address = () =>
    random.pick([
      "ip->saddr",
      "ip->daddr",
      "ip->saddr & bpf_htonl(0xffffff00)",
      "ip->saddr ^ ip->daddr",
      "0",
    ]);
  const port = () => random.pick(["l4->source", "l4->dest", "0"]);
  const key = (name: string) =>
    `struct key ${name} = { .a = ${address()}, .b = ${address()}, .c = ${port()}, .d = ${port()} };`;
  const known = (name: string) => `
	value = flows_get(&${name}, now);
	if (value) {
		flows_refresh(value, now);
		count(value->index);
	} else if (flows_insert(&${name}, &first, now))
		count(first.index);`;
  const found = (name: string) => `
	value = flows_get(&${name}, now);
	if (value)
		${random.pick(["flows_refresh(value, now);", "count(value->index);", "value->number++;"])}`;
  const gone = (name: string) => `
	if (ip->protocol == 17 && (l4->dest & bpf_htons(1)))
		flows_delete(&${name});`;
  const checks = (name: string) => {
    const all = ["a", "b", "c", "d"].filter(() => random.chance(0.6));
    const some = all.length === 0 ? ["a"] : all;
    return some
      .map((field) => `copy.${field} != ${name}.${field}`)
      .join(" || ");
  };
  const brought = (name: string) => `
	index = bpf_ntohs(l4->dest) - 99;
	there = flows_key_at(index, now);
	if (!there)
		return XDP_DROP;
	copy = *there;
	if (${checks(name)})
		return XDP_DROP;
	${random.pick(["flows_chain_refresh(index, now);", "if (bpf_map_lookup_elem(&flows, &copy)) flows_chain_refresh(index, now);"])}`;
  const body = (name: string, mayBring: boolean) =>
    [
      known(name),
      random.chance(0.5) ? found(`${name}2`) : "",
      random.chance(0.3) ? gone(name) : "",
      mayBring && random.chance(0.7) ? brought(name) : "",
    ].join("\n");
  return `
#define NF_PORTS
#include "nf.h"
#include "nf_chain.h"

struct key { __be32 a; __be32 b; __be16 c; __be16 d; };
struct value { __u32 number; __u32 index; };

NF_EXPIRING_MAP(flows, struct key, struct value, 16, ${1 + random.below(9)}, ${random.below(5000)});
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

ALWAYS_INLINE void count(__u32 index)
{
	__u64 *cell = bpf_map_lookup_elem(&counts, &index);

	if (cell)
		(*cell)++;
}

SEC("xdp")
int program(struct xdp_md *ctx)
{
	struct value *value, first = {};
	struct iphdr *ip = parse_l3(ctx);
	struct key *there, copy;
	struct l4hdr *l4;
	__u64 now;
	__u32 index;

	if (!ip)
		return XDP_DROP;
	l4 = parse_l4(ctx, ip);
	if (!l4)
		return XDP_DROP;
	now = bpf_ktime_get_ns();
	${key("one")}
	${key("one2")}
	${key("two")}
	${key("two2")}
	if (ctx->ingress_ifindex == 1) {
		${body("one", false)}
	} else {
		${random.chance(0.5) ? body("two", true) : brought("two")}
	}
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
`;
}

function compiled(source: string): ProgramSpec {
  const scratch = temporaryFolder("families");
  const file = join(scratch, "program.c");
  const object = join(scratch, "program.o");
  writeFileSync(file, source);
  const asm = ["x86_64", "aarch64"]
    .map((machine) => `/usr/include/${machine}-linux-gnu`)
    .filter((path) => existsSync(path));
  // prettier-ignore
  const words = ["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wno-unused", `-I${folder}`, ...asm.map((path) => `-I${path}`), "-c", file, "-o", object];
  const { status, stderr } = spawnSync(compiler, words, { encoding: "utf8" });
  equal(status, 0, stderr);
  return programSpec(readObject(readFileSync(object), object), {});
}

const PROGRAMS = 10;

for (let count = 0; count < PROGRAMS; count++)
  test(
    `random program ${count}: packets of an entry meet (seed ${seed})`,
    { skip: noClang },
    () => {
      const source = sourceOf(new Random(seed + count));
      try {
        expectForeseen(compiled(source), 20);
      } catch (error) {
        throw new Error(source, { cause: error });
      }
    },
  );

const natSet = { capacity: 5, expiry: 9000, start_port: 99, refresh: 1 };

function mutated(change: (object: StateObject) => StateObject): Run & {
  readonly family: Family;
} {
  const spec = committed("nat", natSet);
  const honest = analyse(spec);
  const report = { ...honest, objects: honest.objects.map(change) };
  const family = familyOf(report);
  ok(family !== undefined);
  return { ...run(spec, report, family), family };
}

test("mutant: a comparison that the program does not make", () => {
  const ran = mutated((object) => ({
    ...object,
    ...(object.interchanges === undefined
      ? {}
      : {
          interchanges: object.interchanges.map((one) => ({
            ...one,
            packet: {
              ...one.packet,
              bits: one.packet.bits.map((bit) =>
                bit.kind === "linear" && bit.bits[0]?.field === "l4.sport"
                  ? { ...bit, constant: bit.constant === 0 ? 1 : 0 }
                  : bit,
              ),
            },
          })),
        }),
  }));
  ok(scattered(ran, conjunctsOf(ran.family)).length > 0);
});

test("mutant: no interchange", () => {
  const ran = mutated((object) => ({ ...object, interchanges: [] }));
  const spread = conjunctsOf(ran.family).filter(
    ({ equations }) => equations.length > 0,
  );
  ok(scattered(ran, spread).length > 0);
});

for (const own of ["fresh", "head"] as const)
  test(`mutant: a packet's index is called ${own}`, () => {
    const ran = mutated((object) => {
      const met = new Set(object.interchanges?.map(({ access }) => access));
      return {
        ...object,
        accesses: object.accesses.map((access) =>
          met.has(access.id) ? { ...access, own } : access,
        ),
      };
    });
    ok(ran.wrong.length > 0);
  });
