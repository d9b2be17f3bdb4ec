/**
 * Maps without cells: queues and stacks, bloom filters, maps of maps and of
 * programs, event channels. Each knows its kind; helpers ask for the kind they need.
 *
 * The bloom filter here is an exact set: never a false positive, which is one of the
 * answers that the kernel's may give.
 */
import type { MapSpec } from "../isa/index.ts";
import { errno } from "./errno.ts";
import { updateFlag } from "./cell-store.ts";
import { keyText, type KeyText } from "./key-text.ts";

/** queue and stack (kernel/bpf/queue_stack_maps.c). */
export class QueueStore {
  readonly kind = "queue";
  readonly spec: MapSpec;
  readonly capacity: number;
  /** Oldest first. */
  #values: readonly Uint8Array[] = [];

  constructor(spec: MapSpec, capacity: number) {
    this.spec = spec;
    this.capacity = capacity;
  }
  get values(): readonly Uint8Array[] {
    return this.#values;
  }
  push(value: Uint8Array, flags: number): number {
    const replace = (flags & updateFlag.exist) !== 0;
    if ((flags & updateFlag.noExist) !== 0 || flags > updateFlag.exist)
      return -errno.EINVAL;
    const full = this.#values.length >= this.capacity;
    if (full && !replace) return -errno.E2BIG;
    this.#values = [...(full ? this.#values.slice(1) : this.#values), value];
    return 0;
  }
  /** The next value: the oldest of a queue, the newest of a stack. */
  peek(): Uint8Array | undefined {
    return this.spec.type === "queue" ? this.#values[0] : this.#values.at(-1);
  }
  pop(): Uint8Array | undefined {
    const value = this.peek();
    this.#values =
      this.spec.type === "queue"
        ? this.#values.slice(1)
        : this.#values.slice(0, -1);
    return value;
  }
  clone(): QueueStore {
    const twin = new QueueStore(this.spec, this.capacity);
    twin.#values = this.#values;
    return twin;
  }
}

/** bloom_filter (kernel/bpf/bloom_filter.c). */
export class BloomStore {
  readonly kind = "bloom";
  readonly spec: MapSpec;
  #values = new Set<KeyText>();
  #shared = false;

  constructor(spec: MapSpec) {
    this.spec = spec;
  }
  get values(): Iterable<KeyText> {
    return this.#values;
  }
  push(value: Uint8Array, flags: number): number {
    if (flags !== updateFlag.any) return -errno.EINVAL;
    if (this.#shared) this.#values = new Set(this.#values);
    this.#shared = false;
    this.#values.add(keyText(value));
    return 0;
  }
  has(value: Uint8Array): boolean {
    return this.#values.has(keyText(value));
  }
  clone(): BloomStore {
    const twin = new BloomStore(this.spec);
    twin.#values = this.#values;
    twin.#shared = true;
    this.#shared = true;
    return twin;
  }
}

/** What an element of prog_array, array_of_maps or hash_of_maps names. */
export type Target =
  | { readonly kind: "map"; readonly name: string }
  | { readonly kind: "function"; readonly name: string };

export class LinkStore {
  readonly kind = "links";
  readonly spec: MapSpec;
  readonly capacity: number;
  #targets = new Map<KeyText, { readonly key: Uint8Array; target: Target }>();

  constructor(spec: MapSpec, capacity: number) {
    this.spec = spec;
    this.capacity = capacity;
  }
  get(key: Uint8Array): Target | undefined {
    return this.#targets.get(keyText(key))?.target;
  }
  set(key: Uint8Array, target: Target): void {
    this.#targets.set(keyText(key), { key: key.slice(), target });
  }
  remove(key: Uint8Array): number {
    return this.#targets.delete(keyText(key)) ? 0 : -errno.ENOENT;
  }
  targets(): Iterable<{ readonly key: Uint8Array; readonly target: Target }> {
    return this.#targets.values();
  }
  clone(): LinkStore {
    const twin = new LinkStore(this.spec, this.capacity);
    twin.#targets = new Map(this.#targets);
    return twin;
  }
}

/** ringbuf and perf_event_array: events go to the Outcome, nothing stays. */
export class EventStore {
  readonly kind = "events";
  readonly spec: MapSpec;
  readonly capacity: number;

  constructor(spec: MapSpec, capacity: number) {
    this.spec = spec;
    this.capacity = capacity;
  }
  clone(): EventStore {
    return this;
  }
}

/** A type that this machine only carries along; an access to it is refused. */
export class ForeignStore {
  readonly kind = "foreign";
  readonly spec: MapSpec;

  constructor(spec: MapSpec) {
    this.spec = spec;
  }
  clone(): ForeignStore {
    return this;
  }
}
