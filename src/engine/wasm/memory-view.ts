/**
 * Typed views on a compiled program's memory. It never grows, so they stay valid.
 * All engines here run on little-endian machines, as WebAssembly is little-endian.
 */
import { descriptor, type Layout } from "../../codegen/index.ts";

export class MemoryView {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly data: DataView;
  /** Cells of the core that this view belongs to. */
  readonly cell: Layout["cell"];
  readonly core: number;
  /** Several cores may run in this memory at once. */
  readonly shared: boolean;

  constructor(
    buffer: ArrayBuffer | SharedArrayBuffer,
    { cell, core, shared }: Pick<Layout, "cell" | "core" | "shared">,
  ) {
    this.cell = cell;
    this.core = core;
    this.shared = shared;
    this.bytes = new Uint8Array(buffer);
    this.words = new Int32Array(buffer);
    this.data = new DataView(buffer);
  }

  /** Descriptor of the packet that is being run. */
  get current(): number {
    return this.data.getUint32(this.cell.current, true);
  }
  get cpu(): number {
    return this.data.getUint32(this.current + descriptor.cpu, true);
  }
  u32(address: number): number {
    return this.data.getUint32(address, true);
  }
  setU32(address: number, value: number): void {
    this.data.setUint32(address, value, true);
  }
  /** Like memmove. Short moves, which most are, are not worth a built-in call. */
  move(to: number, from: number, size: number): void {
    const { data, bytes } = this;
    if (size > 64 || (to > from && to < from + size)) {
      bytes.copyWithin(to, from, from + size);
      return;
    }
    let at = 0;
    for (; at + 4 <= size; at += 4)
      data.setInt32(to + at, data.getInt32(from + at, true), true);
    for (; at < size; at++) data.setUint8(to + at, data.getUint8(from + at));
  }
  copy(from: number, size: number): Uint8Array {
    return this.bytes.slice(from, from + size);
  }
}
