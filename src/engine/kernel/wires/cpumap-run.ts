/**
 * Frames through a dispatcher at real veth interfaces and its workers behind a cpumap:
 *
 *   sender (CPU q) → peer ~~~~ port: gate → dispatcher → cpumap → gate → worker → …
 *
 * The gates are ours (watch-programs.ts and below); dispatcher and workers run as they
 * are. What became of a frame is known by where it was seen again: on a peer's wire, on
 * the stack, or nowhere, which is dropped (the kernel drops what it has no verdict for).
 * Frames go in rounds that no queue can overflow: the next one is sent when as many runs
 * of workers began as frames were sent.
 *
 * Promised: a fate for each frame that the workers got, in the order of their arrival at
 * the dispatcher. Not promised: which of two dropping verdicts it was.
 */
import type { MapSpec, ProgramSpec } from "../../../isa/index.ts";
import type { Btf } from "../../../object/index.ts";
import type { MapContents } from "../../../proof/index.ts";
import { InputError } from "../../../base/index.ts";
import type { Kernel } from "../kernel.ts";
import { createSharedArray } from "../load/shared-array.ts";
import {
  createSmallMap,
  loadSmallProgram,
  setWord,
} from "../load/small-program.ts";
import type { LoadedPrograms } from "../load/loaded-programs.ts";
import { createNamespace } from "../system/namespace.ts";
import { openFrameSender } from "./frame-sender.ts";
import type { FrameToSend } from "./live-frames.ts";
import type { Sighting } from "./trace-run.ts";
import { createVeths, type VethPair } from "./veth.ts";
import { XdpWatch, type WatchedRun } from "./xdp-watch.ts";

const growth = 512;
/** Milliseconds without any progress. */
const patience = 2000;
const cpumapAttach = 35;

export interface CpumapRunOptions {
  readonly dispatcher: ProgramSpec;
  readonly worker: ProgramSpec;
  readonly btf?: Btf;
  /** First contents of all maps but the cpumap, for these ports. */
  readonly contents: (ports: readonly VethPair[]) => MapContents;
  /** Name of the cpumap; its elements are one per CPU. */
  readonly cpumap: string;
  readonly cpus: number;
  readonly queueSize: number;
  readonly frames: readonly {
    readonly data: Uint8Array;
    readonly port: number;
  }[];
  readonly ports: readonly {
    readonly name: string;
    readonly ifindex?: number;
  }[];
  /** Receive queue that all frames come in on, fed by the CPU of that number; default 0. */
  readonly queue?: number;
  /** Frames to send then, made of what became of those; no longer than these. */
  readonly answers?: (
    fates: readonly CpumapFate[],
  ) => CpumapRunOptions["frames"];
  readonly onProgress?: (done: number, total: number) => void;
}

export interface CpumapFate {
  /** Position of the frame in the input, answers behind it. */
  readonly frame: number;
  /** At the dispatcher. */
  readonly run: WatchedRun;
  readonly sightings: readonly Sighting[];
}

export interface CpumapRunResult {
  readonly fates: readonly CpumapFate[];
  /** Frames that no worker got. */
  readonly lost: number;
  readonly strays: number;
  /** Runs of workers by CPU. */
  readonly perCpu: readonly number[];
  readonly ports: readonly VethPair[];
  readonly loaded: LoadedPrograms;
  readonly seconds: number;
}

/** Throws an UnsupportedError for what is missing. `use` sees the result while the maps are still there. */
export async function runThroughCpumap<T>(
  kernel: Kernel,
  options: CpumapRunOptions,
  use: (result: CpumapRunResult) => T,
): Promise<T> {
  const { syscalls } = kernel;
  const { frames, cpus, queue = 0 } = options;
  const longest = Math.max(64, ...frames.map(({ data }) => data.length));
  const namespace = await createNamespace();
  const closing: (() => unknown)[] = [() => namespace.close()];
  try {
    const ports = createVeths(
      syscalls,
      namespace,
      options.ports.map((port) => ({
        ...port,
        queues: queue + 1,
        mtu: Math.max(1500, longest),
      })),
    );
    const loaded = namespace.run(() =>
      kernel.load(
        [options.dispatcher, options.worker],
        options.btf === undefined ? {} : { btf: options.btf },
      ),
    );
    closing.push(() => {
      loaded.close();
    });
    const begun = createSharedArray(syscalls, "divisi_begun", {
      entries: 1,
      valueSize: 8 * 64,
    });
    closing.push(() => {
      begun.close();
    });
    const keep = (fd: number): number => {
      closing.push(() => {
        syscalls.close(fd);
      });
      return fd;
    };
    const programs = keep(
      createSmallMap(syscalls, "divisi_workers", "prog_array", {
        valueSize: 4,
        entries: 1,
      }),
    );
    const gate = keep(
      loadSmallProgram(syscalls, workerGate, {
        maps: { begun: begun.fd, programs },
        attachType: cpumapAttach,
      }),
    );
    const worker = loaded.program(options.worker.name);
    const code = setWord(syscalls, programs, [0, worker.fd]);
    if (code < 0)
      throw new InputError(
        `no tail call to ${options.worker.name} (${syscalls.errorName(-code)})`,
        { code: "cpumap-worker" },
      );
    namespace.run(() => {
      fill(loaded, options.contents(ports));
      fillCpumap(loaded, options, gate);
    });
    const watch = namespace.run(
      () =>
        new XdpWatch(syscalls, {
          program: loaded.program(options.dispatcher.name).fd,
          longest: longest + growth,
        }),
    );
    closing.push(() => {
      watch.close();
    });
    namespace.run(() => {
      for (const { ifindex, peer } of ports) {
        watch.attachPort(ifindex, { mode: "native" });
        watch.attachPeer(peer.ifindex);
      }
    });
    const sender = await openFrameSender(syscalls, {
      namespace,
      queues: queue + 1,
      interfaces: ports.map(({ peer }) => peer.ifindex),
      longest,
    });
    closing.push(() => sender.close());
    const counts = (): readonly number[] =>
      Array.from({ length: cpus }, (_, cpu) =>
        Atomics.load(begun.words, 2 * cpu),
      );
    const runs: WatchedRun[] = [];
    const sightings = new Map<number, Sighting[]>();
    let strays = 0;
    const look = (): void => {
      runs.push(...watch.takeRuns());
      for (const { run, at, ifindex, frame } of watch.takeCatches()) {
        const port = ports.findIndex((each) =>
          at === "wire"
            ? each.peer.ifindex === ifindex
            : each.ifindex === ifindex,
        );
        if (run === undefined) strays++;
        else
          sightings.set(run, [
            ...(sightings.get(run) ?? []),
            { at, port, frame },
          ]);
      }
    };
    const started = performance.now();
    // Ports are wires of their own: only frame by frame is their order kept.
    const batch = ports.length > 1 ? 1 : 64;
    let lost = 0;
    const send = async (list: CpumapRunOptions["frames"]): Promise<void> => {
      for (let first = 0; first < list.length; first += sender.capacity) {
        const round = list.slice(first, first + sender.capacity);
        const wanted = sum(counts()) + round.length;
        await sender.send(
          Array.from({ length: queue + 1 }, (_, at): FrameToSend[] =>
            at === queue
              ? round.map(({ data, port }) => ({ data, to: port }))
              : [],
          ),
          batch,
        );
        const limit = performance.now() + patience;
        for (let looks = 0; sum(counts()) < wanted; looks++) {
          look();
          if (performance.now() > limit) break;
          if (looks > 3) await new Promise((resolve) => setTimeout(resolve, 0));
        }
        lost += wanted - sum(counts());
        look();
        if (((first / sender.capacity) & 63) !== 0) continue;
        // Signals and timers get their turn.
        await new Promise((resolve) => setImmediate(resolve));
        options.onProgress?.(first, list.length);
      }
      // What the last workers sent is on its way.
      for (let last = -1; last !== watch.caught;) {
        last = watch.caught;
        await new Promise((resolve) => setTimeout(resolve, 30));
        look();
      }
    };
    const fatesNow = (): readonly CpumapFate[] =>
      runs.map((run, frame) => ({
        frame,
        run,
        sightings: sightings.get(run.number) ?? [],
      }));
    await send(frames);
    const seconds = (performance.now() - started) / 1000;
    if (options.answers !== undefined) await send(options.answers(fatesNow()));
    const fates = fatesNow();
    return use({
      fates,
      lost,
      strays,
      perCpu: counts(),
      ports,
      loaded,
      seconds,
    });
  } finally {
    for (const close of closing.reverse()) await close();
  }
}

const sum = (numbers: readonly number[]): number =>
  numbers.reduce((all, number) => all + number, 0);

/** Counts, by CPU, and goes on in the worker. */
const workerGate = `function divisi_worker
  r6 = r1
  call get_smp_processor_id
  r7 = r0
  r7 &= 63
  r7 <<= 3
  r1 = value begun[0] ll
  r1 += r7
  r2 = 1
  lock *(u64 *)(r1 + 0) += r2
  r1 = r6
  r2 = map programs ll
  r3 = 0
  call tail_call
  r0 = 0
  exit`;

function fill(loaded: LoadedPrograms, contents: MapContents): void {
  for (const [name, entries] of Object.entries(contents))
    for (const { key, value } of entries) loaded.map(name).update(key, value);
}

function fillCpumap(
  loaded: LoadedPrograms,
  { cpumap, cpus, queueSize }: CpumapRunOptions,
  program: number,
): void {
  const map: { readonly spec: MapSpec } = loaded.map(cpumap);
  for (let cpu = 0; cpu < Math.min(cpus, map.spec.maxEntries); cpu++)
    loaded
      .map(cpumap)
      .update(
        new Uint8Array(Uint32Array.of(cpu).buffer),
        new Uint8Array(Uint32Array.of(queueSize, program).buffer),
      );
}
