/**
 * The bits of a bloom_filter map: how many, and which of them a value sets. As in a
 * kernel whose map has BPF_F_ZERO_SEED; without that flag it draws a seed, and its
 * false positives are others.
 *
 * Source: kernel/bpf/bloom_filter.c (bloom_map_alloc, hash). The hash is Bob Jenkins'
 * lookup3, public domain, as include/linux/jhash.h seeds it.
 */
export interface BloomShape {
  /** Bytes of the bits, a multiple of 8. */
  readonly bytes: number;
  /** Number of bits − 1. */
  readonly mask: number;
  /** Bits that each value sets. */
  readonly hashes: number;
}

const defaultHashes = 5;

export function bloomShape(
  { extra = 0n }: { readonly extra?: bigint },
  capacity: number,
): BloomShape {
  const hashes = Number(extra & 15n) || defaultHashes;
  const wanted = Math.floor((capacity * hashes) / 5) * 7;
  let bits = 64;
  while (bits < wanted && bits < 2 ** 32) bits *= 2;
  if (capacity * hashes > 0xffff_ffff || wanted > 2 ** 31) bits = 2 ** 32;
  return { bytes: bits / 8, mask: bits - 1, hashes };
}

/** The bits of the value at `at`, `hashes` of them, some perhaps twice. */
export function bloomBits(
  view: DataView,
  value: { readonly at: number; readonly size: number },
  { mask, hashes }: BloomShape,
): readonly number[] {
  return Array.from(
    { length: hashes },
    (_, index) => (jenkins(view, value.at, value.size, index) & mask) >>> 0,
  );
}

const initial = 0xdeadbeef;

function jenkins(
  view: DataView,
  start: number,
  size: number,
  seed: number,
): number {
  let a = (initial + size + seed) | 0;
  let b = a;
  let c = a;
  let at = start;
  let left = size;
  for (; left > 12; left -= 12, at += 12) {
    a = (a + view.getInt32(at, true)) | 0;
    b = (b + view.getInt32(at + 4, true)) | 0;
    c = (c + view.getInt32(at + 8, true)) | 0;
    a = ((a - c) | 0) ^ rotate(c, 4);
    c = (c + b) | 0;
    b = ((b - a) | 0) ^ rotate(a, 6);
    a = (a + c) | 0;
    c = ((c - b) | 0) ^ rotate(b, 8);
    b = (b + a) | 0;
    a = ((a - c) | 0) ^ rotate(c, 16);
    c = (c + b) | 0;
    b = ((b - a) | 0) ^ rotate(a, 19);
    a = (a + c) | 0;
    c = ((c - b) | 0) ^ rotate(b, 4);
    b = (b + a) | 0;
  }
  if (left === 0) return c;
  a = (a + tail(view, at, left)) | 0;
  b = (b + tail(view, at + 4, left - 4)) | 0;
  c = (c + tail(view, at + 8, left - 8)) | 0;
  c = ((c ^ b) - rotate(b, 14)) | 0;
  a = ((a ^ c) - rotate(c, 11)) | 0;
  b = ((b ^ a) - rotate(a, 25)) | 0;
  c = ((c ^ b) - rotate(b, 16)) | 0;
  a = ((a ^ c) - rotate(c, 4)) | 0;
  b = ((b ^ a) - rotate(a, 14)) | 0;
  return ((c ^ b) - rotate(b, 24)) | 0;
}

/** Up to four bytes, low first. */
function tail(view: DataView, at: number, size: number): number {
  let word = 0;
  for (let index = 0; index < Math.min(4, size); index++)
    word |= view.getUint8(at + index) << (8 * index);
  return word;
}

function rotate(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by));
}
