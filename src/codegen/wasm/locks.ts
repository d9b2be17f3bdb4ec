/**
 * bpf_spin_lock and bpf_res_spin_lock on the lock's word, as functions of the module:
 *
 *   lock unlock resLock resUnlock   (address, site) → 0 or a negated error
 *
 * In private memory the word is 0 or 1 and nobody else looks at it: taking a lock twice
 * is a fault (resLock: EDEADLK), as in interp. In shared memory it is a mutex of three
 * states (0 free, 1 held, 2 held and somebody waits): some tries, then sleep until the
 * holder wakes one, each sleep bounded. So no thread burns the time that the holder
 * needs, and none waits forever for one that died: after `patience` sleeps it faults
 * (resLock: ETIMEDOUT). What a core holds is listed in its cells, up to 31 locks, so
 * that a run that faults gives them back.
 *
 * Source: kernel/bpf/helpers.c, kernel/bpf/rqspinlock.c (AA deadlocks, 250 ms);
 * U. Drepper, "Futexes Are Tricky", section 5 (mutex 2).
 */
import { atomic, Code, i32, op, type FunctionBody } from "./encoder.ts";
import { faultNumber, type ProgramContext } from "./program-context.ts";

export const lockFunctions = [
  "lock",
  "unlock",
  "resLock",
  "resUnlock",
] as const;
export type LockFunction = (typeof lockFunctions)[number];

const [address, site, number, tries] = [0, 1, 2, 3];
const spins = 100;
/** Nanoseconds of one sleep. */
const sleep = 1_000_000;
/** Sleeps: 10 s, and the quarter of a second that the kernel allows. */
const patience = { lock: 10_000, resLock: 250 } as const;
const mostHeld = 31;
const deadlock = -35;
const timedOut = -110;

export function writeLockFunction(
  about: ProgramContext,
  name: LockFunction,
): FunctionBody {
  const code = new Code();
  const takes = name === "lock" || name === "resLock";
  code.get(address).i32Const(3).byte(op.i32And).if();
  writeFault(code, faultNumber.misaligned);
  code.end();
  if (takes) {
    if (about.shared) writeSharedLock(code, about, name);
    else writePrivateLock(code, name);
  } else if (about.shared) writeSharedUnlock(code, about);
  else writePrivateUnlock(code);
  code.i32Const(0);
  return {
    type: { parameters: [i32, i32], results: [i32] },
    locals: [i32, i32],
    code,
  };
}

/**
 * sleepOn(address): until woken, while the word is 2, for one bounded sleep. A function of
 * its own: V8's baseline compiler (11.3) loses locals that live across the instruction.
 */
export function writeSleepOn(): FunctionBody {
  const code = new Code();
  code.get(address).i32Const(2).i64Const(sleep).atomic(atomic.wait32, 2, 0);
  code.byte(op.drop);
  return { type: { parameters: [i32], results: [] }, locals: [], code };
}

function writeFault(code: Code, number: number): void {
  code.get(site).i32Const(number).callByName("fault").byte(op.unreachable);
}

function writeTaken(code: Code, name: "lock" | "resLock"): void {
  if (name === "lock") writeFault(code, faultNumber.lockTwice);
  else code.i32Const(deadlock).byte(op.return);
}

function writePrivateLock(code: Code, name: "lock" | "resLock"): void {
  code.get(address).memory(op.i32Load, 0).i32Const(1).byte(op.i32Eq).if();
  writeTaken(code, name);
  code.end();
  code.get(address).i32Const(1).memory(op.i32Store, 0);
}

function writePrivateUnlock(code: Code): void {
  code.get(address).memory(op.i32Load, 0).byte(op.i32Eqz).if();
  writeFault(code, faultNumber.lockNotHeld);
  code.end();
  code.get(address).i32Const(0).memory(op.i32Store, 0);
}

/** Leaves in `number` the place of the lock in the list of held ones; its length if none. */
function writeFindHeld(code: Code, { layout }: ProgramContext): void {
  const held = layout.cell.lock;
  code.i32Const(0).set(number);
  code.block().loop();
  code.get(number).i32Const(0).memory(op.i32Load, held);
  code.byte(op.i32GeU).brIf(1);
  code
    .get(number)
    .i32Const(2)
    .byte(op.i32Shl)
    .memory(op.i32Load, held + 4);
  code.get(address).byte(op.i32Eq).brIf(1);
  code.get(number).i32Const(1).byte(op.i32Add).set(number);
  code.br(0).end().end();
}

function writeSharedLock(
  code: Code,
  about: ProgramContext,
  name: "lock" | "resLock",
): void {
  const held = about.layout.cell.lock;
  const count = (): Code => code.i32Const(0).memory(op.i32Load, held);
  writeFindHeld(code, about);
  code.get(number);
  count().byte(op.i32LtU).if();
  writeTaken(code, name);
  code.end();
  count().i32Const(mostHeld).byte(op.i32GeU).if();
  writeFault(code, faultNumber.lockStuck);
  code.end();
  code.block();
  code.loop();
  code.get(address).i32Const(0).i32Const(1).atomic(atomic.i32Cmpxchg, 2, 0);
  code.byte(op.i32Eqz).brIf(1);
  code.get(tries).i32Const(1).byte(op.i32Add).tee(tries);
  code.i32Const(spins).byte(op.i32LtU).brIf(0).end();
  code.i32Const(0).set(tries);
  code.loop();
  code.get(address).i32Const(2).atomic(atomic.i32Xchg, 2, 0);
  code.byte(op.i32Eqz).brIf(1);
  code.get(address).callByName("sleepOn");
  code.get(tries).i32Const(1).byte(op.i32Add).tee(tries);
  code.i32Const(patience[name]).byte(op.i32LtU).brIf(0).end();
  if (name === "lock") writeFault(code, faultNumber.lockStuck);
  else code.i32Const(timedOut).byte(op.return);
  code.end();
  // One more is held.
  count().i32Const(2).byte(op.i32Shl).get(address);
  code.memory(op.i32Store, held + 4);
  code.i32Const(0);
  count().i32Const(1).byte(op.i32Add).memory(op.i32Store, held);
}

/** The last of the list takes the place of the one given back. */
function writeSharedUnlock(code: Code, about: ProgramContext): void {
  const held = about.layout.cell.lock;
  const count = (): Code => code.i32Const(0).memory(op.i32Load, held);
  writeFindHeld(code, about);
  code.get(number);
  count().byte(op.i32GeU).if();
  writeFault(code, faultNumber.lockNotHeld);
  code.end();
  code.i32Const(0);
  count().i32Const(1).byte(op.i32Sub).memory(op.i32Store, held);
  code.get(number).i32Const(2).byte(op.i32Shl);
  count()
    .i32Const(2)
    .byte(op.i32Shl)
    .memory(op.i32Load, held + 4);
  code.memory(op.i32Store, held + 4);
  code.get(address).i32Const(0).atomic(atomic.i32Xchg, 2, 0);
  code.i32Const(2).byte(op.i32Eq).if();
  code.get(address).i32Const(1).atomic(atomic.notify, 2, 0).byte(op.drop);
  code.end();
}
