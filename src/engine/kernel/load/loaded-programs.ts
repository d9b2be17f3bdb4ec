/**
 * Programs and maps that the kernel took together: programs share maps by name, and
 * everything goes with `close`.
 *
 *   maps      made, or those that stand already; filled and frozen
 *   programs  each with its own types, for lines and callbacks
 *   cells     static values: maps in maps, programs in program arrays. A cell whose
 *             program was not loaded stays empty, and a note says so
 */
import {
  InputError,
  UnsupportedError,
  type Diagnostic,
} from "../../../base/index.ts";
import {
  programTypeRow,
  type MapSpec,
  type ProgramSpec,
} from "../../../isa/index.ts";
import type { Btf, ExternSpec } from "../../../object/index.ts";
import { attributes, command } from "../attributes.ts";
import { KernelMap } from "./kernel-map.ts";
import { KernelExterns } from "./kernel-names.ts";
import { KernelProgram } from "./kernel-program.ts";
import type { KernelNames, PlacedFunction } from "./layout.ts";
import { fittedMap } from "./map-fit.ts";
import { pinnedMap } from "../links/pinned-map.ts";
import { memory, type Syscalls } from "../syscalls.ts";
import {
  mapTypeInformation,
  typeInformation,
  type TypeInformation,
} from "./type-information.ts";

export interface LoadProgramsOptions {
  /** Types of the object that the programs come from. */
  readonly btf?: Btf;
  /** Which of the symbols that it names may be absent. */
  readonly externs?: readonly ExternSpec[];
  /**
   * Maps that stand already, by name: programs share them instead of getting new
   * ones, and their contents stay. Their descriptors become the loaded programs'.
   */
  readonly maps?: ReadonlyMap<string, KernelMap>;
  /**
   * Folder of a bpffs for maps that ask to be pinned by name: one that stands there
   * is shared, or made and left there. Without it such maps are not pinned.
   */
  readonly pinRoot?: string;
  /**
   * Programs that only the kernel runs and that this one lacks something for are left
   * out with a note, as long as others remain.
   */
  readonly leaveOut?: boolean;
}

interface ProgramTypes {
  readonly fd: number;
  readonly information: TypeInformation;
}

export class LoadedPrograms {
  readonly maps = new Map<string, KernelMap>();
  readonly programs = new Map<string, KernelProgram>();
  /** What was assumed or left out. */
  readonly notes: Diagnostic[] = [];
  readonly #syscalls: Syscalls;
  readonly #onClose: () => void;
  readonly #btfFds: number[] = [];
  /** Maps that stood already: what they hold of other maps stays. */
  readonly #shared = new Set<string>();
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
    const { btf, maps: standing, externs = [] } = options;
    const specs = new Map<string, MapSpec>();
    for (const program of programs)
      for (const map of program.maps) specs.set(map.name, map);
    for (const [name, map] of standing ?? []) this.maps.set(name, map);
    // Type 0 is void: alone it is nothing to load.
    const btfFd =
      btf === undefined || btf.types.length < 2
        ? undefined
        : this.#mapTypes(btf);
    for (const spec of specs.values())
      if (!this.maps.has(spec.name))
        this.maps.set(spec.name, this.#makeMap(spec, btfFd, options.pinRoot));
    const symbols = new KernelExterns(externs, btf);
    const names: KernelNames = {
      mapFd: (name) => this.map(name).fd,
      kfunc: (name) => symbols.kfunc(name),
      symbol: (name) => symbols.symbol(name),
    };
    let lacking: UnsupportedError | undefined;
    for (const spec of programs)
      try {
        const types = (
          placed: readonly PlacedFunction[],
        ): ProgramTypes | undefined => this.#typesOf(spec, placed, btf);
        const program = KernelProgram.load(this.#syscalls, spec, {
          names,
          types,
        });
        this.programs.set(spec.name, program);
      } catch (error) {
        const { kernelOnly = false } = programTypeRow(spec.type);
        if (options.leaveOut !== true || !kernelOnly) throw error;
        if (!(error instanceof UnsupportedError)) throw error;
        lacking ??= error;
        this.note(
          "program-left-out",
          `program ${spec.name} is left out: ${error.message}`,
        );
      }
    if (this.programs.size === 0 && lacking !== undefined) throw lacking;
    for (const spec of specs.values())
      if (standing?.has(spec.name) !== true) this.#fillCells(spec);
  }

  /** Says what was assumed. */
  note(code: string, message: string): void {
    this.notes.push({ code, severity: "note", message });
  }

  #makeMap(
    spec: MapSpec,
    btfFd: number | undefined,
    pinRoot: string | undefined,
  ): KernelMap {
    const { map, changes } = fittedMap(spec);
    for (const { code, text } of changes)
      this.note(code, `map ${spec.name} ${text}`);
    if (spec.pinning !== undefined && pinRoot !== undefined) {
      const pinned = pinnedMap(this.#syscalls, map, { root: pinRoot, btfFd });
      if (pinned.isShared) this.#shared.add(spec.name);
      return pinned.map;
    }
    return KernelMap.create(this.#syscalls, map, btfFd);
  }

  #fillCells(spec: MapSpec): void {
    for (const { index, target } of spec.values ?? []) {
      if (target.kind === "map") {
        if (!this.#shared.has(spec.name))
          this.map(spec.name).setDescriptor(index, this.map(target.name).fd);
        continue;
      }
      const program = this.programs.get(target.name);
      if (program === undefined) {
        this.note(
          "cell-empty",
          `map ${spec.name}: cell ${index} stays empty: ${target.name} is not loaded`,
        );
        continue;
      }
      this.map(spec.name).setDescriptor(index, program.fd);
    }
  }

  #typesOf(
    spec: ProgramSpec,
    placed: readonly PlacedFunction[],
    btf: Btf | undefined,
  ): ProgramTypes | undefined {
    const information = typeInformation(spec, placed, btf);
    if (information === undefined) return undefined;
    const fd = this.#loadBtf(information.btf);
    if (typeof fd === "string") return this.#refusedTypes(fd);
    return { fd, information };
  }

  /** With the data sections, so that their maps print with names, or without. */
  #mapTypes(btf: Btf): number | undefined {
    const withSections = this.#loadBtf(
      mapTypeInformation(btf, { sections: true }),
    );
    if (typeof withSections === "number") return withSections;
    const plain = this.#loadBtf(mapTypeInformation(btf, { sections: false }));
    return typeof plain === "number" ? plain : this.#refusedTypes(plain);
  }

  #refusedTypes(error: string): undefined {
    this.note(
      "types-refused",
      `the kernel refused the type information (${error}); loading without it`,
    );
    return undefined;
  }

  /** A descriptor, or the kernel's word when it refuses the types: most programs do without. */
  #loadBtf(bytes: Uint8Array): number | string {
    const held = memory(bytes.length);
    held.set(bytes);
    const attr = attributes(this.#syscalls, "btfLoad", {
      btf: held,
      size: bytes.length,
    });
    const fd = this.#syscalls.bpf(command.btfLoad, attr);
    if (fd < 0) return this.#syscalls.errorName(-fd);
    this.#btfFds.push(fd);
    return fd;
  }
}
