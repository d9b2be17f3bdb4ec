/**
 * Maps whose entries the program never creates: user space fills them, and a run
 * without contents would reach nothing behind their lookups.
 */
import type { StateReport } from "../analysis/index.ts";

const withEntries =
  /^(hash|lru_hash|percpu_hash|lru_percpu_hash|lpm_trie|array)$/;

/** Names of such maps; data sections are not among them. */
export function filledByUser(report: StateReport): string[] {
  return report.objects
    .filter(
      ({ type, access, accesses, name }) =>
        withEntries.test(type) &&
        !name.startsWith(".") &&
        (type !== "array" || access === "read-only") &&
        accesses.every(({ op }) => op !== "update"),
    )
    .map(({ name }) => name);
}
