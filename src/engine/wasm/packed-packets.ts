/**
 * Packets in columns: what a feeder can hand to workers without making a value for
 * each, and what workers can read for themselves. Times are two 32-bit halves, frames
 * lie in one array, each at a multiple of 8. Nothing is changed once it is packed.
 */
import type { PacketInput } from "../../interp/index.ts";

/** Words of a packet's row; `time` is two of them, low half first. */
export const column = {
  at: 0,
  length: 1,
  time: 2,
  ifindex: 4,
  rxQueue: 5,
  cpu: 6,
  hasRandom: 7,
  random: 8,
  size: 10,
} as const;

/** What threads are given of packed packets. */
export interface PackedParts {
  readonly count: number;
  readonly frames: SharedArrayBuffer;
  readonly rows: SharedArrayBuffer;
}

export class PackedPackets implements Iterable<PacketInput> {
  readonly parts: PackedParts;
  readonly count: number;
  /** All frames; the same bytes as words. */
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  /** `column.size` words for each packet. */
  readonly rows: Int32Array;
  /** The same, for times. */
  readonly #wide: BigInt64Array;

  /** The same packets in another thread. */
  constructor(parts: PackedParts) {
    this.parts = parts;
    this.count = parts.count;
    this.bytes = new Uint8Array(parts.frames);
    this.words = new Int32Array(parts.frames);
    this.rows = new Int32Array(parts.rows);
    this.#wide = new BigInt64Array(parts.rows);
  }

  static pack(packets: readonly PacketInput[]): PackedPackets {
    const count = packets.length;
    let size = 0;
    for (const { data } of packets) size += aligned(data.length);
    const packed = new PackedPackets({
      count,
      frames: new SharedArrayBuffer(size),
      rows: new SharedArrayBuffer(4 * column.size * count),
    });
    let at = 0;
    let row = 0;
    for (const packet of packets) {
      packed.#put(packet, row, at);
      at += aligned(packet.data.length);
      row += column.size;
    }
    return packed;
  }

  length(index: number): number {
    return this.#get(index, column.length);
  }

  /** The packet as a value; its frame is a view. */
  packet(index: number): PacketInput {
    const get = (field: number): number => this.#get(index, field);
    const at = get(column.at);
    const high = BigInt(get(column.time + 1) >>> 0);
    return {
      data: this.bytes.subarray(at, at + get(column.length)),
      ifindex: get(column.ifindex),
      rxQueue: get(column.rxQueue),
      cpu: get(column.cpu),
      time: (high << 32n) | BigInt(get(column.time) >>> 0),
      ...(get(column.hasRandom) === 0 ? {} : { random: get(column.random) }),
    };
  }

  *[Symbol.iterator](): Iterator<PacketInput> {
    for (let index = 0; index < this.count; index++) yield this.packet(index);
  }

  #put(packet: PacketInput, row: number, at: number): void {
    const { data, random } = packet;
    const { length } = data;
    const rows = this.rows;
    rows[row + column.at] = at;
    rows[row + column.length] = length;
    rows[row + column.ifindex] = packet.ifindex;
    rows[row + column.rxQueue] = packet.rxQueue;
    rows[row + column.cpu] = packet.cpu;
    this.#wide[(row + column.time) >>> 1] = packet.time;
    if (random !== undefined) {
      rows[row + column.hasRandom] = 1;
      rows[row + column.random] = random;
    }
    this.bytes.set(data, at);
  }

  #get(index: number, field: number): number {
    return this.rows[index * column.size + field] ?? 0;
  }
}

function aligned(length: number): number {
  return (length + 7) & ~7;
}
