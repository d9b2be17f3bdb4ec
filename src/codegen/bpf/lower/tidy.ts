/**
 * What allocation leaves behind, block by block, before layout:
 *
 *   - Moves and spill stores that nobody wants go.
 *   - An arm of a branch that only puts a word into a register goes in front of the
 *     branch, where the other arm does not mind: `w1 = 1; if … goto join; w1 = 0`.
 *   - Blocks that do the same are one block.
 */
import type { Instruction, InstructionKind } from "../../../isa/index.ts";
import { endTargets, type PlacedBlock, type PlacedEnd } from "./emit.ts";
import { MachineLiveness } from "./machine-liveness.ts";
import type { Placed } from "./parallel-copy.ts";

export function tidy(
  blocks: readonly PlacedBlock[],
  slots: readonly number[],
): readonly PlacedBlock[] {
  const liveness = new MachineLiveness(slots);
  return withoutTwins(hoisted(withoutDead(blocks, liveness), liveness));
}

/** Can it go when nobody wants what it writes? */
function isIdle(instruction: Instruction): boolean {
  return (
    idleKinds.has(instruction.kind) ||
    ((instruction.kind === "load" || instruction.kind === "store") &&
      instruction.base === 10)
  );
}

const idleKinds: ReadonlySet<InstructionKind> = new Set([
  "alu",
  "neg",
  "endian",
  "load-wide",
  "address-cast",
]);

function withoutDead(
  blocks: readonly PlacedBlock[],
  liveness: MachineLiveness,
): readonly PlacedBlock[] {
  const wanted = liveness.solve(blocks);
  return blocks.map((block): PlacedBlock => {
    let now = liveness.after(block, wanted) | liveness.endReads(block);
    const code: Placed[] = [];
    for (const placed of block.code.toReversed()) {
      const { instruction, args } = placed;
      const { reads, writes } = liveness.effect(instruction, args);
      if (writes !== 0n && (writes & now) === 0n && isIdle(instruction))
        continue;
      now = (now & ~writes) | reads;
      code.push(placed);
    }
    return { code: code.reverse(), end: block.end };
  });
}

/** `register = constant`, `register = register`. */
function isPut({ instruction }: Placed): boolean {
  return instruction.kind === "alu" && instruction.op === "mov";
}

function hoisted(
  given: readonly PlacedBlock[],
  liveness: MachineLiveness,
): readonly PlacedBlock[] {
  const blocks = [...given];
  const wanted = liveness.solve(blocks);
  const entries = new Int32Array(blocks.length);
  for (const block of blocks)
    for (const target of endTargets(block.end))
      entries[target] = (entries[target] ?? 0) + 1;
  for (const [index, block] of blocks.entries()) {
    const { end } = block;
    if (end.kind !== "branch") continue;
    for (const [arm, other] of [
      [end.then, end.otherwise],
      [end.otherwise, end.then],
    ] as const) {
      const given = blocks[arm];
      const [put, second] = given?.code ?? [];
      if (given?.end.kind !== "jump" || put === undefined) continue;
      if (second !== undefined || !isPut(put) || entries[arm] !== 1) continue;
      const { writes } = liveness.effect(put.instruction);
      const minds = liveness.endReads(block) | (wanted[other] ?? 0n);
      if ((writes & minds) !== 0n) continue;
      // Worth it where the arm then is nothing, and the other one behind falls on.
      if (!joins(blocks, given.end.to, other)) continue;
      blocks[index] = { code: [...block.code, put], end };
      blocks[arm] = { code: [], end: given.end };
      wanted[arm] = (wanted[arm] ?? 0n) | writes;
      break;
    }
  }
  return blocks;
}

/** Does the other arm lead to where this one jumps? */
function joins(
  blocks: readonly PlacedBlock[],
  to: number,
  other: number,
): boolean {
  const end = blocks[other]?.end;
  return other === to || (end?.kind === "jump" && end.to === to);
}

/** Blocks with the same code and the same end: the last one stands for all. */
function withoutTwins(given: readonly PlacedBlock[]): readonly PlacedBlock[] {
  let blocks = given;
  for (let changed = true; changed;) {
    changed = false;
    const known = new Map<string, number>();
    const stand = new Map<number, number>();
    for (let index = blocks.length - 1; index > 0; index--) {
      const block = blocks[index];
      if (block === undefined || !isShort(block)) continue;
      const name = nameOf(block);
      const twin = known.get(name);
      if (twin === undefined) known.set(name, index);
      else stand.set(index, twin);
    }
    const redirect = (target: number): number => stand.get(target) ?? target;
    blocks = blocks.map((block): PlacedBlock => {
      const end = redirected(block.end, redirect);
      if (end === block.end) return block;
      changed = true;
      return { code: block.code, end };
    });
  }
  return blocks;
}

const longest = 16;

function isShort({ code, end }: PlacedBlock): boolean {
  return (
    code.length <= longest &&
    (end.kind === "exit" || (end.kind === "jump" && code.length > 0))
  );
}

function nameOf({ code, end }: PlacedBlock): string {
  const parts = code.map(({ instruction }) =>
    JSON.stringify(instruction, (_, value: unknown) =>
      typeof value === "bigint" ? `${value}n` : value,
    ),
  );
  return [...parts, end.kind, end.kind === "jump" ? end.to : ""].join(" ");
}

export function redirected(
  end: PlacedEnd,
  to: (block: number) => number,
): PlacedEnd {
  switch (end.kind) {
    case "jump": {
      const target = to(end.to);
      return target === end.to ? end : { ...end, to: target };
    }
    case "branch":
    case "may-goto": {
      const then = to(end.then);
      const otherwise = to(end.otherwise);
      return then === end.then && otherwise === end.otherwise
        ? end
        : { ...end, then, otherwise };
    }
    case "exit":
    case "trap":
      return end;
  }
}
