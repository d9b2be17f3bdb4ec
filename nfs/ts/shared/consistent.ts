/**
 * Consistent lists of backends, without a table.
 *
 * Backend b has offset 31 b mod height and step 1 + (b mod (height - 1)); height is
 * prime. The lists are made by
 *
 *   for j < height, for b < backends: append b to list[(offset + step * j) mod height]
 *
 * so that each list has every backend once and each backend is early in as many
 * lists as any other. A packet takes the first live backend of list[hash mod height];
 * when one dies, only its own packets move.
 *
 * The same without lists: b stands in list[row] in turn
 *
 *   j = (row - offset) * inverse(step) mod height
 *
 * and the first live entry is the live b with the least j, the smaller b among equals.
 * The inverse is step^(height - 2) mod height (Fermat); a backend keeps its own.
 */

/** The inverse of the backend's step; height is prime and below 65,536. */
export function inverseStep(backend: number, height: number): number {
  let power = 1 + (backend % (height - 1));
  let inverse = 1;
  for (let bit = 0; bit < 16; bit++) {
    if ((((height - 2) >>> bit) & 1) !== 0)
      inverse = (inverse * power) % height;
    power = (power * power) % height;
  }
  return inverse;
}

/** In which turn the backend stands in list[row]; row is below height. */
export function turnOf(
  row: number,
  backend: number,
  inverse: number,
  height: number,
): number {
  const offset = (31 * backend) % height;
  return (((row + height - offset) % height) * inverse) % height;
}
