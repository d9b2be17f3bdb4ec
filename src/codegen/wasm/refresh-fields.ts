/**
 * Fields of map values that are nothing but "used last at", with the time after which
 * they have expired: what an entry's refresh is where no chain keeps it.
 *
 *   r1 = *(u64 *)(r0 + 0)        the field
 *   r2 = expiry ll               a variable that user space set before loading, or an
 *   r2 = *(u64 *)(r2 + 0)        immediate
 *   r2 += r1
 *   if r2 >= r3 goto alive       the sum is compared and gone
 *
 * A field is one if every load of it in the program is the start of this with the same
 * constant, so that no more than "expired or not" is ever seen of it. Who compares with
 * what does not matter here: in an attempt (ageing.ts) the answer is "alive" of a field
 * that lies between now - expiry and now.
 */
import {
  targetOf,
  type FunctionSpec,
  type Instruction,
  type MapSpec,
  type ProgramSpec,
  type Register,
} from "../../isa/index.ts";
import { RegistersWanted } from "../bpf/locks/registers-wanted.ts";
import { valueAccesses } from "../bpf/locks/value-accesses.ts";
import type { RefreshField } from "./guard-layout.ts";

export function refreshFields(program: ProgramSpec): readonly RefreshField[] {
  return program.maps.flatMap((map) => fieldsOf(program, map));
}

function fieldsOf(program: ProgramSpec, map: MapSpec): readonly RefreshField[] {
  if ((map.type !== "hash" && map.type !== "array") || map.readOnly) return [];
  /** By offset: the constant; 0: it is no such field. */
  const found = new Map<number, bigint>();
  const covered: { readonly offset: number; readonly size: number }[] = [];
  for (const fn of program.functions) {
    const { accesses, escape } = valueAccesses(fn, map.name);
    if (escape !== undefined) return [];
    const wanted = new RegistersWanted(fn);
    for (const { at, op, offset, size } of accesses) {
      if (op === "store" && size === 8) continue;
      const expiry =
        op === "load" && size === 8
          ? comparedWith(program, fn, at, wanted)
          : undefined;
      const known = found.get(offset);
      if (expiry === undefined || (known !== undefined && known !== expiry))
        covered.push({ offset, size });
      else found.set(offset, expiry);
    }
  }
  return [...found]
    .filter(
      ([offset]) =>
        !covered.some(
          (other) =>
            other.offset < offset + 8 && offset < other.offset + other.size,
        ),
    )
    .map(([offset, expiry]) => ({ object: map.name, offset, expiry }));
}

/** What is added to the loaded value before it is compared and forgotten. */
function comparedWith(
  program: ProgramSpec,
  { instructions }: FunctionSpec,
  load: number,
  wanted: RegistersWanted,
): bigint | undefined {
  const first = instructions[load];
  if (first?.kind !== "load") return undefined;
  const last = first.dst;
  const constants = new Map<Register, bigint>();
  const addresses = new Map<Register, { map: string; offset: number }>();
  let sum: { readonly register: Register; readonly expiry: bigint } | undefined;
  for (let at = load + 1; at < instructions.length; at++) {
    const instruction = instructions[at];
    if (instruction === undefined) return undefined;
    if (instruction.kind === "branch") {
      const { right, left, target } = instruction;
      const names = right.kind === "register" ? [left, right.register] : [left];
      if (sum === undefined || !names.includes(sum.register)) return undefined;
      if (names.includes(last) && sum.register !== last) return undefined;
      const after = [...wanted.before(at + 1), ...wanted.before(target)];
      const isGone = !after.includes(last) && !after.includes(sum.register);
      return isGone ? sum.expiry : undefined;
    }
    const added = addition(instruction, last, constants);
    if (added !== undefined && sum === undefined) {
      sum = added;
      continue;
    }
    if (
      touches(instruction, last) ||
      (sum && touches(instruction, sum.register))
    )
      return undefined;
    note(program, instruction, constants, addresses);
    if (targetOf(instruction) !== undefined) return undefined;
  }
  return undefined;
}

/** last += constant, or constant += last. */
function addition(
  instruction: Instruction,
  last: Register,
  constants: ReadonlyMap<Register, bigint>,
): { readonly register: Register; readonly expiry: bigint } | undefined {
  if (instruction.kind !== "alu" || instruction.op !== "add") return undefined;
  const { dst, src, width } = instruction;
  if (width !== 64) return undefined;
  if (dst === last) {
    const expiry =
      src.kind === "immediate"
        ? BigInt(src.value)
        : constants.get(src.register);
    return expiry === undefined ? undefined : { register: dst, expiry };
  }
  const expiry = constants.get(dst);
  const isLast = src.kind === "register" && src.register === last;
  return isLast && expiry !== undefined ? { register: dst, expiry } : undefined;
}

/** Constants that come by from immediates and frozen variables. */
function note(
  { maps }: ProgramSpec,
  instruction: Instruction,
  constants: Map<Register, bigint>,
  addresses: Map<Register, { map: string; offset: number }>,
): void {
  if (!("dst" in instruction)) return;
  const { dst } = instruction;
  const base =
    instruction.kind === "load" ? addresses.get(instruction.base) : undefined;
  constants.delete(dst);
  addresses.delete(dst);
  if (instruction.kind === "load-wide") {
    const { value } = instruction;
    if (value.kind === "number") constants.set(dst, value.value);
    if (value.kind === "map-value")
      addresses.set(dst, { map: value.map, offset: value.offset });
  }
  if (instruction.kind !== "load" || instruction.size !== 8) return;
  const map = maps.find(({ name }) => name === base?.map);
  const at = (base?.offset ?? 0) + instruction.offset;
  if (map?.readOnly !== true || map.data === undefined) return;
  if (at < 0 || at + 8 > map.data.length) return;
  const view = new DataView(map.data.buffer, map.data.byteOffset);
  constants.set(dst, view.getBigUint64(at, true));
}

function touches(instruction: Instruction, register: Register): boolean {
  if (instruction.kind === "call") return register <= 5;
  const fields = instruction as unknown as Readonly<Record<string, unknown>>;
  const src = fields["src"];
  const isSource =
    src === register ||
    (typeof src === "object" &&
      src !== null &&
      (src as { readonly register?: unknown }).register === register);
  return fields["dst"] === register || fields["base"] === register || isSource;
}
