/**
 * Structs and vectors: what is kept in maps, with C's layout.
 *
 * A struct's fields stand in the order in which they are written, each at the next
 * multiple of its alignment; the size is a multiple of the greatest alignment.
 * Padding is always zero. In JavaScript a struct value is a plain object and a
 * vector a plain array.
 *
 *   struct("flow_key", { source: be32, port: be16, protocol: u8 })
 *   offset 0 source · 4 port · 6 protocol · 7 padding, size 8, alignment 4
 */
import { InputError } from "../../base/index.ts";
import type { ScalarDescription, ScalarType } from "./scalar.ts";

/** Any type that a field, a key or a value may have. */
export type Type = ScalarDescription | StructDescription | VectorDescription;

/** The fields of a struct, by name. */
export interface Fields {
  readonly [name: string]: Type;
}

export interface FieldLayout {
  readonly name: string;
  readonly type: Type;
  /** In bytes, from the start of the struct. */
  readonly offset: number;
}

/** What the compiler and the memory layouts know of a struct. */
export interface StructDescription {
  readonly kind: "struct";
  readonly name: string;
  readonly size: number;
  readonly align: number;
  readonly fields: readonly FieldLayout[];
}

export interface VectorDescription {
  readonly kind: "vector";
  readonly name: string;
  readonly size: number;
  readonly align: number;
  readonly element: Type;
  readonly count: number;
}

/** A struct type; called with all its fields, it makes a value. */
export interface StructType<F extends Fields> extends StructDescription {
  readonly shape: F;
  (value: StructValue<F>): StructValue<F>;
}

export interface VectorType<E extends Type> extends VectorDescription {
  readonly element: E;
}

/**
 * A struct's fields with a `u32` named `index` behind them: what an expiring map
 * keeps with a key. A scalar counts as a struct of one field `value`.
 */
export interface IndexedType<V extends Type> extends StructDescription {
  readonly indexed: V;
}

/** A cell of a chain: times, links and, where there is one, the key. */
export interface CellType<K extends Type> extends StructDescription {
  readonly keyed: K;
}

/** The value of a struct with the fields `F`: a plain object. */
export type StructValue<F extends Fields> = {
  -readonly [Name in keyof F]: ValueOf<F[Name]>;
};

/** The JavaScript type of a value: `ValueOf<typeof Flow>`. */
export type ValueOf<T> =
  T extends ScalarType<infer Value>
    ? Value
    : T extends StructType<infer F>
      ? StructValue<F>
      : T extends VectorType<infer E>
        ? ValueOf<E>[]
        : T extends IndexedType<infer V>
          ? Ref<V> & { index: number }
          : T extends CellType<infer K>
            ? { last: bigint; next: number; previous: number; key: ValueOf<K> }
            : never;

/**
 * What a look-up in state answers: the value itself, not a copy. Assigning its
 * fields changes the state. A scalar is reached through `.value`.
 */
export type Ref<T> =
  T extends ScalarType<infer Value> ? { value: Value } : ValueOf<T>;

/** Declares a struct; `name` is its name in BTF and in the C headers. */
export function struct<const Name extends string, F extends Fields>(
  name: Name,
  fields: F,
): StructType<F> {
  const { layout, size, align } = layOut(name, fields);
  // A copy, so that a value made of parts of another shares none of them.
  const isFlat = layout.every(({ type }) => type.kind === "scalar");
  const make = (value: StructValue<F>): StructValue<F> =>
    isFlat ? { ...value } : (deepCopy(value) as StructValue<F>);
  Object.defineProperty(make, "name", { value: name, enumerable: true });
  const rest = { kind: "struct", size, align, fields: layout, shape: fields };
  return Object.freeze(Object.assign(make, rest)) as unknown as StructType<F>;
}

/** A fixed array inside a struct: `vector(be16, 64)`. */
export function vector<E extends Type>(
  element: E,
  count: number,
): VectorType<E> {
  if (!Number.isInteger(count) || count < 1)
    throw new InputError(`a vector of ${count} elements`, {
      code: "nf-vector",
      fix: "give it one element or more",
    });
  return Object.freeze({
    kind: "vector",
    name: `${element.name}[${count}]`,
    element,
    count,
    size: element.size * count,
    align: element.align,
  });
}

/** The struct of an expiring map's entry. */
export function indexedType<V extends Type>(
  name: string,
  type: V,
  index: ScalarDescription,
): IndexedType<V> {
  const fields: Record<string, Type> = {};
  if (type.kind === "struct")
    for (const field of type.fields) fields[field.name] = field.type;
  else fields["value"] = type;
  if ("index" in fields)
    throw new InputError(
      `${type.name}: the value of an expiring map has no field named index`,
      { code: "nf-field-index", fix: "rename the field" },
    );
  const { layout, size, align } = layOut(name, { ...fields, index });
  // prettier-ignore
  return Object.freeze({ kind: "struct", name, size, align, fields: layout, indexed: type });
}

/** The struct of a chain's cell. */
export function cellType<K extends Type>(
  name: string,
  fields: Fields,
  key: K,
): CellType<K> {
  const { layout, size, align } = layOut(name, fields);
  // prettier-ignore
  return Object.freeze({ kind: "struct", name, size, align, fields: layout, keyed: key });
}

function layOut(
  name: string,
  fields: Fields,
): {
  readonly layout: readonly FieldLayout[];
  readonly size: number;
  readonly align: number;
} {
  if (!/^[A-Za-z_]\w*$/.test(name))
    throw new InputError(`${JSON.stringify(name)} is no name of a struct`, {
      code: "nf-struct-name",
      fix: "use letters, digits and underscores",
    });
  const layout: FieldLayout[] = [];
  let [end, align] = [0, 1];
  for (const [field, type] of Object.entries(fields)) {
    const offset = roundUp(end, type.align);
    layout.push(Object.freeze({ name: field, type, offset }));
    end = offset + type.size;
    align = Math.max(align, type.align);
  }
  if (layout.length === 0)
    throw new InputError(`struct ${name} has no fields`, {
      code: "nf-struct-empty",
      fix: "give it a field",
    });
  return { layout: Object.freeze(layout), size: roundUp(end, align), align };
}

function roundUp(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}

function deepCopy(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(deepCopy);
  if (typeof value !== "object" || value === null) return value;
  const copy: Record<string, unknown> = {};
  for (const [name, part] of Object.entries(value)) copy[name] = deepCopy(part);
  return copy;
}
