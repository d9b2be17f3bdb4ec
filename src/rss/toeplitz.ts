/**
 * The Toeplitz hash of RSS.
 *
 * Input bit i (bit 0 is the most significant bit of byte 0), when 1, adds (XOR)
 * the window key[i … i+31], its first bit most significant. A key shorter than
 * the input needs reads as zeros behind its end.
 *
 * Source: Microsoft, "RSS hashing types" and "Verifying the RSS hash calculation".
 */

/** Key bits `at … at + 31` as a number, not negative. */
export function keyWindow(key: Uint8Array, at: number): number {
  const byte = at >>> 3;
  const shift = at & 7;
  const word =
    ((key[byte] ?? 0) << 24) |
    ((key[byte + 1] ?? 0) << 16) |
    ((key[byte + 2] ?? 0) << 8) |
    (key[byte + 3] ?? 0);
  if (shift === 0) return word >>> 0;
  return ((word << shift) | ((key[byte + 4] ?? 0) >>> (8 - shift))) >>> 0;
}

/** The 32-bit hash of the bytes. */
export function toeplitz(key: Uint8Array, input: Uint8Array): number {
  let hash = 0;
  for (let at = 0; at < input.length; at++) {
    const byte = input[at] ?? 0;
    for (let bit = 0; bit < 8; bit++)
      if (((byte << bit) & 0x80) !== 0) hash ^= keyWindow(key, 8 * at + bit);
  }
  return hash >>> 0;
}

/** The same hash for many inputs of at most `size` bytes: one lookup per byte. */
export class ToeplitzTable {
  readonly #table: Uint32Array;

  constructor(key: Uint8Array, size: number) {
    this.#table = new Uint32Array(256 * size);
    for (let at = 0; at < size; at++)
      for (let bit = 0; bit < 8; bit++) {
        const window = keyWindow(key, 8 * at + bit);
        const value = 0x80 >>> bit;
        // Entries with lower bits set were filled with 0 so far: XOR them all.
        for (let byte = 0; byte < 256; byte++)
          if ((byte & value) !== 0) {
            const entry = 256 * at + byte;
            this.#table[entry] = (this.#table[entry] ?? 0) ^ window;
          }
      }
  }

  hash(input: Uint8Array, length = input.length): number {
    let hash = 0;
    for (let at = 0; at < length; at++)
      hash ^= this.#table[256 * at + (input[at] ?? 0)] ?? 0;
    return hash >>> 0;
  }
}
