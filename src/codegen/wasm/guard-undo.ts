/** What an attempt that never was takes back: packet bytes, stores in the log, the rest. */
import { op, type Code } from "./encoder.ts";
import { guardGlobal } from "./guard.ts";
import { savedOf, type GuardLayout } from "./guard-layout.ts";
import { descriptor } from "./layout.ts";
import type { ProgramContext } from "./program-context.ts";

export interface UndoneRun {
  readonly about: ProgramContext;
  readonly guard: GuardLayout;
  /** Whether frames have room that the program sees, which must be saved too. */
  readonly headRoom: boolean;
}

/** From where the packet or its visible room begins to its end. */
export function writeSave(code: Code, loop: UndoneRun): void {
  const { about, guard } = loop;
  code.i32Const(1).globalSet(guardGlobal.saved);
  code.i32Const(savedOf(guard, about.layout.core));
  writeExtent(code, loop);
  code.ops(...op.memoryCopy);
}

/** Leaves first address and length, as the descriptor has them. */
function writeExtent(code: Code, { about, headRoom }: UndoneRun): void {
  const { cell } = about.layout;
  const field = (at: number): Code =>
    code.i32Const(0).memory(op.i32Load, cell.current).memory(op.i32Load, at);
  const from = headRoom ? descriptor.hardStart : descriptor.data;
  field(from);
  field(descriptor.data);
  field(descriptor.length).byte(op.i32Add);
  field(from).byte(op.i32Sub);
}

/** undoRun(): what an attempt did outside its own memory. */
export function writeUndoRun(code: Code, loop: UndoneRun): void {
  const { about, guard } = loop;
  const { cell } = about.layout;
  const local = 0;
  code.callByName("undoNotes");
  code.globalGet(guardGlobal.saved).if();
  writeExtent(code, loop);
  // memory.copy takes (to, from, length).
  code.set(local).i32Const(savedOf(guard, about.layout.core)).get(local);
  code.ops(...op.memoryCopy).end();
  code.i32Const(0).memory(op.i32Load, cell.current);
  code.i32Const(0).memory(op.i32Store, descriptor.redirectKind);
  code.callByName("restart");
}
