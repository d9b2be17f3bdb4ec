/**
 * How cores wait for each other in guarded code: words that are taken and given back
 * (0 free, 1 held, 2 held and waited for; as locks.ts), and versions that are odd while
 * somebody writes. Some looks, then sleep: no thread burns the time that the holder
 * needs, and none waits for one that died for longer than ten seconds.
 */
import { atomic, Code, i32, op, type FunctionBody } from "./encoder.ts";
import { guardGlobal } from "./guard.ts";
import type { GuardLayout } from "./guard-layout.ts";
import type { Layout } from "./layout.ts";
import { faultNumber } from "./program-context.ts";

const spins = 100;
/** Looks at a busy mutex before a reader queues; at an odd version before it sleeps. */
const readersPatience = 200;
/** Sleeps of a millisecond until waiting is a fault. */
const sleeps = 10_000;
/** Nanoseconds of a moment. */
const pause = 50_000;

/** Makes the version odd, waiting for who writes. */
export function writeAcquire(
  code: Code,
  guard: GuardLayout,
  seen: number,
): void {
  const { version } = guard;
  code.loop();
  code.i32Const(version).atomic(atomic.i32Load, 2, 0).tee(seen);
  code.i32Const(1).byte(op.i32And).if();
  code.i32Const(version).get(seen).callByName("pauseOn").br(1).end();
  code.i32Const(version).get(seen).get(seen).i32Const(1).byte(op.i32Add);
  code.atomic(atomic.i32Cmpxchg, 2, 0).get(seen).ops(op.i32Ne).brIf(0).end();
}

/** Behind a writer that has the mutex, or waits for tokens with it. */
export function writeQueue(
  code: Code,
  { mutex, patience = readersPatience }: GuardLayout,
  tries: number,
): void {
  code.block().loop();
  code.i32Const(mutex).atomic(atomic.i32Load, 2, 0).byte(op.i32Eqz).brIf(1);
  code.get(tries).i32Const(1).byte(op.i32Add).tee(tries);
  code.i32Const(patience).byte(op.i32LtU).brIf(0);
  code.i32Const(mutex).callByName("takeWord");
  code.i32Const(mutex).callByName("giveWord");
  code.end().end();
}

/** The global `version` is what it was while nobody wrote. */
export function writeAwaitEven(
  code: Code,
  guard: GuardLayout,
  tries: number,
): void {
  const { version, patience = readersPatience } = guard;
  code.loop();
  code.i32Const(version).atomic(atomic.i32Load, 2, 0);
  code.globalSet(guardGlobal.version);
  if (guard.mutant !== "no-lock") {
    code.globalGet(guardGlobal.version).i32Const(1).byte(op.i32And).if();
    code.get(tries).i32Const(1).byte(op.i32Add).tee(tries);
    code.i32Const(patience).byte(op.i32LtU).brIf(1);
    code.i32Const(version).globalGet(guardGlobal.version);
    code.callByName("pauseOn").br(1).end();
  }
  code.end();
}

/** takeWord(address): 0 free, 1 held, 2 held and waited for; as locks.ts. */
export function writeTake(
  { cell }: Layout,
  { patience = spins }: GuardLayout,
): FunctionBody {
  const code = new Code();
  const [address, tries] = [0, 1];
  code.loop();
  code.get(address).i32Const(0).i32Const(1).atomic(atomic.i32Cmpxchg, 2, 0);
  code.byte(op.i32Eqz).if().byte(op.return).end();
  code.get(tries).i32Const(1).byte(op.i32Add).tee(tries);
  code.i32Const(patience).byte(op.i32LtU).brIf(0).end();
  code.i32Const(0).set(tries);
  code.loop();
  code.get(address).i32Const(2).atomic(atomic.i32Xchg, 2, 0);
  code.byte(op.i32Eqz).if().byte(op.return).end();
  code.get(address).callByName("sleepOn");
  code.get(tries).i32Const(1).byte(op.i32Add).tee(tries);
  code.i32Const(sleeps).byte(op.i32LtU).brIf(0).end();
  code.i32Const(0).memory(op.i32Load, cell.site);
  code.i32Const(faultNumber.lockStuck).callByName("fault");
  return { type: { parameters: [i32], results: [] }, locals: [i32], code };
}

export function writeGive(): FunctionBody {
  const code = new Code();
  const address = 0;
  code.get(address).i32Const(0).atomic(atomic.i32Xchg, 2, 0);
  code.i32Const(2).byte(op.i32Eq).if();
  code.get(address).i32Const(1).atomic(atomic.notify, 2, 0).byte(op.drop);
  code.end();
  return { type: { parameters: [i32], results: [] }, locals: [], code };
}

/** pauseOn(address, value): a moment, while it is that. */
export function writePause(): FunctionBody {
  const code = new Code();
  code.get(0).get(1).i64Const(pause).atomic(atomic.wait32, 2, 0);
  code.byte(op.drop);
  return { type: { parameters: [i32, i32], results: [] }, locals: [], code };
}
