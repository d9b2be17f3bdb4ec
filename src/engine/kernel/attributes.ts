/**
 * `union bpf_attr`: commands and the places of the members that are used here,
 * and the one way to fill it. Source: include/uapi/linux/bpf.h.
 */
import type { Syscalls } from "./syscalls.ts";
import { memory } from "./syscalls.ts";

// prettier-ignore
export const command = {
  mapCreate: 0, mapLookup: 1, mapUpdate: 2, mapDelete: 3, mapNextKey: 4,
  programLoad: 5, pin: 6, getPinned: 7, programAttach: 8, programDetach: 9, testRun: 10,
  programNextId: 11, mapNextId: 12, programFdById: 13, mapFdById: 14, objectInfo: 15, btfLoad: 18, btfFdById: 19,
  mapLookupAndDelete: 21, mapFreeze: 22, btfNextId: 23, mapLookupBatch: 24, mapLookupAndDeleteBatch: 25, mapUpdateBatch: 26, mapDeleteBatch: 27,
  rawTracepointOpen: 17, linkCreate: 28, linkUpdate: 29, linkFdById: 30, linkNextId: 31, enableStats: 32, linkDetach: 34,
} as const;

// Offset and size in bytes; 8-byte members take addresses of buffers too.
// prettier-ignore
const places = {
  mapCreate: { type: [0, 4], keySize: [4, 4], valueSize: [8, 4], maxEntries: [12, 4], flags: [16, 4], innerFd: [20, 4], numaNode: [24, 4], name: [28, 16], btfFd: [48, 4], btfKey: [52, 4], btfValue: [56, 4], extra: [64, 8] },
  mapElement: { fd: [0, 4], key: [8, 8], value: [16, 8], flags: [24, 8] },
  programLoad: {
    type: [0, 4], instructionCount: [4, 4], instructions: [8, 8], license: [16, 8], logLevel: [24, 4], logSize: [28, 4], log: [32, 8],
    kernelVersion: [40, 4], flags: [44, 4], name: [48, 16], ifindex: [64, 4], attachType: [68, 4], btfFd: [72, 4], functionInfoSize: [76, 4], functionInfo: [80, 8], functionInfoCount: [88, 4],
    lineInfoSize: [92, 4], lineInfo: [96, 8], lineInfoCount: [104, 4],
    attachBtfId: [108, 4], attachProgramFd: [112, 4], relocationCount: [116, 4], fdArray: [120, 8], relocations: [128, 8], relocationSize: [136, 4], logTrueSize: [140, 4],
  },
  testRun: {
    fd: [0, 4], verdict: [4, 4], sizeIn: [8, 4], sizeOut: [12, 4], dataIn: [16, 8], dataOut: [24, 8], repeat: [32, 4], duration: [36, 4],
    contextSizeIn: [40, 4], contextSizeOut: [44, 4], contextIn: [48, 8], contextOut: [56, 8], flags: [64, 4], cpu: [68, 4], batch: [72, 4],
  },
  mapBatch: { inBatch: [0, 8], outBatch: [8, 8], keys: [16, 8], values: [24, 8], count: [32, 4], fd: [36, 4], elementFlags: [40, 8], flags: [48, 8] },
  pin: { path: [0, 8], fd: [8, 4], fileFlags: [12, 4], folderFd: [16, 4] },
  objectInfo: { fd: [0, 4], size: [4, 4], info: [8, 8] },
  id: { id: [0, 4], next: [4, 4], openFlags: [8, 4] },
  enableStats: { type: [0, 4] },
  rawTracepoint: { name: [0, 8], programFd: [8, 4] },
  linkCreate: { programFd: [0, 4], target: [4, 4], attachType: [8, 4], flags: [12, 4] },
  linkUpdate: { linkFd: [0, 4], programFd: [4, 4], flags: [8, 4], oldProgramFd: [12, 4] },
  linkDetach: { linkFd: [0, 4] },
  btfLoad: { btf: [0, 8], log: [8, 8], size: [16, 4], logSize: [20, 4], logLevel: [24, 4] },
} as const satisfies Record<string, Record<string, readonly [number, number]>>;

/** Bytes of the union that this file knows; the kernel accepts shorter and longer ones. */
const size = 144;

type Layout = keyof typeof places;
type Value = number | bigint | string | Buffer;

/** The attributes as a buffer; it keeps no reference to buffers it points to: the caller does. */
export function attributes<L extends Layout>(
  syscalls: Syscalls,
  layout: L,
  members: Partial<Record<keyof (typeof places)[L] & string, Value>>,
): Buffer {
  const buffer = memory(size);
  const table: Readonly<Record<string, readonly [number, number]>> =
    places[layout];
  for (const [name, value] of Object.entries<Value | undefined>(members)) {
    const [offset, bytes] = table[name] ?? [0, 0];
    if (value === undefined) continue;
    if (typeof value === "string")
      buffer.write(value.slice(0, bytes - 1), offset, "latin1");
    else if (Buffer.isBuffer(value))
      buffer.writeBigUInt64LE(syscalls.address(value), offset);
    else if (bytes === 8)
      buffer.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)), offset);
    else buffer.writeUInt32LE(Number(value) >>> 0, offset);
  }
  return buffer;
}

/** A 32-bit member that the kernel filled in. */
export function result<L extends Layout>(
  buffer: Buffer,
  layout: L,
  name: keyof (typeof places)[L] & string,
): number {
  const table: Readonly<Record<string, readonly [number, number]>> =
    places[layout];
  return buffer.readUInt32LE(table[name]?.[0] ?? 0);
}

/** A name as the kernel takes it: letters, digits, `_` and `.`, at most 15. */
export function kernelName(name: string): string {
  return name.replace(/[^\w.]/g, "_").slice(0, 15);
}
