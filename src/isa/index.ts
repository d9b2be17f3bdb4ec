export { bloomBits, bloomShape, type BloomShape } from "./bloom-filter.ts";
export type {
  DataField,
  DataType,
  ProgramDataTypes,
  ScalarName,
} from "./data-type.ts";
export { decode, type Decoded, type DecodeOptions } from "./decode.ts";
export { editFunction, local, type Edit } from "./edit.ts";
export {
  encode,
  relaxJumps,
  type Link,
  type LinkedCall,
  type LinkedValue,
} from "./encode.ts";
export { targetOf, withTarget } from "./form.ts";
export {
  parseFunction,
  parseFunctions,
  printFunction,
} from "./function-text.ts";
export {
  helperByName,
  helperByNumber,
  helpers,
  kfuncByName,
  kfuncs,
  type FunctionSignature,
  type Helper,
  type HelperArgument,
  type HelperEffect,
  type HelperRead,
  type HelperResult,
  type MemorySize,
} from "./helper.ts";
export {
  instructionRows,
  type FieldRole,
  type InstructionGroup,
  type InstructionRow,
} from "./instruction-table.ts";
export { mirrored } from "./instruction.ts";
export type {
  AluOp,
  AtomicOp,
  BranchOp,
  Callee,
  EndianOp,
  Instruction,
  InstructionKind,
  Operand,
  Register,
  Size,
  WideValue,
  Width,
} from "./instruction.ts";
export {
  mapTypeByNumber,
  mapTypeRow,
  mapTypes,
  type MapTypeName,
} from "./map-types.ts";
export {
  isUnsized,
  placeOf,
  type CoreRelocation,
  type FieldLayout,
  type FunctionSpec,
  type LineInfo,
  type MapSpec,
  type ProgramSpec,
} from "./program.ts";
export {
  programTypeRow,
  programTypes,
  type ContextField,
  type ContextFieldMeaning,
  type ProgramTypeName,
  type ProgramTypeRow,
} from "./program-types.ts";
export { parseInstruction, type ParseOptions } from "./parse.ts";
export { printInstruction, type LabelOf } from "./print.ts";
export { slotCount, slotOf, totalSlots } from "./slots.ts";
export {
  isOptional,
  isSleepable,
  sectionRow,
  sectionsOf,
  sectionTable,
  type AttachTarget,
  type SectionRow,
} from "./section-table.ts";
