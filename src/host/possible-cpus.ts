/**
 * CPUs that may ever exist here: how many values a per-CPU cell has. And the highest
 * number of those that are there, which is another thing where numbers have gaps.
 *
 * Source: Documentation/admin-guide/cputopology.rst (`possible`, `present`: lists of
 * ranges).
 */
import { readFileSync } from "node:fs";

export function possibleCpus(): number {
  return ranges("possible").reduce(
    (count, [first, last]) => count + last - first + 1,
    0,
  );
}

/** Its number; packets may be received on any CPU up to it. */
export function highestCpu(): number {
  return Math.max(...ranges("present").map(([, last]) => last));
}

function ranges(name: string): readonly (readonly [number, number])[] {
  return readFileSync(`/sys/devices/system/cpu/${name}`, "utf8")
    .trim()
    .split(",")
    .map((range) => {
      const [first = "0", last = first] = range.split("-");
      return [Number(first), Number(last)];
    });
}
