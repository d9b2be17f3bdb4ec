/**
 * Relocations → names: which map, variable, function or kernel symbol an
 * instruction means.
 *
 *     lddw   symbol in .maps      the map            call  symbol in code    function
 *            symbol in .data …    place in its map         undefined         kfunc
 *            symbol in code       address of it            none, pc-relative function
 *            undefined            kconfig, ksym
 *
 * The instruction's own immediate is the addend; of a call it counts slots and
 * is one too small. Source: kernel Documentation/bpf/llvm_reloc.rst; libbpf
 * bpf_program__record_reloc.
 */
import { InputError, type Diagnostic } from "../base/index.ts";
import type { Callee, Instruction, WideValue } from "../isa/index.ts";
import { kconfigSection } from "./data-sections.ts";
import {
  relocationsOf,
  relocationType,
  undefinedSection,
  type Elf,
  type ElfRelocation,
  type ElfSection,
} from "./elf.ts";
import type { PlacedFunction } from "./functions.ts";
import type { PlacedMap } from "./legacy-maps.ts";
import type { ExternSpec } from "./spec.ts";

/** All that a relocation can point to. */
export interface LinkTargets {
  readonly elf: Elf;
  readonly functions: readonly PlacedFunction[];
  readonly maps: readonly PlacedMap[];
  /** Data sections by section index. */
  readonly data: ReadonlyMap<number, ElfSection>;
  readonly externs: ReadonlyMap<string, ExternSpec>;
}

export interface Linker {
  /** Instructions of `fn` with names in place of what relocations patch. */
  readonly link: (fn: PlacedFunction) => Instruction[];
  /** Externs that only their use told of, with what they were used as. */
  readonly found: Map<string, ExternSpec>;
  readonly notes: Diagnostic[];
}

export function createLinker(targets: LinkTargets): Linker {
  const names = new Map<number, Map<number, string>>();
  for (const fn of targets.functions) {
    const starts = names.get(fn.section.index) ?? new Map<number, string>();
    starts.set(fn.start, fn.name);
    names.set(fn.section.index, starts);
  }
  const maps = new Map<number, Map<number, string>>();
  for (const { section, offset, map } of targets.maps) {
    const starts = maps.get(section) ?? new Map<number, string>();
    starts.set(offset, map.name);
    maps.set(section, starts);
  }
  const sorted = new Map<number, ElfRelocation[]>();
  const state: State = {
    targets,
    names,
    maps,
    sorted,
    found: new Map(),
    notes: [],
  };
  return {
    link: (fn) => linkFunction(state, fn),
    found: state.found,
    notes: state.notes,
  };
}

interface State {
  readonly targets: LinkTargets;
  /** Names by section index and offset. */
  readonly names: ReadonlyMap<number, ReadonlyMap<number, string>>;
  readonly maps: ReadonlyMap<number, ReadonlyMap<number, string>>;
  /** Relocations by section, sorted by offset, last first; consumed. */
  readonly sorted: Map<number, ElfRelocation[]>;
  readonly found: Map<string, ExternSpec>;
  readonly notes: Diagnostic[];
}

function linkFunction(state: State, fn: PlacedFunction): Instruction[] {
  const section = fn.section.index;
  const pending =
    state.sorted.get(section) ??
    [...relocationsOf(state.targets.elf, section)].sort(
      (left, right) => right.offset - left.offset,
    );
  state.sorted.set(section, pending);
  const instructions = [...fn.instructions];
  const done = new Set<number>();
  for (;;) {
    const relocation = pending.at(-1);
    if (relocation === undefined || relocation.offset >= fn.end) break;
    pending.pop();
    if (relocation.offset < fn.start) continue;
    const index = fn.indexOf.get((relocation.offset - fn.start) / 8);
    const instruction = index === undefined ? undefined : instructions[index];
    if (index === undefined || instruction === undefined || done.has(index))
      throw fault(fn, relocation, "patches no instruction, or one twice");
    done.add(index);
    instructions[index] = relocate(state, fn, instruction, relocation);
  }
  return linkRelative(state, fn, instructions);
}

function relocate(
  state: State,
  fn: PlacedFunction,
  instruction: Instruction,
  relocation: ElfRelocation,
): Instruction {
  if (
    instruction.kind === "load-wide" &&
    relocation.type === relocationType.wide
  )
    return {
      ...instruction,
      value: wideTarget(state, fn, instruction.value, relocation),
    };
  if (
    instruction.kind === "call" &&
    instruction.callee.kind === "raw" &&
    relocation.type === relocationType.call
  )
    return {
      ...instruction,
      callee: callTarget(state, fn, instruction.callee.value, relocation),
    };
  throw fault(
    fn,
    relocation,
    `of type ${relocation.type} does not fit instruction ${instruction.kind}`,
  );
}

function wideTarget(
  state: State,
  fn: PlacedFunction,
  value: WideValue,
  relocation: ElfRelocation,
): WideValue {
  const { symbol } = relocation;
  const low =
    value.kind === "number"
      ? Number(BigInt.asIntN(32, value.value))
      : value.kind === "raw"
        ? value.low
        : 0;
  const offset = symbol.value + low + relocation.addend;
  if (symbol.section === undefinedSection) {
    const extern = externOf(state, relocation, "variable");
    return extern.kind === "kconfig"
      ? { kind: "map-value", map: kconfigSection, offset: extern.offset }
      : { kind: "kernel-symbol", name: extern.name };
  }
  const data = state.targets.data.get(symbol.section);
  if (data !== undefined) {
    if (offset < 0 || offset > data.size)
      throw fault(fn, relocation, `points outside section ${data.name}`);
    return { kind: "map-value", map: data.name, offset };
  }
  const map = state.maps.get(symbol.section);
  if (map !== undefined) {
    const name = map.get(offset);
    if (name !== undefined) return { kind: "map", map: name };
    throw fault(fn, relocation, "points to no map");
  }
  const functions = state.names.get(symbol.section);
  if (functions !== undefined) {
    const name = functions.get(offset);
    if (name !== undefined) return { kind: "function", name };
    throw fault(fn, relocation, "points to no function");
  }
  const section = state.targets.elf.sections[symbol.section]?.name ?? "?";
  throw fault(
    fn,
    relocation,
    `points into section ${section}, which holds no maps, variables or code`,
  );
}

function callTarget(
  state: State,
  fn: PlacedFunction,
  value: number,
  relocation: ElfRelocation,
): Callee {
  const { symbol } = relocation;
  if (symbol.section === undefinedSection)
    return {
      kind: "kfunc",
      name: externOf(state, relocation, "function").name,
    };
  const offset = symbol.value + 8 * (value + 1) + relocation.addend;
  const name = state.names.get(symbol.section)?.get(offset);
  if (name !== undefined) return { kind: "function", name };
  throw fault(fn, relocation, "calls no function");
}

/** Calls without relocation are relative to the next instruction. */
function linkRelative(
  state: State,
  fn: PlacedFunction,
  instructions: readonly Instruction[],
): Instruction[] {
  const linked = [...instructions];
  for (const [slot, index] of fn.indexOf) {
    const instruction = linked[index];
    if (instruction?.kind !== "call" || instruction.callee.kind !== "raw")
      continue;
    const { pseudo, value } = instruction.callee;
    if (pseudo !== 1) continue;
    const target = fn.start + 8 * (slot + 1 + value);
    const name = state.names.get(fn.section.index)?.get(target);
    if (name === undefined)
      throw new InputError(
        `function ${fn.name}: a call to offset ${target} of section ${fn.section.name}, where no function starts`,
        {
          code: "call-target",
          offset: fn.section.offset + fn.start + 8 * slot,
        },
      );
    linked[index] = { kind: "call", callee: { kind: "function", name } };
  }
  return linked;
}

function externOf(
  state: State,
  relocation: ElfRelocation,
  as: "variable" | "function",
): ExternSpec {
  const { name, binding } = relocation.symbol;
  const known = state.targets.externs.get(name) ?? state.found.get(name);
  if (known !== undefined) return known;
  const extern: ExternSpec = { kind: as, name, weak: binding === 2 };
  state.found.set(name, extern);
  state.notes.push({
    code: "symbol-undefined",
    severity: "warning",
    message: `${name} is defined nowhere and BTF does not say what it is; taken as a kernel ${as}`,
  });
  return extern;
}

function fault(
  fn: PlacedFunction,
  relocation: ElfRelocation,
  why: string,
): InputError {
  return new InputError(
    `function ${fn.name}: the relocation against \`${relocation.symbol.name}\` ${why}`,
    { code: "relocation", offset: relocation.at },
  );
}
