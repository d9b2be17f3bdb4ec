/**
 * Where the sequential program itself ended early in the check, by place. An access
 * outside the packet is one that nothing compared with the packet's end: a run shows
 * it here, and the kernel's verifier refuses the whole program for it.
 */
import { printPlace } from "../base/index.ts";
import { leavesPacket } from "../interp/index.ts";
import type { ProgramSpec } from "../isa/index.ts";
import type { FaultCount } from "./certificate.ts";
import type { RunFault, RunRecord } from "./record.ts";

/** Faults of the reference by place, those with most packets first. */
export function faultCounts(
  program: ProgramSpec,
  records: readonly RunRecord[],
): FaultCount[] {
  const rows = new Map<string, { count: number; readonly fault: RunFault }>();
  for (const { faults } of records)
    for (const fault of faults) {
      const name = `${placeText(fault)} ${saying(program, fault)}`;
      const row = rows.get(name);
      if (row === undefined) rows.set(name, { count: 1, fault });
      else row.count++;
    }
  return [...rows.values()]
    .sort((left, right) => right.count - left.count)
    .map(({ count, fault }) => ({
      at: placeText(fault),
      packets: count,
      text: saying(program, fault),
    }));
}

function placeText({ at }: RunFault): string {
  return at === undefined ? "an unknown place" : printPlace(at);
}

/** What the program does; `{}` stands for where and how often. */
function saying(program: ProgramSpec, { at, text }: RunFault): string {
  if (!leavesPacket(text)) return `ends early {}: ${text}`;
  const kind = program.functions.find(({ name }) => name === at?.function)
    ?.instructions[at?.instruction ?? 0]?.kind;
  const verb =
    kind === "load" ? "reads" : kind === "store" ? "writes" : "reaches";
  return `${verb} outside the packet {}: the kernel's verifier would refuse it`;
}
