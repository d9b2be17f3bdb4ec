/**
 * How the packets of one core run among others' (guard.ts says what an attempt is).
 *
 *   run(at, count)  each packet: attempt; lock: then exclusive, if it left;
 *                   transaction: a second attempt, then exclusive
 *   attempt(at)     0: done. 1: it never was
 *   exclusive(at)   nobody else runs meanwhile
 *   release()       behind a fault: gives back what is held, as if the run had ended
 *                   there; 1 if the fault came from what others were just writing, so
 *                   that the run never was
 *
 * Lock. A reader holds its core's token; a writer the mutex and then all tokens, in
 * order. Who wants to read while a writer has or awaits the tokens queues behind it, so
 * that readers that come one after the other do not keep it out. The version goes up by
 * two while the writer has all.
 *
 * Transaction. The version is odd while somebody writes. An attempt reads it, even, at
 * its start; the first write makes it odd by compare-and-swap; at the end a reader looks
 * whether it is still the same, behind a fence, and what it read was then all of one
 * moment. Between, it may have seen halves of others' writes: what it computed from them
 * is dropped, a fault or a loop without end included.
 */
import { atomic, Code, i32, i64, op, type FunctionBody } from "./encoder.ts";
import { writeApplyStamps } from "./ageing.ts";
import { guardGlobal, writeNote, writeUndoNotes } from "./guard.ts";
import {
  countersOf,
  hintBits,
  hintsOf,
  guardCounter,
  stampsOf,
  tokenOf,
  undoOf,
  type GuardLayout,
  type GuardWriters,
} from "./guard-layout.ts";
import { descriptor, type Layout } from "./layout.ts";
import { writeSave, writeUndoRun, type UndoneRun } from "./guard-undo.ts";
import {
  writeAcquire,
  writeAwaitEven,
  writeGive,
  writePause,
  writeQueue,
  writeTake,
} from "./guard-waiting.ts";
import { writeEntry, writePlace, writeStart } from "./packet-loop.ts";

/** What the packet in hand holds: the word in the core's `guard` cell. */
export const guardMode = {
  none: 0,
  token: 1,
  tokens: 2,
  optimistic: 3,
  serial: 4,
} as const;

/** What the mutant's given-up run "decided": XDP_PASS. */
const firstVerdict = 2;

export interface GuardedLoop extends UndoneRun {
  readonly budget: number;
}

/** The functions by name. */
export function guardedLoop(loop: GuardedLoop): Map<string, FunctionBody> {
  const { about, guard } = loop;
  const { layout } = about;
  const nothing = (write: (code: Code) => void, locals = 0): FunctionBody => {
    const code = new Code();
    write(code);
    return {
      type: { parameters: [], results: [] },
      locals: Array.from({ length: locals }, () => i32),
      code,
    };
  };
  const note = new Code();
  writeNote(note, layout, guard);
  return new Map<string, FunctionBody>([
    ["run", writeRun(loop)],
    ["attempt", writeAttempt(loop)],
    ["exclusive", writeExclusive(loop)],
    ["release", writeRelease(loop)],
    ["takeWord", writeTake(layout, guard)],
    ["giveWord", writeGive()],
    ["pauseOn", writePause()],
    ["savePacket", nothing((code) => writeSave(code, loop))],
    ["applyStamps", writeApplyStamps(layout, guard)],
    ["undoNotes", nothing((code) => writeUndoNotes(code, layout, guard), 3)],
    ["undoRun", nothing((code) => writeUndoRun(code, loop), 1)],
    [
      "note",
      {
        type: { parameters: [i32, i32], results: [i32] },
        locals: [i32],
        code: note,
      },
    ],
  ]);
}

function writeRun({ about: { layout }, guard }: GuardedLoop): FunctionBody {
  const code = new Code();
  const [at, count] = [0, 1];
  code.block().loop();
  code.get(count).byte(op.i32Eqz).brIf(1);
  code.block();
  for (const writers of guard.writers)
    if (writers.certain === true) {
      writeIsOf(code, writers, at);
      code.if().get(at).callByName("exclusive").br(1).end();
    }
  if (guard.kind === "lock") writeHinted(code, hintsOf(guard, layout.core));
  else
    for (let attempts = 0; attempts < 2; attempts++)
      code.get(at).callByName("attempt").byte(op.i32Eqz).brIf(0);
  code.get(at).callByName("exclusive");
  code.end();
  code.get(at).i32Const(descriptor.size).byte(op.i32Add).set(at);
  code.get(count).i32Const(1).byte(op.i32Sub).set(count);
  code.br(0).end().end();
  return {
    type: { parameters: [i32, i32], results: [] },
    locals: [i32, i32],
    code,
  };
}

/** Attempts in vain after which packets of an interface start as writers, and for how many. */
const inVain = 4;
const asWriters = 16;

/**
 * The attempt, and out if it counts. Where the last four of the packet's interface were
 * in vain it is left out, but for one in seventeen: being a writer is always right.
 */
function writeHinted(code: Code, hints: number): void {
  const [at, slot, hint] = [0, 2, 3];
  const put = (value: () => unknown): void => {
    code.get(slot);
    value();
    code.memory(op.i32Store, hints);
  };
  const next = (): Code => code.get(hint).i32Const(1).byte(op.i32Add);
  code.get(at).memory(op.i32Load, descriptor.ifindex);
  code.i32Const((1 << hintBits) - 1).byte(op.i32And);
  code.i32Const(2).byte(op.i32Shl).tee(slot).memory(op.i32Load, hints);
  code.tee(hint).i32Const(inVain).byte(op.i32LtU).if();
  code.get(at).callByName("attempt").byte(op.i32Eqz).if();
  put(() => code.i32Const(0));
  code.br(2).end();
  put(next);
  code.byte(op.else);
  put(() => {
    code.i32Const(inVain - 1);
    next();
    code
      .get(hint)
      .i32Const(inVain + asWriters - 1)
      .byte(op.i32Eq);
    code.byte(op.select);
  });
  code.end();
}

/** Leaves whether the packet came in where these come in. */
function writeIsOf(code: Code, writers: GuardWriters, at: number): void {
  const { ifindex, notIfindex = [] } = writers;
  const isOne = (of: readonly number[]): void => {
    code.i32Const(0);
    for (const each of of) {
      code.get(at).memory(op.i32Load, descriptor.ifindex);
      code.i32Const(each).ops(op.i32Eq, op.i32Or);
    }
  };
  if (ifindex === undefined) code.i32Const(1);
  else isOne(ifindex);
  isOne(notIfindex);
  code.ops(op.i32Eqz, op.i32And);
}

function writeAttempt(loop: GuardedLoop): FunctionBody {
  const { about, guard, budget } = loop;
  const { layout } = about;
  const code = new Code();
  const [at, verdict, tries] = [0, 1, 2];
  const isLock = guard.kind === "lock";
  const isFree = guard.mutant === "no-lock";
  const token = tokenOf(guard, layout.core);
  const loadVersion = (): Code =>
    code.i32Const(guard.version).atomic(atomic.i32Load, 2, 0);
  if (isLock && !isFree) {
    writeQueue(code, guard, tries);
    code.i32Const(token).callByName("takeWord");
  }
  if (isLock) loadVersion().globalSet(guardGlobal.version);
  else writeAwaitEven(code, guard, tries);
  setMode(code, layout, isLock ? guardMode.token : guardMode.optimistic);
  for (const each of ["left", "saved", "acquired"] as const)
    code.i32Const(0).globalSet(guardGlobal[each]);
  code.i32Const(0).i32Const(0).memory(op.i32Store, undoOf(guard, layout.core));
  if (hasStamps(guard))
    code
      .i32Const(0)
      .i32Const(0)
      .memory(op.i32Store, stampsOf(guard, layout.core));
  writeStart(code, about, at, budget);
  writeEntry(code, about, "f0~");
  code.set(verdict);
  const giveUp = (): void => {
    code.callByName("undoRun");
    if (isLock && !isFree && guard.mutant !== "keep-token")
      code.i32Const(token).callByName("giveWord");
    setMode(code, layout, guardMode.none);
    count(code, layout, guard, isLock ? "restarts" : "aborts");
    code.i32Const(1).byte(op.return);
  };
  code.globalGet(guardGlobal.left).if();
  giveUp();
  code.end();
  if (!isLock) {
    code.globalGet(guardGlobal.acquired).byte(op.i32Eqz).if();
    code.fence();
    if (!isFree && guard.mutant !== "no-validation") {
      loadVersion().globalGet(guardGlobal.version).byte(op.i32Ne).if();
      giveUp();
      code.end();
    }
    code.end();
  }
  code.get(at).get(verdict).byte(op.i32WrapI64);
  code.memory(op.i32Store, descriptor.verdict);
  writePlace(code, about, at);
  writeCommit(code, loop, at);
  setMode(code, layout, guardMode.none);
  code.i32Const(0);
  return {
    type: { parameters: [i32], results: [i32] },
    locals: [i64, i32],
    code,
  };
}

/** The end of an attempt that counts: its ticket, and what it held is given back. */
function writeCommit(
  code: Code,
  { about, guard }: GuardedLoop,
  at: number,
): void {
  const { layout } = about;
  const isFree = guard.mutant === "no-lock";
  const seen = (): Code => code.globalGet(guardGlobal.version);
  const read = (): void => {
    code.get(at);
    seen().i32Const(1).byte(op.i32Or).memory(op.i32Store, descriptor.ticket);
    count(code, layout, guard, "reads");
  };
  if (guard.kind === "lock") {
    if (hasStamps(guard)) code.callByName("applyStamps");
    read();
    if (!isFree)
      code.i32Const(tokenOf(guard, layout.core)).callByName("giveWord");
    return;
  }
  code.globalGet(guardGlobal.acquired).if();
  if (isFree) writeNextTicket(code, guard, at);
  else {
    code.get(at);
    seen().i32Const(2).byte(op.i32Add).memory(op.i32Store, descriptor.ticket);
    code.i32Const(guard.version);
    seen().i32Const(guard.mutant === "no-increment" ? 0 : 2);
    code.byte(op.i32Add).atomic(atomic.i32Store, 2, 0);
  }
  count(code, layout, guard, "writes");
  code.byte(op.else);
  read();
  code.end();
}

/** version += 2, and that is the ticket. */
function writeNextTicket(code: Code, guard: GuardLayout, at: number): void {
  code.get(at).i32Const(guard.version).i32Const(2);
  code.atomic(atomic.i32Add, 2, 0).i32Const(2).byte(op.i32Add);
  code.memory(op.i32Store, descriptor.ticket);
}

function writeExclusive(loop: GuardedLoop): FunctionBody {
  const { about, guard, budget } = loop;
  const { layout } = about;
  const code = new Code();
  const [at, verdict, seen] = [0, 1, 2];
  if (guard.mutant !== "no-lock") {
    code.i32Const(guard.mutex).callByName("takeWord");
    if (guard.kind === "lock")
      for (const token of tokensOf(layout, guard))
        code.i32Const(token).callByName("takeWord");
    else writeAcquire(code, guard, seen);
  }
  const isLock = guard.kind === "lock";
  setMode(code, layout, isLock ? guardMode.tokens : guardMode.serial);
  writeStart(code, about, at, budget);
  writeEntry(code, about, "f0");
  code.set(verdict);
  code.get(at).get(verdict).byte(op.i32WrapI64);
  code.memory(op.i32Store, descriptor.verdict);
  if (guard.mutant === "first-verdict") {
    code.get(at).i32Const(firstVerdict);
    code.memory(op.i32Store, descriptor.verdict);
  }
  writePlace(code, about, at);
  writeGiveAll(code, loop, at);
  setMode(code, layout, guardMode.none);
  return {
    type: { parameters: [i32], results: [] },
    locals: [i64, i32],
    code,
  };
}

/** What a writer holds besides the mutex. */
function tokensOf({ cores }: Layout, guard: GuardLayout): readonly number[] {
  const count = guard.mutant === "skip-token" ? cores - 1 : cores;
  return Array.from({ length: count }, (_, core) => tokenOf(guard, core));
}

/** The end of an exclusive run. */
function writeGiveAll(
  code: Code,
  { about, guard }: GuardedLoop,
  at: number,
): void {
  const { layout } = about;
  const isLock = guard.kind === "lock";
  count(code, layout, guard, isLock ? "writes" : "serial");
  if (guard.mutant === "no-lock") return writeNextTicket(code, guard, at);
  if (isLock) {
    writeNextTicket(code, guard, at);
    for (const token of tokensOf(layout, guard))
      code.i32Const(token).callByName("giveWord");
  } else {
    // Odd: one more makes it even, and is the ticket.
    code.get(at).i32Const(guard.version).i32Const(1);
    code.atomic(atomic.i32Add, 2, 0).i32Const(1).byte(op.i32Add);
    code.memory(op.i32Store, descriptor.ticket);
  }
  code.i32Const(guard.mutex).callByName("giveWord");
}

/** Behind a fault. */
function writeRelease(loop: GuardedLoop): FunctionBody {
  const { about, guard } = loop;
  const { layout } = about;
  const code = new Code();
  const at = 0;
  const isFree = guard.mutant === "no-lock";
  const mode = (): Code =>
    code.i32Const(0).memory(op.i32Load, layout.cell.guard);
  code.i32Const(0).memory(op.i32Load, layout.cell.current).set(at);
  mode().byte(op.i32Eqz).if().i32Const(0).byte(op.return).end();
  if (guard.kind === "transaction" && !isFree) {
    mode().i32Const(guardMode.optimistic).byte(op.i32Eq);
    code.globalGet(guardGlobal.acquired).ops(op.i32Eqz, op.i32And).if();
    code.fence().i32Const(guard.version).atomic(atomic.i32Load, 2, 0);
    code.globalGet(guardGlobal.version).byte(op.i32Ne).if();
    code.callByName("undoRun");
    setMode(code, layout, guardMode.none);
    count(code, layout, guard, "aborts");
    code.i32Const(1).byte(op.return).end();
    code.end();
  }
  mode().i32Const(isAttempt(guard)).byte(op.i32Eq).if();
  writeCommit(code, loop, at);
  code.byte(op.else);
  writeGiveAll(code, loop, at);
  code.end();
  setMode(code, layout, guardMode.none);
  code.i32Const(0);
  return { type: { parameters: [], results: [i32] }, locals: [i32], code };
}

function isAttempt({ kind }: GuardLayout): number {
  return kind === "lock" ? guardMode.token : guardMode.optimistic;
}

function setMode(code: Code, { cell }: Layout, mode: number): void {
  code.i32Const(0).i32Const(mode).memory(op.i32Store, cell.guard);
}

function count(
  code: Code,
  layout: Layout,
  guard: GuardLayout,
  which: keyof typeof guardCounter,
): void {
  const at = countersOf(guard, layout.core) + guardCounter[which];
  code.i32Const(0).i32Const(0).memory(op.i32Load, at);
  code.i32Const(1).byte(op.i32Add).memory(op.i32Store, at);
}

function hasStamps({ chains, fields }: GuardLayout): boolean {
  return chains.length > 0 || fields.length > 0;
}
