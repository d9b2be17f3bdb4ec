/**
 * The plain program specification: what `object` reads and writes, `ir` lifts,
 * `interp` and the engines run and `codegen` produces. Everything is readonly
 * data; an edit returns a new specification.
 */
import type { Place } from "../base/index.ts";
import type { Instruction } from "./instruction.ts";
import { mapTypeRow, type MapTypeName } from "./map-types.ts";
import type { ProgramTypeName } from "./program-types.ts";

/** One source position of an instruction (a record of `.BTF.ext` line_info). */
export interface LineInfo {
  /** Index of the first instruction it speaks of. */
  readonly at: number;
  readonly file: string;
  /** The source line itself. */
  readonly text: string;
  readonly line: number;
  readonly column: number;
}

/** A CO-RE relocation record, by instruction (kernel `struct bpf_core_relo`). */
export interface CoreRelocation {
  readonly at: number;
  /** BTF type id in the object's own BTF. */
  readonly typeId: number;
  /** `0:1:2`-like access path. */
  readonly access: string;
  /** `enum bpf_core_relo_kind`. */
  readonly kind: number;
}

/** A function of the object: entry function or subprogram. */
export interface FunctionSpec {
  /** Unique in its object. */
  readonly name: string;
  /** ELF section it came from. */
  readonly section: string;
  readonly linkage: "global" | "static";
  readonly instructions: readonly Instruction[];
  readonly lines: readonly LineInfo[];
  readonly coreRelocations: readonly CoreRelocation[];
  /** BTF type id of its FUNC, if the object has BTF. */
  readonly btfFunction?: number;
}

/** A scalar member of a key or value, flattened, from BTF. */
export interface FieldLayout {
  /** `src_ip`, `entry.count`, `ports[1]`. */
  readonly path: string;
  /** In bits from the start of the key or value. */
  readonly bitOffset: number;
  readonly bits: number;
  readonly kind:
    "int" | "pointer" | "enum" | "float" | "spin-lock" | "timer" | "other";
}

/** A map as declared, or as a global data section implies. Sizes in bytes. */
export interface MapSpec {
  readonly name: string;
  readonly type: MapTypeName;
  readonly keySize: number;
  readonly valueSize: number;
  /** 0 = user space sizes it. */
  readonly maxEntries: number;
  readonly flags: number;
  readonly extra?: bigint;
  readonly pinning?: "by-name";
  readonly numaNode?: number;
  /** Template of the inner maps of map-in-map types. */
  readonly inner?: MapSpec;
  /** Static initialisers of `values`: array slots holding maps or programs. */
  readonly values?: readonly {
    readonly index: number;
    readonly target: {
      readonly kind: "map" | "function";
      readonly name: string;
    };
  }[];
  /** `.maps`, `maps`, or the data section (`.rodata`, `.bss`, …) it stands for. */
  readonly section: string;
  /** First contents, of data sections: exactly valueSize bytes. */
  readonly data?: Uint8Array;
  /** Read-only to the program (`.rodata`, `.kconfig`, BPF_F_RDONLY_PROG). */
  readonly readOnly: boolean;
  /** Flattened members, where BTF tells them. */
  readonly keyFields?: readonly FieldLayout[];
  readonly valueFields?: readonly FieldLayout[];
  /** BTF type ids in the object's own BTF. */
  readonly btfKey?: number;
  readonly btfValue?: number;
}

/** One entry function with all that it can reach. */
export interface ProgramSpec {
  /** Object file it came from, for messages. */
  readonly file: string;
  readonly name: string;
  readonly section: string;
  readonly type: ProgramTypeName;
  readonly license: string;
  /** Entry first, then every function reachable by calls or callbacks. */
  readonly functions: readonly FunctionSpec[];
  /** Every map that these functions name (inner templates are inside their outer map). */
  readonly maps: readonly MapSpec[];
}

/** Does user space decide how many entries it has? */
export function isUnsized({ type, maxEntries }: MapSpec): boolean {
  return maxEntries === 0 && mapTypeRow(type).sizeless !== true;
}

/** Place of an instruction, with the source line that covers it. */
export function placeOf(fn: FunctionSpec, instruction: number): Place {
  let found: LineInfo | undefined;
  for (const line of fn.lines) {
    if (line.at > instruction) break;
    found = line;
  }
  if (found === undefined) return { function: fn.name, instruction };
  return {
    function: fn.name,
    instruction,
    file: found.file,
    line: found.line,
    column: found.column,
    text: found.text.trim(),
  };
}
