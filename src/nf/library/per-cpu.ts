/**
 * `perCpu`: every core has its own copy of an array's or a hashMap's values, and a
 * network function sees that of the core it runs on. The plain JavaScript run has
 * one core.
 *
 * In the kernel the keys of a per-CPU hash are shared: an insert gives every core
 * the key (with zero values), a delete takes it from all.
 */
import { ArrayMap } from "./array-map.ts";
import { HashMap } from "./hash-map.ts";
import type { Type } from "./struct.ts";

export function perCpu<V extends Type>(inner: ArrayMap<V>): ArrayMap<V>;
export function perCpu<K extends Type, V extends Type>(
  inner: HashMap<K, V>,
): HashMap<K, V>;
export function perCpu(
  inner: ArrayMap<Type> | HashMap<Type, Type>,
): ArrayMap<Type> | HashMap<Type, Type> {
  return inner instanceof ArrayMap
    ? new ArrayMap(inner.options, "percpu-array")
    : new HashMap(inner.options, "percpu-hash");
}
