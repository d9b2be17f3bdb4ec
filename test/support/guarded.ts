/**
 * Guarded runs on real threads, and the sequential program over the same packets in the
 * order of the run's commits: verdicts, bytes, redirects, events and the final state
 * must be equal, exactly.
 */
import { isDeepStrictEqual } from "node:util";
import { recogniseAllocators } from "#analysis";
import { refreshFields, type AgeingChain, type GuardOptions } from "#codegen";
import {
  commitOrder,
  loadPortable,
  outcomeDigest,
  runParallel,
  VirtualCores,
  type ParallelRun,
} from "#engine";
import type { Outcome, PacketInput } from "#interp";
import { lift } from "#ir";
import type { ProgramSpec } from "#isa";
import type { MapContents } from "#proof";
import { stateMaps, withPorts } from "./nf-machines.ts";

export interface GuardedTrial {
  readonly program: ProgramSpec;
  readonly packets: readonly PacketInput[];
  readonly steer: Uint8Array;
  readonly cores: number;
  readonly guard: GuardOptions;
  readonly contents?: MapContents;
}

export interface GuardedResult {
  readonly run: ParallelRun;
  /** Packets by their place in the order of commits. */
  readonly order: Uint32Array;
  /** What is not as in the sequential program, in words; empty: nothing. */
  readonly differences: readonly string[];
}

/** All state guarded; chains that are recognised age. */
export function guardAll(
  program: ProgramSpec,
  kind: GuardOptions["kind"],
  more: Partial<GuardOptions> = {},
): GuardOptions {
  const objects = stateMaps(program).map(({ name }) => name);
  const refreshes = refreshFields(program);
  return { kind, objects, ages: agesOf(program), refreshes, ...more };
}

export function agesOf(program: ProgramSpec): readonly AgeingChain[] {
  const { allocators } = recogniseAllocators(program, lift(program));
  return [...allocators].flatMap(([chain, found]) =>
    found.expiry === undefined
      ? []
      : [
          {
            chain,
            capacity: found.capacity,
            expiry: found.expiry,
            functions: found.functions,
          },
        ],
  );
}

/** Times that all differ, so that what is refreshed has an order. */
export function apart(packets: readonly PacketInput[]): PacketInput[] {
  let last = -1n;
  return packets.map((packet) => {
    last = packet.time > last ? packet.time : last + 1n;
    return { ...packet, time: last };
  });
}

export async function tryGuarded(trial: GuardedTrial): Promise<GuardedResult> {
  const { program, cores, steer, guard } = trial;
  const packets = trial.packets.map((packet, at) => ({
    ...packet,
    cpu: steer[at] ?? 0,
    rxQueue: steer[at] ?? 0,
  }));
  const contents = withPorts(program, trial.contents ?? {});
  const run = await runParallel({
    program,
    cores,
    steer,
    packets,
    guard,
    contents,
    memory: "shared",
    keep: "digests",
  });
  const { tickets } = run;
  const time = (packet: number): bigint => packets[packet]?.time ?? 0n;
  const order = commitOrder({ tickets, steer, time });
  const alone = loadPortable(program, { cpus: cores, contents });
  const inOrder = [...order].flatMap((number) => packets[number] ?? []);
  const differences: string[] = [];
  let place = 0;
  alone.runBatches(inOrder, (index) => {
    const number = order[place++] ?? 0;
    const outcome = alone.outcome(index);
    const [low, high] = outcomeDigest(outcome);
    if (low !== run.digests[2 * number] || high !== run.digests[2 * number + 1])
      differences.push(
        `packet ${number} (place ${place - 1}, ticket ${tickets[number]}): ${run.verdicts[number]}, but ${outcome.verdict}`,
      );
  });
  const state = run.cores[0];
  if (state?.digest !== alone.digest())
    for (const [name, entries] of Object.entries(alone.contents())) {
      const text = (all: typeof entries): string =>
        all.map(({ key, value }) => `${hex(key)}=${hex(value)}`).join(" ");
      const [want, have] = [text(entries), text(state?.contents[name] ?? [])];
      if (want !== have) differences.push(`map ${name}: ${have}, but ${want}`);
    }
  return { run, order, differences };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** A core that can make a step, for the packet of that number. */
export interface Ready {
  readonly core: number;
  readonly number: number;
}

/** Who is next: a place in the list. */
export type Chooser = (ready: readonly Ready[]) => number;

/** Packets as they came, each done before the next. */
export const inTurn: Chooser = (ready) => {
  const numbers = ready.map(({ number }) => number);
  return numbers.indexOf(Math.min(...numbers));
};

/** The same with virtual cores in this thread, whose steps `choose` interleaves. */
export function interleave(
  trial: GuardedTrial,
  choose: Chooser,
): Omit<GuardedResult, "run"> & { readonly verdicts: readonly number[] } {
  const { program, cores, steer, guard } = trial;
  const contents = withPorts(program, trial.contents ?? {});
  const virtual = new VirtualCores({ program, cores, guard, contents });
  const queues = Array.from({ length: cores }, (_, core) =>
    trial.packets.flatMap((packet, number) =>
      steer[number] === core ? [{ ...packet, number }] : [],
    ),
  );
  const next = queues.map(() => 0);
  const tickets = new Uint32Array(trial.packets.length);
  const outcomes: Outcome[] = [];
  for (;;) {
    const ready = queues.flatMap((queue, core) => {
      const packet = queue[next[core] ?? 0];
      return packet === undefined ? [] : [{ core, number: packet.number }];
    });
    if (ready.length === 0) break;
    const core = ready[choose(ready)]?.core ?? 0;
    const result = virtual.step(core, queues[core]?.[next[core] ?? 0]);
    if (result === undefined) continue;
    next[core] = (next[core] ?? 0) + 1;
    tickets[result.number] = result.ticket;
    outcomes[result.number] = result.outcome;
  }
  const time = (packet: number): bigint => trial.packets[packet]?.time ?? 0n;
  const order = commitOrder({ tickets, steer, time });
  const alone = loadPortable(program, { cpus: cores, contents });
  const differences = [...order].flatMap((number) => {
    const packet = trial.packets[number];
    const core = steer[number] ?? 0;
    if (packet === undefined) return [];
    const [want] = alone.run([{ ...packet, cpu: core, rxQueue: core }]);
    const have = outcomes[number];
    return isDeepStrictEqual(have, want)
      ? []
      : [`packet ${number}: ${have?.verdict}, but ${want?.verdict}`];
  });
  if (virtual.digest() !== alone.digest()) differences.push("the final state");
  return { order, differences, verdicts: outcomes.map((each) => each.verdict) };
}
