/**
 * Plans with a lock or transactions: what the engine is told to guard, and the check
 * that packets of several cores have the effect of running one after the other.
 *
 * The check runs the emitted program on virtual cores whose steps a seeded scheduler
 * interleaves, and again on one thread in the order of the commits: verdicts, frames,
 * redirects, events and the final state must be equal, exactly. That the program does
 * in some order what the user's does is the differential run's part (trial.ts).
 */
import type { StateReport } from "./analysis/index.ts";
import { Bug, Random } from "./base/index.ts";
import { refreshFields, type GuardOptions } from "./codegen/index.ts";
import {
  commitOrder,
  loadPortable,
  outcomeDigest,
  VirtualCores,
} from "./engine/index.ts";
import type { PacketInput } from "./interp/index.ts";
import type { ProgramSpec } from "./isa/index.ts";
import type { MapContents } from "./proof/index.ts";
import type { Runtime } from "./strategy/index.ts";

/** What a plan's guard is to the engine; undefined: it has none. */
export function guardOf(
  runtime: Runtime,
  { objects }: StateReport,
  program: ProgramSpec,
): GuardOptions | undefined {
  if (runtime.kind === "plain") return undefined;
  const { kind, objects: guarded, writers } = runtime;
  const ages = objects.flatMap(({ name, allocator }) =>
    allocator?.expiry === undefined || !guarded.includes(name)
      ? []
      : [
          {
            chain: name,
            capacity: allocator.capacity,
            expiry: allocator.expiry,
            functions: allocator.functions,
          },
        ],
  );
  // Under transactions a refresh is a write.
  const refreshes =
    kind === "lock"
      ? refreshFields(program).filter(({ object }) => guarded.includes(object))
      : [];
  return {
    kind,
    objects: guarded,
    ...(refreshes.length > 0 ? { refreshes } : {}),
    ...(kind === "lock" && ages.length > 0 ? { ages } : {}),
    ...(writers === undefined
      ? {}
      : {
          writers: writers.map(({ ifindex, notIfindex }) => ({
            ...(ifindex === undefined ? {} : { ifindex }),
            ...(notIfindex === undefined ? {} : { notIfindex }),
          })),
        }),
  };
}

export interface GuardedRun {
  /** As emitted. */
  readonly program: ProgramSpec;
  readonly guard: GuardOptions;
  readonly cores: number;
  readonly packets: readonly PacketInput[];
  /** Core of a packet, by its number. */
  readonly coreOf: (packet: number) => number;
  readonly contents: MapContents;
  readonly seed: number;
}

export interface GuardedResult {
  readonly packets: number;
  /** Steps that gave way to another core's. */
  readonly restarts: number;
  readonly mismatches: number;
  /** In words, a few of them. */
  readonly first: readonly string[];
}

/** Interleaved, and in the order of the commits: the same, or what differs. */
export function checkGuarded(run: GuardedRun): GuardedResult {
  const { program, guard, cores, contents, seed } = run;
  const packets = distinctTimes(run);
  const steer = Uint8Array.from(packets, ({ cpu }) => cpu);
  const virtual = new VirtualCores({ program, cores, guard, contents, seed });
  const queues = Array.from({ length: cores }, (_, core) =>
    packets.flatMap((packet, number) =>
      packet.cpu === core ? [{ ...packet, number }] : [],
    ),
  );
  const random = new Random(seed);
  const next = queues.map(() => 0);
  const tickets = new Uint32Array(packets.length);
  const digests: string[] = [];
  let restarts = 0;
  for (;;) {
    const ready = queues.flatMap((queue, core) =>
      (next[core] ?? 0) < queue.length ? [core] : [],
    );
    if (ready.length === 0) break;
    const core = random.pick(ready);
    const result = virtual.step(core, queues[core]?.[next[core] ?? 0]);
    if (result === undefined) {
      restarts++;
      continue;
    }
    next[core] = (next[core] ?? 0) + 1;
    tickets[result.number] = result.ticket;
    digests[result.number] = outcomeDigest(result.outcome).join();
  }
  const time = (packet: number): bigint => packets[packet]?.time ?? 0n;
  const order = commitOrder({ tickets, steer, time });
  const alone = loadPortable(program, { cpus: cores, contents, seed });
  const differences: string[] = [];
  for (const number of order) {
    const packet = packets[number];
    if (packet === undefined) throw new Bug(`no packet ${number}`);
    const [outcome] = alone.run([packet]);
    if (
      outcome === undefined ||
      outcomeDigest(outcome).join() !== digests[number]
    )
      differences.push(
        `packet ${number} on core ${packet.cpu} differs from its turn in the order of commits`,
      );
  }
  if (virtual.digest() !== alone.digest())
    differences.push("the final state is not that of the order of commits");
  return {
    packets: packets.length,
    restarts,
    mismatches: differences.length,
    first: differences.slice(0, 3),
  };
}

/** On their cores; times that all differ, so that what is refreshed has an order. */
function distinctTimes({ packets, coreOf }: GuardedRun): PacketInput[] {
  let last = -1n;
  return packets.map((packet, number) => {
    last = packet.time > last ? packet.time : last + 1n;
    const core = coreOf(number);
    return { ...packet, time: last, cpu: core, rxQueue: core };
  });
}
