/**
 * The judge of toeplitz.ts: the definition word for word, bit strings and all.
 * Shares nothing with it; for tests.
 */
export function naiveToeplitz(key: Uint8Array, input: Uint8Array): number {
  const bits = (bytes: Uint8Array): string =>
    [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  const keyText = bits(key) + "0".repeat(8 * input.length + 32);
  let hash = 0n;
  for (const { index } of bits(input).matchAll(/1/g))
    hash ^= BigInt(`0b${keyText.slice(index, index + 32)}`);
  return Number(hash);
}
