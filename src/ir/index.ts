export { removeDeadCode } from "./dead-code.ts";
export { decide, type Decided } from "./decide.ts";
export type { Interval } from "./interval.ts";
export { decideByRange } from "./ranges.ts";
export type { Branch, Call, RangeFacts } from "./propagation.ts";
export { dominators, type Dominators } from "./dominators.ts";
export { edgesOf, predecessors, reversePostorder } from "./graph.ts";
export { inferTypes } from "./infer.ts";
export { lift } from "./lift.ts";
export { loops, type Loop, type LoopForest } from "./loops.ts";
export {
  mapInstruction,
  mapTerminator,
  operandsOf,
  terminatorOperands,
} from "./operands.ts";
export { parseIr } from "./parse.ts";
export {
  printIr,
  printOperation,
  printTerminator,
  printType,
} from "./print.ts";
export type {
  BinaryOp,
  Block,
  BlockId,
  Edge,
  IrFunction,
  IrInstruction,
  IrProgram,
  Region,
  Slot,
  SlotId,
  Terminator,
  UnaryOp,
  ValueId,
  ValueType,
} from "./program.ts";
export { unrollLoops, type UnrollOptions } from "./unroll.ts";
export { verifyIr } from "./verify.ts";
export { packetBounds, type PacketBounds } from "./packet-bounds.ts";
export { simplify } from "./simplify.ts";
export { inlineCalls, type InlineOptions } from "./inline.ts";
export { promoteSlots } from "./promote.ts";
