export type {
  Access,
  AccessGuard,
  AccessOp,
  Allocator,
  CoreNumber,
  Interchange,
  Key,
  KeyBit,
  ObjectAccess,
  OpaqueReason,
  Race,
  StateObject,
  StateReport,
} from "./report.ts";
export { analyse, analyseIr, type AnalyseOptions } from "./analyse.ts";
export { recogniseAllocators } from "./allocator.ts";
export { indexOffsetOf } from "./linked.ts";
export { signature } from "./accesses.ts";
export { keyText, printFieldBits, reasonText } from "./key.ts";
export { returnedConstants } from "./verdicts.ts";
