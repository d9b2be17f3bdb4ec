export { ByteReader, ByteWriter, equalBytes, fromHex, toHex } from "./bytes.ts";
export type { Diagnostic, SourceDiagnostic } from "./diagnostic.ts";
export {
  Bug,
  InputError,
  UnsupportedError,
  VerifierError,
  unreachable,
  type FaultPlace,
  type InputErrorOptions,
} from "./errors.ts";
export { id, type Id } from "./id.ts";
export { printPlace, type Place } from "./place.ts";
export { Random } from "./random.ts";
export { nearest, printable } from "./text.ts";
