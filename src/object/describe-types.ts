/**
 * Types of a program's data → BTF, with the names that C sources use (`__u32`,
 * `__be16`), so that listings of either read alike. The same structure is one
 * type, however often it is named; padding is a gap, as in BTF of compilers.
 */
import type { DataType, ScalarName } from "../isa/index.ts";
import type { BtfMember } from "./btf.ts";
import type { BtfBuilder } from "./define-map.ts";
import { sizeOfType } from "./resolve.ts";

interface Scalar {
  /** The C type behind the name. */
  readonly base: string;
  readonly size: number;
  /** As BTF has it: bit 0 signed, bit 2 boolean. */
  readonly encoding: number;
  /** Names in front of it, outermost first. */
  readonly names: readonly string[];
}

// prettier-ignore
const scalars: Readonly<Record<Exclude<ScalarName, "mac">, Scalar>> = {
  u8:   { base: "unsigned char",      size: 1, encoding: 0, names: ["__u8"] },
  u16:  { base: "unsigned short",     size: 2, encoding: 0, names: ["__u16"] },
  u32:  { base: "unsigned int",       size: 4, encoding: 0, names: ["__u32"] },
  u64:  { base: "unsigned long long", size: 8, encoding: 0, names: ["__u64"] },
  i8:   { base: "signed char",        size: 1, encoding: 1, names: ["__s8"] },
  i16:  { base: "short",              size: 2, encoding: 1, names: ["__s16"] },
  i32:  { base: "int",                size: 4, encoding: 1, names: ["__s32"] },
  i64:  { base: "long long",          size: 8, encoding: 1, names: ["__s64"] },
  be16: { base: "unsigned short",     size: 2, encoding: 0, names: ["__be16", "__u16"] },
  be32: { base: "unsigned int",       size: 4, encoding: 0, names: ["__be32", "__u32"] },
  be64: { base: "unsigned long long", size: 8, encoding: 0, names: ["__be64", "__u64"] },
  bool: { base: "_Bool",              size: 1, encoding: 4, names: ["bool"] },
};

/** Describes types in `builder`, each once. */
export class TypeDescriber {
  readonly #builder: BtfBuilder;
  readonly #known = new Map<string, number>();

  constructor(builder: BtfBuilder) {
    this.#builder = builder;
  }

  /** The id of `type`. */
  id(type: DataType): number {
    const key = JSON.stringify(type);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const id = this.#describe(type);
    this.#known.set(key, id);
    return id;
  }

  /** Bytes of what `id` describes. */
  size(type: DataType): number {
    return sizeOfType(this.#builder.btf, this.id(type)) ?? 0;
  }

  /** What a read-only variable is to C: `const volatile`. */
  readOnly(type: DataType): number {
    return this.#wrap("const", this.#wrap("volatile", this.id(type)));
  }

  #describe(type: DataType): number {
    const builder = this.#builder;
    switch (type.kind) {
      case "scalar":
        return type.name === "mac"
          ? builder.array(this.id({ kind: "scalar", name: "u8" }), 6)
          : this.#scalar(scalars[type.name]);
      case "array":
        return builder.array(this.id(type.element), type.count);
      case "pointer":
        return builder.pointer(
          type.target === undefined ? 0 : this.id(type.target),
        );
      case "struct": {
        const members = type.fields.map((field): BtfMember => ({
          name: field.name,
          type: this.id(field.type),
          bitOffset: 8 * field.offset,
          bitSize: 0,
        }));
        const { name, size } = type;
        return builder.add({
          kind: "struct",
          name,
          size,
          bitFields: false,
          members,
        });
      }
    }
  }

  #scalar({ base, size, encoding, names }: Scalar): number {
    return names.reduceRight(
      (type, name) => this.#named(name, type),
      this.#builder.int(base, size, encoding),
    );
  }

  #named(name: string, type: number): number {
    return this.#once(`typedef ${name}`, () =>
      this.#builder.add({ kind: "typedef", name, type }),
    );
  }

  #wrap(kind: "const" | "volatile", type: number): number {
    return this.#once(`${kind} ${type}`, () =>
      this.#builder.add({ kind, type }),
    );
  }

  #once(key: string, make: () => number): number {
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const id = make();
    this.#known.set(key, id);
    return id;
  }
}
