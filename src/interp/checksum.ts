/**
 * Internet checksum arithmetic on little-endian words, as the kernel's csum_partial
 * does it: sums in ones' complement, whose zero has two spellings (RFC 1071).
 */

/** 32-bit sum of the bytes (an odd tail counts as if a zero byte followed). */
export function partialSum(bytes: Uint8Array, seed: number): number {
  let sum = seed >>> 0;
  for (let index = 0; index < bytes.length; index += 4) {
    const [a = 0, b = 0, c = 0, d = 0] = bytes.subarray(index, index + 4);
    sum = addSums(sum, (a | (b << 8) | (c << 16) | (d << 24)) >>> 0);
  }
  return sum;
}

/** Both unsigned 32 bits; end-around carry. */
export function addSums(left: number, right: number): number {
  const sum = left + right;
  return sum > 0xffffffff ? sum - 0xffffffff : sum;
}

/** 32 to 16 bits, not inverted. */
export function foldSum(sum: number): number {
  const once = (sum >>> 16) + (sum & 0xffff);
  return ((once >>> 16) + once) & 0xffff;
}

/** The checksum field after the 32-bit sum of what it covers grew by `difference`. */
export function adjustedChecksum(field: number, difference: number): number {
  const sum = addSums(~field & 0xffff, difference >>> 0);
  return ~foldSum(sum) & 0xffff;
}
