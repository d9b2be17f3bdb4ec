/**
 * `divisi/nf`: network functions in TypeScript.
 *
 * Declare configuration, state and a handler with `nf`; run it as plain JavaScript
 * with `open`; `divisi` compiles the same file.
 */
export { buildFrame as frame, type FrameSpec } from "../../packet/index.ts";
export { div, max, min, mul32 } from "./arithmetic.ts";
export { ArrayMap, array, type ArrayOptions } from "./array-map.ts";
export { BloomFilter, bloomFilter, type BloomOptions } from "./bloom-filter.ts";
export { Chain, type ChainOptions } from "./chain.ts";
export { now } from "./clock.ts";
export {
  CellSketch,
  CountSketch,
  countMinSketch,
  type SketchOptions,
} from "./count-min-sketch.ts";
export { Counter, counter } from "./counter.ts";
export type {
  Composite,
  Declaration,
  MapEntry,
  MapKind,
  Part,
  Primitive,
} from "./declaration.ts";
export {
  ExpiringMap,
  hashMap,
  type Entry,
  type ExpiringOptions,
} from "./expiring-map.ts";
export { hash } from "./hash.ts";
export { HashMap, type HashOptions } from "./hash-map.ts";
export type {
  Bytes,
  EthernetHeader,
  IcmpHeader,
  Ipv4Header,
  Ipv6Header,
  Packet,
  Payload,
  Ports,
  TcpHeader,
  Transport,
  UdpHeader,
  VlanTag,
} from "./headers.ts";
export {
  IndexAllocator,
  indexAllocator,
  type AllocatorOptions,
} from "./index-allocator.ts";
export {
  configured,
  open,
  partsOf,
  type Arrival,
  type Emitted,
  type Instance,
  type OpenOptions,
  type Outcome,
} from "./instance.ts";
export { LpmTrie, lpmTrie, type LpmOptions } from "./lpm-trie.ts";
export { LruMap, lruMap } from "./lru-map.ts";
export { Maglev, maglev, type MaglevOptions } from "./maglev.ts";
export {
  nf,
  type AnyNf,
  type Config,
  type Context,
  type Nf,
  type NfOptions,
  type State,
} from "./nf.ts";
export { perCpu } from "./per-cpu.ts";
export { RingEvents, ringEvents, type RingOptions } from "./ring-events.ts";
export {
  be16,
  be32,
  be64,
  bool,
  i16,
  i32,
  i64,
  i8,
  ipv4,
  mac,
  scalarRange,
  u16,
  u32,
  u64,
  u8,
  type BigintType,
  type BoolType,
  type MacType,
  type NumberType,
  type ScalarDescription,
  type ScalarName,
  type ScalarType,
} from "./scalar.ts";
export {
  struct,
  vector,
  type CellType,
  type FieldLayout,
  type Fields,
  type IndexedType,
  type Ref,
  type StructDescription,
  type StructType,
  type StructValue,
  type Type,
  type ValueOf,
  type VectorDescription,
  type VectorType,
} from "./struct.ts";
export {
  Bucket,
  TokenBucket,
  tokenBucket,
  type BucketOptions,
} from "./token-bucket.ts";
export { bytesOf, copy, copyMember, zero } from "./value.ts";
export {
  aborted,
  drop,
  flood,
  out,
  pass,
  redirect,
  tx,
  type Verdict,
} from "./verdict.ts";
export {
  etherTypes,
  headerSizes,
  protocols,
  tcpFlags,
  viewFields,
  type Fix,
  type ViewField,
  type ViewName,
} from "./view-table.ts";
