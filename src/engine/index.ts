export {
  loadPortable,
  PortableProgram,
  type LoadOptions,
} from "./wasm/program.ts";
