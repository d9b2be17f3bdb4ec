/**
 * What happens at interfaces while a program serves them, counted from outside; the
 * program itself is attached as it is, with nothing in front of it.
 *
 * - runs and time: the kernel's statistics of the program, all interfaces together
 *   (about 20 ns a run while they are on, for every program of the machine);
 * - aborted, redirected, failed redirects: tracepoints, by interface and CPU. Others'
 *   programs at the same interface would count too; there can be none;
 * - everything else, by queue: what the driver counts under its own names.
 *
 * Source: BPF_ENABLE_STATS; include/trace/events/xdp.h; ethtool -S.
 */
import { UnsupportedError } from "../../../base/index.ts";
import { attributes, command } from "../attributes.ts";
import { possibleCpus } from "../../../host/index.ts";
import { Ethtool } from "../system/ethtool.ts";
import type { Kernel } from "../kernel.ts";
import { KernelMap } from "../load/kernel-map.ts";
import { namespaceIdentity } from "../system/namespace.ts";
import { programInfo } from "../system/object-info.ts";
import { attachEvent, countText, watchedEvents } from "./watch-events.ts";

/** Interfaces that can be told apart. */
const mostInterfaces = 256;

export interface CpuCounts {
  readonly cpu: number;
  /** Aborted, verdicts that the kernel does not know, frames that could not go back. */
  readonly exceptions: number;
  readonly redirected: number;
  readonly failedRedirects: number;
}

export interface InterfaceCounts {
  readonly name: string;
  /** CPUs on which something happened. */
  readonly cpus: readonly CpuCounts[];
  /** Since the start, by the driver's names; only those of queues and XDP. */
  readonly driver: Readonly<Record<string, number>>;
}

export interface TrafficCounts {
  readonly runs: number;
  readonly ns: number;
  readonly interfaces: readonly InterfaceCounts[];
}

export interface CountedInterface {
  readonly name: string;
  readonly ifindex: number;
}

export class TrafficCounter {
  readonly #kernel: Kernel;
  readonly #program: number;
  readonly #interfaces: readonly CountedInterface[];
  readonly #events: KernelMap;
  readonly #ethtool: Ethtool;
  readonly #before: readonly ReadonlyMap<string, number>[];
  readonly #fds: number[] = [];

  /** In the calling thread's namespace. */
  constructor(
    kernel: Kernel,
    program: { readonly fd: number },
    interfaces: readonly CountedInterface[],
  ) {
    const { syscalls } = kernel;
    this.#kernel = kernel;
    this.#program = program.fd;
    this.#interfaces = interfaces;
    this.#ethtool = new Ethtool(syscalls);
    this.#before = interfaces.map(({ name }) => this.#ethtool.counters(name));
    this.#events = KernelMap.create(
      syscalls,
      {
        name: "divisi_counts",
        type: "percpu_hash",
        keySize: 4,
        valueSize: 24,
        maxEntries: mostInterfaces,
        flags: 0,
        section: ".maps",
        readOnly: false,
      },
      undefined,
    );
    try {
      const attr = attributes(syscalls, "enableStats", { type: 0 });
      const stats = syscalls.bpf(command.enableStats, attr);
      if (stats < 0)
        throw new UnsupportedError(
          `statistics of programs cannot be had (${syscalls.errorName(-stats)})`,
          { feature: "BPF_ENABLE_STATS", firstKernel: "5.8" },
        );
      this.#fds.push(stats);
      for (const { ifindex } of interfaces)
        this.#events.update(word(ifindex), new Uint8Array(24));
      for (const [slot, event] of watchedEvents.entries())
        this.#fds.push(
          ...attachEvent(syscalls, event, {
            text: countText(event, 8 * slot, namespaceIdentity("own")),
            maps: { counts: this.#events.fd },
          }),
        );
    } catch (error) {
      this.close();
      throw error;
    }
  }

  read(): TrafficCounts {
    const { runs, runNs } = programInfo(this.#kernel.syscalls, this.#program);
    return {
      runs: Number(runs),
      ns: Number(runNs),
      interfaces: this.#interfaces.map(({ name, ifindex }, at) => ({
        name,
        cpus: this.#cpus(ifindex),
        driver: this.#driver(name, at),
      })),
    };
  }

  close(): void {
    for (const fd of this.#fds) this.#kernel.syscalls.close(fd);
    this.#events.close();
    this.#ethtool.close();
  }

  #cpus(ifindex: number): readonly CpuCounts[] {
    const values = this.#events.lookupAll(word(ifindex)) ?? [];
    return values.slice(0, possibleCpus()).flatMap((value, cpu) => {
      const counts = new DataView(value.buffer, value.byteOffset);
      const count = (slot: number): number =>
        Number(counts.getBigUint64(8 * slot, true));
      const [exceptions, redirected, failedRedirects] = [
        count(0),
        count(1),
        count(2),
      ];
      return exceptions + redirected + failedRedirects === 0
        ? []
        : [{ cpu, exceptions, redirected, failedRedirects }];
    });
  }

  #driver(name: string, at: number): Readonly<Record<string, number>> {
    const before = this.#before[at];
    return Object.fromEntries(
      [...this.#ethtool.counters(name)].flatMap(([counter, value]) => {
        const since = value - (before?.get(counter) ?? 0);
        return /xdp|queue|^rx_?\d/.test(counter) && since !== 0
          ? [[counter, since]]
          : [];
      }),
    );
  }
}

function word(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}
