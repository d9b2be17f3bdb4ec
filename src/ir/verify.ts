/**
 * Is a program sound as IR? The rules, with the code of what breaks them:
 *
 *   ir-numbering    Block, slot and function numbers are dense: number i stands
 *                   at index i; function names differ.
 *   ir-entry        The first function takes the context alone. Block b0 has no
 *                   parameters, and no edge leads to it.
 *   ir-reach        Every block is reached from b0.
 *   ir-edge         An edge leads to a block of its function and carries exactly
 *                   as many arguments as that block has parameters.
 *   ir-definition   Every value of `values` is defined exactly once: as parameter
 *                   of the function or of a block, or as result.
 *   ir-dominance    The definition of a value dominates every use of it; the
 *                   argument of an edge is used at the end of the edge's source.
 *   ir-slot         Slots lie below r10, do not overlap, and those named exist.
 *   ir-name         Maps and functions that are named exist; an address inside a
 *                   map's value lies inside it.
 *   ir-call         A call has as many arguments as its callee takes.
 *   ir-operand      Constants are 64-bit words; sizes, starts and parts of
 *                   extract and concat fit a word; loads of 8 bytes have no sign
 *                   to extend; cmpxchg alone has an expected value, exchanges
 *                   fetch, and nobody uses the result of an atomic without fetch.
 *   ir-type         The declared type of a value covers what inference finds.
 *
 * An empty list is the promise that interp, analysis and codegen build on.
 */
import type { Diagnostic, Place } from "../base/index.ts";
import { dominatorTree, type DominatorTree } from "./dominators.ts";
import { edgesOf, graphOf } from "./graph.ts";
import { inferTypes } from "./infer.ts";
import { operandsOf, terminatorOperands } from "./operands.ts";
import { printType } from "./print.ts";
import type { IrFunction, IrProgram, ValueId } from "./program.ts";
import { sameRegion } from "./value-type.ts";
import type { ValueType } from "./program.ts";
import { checkInstruction } from "./verify-instruction.ts";

export type Report = (code: string, message: string, at?: Place) => void;

export function verifyIr(program: IrProgram): Diagnostic[] {
  const found: Diagnostic[] = [];
  const reportIn =
    (fn: string): Report =>
    (code, message, at) => {
      found.push({
        code,
        severity: "error",
        message: `${fn}: ${message}`,
        ...(at === undefined ? {} : { at }),
      });
    };
  const names = new Set<string>();
  for (const [index, fn] of program.functions.entries()) {
    const report = reportIn(fn.name);
    if (names.has(fn.name))
      report("ir-numbering", "a second function of that name");
    names.add(fn.name);
    if (index === 0 && fn.params.length !== 1)
      report(
        "ir-entry",
        `takes ${fn.params.length} parameters, not the context alone`,
      );
    checkFunction(program, fn, report);
  }
  if (program.functions.length === 0)
    reportIn(program.name)("ir-entry", "has no function");
  // Inference needs sound references.
  if (found.length === 0)
    for (const [index, fn] of inferTypes(program).functions.entries())
      checkTypes(program.functions[index] ?? fn, fn, reportIn(fn.name));
  return found;
}

function checkFunction(
  program: IrProgram,
  fn: IrFunction,
  report: Report,
): void {
  checkSlots(fn, report);
  if (!checkEdges(fn, report)) return;
  const tree = dominatorTree(graphOf(fn));
  for (const [index, parent] of tree.parent.entries())
    if (index > 0 && parent < 0) report("ir-reach", `b${index} is not reached`);
  const definitions = checkDefinitions(fn, report);
  checkUses(fn, definitions, tree, report);
  const uses = new Set<ValueId>();
  for (const block of fn.blocks) {
    for (const instruction of block.instructions)
      for (const value of operandsOf(instruction)) uses.add(value);
    for (const value of terminatorOperands(block.terminator)) uses.add(value);
    for (const edge of edgesOf(block.terminator))
      for (const value of edge.args) uses.add(value);
  }
  for (const block of fn.blocks)
    for (const instruction of block.instructions)
      checkInstruction(instruction, { program, fn, uses, report });
}

function checkSlots(fn: IrFunction, report: Report): void {
  const sorted = [...fn.slots].sort((a, b) => a.offset - b.offset);
  for (const [index, slot] of fn.slots.entries()) {
    if (slot.id !== index)
      report("ir-numbering", `s${slot.id} stands at ${index}`);
    const lies =
      Number.isSafeInteger(slot.offset) &&
      Number.isSafeInteger(slot.size) &&
      slot.size >= 0 &&
      (slot.size === 0 || slot.offset + slot.size <= 0);
    if (!lies) report("ir-slot", `s${slot.id} does not lie below r10`);
  }
  for (const [index, slot] of sorted.entries()) {
    const next = sorted[index + 1];
    if (
      next !== undefined &&
      slot.size > 0 &&
      next.size > 0 &&
      slot.offset + slot.size > next.offset
    )
      report("ir-slot", `s${slot.id} and s${next.id} overlap`);
  }
}

/** True when the graph can be walked. */
function checkEdges(fn: IrFunction, report: Report): boolean {
  let walkable = true;
  const wrong = (code: string, message: string, at?: Place): void => {
    walkable = false;
    report(code, message, at);
  };
  if (fn.blocks.length === 0) wrong("ir-entry", "has no block");
  for (const [index, block] of fn.blocks.entries()) {
    if (block.id !== index)
      wrong("ir-numbering", `b${block.id} stands at ${index}`);
    if (index === 0 && block.params.length > 0)
      report("ir-entry", "b0 has parameters");
    const { at } = block.terminator;
    for (const edge of edgesOf(block.terminator)) {
      const target = fn.blocks[edge.block];
      if (target === undefined) {
        wrong(
          "ir-edge",
          `b${index} leads to b${edge.block}, which is none`,
          at,
        );
        continue;
      }
      if (edge.block === 0) report("ir-entry", `b${index} leads to b0`, at);
      if (edge.args.length !== target.params.length)
        wrong(
          "ir-edge",
          `b${index} gives b${edge.block} ${edge.args.length} arguments for ${target.params.length} parameters`,
          at,
        );
    }
  }
  return walkable;
}

/** Where a value is born: block −1 for parameters of the function. */
interface Definition {
  readonly block: number;
  /** Index of the instruction; −1 for block parameters. */
  readonly index: number;
}

function checkDefinitions(
  fn: IrFunction,
  report: Report,
): ReadonlyMap<ValueId, Definition> {
  const found = new Map<ValueId, Definition>();
  const define = (value: ValueId, block: number, index: number): void => {
    if (fn.values[value] === undefined)
      report("ir-definition", `v${value} is defined but has no type`);
    if (found.has(value)) report("ir-definition", `v${value} is defined twice`);
    found.set(value, { block, index });
  };
  for (const param of fn.params) define(param, -1, -1);
  for (const [at, block] of fn.blocks.entries()) {
    for (const param of block.params) define(param, at, -1);
    for (const [index, instruction] of block.instructions.entries())
      if ("result" in instruction) define(instruction.result, at, index);
  }
  for (const value of fn.values.keys())
    if (!found.has(value as ValueId))
      report("ir-definition", `v${value} is not defined`);
  return found;
}

function checkUses(
  fn: IrFunction,
  definitions: ReadonlyMap<ValueId, Definition>,
  tree: DominatorTree,
  report: Report,
): void {
  const use = (
    value: ValueId,
    block: number,
    index: number,
    at: Place,
  ): void => {
    const definition = definitions.get(value);
    if (definition === undefined) {
      report("ir-dominance", `v${value} is used and never defined`, at);
      return;
    }
    const before =
      definition.block < 0 ||
      (definition.block === block
        ? definition.index < index
        : tree.dominates(definition.block, block));
    if (!before)
      report(
        "ir-dominance",
        `v${value} is used in b${block}, which its definition in b${definition.block} does not dominate`,
        at,
      );
  };
  for (const [block, { instructions, terminator }] of fn.blocks.entries()) {
    for (const [index, instruction] of instructions.entries())
      for (const value of operandsOf(instruction))
        use(value, block, index, instruction.at);
    const end = instructions.length;
    for (const value of terminatorOperands(terminator))
      use(value, block, end, terminator.at);
    for (const edge of edgesOf(terminator))
      for (const value of edge.args) use(value, block, end, terminator.at);
  }
}

function checkTypes(
  declared: IrFunction,
  inferred: IrFunction,
  report: Report,
): void {
  for (const [value, type] of declared.values.entries()) {
    const found = inferred.values[value];
    if (found === undefined || covers(type, found)) continue;
    report(
      "ir-type",
      `v${value} is declared ${printType(type)} but is ${printType(found)}`,
    );
  }
}

function covers(declared: ValueType, found: ValueType): boolean {
  if (declared.kind === "scalar" || found.kind === "scalar")
    return (
      declared.kind === found.kind ||
      (declared.kind === "pointer" && declared.region.kind === "unknown")
    );
  if (declared.region.kind === "unknown") return true;
  return (
    sameRegion(declared.region, found.region) &&
    (declared.offset === undefined || declared.offset === found.offset) &&
    (declared.nullable === true || found.nullable !== true)
  );
}
