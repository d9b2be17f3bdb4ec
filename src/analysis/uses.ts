/**
 * Who uses a value: the def-use side of the analysis. Decides which stores add to
 * a cell (load, add, store back, the old value reaching nothing else), and which
 * stores depend on what was loaded from the same object.
 */
import {
  edgesOf,
  operandsOf,
  type IrFunction,
  type IrInstruction,
  type UnaryOp,
} from "../ir/index.ts";
import type { Touch } from "./touch.ts";

/** "block.index" of an instruction. */
type Spot = string;

export const spotOf = (where: Touch["where"]): Spot =>
  `${where.function}.${where.block}.${where.index}`;

export interface Additions {
  /** Spots of stores that add to their cell. */
  readonly stores: ReadonlySet<Spot>;
  /** Spots of the loads that belong to them. */
  readonly loads: ReadonlySet<Spot>;
  /** Spots of loads and fetching atomics whose result nothing uses. */
  readonly unused: ReadonlySet<Spot>;
  /** Spots of stores whose value depends on a load of the same object. */
  readonly dependent: ReadonlySet<Spot>;
}

interface Definition {
  readonly instruction: IrInstruction;
  readonly spot: Spot;
}

/** How far back a store's value is followed. */
const MOST_STEPS = 200;

export function additionsOf(
  fn: IrFunction,
  index: number,
  touches: ReadonlyMap<Spot, readonly Touch[]>,
): Additions {
  const stores = new Set<Spot>();
  const loads = new Set<Spot>();
  const unused = new Set<Spot>();
  const dependent = new Set<Spot>();
  const definitions = new Map<number, Definition>();
  const uses = fn.values.map(() => 0);
  const sources = new Map<number, number[]>();
  for (const block of fn.blocks) {
    for (const [at, instruction] of block.instructions.entries()) {
      const spot = spotOf({ function: index, block: block.id, index: at });
      if ("result" in instruction)
        definitions.set(instruction.result, { instruction, spot });
      for (const value of operandsOf(instruction))
        uses[value] = (uses[value] ?? 0) + 1;
    }
    const { terminator } = block;
    if (terminator.kind === "branch")
      for (const value of [terminator.left, terminator.right])
        uses[value] = (uses[value] ?? 0) + 1;
    if (terminator.kind === "return")
      uses[terminator.value] = (uses[terminator.value] ?? 0) + 1;
    for (const edge of edgesOf(terminator))
      for (const [place, value] of edge.args.entries()) {
        uses[value] = (uses[value] ?? 0) + 1;
        const param = fn.blocks[edge.block]?.params[place];
        if (param === undefined) continue;
        const known = sources.get(param);
        if (known === undefined) sources.set(param, [value]);
        else known.push(value);
      }
  }
  const graph = { definitions, uses, sources };
  for (const block of fn.blocks)
    for (const [at, instruction] of block.instructions.entries()) {
      const spot = spotOf({ function: index, block: block.id, index: at });
      if (
        (instruction.kind === "load" || instruction.kind === "atomic") &&
        (uses[instruction.result] ?? 0) === 0
      )
        unused.add(spot);
      if (instruction.kind !== "store" || !touches.has(spot)) continue;
      const load = addedTo(instruction.value, instruction.size, graph);
      if (
        load !== undefined &&
        sameCell(touches.get(spot), touches.get(load))
      ) {
        stores.add(spot);
        loads.add(load);
      }
      const objects = new Set(touches.get(spot)?.map(({ object }) => object));
      if (dependsOn(instruction.value, objects, { ...graph, touches }))
        dependent.add(spot);
    }
  return { stores, loads, unused, dependent };
}

interface Graph {
  readonly definitions: ReadonlyMap<number, Definition>;
  readonly uses: readonly number[];
  readonly sources: ReadonlyMap<number, readonly number[]>;
}

/**
 * The spot of the load whose value plus something else `value` is, used only so,
 * as far as the `size` low bytes go.
 */
function addedTo(value: number, size: number, graph: Graph): Spot | undefined {
  const sum = throughCasts(value, size, graph);
  if (sum === undefined) return undefined;
  const { instruction } = sum;
  if (instruction.kind !== "binary") return undefined;
  if (instruction.op !== "add" && instruction.op !== "sub") return undefined;
  // A narrower sum loses the carry that the cell would keep.
  if (instruction.width < 8 * size) return undefined;
  // x - cell is no addition to the cell.
  const candidates =
    instruction.op === "add"
      ? [instruction.left, instruction.right]
      : [instruction.left];
  for (const candidate of candidates) {
    const found = throughCasts(candidate, size, graph);
    if (found?.instruction.kind === "load") return found.spot;
  }
  return undefined;
}

/**
 * The definition behind truncations and extensions that keep the low bytes, as
 * long as nothing else uses any of it.
 */
function throughCasts(
  value: number,
  bytes: number,
  graph: Graph,
): Definition | undefined {
  let at = value;
  for (let steps = 0; steps < 8; steps++) {
    if (graph.uses[at] !== 1) return undefined;
    const found = graph.definitions.get(at);
    if (found === undefined) return undefined;
    const { instruction } = found;
    const kept = keptBytes(instruction);
    if (kept === undefined) return found;
    if (kept < bytes) return undefined;
    if (instruction.kind === "unary" || instruction.kind === "extract")
      at = instruction.value;
  }
  return undefined;
}

/** How many low bytes a cast keeps; undefined for what is no cast. */
function keptBytes(instruction: IrInstruction): number | undefined {
  if (instruction.kind === "extract" && instruction.start === 0)
    return instruction.size;
  return instruction.kind === "unary"
    ? zeroExtensions.get(instruction.op)
    : undefined;
}

const zeroExtensions: ReadonlyMap<UnaryOp, number> = new Map([
  ["zext8", 1],
  ["zext16", 2],
  ["zext32", 4],
]);

/** Both touch one cell, and the same bytes of it, on every path. */
function sameCell(
  left: readonly Touch[] | undefined,
  right: readonly Touch[] | undefined,
): boolean {
  const all = [...(left ?? []), ...(right ?? [])];
  const [first] = all;
  if (first === undefined || left === undefined || right === undefined)
    return false;
  return (
    first.root !== -2 &&
    first.offset !== undefined &&
    all.every(
      (touch) =>
        touch.object === first.object &&
        touch.root === first.root &&
        touch.offset === first.offset &&
        touch.size === first.size,
    )
  );
}

/** Does `value` depend on a load of one of the objects? Gives up with "no". */
function dependsOn(
  value: number,
  objects: ReadonlySet<string>,
  graph: Graph & { readonly touches: ReadonlyMap<Spot, readonly Touch[]> },
): boolean {
  const seen = new Set<number>([value]);
  const stack = [value];
  for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
    if (seen.size > MOST_STEPS) return false;
    const found = graph.definitions.get(at);
    if (found?.instruction.kind === "load") {
      const touched = graph.touches.get(found.spot) ?? [];
      if (touched.some(({ object }) => objects.has(object))) return true;
      continue;
    }
    const next =
      found === undefined
        ? (graph.sources.get(at) ?? [])
        : found.instruction.kind === "call"
          ? []
          : operandsOf(found.instruction);
    for (const source of next)
      if (!seen.has(source)) {
        seen.add(source);
        stack.push(source);
      }
  }
  return false;
}
