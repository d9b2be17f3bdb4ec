/**
 * The hash of the sketches and lists: the same number in JavaScript, in C
 * (`nfs/c`) and in BPF.
 *
 * Over the value's bytes in memory as little-endian words w of 32 bits, the size
 * rounded up with zero bytes:
 *
 *   h = seed;  for each w:  h = (h ^ w) * 0x9E3779B1;  h ^= h >>> 15
 *   h = h * 0x85EBCA6B;  h ^= h >>> 13                       (all modulo 2^32)
 *
 * Not promised: anything against an adversary who knows the seed.
 */
import { codecOf } from "./codec.ts";
import type { Type, ValueOf } from "./struct.ts";

const scratch = new Uint8Array(4096);

/** The hash of `value`, which is of `type`, as a u32. */
export function hash<T extends Type>(
  type: T,
  value: ValueOf<NoInfer<T>>,
  seed: number,
): number {
  const bytes =
    type.size <= scratch.length ? scratch : new Uint8Array(type.size + 3);
  bytes.fill(0, 0, type.size + 3);
  codecOf(type).encode(bytes, 0, value);
  return hashBytes(bytes, type.size, seed);
}

/** The hash of the first `size` bytes; what follows them up to a word is zero. */
export function hashBytes(
  bytes: Uint8Array,
  size: number,
  seed: number,
): number {
  let h = seed | 0;
  for (let at = 0; at < size; at += 4) {
    const word =
      (bytes[at] ?? 0) |
      ((bytes[at + 1] ?? 0) << 8) |
      ((bytes[at + 2] ?? 0) << 16) |
      ((bytes[at + 3] ?? 0) << 24);
    h = Math.imul(h ^ word, 0x9e3779b1);
    h ^= h >>> 15;
  }
  h = Math.imul(h, 0x85ebca6b);
  return (h ^ (h >>> 13)) >>> 0;
}
