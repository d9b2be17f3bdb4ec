/**
 * CPUs that may ever exist here: how many values a per-CPU cell has.
 *
 * Source: Documentation/admin-guide/cputopology.rst (`possible`: a list of ranges).
 */
import { readFileSync } from "node:fs";

export function possibleCpus(): number {
  const text = readFileSync("/sys/devices/system/cpu/possible", "utf8");
  return text
    .trim()
    .split(",")
    .reduce((count, range) => {
      const [first = "0", last = first] = range.split("-");
      return count + Number(last) - Number(first) + 1;
    }, 0);
}
