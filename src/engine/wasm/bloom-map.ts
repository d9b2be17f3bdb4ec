/**
 * bloom_filter: bits in linear memory, set by an atomic `or` where several cores may
 * set them; there is nothing to lock. Which bits: src/isa/bloom-filter.ts.
 * Source: kernel/bpf/bloom_filter.c.
 */
import type { MapLayout } from "../../codegen/index.ts";
import { errno } from "../../interp/index.ts";
import { bloomBits, bloomShape, type BloomShape } from "../../isa/index.ts";
import type { MemoryView } from "./memory-view.ts";

export class BloomMap {
  readonly layout: MapLayout;
  readonly #memory: MemoryView;
  readonly #shape: BloomShape;
  readonly #words: number;

  constructor(memory: MemoryView, layout: MapLayout) {
    this.layout = layout;
    this.#memory = memory;
    this.#shape = bloomShape(layout.spec, layout.capacity);
    this.#words = layout.slots >>> 2;
  }

  push(from: number, flags: number): number {
    if (flags !== 0) return -errno.EINVAL;
    for (const bit of this.#bits(from))
      Atomics.or(
        this.#memory.words,
        this.#words + (bit >>> 5),
        1 << (bit & 31),
      );
    return 0;
  }

  /** Whether the value may have been pushed: 0, or a negated error. */
  peek(value: number): number {
    const { words } = this.#memory;
    for (const bit of this.#bits(value)) {
      const word = words[this.#words + (bit >>> 5)] ?? 0;
      if ((word & (1 << (bit & 31))) === 0) return -errno.ENOENT;
    }
    return 0;
  }

  /** The bits, as bytes of linear memory; a view. */
  bits(): Uint8Array {
    const { slots } = this.layout;
    return this.#memory.bytes.subarray(slots, slots + this.#shape.bytes);
  }

  #bits(at: number): readonly number[] {
    const value = { at, size: this.layout.valueSize };
    return bloomBits(this.#memory.data, value, this.#shape);
  }
}
