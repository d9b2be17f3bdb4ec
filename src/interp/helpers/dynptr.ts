/**
 * Dynamic pointers: 16 bytes on the program's stack that the program does not look into.
 *
 *   byte 0           8                   12
 *        | address   | size and kind     | offset |
 *
 * Kind in bits 28 … 30 of the size, read-only in bit 31, as in the kernel; a null one is
 * all zeros. Of a packet the address is 1 and the offset counts from its start, so
 * that it stays right when the packet moves.
 *
 * Source: kernel/bpf/helpers.c (bpf_dynptr_*), kernel/bpf/ringbuf.c, net/core/filter.c.
 */
import { errno } from "../errno.ts";
import { fault } from "../fault.ts";
import type { Host, HelperFunction } from "../host.ts";
import { inPacket } from "../packet-frame.ts";
import { finishRecord, reserveRecord } from "./events.ts";
import { needContext } from "./packet.ts";

const kinds = { local: 1, ring: 2, packet: 3 } as const;
const readOnlyBit = 0x8000_0000;
const longest = (1 << 24) - 1;
const packetAddress = 1;

interface Dynptr {
  readonly address: number;
  readonly kind: number;
  readonly readOnly: boolean;
  readonly size: number;
  readonly offset: number;
}

const none: Dynptr = {
  address: 0,
  kind: 0,
  readOnly: false,
  size: 0,
  offset: 0,
};

function readDynptr({ memory, args }: Host, register: number): Dynptr {
  memory.locate(args.address(register), 16, false);
  const { chunk, at } = memory;
  const size = chunk.view.getUint32(at + 8, true);
  return {
    address: chunk.view.getUint32(at, true),
    kind: (size >>> 28) & 7,
    readOnly: size >= readOnlyBit,
    size: size & longest,
    offset: chunk.view.getUint32(at + 12, true),
  };
}

function writeDynptr(host: Host, register: number, pointer: Dynptr): void {
  const { memory, args } = host;
  memory.locate(args.address(register), 16, true);
  const { chunk, at } = memory;
  const bits = (pointer.kind << 28) | (pointer.readOnly ? readOnlyBit : 0);
  chunk.view.setUint32(at, pointer.address, true);
  chunk.view.setUint32(at + 4, 0, true);
  chunk.view.setUint32(at + 8, bits | pointer.size, true);
  chunk.view.setUint32(at + 12, pointer.offset, true);
}

function isOutside({ size }: Dynptr, offset: number, length: number): boolean {
  return length > size || offset > size - length;
}

/** The error, and a null pointer where a fresh one was to be. */
function refused(host: Host, register: number, error: number): number {
  writeDynptr(host, register, none);
  return -error;
}

const fromMemory: HelperFunction = (host) => {
  const size = host.args.low(2);
  if (size > longest) return refused(host, 4, errno.E2BIG);
  if (host.args.word(3) !== 0n) return refused(host, 4, errno.EINVAL);
  const address = host.args.address(1);
  host.bytes(1, size, true);
  writeDynptr(host, 4, { ...none, address, kind: kinds.local, size });
  return 0;
};

/** Only a classifier may write through the dynptr of a socket buffer. */
const fromPacket: HelperFunction = (host) => {
  needContext(host);
  if (host.args.word(2) !== 0n) return refused(host, 3, errno.EINVAL);
  writeDynptr(host, 3, {
    address: packetAddress,
    kind: kinds.packet,
    readOnly: host.frame.type === "socket_filter",
    size: host.frame.length,
    offset: 0,
  });
  return 0;
};

const reserve: HelperFunction = (host) => {
  const size = host.args.low(2);
  if (host.args.word(3) !== 0n) return refused(host, 4, errno.EINVAL);
  if (size > longest) return refused(host, 4, errno.E2BIG);
  const address = reserveRecord(host, size);
  if (address === 0) return refused(host, 4, errno.EINVAL);
  writeDynptr(host, 4, { ...none, address, kind: kinds.ring, size });
  return 0;
};

function finish(submit: boolean): HelperFunction {
  return (host) => {
    const { address } = readDynptr(host, 1);
    if (address === 0) return 0;
    finishRecord(host, address, submit);
    writeDynptr(host, 1, none);
    return 0;
  };
}

/** Bytes of what the pointer points to; undefined where the packet has become shorter. */
function bytesOf(
  host: Host,
  pointer: Dynptr,
  place: { readonly offset: number; readonly size: number },
  write: boolean,
): Uint8Array | undefined {
  const at = pointer.offset + place.offset;
  if (pointer.kind !== kinds.packet)
    return host.memory.bytes(pointer.address + at, place.size, write);
  if (!inPacket(host.frame, at, place.size)) return undefined;
  return host.frame.bytes(at, place.size);
}

function gone({ frame }: Host): number {
  return frame.type === "xdp" ? -errno.EINVAL : -errno.EFAULT;
}

const read: HelperFunction = (host) => {
  const size = host.args.low(2);
  const target = host.bytes(1, size, true);
  const pointer = readDynptr(host, 3);
  const offset = host.args.low(4);
  if (pointer.address === 0 || host.args.word(5) !== 0n) return -errno.EINVAL;
  if (isOutside(pointer, offset, size)) return -errno.E2BIG;
  const bytes = bytesOf(host, pointer, { offset, size }, false);
  if (bytes !== undefined) target.set(bytes);
  else if (host.frame.type !== "xdp") target.fill(0);
  return bytes === undefined ? gone(host) : 0;
};

const write: HelperFunction = (host) => {
  const pointer = readDynptr(host, 1);
  const offset = host.args.low(2);
  const size = host.args.low(4);
  const source = host.bytes(3, size).slice();
  const flags = host.args.word(5);
  if (pointer.address === 0 || pointer.readOnly) return -errno.EINVAL;
  if (isOutside(pointer, offset, size)) return -errno.E2BIG;
  const isBuffer = pointer.kind === kinds.packet && host.frame.type !== "xdp";
  if ((flags & (isBuffer ? ~3n : ~0n)) !== 0n) return -errno.EINVAL;
  const bytes = bytesOf(host, pointer, { offset, size }, true);
  if (bytes === undefined) return gone(host);
  bytes.set(source);
  if ((flags & 2n) !== 0n) host.frame.setField("hash", 0);
  return 0;
};

const data: HelperFunction = (host) => {
  const pointer = readDynptr(host, 1);
  const [offset, size] = [host.args.low(2), host.args.low(3)];
  if (pointer.address === 0 || isOutside(pointer, offset, size)) return 0;
  if (pointer.readOnly || pointer.kind === kinds.packet) return 0;
  return pointer.address + pointer.offset + offset;
};

function slice(writing: boolean): HelperFunction {
  return (host) => {
    const pointer = readDynptr(host, 1);
    const offset = host.args.low(2);
    const size = host.args.low(4);
    if (pointer.address === 0 || (writing && pointer.readOnly)) return 0;
    if (isOutside(pointer, offset, size)) return 0;
    const at = pointer.offset + offset;
    if (pointer.kind !== kinds.packet) return pointer.address + at;
    // A packet is one piece here: the caller's buffer is never needed.
    return inPacket(host.frame, at, size) ? host.frame.data + at : 0;
  };
}

const adjust: HelperFunction = (host) => {
  const pointer = readDynptr(host, 1);
  const [start, end] = [host.args.low(2), host.args.low(3)];
  if (pointer.address === 0 || start > end) return -errno.EINVAL;
  if (start > pointer.size || end > pointer.size) return -errno.ERANGE;
  const offset = pointer.offset + start;
  writeDynptr(host, 1, { ...pointer, offset, size: end - start });
  return 0;
};

const clone: HelperFunction = (host) => {
  const pointer = readDynptr(host, 1);
  writeDynptr(host, 2, pointer);
  return pointer.address === 0 ? -errno.EINVAL : 0;
};

export const dynptrHelpers: Readonly<Record<string, HelperFunction>> = {
  dynptr_from_mem: fromMemory,
  ringbuf_reserve_dynptr: reserve,
  ringbuf_submit_dynptr: finish(true),
  ringbuf_discard_dynptr: finish(false),
  dynptr_read: read,
  dynptr_write: write,
  dynptr_data: data,
};

function ofType(type: "xdp" | "skb"): HelperFunction {
  return (host) => {
    if ((host.frame.type === "xdp") !== (type === "xdp"))
      fault(`a dynptr of ${type} in a program of type ${host.frame.type}`);
    return fromPacket(host);
  };
}

export const dynptrKfuncs: Readonly<Record<string, HelperFunction>> = {
  bpf_dynptr_from_xdp: ofType("xdp"),
  bpf_dynptr_from_skb: ofType("skb"),
  bpf_dynptr_slice: slice(false),
  bpf_dynptr_slice_rdwr: slice(true),
  bpf_dynptr_adjust: adjust,
  bpf_dynptr_is_null: (host) => (readDynptr(host, 1).address === 0 ? 1 : 0),
  bpf_dynptr_is_rdonly: (host) => (readDynptr(host, 1).readOnly ? 1 : 0),
  bpf_dynptr_size: (host) => {
    const { address, size } = readDynptr(host, 1);
    return address === 0 ? -errno.EINVAL : size;
  },
  bpf_dynptr_clone: clone,
};
