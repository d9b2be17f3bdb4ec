/**
 * A map whose values are cells: what arrays, hashes and tries have in common.
 *
 * Finding a key is the subclass's; writing a value is here: the bytes of a
 * `struct bpf_spin_lock` are never copied in or out, those of a `struct bpf_timer` are
 * zeros to both sides, and creating an element of a
 * per-CPU map from a program zeroes the other CPUs' copies
 * (kernel/bpf/hashtab.c, pcpu_init_value).
 */
import { toHex } from "../base/index.ts";
import type { MapSpec } from "../isa/index.ts";
import { Cells } from "./cells.ts";
import { errno } from "./errno.ts";

/** Flags of map_update_elem (include/uapi/linux/bpf.h). */
export const updateFlag = { any: 0, noExist: 1, exist: 2, lock: 4 } as const;

/** One element as user space sees it: per-CPU values are all copies in a row. */
export interface MapEntry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** sizeof(struct bpf_timer). */
const timerSize = 16;

export abstract class CellStore {
  readonly kind = "cells";
  readonly spec: MapSpec;
  readonly capacity: number;
  readonly cells: Cells;
  /** Region number of the cells in the layout. */
  region = 0;
  /** Whether the last `claim` made an element. */
  fresh = false;
  /** Key of the element that the last `claim` evicted. */
  evicted: Uint8Array | undefined;
  readonly #lock: number | undefined;
  /** Bytes of `struct bpf_timer`, or none. */
  readonly #timers: readonly number[];

  constructor(spec: MapSpec, capacity: number, cells: Cells) {
    this.spec = spec;
    this.capacity = capacity;
    this.cells = cells;
    const lock = spec.valueFields?.find((field) => field.kind === "spin-lock");
    this.#lock = lock === undefined ? undefined : lock.bitOffset / 8;
    this.#timers = (spec.valueFields ?? []).flatMap(({ kind, bitOffset }) =>
      kind === "timer" ? [bitOffset / 8] : [],
    );
  }

  /** Cell of the key, or -1. */
  abstract find(key: Uint8Array): number;
  /** A program looked the cell up: news for LRU maps. */
  abstract used(cell: number): void;
  /** The cell to write the key's value to, or a negated error. */
  abstract claim(key: Uint8Array, flags: number): number;
  /** 0 or a negated error. */
  abstract remove(key: Uint8Array): number;
  abstract keys(): Iterable<readonly [key: Uint8Array, cell: number]>;
  /** Key of the cell, also of one just deleted. */
  abstract keyOf(cell: number): Uint8Array;
  abstract clone(): CellStore;

  get copies(): number {
    return this.cells.copies;
  }
  get hasLock(): boolean {
    return this.#lock !== undefined;
  }

  cellName(cell: number): string {
    return toHex(this.keyOf(cell));
  }

  /** As a program on `cpu` does it. */
  update(
    key: Uint8Array,
    value: Uint8Array,
    flags: number,
    cpu: number,
  ): number {
    const cell = this.claim(key, flags);
    if (cell < 0) return cell;
    const copy = this.copies > 1 ? cpu : 0;
    if (this.fresh)
      for (let other = 0; other < this.copies; other++)
        if (other !== copy) this.cells.bytes(cell, other, true).fill(0);
    this.write(cell, copy, value);
    return 0;
  }

  /** As user space does it: `value` holds every CPU's copy, each rounded up to 8. */
  updateAll(key: Uint8Array, value: Uint8Array, flags: number): number {
    const cell = this.claim(key, flags);
    if (cell < 0) return cell;
    const { valueSize, stride } = this.cells;
    for (let copy = 0; copy < this.copies; copy++)
      this.write(
        cell,
        copy,
        value.subarray(copy * stride, copy * stride + valueSize),
      );
    return 0;
  }

  write(cell: number, copy: number, value: Uint8Array): void {
    const target = this.cells.bytes(cell, copy, true);
    if (this.#lock === undefined) target.set(value);
    else {
      target.set(value.subarray(0, this.#lock));
      target.set(value.subarray(this.#lock + 4), this.#lock + 4);
      if (this.fresh) target.fill(0, this.#lock, this.#lock + 4);
    }
    // An update frees the timer that was there.
    this.#hideTimers(target);
  }

  #hideTimers(value: Uint8Array): void {
    for (const at of this.#timers) value.fill(0, at, at + timerSize);
  }

  /** A copy, as user space reads it. */
  read(cell: number): Uint8Array {
    const { copies, stride, valueSize } = this.cells;
    if (copies === 1) {
      const value = this.cells.bytes(cell, 0, false).slice();
      if (this.#lock !== undefined) value.fill(0, this.#lock, this.#lock + 4);
      this.#hideTimers(value);
      return value;
    }
    const all = new Uint8Array(copies * stride);
    for (let copy = 0; copy < copies; copy++)
      all.set(
        this.cells.bytes(cell, copy, false).subarray(0, valueSize),
        copy * stride,
      );
    return all;
  }

  /** EINVAL for flags that no update takes; undefined when they are fine. */
  protected badFlags(flags: number): number | undefined {
    // Only arrays and hashes with one copy know BPF_F_LOCK.
    const { type } = this.spec;
    const takesLock = type === "hash" || type === "array";
    const plain = takesLock ? flags & ~updateFlag.lock : flags;
    return plain >>> 0 > updateFlag.exist ? -errno.EINVAL : undefined;
  }

  /** EINVAL for BPF_F_LOCK where no value has a lock. */
  protected badLock(flags: number): number | undefined {
    return (flags & updateFlag.lock) !== 0 && this.#lock === undefined
      ? -errno.EINVAL
      : undefined;
  }
}
