/**
 * R5: an index that comes with a packet may be another core's where the packets that
 * fail the program's own comparison come out as those whose index is not allocated.
 * nat in C and from TypeScript, and what would break it, each seen at its line.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { analyse, type StateReport } from "#analysis";
import { programSpec, readObject, setVariable } from "#object";
import { temporaryFolder } from "./support/cli.ts";
import { folder } from "./support/network-function.ts";
import { compiled } from "./support/nf-compile.ts";

const compiler = "clang-14";
const noClang =
  spawnSync(compiler, ["--version"]).error === undefined
    ? false
    : "clang-14 is not installed";

const never = 0;
const afterCheck = 1;
const beforeCheck = 2;

const reportOf = (bytes: Uint8Array): StateReport =>
  analyse(programSpec(readObject(bytes, "nat.o"), {}));

/** nfs/c/nat.c with texts exchanged. */
function changed(changes: readonly (readonly [string, string])[]): StateReport {
  const scratch = temporaryFolder("interchanges");
  let text = readFileSync(join(folder, "nat.c"), "utf8");
  for (const [from, to] of changes) {
    equal(text.split(from).length, 2, from);
    text = text.replace(from, to);
  }
  const file = join(scratch, "nat.c");
  const object = join(scratch, "nat.o");
  writeFileSync(file, text);
  const asm = ["x86_64", "aarch64"]
    .map((machine) => `/usr/include/${machine}-linux-gnu`)
    .filter((path) => existsSync(path));
  // prettier-ignore
  const words = ["-O2", "-g", "-target", "bpf", "-mcpu=v3", `-I${folder}`, ...asm.map((path) => `-I${path}`), "-c", file, "-o", object];
  const { status, stderr } = spawnSync(compiler, words, { encoding: "utf8" });
  equal(status, 0, stderr);
  return reportOf(readFileSync(object));
}

/** What is asked of all accesses: `object: g(p) = f(q)`, or `object: code`. */
function asked(report: StateReport): readonly string[] {
  const texts = report.objects.flatMap(({ name, interchanges = [] }) =>
    interchanges.map(({ holds, packet, stored, reason }) =>
      holds
        ? `${name}: ${packet.text} = ${stored.text}`
        : `${name}: ${reason?.code}`,
    ),
  );
  return [...new Set(texts)];
}

const held =
  "{ipv4.src, l4.sport, ipv4.protocol} = {ipv4.dst, l4.dport, ipv4.protocol}";
const both = (text: string): readonly string[] => [
  `flows: ${text}`,
  `flows_chain: ${text}`,
];

// prettier-ignore
const refreshes: readonly (readonly [number, string])[] = [
  [never, held], [afterCheck, held], [beforeCheck, "R5-before-check"],
];

for (const [refresh, want] of refreshes)
  test(`nat, refresh = ${refresh}`, async () => {
    const file = join(folder, "nat.o");
    const object = readObject(readFileSync(file), file);
    const set = setVariable(object, "refresh", String(refresh));
    const inC = analyse(programSpec(set, {}));
    deepEqual(asked(inC), both(want));
    const inTs = reportOf(await compiled("nat", { refresh: String(refresh) }));
    deepEqual(asked(inTs), both(want));
    if (refresh !== beforeCheck) return;
    // The place of the culprit is the refresh's.
    const places = [inC, inTs].map((report) => {
      const [first] = report.objects.flatMap(
        ({ interchanges = [] }) => interchanges,
      );
      return `${first?.reason?.at.text}`;
    });
    ok(
      places.every((text) => text.includes("refresh")),
      places.join(),
    );
  });

test("every access by an index from a packet has its interchange", () => {
  const file = join(folder, "nat.o");
  const report = reportOf(readFileSync(file));
  for (const { accesses, interchanges } of report.objects) {
    if (interchanges === undefined) continue;
    const met = new Set(interchanges.map(({ access }) => access));
    for (const { id, key, own, through } of accesses) {
      const fromCell = key.bits.some(
        (bit) => bit.kind === "opaque" && bit.why.kind === "state",
      );
      const fromPacket = key.bits.some(
        (bit) => bit.kind === "opaque" && bit.why.kind === "nonlinear",
      );
      if (
        fromPacket ||
        (fromCell && own === undefined && through === undefined)
      )
        ok(met.has(id), id);
    }
  }
});

const check = `	if (key.destination != ip->saddr || key.destination_port != l4->source ||
	    key.protocol != ip->protocol)
		return XDP_DROP;
	flow =`;
const miss = `	if (!there)
		return XDP_DROP;
`;
const count = `struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} misses SEC(".maps");

ALWAYS_INLINE int missed(void)
{
	__u32 zero = 0;
	__u64 *count = bpf_map_lookup_elem(&misses, &zero);

	if (count)
		(*count)++;
	return XDP_DROP;
}

#define ALL_PORTS 65536`;
const withCounter = ["#define ALL_PORTS 65536", count] as const;

// What is changed, and what is then asked.
// prettier-ignore
const mutants: readonly (readonly [string, readonly (readonly [string, string])[], string])[] = [
  ["another verdict on a failed comparison", [[check, check.replace("XDP_DROP", "XDP_PASS")]], "R5-verdict"],
  ["another verdict on an unallocated index", [[miss, miss.replace("XDP_DROP", "XDP_PASS")]], "R5-verdict"],
  ["a counter of unallocated indices", [withCounter, [miss, miss.replace("XDP_DROP", "missed()")]], "R5-effect"],
  ["a counter of failed comparisons", [withCounter, [check, check.replace("return XDP_DROP", "return missed()")]], "R5-before-check"],
  ["no comparison", [[check, "	flow ="]], "R5-before-check"],
  ["the packet is written before the comparison", [["	key = *there;\n", "	key = *there;\n	ip->ttl = 9;\n"]], "R5-before-check"],
  ["fewer things are compared", [[check, "	if (key.destination != ip->saddr)\n		return XDP_DROP;\n	flow ="]], "ipv4.src = ipv4.dst"],
  ["the protocol's verdict is another", [[check, `	if (key.destination != ip->saddr || key.destination_port != l4->source)
		return XDP_DROP;
	if (key.protocol != ip->protocol)
		return XDP_PASS;
	flow =`]], "{ipv4.src, l4.sport} = {ipv4.dst, l4.dport}"],
  ["what was read is written back", [["	key = *there;\n", "	key = *there;\n	*(volatile __be32 *)&there->source = *(volatile __be32 *)&there->source;\n"]], held],
];

for (const [what, changes, want] of mutants)
  test(`nat, changed: ${what}`, { skip: noClang }, () => {
    deepEqual(asked(changed(changes)), both(want));
  });

test("an index that nobody tested is refused", { skip: noClang }, () => {
  // The cell's key is read whether its index is allocated or not.
  const there = "struct flow_key *there = flows_key_at(index, now);";
  const raw = `__u32 number = index + 1;
	struct flows_cell *cell = bpf_map_lookup_elem(&flows_chain, &number);
	struct flow_key *there = cell ? &cell->key : 0;`;
  deepEqual(asked(changed([[there, raw]])), both("R5-not-tested"));
});
