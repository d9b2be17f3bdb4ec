/**
 * Several cores with private memory: the same, packet for packet, as one run per core
 * in one thread.
 */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../base/index.ts";
import type { PacketInput } from "../../interp/index.ts";
import { outcomeDigest } from "./outcome-digest.ts";
import { PackedPackets } from "./packed-packets.ts";
import type { ParallelOptions } from "./parallel-options.ts";
import { runParallel } from "./parallel.ts";
import { loadPortable } from "./program.ts";
import { mapOf, packetsOf, print, programOf } from "./twin.test.kit.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);
const counts = mapOf("counts", "lru_hash", [4, 16, 8]);
const perCpu = mapOf("per_cpu", "percpu_array", [4, 8, 2]);

/** Counts by a byte of the packet, draws a random number, writes into the packet. */
const program = programOf(
  `r6 = *(u32 *)(r1 + 0)
r2 = *(u32 *)(r1 + 4)
r7 = *(u32 *)(r1 + 16)
r3 = r6
r3 += 14
r0 = 2
if r3 > r2 goto out
r2 = *(u8 *)(r6 + 1)
r2 &= 15
*(u32 *)(r10 - 4) = r2
call get_prandom_u32
r8 = r0
*(u64 *)(r10 - 24) = r0
call ktime_get_ns
*(u64 *)(r10 - 16) = r0
*(u32 *)(r6 + 2) = r8
*(u8 *)(r6 + 6) = r7
r1 = map counts ll
r2 = r10
r2 += -4
r3 = r10
r3 += -24
r4 = 0
call map_update_elem
*(u32 *)(r10 - 4) = 1
r1 = map per_cpu ll
r2 = r10
r2 += -4
call map_lookup_elem
if r0 == 0 goto out
r1 = 1
lock *(u64 *)(r0 + 0) += r1
r0 = r8
r0 &= 3
out:
exit`,
  [counts, perCpu],
);

const cores = 3;
const random = new Random(seed);
const packets = packetsOf(random, 3000);
const steer = Uint8Array.from(packets, () => random.below(cores));

function options(more: Partial<ParallelOptions> = {}): ParallelOptions {
  return { program, cores, packets, steer, seed: 5, ...more };
}

test(`a parallel run equals one run per core (seed ${seed})`, async () => {
  const capacities = { counts: 6 };
  const perCore = [undefined, { capacities: { counts: 3 } }];
  const run = await runParallel(
    options({ keep: "outcomes", capacities, perCore }),
  );
  const streamed = await runParallel(
    options({ keep: "digests", capacities, perCore, packets: stream() }),
  );
  deepEqual(streamed.digests, run.digests);
  deepEqual(streamed.verdicts, run.verdicts);
  equal(run.packets, packets.length);
  equal(run.faults, 0);
  for (let core = 0; core < cores; core++) {
    const mine = [...packets.keys()].filter((at) => steer[at] === core);
    const alone = loadPortable(program, {
      cpus: cores,
      seed: 5,
      capacities: perCore[core]?.capacities ?? capacities,
    });
    const want = alone.run(
      mine.map((at): PacketInput => {
        const packet = packets[at];
        if (packet === undefined) throw new RangeError(`${at}`);
        return { ...packet, cpu: core, rxQueue: core };
      }),
    );
    for (const [index, at] of mine.entries()) {
      const outcome = want[index];
      equal(print(run.outcomes[at]), print(outcome), `packet ${at}`);
      if (outcome === undefined) continue;
      equal(run.verdicts[at], outcome.verdict);
      deepEqual(
        [...run.digests.subarray(2 * at, 2 * at + 2)],
        [...outcomeDigest(outcome)],
      );
    }
    const state = run.cores[core];
    equal(state?.packets, mine.length);
    equal(state?.digest, alone.digest());
    deepEqual(state?.contents, alone.contents());
    ok((state?.ns ?? 0) > 0);
  }
});

test("programs of socket buffers run on several cores too", async () => {
  // r0 = skb->len + skb->protocol, and the mark is written.
  const text = `r0 = *(u32 *)(r1 + 0)
r2 = *(u32 *)(r1 + 16)
r0 += r2
*(u32 *)(r1 + 8) = r0
r0 &= 255
exit`;
  const skb = { ...programOf(text), type: "sched_cls" } as const;
  const alone = loadPortable(skb, { cpus: cores }).run(
    packets.map((packet, at) => ({
      ...packet,
      cpu: steer[at] ?? 0,
      rxQueue: steer[at] ?? 0,
    })),
  );
  for (const given of [packets, stream()]) {
    const run = await runParallel(
      options({ program: skb, packets: given, keep: "outcomes" }),
    );
    for (const [at, outcome] of alone.entries())
      deepEqual(run.outcomes[at], outcome, `packet ${at}`);
  }
});

test("the same run twice is the same; another steering is not", async () => {
  const [first, again] = [
    await runParallel(options({ keep: "digests" })),
    await runParallel(options({ keep: "digests" })),
  ];
  equal(first.digests.length, 2 * packets.length);
  deepEqual(first.outcomes, []);
  deepEqual(first.digests, again.digests);
  const other = steer.map((core) => (core + 1) % cores);
  const moved = await runParallel(options({ steer: other, keep: "digests" }));
  ok(moved.digests.some((word, index) => word !== first.digests[index]));
});

test("packets may come from an asynchronous source, and wait for free buffers", async () => {
  const big = packetsOf(new Random(seed), 60).map((packet) => ({
    ...packet,
    data: new Uint8Array(60_000).fill(packet.data[1] ?? 0),
  }));
  const source = async function* () {
    for (const packet of big) yield await Promise.resolve(packet);
  };
  const keep = "digests";
  const run = await runParallel(options({ packets: source(), keep }));
  equal(run.packets, 60);
  const want = await runParallel(options({ packets: big, keep }));
  deepEqual(run.digests, want.digests);
  const packed = PackedPackets.pack(big);
  deepEqual([...packed], big);
  const again = await runParallel(options({ packets: packed, keep }));
  deepEqual(again.digests, want.digests);
});

function* stream(): Iterable<PacketInput> {
  yield* packets;
}

test("what cannot run is refused before a worker starts", async () => {
  for (const given of [packets, stream()])
    await rejects(
      runParallel(options({ cores: 2, packets: given })),
      /packet \d+ is steered to core 2 of 2/,
    );
  const [packet] = packets;
  if (packet !== undefined)
    for (const huge of [[{ ...packet, data: new Uint8Array(1 << 21) }]])
      for (const given of [huge, huge.values()])
        await rejects(
          runParallel(options({ packets: given })),
          /packet 0 of 2097152 bytes is too long/,
        );
  await rejects(runParallel(options({ cores: 0 })), /0 cores: 1 to 256/);
  await rejects(runParallel(options({ cpus: 2 })), /3 cores on 2 CPUs/);
  await rejects(
    runParallel(
      options({ program: programOf("call user_ringbuf_drain\nexit") }),
    ),
    { name: "UnsupportedError" },
  );
  await rejects(runParallel(options({ contents: { nowhere: [] } })), {
    name: "InputError",
  });
});

test("faults of the program are outcomes, not deaths", async () => {
  const wild = programOf("r0 = 0\nr0 = *(u32 *)(r0 + 0)\nexit");
  const run = await runParallel(options({ program: wild, keep: "outcomes" }));
  equal(run.faults, packets.length);
  equal(run.firstFaults[0]?.packet, 0);
  equal(run.firstFaults.length, 3 * 100);
  deepEqual(run.outcomes[7]?.fault?.at, { function: "main", instruction: 1 });
});
