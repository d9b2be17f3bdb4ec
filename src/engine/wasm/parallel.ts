/**
 * A program on several cores at once: one worker per core, with packets steered to it.
 *
 * Private memory: the order on each core is the order of arrival, time and random
 * numbers belong to the packets, and nothing is shared; so a parallel run equals k runs
 * in one thread, packet for packet, whatever the threads' timing.
 *
 * Shared memory: all cores have the same maps, and what packets find there depends on
 * timing (with a guard, of each packet as a whole: docs/concepts/locks.md). What holds
 * without: no update under atomics or locks is lost, map helpers are atomic,
 * and what plain code does to values interleaves as on real cores. Two runs differ.
 *
 * Packets that are all there are read by the workers themselves (resident.ts); others
 * go through a ring in each worker's own memory (packet-feed.ts). Verdicts and digests
 * come back through memory too; outcomes, if wanted, by message.
 *
 * A worker that dies, by an exception, without a word or by standing still, ends the
 * run with a WorkerDied that names program, instruction and packet (core.ts).
 */
import { InputError } from "../../base/index.ts";
import type { Outcome, PacketInput } from "../../interp/index.ts";
import { Core, turn, type CoreResult } from "./core.ts";
import { abreastBytes } from "./abreast.ts";
import type { CoreStart, PacketFault } from "./core-messages.ts";
import { PackedPackets } from "./packed-packets.ts";
import type { ParallelOptions } from "./parallel-options.ts";
import { teamOf, type Team } from "./team.ts";

export interface ParallelRun {
  readonly packets: number;
  /** Wall time from the first packet to the last verdict. */
  readonly ns: number;
  readonly cores: readonly CoreResult[];
  /** By packet: r0. */
  readonly verdicts: Uint32Array;
  /** By packet: two words of its outcome's digest; empty if only verdicts are kept. */
  readonly digests: Uint32Array;
  /** Guarded, by packet: 2n for the n-th that wrote, 2n + 1 for who read behind it. */
  readonly tickets: Uint32Array;
  /** Packets whose run the program ended badly. */
  readonly faults: number;
  /** The first of them of each core, in order. */
  readonly firstFaults: readonly PacketFault[];
  /** By packet, if kept. */
  readonly outcomes: readonly Outcome[];
}

export async function runParallel(
  options: ParallelOptions,
): Promise<ParallelRun> {
  const { cores, steer } = options;
  if (!(Number.isInteger(cores) && cores >= 1 && cores <= 256))
    throw new InputError(`${cores} cores: 1 to 256 are possible`, {
      code: "cores-impossible",
      kind: "usage",
    });
  if ((options.cpus ?? cores) < cores)
    throw new InputError(
      `${cores} cores on ${options.cpus} CPUs: each needs one of its own`,
      { code: "cores-impossible", kind: "usage" },
    );
  const shares = new Uint32Array(256);
  for (const core of steer) shares[core] = (shares[core] ?? 0) + 1;
  const { members, common } = teamOf(options);
  const resident = await residentOf(options);
  const shared = new Uint8Array(new SharedArrayBuffer(steer.length));
  if (resident !== undefined) {
    shared.set(steer);
    checkResident(options, resident, members);
  }
  const gate = {
    ready: new SharedArrayBuffer(4),
    cores,
  };
  const measure = measureOf(options, common !== undefined);
  const running = members.map(({ prepared, load }, number) => {
    const { program, keep = "verdicts", stallMs = 10_000 } = options;
    return new Core({
      number,
      program,
      prepared,
      load,
      keep,
      shared: common !== undefined,
      ...(common === undefined ? {} : { gate }),
      ...(measure === undefined ? {} : { measure }),
      packets: shares[number] ?? 0,
      ...(resident === undefined ? {} : { resident, steer: shared.buffer }),
      stallMs,
      ...(options.heapMb === undefined ? {} : { heapMb: options.heapMb }),
      ...(options.sabotage === undefined ? {} : { sabotage: options.sabotage }),
    });
  });
  try {
    const started = performance.now();
    const packets = resident?.count ?? (await feed(options, running));
    const finished = await Promise.all(running.map((core) => core.finish()));
    const ns = 1e6 * (performance.now() - started);
    if (options.guard !== undefined) common?.guard.settle();
    const state = common && {
      contents: common.contents(),
      digest: common.digest(),
    };
    return {
      packets,
      ns,
      cores: finished.map((core) => ({ ...core, ...state })),
      ...gather(running, steer, packets),
    };
  } finally {
    await Promise.all(running.map((core) => core.end()));
  }
}

function measureOf(
  { window, cores }: ParallelOptions,
  isShared: boolean,
): CoreStart["measure"] {
  if (window === undefined) return undefined;
  if (!isShared || cores < 2) return { window };
  const words = new SharedArrayBuffer(abreastBytes);
  Atomics.store(new Int32Array(words), 0, cores);
  return { window, words };
}

/**
 * The packets, if they are all there. Programs that are not XDP have a context besides
 * the frame, which only the worker can fill, from a packet that it reads itself.
 */
async function residentOf({
  program,
  packets,
}: ParallelOptions): Promise<PackedPackets | undefined> {
  if (packets instanceof PackedPackets) return packets;
  if (Array.isArray(packets)) return PackedPackets.pack(packets);
  if (program.type === "xdp") return undefined;
  const all: PacketInput[] = [];
  for await (const packet of packets) all.push(packet);
  return PackedPackets.pack(all);
}

/** Packets between two turns of the event loop. */
const betweenTurns = 1 << 16;

/** Gives every packet to its core; answers how many there were. */
async function feed(
  options: ParallelOptions,
  cores: readonly Core[],
): Promise<number> {
  const { packets, steer } = options;
  const coreOf = (number: number): Core => {
    const core = cores[steer[number] ?? cores.length];
    if (core === undefined) throw unsteered(options, number);
    return core;
  };
  let number = 0;
  if (Symbol.iterator in packets) {
    for (const packet of packets) {
      const core = coreOf(number);
      while (!core.offer(number, packet)) await room(core, cores);
      if (number++ % betweenTurns === 0) await turn();
    }
    return number;
  }
  for await (const packet of packets) {
    const core = coreOf(number);
    while (!core.offer(number, packet)) await room(core, cores);
    core.flush();
    number++;
  }
  return number;
}

/** Until there may be room; any core's death ends the run, for others may wait for it. */
async function room(core: Core, cores: readonly Core[]): Promise<void> {
  await core.room();
  for (const each of cores) each.check();
}

/** What the workers would stumble over is found before they start. */
function checkResident(
  options: ParallelOptions,
  packets: PackedPackets,
  members: Team["members"],
): void {
  const { steer, cores } = options;
  for (let number = 0; number < packets.count; number++) {
    const member = members[steer[number] ?? cores];
    if (member === undefined) throw unsteered(options, number);
    const { layout } = member.prepared.compiled;
    const length = packets.length(number);
    if (length > layout.packets.end - layout.packets.start - 2 * pageSize)
      throw new InputError(`packet ${number} of ${length} bytes is too long`, {
        code: "packet-too-long",
      });
  }
}

/** Of a frame in memory: what it takes besides its bytes is below two of them. */
const pageSize = 4096;

function unsteered(
  { steer, cores }: ParallelOptions,
  number: number,
): InputError {
  return new InputError(
    `packet ${number} is steered to core ${steer[number] ?? "none"} of ${cores}`,
    { code: "steer-out-of-range", kind: "usage" },
  );
}

/** From the order of each core back to the order of the trace. */
function gather(
  cores: readonly Core[],
  steer: Uint8Array,
  packets: number,
): Pick<
  ParallelRun,
  "verdicts" | "digests" | "tickets" | "faults" | "firstFaults" | "outcomes"
> {
  const verdicts = new Uint32Array(packets);
  const hasDigests = cores.some((core) => core.digests.length > 0);
  const digests = new Uint32Array(hasDigests ? 2 * packets : 0);
  const hasTickets = cores.some((core) => core.tickets.length > 0);
  const tickets = new Uint32Array(hasTickets ? packets : 0);
  const outcomes: Outcome[] = [];
  const next = new Uint32Array(cores.length);
  for (let number = 0; number < packets; number++) {
    const at = steer[number] ?? 0;
    const core = cores[at];
    if (core === undefined) continue;
    const index = next[at] ?? 0;
    next[at] = index + 1;
    verdicts[number] = core.verdicts[index] ?? 0;
    if (hasDigests) {
      digests[2 * number] = core.digests[2 * index] ?? 0;
      digests[2 * number + 1] = core.digests[2 * index + 1] ?? 0;
    }
    if (hasTickets) tickets[number] = core.tickets[index] ?? 0;
    const outcome = core.outcomes[index];
    if (outcome !== undefined) outcomes[number] = outcome;
  }
  return {
    verdicts,
    digests,
    tickets,
    faults: cores.reduce((sum, { faultCount }) => sum + faultCount, 0),
    firstFaults: cores
      .flatMap(({ faults }) => faults)
      .sort((left, right) => left.packet - right.packet),
    outcomes,
  };
}
