/**
 * Edit a function: insert, delete and replace instructions; jump targets, line
 * table and CO-RE records move along. Calls and callbacks name functions, so
 * callers need no fixing.
 *
 * All places are indices into the function as given; edits may not overlap, and
 * several inserts at one place stand in the order given.
 *
 *   - A jump to a deleted instruction goes where one to the next that is left
 *     goes; a jump to the first of several replaced goes to the replacement, and
 *     one to the others is a Bug of the caller.
 *   - A jump to a place of insertion goes to the inserted code ("every-path"), or
 *     past it ("fall-through": only who comes from above runs it).
 *   - In inserted code, targets from 0 are places of the function as given;
 *     `local(k)` is the k-th instruction of the inserted code itself, and
 *     `local(length)` what stands behind it, as is its own place of insertion.
 *   - Inserted code belongs to the source line of what it stands before.
 *   - A CO-RE record of a deleted or replaced instruction goes with it.
 *   - An unconditional jump that no longer reaches becomes a long one; a
 *     conditional one is an InputError.
 *
 * Source: `struct bpf_line_info` in include/uapi/linux/bpf.h (the kernel wants
 * strictly increasing offsets, the first at the start of the function).
 */
import { Bug, InputError } from "../base/index.ts";
import { relaxJumps } from "./encode.ts";
import { targetOf, withTarget } from "./form.ts";
import type { Instruction } from "./instruction.ts";
import type { FunctionSpec, LineInfo } from "./program.ts";
import { slotOf } from "./slots.ts";

export type Edit =
  | {
      readonly kind: "insert";
      /** Stands before this instruction; the length appends. */
      readonly at: number;
      readonly instructions: readonly Instruction[];
      /** Who runs it when a jump leads to `at`; default `every-path`. */
      readonly reach?: "every-path" | "fall-through";
    }
  | { readonly kind: "delete"; readonly at: number; readonly count?: number }
  | {
      readonly kind: "replace";
      readonly at: number;
      readonly count?: number;
      readonly instructions: readonly Instruction[];
    };

/** Target inside inserted code: its instruction number `index`. */
export function local(index: number): number {
  return -1 - index;
}

export function editFunction(
  fn: FunctionSpec,
  edits: readonly Edit[],
): FunctionSpec {
  const relative = fn.instructions.findIndex(
    (instruction) =>
      instruction.kind === "call" &&
      instruction.callee.kind === "raw" &&
      instruction.callee.pseudo === 1,
  );
  if (relative >= 0)
    throw new InputError(
      `${fn.name}: the call in instruction ${relative} has a distance and no name, so nothing can be moved`,
      { code: "edit-unlinked" },
    );
  const { pieces, entry, front, place } = layOut(fn, edits);
  const moved = pieces.flatMap(
    ({ start, instructions, isOriginal, insertedAt }) =>
      instructions.map((instruction) => {
        const target = targetOf(instruction);
        if (target === undefined) return instruction;
        if (target === insertedAt)
          return withTarget(instruction, start + instructions.length);
        const inner = isOriginal ? undefined : start - 1 - target;
        const to = target >= 0 ? entry[target] : inner;
        if (to === undefined)
          throw new Bug(
            `${fn.name}: a jump leads to ${target}, which is inside what was replaced or nowhere`,
          );
        return withTarget(instruction, to);
      }),
  );
  const instructions = relaxJumps(moved);
  checkTargets(fn.name, instructions);
  return {
    ...fn,
    instructions,
    lines: moveLines(fn.lines, front, instructions.length),
    coreRelocations: fn.coreRelocations.flatMap((record) => {
      const at = place[record.at] ?? -1;
      return at < 0 ? [] : [{ ...record, at }];
    }),
  };
}

interface Piece {
  /** Index of its first instruction in the result. */
  readonly start: number;
  readonly instructions: readonly Instruction[];
  readonly isOriginal: boolean;
  readonly insertedAt?: number;
}

interface Layout {
  readonly pieces: readonly Piece[];
  /** Where a jump to each old index leads; undefined inside what was replaced. */
  readonly entry: readonly (number | undefined)[];
  /** First new instruction that belongs to each old index's source line. */
  readonly front: readonly number[];
  /** Where each old instruction stands now, −1 if it is gone. */
  readonly place: readonly number[];
}

function layOut(fn: FunctionSpec, edits: readonly Edit[]): Layout {
  const size = fn.instructions.length;
  const pieces: Piece[] = [];
  const entry: (number | undefined)[] = Array.from({ length: size + 1 });
  const front: number[] = [];
  const place: number[] = [];
  const deleted: number[] = [];
  let next = 0;
  let from = 0;
  const put = (
    instructions: readonly Instruction[],
    isOriginal: boolean,
    insertedAt: { insertedAt?: number } = {},
  ): void => {
    pieces.push({ start: next, instructions, isOriginal, ...insertedAt });
    next += instructions.length;
  };
  const keepTo = (at: number): void => {
    for (let index = from; index < at; index++) {
      place[index] = next + index - from;
      entry[index] ??= place[index];
      front[index] ??= next + index - from;
    }
    put(fn.instructions.slice(from, at), true);
    from = at;
  };
  for (const edit of inOrder(edits)) {
    const count = edit.kind === "insert" ? 0 : (edit.count ?? 1);
    const atLeast = edit.kind === "insert" ? 0 : 1;
    if (edit.at < from || edit.at + count > size || count < atLeast)
      throw new Bug(
        `${fn.name}: edits overlap or leave the function at ${edit.at}`,
      );
    keepTo(edit.at);
    front[from] ??= next;
    if (edit.kind === "replace" || isEveryPath(edit)) entry[from] ??= next;
    if (edit.kind === "insert")
      put(edit.instructions, false, { insertedAt: edit.at });
    if (edit.kind === "replace") put(edit.instructions, false);
    for (let index = from; index < from + count; index++) {
      if (edit.kind === "delete") deleted.push(index);
      front[index] ??= next;
      place[index] = -1;
    }
    from += count;
  }
  keepTo(size);
  entry[size] ??= next;
  // Who jumped to a deleted instruction goes where a jump to the next one goes.
  for (const index of deleted.reverse()) entry[index] ??= entry[index + 1];
  return { pieces, entry, front, place };
}

function isEveryPath(edit: Edit): boolean {
  return edit.kind === "insert" && edit.reach !== "fall-through";
}

/** By place; inserts stand before what is deleted or replaced there. */
function inOrder(edits: readonly Edit[]): readonly Edit[] {
  const rank = (edit: Edit): number => (edit.kind === "insert" ? 0 : 1);
  return edits
    .map((edit, order) => ({ edit, order }))
    .sort(
      (a, b) =>
        a.edit.at - b.edit.at ||
        rank(a.edit) - rank(b.edit) ||
        a.order - b.order,
    )
    .map(({ edit }) => edit);
}

function checkTargets(
  name: string,
  instructions: readonly Instruction[],
): void {
  const slots = slotOf(instructions);
  for (const [index, instruction] of instructions.entries()) {
    const target = targetOf(instruction);
    if (target === undefined) continue;
    const to = slots[target];
    if (to === undefined)
      throw new InputError(
        `${name}: instruction ${index} would jump behind the last instruction`,
        { code: "edit-target" },
      );
    const distance = to - (slots[index] ?? 0) - 1;
    const isLong = instruction.kind === "jump" && instruction.long;
    if (!isLong && (distance < -0x8000 || distance > 0x7fff))
      throw new InputError(
        `${name}: instruction ${index} would have to jump ${distance} slots, and only an unconditional jump reaches that far`,
        { code: "insn-distance" },
      );
  }
}

function moveLines(
  lines: readonly LineInfo[],
  front: readonly number[],
  size: number,
): readonly LineInfo[] {
  const byPlace = new Map<number, LineInfo>();
  for (const line of lines) {
    const at = front[line.at];
    // Of several at one place the last speaks of the instruction that is left.
    if (at !== undefined && at < size) byPlace.set(at, { ...line, at });
  }
  return [...byPlace.values()].sort((a, b) => a.at - b.at);
}
