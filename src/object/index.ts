export { applyCoreRelocations } from "./apply-core.ts";
export { assembleObject, type Assembly } from "./assemble.ts";
export {
  type Btf,
  type BtfKind,
  type BtfLinkage,
  type BtfMember,
  type BtfParameter,
  type BtfSectionVariable,
  type BtfType,
} from "./btf.ts";
export {
  programSpec,
  programTypeOfSection,
  understoodPrograms,
  type ProgramChoice,
} from "./program.ts";
export {
  fillKconfig,
  type FilledKconfig,
  type KconfigLookup,
} from "./kconfig.ts";
export { readBtf } from "./read-btf.ts";
export { readObject } from "./read-object.ts";
export { hasVariable, portVariables, setVariable } from "./set-variable.ts";
export type {
  ExternSpec,
  ObjectSpec,
  ProgramEntry,
  RawSection,
  VariableSpec,
} from "./spec.ts";
export {
  addMap,
  addVariable,
  emptyObject,
  removeFunctions,
  removeMap,
  replaceFunctions,
  replaceMap,
  resizeMap,
  setMapType,
  sizeMaps,
} from "./edit.ts";
export { normalise } from "./normalise.ts";
export { writeObject } from "./write-object.ts";
export { writeBtf } from "./write-btf.ts";
