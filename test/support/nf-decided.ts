/**
 * Branch edges that cannot be taken since an earlier branch decided: the same comparison
 * of the same values, or one of the same value with another constant.
 *
 * A forward analysis over SSA: what is known at a block is what is known at the end of
 * each predecessor and along the edge from it. A value is named by what it is made of
 * (constants, operations, fields of the context), so that a computation done twice has
 * one name; a block's own values are new each time that it is entered, and what was
 * known of them is forgotten there.
 */
import { edgesOf, type Block, type IrFunction } from "#ir";
import type { BranchOp } from "#isa";

interface Name {
  readonly text: string;
  /** Values that no operation made, inside it. */
  readonly leaves: ReadonlySet<number>;
  readonly constant?: bigint;
}

interface Fact {
  readonly op: BranchOp;
  readonly width: number;
  readonly left: Name;
  readonly right: Name;
  readonly holds: boolean;
}
type Facts = ReadonlyMap<string, Fact>;

/** `instruction falls|taken` of branches of the function. */
export function decidedEdges(fn: IrFunction): ReadonlySet<string> {
  const names = namesOf(fn);
  const named = (value: number): Name =>
    names.get(value) ?? { text: `v${value}`, leaves: new Set([value]) };
  const known: (Facts | undefined)[] = fn.blocks.map(() => undefined);
  known[0] = new Map();
  for (let changed = true; changed;) {
    changed = false;
    for (const [at, block] of fn.blocks.entries()) {
      const before = known[at];
      if (before === undefined) continue;
      for (const [index, edge] of edgesOf(block.terminator).entries()) {
        const target = fn.blocks[edge.block];
        if (target === undefined) continue;
        const along = withEdge(before, block, index, named);
        const next = without(along, target);
        const old = known[edge.block];
        const met = old === undefined ? next : intersection(old, next);
        if (old?.size === met.size) continue;
        known[edge.block] = met;
        changed = true;
      }
    }
  }
  const decided = new Set<string>();
  for (const [at, { terminator }] of fn.blocks.entries()) {
    const facts = known[at];
    if (terminator.kind !== "branch" || facts === undefined) continue;
    const { op, width, left, right } = terminator;
    const holds = truth(facts, {
      op,
      width,
      left: named(left),
      right: named(right),
    });
    if (holds === undefined) continue;
    decided.add(`${terminator.at.instruction} ${holds ? "falls" : "taken"}`);
  }
  return decided;
}

function namesOf(fn: IrFunction): ReadonlyMap<number, Name> {
  const names = new Map<number, Name>();
  const nameOf = (value: number): Name =>
    names.get(value) ?? { text: `v${value}`, leaves: new Set([value]) };
  const made = (value: number, op: string, parts: readonly number[]): void => {
    const all = parts.map(nameOf);
    names.set(value, {
      text: `${op}(${all.map(({ text }) => text).join()})`,
      leaves: new Set(all.flatMap(({ leaves }) => [...leaves])),
    });
  };
  // Blocks in any order: a part that is named later is a leaf, which is less, not wrong.
  for (const { instructions } of fn.blocks)
    for (const instruction of instructions)
      if (instruction.kind === "const") {
        const { value, result } = instruction;
        const constant = BigInt.asUintN(64, value);
        names.set(result, {
          text: `#${constant}`,
          leaves: new Set(),
          constant,
        });
      } else if (instruction.kind === "binary") {
        const { op, width, left, right, result } = instruction;
        made(result, `${op}${width}`, [left, right]);
      } else if (instruction.kind === "unary")
        made(instruction.result, instruction.op, [instruction.value]);
      else if (instruction.kind === "extract") {
        const { start, size, value, result } = instruction;
        made(result, `extract${start}.${size}`, [value]);
      } else if (instruction.kind === "load") {
        const { address, offset, result } = instruction;
        const type = fn.values[address];
        // Nobody here moves the packet's bounds.
        if (type?.kind === "pointer" && type.region.kind === "context")
          made(result, `field${offset}`, [address]);
      }
  return names;
}

function withEdge(
  facts: Facts,
  { terminator }: Block,
  index: number,
  named: (value: number) => Name,
): Facts {
  if (terminator.kind !== "branch") return facts;
  const { op, width, left, right, then, otherwise } = terminator;
  if (then.block === otherwise.block) return facts;
  const fact: Fact = {
    op,
    width,
    left: named(left),
    right: named(right),
    holds: index === 0,
  };
  return new Map(facts).set(keyOf(fact), fact);
}

function keyOf({ op, width, left, right }: Omit<Fact, "holds">): string {
  return `${op}${width} ${left.text} ${right.text}`;
}

/** What is known when the block is entered, where its own values are new. */
function without(facts: Facts, { params, instructions }: Block): Facts {
  const own = new Set<number>(params);
  for (const instruction of instructions)
    if ("result" in instruction) own.add(instruction.result);
  const kept = [...facts].filter(([, { left, right }]) =>
    [...left.leaves, ...right.leaves].every((leaf) => !own.has(leaf)),
  );
  return new Map(kept);
}

function intersection(one: Facts, other: Facts): Facts {
  return new Map(
    [...one].filter(([key, { holds }]) => other.get(key)?.holds === holds),
  );
}

const opposite: Readonly<Partial<Record<BranchOp, BranchOp>>> = {
  jeq: "jne",
  jne: "jeq",
  jgt: "jle",
  jle: "jgt",
  jge: "jlt",
  jlt: "jge",
  jsgt: "jsle",
  jsle: "jsgt",
  jsge: "jslt",
  jslt: "jsge",
};

function truth(facts: Facts, asked: Omit<Fact, "holds">): boolean | undefined {
  const same = facts.get(keyOf(asked));
  if (same !== undefined) return same.holds;
  const op = opposite[asked.op];
  const other =
    op === undefined ? undefined : facts.get(keyOf({ ...asked, op }));
  if (other !== undefined) return !other.holds;
  const { constant } = asked.right;
  if (constant === undefined) return undefined;
  return byRange(facts, asked, constant);
}

/** From comparisons of the same value with other constants, unsigned. */
function byRange(
  facts: Facts,
  { op, width, left }: Omit<Fact, "holds">,
  constant: bigint,
): boolean | undefined {
  let [low, high] = [0n, (1n << BigInt(width)) - 1n];
  const excluded = new Set<bigint>();
  for (const fact of facts.values()) {
    const { constant: bound } = fact.right;
    if (fact.left.text !== left.text || fact.width !== width) continue;
    if (bound === undefined) continue;
    const known = fact.holds ? fact.op : opposite[fact.op];
    if (known === "jeq") [low, high] = [bound, bound];
    else if (known === "jne") excluded.add(bound);
    else if (known === "jgt") low = bound + 1n > low ? bound + 1n : low;
    else if (known === "jge") low = bound > low ? bound : low;
    else if (known === "jlt") high = bound - 1n < high ? bound - 1n : high;
    else if (known === "jle") high = bound < high ? bound : high;
  }
  if (op === "jeq" || op === "jne") {
    const isOut = constant < low || constant > high || excluded.has(constant);
    if (isOut) return op === "jne";
    return low === high ? op === "jeq" : undefined;
  }
  const answers: Partial<Record<BranchOp, readonly [boolean, boolean]>> = {
    jgt: [low > constant, high <= constant],
    jge: [low >= constant, high < constant],
    jlt: [high < constant, low >= constant],
    jle: [high <= constant, low > constant],
  };
  const [always, never] = answers[op] ?? [false, false];
  return always ? true : never ? false : undefined;
}
