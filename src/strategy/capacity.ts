/**
 * How a capacity is split over cores: as evenly as whole numbers go, the remainder
 * one each for the first cores. Law: the shares sum to the capacity, exactly; none
 * is rounded to a power of two.
 */
export function capacitySplit(
  capacity: number,
  cores: number,
): readonly number[] {
  const least = Math.floor(capacity / cores);
  const remainder = capacity % cores;
  return Array.from(
    { length: cores },
    (_, core) => least + (core < remainder ? 1 : 0),
  );
}
