/**
 * Locks and atomic additions in the kernel: what the verifier takes, that one core sees
 * no difference, and that two cores lose no update where without them they do.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { withLocks, type Locked } from "#codegen";
import {
  haveBpf,
  loadPortable,
  measureInterleaved,
  openKernel,
  prepareSubject,
} from "#engine";
import type { PacketInput } from "#interp";
import { parseFunctions, type MapSpec } from "#isa";
import {
  emptyObject,
  programSpec,
  readObject,
  type Btf,
  type ObjectSpec,
} from "#object";
import { root } from "./support/cli.ts";
import { caseOf, mixOf } from "./support/nf-mixes.ts";
import { withPorts } from "./support/nf-machines.ts";
import { nfTraffic } from "./support/nf-traffic.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);
const absence = await haveBpf();
const skip = absence === undefined ? {} : { skip: absence.message };

function objectOf(name: string): ObjectSpec {
  const file = `nfs/c/${name}.o`;
  return readObject(readFileSync(join(root, file)), file);
}

/** Every object that the suite's functions write, and its lock in the kernel. */
// prettier-ignore
const rows: readonly (readonly [name: string, object: string, what: string])[] = [
  ["arr", "counts", "atomic"],
  ["gcount", "total", "atomic"],
  ["gcount", "sources", "lock"],
  ["r3", "sources", "atomic"],
  ["r3", "destinations", "atomic"],
  ["source-counter", "sources", "atomic"],
  ["flow-counter", "flows", "atomic"],
  ["ddos-mitigator", "sources", "atomic"],
  ["ddos-mitigator", "dropped", "atomic"],
  ["wan-dedup", "dropped", "atomic"],
  ["ids", "matches", "atomic"],
  ["ctrnat", "allocated", "atomic"],
  ["ctrnat", "tuples", "lock"],
  ["ctrnat", "flows", "R-lock-helper"],
  ["policer", "buckets", "R-lock-clock"],
  ["load-balancer", "slots", "R-lock-clock"],
  ["load-balancer", "backends", "R-lock-helper"],
  ["load-balancer", "backends_chain", "R-lock-pointer"],
  ["firewall", "flows", "R-lock-helper"],
  ["conntrack", "connections", "R-lock-helper"],
  ["token-bucket", "flows", "R-lock-helper"],
  ["heavy-hitter", "flows", "R-lock-helper"],
  ["port-knock", "sources", "R-lock-helper"],
  ["wan-dedup", "payloads", "R-lock-helper"],
  ["nat", "flows_chain", "R-lock-pointer"],
  ["connection-limiter", "clients", "R-lock-pointer"],
  ["dynamic-bridge", "stations_chain", "R-lock-pointer"],
];

for (const [name, object, what] of rows)
  test(`${name}: ${object} by ${what} (seed ${seed})`, async () => {
    const original = objectOf(name);
    const locked = withLocks(original, object);
    if (locked.kind === "refused") {
      equal(locked.code, what);
      ok(locked.text.length > 20 && locked.at.function.length > 0);
      return;
    }
    equal(locked.how, what);
    await expectSame(name, original, locked, object);
  });

/** One core sees no difference, and the verifier takes it. */
async function expectSame(
  name: string,
  original: ObjectSpec,
  locked: Locked<ObjectSpec>,
  object: string,
): Promise<void> {
  const [before, after] = [original, locked.code].map((each) =>
    programSpec(each),
  );
  if (before === undefined || after === undefined) throw new RangeError(name);
  const mix = mixOf(caseOf(name), { name: "" });
  const packets = nfTraffic(mix, { seed, count: 1500 });
  const [one, other] = [before, after].map((program) =>
    loadPortable(program, { contents: withPorts(program, {}) }),
  );
  const outcomes = [one, other].map((each) => each?.run(packets));
  deepEqual(outcomes[1], outcomes[0]);
  const values = [one, other].map((each) =>
    each?.entries(object).map(({ value }) => [...value]),
  );
  const size = before.maps.find((map) => map.name === object)?.valueSize ?? 0;
  deepEqual(
    values[1]?.map((value) => value.slice(0, size)),
    values[0],
  );
  if (absence !== undefined) return;
  const kernel = await openKernel();
  try {
    const { btf } = locked.code;
    prepareSubject(kernel, after, {
      packets: [packets.slice(0, 4)],
      ...(btf === undefined ? {} : { btf }),
    }).close();
  } finally {
    kernel.close();
  }
}

const array = (name: string, more: Partial<MapSpec>): MapSpec => ({
  name,
  type: "array",
  keySize: 4,
  valueSize: 8,
  maxEntries: 1,
  flags: 0,
  section: ".maps",
  readOnly: false,
  ...more,
});

/** What types a compiler would have written for the maps. */
const btf: Btf = {
  types: [
    { kind: "void" },
    {
      kind: "int",
      name: "unsigned int",
      size: 4,
      bits: 32,
      offset: 0,
      encoding: 0,
    },
    {
      kind: "int",
      name: "unsigned long",
      size: 8,
      bits: 64,
      offset: 0,
      encoding: 0,
    },
    { kind: "array", type: 2, index: 1, count: 2 },
  ],
};

/** Counts each packet in `total` by `update`, and in `seen`, which each CPU has its own of. */
function counting(update: string): ObjectSpec {
  const text = `function count
r6 = 0
*(u32 *)(r10 - 4) = r6
r1 = map seen ll
r2 = r10
r2 += -4
call map_lookup_elem
if r0 == 0 goto out
r1 = *(u64 *)(r0 + 0)
r1 += 1
*(u64 *)(r0 + 0) = r1
r1 = map total ll
r2 = r10
r2 += -4
call map_lookup_elem
if r0 == 0 goto out
r3 = 7
${update}
r6 += r3
out:
r0 = 2
exit`;
  const functions = parseFunctions(text).map((fn) => ({
    ...fn,
    section: "xdp",
  }));
  const empty = emptyObject("count", "GPL");
  return {
    ...empty,
    functions,
    maps: [
      array("seen", { type: "percpu_array" }),
      array("total", { valueSize: 16, btfKey: 1, btfValue: 3 }),
    ],
    programs: [{ name: "count", section: "xdp", type: "xdp" }],
    btf,
  };
}

const plainAdd = `r1 = *(u64 *)(r0 + 0)
r1 += 1
*(u64 *)(r0 + 0) = r1`;
/** The second word says what the first became: no addition alone does that. */
const twoWords = `${plainAdd}
*(u64 *)(r0 + 8) = r1`;

const word = (bytes: Uint8Array | undefined, at: number): number =>
  Number(
    new DataView(bytes?.slice().buffer ?? new ArrayBuffer(16)).getBigUint64(
      at,
      true,
    ),
  );

/** Packets counted by both, in one run on two CPUs. */
async function counted(object: ObjectSpec): Promise<{
  readonly total: number;
  readonly second: number;
  readonly seen: number;
}> {
  const kernel = await openKernel();
  const packet: PacketInput = {
    data: new Uint8Array(64),
    ifindex: 1,
    rxQueue: 0,
    cpu: 0,
    time: 0n,
  };
  const program = programSpec(object);
  const subject = prepareSubject(kernel, program, {
    packets: [[packet], [packet]],
    ...(object.btf === undefined ? {} : { btf: object.btf }),
  });
  try {
    await measureInterleaved(kernel, [subject], { samples: 2, burst: 20 });
    const key = new Uint8Array(4);
    const total = subject.map("total").lookup(key);
    const seen = subject.map("seen").lookupAll(key) ?? [];
    const sum = seen.reduce((all, value) => all + word(value, 0), 0);
    return { total: word(total, 0), second: word(total, 8), seen: sum };
  } finally {
    subject.close();
    kernel.close();
  }
}

for (const [how, update] of [
  ["atomic", plainAdd],
  ["lock", twoWords],
] as const)
  test(`two CPUs lose no update by ${how}, and do without`, skip, async () => {
    const original = counting(update);
    const locked = withLocks(original, "total");
    ok(locked.kind === "locked" && locked.how === how);
    const safe = await counted(locked.code);
    ok(safe.seen > 10_000);
    equal(safe.total, safe.seen);
    if (how === "lock") equal(safe.second, safe.total);
    // Two CPUs that share one line lose updates; give them some chances to meet.
    let lost = 0;
    for (let run = 0; run < 10 && lost === 0; run++) {
      const racy = await counted(original);
      lost = racy.seen - racy.total;
    }
    ok(lost > 0);
  });
