/**
 * Register allocation: linear scan over intervals with holes, which are cut where
 * no register is free all the way.
 *
 * Intervals are handled in the order of their starts. One gets a register that is
 * free until its end, a wished one if it can be; or one that is free for a while,
 * and the rest is handled later; or the word that is used latest of all goes to
 * the stack. A group that is ever on the stack is stored where it is written, so
 * going to the stack costs nothing later, and coming back one load.
 *
 * What a call clobbers is blocked at the call. So a word that survives a call is in
 * r6 … r9 there or on the stack, and nothing is saved or restored.
 *
 * Source: Wimmer and Mössenböck, "Optimized Interval Splitting in a Linear Scan
 * Register Allocator" (2005).
 */
import { Bug } from "../../../base/index.ts";
import type { Register } from "../../../isa/index.ts";
import { Group, Interval, meeting } from "./interval.ts";
import type { Lives } from "./intervals.ts";
import type { LowFunction } from "./low-code.ts";
import { Queue } from "./queue.ts";

/** Those that calls clobber first, arguments last of them. */
const preference: readonly Register[] = [0, 5, 4, 3, 2, 1, 6, 7, 8, 9];

export function allocate(
  fn: LowFunction,
  lives: Lives,
  groups: readonly Group[],
): void {
  new LinearScan(fn, lives, groups).run();
}

const never = Number.MAX_SAFE_INTEGER;

/** The position before whose node a move can stand. */
function even(position: number): number {
  return position - (position & 1);
}

class LinearScan {
  readonly #fn: LowFunction;
  readonly #lives: Lives;
  readonly #groups: readonly Group[];
  readonly #pool: readonly Register[];
  readonly #unhandled = new Queue<Interval>(
    (a, b) => a.start - b.start || a.end - b.end,
  );
  #active: Interval[] = [];
  #inactive: Interval[] = [];

  constructor(fn: LowFunction, lives: Lives, groups: readonly Group[]) {
    this.#fn = fn;
    this.#lives = lives;
    this.#groups = groups;
    const pinned = new Set(fn.pinned.values());
    this.#pool = preference.filter((register) => !pinned.has(register));
  }

  run(): void {
    const seen = new Set<Group>();
    for (const [virtual, group] of this.#groups.entries()) {
      if (seen.has(group)) continue;
      seen.add(group);
      const [whole] = group.pieces;
      if (whole === undefined || whole.ranges.length === 0) continue;
      const register = this.#fn.pinned.get(virtual);
      if (register === undefined) this.#unhandled.add(whole);
      else whole.register = register;
    }
    for (
      let current = this.#unhandled.take();
      current !== undefined;
      current = this.#unhandled.take()
    ) {
      this.#advance(current.start);
      if (!this.#takeFree(current)) this.#takeBlocked(current);
      if (current.register === undefined) continue;
      current.group.latest = current.register;
      this.#active.push(current);
    }
  }

  #advance(position: number): void {
    const active: Interval[] = [];
    const inactive: Interval[] = [];
    for (const list of [this.#active, this.#inactive])
      for (const interval of list)
        if (interval.end > position)
          (interval.covers(position) ? active : inactive).push(interval);
    this.#active = active;
    this.#inactive = inactive;
  }

  /** Until where each register is free for the interval. */
  #freeUntil(current: Interval): number[] {
    const until: number[] = Array.from({ length: 10 }, () => 0);
    for (const register of this.#pool)
      until[register] =
        meeting(
          current.ranges,
          this.#lives.blocked[register] ?? [],
          current.start,
        ) ?? never;
    for (const { register } of this.#active)
      if (register !== undefined) until[register] = 0;
    for (const interval of this.#inactive) {
      const { register } = interval;
      if (register === undefined || until[register] === 0) continue;
      const meets = meeting(current.ranges, interval.ranges, current.start);
      if (meets !== undefined)
        until[register] = Math.min(until[register] ?? 0, meets);
    }
    return until;
  }

  #takeFree(current: Interval): boolean {
    const until = this.#freeUntil(current);
    const wished = this.#wished(current);
    const order = [...wished, ...this.#pool];
    const whole = order.find(
      (register) => (until[register] ?? 0) >= current.end,
    );
    if (whole !== undefined) {
      current.register = whole;
      return true;
    }
    let best: Register | undefined;
    for (const register of order)
      if (best === undefined || (until[register] ?? 0) > (until[best] ?? 0))
        best = register;
    if (best === undefined) return false;
    const limit = even(until[best] ?? 0);
    const first = current.uses[0]?.at ?? never;
    if (limit <= current.start || first >= limit) return false;
    // Somebody would have to give way behind the limit: then at once, with no move.
    const later = current.nextWanted(limit);
    if (later !== undefined && this.#givesWay(current, later)) return false;
    current.register = best;
    this.#unhandled.add(
      current.splitAt(this.#splitPosition(current.start, limit)),
    );
    return true;
  }

  /** Registers that would spare moves, the one that spares most first. */
  #wished(current: Interval): Register[] {
    const { start, end, group } = current;
    const votes = new Map<Register, number>();
    const vote = (register: Register, at: number): void => {
      const block = this.#lives.numbering.blockAt(at);
      const weight = 8 ** Math.min(6, this.#fn.blocks[block]?.depth ?? 0);
      votes.set(register, (votes.get(register) ?? 0) + weight);
    };
    for (const wish of group.wishes) {
      if (wish.at < start - 1) continue;
      if (wish.at > end) break;
      if ("register" in wish) vote(wish.register, wish.at);
      else {
        const other = this.#groups[wish.virtual];
        if (other === undefined || other === group) continue;
        const register =
          other.pieceAt(wish.at)?.register ??
          other.latest ??
          this.#ownWish(other);
        if (register !== undefined) vote(register, wish.at);
      }
    }
    const before = group.pieces[group.pieces.indexOf(current) - 1];
    if (before?.register !== undefined && before.end === start)
      vote(before.register, start);
    return [...votes]
      .filter(([register]) => this.#pool.includes(register))
      .sort(([, a], [, b]) => b - a)
      .map(([register]) => register);
  }

  /** Where a word wants to go that has no register yet: what becomes it goes there. */
  #ownWish(group: Group, depth = 0): Register | undefined {
    const [whole] = group.pieces;
    if (whole === undefined || whole.ranges.length === 0) return undefined;
    for (const wish of group.wishes) {
      if ("register" in wish) {
        const blocked = this.#lives.blocked[wish.register] ?? [];
        if (meeting(whole.ranges, blocked) === undefined) return wish.register;
        continue;
      }
      const other = this.#groups[wish.virtual];
      const [start] = other?.pieces ?? [];
      if (other === undefined || start === undefined || depth >= 3) continue;
      if (start.start > whole.start)
        return other.latest ?? this.#ownWish(other, depth + 1);
    }
    return undefined;
  }

  /** Does another word in a register that survives calls wait longer than this one? */
  #givesWay(current: Interval, later: number): boolean {
    const { limit, next } = this.#waiting(current);
    return this.#pool.some(
      (register) =>
        (limit[register] ?? 0) >= current.end && (next[register] ?? 0) > later,
    );
  }

  /** Per register: until where it is not clobbered, and when its word is wanted. */
  #waiting(current: Interval): { limit: number[]; next: number[] } {
    const { start } = current;
    const limit: number[] = Array.from({ length: 10 }, () => 0);
    for (const register of this.#pool)
      limit[register] =
        meeting(current.ranges, this.#lives.blocked[register] ?? [], start) ??
        never;
    const next = [...limit];
    const lower = (interval: Interval): void => {
      const { register } = interval;
      const at = interval.nextWanted(start) ?? never - 1;
      if (register !== undefined)
        next[register] = Math.min(next[register] ?? 0, at);
    };
    this.#active.forEach(lower);
    for (const interval of this.#inactive)
      if (meeting(current.ranges, interval.ranges, start) !== undefined)
        lower(interval);
    return { limit, next };
  }

  #takeBlocked(current: Interval): void {
    const { start } = current;
    const { limit, next } = this.#waiting(current);
    let best: Register | undefined;
    for (const register of this.#pool)
      if (best === undefined || (next[register] ?? 0) > (next[best] ?? 0))
        best = register;
    const first = current.nextMust(start);
    if (
      best === undefined ||
      first === undefined ||
      (even(next[best] ?? 0) <= even(first) && even(first) > start)
    ) {
      this.#spill(current, start);
      return;
    }
    if (even(next[best] ?? 0) <= start)
      throw new Bug(`${this.#fn.name}: no register at position ${start}`);
    current.register = best;
    const end = even(limit[best] ?? 0);
    if (end < current.end)
      this.#unhandled.add(current.splitAt(this.#splitPosition(start, end)));
    for (const interval of [...this.#active, ...this.#inactive])
      if (interval.register === best && interval !== current)
        this.#evict(interval, current);
  }

  /** On the stack, until the next use that wants a register. */
  #spill(interval: Interval, from: number): void {
    interval.register = undefined;
    interval.group.isSpilled = true;
    const must = interval.nextMust(from);
    if (must === undefined) return;
    this.#unhandled.add(
      interval.splitAt(this.#splitPosition(from, even(must))),
    );
  }

  /** The register is current's from its start on. */
  #evict(interval: Interval, current: Interval): void {
    const { start } = current;
    if (meeting(current.ranges, interval.ranges, start) === undefined) return;
    if (interval.start >= start) {
      this.#spill(interval, start);
      this.#active = this.#active.filter((other) => other !== interval);
      return;
    }
    // On the stack it is since it was written: out of loops that do not use it.
    const last = interval.uses.findLast(({ at }) => at < start)?.at;
    const from = Math.max(last ?? interval.start, interval.start) + 1;
    const at = from < start ? this.#splitPosition(from, start) : start;
    const rest = interval.splitAt(at);
    // In a hole: what comes behind it may find a register again.
    if (rest.start > start) this.#unhandled.add(rest);
    else this.#spill(rest, rest.start);
    this.#active = this.#active.filter((other) => other !== interval);
    this.#inactive = this.#inactive.filter((other) => other !== interval);
  }

  /** After `from`, at most `to`: out of loops if it can be, else as late as it can. */
  #splitPosition(from: number, to: number): number {
    const { numbering } = this.#lives;
    const first = numbering.blockAt(from);
    const last = numbering.blockAt(to);
    let best = to;
    let depth = this.#fn.blocks[last]?.depth ?? 0;
    for (let block = last; block > first && depth > 0; block--) {
      const here = this.#fn.blocks[block - 1]?.depth ?? 0;
      if (here >= depth || numbering.start(block) <= from) continue;
      depth = here;
      best = numbering.start(block);
    }
    return best;
  }
}
