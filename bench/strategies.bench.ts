/**
 * What state that cores share costs, by how it is kept apart, on the portable engine:
 * all network functions of nfs/c under a lock, under transactions, with nothing shared,
 * and with merged counters where they are all that is written; on 1, 2 and all cores,
 * at 0 to 10^6 new flows per minute.
 *
 * Traffic: flows in both directions between two ports, spread over the cores by a hash
 * of the packet's four-tuple, so the two directions of a flow meet on any core, as with
 * any RSS key. Churn is of the time in the trace: one packet every 100 ns, in ticks of
 * 64 packets; a new flow takes an old one's place. With nothing shared, each core knows
 * only its own flows, so those figures are what an engine can reach where a plan shards
 * by these flows; locks and transactions serve any program.
 *
 * `mpps`: sum over cores of packets by time inside the compiled program, waiting for
 * others included, waiting for a CPU not (run-clock.ts). Medians of rounds. A portable
 * figure never predicts a kernel's. DIVISI_BENCH_BRIEF=1: fewer rounds and functions.
 */
import { readFileSync, readdirSync } from "node:fs";
import { availableParallelism, cpus, loadavg, release } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { analyse, recogniseAllocators } from "#analysis";
import { Random } from "#base";
import { refreshFields, type GuardOptions } from "#codegen";
import { median, runParallel, type ParallelOptions } from "#engine";
import type { MapEntry, PacketInput } from "#interp";
import { lift } from "#ir";
import type { MapSpec, ProgramSpec } from "#isa";
import { programSpec, readObject } from "#object";
import { buildFrame } from "#packet";

const folder = join(import.meta.dirname, "../../nfs/c");
const isBrief = process.env["DIVISI_BENCH_BRIEF"] !== undefined;
const seed = 1;
const count = isBrief ? 100_000 : 400_000;
const rounds = isBrief ? 1 : 3;
const flows = 4096;
const spacing = 100n;
const tick = 64;
const churns = isBrief ? [0, 1_000_000] : [0, 10_000, 100_000, 1_000_000];
const coreCounts = [...new Set([1, 2, availableParallelism()])].sort(
  (left, right) => left - right,
);
const strategies = ["shared-nothing", "lock", "transaction", "merge"] as const;
type Strategy = (typeof strategies)[number];
const say = (text: string): void => console.error(`  ${text}`);

interface Traffic {
  readonly packets: readonly PacketInput[];
  /** A hash of each packet's addresses and ports. */
  readonly hashes: Uint32Array;
  readonly newFlows: number;
}

/** Flow n: both frames, and their hashes. */
function flowFrames(
  number: number,
): readonly (readonly [Uint8Array, number])[] {
  const inside = `10.${(number >> 14) & 63}.${(number >> 7) & 127}.${1 + (number & 127)}`;
  const server = `192.168.${number % 7}.${1 + (number % 31)}`;
  const sport = 1024 + (number % 60_000);
  return [
    buildFrame({
      ipv4: { src: inside, dst: server },
      udp: { sport, dport: 80 },
    }),
    buildFrame({
      ipv4: { src: server, dst: inside },
      udp: { sport: 80, dport: sport },
    }),
  ].map((data, direction) => {
    // Stations are as many as hosts.
    const ends = [inside, server].map(macOf);
    data.set(ends[1 - direction] ?? [], 0);
    data.set(ends[direction] ?? [], 6);
    return [data, hash(data.subarray(26, 38))];
  });
}

function macOf(address: string): number[] {
  return [2, 0, ...address.split(".").map(Number)];
}

function hash(bytes: Uint8Array): number {
  let sum = 0x811c_9dc5;
  for (const byte of bytes) sum = Math.imul(sum ^ byte, 0x0100_0193);
  return (sum ^ (sum >>> 15)) >>> 0;
}

function trafficOf(perMinute: number): Traffic {
  const random = new Random(seed);
  const frames = Array.from({ length: flows }, (_, number) =>
    flowFrames(number),
  );
  const every = perMinute === 0 ? Infinity : 6e10 / perMinute / Number(spacing);
  let born = flows;
  let due = every;
  const hashes = new Uint32Array(count);
  const packets = Array.from({ length: count }, (_, at): PacketInput => {
    if (at >= due) {
      due += every;
      frames[born % flows] = flowFrames(born);
      born++;
    }
    const flow = frames[random.below(flows)] ?? [];
    const direction = random.below(2);
    const [data, sum] = flow[direction] ?? [new Uint8Array(60), 0];
    hashes[at] = sum;
    const time = 1_000_000_000n + BigInt(at - (at % tick)) * spacing;
    return { data, time, ifindex: 1 + direction, rxQueue: 0, cpu: 0 };
  });
  return { packets, hashes, newFlows: born - flows };
}

interface Subject {
  readonly name: string;
  readonly program: ProgramSpec;
  readonly contents: Readonly<Record<string, readonly MapEntry[]>>;
  readonly guard: Omit<GuardOptions, "kind">;
  /** The program with per-CPU counters, if they are all that it writes. */
  readonly merged?: ProgramSpec;
}

const index = (value: number): Uint8Array => Uint8Array.of(value, 0, 0, 0);

function subjectOf(file: string): Subject {
  const object = readObject(readFileSync(join(folder, file)), file);
  const program = programSpec(object);
  const { objects } = analyse(program);
  const state = objects.filter(
    ({ access, channel }) => access !== "read-only" && channel !== true,
  );
  const { allocators } = recogniseAllocators(program, lift(program));
  const ages = [...allocators].flatMap(
    ([chain, { capacity, expiry, functions }]) =>
      expiry === undefined ? [] : [{ chain, capacity, expiry, functions }],
  );
  const names = new Set(program.maps.map(({ name }) => name));
  const written = state.filter(({ access }) => access !== "none");
  const merges =
    written.length > 0 &&
    written.every(
      ({ access }) => access === "add-only" || access === "per-cpu",
    );
  const perCpu = (map: MapSpec): MapSpec =>
    written.some(({ name }) => name === map.name)
      ? { ...map, type: map.type === "hash" ? "percpu_hash" : "percpu_array" }
      : map;
  const ports = [0, 1].map((at) => ({ key: index(at), value: index(at + 1) }));
  return {
    name: file.slice(0, -2),
    program,
    contents: names.has("ports") ? { ports } : {},
    guard: {
      objects: state.map(({ name }) => name).filter((name) => names.has(name)),
      ages,
      refreshes: refreshFields(program),
    },
    ...(merges
      ? { merged: { ...program, maps: program.maps.map(perCpu) } }
      : {}),
  };
}

function optionsOf(
  { program, contents, guard, merged }: Subject,
  strategy: Strategy,
):
  | Pick<ParallelOptions, "program" | "memory" | "guard" | "contents">
  | undefined {
  switch (strategy) {
    case "shared-nothing":
      return { program, contents, memory: "private" };
    case "merge":
      return merged && { program: merged, contents, memory: "shared" };
    case "lock":
    case "transaction": {
      const kind = strategy;
      return { program, contents, memory: "shared", guard: { kind, ...guard } };
    }
  }
}

async function measure(
  subject: Subject,
  strategy: Strategy,
  cores: number,
  { packets, hashes }: Traffic,
): Promise<Record<string, unknown> | undefined> {
  const options = optionsOf(subject, strategy);
  if (options === undefined) return undefined;
  const steer = Uint8Array.from(hashes, (sum) => sum % cores);
  const rates: number[] = [];
  let counts: Record<string, number> | undefined;
  for (let round = 0; round < rounds; round++) {
    const run = await runParallel({ ...options, cores, packets, steer });
    rates.push(
      run.cores.reduce((sum, core) => sum + (1000 * core.packets) / core.ns, 0),
    );
    if (options.guard === undefined) continue;
    counts = { reads: 0, writes: 0, restarts: 0, aborts: 0, serial: 0 };
    for (const { guard } of run.cores)
      for (const [name, value] of Object.entries(guard ?? {}))
        counts[name] = (counts[name] ?? 0) + value;
  }
  return {
    mpps: Math.round(100 * median(rates)) / 100,
    ...(counts === undefined ? {} : { counts }),
  };
}

const loadBefore = loadavg()[0] ?? 0;
const names = readdirSync(folder).filter((file) => file.endsWith(".o"));
const few = [
  "dynamic-bridge.o",
  "firewall.o",
  "gcount.o",
  "nat.o",
  "nop.o",
  "policer.o",
];
const subjects = names
  .filter((file) => !isBrief || few.includes(file))
  .map(subjectOf);
const rows: Record<string, unknown>[] = [];
for (const perMinute of churns) {
  const traffic = trafficOf(perMinute);
  for (const subject of subjects)
    for (const strategy of strategies)
      for (const cores of coreCounts) {
        const figures = await measure(subject, strategy, cores, traffic);
        if (figures === undefined) continue;
        const { newFlows } = traffic;
        const label = { program: subject.name, strategy, cores, perMinute };
        rows.push({ ...label, newFlows, ...figures });
        say(
          `${subject.name}, ${strategy}, ${cores} cores, ${perMinute} fpm: ${String(figures["mpps"])} Mpps`,
        );
      }
}
const round1 = (value: number): number => Math.round(10 * value) / 10;
console.log(
  JSON.stringify({
    schema: "divisi.bench-strategies/1",
    machine: {
      cpu: cpus()[0]?.model ?? "unknown",
      cpus: cpus().length,
      node: process.version,
      kernel: release(),
      loadAverage: [round1(loadBefore), round1(loadavg()[0] ?? 0)],
    },
    brief: isBrief,
    includes: "program",
    traffic: { packets: count, flows, spacingNs: Number(spacing), tick },
    rounds,
    rows,
  }),
);
