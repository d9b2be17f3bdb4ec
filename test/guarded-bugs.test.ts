/**
 * What Maestro's locks got wrong, and what a lock must not do: each as a case that holds,
 * and fails when the bug is put in (spec: its bugs 2, 3 and 4).
 */
import { deepEqual, equal, notDeepEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import { Random } from "#base";
import type { GuardMutant, GuardOptions } from "#codegen";
import type { PacketInput } from "#interp";
import { parseFunctions, type MapSpec, type ProgramSpec } from "#isa";
import { buildFrame } from "#packet";
import {
  apart,
  guardAll,
  inTurn,
  interleave,
  tryGuarded,
  type GuardedTrial,
} from "./support/guarded.ts";
import { caseOf, mixOf } from "./support/nf-mixes.ts";
import { programOf } from "./support/nf-suite.ts";
import { nfTraffic } from "./support/nf-traffic.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);
const drop = 1;
const redirect = 4;
const second = 1_000_000_000n;
const [lan, wan] = [1, 2];

type Row = readonly [
  core: number,
  ifindex: number,
  at: bigint,
  frame: Uint8Array,
];

function trialOf(
  name: string,
  rows: readonly Row[],
  more: {
    readonly set?: Readonly<Record<string, string>>;
    readonly mutant?: GuardMutant;
    readonly kind?: GuardOptions["kind"];
  } = {},
): GuardedTrial {
  const { set = {}, mutant, kind = "lock" } = more;
  const program = programOf(name, { name: "", set });
  return {
    program,
    cores: 2,
    steer: Uint8Array.from(rows, ([core]) => core),
    packets: rows.map(([core, ifindex, time, data]): PacketInput => ({
      data,
      ifindex,
      time,
      cpu: core,
      rxQueue: core,
    })),
    guard: guardAll(program, kind, mutant === undefined ? {} : { mutant }),
  };
}

const station = (dst: number, src: number): Uint8Array => {
  const frame = new Uint8Array(60);
  frame[5] = dst;
  frame[11] = src;
  return frame;
};

const flow = (sport: number): Uint8Array =>
  buildFrame({
    ipv4: { src: "10.0.0.1", dst: "192.168.0.9" },
    udp: { sport, dport: 80 },
  });

const reply = (dport: number): Uint8Array =>
  buildFrame({
    ipv4: { src: "192.168.0.9", dst: "10.0.0.1" },
    udp: { sport: 80, dport },
  });

/** Verdicts of the rows one after the other, once they hold against the sequential run. */
function verdicts(trial: GuardedTrial): readonly number[] {
  const { differences, verdicts: found } = interleave(trial, inTurn);
  deepEqual(differences, []);
  return found;
}

function expectCaught(trial: GuardedTrial): void {
  notDeepEqual(interleave(trial, inTurn).differences, []);
}

// Bug 2.
test("a writer's verdict is that of its last run", () => {
  // A new station on port 1; then the table of NAT is full.
  const fresh: Row[] = [[0, wan, 1n, station(9, 1)]];
  deepEqual(verdicts(trialOf("dynamic-bridge", fresh)), [redirect]);
  expectCaught(trialOf("dynamic-bridge", fresh, { mutant: "first-verdict" }));
  const full: Row[] = [1, 2, 3].map((port) => [
    port % 2,
    lan,
    BigInt(port),
    flow(port),
  ]);
  const set = { capacity: "2" };
  deepEqual(verdicts(trialOf("nat", full, { set })), [
    redirect,
    redirect,
    drop,
  ]);
  expectCaught(trialOf("nat", full, { set, mutant: "first-verdict" }));
});

// Bug 3.
test("an entry that any core keeps alive is not given away", async () => {
  const set = { capacity: "2", expiry: "1000" };
  // Two stations fill the table; core 1 refreshes the older one; a third comes when
  // both would have expired, had nobody refreshed.
  const rows: Row[] = [
    [0, lan, 1000n, station(9, 1)],
    [0, lan, 1100n, station(9, 2)],
    [1, lan, 1900n, station(2, 1)],
    [0, lan, 2500n, station(9, 3)],
    [0, lan, 2600n, station(1, 3)],
  ];
  const want = verdicts(trialOf("dynamic-bridge", rows, { set }));
  equal(want[4], drop);
  expectCaught(trialOf("dynamic-bridge", rows, { set, mutant: "no-stamp" }));
  // On threads, with an expiry as short as the way from one packet to the next: it ends.
  const random = new Random(seed);
  let time = 0n;
  const many = Array.from({ length: 8_000 }, (): Row => {
    time += BigInt(1 + random.below(60));
    const [dst, src] = [1 + random.below(6), 1 + random.below(6)];
    return [random.below(2), 1 + random.below(2), time, station(dst, src)];
  });
  const { differences, run } = await tryGuarded(
    trialOf("dynamic-bridge", many, { set: { capacity: "4", expiry: "300" } }),
  );
  deepEqual(differences, []);
  ok(run.cores.every(({ guard }) => (guard?.reads ?? 0) > 0));
});

test("a field that says when its entry was used last is refreshed by readers", () => {
  const rows = [lan, wan, lan, wan].map((port, at): Row => [
    at % 2,
    port,
    BigInt(1 + at) * 400n,
    port === lan ? flow(1024) : reply(1024),
  ]);
  // A silence of 400 is none, though the first use is 1200 ago.
  const set = { expiry: "500" };
  const trial = trialOf("firewall", rows, { set });
  deepEqual(trial.guard.refreshes, [
    { object: "flows", offset: 0, expiry: 500n },
  ]);
  deepEqual(verdicts(trial), [redirect, redirect, redirect, redirect]);
  expectCaught(trialOf("firewall", rows, { set, mutant: "no-stamp" }));
});

// Bug 4.
test("what expired is a miss on every core", () => {
  const rows: Row[] = [
    [0, lan, second, station(9, 1)],
    [1, wan, 200n * second, station(9, 2)],
    // 1 has been silent for longer than 300 s, 2 has not.
    [1, wan, 302n * second, station(1, 2)],
  ];
  const [, , last] = interleave(
    trialOf("dynamic-bridge", rows),
    inTurn,
  ).verdicts;
  equal(last, redirect);
  deepEqual(verdicts(trialOf("dynamic-bridge", rows)).length, 3);
  expectCaught(trialOf("dynamic-bridge", rows, { mutant: "any-age" }));
});

for (const kind of ["lock", "transaction"] as const)
  test(`steps of ${kind} in any order (seed ${seed})`, () => {
    for (const name of ["dynamic-bridge", "nat", "load-balancer", "firewall"]) {
      const [variant] = caseOf(name).variants;
      if (variant === undefined) throw new RangeError(name);
      const random = new Random(seed);
      const program = programOf(name, variant);
      const mix = mixOf(caseOf(name), variant);
      const packets = apart(nfTraffic(mix, { seed, count: 600 }));
      const cores = 3;
      const steer = Uint8Array.from(packets, () => random.below(cores));
      const guard = guardAll(program, kind);
      const trial = { program, packets, steer, cores, guard };
      const { differences } = interleave(trial, ({ length }) =>
        random.below(length),
      );
      deepEqual(differences, [], name);
    }
  });

test("packets that surely write start as writers", async () => {
  const { variants } = caseOf("policer");
  const [variant] = variants;
  if (variant === undefined) throw new RangeError("policer");
  const program = programOf("policer", variant);
  const packets = apart(
    nfTraffic(mixOf(caseOf("policer"), variant), { seed, count: 3000 }),
  );
  const steer = Uint8Array.from(packets, (_, at) => at % 2);
  const trial = { program, packets, steer, cores: 2 };
  const restarts: number[] = [];
  for (const writers of [[], [{ ifindex: [wan], certain: true }]]) {
    const guard = { ...guardAll(program, "lock"), writers };
    const { differences, run } = await tryGuarded({ ...trial, guard });
    deepEqual(differences, []);
    const counts = run.cores.flatMap((core) => core.guard ?? []);
    restarts.push(counts.reduce((sum, each) => sum + each.restarts, 0));
    // Those of the other port never write.
    ok(counts.every(({ reads }) => reads > 0));
  }
  ok((restarts[0] ?? 0) > 0);
  equal(restarts[1], 0);
});

test("an attempt that was given up leaves nothing behind", () => {
  // The frame is rewritten and a counter of the core raised before the mutation.
  const program = givenUp();
  const frame = new Uint8Array(60);
  const packets = Array.from({ length: 6 }, (_, at): PacketInput => ({
    data: frame,
    ifindex: lan,
    time: BigInt(at),
    cpu: 0,
    rxQueue: 0,
    random: 7 + at,
  }));
  const steer = Uint8Array.from(packets, (_, at) => at % 2);
  for (const kind of ["lock", "transaction"] as const) {
    const trial = { program, packets, steer, cores: 2 };
    const guard: GuardOptions = { kind, objects: ["total"] };
    deepEqual(interleave({ ...trial, guard }, inTurn).differences, []);
    if (kind === "transaction") continue;
    const mutant = { ...guard, mutant: "no-undo" } as const;
    notDeepEqual(
      interleave({ ...trial, guard: mutant }, inTurn).differences,
      [],
    );
  }
});

for (const kind of ["lock", "transaction"] as const)
  test(`without the ${kind} updates are lost`, async () => {
    const program = programFrom(slowAdd);
    const packets = Array.from({ length: 4000 }, (_, at): PacketInput => ({
      data: new Uint8Array(60),
      ifindex: lan,
      time: BigInt(at),
      cpu: 0,
      rxQueue: 0,
    }));
    const steer = Uint8Array.from(packets, (_, at) => at % 2);
    const trial = { program, packets, steer, cores: 2 };
    const guard: GuardOptions = { kind, objects: ["total"] };
    const held = await tryGuarded({ ...trial, guard });
    deepEqual(held.differences, []);
    // Threads need not meet in one run; in some they do.
    let caught = 0;
    for (let run = 0; run < 20 && caught === 0; run++) {
      const free = { ...guard, mutant: "no-lock" } as const;
      const lost = await tryGuarded({ ...trial, guard: free });
      caught += lost.differences.length;
    }
    ok(caught > 0);
  });

/** Adds one to the total, and takes its time between looking and writing. */
const slowAdd = `r6 = 0
*(u32 *)(r10 - 4) = r6
r1 = map total ll
r2 = r10
r2 += -4
call map_lookup_elem
if r0 == 0 goto out
r1 = *(u64 *)(r0 + 0)
*(u64 *)(r0 + 0) = r1
r2 = 4000
again:
r2 -= 1
if r2 != 0 goto again
r1 += 1
*(u64 *)(r0 + 0) = r1
out:
r0 = 2
exit`;

/** Adds to a byte of the frame and to a cell of the core's own, then to the total. */
function givenUp(): ProgramSpec {
  return programFrom(`r6 = *(u32 *)(r1 + 0)
r2 = *(u32 *)(r1 + 4)
r7 = *(u32 *)(r1 + 16)
r0 = 2
r3 = r6
r3 += 14
if r3 > r2 goto out
r1 = *(u8 *)(r6 + 0)
r1 += 1
*(u8 *)(r6 + 0) = r1
*(u32 *)(r10 - 4) = r7
r1 = map own ll
r2 = r10
r2 += -4
call map_lookup_elem
if r0 == 0 goto out
r1 = *(u64 *)(r0 + 0)
r1 += 1
*(u64 *)(r0 + 0) = r1
call get_prandom_u32
*(u32 *)(r6 + 4) = r0
*(u32 *)(r10 - 4) = 0
r1 = map total ll
r2 = r10
r2 += -4
call map_lookup_elem
if r0 == 0 goto out
r1 = *(u64 *)(r0 + 0)
r1 += 1
*(u64 *)(r0 + 0) = r1
r0 = 2
out:
exit`);
}

function programFrom(text: string): ProgramSpec {
  const array = (name: string): MapSpec => ({
    name,
    type: "array",
    keySize: 4,
    valueSize: 8,
    maxEntries: 2,
    flags: 0,
    section: ".maps",
    readOnly: false,
  });
  return {
    file: "test",
    name: "main",
    section: "xdp",
    type: "xdp",
    license: "GPL",
    functions: parseFunctions(text),
    maps: [array("own"), array("total")],
  };
}
