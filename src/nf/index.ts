export { checkNf, type CheckedNf, type Facts } from "./check/check.ts";
export { rules, type Rule, type RuleCode } from "./check/rules.ts";
export {
  diagnosticAt,
  printDiagnostic,
  type Said,
} from "./front/diagnostics.ts";
export { loadNf, ownLibraryPath } from "./front/load.ts";
export type {
  Callee,
  ConfigEntry,
  Constant,
  FunctionNode,
  LoadedNf,
  LoadFailure,
  LoadOptions,
  LoadResult,
  NfDiagnostic,
  NfSource,
  Scope,
  TextPlace,
} from "./front/loaded.ts";
export type { ts, Ts } from "./front/typescript-api.ts";
export * as library from "./library/index.ts";
export { lowerNf } from "./lower/lower-nf.ts";
export type { LoweredNf } from "./lower/lowered.ts";
