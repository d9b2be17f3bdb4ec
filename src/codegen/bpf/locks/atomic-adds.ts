/**
 * Stores that are the end of an addition to what was loaded from the same place, and
 * the loads they end: one atomic instruction does it, if nothing else sees the sum.
 *
 *   r1 = *(u64 *)(r0 + 8)        r1 = 0
 *   r1 += 1                 →    r1 += 1
 *   *(u64 *)(r0 + 8) = r1        lock *(u64 *)(r0 + 8) += r1
 */
import {
  targetOf,
  type Edit,
  type FunctionSpec,
  type Instruction,
  type Register,
} from "../../../isa/index.ts";
import type { RegistersWanted } from "./registers-wanted.ts";
import type { ValueAccess } from "./value-accesses.ts";

export interface AtomicAdds {
  readonly edits: readonly Edit[];
  /** Loads that are gone. */
  readonly ends: ReadonlySet<number>;
}

/** Undefined: some store is no such end. */
export function atomicAdds(
  fn: FunctionSpec,
  accesses: readonly ValueAccess[],
  wanted: RegistersWanted,
): AtomicAdds | undefined {
  const targets = new Set(fn.instructions.map((each) => targetOf(each)));
  const edits: Edit[] = [];
  const ends = new Set<number>();
  for (const store of accesses) {
    if (store.op !== "store") continue;
    const instruction = fn.instructions[store.at];
    if (instruction?.kind !== "store" || instruction.src.kind !== "register")
      return undefined;
    const sum = instruction.src.register;
    const load = loadOf(fn, store, sum, accesses, targets);
    if (load === undefined || wanted.before(store.at + 1).has(sum))
      return undefined;
    ends.add(load);
    const { base, offset, size } = instruction;
    if (size !== 4 && size !== 8) return undefined;
    edits.push(
      {
        kind: "replace",
        at: load,
        instructions: [
          {
            kind: "alu",
            op: "mov",
            width: 64,
            dst: sum,
            src: { kind: "immediate", value: 0 },
          },
        ],
      },
      {
        kind: "replace",
        at: store.at,
        instructions: [
          {
            kind: "atomic",
            op: "add",
            size,
            fetch: false,
            base,
            offset,
            src: sum,
          },
        ],
      },
    );
  }
  return { edits, ends };
}

/** Going up from the store through additions to `sum` only. */
function loadOf(
  { instructions }: FunctionSpec,
  store: ValueAccess,
  sum: Register,
  accesses: readonly ValueAccess[],
  targets: ReadonlySet<number | undefined>,
): number | undefined {
  for (let at = store.at - 1; at >= 0; at--) {
    if (targets.has(at + 1)) return undefined;
    const instruction = instructions[at];
    if (instruction === undefined) return undefined;
    const access = accesses.find((each) => each.at === at);
    if (instruction.kind === "load" && instruction.dst === sum)
      return access?.site === store.site &&
        access.offset === store.offset &&
        access.size === store.size
        ? at
        : undefined;
    if (!isQuiet(instruction, sum, store.size)) return undefined;
    // Between load and store no other access of the map may stand.
    if (access?.op === "store") return undefined;
  }
  return undefined;
}

/** An addition to the sum, or what neither reads nor writes it. */
function isQuiet(
  instruction: Instruction,
  sum: Register,
  size: number,
): boolean {
  if (instruction.kind === "alu") {
    const { op, dst, src, width } = instruction;
    const readsSum = src.kind === "register" && src.register === sum;
    if (dst !== sum) return !readsSum;
    const isAdd = op === "add" || op === "sub";
    return isAdd && !readsSum && (width === 64 || size === 4);
  }
  if (instruction.kind === "load")
    return instruction.dst !== sum && instruction.base !== sum;
  if (instruction.kind === "store")
    return (
      instruction.base !== sum &&
      !(instruction.src.kind === "register" && instruction.src.register === sum)
    );
  return false;
}
