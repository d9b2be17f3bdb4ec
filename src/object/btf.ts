/**
 * BTF, the types of a BPF object, as plain data. A type's id is its index in
 * `types`; id 0 is void. Strings are in place; `name` "" is an anonymous type.
 *
 * Source: kernel Documentation/bpf/btf.rst, include/uapi/linux/btf.h.
 */

export interface BtfMember {
  readonly name: string;
  readonly type: number;
  readonly bitOffset: number;
  /** Width of a bit field; 0 for ordinary members. */
  readonly bitSize: number;
}

/** A variable in a section; offset and size in bytes. */
export interface BtfSectionVariable {
  readonly type: number;
  readonly offset: number;
  readonly size: number;
}

export interface BtfParameter {
  readonly name: string;
  readonly type: number;
}

/** `static` 0, `global` 1, `extern` 2. */
export type BtfLinkage = "static" | "global" | "extern";

export type BtfType =
  | { readonly kind: "void" }
  | {
      readonly kind: "int";
      readonly name: string;
      readonly size: number;
      readonly bits: number;
      /** Bits from the start of the storage unit; 0 in all that compilers emit. */
      readonly offset: number;
      /** Bit 0 signed, bit 1 character, bit 2 boolean. */
      readonly encoding: number;
    }
  | { readonly kind: "pointer"; readonly type: number }
  | {
      readonly kind: "array";
      readonly type: number;
      readonly index: number;
      readonly count: number;
    }
  | {
      readonly kind: "struct" | "union";
      readonly name: string;
      readonly size: number;
      /** Offsets are stored together with bit field widths. */
      readonly bitFields: boolean;
      readonly members: readonly BtfMember[];
    }
  | {
      readonly kind: "enum" | "enum64";
      readonly name: string;
      readonly size: number;
      readonly signed: boolean;
      readonly values: readonly {
        readonly name: string;
        readonly value: bigint;
      }[];
    }
  | {
      readonly kind: "forward";
      readonly name: string;
      readonly of: "struct" | "union";
    }
  | { readonly kind: "typedef"; readonly name: string; readonly type: number }
  | {
      readonly kind: "volatile" | "const" | "restrict";
      readonly type: number;
    }
  | {
      readonly kind: "function";
      readonly name: string;
      /** Its prototype. */
      readonly type: number;
      readonly linkage: BtfLinkage;
    }
  | {
      readonly kind: "prototype";
      readonly type: number;
      readonly parameters: readonly BtfParameter[];
    }
  | {
      readonly kind: "variable";
      readonly name: string;
      readonly type: number;
      readonly linkage: BtfLinkage;
    }
  | {
      readonly kind: "section";
      readonly name: string;
      readonly size: number;
      readonly variables: readonly BtfSectionVariable[];
    }
  | { readonly kind: "float"; readonly name: string; readonly size: number }
  | {
      readonly kind: "declaration-tag";
      readonly name: string;
      readonly type: number;
      /** Member or parameter it speaks of; −1: the type itself. */
      readonly component: number;
      /** A GNU attribute instead of a BTF tag (6.14). */
      readonly attribute: boolean;
    }
  | {
      readonly kind: "type-tag";
      readonly name: string;
      readonly type: number;
      readonly attribute: boolean;
    };

export type BtfKind = BtfType["kind"];

export interface Btf {
  readonly types: readonly BtfType[];
}

export const emptyBtf: Btf = { types: [{ kind: "void" }] };

export const linkages: readonly BtfLinkage[] = ["static", "global", "extern"];

/** Kind numbers of the format, by index. */
// prettier-ignore
export const kinds: readonly (BtfKind | undefined)[] = [
  undefined, "int", "pointer", "array", "struct", "union", "enum", "forward", "typedef",
  "volatile", "const", "restrict", "function", "prototype", "variable", "section", "float",
  "declaration-tag", "type-tag", "enum64",
];

export const btfMagic = 0xeb9f;
