/**
 * Refreshing an index of a chain without being a writer.
 *
 * A chain (nfs/c/nf_chain.h) is a list of cells from oldest to newest; a refresh sets
 * a cell's `last` and moves it to the end. In a guarded run a reader only raises `last`
 * by an atomic maximum and notes the epoch, so every look at `last` is exact at once;
 * the list follows later, under the writer's lock (src/engine/wasm/chain-order.ts).
 *
 * Law: a run equals the sequential program in the order of tickets, where those who only
 * read in one epoch (between the same two writers) stand in order of their times. For:
 *
 *   1. A reader goes on only if each `last` it meets satisfies last ≤ now ≤ last +
 *      expiry; else it becomes a writer, whose place in the order is its own. So no
 *      reader acts on "expired" (bug: an entry erased although another core keeps it
 *      alive), and none answers "alive" by a stamp that stands behind it.
 *   2. If it reads v and later readers of the epoch raise it, those with times up to
 *      now only make a larger `last` ≤ now: it is alive in the ordered run too. Those
 *      with later times stand behind it.
 *   3. A refresh is a stamp only if now ≥ last when it is made, so what is greater when
 *      the reader commits is of the same epoch and stands behind it: the last one
 *      standing is the greatest, which is the atomic maximum. A refresh with an earlier
 *      time than `last` takes it back, and is a writer's. Stamps are made when the reader
 *      commits, under its token: an attempt that leaves has made none.
 *   4. Where an index is in the list is asked by writers only: in the chain's own
 *      functions, before which the oldest is put right, and by loads of links elsewhere,
 *      before which the whole list is. A reader that loads a link becomes a writer;
 *      a comparison of `previous` with the mark of free cells is none.
 *
 * Indices refreshed by two cores at the same nanosecond have no particular order in the
 * list. Times on one core must not run backwards within an epoch.
 */
import { atomic, Code, i32, i64, op, type FunctionBody } from "./encoder.ts";
import { guardGlobal, type Guard } from "./guard.ts";
import {
  stampEntries,
  stampsOf,
  type ChainLayout,
  type GuardLayout,
} from "./guard-layout.ts";
import { descriptor, type Layout } from "./layout.ts";
import type { MapLayout } from "./map-layout.ts";

/** Bytes of a cell; the key of an entry is behind. */
export const chainCell = { last: 0, next: 8, previous: 12, size: 16 } as const;
const free = -1;

/** One more stamp to be made; `push` leaves its address. */
export function writeStamp(
  code: Code,
  layout: Layout,
  guard: Guard,
  push: () => void,
): void {
  const log = stampsOf(guard.layout, layout.core);
  const count = (): Code => code.i32Const(0).memory(op.i32Load, log);
  if (guard.layout.mutant === "no-stamp") return;
  count().i32Const(stampEntries).byte(op.i32GeU).if();
  guard.leave(code);
  code.end();
  count().i32Const(3).byte(op.i32Shl);
  push();
  code.memory(op.i32Store, log + 8);
  // No list, and so no mark for it.
  count().i32Const(3).byte(op.i32Shl).i32Const(0);
  code.memory(op.i32Store, log + 12);
  code.i32Const(0);
  count().i32Const(1).byte(op.i32Add).memory(op.i32Store, log);
}

/** refresh:N (index, now), of an attempt. */
export function writeRefresh(
  layout: Layout,
  guard: GuardLayout,
  chain: ChainLayout,
): FunctionBody {
  const code = new Code();
  const [index, now, at] = [0, 1, 2];
  const log = stampsOf(guard, layout.core);
  const map = mapOf(layout, chain);
  const stop = (): unknown => code.if().byte(op.return).end();
  const leave = (): unknown => {
    code.if().i32Const(1).globalSet(guardGlobal.left);
    return code.byte(op.return).end();
  };
  if (guard.mutant === "no-stamp") return refreshBody(code);
  code.get(index).i32Const(0).memory(op.i32Load, map.values).byte(op.i32GeU);
  stop();
  code
    .get(index)
    .i32Const(map.capacity - 1)
    .byte(op.i32GeU);
  stop();
  code.get(index).i32Const(1).byte(op.i32Add).set(index);
  code.get(index).i32Const(map.cellStride).byte(op.i32Mul);
  code.i32Const(map.values).byte(op.i32Add).tee(at);
  code.memory(op.i32Load, chainCell.previous).i32Const(free).byte(op.i32Eq);
  stop();
  code.get(now);
  pushNow(code, layout);
  code.byte(op.i64Ne).get(at).atomic(atomic.i64Load, 3, 0);
  code.get(now).ops(op.i64GtU, op.i32Or);
  code.i32Const(0).memory(op.i32Load, log).i32Const(stampEntries);
  code.ops(op.i32GeU, op.i32Or);
  leave();
  const slot = (): Code =>
    code.i32Const(0).memory(op.i32Load, log).i32Const(3).byte(op.i32Shl);
  slot()
    .get(at)
    .memory(op.i32Store, log + 8);
  slot().get(index).i32Const(2).byte(op.i32Shl);
  code.i32Const(chain.stamped).byte(op.i32Add);
  code.memory(op.i32Store, log + 12);
  code.i32Const(0).i32Const(0).memory(op.i32Load, log);
  code.i32Const(1).byte(op.i32Add).memory(op.i32Store, log);
  return refreshBody(code);
}

function refreshBody(code: Code): FunctionBody {
  return {
    type: { parameters: [i32, i64], results: [] },
    locals: [i32],
    code,
  };
}

/** applyStamps(): the refreshes of an attempt that commits; its token is held. */
export function writeApplyStamps(
  layout: Layout,
  guard: GuardLayout,
): FunctionBody {
  const code = new Code();
  const [slot, at, now, last, seen] = [0, 1, 2, 3, 4];
  const log = stampsOf(guard, layout.core);
  code.i32Const(0).memory(op.i32Load, log).i32Const(3).byte(op.i32Shl);
  code.set(slot);
  pushNow(code, layout);
  code.set(now);
  code.block().loop();
  code.get(slot).byte(op.i32Eqz).brIf(1);
  code.get(slot).memory(op.i32Load, log).tee(at);
  code.atomic(atomic.i64Load, 3, 0).set(last);
  code.block().loop();
  // Another reader of the epoch is later: this one stands before it.
  code.get(last).get(now).byte(op.i64GeU).brIf(1);
  code.get(at).get(last).get(now).atomic(atomic.i64Cmpxchg, 3, 0).tee(seen);
  code.get(last).byte(op.i64Eq).brIf(1);
  code.get(seen).set(last).br(0).end().end();
  const epoch = (): Code => {
    code.globalGet(guardGlobal.version).i32Const(1).byte(op.i32ShrU);
    return code.i32Const(1).byte(op.i32Add);
  };
  // Most are there already: a store would take the line from others.
  code
    .get(slot)
    .memory(op.i32Load, log + 4)
    .tee(at)
    .if();
  code.get(at).atomic(atomic.i32Load, 2, 0);
  epoch().byte(op.i32Ne).if().get(at);
  epoch().atomic(atomic.i32Store, 2, 0).end().end();
  code.get(slot).i32Const(8).byte(op.i32Sub).set(slot);
  code.br(0).end().end();
  return {
    type: { parameters: [], results: [] },
    locals: [i32, i32, i64, i64, i64],
    code,
  };
}

/** placed:N (cell): an exclusive run has just put it where it belongs, or taken it out. */
export function writePlaced(
  layout: Layout,
  guard: GuardLayout,
  chain: ChainLayout,
): FunctionBody {
  const code = new Code();
  const cell = 0;
  const slot = (): Code => code.get(cell).i32Const(2).byte(op.i32Shl);
  code.get(cell).i32Const(mapOf(layout, chain).capacity).byte(op.i32LtU).if();
  slot().i32Const(0).memory(op.i32Store, chain.stamped);
  slot().i32Const(0).memory(op.i32Load, guard.version);
  code.i32Const(2).byte(op.i32Add).memory(op.i32Store, chain.placed).end();
  return { type: { parameters: [i32], results: [] }, locals: [], code };
}

/** Before an allocation: if the oldest may be taken, it must be the oldest. */
export function writeBeforeAllocate(
  code: Code,
  layout: Layout,
  chain: ChainLayout,
): void {
  const { values } = mapOf(layout, chain);
  const head = (at: number): Code =>
    code.i32Const(0).memory(op.i32Load, values + at);
  head(4).byte(op.i32Eqz);
  head(0).i32Const(chain.capacity).ops(op.i32GeU, op.i32And).if();
  code.callByName(`settleHead:${chain.map}`).end();
}

export function pushNow(code: Code, { cell }: Layout): void {
  code.i32Const(0).memory(op.i32Load, cell.current);
  code.memory(op.i64Load, descriptor.time);
}

function mapOf({ maps }: Layout, { map }: ChainLayout): MapLayout {
  const layout = maps[map];
  if (layout === undefined) throw new RangeError(`no map ${map}`);
  return layout;
}
