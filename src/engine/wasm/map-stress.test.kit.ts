/**
 * For tests: one core of several that work on one map as fast as they can. Run as a
 * worker, it joins the memory it is given and runs random packets; each packet is one
 * operation on the map, whose verdict is 1 if the answer could be right.
 *
 *   data[0]  0 look up what nobody changes: found, and the value tells its key
 *            1 look up what is always there   2 look up what never is
 *            3 update   4 delete
 *   data[4]  the key, `keySize` bytes; values tell their key and a sum
 */
import { parentPort, workerData } from "node:worker_threads";
import { Random } from "../../base/index.ts";
import type { PacketInput } from "../../interp/index.ts";
import type { MapSpec, ProgramSpec } from "../../isa/index.ts";
import { loadPortable } from "./program.ts";
import { programOf } from "./twin.test.kit.ts";
import type { Memory } from "./web-assembly.ts";

const sum = 0x5a5a_5a5a;

export interface StressStart {
  readonly spec: MapSpec;
  readonly core: number;
  readonly cores: number;
  readonly memory: Memory;
  readonly seed: number;
  readonly packets: number;
  /** Bytes of the one packet to run, instead of random ones. */
  readonly only?: readonly number[];
  /** The module without its version checks. */
  readonly mutant: boolean;
}

export const keys = {
  /** Never changed. */
  still: 16,
  /** Always there, updated all the time. */
  busy: 16,
  /** Come and go. */
  passing: 48,
  /** Never there. */
  absent: 16,
} as const;

export function stressProgram(spec: MapSpec): ProgramSpec {
  const words = spec.keySize / 4;
  const key = Array.from(
    { length: words },
    (_, at) =>
      `r2 = *(u32 *)(r6 + ${4 + 4 * at})\n*(u32 *)(r10 - ${16 - 4 * at}) = r2`,
  );
  return programOf(
    `r6 = *(u32 *)(r1 + 0)
     r2 = *(u32 *)(r1 + 4)
     r3 = r6
     r3 += 20
     r0 = 0
     if r3 > r2 goto out
     ${key.join("\n")}
     r7 = *(u32 *)(r6 + ${4 * words})
     *(u32 *)(r10 - 32) = r7
     r8 = r7
     r8 ^= ${sum}
     *(u32 *)(r10 - 28) = r8
     r1 = map ${spec.name} ll
     r2 = r10
     r2 += -16
     r9 = *(u8 *)(r6 + 0)
     if r9 == 3 goto update
     if r9 == 4 goto delete
     call map_lookup_elem
     if r9 == 2 goto absent
     if r0 == 0 goto missing
     r1 = r0
     r0 = 1
     if r9 == 1 goto out
     r2 = *(u32 *)(r1 + 0)
     r3 = *(u32 *)(r1 + 4)
     r0 = 2
     if r2 != r7 goto out
     if r3 != r8 goto out
     r0 = 1
     exit
     missing:
     r0 = 3
     exit
     absent:
     r1 = r0
     r0 = 1
     if r1 == 0 goto out
     r0 = 4
     exit
     update:
     r3 = r10
     r3 += -32
     r4 = 0
     call map_update_elem
     r1 = r0
     r0 = 1
     if r1 == 0 goto out
     r0 = 5
     exit
     delete:
     call map_delete_elem
     r0 = 1
     out:
     exit`,
    [spec],
  );
}

/** The value that belongs to a key; its last word tells keys apart. */
export function valueOf(key: Uint8Array): Uint8Array {
  const word = new DataView(key.buffer, key.byteOffset).getUint32(
    key.length - 4,
    true,
  );
  return new Uint8Array(Uint32Array.of(word, (word ^ sum) >>> 0).buffer);
}

/** Key number `index`, as the map has them. */
export function keyBytes(spec: MapSpec, index: number): Uint8Array {
  const key = new Uint8Array(spec.keySize);
  const view = new DataView(key.buffer);
  view.setUint32(spec.keySize - 4, 0x0100_0000 + index * 0x9e37, true);
  if (spec.type === "lpm_trie") {
    view.setUint32(0, 32, true);
    view.setUint32(4, index + 1, false);
  }
  return key;
}

/** Operations in an order that the map's kind allows to judge. */
function operations(
  random: Random,
  spec: MapSpec,
  index: number,
): readonly [number, number] {
  const { still, busy, passing, absent } = keys;
  const [busyAt, passingAt] = [still, still + busy];
  if (spec.type === "lru_hash") {
    // Everything that is always there is used between two insertions.
    const at = index % (still + busy + 2);
    if (at < still) return [0, at];
    if (at < still + busy) return [at % 2 === 0 ? 3 : 1, at];
    const passer = passingAt + random.below(4 * passing);
    return [at === still + busy ? 3 : 4, passer];
  }
  switch (random.below(6)) {
    case 0:
      return [0, random.below(still)];
    case 1:
      return [1, busyAt + random.below(busy)];
    case 2:
      return [2, passingAt + passing + random.below(absent)];
    case 3:
      return [3, busyAt + random.below(busy)];
    case 4:
      return [3, passingAt + random.below(passing)];
    default:
      return [4, passingAt + random.below(passing)];
  }
}

function packets(start: StressStart): PacketInput[] {
  if (start.only !== undefined) {
    const data = new Uint8Array(20);
    data.set(start.only);
    return [{ data, ifindex: 1, rxQueue: 0, cpu: 0, time: 0n }];
  }
  const random = new Random(start.seed).fork(start.core);
  return Array.from({ length: 4096 }, (_, index) => {
    const data = new Uint8Array(20);
    const [operation, key] = operations(random, start.spec, index);
    data[0] = operation;
    data.set(keyBytes(start.spec, key), 4);
    return { data, ifindex: 1, rxQueue: 0, cpu: 0, time: 0n };
  });
}

/**
 * Takes the comparison of versions out of the lookup: load, get 4, ne becomes
 * load, drop, 0.
 */
function withoutVersions(bytes: Uint8Array): Uint8Array {
  const changed = bytes.slice();
  let count = 0;
  for (let at = 0; at + 2 < changed.length; at++)
    if (
      changed[at] === 0x20 &&
      changed[at + 1] === 4 &&
      changed[at + 2] === 0x47
    ) {
      changed.set([0x1a, 0x41, 0], at);
      count++;
    }
  if (count !== 3) throw new Error(`${count} comparisons of versions`);
  return changed;
}

function run(start: StressStart): void {
  const { spec, core, cores, memory, mutant } = start;
  const program = loadPortable(stressProgram(spec), {
    cpus: 1,
    memory: { core, cores, memory },
    ...(mutant ? { tamper: withoutVersions } : {}),
  });
  const batch = packets(start);
  const verdicts: Record<number, number> = {};
  for (let done = 0; done < start.packets; done += batch.length)
    for (const { verdict } of program.run(batch))
      verdicts[verdict] = (verdicts[verdict] ?? 0) + 1;
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker, not a window
  parentPort?.postMessage(verdicts);
}

if (parentPort !== null) run(workerData as StressStart);
