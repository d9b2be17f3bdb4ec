/**
 * The kernel engine: specification → loaded maps and programs, through bpf(2).
 *
 *   const kernel = await openKernel();          // or an UnsupportedError
 *   const loaded = kernel.load([program], { btf: object.btf });
 *   loaded.program("xdp_main").testRun(frame);
 *   loaded.close();                             // everything goes with it
 *
 * Programs loaded together share maps by name. Nothing outlives `close` or the
 * process, unless a folder for pins is given.
 */
import { UnsupportedError } from "../../base/index.ts";
import type { ProgramSpec, ProgramTypeName } from "../../isa/index.ts";
import type { ObjectSpec } from "../../object/index.ts";
import { allowedCpus, onCpu } from "./system/affinity.ts";
import { attributes, command } from "./attributes.ts";
import {
  attachXdp,
  occupantOf,
  restoreReplaced,
  type AttachableProgram,
  type AttachOptions,
  type Occupant,
  type ReplacedProgram,
  type XdpLink,
} from "./links/link.ts";
import { loadablePrograms } from "./load/loadable-programs.ts";
import {
  LoadedPrograms,
  type LoadProgramsOptions,
} from "./load/loaded-programs.ts";
import { interfaces, type InterfaceXdp } from "./system/netlink.ts";
import { Pins } from "./links/pins.ts";
import { PrivatePorts } from "./packets/private-ports.ts";
import { openSyscalls, type Syscalls } from "./syscalls.ts";

/** Which programs of an object, and how. */
export interface LoadObjectOptions extends Pick<
  LoadProgramsOptions,
  "maps" | "pinRoot"
> {
  /** Names; default: all but those whose section starts with `?`. */
  readonly programs?: readonly string[];
  /** Takes the place of what the sections tell. */
  readonly type?: ProgramTypeName;
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

  /**
   * Programs of the object, with values of the kernel's configuration. Those that
   * nobody can load here (type unknown, bound to what this kernel lacks) are left
   * out, which a note says, as long as others remain.
   */
  loadObject(
    object: ObjectSpec,
    options: LoadObjectOptions = {},
  ): LoadedPrograms {
    const { programs, notes } = loadablePrograms(object, options);
    const { maps, pinRoot } = options;
    const loaded = this.load(programs, {
      ...(object.btf === undefined ? {} : { btf: object.btf }),
      externs: object.externs,
      leaveOut: true,
      ...(maps === undefined ? {} : { maps }),
      ...(pinRoot === undefined ? {} : { pinRoot }),
    });
    loaded.notes.unshift(...notes);
    return loaded;
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
