/**
 * What a slot of the ring says besides its descriptor: the packet's position in the
 * trace, and its own seed of random numbers.
 */
export const slotWord = {
  number: 0,
  hasRandom: 1,
  random: 2,
  size: 4,
} as const;

export function slotBytes(slots: number): number {
  return 4 * slotWord.size * slots;
}
