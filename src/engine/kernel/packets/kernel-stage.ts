/**
 * A program in the kernel with its environment made an input: rewritten
 * (codegen/bpf), loaded, its maps filled, its ports made, its events readable.
 * Packets are run one by one in the order given; state stays until `close`.
 *
 * A program with per-CPU maps runs on the CPU that its packet names, which must
 * exist: otherwise it is not comparable, and an UnsupportedError says so. For all
 * others the CPU is a number that the run sets.
 */
import { Bug, InputError, UnsupportedError } from "../../../base/index.ts";
import {
  controlEnvironment,
  unchanged,
  environmentLayout,
  environmentMap,
  type ControlledProgram,
  type RewrittenCall,
} from "../../../codegen/index.ts";
import type { MapEntry, PacketInput } from "../../../interp/index.ts";
import {
  mapTypeRow,
  parseFunction,
  type MapSpec,
  type ProgramSpec,
} from "../../../isa/index.ts";
import type { Btf } from "../../../object/index.ts";
import {
  dumpState,
  type MapContents,
  type StateDump,
} from "../../../proof/index.ts";
import { CpuBinding } from "../system/affinity.ts";
import { possibleCpus } from "../../../host/index.ts";
import { EnvironmentWords } from "./environment-words.ts";
import { perfReader, ringReader, type EventReader } from "./event-reader.ts";
import type { Kernel } from "../kernel.ts";
import type { LoadedPrograms } from "../load/loaded-programs.ts";
import type { KernelMap } from "../load/kernel-map.ts";
import { PacketRuns } from "./packet-runs.ts";

export interface StageOptions {
  readonly btf?: Btf;
  /** First contents of maps, by name. */
  readonly contents?: MapContents;
  /** Entries of a map instead of its max_entries, by name. */
  readonly capacities?: Readonly<Record<string, number>>;
  /** For random numbers, as interp's. Default 1. */
  readonly seed?: number;
  /** CPUs that packets may name. Default: as many as the kernel may have. */
  readonly cpus?: number;
  /** Where tail calls may lead. */
  readonly programs?: readonly ProgramSpec[];
  /** What routes are found; default none, as in interp. */
  readonly routes?: "none" | "varied";
  /** Leave every call as it is: the kernel's own clock, random numbers, CPU and routes. */
  readonly asIs?: boolean;
}

export class KernelStage {
  readonly rewritten: readonly RewrittenCall[];
  /** Packets run on the CPU that they name. */
  readonly pinned: boolean;
  readonly runs: PacketRuns;
  readonly #kernel: Kernel;
  readonly #loaded: LoadedPrograms;
  readonly #cpus: number;
  readonly #environment: EnvironmentWords | undefined;
  readonly #readers: EventReader[] = [];

  /** Throws a VerifierError where the kernel refuses the program. */
  constructor(
    kernel: Kernel,
    program: ProgramSpec,
    options: StageOptions = {},
  ) {
    this.#kernel = kernel;
    this.#cpus = options.cpus ?? possibleCpus();
    const control = (given: ProgramSpec): ControlledProgram => {
      const spec = sized(runnable(given), options.capacities ?? {});
      return options.asIs === true
        ? unchanged(spec)
        : controlEnvironment(spec, {
            cpus: this.#cpus,
            routes: options.routes ?? "none",
          });
    };
    const controlled = [program, ...(options.programs ?? [])].map(control);
    this.rewritten = controlled.flatMap(({ rewritten }) => rewritten);
    this.pinned = controlled.some(({ pinned }) => pinned);
    const usesRandom = controlled.some(({ usesRandom: uses }) => uses);
    if (this.pinned && this.#cpus > possibleCpus())
      throw new UnsupportedError(
        `${program.name} has per-CPU maps and packets on ${this.#cpus} CPUs, here are ${possibleCpus()}: not comparable`,
        { feature: `${this.#cpus} CPUs`, fix: "use --engine wasm" },
      );
    kernel.ports.provide(devicesOf(program, options.contents ?? {}));
    const specs = controlled.map((each) => each.program);
    const targets = specs
      .flatMap(({ maps }) => maps)
      .filter(
        ({ type, name }, at, all) =>
          redirectTypes.has(type) &&
          all.findIndex((each) => each.name === name) === at,
      );
    const probe = addressProbe(targets);
    const withProbe =
      targets.length > 0 &&
      this.rewritten.some(({ helper }) => helper === "redirect_map");
    this.#loaded = kernel.ports.within(() =>
      kernel.load(
        withProbe ? [...specs, probe] : specs,
        options.btf === undefined ? {} : { btf: options.btf },
      ),
    );
    try {
      const map = this.#loaded.maps.get(environmentMap);
      if (map !== undefined)
        this.#environment = new EnvironmentWords(kernel.syscalls, map.fd);
      this.#openReaders();
      const addresses = withProbe ? this.#addresses(probe.name, targets) : [];
      this.runs = new PacketRuns(
        kernel.syscalls,
        this.#loaded.program(program.name),
        {
          ...(usesRandom ? { seed: options.seed ?? 1 } : {}),
          ...(this.#environment === undefined
            ? {}
            : { environment: this.#environment }),
          mapAt: (address) => targets[addresses.indexOf(address)]?.name,
          readers: this.#readers,
        },
      );
      kernel.ports.within(() => {
        for (const [name, entries] of Object.entries(options.contents ?? {}))
          for (const { key, value } of entries) this.#write(name, key, value);
      });
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Runs them in order; after each, `each` sees it in `runs`. */
  run(
    packets: readonly PacketInput[],
    each: (index: number, input: PacketInput) => void,
  ): void {
    const { runs, pinned } = this;
    this.#kernel.ports.provide(packets.map(({ ifindex }) => ifindex));
    const binding = pinned ? new CpuBinding(this.#kernel.syscalls) : undefined;
    try {
      this.#kernel.ports.within(() => {
        for (const [index, input] of packets.entries()) {
          binding?.bind(input.cpu);
          runs.run(input);
          each(index, input);
        }
      });
    } finally {
      binding?.release();
    }
    runs.check();
  }

  /** As user space writes it; values of per-CPU maps are all copies in a row. */
  update(map: string, key: Uint8Array, value: Uint8Array): void {
    this.#kernel.ports.within(() => {
      this.#write(map, key, value);
    });
  }

  map(name: string): KernelMap {
    return this.#loaded.map(name);
  }

  /** Every map that user space can read, in the form of proof's `dumpState`. */
  dump(): StateDump {
    return dumpState({
      maps: this.maps,
      entries: (map) => this.entries(map),
    });
  }

  /** Maps that user space can read. */
  get maps(): readonly MapSpec[] {
    return [...this.#loaded.maps.values()]
      .map(({ spec }) => spec)
      .filter((spec) => isComparable(spec) && spec.name !== environmentMap);
  }

  /** As interp's state has them: copies of per-CPU values in a row, a queue by position. */
  entries(name: string): readonly MapEntry[] {
    const map = this.#loaded.map(name);
    const { type, valueSize } = map.spec;
    if (type === "queue" || type === "stack") {
      const values = map.drain().map(([, [value]]) => value ?? noBytes);
      // A stack gives its newest first.
      if (type === "stack") values.reverse();
      for (const value of values) map.update(noBytes, value);
      return values.map((value, at) => ({ key: indexBytes(at), value }));
    }
    const isPerCpu = mapTypeRow(type).perCpu === true;
    const stride = (valueSize + 7) & ~7;
    return map.entries().map(([key, values]) => {
      const [first = noBytes] = values;
      if (!isPerCpu) return { key, value: first };
      const value = new Uint8Array(stride * this.#cpus);
      for (const [cpu, copy] of values.slice(0, this.#cpus).entries())
        value.set(copy, cpu * stride);
      return { key, value };
    });
  }

  close(): void {
    for (const reader of this.#readers) reader.close();
    this.#environment?.close();
    this.#loaded.close();
  }

  #write(name: string, key: Uint8Array, value: Uint8Array): void {
    const map = this.#loaded.map(name);
    const { type, valueSize } = map.spec;
    if (mapTypeRow(type).perCpu !== true) return map.update(key, value);
    const stride = (valueSize + 7) & ~7;
    const copies = Array.from({ length: possibleCpus() }, (_, cpu) => {
      const copy = new Uint8Array(valueSize);
      copy.set(value.subarray(cpu * stride, cpu * stride + valueSize));
      return copy;
    });
    map.updateAll(key, copies);
  }

  #openReaders(): void {
    const { syscalls } = this.#kernel;
    const cpus = Array.from({ length: possibleCpus() }, (_, cpu) => cpu);
    for (const map of this.#loaded.maps.values()) {
      if (map.spec.type === "ringbuf")
        this.#readers.push(ringReader(syscalls, map));
      if (map.spec.type === "perf_event_array")
        this.#readers.push(perfReader(syscalls, map, cpus));
    }
  }

  /** What the kernel's pointers to these maps are. */
  #addresses(probe: string, maps: readonly MapSpec[]): readonly bigint[] {
    const environment = this.#environment;
    if (environment === undefined) throw new Bug("no environment to read");
    this.#loaded.program(probe).testRun(new Uint8Array(64));
    return maps.map((_, index) =>
      environment.long(environmentLayout.random + 8 * index),
    );
  }
}

/** A test run takes no programs of device maps and CPU maps, but what is in them. */
function runnable(program: ProgramSpec): ProgramSpec {
  const section = program.section.replace(/^(xdp(\.frags)?)\/.*$/, "$1");
  return program.type === "xdp" ? { ...program, section } : program;
}

const noBytes = new Uint8Array(0);

function indexBytes(index: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(index).buffer);
}

// prettier-ignore
const redirectTypes: ReadonlySet<string> = new Set(["devmap", "devmap_hash", "cpumap", "xskmap"]);

/** Can user space read the cells back? Other maps hold objects of the kernel. */
export function isComparable({ type }: MapSpec): boolean {
  return /^(lru_)?(percpu_)?(hash|array)$|^lpm_trie$|^queue$|^stack$/.test(
    type,
  );
}

function sized(
  program: ProgramSpec,
  capacities: Readonly<Record<string, number>>,
): ProgramSpec {
  const maps = program.maps.map((map) => {
    const maxEntries = capacities[map.name] ?? map.maxEntries;
    return { ...map, maxEntries };
  });
  return { ...program, maps };
}

/** Interfaces that first contents of device maps name. */
function devicesOf(program: ProgramSpec, contents: MapContents): number[] {
  return program.maps
    .filter(({ type }) => type === "devmap" || type === "devmap_hash")
    .flatMap(({ name }) =>
      (contents[name] ?? []).map(({ value }) =>
        new DataView(value.buffer, value.byteOffset).getUint32(0, true),
      ),
    );
}

/** A program that notes the addresses of these maps where random numbers are later. */
function addressProbe(maps: readonly MapSpec[]): ProgramSpec {
  const text = maps.map(
    ({ name }, index) => `r1 = map ${JSON.stringify(name)} ll
      *(u64 *)(r2 + ${environmentLayout.random + 8 * index}) = r1`,
  );
  const fn = parseFunction(
    `function divisi_probe\n r2 = value ${environmentMap}[0] ll\n ${text.join("\n")}\n r0 = 0\n exit`,
  );
  if (maps.length > 32)
    throw new InputError(`${maps.length} maps of redirects`, {
      code: "maps-many",
    });
  return {
    file: "divisi",
    name: fn.name,
    section: "xdp",
    type: "xdp",
    license: "GPL",
    functions: [fn],
    maps: [],
  };
}
