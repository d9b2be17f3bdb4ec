/**
 * Values that always equal another one, so that they need no register:
 *
 *   - extensions and low bytes of words that are narrow enough already;
 *   - parameters into which every edge carries one value, or the parameter itself;
 *   - of several parameters of a block that get the same from each edge, all but
 *     the first.
 *
 * What stands for a value is defined wherever the value is.
 */
import {
  edgesOf,
  type Edge,
  type IrFunction,
  type IrInstruction,
  type ValueId,
} from "../../../ir/index.ts";
import type { ValueFacts } from "./value-facts.ts";

/** Answers the value that stands for a value: often itself. */
export function equalValues(
  fn: IrFunction,
  facts: ValueFacts,
): (value: ValueId) => ValueId {
  const equal = new Map<ValueId, ValueId>();
  const resolve = (value: ValueId): ValueId => {
    let at = value;
    for (let next = equal.get(at); next !== undefined; next = equal.get(at))
      at = next;
    if (at !== value) equal.set(value, at);
    return at;
  };
  for (const block of facts.order)
    for (const instruction of block.instructions) {
      if (!("result" in instruction)) continue;
      const same = narrow(instruction, facts);
      if (same !== undefined) equal.set(instruction.result, same);
    }
  const incoming: Edge[][] = fn.blocks.map(() => []);
  for (const block of facts.order)
    for (const edge of edgesOf(block.terminator))
      incoming[edge.block]?.push(edge);
  for (let changed = true; changed;) {
    changed = false;
    for (const block of facts.order) {
      const edges = incoming[block.id] ?? [];
      if (edges.length === 0) continue;
      const seen = new Map<string, ValueId>();
      for (const [index, param] of block.params.entries()) {
        if (equal.has(param)) continue;
        const args = edges.map((edge) => resolve(edge.args[index] ?? param));
        const others = new Set(args);
        others.delete(param);
        const [only] = others;
        const name = args.map((arg) => (arg === param ? "self" : arg)).join();
        const twin = seen.get(name);
        const same = others.size === 1 ? only : twin;
        if (same === undefined) seen.set(name, param);
        else {
          equal.set(param, same);
          changed = true;
        }
      }
    }
  }
  return resolve;
}

/** The operand that the result equals. */
function narrow(
  instruction: IrInstruction,
  facts: ValueFacts,
): ValueId | undefined {
  if (instruction.kind === "unary") {
    const { op, value } = instruction;
    const width = Number(/\d+$/.exec(op)?.[0] ?? 64);
    const bits = facts.bits(value);
    if (op.startsWith("zext")) return bits <= width ? value : undefined;
    if (op.startsWith("sext")) return bits < width ? value : undefined;
    return undefined;
  }
  if (instruction.kind !== "extract") return undefined;
  const { value, start, size } = instruction;
  return start === 0 && facts.bits(value) <= 8 * size ? value : undefined;
}
