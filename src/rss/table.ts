/**
 * Indirection tables that ethtool can write.
 *
 * `ethtool -X` knows two shapes only: `equal n` (entry i goes to queue i mod n:
 * the index's low bits decide) and `weight w0 w1 …` with the weights summing to
 * the table's size (the first w0 entries go to queue 0, the next w1 to queue 1, …:
 * the high bits decide). Weights are cut such that the entries that the key
 * *reaches* are spread evenly. Which shape is better depends on the traffic: a
 * Toeplitz key may leave the low bits untouched by the bits that vary, so both
 * are offered. Entry 0 always goes to queue 0: frames without a hash land there.
 */

export interface IndirectionTable {
  /** Queue of each entry. */
  readonly entries: readonly number[];
  /** What follows `ethtool -X IFACE`. */
  readonly ethtool: readonly string[];
  /** Busiest queue over the mean, when every entry is met equally often. */
  readonly evenness: number;
}

/** Both shapes, the simpler one first. `reachable[entry]`; its length is the table's size. */
export function indirectionTables(
  reachable: readonly boolean[],
  queues: number,
): readonly IndirectionTable[] {
  const equal = tableOf(
    reachable.map((_, entry) => entry % queues),
    queues,
    () => ["equal", `${queues}`],
  );
  return [equal, weighted(reachable, queues)];
}

/** The shape that spreads the reachable entries evenly, whatever the traffic. */
export function indirectionTable(
  reachable: readonly boolean[],
  queues: number,
): IndirectionTable {
  const [equal, weights] = indirectionTables(reachable, queues);
  const table = reachable.every(Boolean) ? equal : weights;
  return table ?? weighted(reachable, queues);
}

function weighted(
  reachable: readonly boolean[],
  queues: number,
): IndirectionTable {
  const total = reachable.filter(Boolean).length;
  let seen = 0;
  let queue = 0;
  const entries = reachable.map((reached) => {
    if (reached) queue = Math.floor((seen++ * queues) / total);
    return queue;
  });
  return tableOf(entries, queues, (counts) => [
    "weight",
    ...counts.map(String),
  ]);
}

function tableOf(
  entries: readonly number[],
  queues: number,
  ethtool: (counts: readonly number[]) => readonly string[],
): IndirectionTable {
  const counts = Array.from({ length: queues }, () => 0);
  for (const queue of entries) counts[queue] = (counts[queue] ?? 0) + 1;
  return {
    entries,
    ethtool: ethtool(counts),
    evenness: (Math.max(...counts) * queues) / entries.length,
  };
}
