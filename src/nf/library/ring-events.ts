/**
 * `ringEvents`: reports to user space. In BPF a RINGBUF of `capacity` bytes,
 * written with bpf_ringbuf_output. In the plain JavaScript run events are listed
 * with the packet that emitted them, and the ring is never full.
 */
import { InputError } from "../../base/index.ts";
import { codecOf } from "./codec.ts";
import type { MapEntry, Part } from "./declaration.ts";
import type { Type, ValueOf } from "./struct.ts";

export interface RingOptions<V extends Type> {
  readonly value: V;
  /** In bytes: a power of two, 4096 or more. */
  readonly capacity: number;
}

export class RingEvents<V extends Type> {
  readonly kind = "ring";
  readonly key = undefined;
  readonly value: V;
  readonly capacity: number;
  readonly options: RingOptions<V>;
  #events: ValueOf<V>[] = [];

  constructor(options: RingOptions<V>) {
    const { capacity } = options;
    if (
      !(capacity >= 4096 && capacity <= 2 ** 31) ||
      !Number.isInteger(Math.log2(capacity))
    )
      throw new InputError(`ringEvents of ${capacity} bytes`, {
        code: "nf-ring-size",
        fix: "give a power of two, 4096 or more",
      });
    this.value = options.value;
    this.capacity = capacity;
    this.options = options;
  }

  /** Reports a copy of `value`; false where the ring is full. */
  emit(value: ValueOf<V>): boolean {
    this.#events.push(codecOf(this.value).clone(value) as ValueOf<V>);
    return true;
  }

  /** For the runtime: what was emitted since the last call. */
  drain(): readonly ValueOf<V>[] {
    const events = this.#events;
    if (events.length > 0) this.#events = [];
    return events;
  }

  parts(name: string): readonly Part[] {
    return [{ name, declaration: this }];
  }

  renew(): RingEvents<V> {
    return new RingEvents(this.options);
  }

  /** Nothing: what is in a ring is on its way out. */
  dump(): readonly MapEntry[] {
    return [];
  }
}

/** Reports to user space, of one type. */
export function ringEvents<V extends Type>(
  options: RingOptions<V>,
): RingEvents<V> {
  return new RingEvents(options);
}
