/**
 * Removes what computes nothing that is used: pure instructions, block
 * parameters with the arguments for them, unreachable blocks; then numbers
 * values, blocks and slots densely again, in order of appearance.
 *
 * Law: the program does the same. Loads stay, since they may fault; a call stays.
 */
import { Bug, id } from "../base/index.ts";
import { edgesOf, reversePostorder } from "./graph.ts";
import {
  mapInstruction,
  mapTerminator,
  operandsOf,
  terminatorOperands,
} from "./operands.ts";
import type {
  Block,
  BlockId,
  IrFunction,
  IrInstruction,
  SlotId,
  Terminator,
  ValueId,
} from "./program.ts";
import { scalar } from "./value-type.ts";

/** May the instruction go when nobody wants its result? */
export function isPure(instruction: IrInstruction): boolean {
  switch (instruction.kind) {
    case "const":
    case "map":
    case "map-value":
    case "function":
    case "kernel-symbol":
    case "slot":
    case "binary":
    case "unary":
    case "extract":
    case "concat":
    case "undefined":
    case "address-cast":
      return true;
    case "load":
    case "store":
    case "atomic":
    case "call":
    case "load-packet":
      return false;
  }
}

export function removeDeadCode(fn: IrFunction): IrFunction {
  const reachable = new Set(reversePostorder(fn));
  const live = liveValues(fn, reachable);
  return renumber(fn, reachable, live);
}

/** 1 where the value is needed. */
function liveValues(
  fn: IrFunction,
  reachable: ReadonlySet<BlockId>,
): Uint8Array {
  const live = new Uint8Array(fn.values.length);
  const work: ValueId[] = [];
  const need = (value: ValueId): void => {
    if (live[value] !== 0) return;
    live[value] = 1;
    work.push(value);
  };
  const definitions = new Map<ValueId, IrInstruction>();
  // Parameter → the arguments that flow into it.
  const arguments_ = new Map<ValueId, ValueId[]>();
  for (const block of fn.blocks) {
    if (!reachable.has(block.id)) continue;
    for (const instruction of block.instructions) {
      if ("result" in instruction)
        definitions.set(instruction.result, instruction);
      if (!isPure(instruction)) operandsOf(instruction).forEach(need);
    }
    terminatorOperands(block.terminator).forEach(need);
    for (const edge of edgesOf(block.terminator))
      for (const [index, param] of (
        fn.blocks[edge.block]?.params ?? []
      ).entries()) {
        const argument = edge.args[index];
        if (argument === undefined) throw new Bug("an edge lacks an argument");
        const list = arguments_.get(param);
        if (list === undefined) arguments_.set(param, [argument]);
        else list.push(argument);
      }
  }
  for (let value = work.pop(); value !== undefined; value = work.pop()) {
    const definition = definitions.get(value);
    if (definition !== undefined) operandsOf(definition).forEach(need);
    arguments_.get(value)?.forEach(need);
  }
  return live;
}

function renumber(
  fn: IrFunction,
  reachable: ReadonlySet<BlockId>,
  live: Uint8Array,
): IrFunction {
  const names = new Int32Array(fn.values.length).fill(-1);
  const values: IrFunction["values"][number][] = [];
  const define = (value: ValueId): ValueId => {
    names[value] = values.length;
    values.push(fn.values[value] ?? scalar);
    return id<"v">(values.length - 1);
  };
  const kept = fn.blocks.filter((block) => reachable.has(block.id));
  const blockNames = new Map(
    kept.map((block, index) => [block.id, id<"b">(index)]),
  );
  const isKept = (instruction: IrInstruction): boolean =>
    !isPure(instruction) ||
    ("result" in instruction && live[instruction.result] !== 0);
  const slotNames = usedSlots(fn, kept, isKept);
  // Names first: an operand may be defined in a block that stands further down.
  const params = fn.params.map(define);
  for (const block of kept) {
    for (const param of block.params) if (live[param] !== 0) define(param);
    for (const instruction of block.instructions)
      if ("result" in instruction && isKept(instruction))
        define(instruction.result);
  }
  const rename = (value: ValueId): ValueId => {
    const name = names[value] ?? -1;
    if (name < 0)
      throw new Bug(`${fn.name}: v${value} is used but not defined`);
    return id<"v">(name);
  };
  const terminator = (from: Terminator): Terminator =>
    mapTerminator(from, rename, (edge) => ({
      block: blockNames.get(edge.block) ?? id(0),
      args: edge.args
        .filter(
          (_, index) => live[fn.blocks[edge.block]?.params[index] ?? -1] !== 0,
        )
        .map(rename),
    }));
  const blocks = kept.map((block, index): Block => ({
    id: id(index),
    params: block.params.filter((param) => live[param] !== 0).map(rename),
    instructions: block.instructions.filter(isKept).map((instruction) =>
      mapInstruction(instruction, {
        value: rename,
        result: rename,
        slot: (slot) => slotNames.get(slot) ?? slot,
      }),
    ),
    terminator: terminator(block.terminator),
  }));
  const slots = fn.slots.flatMap((slot) => {
    const name = slotNames.get(slot.id);
    return name === undefined ? [] : [{ ...slot, id: name }];
  });
  return {
    name: fn.name,
    params,
    blocks,
    values: values.map((type) =>
      type.kind === "pointer" && type.region.kind === "slot"
        ? {
            ...type,
            region: {
              kind: "slot",
              slot: slotNames.get(type.region.slot) ?? type.region.slot,
            },
          }
        : type,
    ),
    slots,
  };
}

function usedSlots(
  fn: IrFunction,
  kept: readonly Block[],
  isKept: (instruction: IrInstruction) => boolean,
): ReadonlyMap<SlotId, SlotId> {
  const used = new Set<SlotId>();
  for (const block of kept)
    for (const instruction of block.instructions)
      if (instruction.kind === "slot" && isKept(instruction))
        used.add(instruction.slot);
  return new Map(
    fn.slots
      .filter((slot) => used.has(slot.id))
      .map((slot, index) => [slot.id, id<"s">(index)]),
  );
}
