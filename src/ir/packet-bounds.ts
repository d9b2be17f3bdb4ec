/**
 * How many packet bytes are proven to exist behind a pointer.
 *
 * A packet address is a root value plus a constant. A branch that compares one
 * with the packet's end proves, on one of its edges, root + n ≤ end. Facts flow
 * forward; where paths meet, the smaller number holds.
 *
 *   v7 = add64 v5, 34;  branch jgt64 v7, end ? b9 : b1     b1: v5 has 34 bytes
 *
 * Sound while nothing resizes the packet: after such a call the program must
 * load new pointers, which are new roots; facts on old ones are of no use.
 * A block parameter is a root too, with the fewest bytes that any way hands over.
 * Null is below every end, and nobody reads behind it: it hands over any number.
 * Not promised: facts through sums of variables.
 */
import { mirrored, type BranchOp } from "../isa/index.ts";
import { edgesOf, reversePostorder } from "./graph.ts";
import type {
  BlockId,
  IrFunction,
  IrInstruction,
  Terminator,
  ValueId,
  ValueType,
} from "./program.ts";

export interface PacketBounds {
  /** Bytes known to lie between an address and the packet's end at a block's start. */
  readonly available: (block: BlockId, address: ValueId) => number | undefined;
  /** By root. */
  readonly facts: (block: BlockId) => ReadonlyMap<ValueId, number>;
  /** The outcome of a block's test that is known before: was the frame found long enough? */
  readonly outcome: (block: BlockId) => boolean | undefined;
}

/** MAX_PACKET_OFF of kernel/bpf/verifier.c. */
const mostBytes = 0xffff;

interface Rooted {
  readonly root: ValueId;
  readonly offset: number;
}

export function packetBounds(fn: IrFunction): PacketBounds {
  const rootOf = roots(fn);
  const nulls = new Set(
    fn.blocks.flatMap(({ instructions }) =>
      instructions.flatMap((each) =>
        each.kind === "const" && each.value === 0n ? [each.result] : [],
      ),
    ),
  );
  const none: ReadonlyMap<ValueId, number> = new Map();
  const known: (ReadonlyMap<ValueId, number> | undefined)[] = fn.blocks.map(
    () => undefined,
  );
  known[0] = none;
  const order = reversePostorder(fn);
  const dirty = new Set<BlockId>(order);
  while (dirty.size > 0)
    for (const at of order) {
      const facts = known[at];
      const block = fn.blocks[at];
      if (!dirty.delete(at) || facts === undefined || block === undefined)
        continue;
      const fact = comparison(block.terminator, fn.values, rootOf);
      for (const [arm, edge] of edgesOf(block.terminator).entries()) {
        const proven =
          fact?.arm === arm ? withFact(facts, fact.root, fact.bytes) : facts;
        const here = handedOver(proven, edge, {
          params: fn.blocks[edge.block]?.params ?? [],
          rootOf,
          isNull: (value) => nulls.has(value),
        });
        const before = known[edge.block];
        const after = before === undefined ? here : meet(before, here);
        if (after === before) continue;
        known[edge.block] = after;
        dirty.add(edge.block);
      }
    }
  return {
    available: (block, address) => {
      const { root, offset } = rootOf(address);
      const bytes = known[block]?.get(root);
      return bytes === undefined ? undefined : bytes - offset;
    },
    facts: (block) => known[block] ?? none,
    outcome: (block) => {
      const terminator = fn.blocks[block]?.terminator;
      const fact =
        terminator?.kind === "branch" &&
        terminator.op !== "jeq" &&
        terminator.op !== "jne"
          ? comparison(terminator, fn.values, rootOf)
          : undefined;
      const bytes = fact && known[block]?.get(fact.root);
      return fact !== undefined && bytes !== undefined && bytes >= fact.bytes
        ? fact.arm === 0
        : undefined;
    },
  };
}

/** Splits a value into the root and what constants were added to it. */
function roots(fn: IrFunction): (value: ValueId) => Rooted {
  const definitions = new Map<ValueId, IrInstruction>();
  for (const block of fn.blocks)
    for (const instruction of block.instructions)
      if ("result" in instruction)
        definitions.set(instruction.result, instruction);
  const constant = (value: ValueId): number | undefined => {
    const definition = definitions.get(value);
    return definition?.kind === "const"
      ? Number(BigInt.asIntN(64, definition.value))
      : undefined;
  };
  const cache = new Map<ValueId, Rooted>();
  return (value) => {
    const path: { readonly value: ValueId; readonly step: number }[] = [];
    let at = value;
    let found = cache.get(at);
    while (found === undefined) {
      const definition = definitions.get(at);
      const step =
        definition?.kind === "binary" && definition.width === 64
          ? addend(definition, constant)
          : undefined;
      if (step === undefined) {
        found = { root: at, offset: 0 };
        cache.set(at, found);
        break;
      }
      path.push({ value: at, step: step.offset });
      at = step.root;
      found = cache.get(at);
    }
    for (const { value: name, step } of path.reverse()) {
      found = { root: found.root, offset: found.offset + step };
      cache.set(name, found);
    }
    return found;
  };
}

function addend(
  { op, left, right }: IrInstruction & { readonly kind: "binary" },
  constant: (value: ValueId) => number | undefined,
): Rooted | undefined {
  const added = constant(right);
  if (op === "sub" && added !== undefined)
    return { root: left, offset: -added };
  if (op !== "add") return undefined;
  if (added !== undefined) return { root: left, offset: added };
  const other = constant(left);
  return other === undefined ? undefined : { root: right, offset: other };
}

// On which edge (0: taken) `address ? end` proves address ≤ end, or < end.
// prettier-ignore
const proves: Readonly<Record<BranchOp, { readonly arm: number; readonly strict: boolean } | undefined>> = {
  jgt:  { arm: 1, strict: false },
  jge:  { arm: 1, strict: true },
  jlt:  { arm: 0, strict: true },
  jle:  { arm: 0, strict: false },
  jeq:  { arm: 0, strict: false },
  jne:  { arm: 1, strict: false },
  jsgt: undefined, jsge: undefined, jslt: undefined, jsle: undefined, jset: undefined,
};

interface Fact {
  readonly arm: number;
  readonly root: ValueId;
  readonly bytes: number;
}

function comparison(
  terminator: Terminator,
  types: readonly ValueType[],
  rootOf: (value: ValueId) => Rooted,
): Fact | undefined {
  if (terminator.kind !== "branch" || terminator.width !== 64) return undefined;
  const { op, left, right } = terminator;
  const leftEnd = endOffset(types[left]);
  const rightEnd = endOffset(types[right]);
  if ((leftEnd === undefined) === (rightEnd === undefined)) return undefined;
  const address = leftEnd === undefined ? left : right;
  const type = types[address];
  if (type?.kind !== "pointer" || type.region.kind !== "packet")
    return undefined;
  const proof = proves[leftEnd === undefined ? op : mirrored[op]];
  if (proof === undefined) return undefined;
  const { root, offset } = rootOf(address);
  const end = leftEnd ?? rightEnd ?? 0;
  return {
    arm: proof.arm,
    root,
    bytes: offset - end + (proof.strict ? 1 : 0),
  };
}

/** Distance from the packet's end of an address that is made from it. */
function endOffset(type: ValueType | undefined): number | undefined {
  return type?.kind === "pointer" && type.region.kind === "packet-end"
    ? type.offset
    : undefined;
}

/** What is known on an edge, of the parameters too: nothing where nothing is handed. */
function handedOver(
  facts: ReadonlyMap<ValueId, number>,
  { args }: { readonly args: readonly ValueId[] },
  {
    params,
    rootOf,
    isNull,
  }: {
    readonly params: readonly ValueId[];
    readonly isNull: (value: ValueId) => boolean;
    readonly rootOf: (value: ValueId) => Rooted;
  },
): ReadonlyMap<ValueId, number> {
  if (params.length === 0) return facts;
  const after = new Map(facts);
  for (const [at, param] of params.entries()) {
    const argument = args[at];
    if (argument !== undefined && isNull(argument)) {
      after.set(param, mostBytes);
      continue;
    }
    const handed = argument === undefined ? undefined : rootOf(argument);
    const bytes = handed === undefined ? undefined : facts.get(handed.root);
    if (handed === undefined || bytes === undefined) after.delete(param);
    // None left: a pointer that moves in a loop comes to an end here.
    else if (bytes <= handed.offset) after.delete(param);
    else after.set(param, bytes - handed.offset);
  }
  return after;
}

function withFact(
  facts: ReadonlyMap<ValueId, number>,
  root: ValueId,
  bytes: number,
): ReadonlyMap<ValueId, number> {
  const before = facts.get(root);
  if (before !== undefined && before >= bytes) return facts;
  return new Map(facts).set(root, bytes);
}

/** `left` itself when it holds less than `right` in every fact. */
function meet(
  left: ReadonlyMap<ValueId, number>,
  right: ReadonlyMap<ValueId, number>,
): ReadonlyMap<ValueId, number> {
  if (left === right) return left;
  const result = new Map<ValueId, number>();
  let same = true;
  for (const [root, bytes] of left) {
    const other = right.get(root);
    if (other === undefined || other < bytes) same = false;
    if (other !== undefined) result.set(root, Math.min(bytes, other));
  }
  return same ? left : result;
}
