/**
 * The kernel's threads behind a cpumap, called cpumap/CPU/map:ID: their priority. A worker
 * that waits for another one keeps its CPU busy; the one it waits for should not stand in
 * line behind everybody else.
 *
 * Best effort: where they cannot be seen (a PID namespace) or raised, nothing happens.
 *
 * Source: kernel/bpf/cpumap.c (__cpu_map_entry_alloc).
 */
import { readdirSync, readFileSync } from "node:fs";
import { setPriority } from "node:os";

const highest = -20;

/** How many threads were raised. */
export function raiseCpumapThreads(mapId: number): number {
  const wanted = new RegExp(`^cpumap/\\d+/map:${mapId}$`);
  let raised = 0;
  for (const pid of readdirSync("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      const name = readFileSync(`/proc/${pid}/comm`, "utf8").trim();
      if (!wanted.test(name)) continue;
      setPriority(Number(pid), highest);
      raised++;
    } catch {
      // Gone, or not ours to raise.
    }
  }
  return raised;
}
