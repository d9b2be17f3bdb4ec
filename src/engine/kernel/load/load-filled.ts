/** A program with first contents of its maps, loaded with these. */
import { UnsupportedError } from "../../../base/index.ts";
import type { ProgramSpec } from "../../../isa/index.ts";
import type { Btf } from "../../../object/index.ts";
import type { MapContents } from "../../../proof/index.ts";
import { highestCpu, possibleCpus } from "../../../host/index.ts";
import { raiseCpumapThreads } from "../system/cpumap-threads.ts";
import { mapInfo } from "../system/object-info.ts";
import type { Kernel } from "../kernel.ts";
import type { KernelMap } from "./kernel-map.ts";
import type { LoadedPrograms } from "./loaded-programs.ts";

export interface BoundProgram {
  readonly program: ProgramSpec;
  readonly btf?: Btf;
  readonly contents: MapContents;
  /** What stands in front of it, where it works behind a cpumap. */
  readonly dispatcher?: BoundDispatcher;
}

/** A program that hands packets to CPUs. */
export interface BoundDispatcher {
  readonly program: ProgramSpec;
  /** Name of its cpumap: element i is CPU i. */
  readonly cpumap: string;
  readonly cpus: number;
  /** Packets that may wait for a CPU. */
  readonly queueSize: number;
  /** Workers wait for each other: their threads come before others. */
  readonly urgent?: boolean;
  /** It drops what a CPU with this number or a higher one receives; absent: none. */
  readonly sources?: number;
  /** Filled last: with the word that says that all is ready. */
  readonly contents: MapContents;
}

/**
 * Device maps take interfaces of the calling thread's namespace. Maps that stand already
 * are shared and keep what they hold. The dispatcher, where there is one, is the first
 * program of what is loaded.
 */
export function loadFilled(
  kernel: Kernel,
  { program, btf, contents, dispatcher }: BoundProgram,
  standing: ReadonlyMap<string, KernelMap> = new Map(),
): LoadedPrograms {
  if (dispatcher !== undefined) refuseDeafCpus(dispatcher);
  const first = dispatcher === undefined ? [] : [dispatcher.program];
  const loaded = kernel.load([...first, program], {
    maps: standing,
    ...(btf === undefined ? {} : { btf }),
  });
  try {
    for (const [name, entries] of Object.entries(contents))
      if (!standing.has(name)) fill(loaded, name, entries);
    if (dispatcher === undefined) return loaded;
    fillCpumap(loaded, dispatcher, loaded.program(program.name).fd);
    if (dispatcher.urgent === true)
      raiseCpumapThreads(
        mapInfo(kernel.syscalls, loaded.map(dispatcher.cpumap).fd).id,
      );
    for (const [name, entries] of Object.entries(dispatcher.contents))
      if (!standing.has(name)) fill(loaded, name, entries);
    return loaded;
  } catch (error) {
    loaded.close();
    throw error;
  }
}

/** Any CPU may receive, whichever ones the plan divides over. */
function refuseDeafCpus({ sources = Infinity }: BoundDispatcher): void {
  const highest = highestCpu();
  if (highest < sources) return;
  throw new UnsupportedError(
    `this machine has a CPU ${highest}, and the dispatcher takes packets from CPUs 0 to ${sources - 1} only; it would drop what others receive`,
    {
      feature: `receiving on CPU ${sources} and above`,
      fix: "divisi split --dispatch software without --rebalance has no such limit",
    },
  );
}

function fillCpumap(
  loaded: LoadedPrograms,
  { cpumap, cpus, queueSize }: BoundDispatcher,
  worker: number,
): void {
  const there = possibleCpus();
  if (cpus > there)
    throw new UnsupportedError(
      `the plan divides over ${cpus} cores, and this machine has ${there} CPUs`,
      {
        feature: `${cpus} CPUs`,
        fix: `divisi split with --cores ${there}`,
      },
    );
  const map = loaded.map(cpumap);
  for (let cpu = 0; cpu < cpus; cpu++)
    map.update(
      new Uint8Array(Uint32Array.of(cpu).buffer),
      new Uint8Array(Uint32Array.of(queueSize, worker).buffer),
    );
}

/** A value as long as all copies of a per-CPU one is one copy per CPU; a shorter one goes to all. */
function fill(
  loaded: LoadedPrograms,
  name: string,
  entries: MapContents[string],
): void {
  const map = loaded.map(name);
  const { valueSize } = map.spec;
  const stride = (valueSize + 7) & ~7;
  for (const { key, value } of entries)
    if (value.length === valueSize) map.update(key, value);
    else
      map.updateAll(
        key,
        Array.from({ length: possibleCpus() }, (_, cpu) => {
          const from = cpu * stride;
          const copy = new Uint8Array(valueSize);
          copy.set(value.subarray(from, from + valueSize));
          return copy;
        }),
      );
}
