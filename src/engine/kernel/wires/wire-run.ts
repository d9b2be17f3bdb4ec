/**
 * A program at veth interfaces, from making them to taking them away: what a trace
 * needs to go through real XDP. All of it hangs on descriptors of this process.
 *
 *   sender (CPU q) → peer ~~~~ port, queue q: gate → program → …   (watch-programs.ts)
 */
import { InputError, UnsupportedError } from "../../../base/index.ts";
import { environmentLayout, environmentMap } from "../../../codegen/index.ts";
import { possibleCpus } from "../../../host/index.ts";
import { Ethtool } from "../system/ethtool.ts";
import { openFrameSender } from "./frame-sender.ts";
import type { Kernel } from "../kernel.ts";
import { loadFilled, type BoundProgram } from "../load/load-filled.ts";
import type { LoadedPrograms } from "../load/loaded-programs.ts";
import { longestFrame, shortestFrame } from "./live-frames.ts";
import {
  createNamespace,
  currentNamespace,
  type NetworkNamespace,
} from "../system/namespace.ts";
import {
  runFrames,
  type TraceFrame,
  type TraceRunOptions,
  type TraceRunResult,
} from "./trace-run.ts";
import { createVeths, findVeths, type VethPair } from "./veth.ts";
import { XdpWatch, type WatchOptions } from "./xdp-watch.ts";

/** Beyond the longest frame of the input: what a program may put in front of it or behind. */
const growth = 512;
const ethernetHeader = 14;
const usualMtu = 1500;

export interface WireRunOptions extends Pick<
  TraceRunOptions,
  "oneByOne" | "onProgress" | "isCancelled"
> {
  /** The program for these ports. */
  readonly bind: (ports: readonly VethPair[]) => BoundProgram;
  readonly frames: readonly TraceFrame[];
  /** Interfaces of the ports; with their indices where these matter. */
  readonly ports: readonly {
    readonly name: string;
    readonly ifindex?: number;
  }[];
  /** Made here, in a namespace of their own, or there already. */
  readonly interfaces: "make" | "find";
  readonly queues: number;
}

export interface WireRunResult extends TraceRunResult {
  readonly ports: readonly VethPair[];
  /** By port, what its driver counted during the run. */
  readonly counters: readonly Readonly<Record<string, number>>[];
  /** The program's maps at the end. */
  readonly loaded: LoadedPrograms;
}

/** Throws an InputError for interfaces that cannot serve, an UnsupportedError for what is missing. `use` sees the result while the maps are still there. */
export async function runOnWires<T>(
  kernel: Kernel,
  options: WireRunOptions,
  use: (result: WireRunResult) => T | Promise<T>,
): Promise<T> {
  const longest = longestOf(options.frames);
  const namespace =
    options.interfaces === "make"
      ? await createNamespace()
      : await currentNamespace();
  const closing: (() => unknown)[] = [() => namespace.close()];
  try {
    const ports = portsOf(kernel, namespace, { ...options, longest });
    const ethtool = namespace.run(() => new Ethtool(kernel.syscalls));
    closing.push(() => ethtool.close());
    checkQueues(ethtool, ports, options.queues);
    const bound = options.bind(ports);
    const loaded = namespace.run(() => loadFilled(kernel, bound));
    closing.push(() => loaded.close());
    const watch = namespace.run(
      () =>
        new XdpWatch(kernel.syscalls, {
          program: loaded.program().fd,
          ...environmentOf(loaded),
          untagged: options.oneByOne === true,
          hasFrags: bound.program.section.startsWith("xdp.frags"),
          longest: longest + growth,
        }),
    );
    closing.push(() => watch.close());
    namespace.run(() => {
      for (const { ifindex, peer } of ports) {
        watch.attachPort(ifindex, { mode: "native" });
        watch.attachPeer(peer.ifindex);
      }
    });
    const sender = await openFrameSender(kernel.syscalls, {
      namespace,
      queues: options.queues,
      interfaces: ports.map(({ peer }) => peer.ifindex),
      longest,
    });
    closing.push(() => sender.close());
    const before = ports.map(({ name }) => ethtool.counters(name));
    const ran = await runFrames({ ...options, ports, watch, sender, ethtool });
    const counters = ports.map(({ name }, port) =>
      Object.fromEntries(
        [...ethtool.counters(name)].map(([counter, value]) => [
          counter,
          value - (before[port]?.get(counter) ?? 0),
        ]),
      ),
    );
    return await use({ ...ran, ports, counters, loaded });
  } finally {
    for (const close of closing.reverse()) await close();
  }
}

function longestOf(frames: readonly TraceFrame[]): number {
  let longest = shortestFrame;
  for (const [at, { data }] of frames.entries()) {
    if (data.length < shortestFrame)
      throw new InputError(
        `packet ${at} has ${data.length} bytes: Ethernet carries none under ${shortestFrame}`,
        { code: "frame-too-short" },
      );
    longest = Math.max(longest, data.length);
  }
  if (longest > longestFrame)
    throw new InputError(
      `a packet of ${longest} bytes: XDP frames of one buffer have ${longestFrame} at most here`,
      { code: "frame-too-long" },
    );
  return longest;
}

function portsOf(
  kernel: Kernel,
  namespace: NetworkNamespace,
  {
    interfaces,
    ports,
    queues,
    longest,
  }: Pick<WireRunOptions, "interfaces" | "ports" | "queues"> & {
    longest: number;
  },
): readonly VethPair[] {
  if (interfaces === "find")
    return namespace.run(() => findVeths(ports.map(({ name }) => name)));
  const mtu = Math.max(usualMtu, longest - ethernetHeader);
  return createVeths(
    kernel.syscalls,
    namespace,
    ports.map((port) => ({ ...port, queues, mtu })),
  );
}

/** Queue q is fed by CPU q, so there must be enough of both. */
function checkQueues(
  ethtool: Ethtool,
  ports: readonly VethPair[],
  queues: number,
): void {
  const cpus = possibleCpus();
  if (queues > cpus)
    throw new UnsupportedError(
      `the plan divides over ${queues} cores, and this machine has ${cpus} CPUs`,
      {
        feature: `${queues} CPUs`,
        fix: `divisi split with --cores ${cpus}, or run without --iface`,
      },
    );
  for (const { name } of ports) {
    const { rx } = ethtool.channels(name);
    if (rx !== queues)
      throw new UnsupportedError(
        `${name} has ${rx === 1 ? "1 receive queue" : `${rx} receive queues`}, and ${queues} are needed`,
        { feature: `${queues} queues`, fix: `ethtool -L ${name} rx ${queues}` },
      );
  }
}

/** What a program rewritten by codegen reads its clock from. */
function environmentOf(
  loaded: LoadedPrograms,
): Pick<WatchOptions, "environment"> {
  const map = loaded.maps.get(environmentMap);
  if (map === undefined) return {};
  const copies = map.spec.valueSize / environmentLayout.size;
  return { environment: { fd: map.fd, copies } };
}
