/**
 * queue and stack: a ring of values in linear memory; size and head (the oldest) are
 * words of the map's state. Every operation holds the lock, as in the kernel.
 * Source: kernel/bpf/queue_stack_maps.c.
 */
import { mapState, type MapLayout } from "../../codegen/index.ts";
import { errno } from "../../interp/index.ts";
import { updateFlag } from "./cell-values.ts";
import type { MapLock } from "./map-lock.ts";
import type { MemoryView } from "./memory-view.ts";

export class QueueMap {
  readonly layout: MapLayout;
  readonly #memory: MemoryView;
  readonly #lock: MapLock | undefined;
  readonly #size: number;
  readonly #head: number;

  constructor(
    memory: MemoryView,
    layout: MapLayout,
    lock: MapLock | undefined,
  ) {
    this.layout = layout;
    this.#memory = memory;
    this.#lock = lock;
    this.#size = layout.state + mapState.size;
    this.#head = layout.state + mapState.head;
  }

  get size(): number {
    return this.#memory.u32(this.#size);
  }

  /** Copies the value at `from` in: 0 or a negated error. */
  push(from: number, flags: number): number {
    if ((flags & updateFlag.noExist) !== 0 || flags >>> 0 > updateFlag.exist)
      return -errno.EINVAL;
    const { capacity, valueSize } = this.layout;
    const memory = this.#memory;
    this.#lock?.take();
    const isFull = this.size >= capacity;
    const answer =
      isFull && (flags & updateFlag.exist) === 0 ? -errno.E2BIG : 0;
    if (answer === 0) {
      // A full one loses its oldest value.
      if (isFull) this.#dropOldest();
      memory.move(this.#slot(this.size), from, valueSize);
      memory.setU32(this.#size, this.size + 1);
    }
    this.#lock?.release();
    return answer;
  }

  /** The next value, taken out, goes to `to`; zeros when there is none. */
  pop(to: number): number {
    return this.#get(to, true);
  }
  peek(to: number): number {
    return this.#get(to, false);
  }

  /** All values, the oldest first. */
  all(): readonly Uint8Array[] {
    this.#lock?.take();
    const values = Array.from({ length: this.size }, (_, index) =>
      this.#memory.copy(this.#slot(index), this.layout.valueSize),
    );
    this.#lock?.release();
    return values;
  }

  #get(to: number, remove: boolean): number {
    const memory = this.#memory;
    const { valueSize, spec } = this.layout;
    this.#lock?.take();
    const { size } = this;
    if (size === 0) memory.bytes.fill(0, to, to + valueSize);
    else {
      const isQueue = spec.type === "queue";
      memory.move(to, this.#slot(isQueue ? 0 : size - 1), valueSize);
      if (remove && isQueue) this.#dropOldest();
      else if (remove) memory.setU32(this.#size, size - 1);
    }
    this.#lock?.release();
    return size === 0 ? -errno.ENOENT : 0;
  }

  #dropOldest(): void {
    const memory = this.#memory;
    const next = memory.u32(this.#head) + 1;
    memory.setU32(this.#head, next === this.layout.capacity ? 0 : next);
    memory.setU32(this.#size, this.size - 1);
  }

  /** Address of the value with that number, counted from the oldest. */
  #slot(index: number): number {
    const { slots, capacity, valueSize } = this.layout;
    const at = (this.#memory.u32(this.#head) + index) % capacity;
    return slots + at * valueSize;
  }
}
