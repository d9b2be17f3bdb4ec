/**
 * CO-RE: an object's relocation records applied against a kernel's types, as its
 * loader would do. The result is for that kernel, and has no records left.
 *
 * A field or enumerator that the target lacks poisons its instruction: it becomes
 * a call of helper 195896080, which no verifier accepts, so only a program that
 * first asks whether the field exists can be loaded. Each is a note.
 */
import { InputError, type Diagnostic } from "../base/index.ts";
import {
  placeOf,
  type CoreRelocation,
  type FunctionSpec,
  type Instruction,
  type Size,
} from "../isa/index.ts";
import type { Btf } from "./btf.ts";
import {
  areCompatibleTypes,
  doTypesMatch,
  essentialName,
} from "./core-compat.ts";
import {
  localPath,
  matchPath,
  parseAccess,
  type AccessPath,
} from "./core-spec.ts";
import {
  enumeratorValue,
  fieldValue,
  relocationKinds,
  typeValue,
  type RelocationKind,
  type RelocationValue,
} from "./core-value.ts";
import { resolveType } from "./resolve.ts";
import type { ObjectSpec } from "./spec.ts";

/** libbpf's number for "this instruction could not be relocated". */
const poisonHelper = 195_896_080;

export function applyCoreRelocations(
  object: ObjectSpec,
  target: Btf,
): ObjectSpec {
  const local = object.btf;
  if (local === undefined) return object;
  const context: Context = { local, target, names: namesOf(target) };
  const notes: Diagnostic[] = [];
  const functions = object.functions.map((fn): FunctionSpec => {
    if (fn.coreRelocations.length === 0) return fn;
    const instructions = [...fn.instructions];
    for (const record of fn.coreRelocations) {
      const old = instructions[record.at];
      if (old === undefined) continue;
      const result = inFunction(object.file, fn, record, () =>
        relocate(context, record, old),
      );
      instructions[record.at] = result.instruction;
      if (result.why !== undefined)
        notes.push({
          code: "core-unresolved",
          severity: "warning",
          message: result.why,
          at: placeOf(fn, record.at),
        });
    }
    return { ...fn, instructions, coreRelocations: [] };
  });
  return { ...object, functions, notes: [...object.notes, ...notes] };
}

interface Context {
  readonly local: Btf;
  readonly target: Btf;
  /** Types of the target by essential name. */
  readonly names: ReadonlyMap<string, readonly number[]>;
}

interface Outcome {
  readonly instruction: Instruction;
  /** Why the instruction was poisoned. */
  readonly why?: string;
}

const indexes = new WeakMap<Btf, ReadonlyMap<string, readonly number[]>>();

function namesOf(btf: Btf): ReadonlyMap<string, readonly number[]> {
  const known = indexes.get(btf);
  if (known !== undefined) return known;
  const found = new Map<string, number[]>();
  for (const [id, type] of btf.types.entries()) {
    if (!("name" in type) || type.name === "") continue;
    const name = essentialName(type.name);
    const list = found.get(name);
    if (list === undefined) found.set(name, [id]);
    else list.push(id);
  }
  indexes.set(btf, found);
  return found;
}

function inFunction(
  file: string,
  fn: FunctionSpec,
  record: CoreRelocation,
  work: () => Outcome,
): Outcome {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new InputError(
      `${fn.name}, instruction ${record.at}: ${error.message}`,
      { code: error.code, file, cause: error },
    );
  }
}

function relocate(
  context: Context,
  record: CoreRelocation,
  old: Instruction,
): Outcome {
  const kind = relocationKinds[record.kind];
  if (kind === undefined)
    throw new InputError(`CO-RE: unknown relocation kind ${record.kind}`, {
      code: "core-kind",
    });
  if (kind === "type-id-local")
    return {
      instruction: patch(old, typeValue(kind, context.local, record.typeId)),
    };
  const { before, after } = kind.startsWith("field")
    ? fieldValues(context, kind, record)
    : kind.startsWith("type")
      ? typeValues(context, kind, record)
      : enumeratorValues(context, kind, record);
  const name = describe(context, record);
  if (after === undefined)
    return poison(`${name}: the target kernel does not have it`);
  const widths = isAccess(old) ? [before?.field, after.field] : [];
  const [was, is] = widths;
  if (was !== undefined && is !== undefined && was.size !== is.size)
    if (!was.resizable || !is.resizable)
      return poison(`${name}: it has another size in the target kernel`);
  return { instruction: patch(old, after, before) };
}

function poison(why: string): Outcome {
  return {
    instruction: {
      kind: "call",
      callee: { kind: "helper", helper: poisonHelper },
    },
    why,
  };
}

interface Values {
  readonly before: RelocationValue | undefined;
  readonly after: RelocationValue | undefined;
}

function fieldValues(
  { local, target, names }: Context,
  kind: RelocationKind,
  record: CoreRelocation,
): Values {
  const path = localPath(local, record.typeId, record.access);
  const candidates = candidatesOf({ local, target, names }, record.typeId);
  const found = candidates.flatMap((id): AccessPath[] => {
    const match = matchPath({ btf: local, path }, target, id);
    return match === undefined ? [] : [match];
  });
  const values = found.map((match) => fieldValue(kind, target, match));
  return {
    before: fieldValue(kind, local, path),
    after:
      found.length === 0 ? fieldValue(kind, target, undefined) : agreed(values),
  };
}

function typeValues(
  context: Context,
  kind: RelocationKind,
  record: CoreRelocation,
): Values {
  const same = kind === "type-matches" ? doTypesMatch : areCompatibleTypes;
  const found = candidatesOf(context, record.typeId).filter((id) =>
    same(context.local, context.target, { local: record.typeId, target: id }),
  );
  return {
    before: typeValue(kind, context.local, record.typeId),
    after:
      found.length === 0
        ? typeValue(kind, context.target, undefined)
        : agreed(found.map((id) => typeValue(kind, context.target, id))),
  };
}

function enumeratorValues(
  context: Context,
  kind: RelocationKind,
  record: CoreRelocation,
): Values {
  const [index = 0] = parseAccess(record.access);
  const own = resolveType(context.local, record.typeId).type;
  const enumerator =
    own.kind === "enum" || own.kind === "enum64"
      ? own.values[index]
      : undefined;
  if (enumerator === undefined)
    throw new InputError(`CO-RE: no enumerator ${record.access}`, {
      code: "core-access",
    });
  const name = essentialName(enumerator.name);
  const found = candidatesOf(context, record.typeId).flatMap((id) => {
    const { type } = resolveType(context.target, id);
    if (type.kind !== "enum" && type.kind !== "enum64") return [];
    return type.values
      .filter((value) => essentialName(value.name) === name)
      .slice(0, 1);
  });
  return {
    before: enumeratorValue(kind, enumerator.value),
    after:
      found.length === 0
        ? enumeratorValue(kind, undefined)
        : agreed(found.map(({ value }) => enumeratorValue(kind, value))),
  };
}

/** Types of the target that go by the same name and kind. */
function candidatesOf(context: Context, id: number): readonly number[] {
  const type = context.local.types[id];
  const name = type !== undefined && "name" in type ? type.name : "";
  if (type === undefined || name === "")
    throw new InputError(`CO-RE: type ${id} has no name`, {
      code: "core-type",
    });
  const enums = ["enum", "enum64"];
  return (context.names.get(essentialName(name)) ?? []).filter((other) => {
    const kind = context.target.types[other]?.kind ?? "void";
    return (
      kind === type.kind || (enums.includes(kind) && enums.includes(type.kind))
    );
  });
}

/** All candidates must give the same answer. */
function agreed(
  values: readonly (RelocationValue | undefined)[],
): RelocationValue | undefined {
  const [first] = values;
  if (values.some((value) => value?.value !== first?.value))
    throw new InputError("CO-RE: candidate types disagree", {
      code: "core-ambiguous",
    });
  return first;
}

function isAccess(
  instruction: Instruction,
): instruction is Extract<Instruction, { kind: "load" | "store" | "atomic" }> {
  return (
    instruction.kind === "load" ||
    instruction.kind === "store" ||
    instruction.kind === "atomic"
  );
}

/** The instruction with the value in its immediate or offset. */
function patch(
  old: Instruction,
  after: RelocationValue,
  before?: RelocationValue,
): Instruction {
  const expect = (held: number | bigint): void => {
    if (before === undefined || !before.checked || !after.checked) return;
    if (BigInt(held) !== before.value)
      throw new InputError(
        `CO-RE: the instruction holds ${held}, its record says ${before.value}`,
        { code: "core-mismatch" },
      );
  };
  if (old.kind === "alu" && old.src.kind === "immediate") {
    expect(old.src.value);
    const value = Number(BigInt.asIntN(32, after.value));
    return { ...old, src: { kind: "immediate", value } };
  }
  if (old.kind === "load-wide" && old.value.kind === "number") {
    expect(BigInt.asIntN(64, old.value.value));
    const value = BigInt.asUintN(64, after.value);
    return { ...old, value: { kind: "number", value } };
  }
  if (!isAccess(old))
    throw new InputError(`CO-RE: a ${old.kind} cannot be relocated`, {
      code: "core-instruction",
    });
  expect(old.offset);
  const offset = Number(after.value);
  if (offset > 0x7fff)
    throw new InputError(`CO-RE: offset ${offset} does not fit 16 bits`, {
      code: "core-offset",
    });
  const size = after.field?.size;
  if (
    size === undefined ||
    size === before?.field?.size ||
    old.kind === "atomic"
  )
    return { ...old, offset };
  if (before?.field?.size !== old.size || !isSize(size))
    throw new InputError(`CO-RE: no access of ${size} bytes`, {
      code: "core-size",
    });
  return { ...old, offset, size };
}

function isSize(size: number): size is Size {
  return size === 1 || size === 2 || size === 4 || size === 8;
}

function describe(context: Context, record: CoreRelocation): string {
  const type = context.local.types[record.typeId];
  const name = type !== undefined && "name" in type ? type.name : "";
  const kind = relocationKinds[record.kind] ?? "";
  if (!kind.startsWith("field")) return `${kind} of ${name}`;
  const steps = localPath(context.local, record.typeId, record.access).steps;
  const path = steps.flatMap((step, index) =>
    step.name === undefined
      ? index === 0
        ? []
        : [`[${step.index}]`]
      : [step.name],
  );
  return `${kind} of ${[name, ...path].join(".").replaceAll(".[", "[")}`;
}
