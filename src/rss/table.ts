/**
 * Indirection tables that ethtool can write.
 *
 * `ethtool -X` knows two shapes only: `equal n` (entry i goes to queue i mod n)
 * and `weight w0 w1 …` with the weights summing to the table's size (the first
 * w0 entries go to queue 0, the next w1 to queue 1, …). Where every entry is
 * reachable, `equal`. Where the key reaches only some, `weight`, cut such that
 * the *reachable* ones are spread evenly. Entry 0 always goes to queue 0: frames
 * without a hash land there.
 */

export interface IndirectionTable {
  /** Busiest queue over the mean, when every entry is met equally often. */
  readonly evenness: number;
  /** Queue of each entry. */
  readonly entries: readonly number[];
  /** What follows `ethtool -X IFACE`. */
  readonly ethtool: readonly string[];
}

/** `reachable[entry]`; its length is the table's size. */
export function indirectionTable(
  reachable: readonly boolean[],
  queues: number,
): IndirectionTable {
  if (reachable.every(Boolean))
    return {
      evenness:
        (Math.ceil(reachable.length / queues) * queues) / reachable.length,
      entries: reachable.map((_, entry) => entry % queues),
      ethtool: ["equal", `${queues}`],
    };
  const total = reachable.filter(Boolean).length;
  const weights = Array.from({ length: queues }, () => 0);
  let seen = 0;
  let queue = 0;
  const entries = reachable.map((reached) => {
    if (reached) queue = Math.floor((seen++ * queues) / total);
    weights[queue] = (weights[queue] ?? 0) + 1;
    return queue;
  });
  const evenness = (Math.max(...weights) * queues) / reachable.length;
  return { evenness, entries, ethtool: ["weight", ...weights.map(String)] };
}
