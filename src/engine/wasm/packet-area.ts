/**
 * Packets of a batch in linear memory: descriptors, and frames with room around.
 *
 *   hard start   256 bytes of head room               hard end
 *   |------------------------|data ............|tail room|
 *
 * Room as the kernel's test run and interp have it: 40 bytes at the start belong to
 * struct xdp_frame, 320 at the end of the last 4096-byte page to skb_shared_info.
 * Tail room takes memory only if the program may grow packets.
 *
 * XDP contexts are filled by the compiled loop. Of other types a batch is one packet
 * with all the room there is, and its context is filled here.
 */
import { InputError } from "../../base/index.ts";
import {
  contextLayout,
  descriptor,
  type ContextLayout,
  type Layout,
} from "../../codegen/index.ts";
import {
  errno,
  protocolOf,
  type HostFrame,
  type PacketInput,
} from "../../interp/index.ts";
import {
  helperByName,
  programTypeRow,
  type ProgramTypeName,
} from "../../isa/index.ts";
import type { MemoryView } from "./memory-view.ts";

export const headRoom = 256;
const frameHeader = 40;
const sharedInfo = 320;
const framePage = 4096;
const ethernetHeader = 14;
/** Packets of one batch: few enough for frames and descriptors to stay cached. */
export const mostPackets = 256;

/** Bytes that a socket buffer has room for, as in interp. */
const bufferRoom = 1 << 17;

/** How much room a program's frames need, by the helpers it calls. */
export class FrameShape {
  /** Whether a run may see what lies in front of the packet: it is zero then. */
  readonly showsHeadRoom: boolean;
  readonly #grows: boolean;
  /** Whether a helper may make a socket buffer longer. */
  readonly #resizes: boolean;

  constructor(helpers: ReadonlySet<string>) {
    this.#grows = helpers.has("xdp_adjust_tail");
    this.#resizes = [...helpers].some(
      (name) =>
        !name.startsWith("xdp_") &&
        helperByName(name)?.invalidatesPacket === true,
    );
    this.showsHeadRoom =
      helpers.has("xdp_adjust_head") || helpers.has("xdp_adjust_meta");
  }

  /** Bytes from the hard start to the hard end. */
  frameSize(length: number): number {
    const least = headRoom + length + sharedInfo;
    return ((least + framePage - 1) & -framePage) - sharedInfo;
  }

  /** Bytes of memory that a frame takes. */
  span(length: number): number {
    if (this.#resizes) return Math.max(bufferRoom, headRoom + length);
    return this.#grows ? this.frameSize(length) : headRoom + length;
  }
}

export class PacketArea implements HostFrame {
  readonly type: ProgramTypeName;
  readonly contextAddress: number;
  /** Packets put in since `clear`. */
  count = 0;
  readonly #memory: MemoryView;
  readonly #layout: Layout;
  readonly #shape: FrameShape;
  readonly #context: ContextLayout;
  readonly #fields: ReadonlyMap<string, number>;
  readonly #limit: number;
  #next: number;

  constructor(
    memory: MemoryView,
    layout: Layout,
    about: {
      readonly type: ProgramTypeName;
      readonly helpers: ReadonlySet<string>;
    },
  ) {
    const { type, helpers } = about;
    this.type = type;
    this.contextAddress = layout.cell.context;
    this.#context = contextLayout(type, layout.cell);
    this.#fields = new Map(
      programTypeRow(type).context.map(({ name, offset }) => [name, offset]),
    );
    this.#limit = type === "xdp" ? mostPackets : 1;
    this.#memory = memory;
    this.#layout = layout;
    this.#shape = new FrameShape(helpers);
    this.#next = layout.packets.start;
  }

  clear(): void {
    this.count = 0;
    this.#next = this.#layout.packets.start;
  }

  /** False when the batch is full. */
  add(input: PacketInput): boolean {
    const { length } = input.data;
    const end = this.#next + this.#shape.span(length);
    if (this.count === this.#limit) return false;
    if (end > this.#layout.packets.end) {
      if (this.count > 0) return false;
      throw new InputError(`a packet of ${length} bytes is too long`, {
        code: "packet-too-long",
      });
    }
    if (!(input.cpu >= 0 && input.cpu < this.#layout.cpus))
      throw new InputError(
        `the packet is on CPU ${input.cpu}, but the program was loaded for ${this.#layout.cpus}`,
        { code: "cpu-unknown" },
      );
    const start = this.#next;
    const { bytes, data } = this.#memory;
    if (this.#shape.showsHeadRoom) bytes.fill(0, start, start + headRoom);
    bytes.set(input.data, start + headRoom);
    const at = this.descriptorOf(this.count++);
    data.setUint32(at + descriptor.data, start + headRoom, true);
    data.setUint32(at + descriptor.length, length, true);
    data.setUint32(at + descriptor.ifindex, input.ifindex, true);
    data.setUint32(at + descriptor.rxQueue, input.rxQueue, true);
    data.setUint32(at + descriptor.cpu, input.cpu, true);
    data.setBigUint64(
      at + descriptor.time,
      BigInt.asUintN(64, input.time),
      true,
    );
    data.setUint32(at + descriptor.redirectKind, 0, true);
    data.setUint32(at + descriptor.hardStart, start, true);
    data.setUint32(
      at + descriptor.hardEnd,
      start + this.#shape.frameSize(length),
      true,
    );
    this.fillContext(input, start + headRoom);
    // A line of its own for each packet.
    this.#next = Math.ceil(end / 64) * 64;
    return true;
  }

  descriptorOf(index: number): number {
    return this.#layout.descriptors + index * descriptor.size;
  }
  indexOf(at: number): number {
    return (at - this.#layout.descriptors) / descriptor.size;
  }

  /** Where the frame lies as the run left it. */
  outputPlace(index: number): { readonly at: number; readonly length: number } {
    const field = this.descriptorOf(index);
    const at = this.#memory.u32(field + descriptor.outData);
    return { at, length: this.#memory.u32(field + descriptor.outEnd) - at };
  }
  /** The frame as the run left it; a view. */
  output(index: number): Uint8Array {
    const { at, length } = this.outputPlace(index);
    return this.#memory.bytes.subarray(at, at + length);
  }

  /** What a slot's packet is; its frame as it is now. */
  input(slot: number): PacketInput {
    const at = this.descriptorOf(slot);
    const get = (field: number): number => this.#memory.u32(at + field);
    const [start, length] = [get(descriptor.data), get(descriptor.length)];
    return {
      data: this.#memory.bytes.subarray(start, start + length),
      ifindex: get(descriptor.ifindex),
      rxQueue: get(descriptor.rxQueue),
      cpu: get(descriptor.cpu),
      time: this.#memory.data.getBigUint64(at + descriptor.time, true),
    };
  }

  /** What the packet loop does after a packet, for one whose run was cut short. */
  abort(index: number): void {
    const at = this.descriptorOf(index);
    this.#memory.setU32(at + descriptor.verdict, 0);
    this.#memory.setU32(at + descriptor.outData, this.data);
    this.#memory.setU32(at + descriptor.outEnd, this.#end);
  }

  get data(): number {
    return this.#memory.u32(this.#context.data);
  }
  get contextSize(): number {
    return this.#context.size;
  }
  get length(): number {
    return this.#end - this.data;
  }
  get #end(): number {
    return this.#memory.u32(this.#context.dataEnd);
  }
  /** First and last address but one that the program may touch. */
  get bounds(): readonly [start: number, end: number] {
    return [this.#memory.u32(this.#context.dataMeta), this.#end];
  }

  content(): Uint8Array {
    return this.#memory.bytes.slice(this.data, this.#end);
  }
  bytes(offset: number, size: number): Uint8Array {
    const at = this.data + offset;
    return this.#memory.bytes.subarray(at, at + size);
  }

  getField(name: string): number {
    const offset = this.#fields.get(name);
    return offset === undefined
      ? 0
      : this.#memory.u32(this.contextAddress + offset);
  }
  setField(name: string, value: number | bigint): void {
    const offset = this.#fields.get(name);
    if (offset === undefined) return;
    const at = this.contextAddress + offset;
    if (typeof value === "bigint")
      this.#memory.data.setBigUint64(at, value, true);
    else this.#memory.setU32(at, value);
  }

  /** The context after a run without its pointers; undefined for XDP, which has no more. */
  contextBytes(): Uint8Array | undefined {
    if (this.type === "xdp") return undefined;
    const { size, data, dataEnd, dataMeta } = this.#context;
    const copy = this.#memory.copy(this.contextAddress, size);
    for (const pointer of [data, dataEnd, dataMeta])
      if (pointer < this.contextAddress + size)
        copy.fill(
          0,
          pointer - this.contextAddress,
          pointer - this.contextAddress + 4,
        );
    return copy;
  }

  adjustHead(delta: number): number {
    const [old, end, oldMeta] = this.#place();
    const data = old + delta;
    const metaLength = old - oldMeta;
    const lowest = this.#current(descriptor.hardStart) + frameHeader;
    if (data < lowest + metaLength || data > end - ethernetHeader)
      return -errno.EINVAL;
    this.#memory.bytes.copyWithin(oldMeta + delta, oldMeta, old);
    this.#publish(data, end, oldMeta + delta);
    return 0;
  }

  adjustMeta(delta: number): number {
    const [data, end, oldMeta] = this.#place();
    const meta = oldMeta + delta;
    const length = data - meta;
    const lowest = this.#current(descriptor.hardStart) + frameHeader;
    if (meta < lowest || meta > data) return -errno.EINVAL;
    if ((length & 3) !== 0 || length > 252) return -errno.EACCES;
    this.#publish(data, end, meta);
    return 0;
  }

  adjustTail(delta: number): number {
    const [data, old, meta] = this.#place();
    const end = old + delta;
    if (end > this.#current(descriptor.hardEnd) || end < data + ethernetHeader)
      return -errno.EINVAL;
    if (delta > 0) this.#memory.bytes.fill(0, old, end);
    this.#publish(data, end, meta);
    return 0;
  }

  resizeAt(offset: number, delta: number): number {
    const [data, old, meta] = this.#place();
    const end = old + delta;
    const last = this.#current(descriptor.hardStart) + bufferRoom;
    if (end > last || end < data) return -errno.ENOMEM;
    const { bytes } = this.#memory;
    const at = data + offset;
    bytes.copyWithin(Math.max(at + delta, at), Math.max(at - delta, at), old);
    if (delta > 0) bytes.fill(0, at, at + delta);
    this.#publish(data, end, meta);
    return 0;
  }

  #place(): readonly [data: number, end: number, meta: number] {
    return [this.data, this.#end, this.#memory.u32(this.#context.dataMeta)];
  }
  #publish(data: number, end: number, meta: number): void {
    const memory = this.#memory;
    memory.setU32(this.#context.data, data);
    memory.setU32(this.#context.dataEnd, end);
    memory.setU32(this.#context.dataMeta, meta);
    if (this.type === "xdp") return;
    this.setField("len", end - data);
    this.setField("wire_len", end - data);
  }
  #current(field: number): number {
    return this.#memory.u32(this.#memory.current + field);
  }

  /** As interp does it for these types. */
  fillContext(input: PacketInput, start: number): void {
    if (this.type === "xdp") return;
    const { bytes, data: view } = this.#memory;
    const { data, ifindex, rxQueue, time } = input;
    const { size } = this.#context;
    bytes.fill(0, this.contextAddress, this.contextAddress + size);
    this.#publish(start, start + data.length, start);
    if (this.type === "tracepoint") {
      bytes.set(data.subarray(0, size), this.contextAddress);
      return;
    }
    this.setField("ingress_ifindex", ifindex);
    this.setField("ifindex", ifindex);
    this.setField("queue_mapping", rxQueue);
    this.setField("protocol", protocolOf(data));
    const stamp = this.#fields.get("tstamp");
    if (stamp !== undefined)
      view.setBigUint64(
        this.contextAddress + stamp,
        BigInt.asUintN(64, time),
        true,
      );
  }
}
