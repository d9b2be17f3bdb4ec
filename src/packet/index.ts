export {
  fieldPosition,
  layerOffset,
  readBit,
  readField,
  setField,
} from "./access.ts";
export {
  inPrefix,
  parseIpv4,
  parseIpv6,
  parseMac,
  parsePrefix,
  printIpv4,
  printIpv6,
  printMac,
  type Prefix,
} from "./address.ts";
export { buildFrame, tcpFlags, type FrameSpec } from "./build.ts";
export {
  checkChecksums,
  foldChecksum,
  internetChecksum,
  refreshChecksums,
  sumWords,
  updateChecksum,
  type ChecksumReport,
  type ChecksumState,
} from "./checksum.ts";
export type { FieldBit, FieldName } from "./field.ts";
export {
  parseFieldList,
  parseFieldSpec,
  printFieldSpec,
  specBits,
  type FieldSpec,
} from "./field-spec.ts";
export {
  fieldBits,
  fieldNames,
  fields,
  isFieldName,
  type FieldRow,
  type Layer,
} from "./fields.ts";
export {
  fiveTuple,
  flowKey,
  reverseTuple,
  type FiveTuple,
} from "./five-tuple.ts";
export {
  innerFrame,
  parseFrame,
  type Fragment,
  type L3,
  type L4,
  type ParsedFrame,
  type Tunnel,
} from "./parse.ts";
export { replyTo } from "./reply.ts";
