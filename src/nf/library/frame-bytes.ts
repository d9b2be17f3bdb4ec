/**
 * The bytes of a frame in network order. `FrameBytes` reads none outside the frame;
 * the plain functions are for places that were checked.
 */
import type { Bytes } from "./headers.ts";

/** The frame that the views look at: the caller's until something is assigned. */
export class Frame {
  data: Uint8Array = new Uint8Array();
  #isOwn = false;

  look(data: Uint8Array): void {
    this.data = data;
    this.#isOwn = false;
  }

  /** Before the first assignment: from here on `data` is a copy. */
  own(): void {
    if (this.#isOwn) return;
    this.data = this.data.slice();
    this.#isOwn = true;
  }
}

/** From `start` to the end of the frame. */
export class FrameBytes implements Bytes {
  readonly #frame: Frame;
  start = 0;

  constructor(frame: Frame) {
    this.#frame = frame;
  }

  get length(): number {
    return Math.max(0, this.#frame.data.length - this.start);
  }

  u8(offset: number): number | undefined {
    return offset >= 0 && offset < this.length
      ? this.#frame.data[this.start + offset]
      : undefined;
  }

  u16(offset: number): number | undefined {
    return offset >= 0 && offset + 2 <= this.length
      ? u16(this.#frame.data, this.start + offset)
      : undefined;
  }

  u32(offset: number): number | undefined {
    return offset >= 0 && offset + 4 <= this.length
      ? u32(this.#frame.data, this.start + offset)
      : undefined;
  }
}

export function u16(data: Uint8Array, at: number): number {
  return ((data[at] ?? 0) << 8) | (data[at + 1] ?? 0);
}

export function u32(data: Uint8Array, at: number): number {
  return ((u16(data, at) << 16) | u16(data, at + 2)) >>> 0;
}

export function put16(data: Uint8Array, at: number, value: number): void {
  data[at] = value >>> 8;
  data[at + 1] = value;
}
