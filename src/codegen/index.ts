export {
  compile,
  placeOfSite,
  type CompiledProgram,
  type CompileOptions,
  type HelperImport,
} from "./wasm/compile.ts";
export {
  cell,
  context,
  descriptor,
  type Layout,
  type MapLayout,
} from "./wasm/layout.ts";
export { hashConstants } from "./wasm/table-lookup.ts";
export type { Control } from "./wasm/translate.ts";
