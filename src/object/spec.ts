/**
 * A BPF object file as plain data: everything that the tools work with, and
 * nothing of how ELF stores it. `readObject` makes it, `writeObject` gives it
 * bytes again.
 */
import type { Diagnostic } from "../base/index.ts";
import type { FunctionSpec, MapSpec, ProgramTypeName } from "../isa/index.ts";
import type { Btf } from "./btf.ts";

export interface ObjectSpec {
  /** Name for messages. */
  readonly file: string;
  /** "" where the object has no licence section. */
  readonly license: string;
  /** Of a `version` section; only kernels before 5.0 asked for it. */
  readonly kernelVersion?: number;
  /** Declared maps first, then the data sections, `.kconfig` last. */
  readonly maps: readonly MapSpec[];
  readonly functions: readonly FunctionSpec[];
  /** Entry functions, in order. */
  readonly programs: readonly ProgramEntry[];
  readonly btf?: Btf;
  /** Named places in the data sections. */
  readonly variables: readonly VariableSpec[];
  readonly externs: readonly ExternSpec[];
  /** Data that no program reaches, kept for whoever reads it (`xdp_metadata`). */
  readonly sections: readonly RawSection[];
  /** What was odd but tolerated, and what was left out. */
  readonly notes: readonly Diagnostic[];
}

export interface ProgramEntry {
  /** Name of its function. */
  readonly name: string;
  /** `?xdp`: only loaded when asked for by name. */
  readonly section: string;
  /** As the section's name tells; undefined where it tells nothing. */
  readonly type: ProgramTypeName | undefined;
}

export interface VariableSpec {
  readonly name: string;
  /** Also the name of the map or raw section that holds it. */
  readonly section: string;
  /** In bytes. */
  readonly offset: number;
  readonly size: number;
  readonly linkage: "global" | "static";
}

/** A symbol that the loader or the kernel provides. */
export type ExternSpec =
  | {
      /** A value of the kernel's configuration, at `offset` of map `.kconfig`. */
      readonly kind: "kconfig";
      readonly name: string;
      readonly weak: boolean;
      readonly offset: number;
      readonly size: number;
    }
  | {
      /** A kernel variable (`__ksym`), or a kernel function (kfunc). */
      readonly kind: "variable" | "function";
      readonly name: string;
      readonly weak: boolean;
    };

export interface RawSection {
  readonly name: string;
  readonly writable: boolean;
  readonly data: Uint8Array;
}
