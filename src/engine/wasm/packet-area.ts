/**
 * Packets of a batch in linear memory: descriptors, and frames with room around.
 *
 *   hard start   256 bytes of head room               hard end
 *   |------------------------|data ............|tail room|
 *
 * Room as the kernel's test run and interp have it: 40 bytes at the start belong to
 * struct xdp_frame, 320 at the end of the last 4096-byte page to skb_shared_info.
 * Tail room takes memory only if the program may grow packets.
 */
import { InputError } from "../../base/index.ts";
import { context, descriptor, type Layout } from "../../codegen/index.ts";
import { errno, type PacketInput } from "../../interp/index.ts";
import type { MemoryView } from "./memory-view.ts";

const headRoom = 256;
const frameHeader = 40;
const sharedInfo = 320;
const framePage = 4096;
const ethernetHeader = 14;

export class PacketArea {
  /** Packets put in since `clear`. */
  count = 0;
  readonly #memory: MemoryView;
  readonly #layout: Layout;
  readonly #grows: boolean;
  readonly #showsHeadRoom: boolean;
  #next: number;

  constructor(
    memory: MemoryView,
    layout: Layout,
    helpers: ReadonlySet<string>,
  ) {
    this.#memory = memory;
    this.#layout = layout;
    this.#grows = helpers.has("xdp_adjust_tail");
    this.#showsHeadRoom =
      helpers.has("xdp_adjust_head") || helpers.has("xdp_adjust_meta");
    this.#next = layout.packets.start;
  }

  clear(): void {
    this.count = 0;
    this.#next = this.#layout.packets.start;
  }

  /** False when the batch is full. */
  add(input: PacketInput): boolean {
    const { length } = input.data;
    const frameEnd =
      Math.ceil((headRoom + length + sharedInfo) / framePage) * framePage -
      sharedInfo;
    const end = this.#next + (this.#grows ? frameEnd : headRoom + length);
    if (this.count === this.#layout.batchPackets) return false;
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
    if (this.#showsHeadRoom) bytes.fill(0, start, start + headRoom);
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
    data.setUint32(at + descriptor.hardEnd, start + frameEnd, true);
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

  /** The frame as the run left it; a view. */
  output(index: number): Uint8Array {
    const at = this.descriptorOf(index);
    return this.#memory.bytes.subarray(
      this.#memory.u32(at + descriptor.outData),
      this.#memory.u32(at + descriptor.outEnd),
    );
  }

  /** What the packet loop does after a packet, for one whose run was cut short. */
  abort(index: number): void {
    const at = this.descriptorOf(index);
    this.#memory.setU32(at + descriptor.verdict, 0);
    this.#memory.setU32(at + descriptor.outData, this.#get(context.data));
    this.#memory.setU32(at + descriptor.outEnd, this.#get(context.dataEnd));
  }

  get length(): number {
    return this.#get(context.dataEnd) - this.#get(context.data);
  }

  /** `size` bytes of the current packet exist at `offset`; their address. */
  bytesAt(offset: number): number {
    return this.#get(context.data) + offset;
  }

  adjustHead(delta: number): number {
    const [old, end, oldMeta] = this.#place();
    const data = old + delta;
    const metaLength = old - oldMeta;
    const lowest = this.#current(descriptor.hardStart) + frameHeader;
    if (data < lowest + metaLength || data > end - ethernetHeader)
      return -errno.EINVAL;
    this.#memory.bytes.copyWithin(oldMeta + delta, oldMeta, old);
    this.#set(context.data, data);
    this.#set(context.dataMeta, oldMeta + delta);
    return 0;
  }

  adjustMeta(delta: number): number {
    const [data, , oldMeta] = this.#place();
    const meta = oldMeta + delta;
    const length = data - meta;
    const lowest = this.#current(descriptor.hardStart) + frameHeader;
    if (meta < lowest || meta > data) return -errno.EINVAL;
    if ((length & 3) !== 0 || length > 252) return -errno.EACCES;
    this.#set(context.dataMeta, meta);
    return 0;
  }

  adjustTail(delta: number): number {
    const [data, old] = this.#place();
    const end = old + delta;
    if (end > this.#current(descriptor.hardEnd) || end < data + ethernetHeader)
      return -errno.EINVAL;
    if (delta > 0) this.#memory.bytes.fill(0, old, end);
    this.#set(context.dataEnd, end);
    return 0;
  }

  #place(): readonly [data: number, end: number, meta: number] {
    return [
      this.#get(context.data),
      this.#get(context.dataEnd),
      this.#get(context.dataMeta),
    ];
  }
  #current(field: number): number {
    return this.#memory.u32(this.#memory.current + field);
  }
  #get(field: number): number {
    return this.#memory.u32(this.#layout.cell.context + field);
  }
  #set(field: number, value: number): void {
    this.#memory.setU32(this.#layout.cell.context + field, value);
  }
}
