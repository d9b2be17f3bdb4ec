/**
 * What every declaration of state has in common.
 *
 * A declaration is a real object that both says what it is (readonly data: kind,
 * types, capacity) and keeps the values of the plain JavaScript run, which are
 * made at first use: the compiler makes the very same objects and only reads them.
 *
 * Primitive state is one BPF map each, and its operations are known to the
 * compiler. Composite state is made of primitive state, and its operations are
 * ordinary methods, written in the subset and compiled from their source.
 *
 * Laws: `renew` answers the same declaration with nothing in it but `initial`;
 * `parts` names every primitive map once, each by a name that starts with `name`.
 */
import { InputError } from "../../base/index.ts";
import type { Type } from "./struct.ts";

/** One element of a map, as BPF keeps it. */
export interface MapEntry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

export type MapKind =
  | "array"
  | "hash"
  | "lru-hash"
  | "lpm-trie"
  | "percpu-array"
  | "percpu-hash"
  | "counter"
  | "ring";

/** One map. */
export interface Primitive {
  readonly kind: MapKind;
  readonly key: Type | undefined;
  readonly value: Type;
  /** Elements; bytes of a ring. */
  readonly capacity: number;
  readonly parts: (name: string) => readonly Part[];
  readonly renew: () => Primitive;
  /** Everything in it, in bytes. */
  readonly dump: () => readonly MapEntry[];
}

export interface Composite {
  readonly kind: "composite";
  readonly parts: (name: string) => readonly Part[];
  readonly renew: () => Composite;
}

export type Declaration = Primitive | Composite;

/** A map or a composite with its name in the object. */
export interface Part {
  readonly name: string;
  readonly declaration: Declaration;
}

export function checkCapacity(what: string, capacity: number): void {
  if (Number.isInteger(capacity) && capacity >= 1 && capacity < 2 ** 32) return;
  throw new InputError(`${what} with a capacity of ${capacity}`, {
    code: "nf-capacity",
    fix: "give a whole number from 1 to 4294967295",
  });
}
