/**
 * The packet of one run, and the context that shows it.
 *
 *   hard start   256 bytes of head room                       frame end
 *   |------------------------|meta|data ............|tail room|
 *
 * An XDP frame is 4096 bytes of which 320 belong to the kernel's skb_shared_info at
 * the end and 40 to struct xdp_frame at the start; a longer packet gets a longer
 * frame. Addresses of data, data_end and data_meta are kept current in the context.
 *
 * Source: bpf_xdp_adjust_{head,meta,tail} in net/core/filter.c, bpf_test_run.
 */
import { InputError } from "../base/index.ts";
import { programTypeRow, type ProgramTypeName } from "../isa/index.ts";
import { errno } from "./errno.ts";
import { fault } from "./fault.ts";
import {
  contextBase,
  packetBase,
  packetSpace,
  PlainRegion,
  type Memory,
} from "./memory.ts";
import type { HostFrame } from "./host.ts";
import type { PacketInput } from "./outcome.ts";

const headRoom = 256;
const frameHeader = 40;
const sharedInfo = 320;
const pageSize = 4096;
const ethernetHeader = 14;
const longest = packetSpace - 2 * pageSize;

/** How texts of faults name a byte of the packet. */
const packetByte = "packet byte";

/** Is this the fault of an access that leaves the packet? */
export function leavesPacket(faultText: string): boolean {
  return faultText.includes(` at ${packetByte} `);
}

export class PacketFrame implements HostFrame {
  readonly contextAddress = contextBase;
  readonly packet = new PlainRegion(packetSpace / 16, packetByte);
  readonly context: PlainRegion;
  readonly type: ProgramTypeName;
  #big: PlainRegion | undefined;
  #region = this.packet;
  /** Offsets in the packet region. */
  #meta = headRoom;
  #data = headRoom;
  #end = headRoom;
  #frameEnd = pageSize;
  readonly #fields: ReadonlyMap<string, number>;

  constructor(type: ProgramTypeName) {
    const row = programTypeRow(type);
    this.type = type;
    this.context = new ContextRegion(type);
    this.#fields = new Map(
      row.context.map(({ name, offset }) => [name, offset]),
    );
  }

  get data(): number {
    return packetBase + this.#data;
  }
  get length(): number {
    return this.#end - this.#data;
  }

  /** Fills packet and context for a run. */
  load(input: PacketInput): PlainRegion {
    const { length } = input.data;
    if (length > longest)
      throw new InputError(`a packet of ${length} bytes is too long`, {
        code: "packet-too-long",
      });
    this.#region = this.packet;
    if (length + 2 * pageSize > this.packet.chunk.bytes.length) {
      this.#big ??= new PlainRegion(packetSpace, packetByte);
      this.#region = this.#big;
    }
    const { bytes } = this.#region.chunk;
    this.#meta = this.#data = headRoom;
    this.#end = headRoom + length;
    this.#frameEnd =
      Math.ceil((headRoom + length + sharedInfo) / pageSize) * pageSize -
      sharedInfo;
    // What was there before is nothing that a run may depend on.
    bytes.fill(0, 0, headRoom);
    bytes.set(input.data, headRoom);
    this.#loadContext(input);
    this.#publish();
    return this.#region;
  }

  /** A copy of the packet as it now is. */
  content(): Uint8Array {
    return this.#region.chunk.bytes.slice(this.#data, this.#end);
  }
  /** The packet's own bytes, a view. */
  bytes(offset: number, size: number): Uint8Array {
    return this.#region.chunk.bytes.subarray(
      this.#data + offset,
      this.#data + offset + size,
    );
  }

  adjustHead(delta: number): number {
    const data = this.#data + delta;
    const metaLength = this.#data - this.#meta;
    if (data < frameHeader + metaLength || data > this.#end - ethernetHeader)
      return -errno.EINVAL;
    this.#region.chunk.bytes.copyWithin(
      this.#meta + delta,
      this.#meta,
      this.#data,
    );
    this.#meta += delta;
    this.#data = data;
    this.#publish();
    return 0;
  }

  adjustMeta(delta: number): number {
    const meta = this.#meta + delta;
    const length = this.#data - meta;
    if (meta < frameHeader || meta > this.#data) return -errno.EINVAL;
    if ((length & 3) !== 0 || length > 252) return -errno.EACCES;
    this.#meta = meta;
    this.#publish();
    return 0;
  }

  adjustTail(delta: number): number {
    const end = this.#end + delta;
    if (end > this.#frameEnd || end < this.#data + ethernetHeader)
      return -errno.EINVAL;
    if (delta > 0) this.#region.chunk.bytes.fill(0, this.#end, end);
    this.#end = end;
    this.#publish();
    return 0;
  }

  /** Opens (or closes, when negative) `delta` bytes at `offset`; new ones are zero. */
  resizeAt(offset: number, delta: number): number {
    const end = this.#end + delta;
    if (end > this.#region.chunk.bytes.length || end < this.#data)
      return -errno.ENOMEM;
    const { bytes } = this.#region.chunk;
    const at = this.#data + offset;
    bytes.copyWithin(
      Math.max(at + delta, at),
      Math.max(at - delta, at),
      this.#end,
    );
    if (delta > 0) bytes.fill(0, at, at + delta);
    this.#end = end;
    this.#publish();
    return 0;
  }

  getField(name: string): number {
    const offset = this.#fields.get(name);
    if (offset === undefined) return 0;
    return this.context.chunk.view.getUint32(offset, true);
  }
  setField(name: string, value: number | bigint): void {
    const offset = this.#fields.get(name);
    if (offset === undefined) return;
    const { view } = this.context.chunk;
    if (typeof value === "bigint") view.setBigUint64(offset, value, true);
    else view.setUint32(offset, value, true);
  }

  /** The context without pointers, to compare runs of engines. */
  contextWithoutPointers(): Uint8Array {
    const copy = this.context.chunk.bytes.slice();
    for (const name of ["data", "data_end", "data_meta"]) {
      const at = this.#fields.get(name);
      if (at !== undefined) copy.fill(0, at, at + 4);
    }
    return copy;
  }

  #loadContext({ data, ifindex, rxQueue, time }: PacketInput): void {
    const { bytes, view } = this.context.chunk;
    bytes.fill(0);
    if (this.type === "tracepoint") {
      bytes.set(data.subarray(0, bytes.length));
      return;
    }
    this.setField("ingress_ifindex", ifindex);
    if (this.type === "xdp") {
      this.setField("rx_queue_index", rxQueue);
      return;
    }
    this.setField("ifindex", ifindex);
    this.setField("queue_mapping", rxQueue);
    this.setField("protocol", protocolOf(data));
    const stamp = this.#fields.get("tstamp");
    if (stamp !== undefined)
      view.setBigUint64(stamp, BigInt.asUintN(64, time), true);
  }

  #publish(): void {
    this.#region.low = this.#meta;
    this.#region.high = this.#end;
    this.setField("data", packetBase + this.#data);
    this.setField("data_end", packetBase + this.#end);
    this.setField("data_meta", packetBase + this.#meta);
    this.setField("len", this.length);
    this.setField("wire_len", this.length);
  }
}

/** The context: all of it may be read, the fields that the table says written. */
class ContextRegion extends PlainRegion {
  readonly #writable: Uint8Array;

  constructor(type: ProgramTypeName) {
    const { context, contextSize } = programTypeRow(type);
    super(contextSize, "context byte");
    this.#writable = new Uint8Array(contextSize);
    for (const { offset, size, writable } of context)
      if (writable === true) this.#writable.fill(1, offset, offset + size);
  }

  override locate(
    memory: Memory,
    offset: number,
    size: number,
    write: boolean,
  ): void {
    super.locate(memory, offset, size);
    if (write && this.#writable.subarray(offset, offset + size).includes(0))
      fault(`${size} bytes at ${this.what} ${offset} may not be written`);
  }
}

/** As eth_type_trans tells it, in network order: below 1536 it was a length. */
export function protocolOf(data: Uint8Array): number {
  const byte = (at: number): number => data[at] ?? 0;
  if (byte(12) >= 6) return byte(12) | (byte(13) << 8);
  return byte(14) === 0xff && byte(15) === 0xff ? 0x0100 : 0x0400;
}

/** Checks that `size` bytes at `offset` of the packet exist. */
export function inPacket(
  frame: HostFrame,
  offset: number,
  size: number,
): boolean {
  return offset >= 0 && offset + size <= frame.length;
}
