/**
 * The values of one map in linear memory: where each lies, and how one is written.
 *
 * The bytes of a `struct bpf_spin_lock` are never copied in or out; a new element has
 * it free. With BPF_F_LOCK the copy is made under that lock (kernel/bpf/helpers.c,
 * copy_map_value_locked). Those of a `struct bpf_timer` are zeros to both sides, and an
 * update frees the timer that was there. A new element of a per-CPU map has zeros on other CPUs.
 */
import type { MapLayout } from "../../codegen/index.ts";
import { MapLock } from "./map-lock.ts";
import type { MemoryView } from "./memory-view.ts";

/** Flags of map_update_elem (include/uapi/linux/bpf.h). */
export const updateFlag = { noExist: 1, exist: 2, lock: 4 } as const;

/** sizeof(struct bpf_timer). */
const timerSize = 16;

export class CellValues {
  readonly hasLock: boolean;
  /** Where the next value comes from: an address, of one value for the current CPU, */
  from = 0;
  /** or bytes from outside, every CPU's copy in a row. */
  given: Uint8Array | undefined;
  readonly #memory: MemoryView;
  readonly #layout: MapLayout;
  readonly #shared: boolean;
  /** Byte of the lock in a value, or -1. */
  readonly #lock: number;
  /** Bytes of `struct bpf_timer`. */
  readonly #timers: readonly number[];

  constructor(memory: MemoryView, layout: MapLayout) {
    this.#memory = memory;
    this.#layout = layout;
    this.#shared = memory.shared;
    this.#lock = lockOffset(layout);
    this.hasLock = this.#lock >= 0;
    this.#timers = (layout.spec.valueFields ?? []).flatMap(
      ({ kind, bitOffset }) => (kind === "timer" ? [bitOffset / 8] : []),
    );
  }

  /** Address of the copy that programs on `cpu` see. */
  address(at: number, cpu: number): number {
    const { values, cellStride, copyStride, copies } = this.#layout;
    const cell = values + at * cellStride;
    return copies === 1 ? cell : cell + cpu * copyStride;
  }

  /**
   * Writes the value that `from` or `given` names into the cell: `fresh` for a new element,
   * `moved` for an element's new cell, else in place.
   */
  put(at: number, flags: number, how: "fresh" | "moved" | "in-place"): void {
    const { copies } = this.#layout;
    const { given } = this;
    if (given !== undefined) {
      const row = rowStride(this.#layout);
      for (let copy = 0; copy < copies; copy++)
        this.#setBytes(this.address(at, copy), given.subarray(copy * row), how);
      return;
    }
    const cpu = copies === 1 ? 0 : this.#memory.cpu;
    const to = this.address(at, cpu);
    if (how === "fresh")
      for (let other = 0; other < copies; other++)
        if (other !== cpu) this.#clear(this.address(at, other));
    if (this.#lock < 0)
      this.#memory.move(to, this.from, this.#layout.valueSize);
    else this.#moveAround(to, flags, how === "in-place");
    this.#freeTimers(to);
  }

  /** Every byte of every copy is zero. */
  isZero(at: number): boolean {
    const { copies, valueSize } = this.#layout;
    const { bytes } = this.#memory;
    for (let copy = 0; copy < copies; copy++) {
      const from = this.address(at, copy);
      for (let byte = from; byte < from + valueSize; byte++)
        if (bytes[byte] !== 0) return false;
    }
    return true;
  }

  /** The value as user space reads it: all CPUs' copies in a row. */
  read(at: number): Uint8Array {
    const { copies, valueSize } = this.#layout;
    const row = rowStride(this.#layout);
    const all = new Uint8Array(copies * row);
    for (let copy = 0; copy < copies; copy++) {
      const from = this.address(at, copy);
      all.set(this.#memory.bytes.subarray(from, from + valueSize), copy * row);
    }
    if (this.hasLock) all.fill(0, this.#lock, this.#lock + 4);
    for (const timer of this.#timers) all.fill(0, timer, timer + timerSize);
    return all;
  }

  /** Copies the value at `from`, but for its lock. */
  #moveAround(to: number, flags: number, inPlace: boolean): void {
    const memory = this.#memory;
    const at = to + this.#lock;
    const lock =
      this.#shared && inPlace && (flags & updateFlag.lock) !== 0
        ? new MapLock(memory.words, at)
        : undefined;
    const behind = this.#lock + 4;
    lock?.take();
    memory.move(to, this.from, this.#lock);
    memory.move(
      to + behind,
      this.from + behind,
      this.#layout.valueSize - behind,
    );
    lock?.release();
    if (!inPlace) memory.setU32(at, 0);
  }

  #setBytes(to: number, value: Uint8Array, how: string): void {
    const { bytes } = this.#memory;
    const { valueSize } = this.#layout;
    const lock = this.hasLock ? this.#lock : valueSize;
    bytes.set(value.subarray(0, lock), to);
    this.#freeTimers(to);
    if (!this.hasLock) return;
    bytes.set(value.subarray(lock + 4, valueSize), to + lock + 4);
    if (how !== "in-place") this.#memory.setU32(to + lock, 0);
  }

  #freeTimers(at: number): void {
    for (const timer of this.#timers)
      this.#memory.bytes.fill(0, at + timer, at + timer + timerSize);
  }

  #clear(at: number): void {
    this.#memory.bytes.fill(0, at, at + this.#layout.valueSize);
  }
}

/** Distance of CPUs' copies as user space sees them; the size where there is one. */
export function rowStride({ copies, valueSize }: MapLayout): number {
  return copies === 1 ? valueSize : Math.ceil(valueSize / 8) * 8;
}

/** Byte of `struct bpf_spin_lock` in the value, or −1. */
export function lockOffset({ spec }: MapLayout): number {
  const lock = spec.valueFields?.find(({ kind }) => kind === "spin-lock");
  return lock === undefined ? -1 : lock.bitOffset / 8;
}
