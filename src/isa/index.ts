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
