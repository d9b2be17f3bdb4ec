/**
 * State as the sequential program has it, where an emitted map's values have something
 * behind them: a lock, which is free between packets and says nothing.
 */
import type { Runner } from "./record.ts";

/** The same runs; values of these maps end after so many bytes. */
export function narrowed(
  run: Runner,
  sizes: ReadonlyMap<string, number>,
): Runner {
  if (sizes.size === 0) return run;
  return (packets, cpus) => {
    const record = run(packets, cpus);
    const state = new Map(record.state);
    for (const [name, size] of sizes) {
      const cells = [...(state.get(name) ?? [])].map(
        ([key, values]) =>
          [key, values.map((value) => value.slice(0, 2 * size))] as const,
      );
      state.set(name, new Map(cells));
    }
    return { ...record, state };
  };
}
