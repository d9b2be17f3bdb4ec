/**
 * The kernel engine: specification → loaded maps and programs, through bpf(2).
 *
 *   const kernel = await openKernel();          // or an UnsupportedError
 *   const loaded = kernel.load([program], { btf: object.btf });
 *   loaded.program("xdp_main").testRun(frame);
 *   loaded.close();                             // everything goes with it
 *
 * Programs loaded together share maps by name. Nothing is pinned or attached,
 * nothing outlives `close` or the process.
 */
import {
  InputError,
  UnsupportedError,
  type Diagnostic,
} from "../../base/index.ts";
import type { MapSpec, ProgramSpec } from "../../isa/index.ts";
import { programSpec, type Btf, type ObjectSpec } from "../../object/index.ts";
import { allowedCpus, onCpu } from "./affinity.ts";
import { attributes, command } from "./attributes.ts";
import { isUnsized } from "./create-map.ts";
import { KernelMap } from "./kernel-map.ts";
import { KernelProgram } from "./kernel-program.ts";
import { kernelFunctionId, kernelVariableId } from "./kernel-symbols.ts";
import type { PlacedFunction } from "./layout.ts";
import {
  attachXdp,
  occupantOf,
  restoreReplaced,
  type AttachableProgram,
  type AttachOptions,
  type Occupant,
  type ReplacedProgram,
  type XdpLink,
} from "./link.ts";
import { interfaces, type InterfaceXdp } from "./netlink.ts";
import { Pins } from "./pins.ts";
import { PrivatePorts } from "./private-ports.ts";
import { memory, openSyscalls, type Syscalls } from "./syscalls.ts";
import {
  kernelBtfBytes,
  typeInformation,
  type TypeInformation,
} from "./type-information.ts";

export interface LoadProgramsOptions {
  /** Types of the object that the programs come from. */
  readonly btf?: Btf;
  /**
   * Maps that stand already, by name: programs share them instead of getting new
   * ones, and their contents stay. Their descriptors become the loaded programs'.
   */
  readonly maps?: ReadonlyMap<string, KernelMap>;
}

/** Why there is no kernel engine here, or undefined when there is one. */
export async function haveBpf(): Promise<UnsupportedError | undefined> {
  try {
    const kernel = await openKernel();
    kernel.close();
    return undefined;
  } catch (error) {
    if (error instanceof UnsupportedError) return error;
    throw error;
  }
}

/** Throws an UnsupportedError where bpf(2) may not be used. */
export async function openKernel(): Promise<Kernel> {
  const syscalls = await openSyscalls();
  const probe = attributes(syscalls, "mapCreate", {
    type: 2,
    keySize: 4,
    valueSize: 4,
    maxEntries: 1,
    name: "divisi_probe",
  });
  const fd = syscalls.bpf(command.mapCreate, probe);
  if (fd < 0)
    throw new UnsupportedError(
      `bpf(2) is not allowed here (${syscalls.errorName(-fd)})`,
      {
        feature: "CAP_BPF",
        fix: "run as root, or with CAP_BPF and CAP_NET_ADMIN",
      },
    );
  syscalls.close(fd);
  return new Kernel(syscalls);
}

export class Kernel {
  readonly #syscalls: Syscalls;
  readonly #open = new Set<LoadedPrograms>();
  #ports: PrivatePorts | undefined;

  constructor(syscalls: Syscalls) {
    this.#syscalls = syscalls;
  }

  /** For what stands beside this class in the room. */
  get syscalls(): Syscalls {
    return this.#syscalls;
  }

  /** Interfaces for test runs, made when first asked for. */
  get ports(): PrivatePorts {
    return (this.#ports ??= new PrivatePorts(this.#syscalls));
  }

  /** Throws a VerifierError when the kernel rejects one; then nothing is left behind. */
  load(
    programs: readonly ProgramSpec[],
    options: LoadProgramsOptions = {},
  ): LoadedPrograms {
    const loaded = new LoadedPrograms(this.#syscalls, () => {
      this.#open.delete(loaded);
    });
    try {
      loaded.fill(programs, options);
    } catch (error) {
      loaded.close();
      throw error;
    }
    this.#open.add(loaded);
    return loaded;
  }

  /** Every program of the object whose type is known. */
  loadObject(object: ObjectSpec): LoadedPrograms {
    const programs = object.programs.flatMap(({ name, type }) =>
      type === undefined ? [] : [programSpec(object, { entry: name, type })],
    );
    return this.load(
      programs,
      object.btf === undefined ? {} : { btf: object.btf },
    );
  }

  /**
   * Puts the program on the interface, until the link is closed. Throws an
   * InputError that names what is there already.
   */
  attachXdp(
    program: AttachableProgram,
    ifindex: number,
    options: AttachOptions = {},
  ): XdpLink {
    return attachXdp(this.#syscalls, program, ifindex, options);
  }

  /** Puts a program that `attachXdp` replaced back; the kernel's words if that fails. */
  restoreReplaced(
    ifindex: number,
    replaced: Pick<ReplacedProgram, "fd" | "mode">,
  ): string | undefined {
    return restoreReplaced(this.#syscalls, ifindex, replaced);
  }

  /** What stands at the interface already; undefined: nothing does. */
  occupant(ifindex: number): Occupant | undefined {
    return occupantOf(this.#syscalls, ifindex);
  }

  /** What outlives the process. */
  get pins(): Pins {
    return new Pins(this.#syscalls);
  }

  /** Every interface of the calling thread's network namespace, with its XDP programs. */
  interfaces(): readonly InterfaceXdp[] {
    return interfaces(this.#syscalls);
  }

  /** Runs `work` with this thread bound to one CPU. */
  onCpu<T>(cpu: number, work: () => T): T {
    return onCpu(this.#syscalls, cpu, work);
  }

  /** Numbers of the CPUs that this thread may run on. */
  allowedCpus(): readonly number[] {
    return allowedCpus(this.#syscalls);
  }

  close(): void {
    for (const loaded of this.#open) loaded.close();
    this.#ports?.close();
    this.#ports = undefined;
  }
}

export class LoadedPrograms {
  readonly maps = new Map<string, KernelMap>();
  readonly programs = new Map<string, KernelProgram>();
  /** What was assumed or left out. */
  readonly notes: Diagnostic[] = [];
  readonly #syscalls: Syscalls;
  readonly #onClose: () => void;
  readonly #btfFds: number[] = [];
  #isOpen = true;

  constructor(syscalls: Syscalls, onClose: () => void) {
    this.#syscalls = syscalls;
    this.#onClose = onClose;
  }

  map(name: string): KernelMap {
    const map = this.maps.get(name);
    if (map !== undefined) return map;
    throw new InputError(`no map ${name} is loaded`, { code: "map-missing" });
  }

  /** By name; the only one when none is given. */
  program(name?: string): KernelProgram {
    const [first] = this.programs.keys();
    const program = this.programs.get(name ?? first ?? "");
    if (program !== undefined) return program;
    throw new InputError(`no program ${name ?? ""} is loaded`, {
      code: "program-missing",
    });
  }

  /**
   * Maps that programs write become what they were after loading. Maps of records
   * (ring and perf buffers) are not touched, nor those that only user space fills.
   */
  reset(): void {
    for (const map of this.maps.values()) map.reset();
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    for (const program of this.programs.values()) program.close();
    for (const map of this.maps.values()) map.close();
    for (const fd of this.#btfFds) this.#syscalls.close(fd);
    this.#onClose();
  }

  /** Maps first, then programs, then what maps hold of both. */
  fill(programs: readonly ProgramSpec[], options: LoadProgramsOptions): void {
    const { btf, maps: standing } = options;
    const btfFd =
      btf === undefined ? undefined : this.#loadBtf(kernelBtfBytes(btf));
    const specs = new Map<string, MapSpec>();
    for (const program of programs)
      for (const map of program.maps) specs.set(map.name, map);
    for (const [name, map] of standing ?? []) this.maps.set(name, map);
    for (const spec of specs.values()) {
      if (this.maps.has(spec.name)) continue;
      if (isUnsized(spec))
        this.#note(
          "map-size-assumed",
          `map ${spec.name} has no size; it gets one entry per possible CPU`,
        );
      this.maps.set(spec.name, KernelMap.create(this.#syscalls, spec, btfFd));
    }
    for (const spec of programs)
      this.programs.set(
        spec.name,
        KernelProgram.load(this.#syscalls, spec, {
          names: {
            mapFd: (name) => this.map(name).fd,
            kfuncId: kernelFunctionId,
            symbolId: kernelVariableId,
          },
          types: (placed) => this.#typesOf(spec, placed, btf),
        }),
      );
    for (const spec of specs.values())
      if (standing?.has(spec.name) !== true) this.#fillCells(spec);
  }

  #fillCells(spec: MapSpec): void {
    for (const { index, target } of spec.values ?? []) {
      const fd =
        target.kind === "map"
          ? this.map(target.name).fd
          : this.program(target.name).fd;
      this.map(spec.name).setDescriptor(index, fd);
    }
  }

  #typesOf(
    spec: ProgramSpec,
    placed: readonly PlacedFunction[],
    btf: Btf | undefined,
  ): { fd: number; information: TypeInformation } | undefined {
    const information = typeInformation(spec, placed, btf);
    if (information === undefined) return undefined;
    const fd = this.#loadBtf(information.btf);
    return fd === undefined ? undefined : { fd, information };
  }

  /** A descriptor, or undefined when the kernel refuses the types: most programs do without. */
  #loadBtf(bytes: Uint8Array): number | undefined {
    const held = memory(bytes.length);
    held.set(bytes);
    const attr = attributes(this.#syscalls, "btfLoad", {
      btf: held,
      size: bytes.length,
    });
    const fd = this.#syscalls.bpf(command.btfLoad, attr);
    if (fd < 0) {
      this.#note(
        "types-refused",
        `the kernel refused the type information (${this.#syscalls.errorName(-fd)}); loading without it`,
      );
      return undefined;
    }
    this.#btfFds.push(fd);
    return fd;
  }

  #note(code: string, message: string): void {
    this.notes.push({ code, severity: "note", message });
  }
}
