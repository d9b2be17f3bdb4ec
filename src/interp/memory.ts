/**
 * The flat address space that programs see, and its regions.
 *
 * Addresses are below 2^32, so that a 32-bit load of ctx->data is a whole pointer.
 * A table by 64 KiB granule says which region an address is in:
 *
 *   0x0000_0000  nothing: null and what is near it faults
 *   0x0001_0000  context
 *   0x0003_0000  stack, one 512-byte frame per call depth, eight per tail call
 *   0x0010_0000  packet with head room
 *   0x0080_0000  kernel memory: ring buffer records, keys shown to callbacks
 *   0x0100_0000  map objects and functions: addresses only, never readable
 *   0x1000_0000  map values, from there up
 *
 * An access must lie wholly inside one object of its region (one cell, one frame,
 * the packet between data_meta and data_end); anything else is a fault.
 */
import { UnsupportedError } from "../base/index.ts";
import { fault } from "./fault.ts";

export const contextBase = 0x0001_0000;
export const stackBase = 0x0003_0000;
export const packetBase = 0x0010_0000;
export const packetSpace = 0x0020_0000;
export const kernelBase = 0x0080_0000;
export const kernelSpace = 0x0080_0000;
export const mapHandleBase = 0x0100_0000;
export const functionBase = 0x0200_0000;
const valuesBase = 0x1000_0000;

export const regionNumber = { context: 1, stack: 2, packet: 3, kernel: 4 };
const firstValues = 8;

/** Bytes of one object of memory with a view on them. */
export class Chunk {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Who may write here; others copy first. */
  readonly owner: object;

  constructor(bytes: Uint8Array, owner: object) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.owner = owner;
  }
}

/** What an address can be in. */
export interface Region {
  /** Sets memory.chunk and memory.at, or faults. `offset` is from the region's base. */
  locate(memory: Memory, offset: number, size: number, write: boolean): void;
}

/**
 * Who has which addresses. Only ever added to, so that a state and its clones share
 * one, and a pointer means the same in all of them.
 */
export class Layout {
  readonly granules = new Uint16Array(65536);
  readonly bases: number[] = [];
  #next = valuesBase;
  #count = firstValues;

  constructor() {
    this.place(regionNumber.context, contextBase, 0x1_0000);
    this.place(regionNumber.stack, stackBase, packetBase - stackBase);
    this.place(regionNumber.packet, packetBase, packetSpace);
    this.place(regionNumber.kernel, kernelBase, kernelSpace);
  }

  place(region: number, base: number, size: number): void {
    this.bases[region] = base;
    this.granules.fill(region, base >>> 16, (base >>> 16) + (size >>> 16));
  }

  /** Reserves addresses for map values; answers the region's number. */
  reserve(size: number, what: string): number {
    const rounded = Math.ceil(Math.max(size, 1) / 65536) * 65536;
    if (this.#next + rounded > 2 ** 32)
      throw new UnsupportedError(
        `${what}: ${size} bytes of values do not fit the 4 GiB address space`,
        { feature: "map larger than 4 GiB", fix: "give it a smaller capacity" },
      );
    const region = this.#count++;
    this.bases[region] = this.#next;
    this.granules.fill(
      region,
      this.#next / 65536,
      (this.#next + rounded) / 65536,
    );
    this.#next += rounded;
    return region;
  }
}

/** A bounded stretch of bytes: context, packet, kernel memory. */
export class PlainRegion implements Region {
  readonly chunk: Chunk;
  readonly what: string;
  /** Readable and writable from `low` up to `high`. */
  low = 0;
  high: number;

  constructor(size: number, what: string) {
    this.chunk = new Chunk(new Uint8Array(size), this);
    this.high = size;
    this.what = what;
  }

  locate(memory: Memory, offset: number, size: number, _write?: boolean): void {
    if (offset < this.low || offset + size > this.high)
      fault(
        `${size} bytes at ${this.what} ${offset - this.low} leave its ${this.high - this.low} bytes`,
      );
    memory.chunk = this.chunk;
    memory.at = offset;
  }
}

/** Frames of one program; who tail-calls from a subprogram keeps those above it. */
export const maxDepth = 8;
export const tailCallLimit = 33;

/**
 * Frames with gaps between them, so that running out of one is noticed. A frame has
 * 512 bytes, more where functions were inlined.
 */
export class StackRegion implements Region {
  readonly chunk: Chunk;
  readonly frames: number;
  readonly #size: number;
  readonly #stride: number;

  constructor(frameSize: number) {
    if (2 * frameSize * maxDepth > 0x1_0000)
      throw new UnsupportedError(`a stack frame of ${frameSize} bytes`, {
        feature: "stack frames of more than 4096 bytes",
      });
    this.#size = frameSize;
    this.#stride = 2 * frameSize;
    const most = Math.floor((packetBase - stackBase) / this.#stride);
    this.frames = Math.min(maxDepth * (1 + tailCallLimit), most);
    this.chunk = new Chunk(new Uint8Array(this.#stride * this.frames), this);
  }

  locate(memory: Memory, offset: number, size: number): void {
    const within = offset % this.#stride;
    if (offset >= this.chunk.bytes.length || within + size > this.#size)
      fault(`${size} bytes at ${within - this.#size} of a stack frame`);
    memory.chunk = this.chunk;
    memory.at = offset;
  }

  /** Address just after the frame of that depth: r10. */
  top(depth: number): number {
    return stackBase + depth * this.#stride + this.#size;
  }
  clear(depth: number): void {
    const start = depth * this.#stride;
    this.chunk.bytes.fill(0, start, start + this.#size);
  }
}

const nowhere = new Chunk(new Uint8Array(0), {});

/** The address space of one run. `locate` leaves its answer in `chunk` and `at`. */
export class Memory {
  chunk = nowhere;
  at = 0;
  readonly #layout: Layout;
  readonly #regions: (Region | undefined)[] = [];

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  set(number: number, region: Region): void {
    this.#regions[number] = region;
  }

  locate(address: number, size: number, write: boolean): void {
    const number =
      address >= 65536 && address < 4294967296
        ? (this.#layout.granules[address >>> 16] ?? 0)
        : 0;
    const region = this.#regions[number];
    if (region === undefined) fault(`${describe(address)} is no memory`);
    region.locate(
      this,
      address - (this.#layout.bases[number] ?? 0),
      size,
      write,
    );
  }

  /** Number of the region that `address` is in, 0 for none. */
  regionOf(address: number): number {
    return address >= 0 && address < 4294967296
      ? (this.#layout.granules[address >>> 16] ?? 0)
      : 0;
  }
  baseOf(region: number): number {
    return this.#layout.bases[region] ?? 0;
  }

  /** A view, not a copy; valid until the next access. */
  bytes(address: number, size: number, write = false): Uint8Array {
    if (size === 0) return new Uint8Array(0);
    this.locate(address, size, write);
    return this.chunk.bytes.subarray(this.at, this.at + size);
  }

  load(address: number, size: number): bigint {
    this.locate(address, size, false);
    let value = 0n;
    for (let index = size - 1; index >= 0; index--)
      value = (value << 8n) | BigInt(this.chunk.bytes[this.at + index] ?? 0);
    return value;
  }
}

function describe(address: number): string {
  if (address < 65536) return address === 0 ? "null" : `null + ${address}`;
  return `0x${address.toString(16)}`;
}
