export type { FieldBit, FieldName } from "./field.ts";
