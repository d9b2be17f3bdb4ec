/**
 * Whole values: fresh ones, and copies. A map copies what it is given; these are
 * for the structs in between. The compiler knows them by name.
 */
import { cellCodecOf, codecOf } from "./codec.ts";
import type { Ref, Type, ValueOf } from "./struct.ts";

/** A fresh value whose bytes are all zero; of a scalar, `{ value: 0 }`. */
export function zero<T extends Type>(type: T): Ref<T> {
  return cellCodecOf(type).zero() as Ref<T>;
}

/** Makes `to` equal `value`, field by field of `type`. Shares nothing with it. */
export function copy<T extends Type>(
  type: T,
  to: Ref<NoInfer<T>>,
  value: ValueOf<NoInfer<T>>,
): void {
  cellCodecOf(type).assign(to, value);
}

/** Makes the member `name` of `to`, which is of `type`, equal `value`. */
export function copyMember<T extends Type, Name extends string>(
  type: T,
  to: { [Key in Name]: ValueOf<NoInfer<T>> },
  name: Name,
  value: ValueOf<NoInfer<T>>,
): void {
  to[name] = codecOf(type).clone(value) as ValueOf<T>;
}

/** The bytes of a value in memory, padding zero. */
export function bytesOf<T extends Type>(
  type: T,
  value: ValueOf<NoInfer<T>>,
): Uint8Array {
  const bytes = new Uint8Array(type.size);
  codecOf(type).encode(bytes, 0, value);
  return bytes;
}
