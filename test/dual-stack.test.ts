/**
 * IPv4 and IPv6 under one key, and frames behind VLAN tags.
 *
 * The settings of a plan are judged by a twin that shares nothing with the solver: the
 * naive Toeplitz hash over bytes at offsets that are written here. Packets that touch one
 * cell must have one entry of the table, whatever else is in them; settings made for
 * another demand are caught, and so is a NIC that does not look behind tags.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fromHex, Random } from "#base";
import { buildFrame, type FrameSpec } from "#packet";
import {
  NicModel,
  nicProfile,
  nicSetup,
  parseNicProfile,
  portConfig,
  rssSolve,
  type NicSetup,
} from "#rss";
import { choosePlan, type Plan } from "#strategy";
import { check, type CheckOptions } from "divisi";
import { naiveToeplitz } from "../src/rss/toeplitz-naive.ts";
import { divisi, temporaryFolder } from "./support/cli.ts";
import {
  compiledCase,
  compiledObject,
  noClang,
  type Case,
} from "./strategy-cases.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);
const generic = nicProfile("generic");

const address6 = (random: Random): string =>
  Array.from({ length: 8 }, () => random.below(65536).toString(16)).join(":");
const address4 = (random: Random): string =>
  Array.from({ length: 4 }, () => random.below(256)).join(".");

/** Of every class: TCP, UDP, ICMP, fragments, extension headers; both versions. */
function frameOf(
  random: Random,
  version: 4 | 6,
  src: string,
  tags = 0,
): Uint8Array {
  const vlans = Array.from({ length: tags }, () => random.below(4095));
  const ports = { sport: random.below(65536), dport: random.below(65536) };
  const transport: FrameSpec = random.pick([
    { tcp: { ...ports, flags: 2 } },
    { udp: ports },
    { icmp: { type: 8 } },
  ]);
  if (version === 4)
    return buildFrame({
      vlans,
      ipv4: {
        src,
        dst: address4(random),
        ...(random.chance(0.2)
          ? { fragmentOffset: random.below(2) * 64, moreFragments: true }
          : {}),
        ...(random.chance(0.2) ? { options: new Uint8Array(4) } : {}),
      },
      ...transport,
    });
  return buildFrame({
    vlans,
    ipv6: {
      src,
      dst: address6(random),
      ...(random.chance(0.2)
        ? {
            extensions: [
              { type: random.pick([0, 60]), body: new Uint8Array(7) },
            ],
          }
        : {}),
    },
    ...transport,
  });
}

/** The table's entry by the book: the settings' letters, bytes at fixed offsets. */
function naiveEntry(frame: Uint8Array, setup: NicSetup): number {
  const [port] = setup.ports;
  ok(port !== undefined);
  const type = ((frame[12] ?? 0) << 8) | (frame[13] ?? 0);
  const isSix = type === 0x86dd;
  const l4 = isSix ? 54 : 14 + 4 * ((frame[14] ?? 0) & 15);
  const protocol = frame[isSix ? 20 : 23] ?? 0;
  const isFragment =
    !isSix && (((frame[20] ?? 0) & 0x3f) | (frame[21] ?? 0)) !== 0;
  const name = protocol === 6 ? "tcp" : protocol === 17 ? "udp" : "other";
  const letters =
    port.fields[`${isFragment ? "fragment" : name}${isSix ? 6 : 4}`] ?? "";
  const width = isSix ? 16 : 4;
  const first = isSix ? 22 : 26;
  const take: Readonly<Record<string, readonly [number, number]>> = {
    s: [first, width],
    d: [first + width, width],
    f: [l4, 2],
    n: [l4 + 2, 2],
  };
  const input = letters.split("").flatMap((letter) => {
    const [at, size] = take[letter] ?? [0, 0];
    return [...frame.subarray(at, at + size)];
  });
  if (input.length === 0) return 0;
  const hash = naiveToeplitz(fromHex(port.key), Uint8Array.from(input));
  return (hash & (port.table.entries.length - 1)) >>> 0;
}

function planned(
  one: Case,
  profile = generic,
): { readonly plan: Plan; readonly setup: NicSetup } {
  const plan = choosePlan(one.report, {
    cores: 4,
    profile,
    ports: one.ports,
    samples: 10,
  });
  ok(plan.rss !== undefined, plan.fallback);
  return { plan, setup: nicSetup(plan.rss, profile) };
}

/** Pairs of frames of one source that the naive twin and the model bring apart, of two frames each. */
function parted(
  setup: NicSetup,
  pairs = 1000,
): {
  readonly apart: number;
  readonly queues: readonly number[];
} {
  const random = new Random(seed);
  const [port] = setup.ports;
  const model = new NicModel(portConfig(setup, port?.name ?? ""));
  const seen = { 4: new Set<number>(), 6: new Set<number>() };
  let apart = 0;
  for (let at = 0; at < pairs; at++) {
    const version = at % 2 === 0 ? 4 : 6;
    const src = version === 4 ? address4(random) : address6(random);
    const [one, other] = [
      frameOf(random, version, src),
      frameOf(random, version, src),
    ];
    for (const frame of [one, other]) {
      const { entry, queue } = model.queueOf(frame);
      equal(entry, naiveEntry(frame, setup));
      seen[version].add(queue);
    }
    if (naiveEntry(one, setup) !== naiveEntry(other, setup)) apart++;
  }
  return { apart, queues: [seen[4].size, seen[6].size] };
}

// prettier-ignore
for (const name of ["dual-stack", "dual-map", "mapped"])
  test(`${name}: one key for both versions (seed ${seed})`, { skip: noClang }, () => {
    const { plan, setup } = planned(compiledCase(name));
    equal(plan.strategy, "shard");
    deepEqual(parted(setup, 5000), { apart: 0, queues: [4, 4] });
    // Ports that a cell links share the key's table: one group, one table.
    equal(plan.rss?.groups.length, 1);
  });

test(
  "split makes traffic of both versions where none is given: a strong check",
  { skip: noClang },
  () => {
    const output = join(temporaryFolder("dual-stack"), "out");
    const object = compiledObject("dual-stack");
    // prettier-ignore
    const { status, stdout, stderr } = divisi(["split", object, "-o", output, "--cores", "4", "--allow-untested", "--seed", String(seed)]);
    equal(status, 0, stderr);
    match(stdout, /^checked {3}strong$/m);
    match(
      readFileSync(join(output, "plan.json"), "utf8"),
      /"gen:bidirectional,packets=50000,v6=0.5"/,
    );
  },
);

test(`rss solve serves both versions by one key (seed ${seed})`, () => {
  const solved = (fields: readonly string[], swap = false): NicSetup => {
    const { answer } = rssSolve(
      { fields, swap },
      { profile: generic, cores: 4 },
    );
    ok(answer.kind === "solution", JSON.stringify(answer));
    return nicSetup(answer, generic);
  };
  const both = solved(["ipv4.src,ipv6.src"]);
  deepEqual(parted(both), { apart: 0, queues: [4, 4] });
  // The same demand said in two; keys for one version only part packets of the other.
  deepEqual(parted(solved(["ipv4.src", "ipv6.src"])), {
    apart: 0,
    queues: [4, 4],
  });
  ok(
    parted(solved(["ipv4.src"])).apart > 200,
    "bits of IPv6 under the layout of IPv4",
  );
  ok(
    parted(solved(["ipv6.src"])).apart > 200,
    "bits of IPv4 under the layout of IPv6",
  );
});

/** The check of a plan over frames, four of each source, in arrival order. */
function checked(
  one: Case,
  setup: NicSetup,
  plan: Plan,
  frames: readonly Uint8Array[],
) {
  const options: CheckOptions = {
    sequential: one.spec,
    emitted: one.spec,
    report: one.report,
    strategies: new Map(
      plan.objects.map((part) => [part.object, part.strategy]),
    ),
    parts: plan.objects,
    ports: one.ports,
    cores: 4,
    setup,
    demand: {
      requirement: plan.requirement,
      mode: plan.rss?.mode ?? "index",
      constrained: plan.rss?.ports.map(({ constrained }) => constrained) ?? [],
    },
    trace: frames.map((data, at) => ({
      data,
      wireLength: data.length,
      time: BigInt(at),
      port: 0,
    })),
    cover: { packets: [], contents: {} },
    mutants: 40,
    seed,
  };
  return check(options);
}

/** Of both versions, few sources, many packets of each. */
function mixed(tags: readonly number[]): readonly Uint8Array[] {
  const random = new Random(seed);
  const sources = Array.from({ length: 24 }, (_, at) =>
    at % 2 === 0
      ? ([4, address4(random)] as const)
      : ([6, address6(random)] as const),
  );
  return Array.from({ length: 600 }, () => {
    const [version, src] = random.pick(sources);
    return frameOf(random, version, src, random.pick(tags));
  });
}

test(
  `the check of a dual-stack plan sees settings that miss a version (seed ${seed})`,
  { skip: noClang },
  () => {
    const one = compiledCase("dual-stack");
    const { plan, setup } = planned(one);
    const frames = mixed([0]);
    const good = checked(one, setup, plan, frames);
    equal(good.mismatches, 0, JSON.stringify(good.first[0]));
    ok(good.coresUsed === 4);
    const only = (fields: readonly string[]): NicSetup => {
      const { answer } = rssSolve({ fields }, { profile: generic, cores: 4 });
      ok(answer.kind === "solution");
      const [solved] = nicSetup(answer, generic).ports;
      ok(solved !== undefined);
      return {
        ...setup,
        ports: setup.ports.map((port) => ({ ...solved, name: port.name })),
      };
    };
    for (const fields of ["ipv4.src", "ipv6.src"])
      ok(checked(one, only([fields]), plan, frames).mismatches > 0, fields);
    // A class that is left out of the NIC's input set.
    const missing: NicSetup = {
      ...setup,
      ports: setup.ports.map((port) => ({
        ...port,
        fields: { ...port.fields, other6: "" },
      })),
    };
    ok(
      checked(one, missing, plan, frames).mismatches > 0,
      "other6 without a hash",
    );
  },
);

test(
  `VLAN: what the NIC does not look behind is refused, and caught (seed ${seed})`,
  { skip: noClang },
  () => {
    const one = compiledCase("vlan");
    const refused = choosePlan(one.report, {
      cores: 4,
      profile: generic,
      ports: one.ports,
      samples: 5,
    });
    const [refusal] = refused.refusals;
    equal(refusal?.code, "R-vlan-tags");
    match(
      refusal?.text ?? "",
      /sources is touched by packets behind 2 VLAN tags; the NIC looks behind at most 1 VLAN tag/,
    );
    const x710 = nicProfile("x710");
    const { plan, setup } = planned(one, x710);
    const frames = mixed([0, 1, 2]);
    equal(checked(one, setup, plan, frames).mismatches, 0);
    // The same settings on a NIC that stops at a tag: the queue of entry 0.
    const blind = { ...setup, profile: { ...x710, vlanTags: 0 as const } };
    ok(checked(one, blind, plan, frames).mismatches > 0);
    const profile = parseNicProfile(
      '{"like":"generic","name":"own","vlanTags":2}',
      "own.json",
    );
    equal(planned(one, profile).plan.strategy, "shard");
  },
);
