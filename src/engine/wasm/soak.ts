/**
 * Several threads on the same maps, and a count of what must be there afterwards.
 *
 * Every packet adds one to five counters of its key, each kept safe in another way, and
 * then inserts into or deletes from maps whose keys come and go:
 *
 *   atomic_array atomic_hash atomic_lru   an atomic addition
 *   locked_array locked_hash              a plain addition under the value's spin lock
 *   plain_lru                             a plain addition under locked_array's lock
 *   churn        inserted (BPF_NOEXIST) and deleted, successes counted atomically
 *   churn_lru    updated and deleted, far more keys than it has room for
 *
 * Law: each counter ends at the number of packets of its key; `churn` holds as many
 * elements as were inserted and not deleted; no map exceeds its capacity or has a key
 * twice; no packet misses what nobody deletes. The mutants break one thing each, and
 * the law must be seen to fail: `racy` adds plainly where an atomic is due, `lock`
 * takes locks without looking whether they are held.
 */
import { Bug, Random, toHex } from "../../base/index.ts";
import type { MapEntry, PacketInput } from "../../interp/index.ts";
import {
  parseFunctions,
  type MapSpec,
  type ProgramSpec,
} from "../../isa/index.ts";
import { runParallel, type ParallelRun } from "./parallel.ts";
import { PackedPackets } from "./packed-packets.ts";

export type SoakMutant = "racy" | "lock";

export interface SoakOptions {
  readonly threads: number;
  readonly packets: number;
  readonly seed: number;
  readonly mutant?: SoakMutant;
}

export interface SoakRound {
  readonly packets: number;
  readonly ns: number;
  /** What is not as it must be; empty when all is well. */
  readonly findings: readonly string[];
}

const keys = 16;
const churnKeys = 512;
const counters = [
  "atomic_array",
  "atomic_hash",
  "atomic_lru",
  "locked_array",
  "locked_hash",
  "plain_lru",
] as const;
type Counter = (typeof counters)[number];

/** One run with maps of its own. */
export async function soak(options: SoakOptions): Promise<SoakRound> {
  const { threads, packets: count, seed, mutant } = options;
  const random = new Random(seed);
  const wanted = new Float64Array(keys);
  const packets = Array.from({ length: count }, (_, at) => {
    const packet = packetOf(random, at);
    const key = packet.data[keyAt] ?? 0;
    wanted[key] = (wanted[key] ?? 0) + 1;
    return packet;
  });
  const run = await runParallel({
    program: soakProgram(mutant === "racy"),
    cores: threads,
    memory: "shared",
    packets: PackedPackets.pack(packets),
    steer: Uint8Array.from(packets, () => random.below(threads)),
    contents: firstContents(),
    ...(mutant === "lock" ? { tamper: withoutLocks } : {}),
  });
  return { packets: count, ns: run.ns, findings: judge(run, wanted) };
}

const keyAt = 14;

/** Half of the packets have the same key. */
function packetOf(random: Random, at: number): PacketInput {
  const data = new Uint8Array(64);
  const view = new DataView(data.buffer);
  view.setUint32(keyAt, random.chance(0.5) ? 0 : random.below(keys), true);
  view.setUint32(keyAt + 4, random.below(churnKeys), true);
  data[keyAt + 8] = random.below(2);
  return { data, ifindex: 1, rxQueue: 0, cpu: 0, time: BigInt(at) };
}

function judge(run: ParallelRun, wanted: Float64Array): readonly string[] {
  const findings: string[] = [];
  const contents = run.cores[0]?.contents ?? {};
  const entries = (name: string): readonly MapEntry[] => contents[name] ?? [];
  for (const name of counters) {
    let lost = 0;
    for (const [key, count] of wanted.entries())
      lost += count - counterOf(entries(name), key, valueAt(name));
    if (lost !== 0) findings.push(`${name}: ${lost} updates lost`);
  }
  const churned = [0, 1].map((at) => counterOf(entries("churned"), at, 0));
  const stayed = (churned[0] ?? 0) - (churned[1] ?? 0);
  if (entries("churn").length !== stayed)
    findings.push(
      `churn: ${entries("churn").length} elements, but ${stayed} were inserted and not deleted`,
    );
  for (const { name, maxEntries, type } of maps) {
    const all = entries(name);
    const distinct = new Set(all.map(({ key }) => toHex(key)));
    if (type !== "array" && distinct.size !== all.length)
      findings.push(`${name}: a key is there twice`);
    if (all.length > maxEntries)
      findings.push(`${name}: ${all.length} of ${maxEntries} elements`);
  }
  const missed = run.verdicts.filter((verdict) => verdict !== 2).length;
  if (missed > 0) findings.push(`${missed} packets missed an element`);
  if (run.faults > 0)
    findings.push(`${run.faults} faults: ${run.firstFaults[0]?.text}`);
  return findings;
}

function counterOf(
  entries: readonly MapEntry[],
  key: number,
  at: number,
): number {
  const entry = entries.find(
    (each) => view(each.key).getUint32(0, true) === key,
  );
  return entry === undefined
    ? 0
    : Number(view(entry.value).getBigUint64(at, true));
}

function view({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

function valueAt(name: Counter): number {
  return name.startsWith("locked") ? 8 : 0;
}

const lock = {
  valueFields: [
    { path: "lock", bitOffset: 0, bits: 32, kind: "spin-lock" },
    { path: "count", bitOffset: 64, bits: 64, kind: "int" },
  ],
} as const;

// prettier-ignore
const maps: readonly MapSpec[] = [
  map("atomic_array", "array", 8, keys),
  map("atomic_hash", "hash", 8, 2 * keys),
  map("atomic_lru", "lru_hash", 8, 2 * keys),
  map("locked_array", "array", 16, keys, lock),
  map("locked_hash", "hash", 16, keys, lock),
  map("plain_lru", "lru_hash", 8, 2 * keys),
  map("churn", "hash", 8, 256),
  map("churned", "array", 8, 2),
  map("churn_lru", "lru_hash", 8, 32),
];

function map(
  name: string,
  type: MapSpec["type"],
  valueSize: number,
  maxEntries: number,
  more: Partial<MapSpec> = {},
): MapSpec {
  const fixed = { keySize: 4, flags: 0, section: ".maps", readOnly: false };
  return { name, type, valueSize, maxEntries, ...fixed, ...more };
}

/** Elements that the program does not make itself. */
function firstContents(): Record<string, readonly MapEntry[]> {
  const filled = ["atomic_lru", "locked_hash", "plain_lru"];
  return Object.fromEntries(
    maps
      .filter(({ name }) => filled.includes(name))
      .map(({ name, valueSize }) => [
        name,
        Array.from({ length: keys }, (_, key) => ({
          key: Uint8Array.of(key, 0, 0, 0),
          value: new Uint8Array(valueSize),
        })),
      ]),
  );
}

function soakProgram(racy: boolean): ProgramSpec {
  const lookup = (name: string, key: number): string =>
    `r1 = map ${name} ll
     r2 = r10
     r2 += ${key}
     call map_lookup_elem`;
  const found = (name: string): string =>
    `${lookup(name, -4)}
     if r0 == 0 goto miss`;
  const plain = (register: string, at: number): string =>
    `r1 = *(u64 *)(${register} + ${at})
     r1 += 1
     *(u64 *)(${register} + ${at}) = r1`;
  const atomic = `r1 = 1
     lock *(u64 *)(r0 + 0) += r1`;
  const add = racy ? plain("r0", 0) : atomic;
  const change = (name: string, verb: string, flags: number): string =>
    `r1 = map ${name} ll
     r2 = r10
     r2 += -8
     r3 = r10
     r3 += -16
     r4 = ${flags}
     call map_${verb}_elem`;
  const count = (which: number): string =>
    `if r0 != 0 goto done
     *(u32 *)(r10 - 20) = ${which}
     ${lookup("churned", -20)}
     if r0 == 0 goto miss
     ${atomic}
     goto done`;
  const text = `r6 = *(u32 *)(r1 + 0)
     r2 = *(u32 *)(r1 + 4)
     r3 = r6
     r3 += 24
     if r3 > r2 goto miss
     r1 = *(u32 *)(r6 + ${keyAt})
     *(u32 *)(r10 - 4) = r1
     r1 = *(u32 *)(r6 + ${keyAt + 4})
     *(u32 *)(r10 - 8) = r1
     r9 = *(u8 *)(r6 + ${keyAt + 8})
     *(u64 *)(r10 - 16) = 0
     ${found("atomic_array")}
     ${add}
     ${found("atomic_lru")}
     ${add}
     ${lookup("atomic_hash", -4)}
     if r0 != 0 goto have
     r1 = map atomic_hash ll
     r2 = r10
     r2 += -4
     r3 = r10
     r3 += -16
     r4 = 1
     call map_update_elem
     ${found("atomic_hash")}
     have:
     ${add}
     ${found("locked_array")}
     r7 = r0
     ${found("plain_lru")}
     r8 = r0
     r1 = r7
     call spin_lock
     ${plain("r7", 8)}
     ${plain("r8", 0)}
     r1 = r7
     call spin_unlock
     ${found("locked_hash")}
     r7 = r0
     r1 = r7
     call spin_lock
     ${plain("r7", 8)}
     r1 = r7
     call spin_unlock
     if r9 == 1 goto delete
     ${change("churn_lru", "update", 0)}
     ${change("churn", "update", 1)}
     ${count(0)}
     delete:
     ${change("churn_lru", "delete", 0)}
     ${change("churn", "delete", 0)}
     ${count(1)}
     done:
     r0 = 2
     exit
     miss:
     r0 = 1
     exit`;
  return {
    file: "soak",
    name: "main",
    section: "xdp",
    type: "xdp",
    license: "GPL",
    functions: parseFunctions(text),
    maps,
  };
}

/**
 * i32.atomic.rmw.cmpxchg (address, 0, 1) becomes drop, drop, i32.eqz: whatever the word
 * says, it was 0. Only taking a lock compiles to it here.
 */
function withoutLocks(bytes: Uint8Array): Uint8Array {
  const wanted = [0xfe, 0x48, 0x02, 0x00];
  const instead = [0x1a, 0x1a, 0x45, 0x01];
  const changed = bytes.slice();
  let found = 0;
  for (let at = 0; at + 4 <= changed.length; at++)
    if (wanted.every((byte, index) => changed[at + index] === byte)) {
      changed.set(instead, at);
      found++;
    }
  if (found !== 1) throw new Bug(`${found} places take a lock`);
  return changed;
}
