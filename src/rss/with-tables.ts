/**
 * A solution with other tables: keys and reachable entries stay, and what the tables
 * do to the kinds of traffic of quality.ts is worked out again.
 */
import { fromHex } from "../base/index.ts";
import { inputsOf } from "./assignment.ts";
import { span, spanBasis } from "./gf2.ts";
import { viewsOf, worstOf } from "./member.ts";
import { imbalanceOf } from "./quality.ts";
import type { Requirement } from "./requirement.ts";
import type { KeySolution, PortKey } from "./solution.ts";
import { namedClasses } from "./solve.ts";
import type { IndirectionTable } from "./table.ts";

/** `tables`: one per key group, in order. */
export function withTables(
  solution: KeySolution,
  requirement: Requirement,
  tables: readonly IndirectionTable[],
): KeySolution {
  const { tableBits, cores } = solution;
  const groups = solution.groups.map((group, index) => ({
    ...group,
    table: tables[index] ?? group.table,
  }));
  const ports = solution.ports.map((port): PortKey => {
    const group = groups.find(({ ports }) => ports.includes(port.name));
    const [view] = viewsOf(
      fromHex(port.key),
      namedClasses(requirement, port.name),
      { inputs: inputsOf(port.fields), tableBits },
    );
    if (group === undefined || view === undefined) return port;
    return { ...port, imbalance: imbalanceOf(view, group.table, cores) };
  });
  return {
    ...solution,
    ports,
    groups,
    imbalance: worstOf(ports.map(({ imbalance }) => imbalance)),
  };
}

/** Entries that some packet of the group's ports reaches; entry 0 always. */
export function reachableEntries(
  solution: KeySolution,
  requirement: Requirement,
  names: readonly string[],
): readonly boolean[] {
  const { tableBits } = solution;
  const reachable = Array.from({ length: 2 ** tableBits }, () => false);
  reachable[0] = true;
  for (const { name, key, fields } of solution.ports) {
    if (!names.includes(name)) continue;
    const views = viewsOf(fromHex(key), namedClasses(requirement, name), {
      inputs: inputsOf(fields),
      tableBits,
    });
    for (const { windows } of views)
      for (const entry of span(spanBasis(windows, tableBits)))
        reachable[entry] = true;
  }
  return reachable;
}
