/** What guarded cores count, and which imports are theirs. */
import {
  guardCounter,
  linePair,
  type GuardLayout,
} from "../../codegen/index.ts";
import type { MemoryView } from "./memory-view.ts";

export interface GuardCounts {
  /** Packets that committed without writing. */
  readonly reads: number;
  /** Packets that committed as writers. */
  readonly writes: number;
  /** Lock: attempts that had to be run again as writers. */
  readonly restarts: number;
  /** Transaction: attempts that others' writes undid. */
  readonly aborts: number;
  /** Transaction: packets that took the global lock in the end. */
  readonly serial: number;
}

export function guardCounts(
  memory: MemoryView,
  guard: GuardLayout,
  core: number,
): GuardCounts {
  const at = guard.counters + core * linePair;
  const of = (field: number): number => memory.u32(at + field);
  return {
    reads: of(guardCounter.reads),
    writes: of(guardCounter.writes),
    restarts: of(guardCounter.restarts),
    aborts: of(guardCounter.aborts),
    serial: of(guardCounter.serial),
  };
}

export function isGuardImport(helper: string): boolean {
  return ["restart", "settle", "settleHead"].includes(helper);
}
