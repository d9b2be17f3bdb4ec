/**
 * A sum of 64-bit hashes: equal sets give equal sums in any order. Against chance,
 * never against an adversary. Mixing: two lanes of the MurmurHash3 step (public
 * domain, A. Appleby) with different seeds.
 */
export class Fingerprint {
  #first = 0;
  #second = 0;

  /** Adds one item made of `parts`; their borders count. */
  add(...parts: readonly Uint8Array[]): void {
    let a = 0x2f0b4c47;
    let b = 0x6a3d58e9;
    for (const part of parts) {
      for (const byte of part) {
        a = mix(a, byte);
        b = mix(b, byte ^ 0xa5);
      }
      a = mix(a, 0x100 + part.length);
      b = mix(b, 0x200 + part.length);
    }
    this.#first = (this.#first + finish(a)) | 0;
    this.#second = (this.#second + finish(b)) | 0;
  }

  text(): string {
    const hex = (value: number): string =>
      (value >>> 0).toString(16).padStart(8, "0");
    return hex(this.#first) + hex(this.#second);
  }
}

function mix(state: number, value: number): number {
  let word = Math.imul(value, 0xcc9e2d51);
  word = Math.imul((word << 15) | (word >>> 17), 0x1b873593);
  const mixed = state ^ word;
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64) | 0;
}

function finish(state: number): number {
  let value = state ^ (state >>> 16);
  value = Math.imul(value, 0x85ebca6b);
  value ^= value >>> 13;
  value = Math.imul(value, 0xc2b2ae35);
  return value ^ (value >>> 16);
}
