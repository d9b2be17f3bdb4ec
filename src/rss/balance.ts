/**
 * Start-up balancing: an indirection table for the packets that a trace has.
 *
 * Packets are counted per table entry, over all ports of a key group: one table
 * serves them all, or a reply would miss the core that has its flow. The goal of a
 * core is the mean. From a table that spreads the reachable entries evenly:
 *
 *   1  each oversized entry (above the goal) goes to an underloaded core of its own;
 *   2  overloaded cores give entries away, the smallest first, to the core with the
 *      least load, as long as that stays within the goal;
 *   3  both again until nothing moves;
 *   4  what is left of the difference: one entry or a swap of two at a time, from
 *      the busiest core, each lowering the larger of the two loads.
 *
 * Entry 0 stays on queue 0: frames without a hash land there. ethtool has words for
 * rising tables only (table.ts), so the best rising table is made as well: `cut`
 * bounds the load by bisection. It is taken unless it is clearly worse.
 *
 * Law: entries without packets stay spread as they were or are spread by number;
 * the answer is a table of the same size, over the same queues; loads sum to the
 * packets counted.
 *
 * Source: T. Barbette et al., RSS++ (CoNEXT 2019); steps 1 to 3 as Maestro has them.
 */
import { Bug } from "../base/index.ts";
import type { IndirectionTable } from "./table.ts";

export interface Balance {
  readonly table: IndirectionTable;
  /** Load of the busiest core over the mean, with the table from before and now. */
  readonly before: number;
  readonly after: number;
  /** Entries whose queue changed. */
  readonly moved: number;
}

export interface BalanceOptions {
  /** Queue of each entry as it is now. */
  readonly entries: readonly number[];
  readonly cores: number;
  /** Entries that some packet can reach; default: all. */
  readonly reachable?: readonly boolean[];
}

/** How much better a table without words in ethtool must be to be taken. */
export const worthWhile = 0.05;

/** The table for `counts[entry]` packets. */
export function balanceTable(
  counts: ArrayLike<number>,
  options: BalanceOptions,
): Balance {
  const { entries, cores } = options;
  if (counts.length !== entries.length)
    throw new Bug(`${counts.length} counts for ${entries.length} entries`);
  const before = imbalanceOfCounts(counts, entries, cores);
  const spread = spreadEntries(counts, options);
  const rising = cutEntries(counts, options);
  const [free, cut] = [spread, rising].map((each) =>
    imbalanceOfCounts(counts, each, cores),
  );
  const chosen = (cut ?? 0) <= (free ?? 0) + worthWhile ? rising : spread;
  const after = imbalanceOfCounts(counts, chosen, cores);
  // What is as good already stays as it is.
  if (before <= after + 1e-9)
    return { table: written(entries, cores), before, after: before, moved: 0 };
  return {
    table: written(chosen, cores),
    before,
    after,
    moved: chosen.filter((queue, entry) => queue !== entries[entry]).length,
  };
}

export interface EntryMove {
  readonly entry: number;
  readonly from: number;
  readonly to: number;
}

/**
 * A few moves that lower the busiest core's load, the best first; none while the load
 * is within `bearable` times the mean. Entries that are `fixed` stay.
 */
export function greedyMoves(
  counts: ArrayLike<number>,
  options: {
    readonly entries: readonly number[];
    readonly cores: number;
    readonly fixed?: (entry: number) => boolean;
    /** Default 1.08. */
    readonly bearable?: number;
    /** Default 16. */
    readonly most?: number;
    /** Default: any core may give to any other. */
    readonly allowed?: (from: number, to: number) => boolean;
  },
): readonly EntryMove[] {
  const { entries, cores, fixed = () => false } = options;
  const { bearable = 1.08, most = 16 } = options;
  if (imbalanceOfCounts(counts, entries, cores) <= bearable) return [];
  const plan = new Spreading(counts, entries, cores, {
    fixed,
    ...(options.allowed === undefined ? {} : { allowed: options.allowed }),
  });
  for (let turn = 0; turn < most && plan.refineOnce(); turn++);
  return plan.entries.flatMap((to, entry) => {
    const from = entries[entry] ?? 0;
    return from === to ? [] : [{ entry, from, to }];
  });
}

/** Packets per core. */
export function coreLoads(
  counts: ArrayLike<number>,
  entries: readonly number[],
  cores: number,
): Float64Array {
  const loads = new Float64Array(cores);
  for (const [entry, queue] of entries.entries())
    loads[queue] = (loads[queue] ?? 0) + (counts[entry] ?? 0);
  return loads;
}

/** Load of the busiest core over the mean; 1 where there is none. */
export function imbalanceOfCounts(
  counts: ArrayLike<number>,
  entries: readonly number[],
  cores: number,
): number {
  const loads = coreLoads(counts, entries, cores);
  const total = loads.reduce((sum, load) => sum + load, 0);
  return total === 0 ? 1 : (Math.max(...loads) * cores) / total;
}

/** Steps 1 to 4, whatever ethtool has words for. */
export function spreadEntries(
  counts: ArrayLike<number>,
  { entries, cores }: BalanceOptions,
): readonly number[] {
  const plan = new Spreading(counts, entries, cores);
  plan.giveOversized();
  while (plan.giveSmall());
  plan.refine();
  // Where few entries matter, dealing them out anew can be better.
  const dealt = new Spreading(counts, entries, cores);
  dealt.deal();
  dealt.refine();
  const [given, anew] = [plan, dealt].map((each) =>
    imbalanceOfCounts(counts, each.entries, cores),
  );
  return (anew ?? 1) < (given ?? 1) - 1e-3 ? dealt.entries : plan.entries;
}

class Spreading {
  readonly entries: number[];
  readonly #counts: ArrayLike<number>;
  readonly #loads: Float64Array;
  readonly #goal: number;
  readonly #fixed: (entry: number) => boolean;
  readonly #allowed: (from: number, to: number) => boolean;

  constructor(
    counts: ArrayLike<number>,
    entries: readonly number[],
    cores: number,
    {
      fixed = () => false,
      allowed = () => true,
    }: {
      readonly fixed?: (entry: number) => boolean;
      readonly allowed?: (from: number, to: number) => boolean;
    } = {},
  ) {
    this.#fixed = fixed;
    this.#allowed = allowed;
    this.entries = [...entries];
    this.#counts = counts;
    this.#loads = coreLoads(counts, entries, cores);
    this.#goal = this.#loads.reduce((sum, load) => sum + load, 0) / cores;
  }

  giveOversized(): void {
    const taken = new Set<number>();
    const oversized = [...this.entries.keys()]
      .filter((entry) => this.#count(entry) > this.#goal)
      .sort((left, right) => this.#count(right) - this.#count(left));
    // What stays with entry 0 shares a core with it.
    if (this.#count(0) > 0) taken.add(this.entries[0] ?? 0);
    for (const entry of oversized) {
      if (entry === 0) continue;
      const own = this.entries[entry] ?? 0;
      // Alone where it is, or else where there is least and no other such entry.
      const target = taken.has(own) ? this.#least(taken) : own;
      if (target === undefined) continue;
      taken.add(target);
      this.#move(entry, target);
    }
  }

  /** Every entry with packets anew, the largest first, where there is least. */
  deal(): void {
    const own = [...this.entries.keys()]
      .filter((entry) => entry !== 0 && this.#count(entry) > 0)
      .sort((left, right) => this.#count(right) - this.#count(left));
    this.#loads.fill(0);
    this.#loads[this.entries[0] ?? 0] = this.#count(0);
    for (const entry of own) {
      const target = this.#least(new Set()) ?? 0;
      this.entries[entry] = target;
      this.#loads[target] = this.#load(target) + this.#count(entry);
    }
  }

  /** Whether anything was given away. */
  giveSmall(): boolean {
    const goal = this.#goal;
    let moved = false;
    const overloaded = [...this.#loads.keys()]
      .filter((core) => this.#load(core) > goal)
      .sort((left, right) => this.#load(right) - this.#load(left));
    for (const core of overloaded)
      for (const entry of this.#of(core)) {
        if (this.#load(core) <= goal) break;
        const count = this.#count(entry);
        const target = this.#least(new Set([core]));
        if (count > goal || target === undefined) continue;
        if (this.#load(target) + count > goal) continue;
        this.#move(entry, target);
        moved = true;
      }
    return moved;
  }

  refine(): void {
    for (let turn = 0; turn < 4 * this.entries.length; turn++)
      if (!this.refineOnce()) return;
  }

  /** The busiest core gives the least busy one what halves their difference best. */
  refineOnce(): boolean {
    const cores = [...this.#loads.keys()].sort(
      (left, right) => this.#load(left) - this.#load(right),
    );
    const busiest = cores.pop() ?? 0;
    for (const target of cores) {
      if (!this.#allowed(busiest, target)) continue;
      const gap = this.#load(busiest) - this.#load(target);
      let best: { gain: number; give: number; take?: number } | undefined;
      const consider = (give: number, take?: number): void => {
        const moved =
          this.#count(give) - (take === undefined ? 0 : this.#count(take));
        const gain = Math.min(moved, gap - moved);
        if (gain > 1e-9 && gain > (best?.gain ?? 0))
          best = { gain, give, ...(take === undefined ? {} : { take }) };
      };
      const back = this.#allowed(target, busiest) ? this.#of(target) : [];
      for (const give of this.#of(busiest)) {
        consider(give);
        for (const take of back) consider(give, take);
      }
      if (best === undefined) continue;
      this.#move(best.give, target);
      if (best.take !== undefined) this.#move(best.take, busiest);
      return true;
    }
    return false;
  }

  /** Entries of a core that have packets and may move, the smallest first. */
  #of(core: number): number[] {
    const own: number[] = [];
    for (const [entry, queue] of this.entries.entries())
      if (
        queue === core &&
        entry !== 0 &&
        this.#count(entry) > 0 &&
        !this.#fixed(entry)
      )
        own.push(entry);
    return own.sort((left, right) => this.#count(left) - this.#count(right));
  }

  #least(except: ReadonlySet<number>): number | undefined {
    let least: number | undefined;
    for (const [core, load] of this.#loads.entries())
      if (
        !except.has(core) &&
        (least === undefined || load < this.#load(least))
      )
        least = core;
    return least;
  }

  #move(entry: number, target: number): void {
    const own = this.entries[entry] ?? 0;
    const count = this.#count(entry);
    this.#loads[own] = this.#load(own) - count;
    this.#loads[target] = this.#load(target) + count;
    this.entries[entry] = target;
  }

  #count(entry: number): number {
    return this.#counts[entry] ?? 0;
  }

  #load(core: number): number {
    return this.#loads[core] ?? 0;
  }
}

/**
 * The best rising table: queue i has a run of entries, in order. Reachable entries
 * without packets weigh a little, so that what the trace does not have is spread too.
 */
export function cutEntries(
  counts: ArrayLike<number>,
  { entries, cores, reachable }: BalanceOptions,
): readonly number[] {
  const weights = entries.map((_, entry) =>
    (counts[entry] ?? 0) === 0 && reachable?.[entry] === false
      ? 0
      : (counts[entry] ?? 0) + 1e-3,
  );
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let low = Math.max(total / cores, ...weights);
  let high = total;
  for (let turn = 0; turn < 40; turn++) {
    const middle = (low + high) / 2;
    if (cutsWithin(weights, middle) <= cores) high = middle;
    else low = middle;
  }
  return cutAt(weights, high, cores);
}

/** Runs that are needed if none may weigh more. */
function cutsWithin(weights: readonly number[], limit: number): number {
  let runs = 1;
  let load = 0;
  for (const weight of weights) {
    if (load + weight > limit) {
      runs++;
      load = 0;
    }
    load += weight;
  }
  return runs;
}

/** Runs of at most `limit`, each cut as near as may be to an even share of the rest. */
function cutAt(
  weights: readonly number[],
  limit: number,
  cores: number,
): readonly number[] {
  let rest = weights.reduce((sum, weight) => sum + weight, 0);
  let queue = 0;
  let load = 0;
  return weights.map((weight, entry) => {
    const share = (rest + load) / (cores - queue);
    const overShare =
      load > 0 && load + weight - share > share - load && weight > 0;
    const needed = cutsWithin(weights.slice(entry), limit);
    if (
      queue < cores - 1 &&
      (load + weight > limit || (overShare && needed <= cores - queue - 1))
    ) {
      queue++;
      load = 0;
    }
    load += weight;
    rest -= weight;
    return queue;
  });
}

/** With ethtool's words, where it has any for it. */
function written(entries: readonly number[], cores: number): IndirectionTable {
  const counts = Array.from({ length: cores }, () => 0);
  for (const queue of entries) counts[queue] = (counts[queue] ?? 0) + 1;
  const isEqual = entries.every((queue, entry) => queue === entry % cores);
  const isRising = entries.every(
    (queue, entry) => entry === 0 || queue >= (entries[entry - 1] ?? 0),
  );
  return {
    entries,
    ethtool: isEqual
      ? ["equal", String(cores)]
      : isRising
        ? ["weight", ...counts.map(String)]
        : [],
    evenness: (Math.max(...counts) * cores) / entries.length,
  };
}
