/**
 * Types of the data that a program keeps, as plain data: what a compiler knows of
 * keys, values, variables and functions, and what an object's BTF says of them.
 * Layouts are given (offsets, sizes), never computed here; gaps are padding.
 */

/** Names of the source language; `be` is network order, `mac` six bytes. */
export type ScalarName =
  | "u8"
  | "u16"
  | "u32"
  | "u64"
  | "i8"
  | "i16"
  | "i32"
  | "i64"
  | "be16"
  | "be32"
  | "be64"
  | "bool"
  | "mac";

export type DataType =
  | { readonly kind: "scalar"; readonly name: ScalarName }
  | {
      readonly kind: "struct";
      /** "" is an anonymous one. Two of one name are two types. */
      readonly name: string;
      readonly size: number;
      readonly fields: readonly DataField[];
    }
  | {
      readonly kind: "array";
      readonly element: DataType;
      readonly count: number;
    }
  /** To nothing in particular where `target` is absent. */
  | { readonly kind: "pointer"; readonly target?: DataType };

export interface DataField {
  readonly name: string;
  /** In bytes from the struct's start. */
  readonly offset: number;
  readonly type: DataType;
}

/** What an object's BTF is made of. */
export interface ProgramDataTypes {
  /** Keys and values, by map; those without stay bare sizes. */
  readonly maps: ReadonlyMap<
    string,
    { readonly key?: DataType; readonly value?: DataType }
  >;
  /** Named places in the data sections (`.rodata`). */
  readonly variables: readonly {
    readonly name: string;
    readonly section: string;
    readonly offset: number;
    readonly type: DataType;
  }[];
  /** By function; the entry's parameter is the context. */
  readonly functions: ReadonlyMap<
    string,
    {
      readonly parameters: readonly {
        readonly name: string;
        readonly type: DataType;
      }[];
      /** Absent: nothing is returned. */
      readonly result?: DataType;
    }
  >;
}
