/**
 * A worker that dies is reported with program, place and packet, in whatever way it
 * dies, never waited for; not even by cores that wait for a lock which it holds.
 */
import { deepEqual, equal, match } from "node:assert/strict";
import { test } from "node:test";
import { Random, toHex } from "../../base/index.ts";
import type { PacketInput } from "../../interp/index.ts";
import type { Sabotage } from "./core-messages.ts";
import { runParallel } from "./parallel.ts";
import { mapOf, packetsOf, programOf } from "./twin.test.kit.ts";
import { WorkerDied } from "./worker-died.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);
const cores = 3;
const random = new Random(seed);
const packets = packetsOf(random, 3000);
const steer = Uint8Array.from(packets, () => random.below(cores));

/** Holds a lock while it draws a random number, and changes the frame before. */
const program = programOf(
  `r6 = *(u32 *)(r1 + 0)
r2 = *(u32 *)(r1 + 4)
r3 = r6
r3 += 14
r0 = 2
if r3 > r2 goto out
*(u32 *)(r6 + 0) = 7
*(u32 *)(r10 - 4) = 0
r1 = map guarded ll
r2 = r10
r2 += -4
call map_lookup_elem
if r0 == 0 goto out
r7 = r0
r1 = r7
call spin_lock
call get_prandom_u32
*(u64 *)(r7 + 8) = r0
r1 = r7
call spin_unlock
r0 = 1
out:
exit`,
  [
    mapOf("guarded", "array", [4, 16, 1], {
      valueFields: [
        { path: "lock", bitOffset: 0, bits: 32, kind: "spin-lock" },
      ],
    }),
  ],
);
/** Where sabotage sets in: under the lock. */
const draws = 16;

const sayings: Readonly<Record<Sabotage["how"], RegExp>> = {
  throw: /: sabotage$/,
  exit: /: the thread ended with code 3$/,
  trap: /: .*unreachable/,
  bounds: /: .*memory access out of bounds/,
  heap: /memory limit/,
  hang: /: no progress for 1\.6 s$/,
};

function* stream(): Iterable<PacketInput> {
  yield* packets;
}

const runs = [
  { memory: "private", source: "resident" },
  { memory: "shared", source: "resident" },
  { memory: "shared", source: "streamed" },
] as const;

for (const how of ["throw", "exit", "trap", "bounds", "heap", "hang"] as const)
  for (const { memory, source } of runs)
    test(`a worker that dies (${how}, ${source}, ${memory}) is reported with its packet`, async () => {
      const packet = 1234;
      const died = await runParallel({
        program,
        cores,
        packets: source === "resident" ? packets : stream(),
        steer,
        memory,
        sabotage: { packet, how },
        ...(how === "hang" ? { stallMs: 1600 } : {}),
        ...(how === "heap" ? { heapMb: 64 } : {}),
      }).then(
        () => undefined,
        (error: unknown) => error,
      );
      if (!(died instanceof WorkerDied)) throw new Error(String(died));
      equal(died.packet, packet);
      equal(died.core, steer[packet]);
      // As it arrived.
      equal(
        toHex(died.input?.data ?? new Uint8Array()),
        toHex(packets[packet]?.data ?? new Uint8Array()),
      );
      equal(died.input?.time, packets[packet]?.time);
      deepEqual(died.at, { function: "main", instruction: draws });
      match(
        died.message,
        /^test: main: core \d died on packet 1234, at or behind main\+16: /,
      );
      match(died.message, sayings[how]);
    });
