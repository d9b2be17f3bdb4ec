/**
 * Maps without cells: queues and stacks, bloom filters, maps of maps and of
 * programs, event channels. Each knows its kind; helpers ask for the kind they need.
 */
import {
  bloomBits,
  bloomShape,
  type BloomShape,
  type MapSpec,
} from "../isa/index.ts";
import { indexOf } from "./array-store.ts";
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

/** bloom_filter (kernel/bpf/bloom_filter.c), as with BPF_F_ZERO_SEED. */
export class BloomStore {
  readonly kind = "bloom";
  readonly spec: MapSpec;
  readonly #shape: BloomShape;
  #bits: Uint8Array;
  #shared = false;

  constructor(spec: MapSpec, shape: BloomShape, bits: Uint8Array) {
    this.spec = spec;
    this.#shape = shape;
    this.#bits = bits;
  }
  static of(spec: MapSpec, capacity: number): BloomStore {
    const shape = bloomShape(spec, capacity);
    return new BloomStore(spec, shape, new Uint8Array(shape.bytes));
  }
  /** A view. */
  get bits(): Uint8Array {
    return this.#bits;
  }
  push(value: Uint8Array, flags: number): number {
    if (flags !== updateFlag.any) return -errno.EINVAL;
    for (const bit of this.#bitsOf(value))
      this.set(bit >>> 3, (this.#bits[bit >>> 3] ?? 0) | (1 << (bit & 7)));
    return 0;
  }
  has(value: Uint8Array): boolean {
    return this.#bitsOf(value).every(
      (bit) => ((this.#bits[bit >>> 3] ?? 0) & (1 << (bit & 7))) !== 0,
    );
  }
  set(at: number, byte: number): void {
    if (this.#shared) this.#bits = this.#bits.slice();
    this.#shared = false;
    this.#bits[at] = byte;
  }
  clone(): BloomStore {
    const twin = new BloomStore(this.spec, this.#shape, this.#bits);
    twin.#shared = true;
    this.#shared = true;
    return twin;
  }
  #bitsOf(value: Uint8Array): readonly number[] {
    const view = new DataView(value.buffer, value.byteOffset, value.length);
    return bloomBits(view, { at: 0, size: value.length }, this.#shape);
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
  get #isIndexed(): boolean {
    return this.spec.type !== "hash_of_maps";
  }
  get(key: Uint8Array): Target | undefined {
    return this.#targets.get(keyText(key))?.target;
  }
  /** 0 or a negated error (kernel/bpf/arraymap.c, bpf_fd_array_map_update_elem). */
  set(key: Uint8Array, target: Target, flags = 0): number {
    const text = keyText(key);
    if (this.#isIndexed) {
      if (flags !== updateFlag.any) return -errno.EINVAL;
      if (indexOf(key) >= this.capacity) return -errno.E2BIG;
    } else {
      if (flags > updateFlag.exist) return -errno.EINVAL;
      const isNew = !this.#targets.has(text);
      if (isNew && flags === updateFlag.exist) return -errno.ENOENT;
      if (!isNew && flags === updateFlag.noExist) return -errno.EEXIST;
      if (isNew && this.#targets.size >= this.capacity) return -errno.E2BIG;
    }
    this.#targets.set(text, { key: key.slice(), target });
    return 0;
  }
  remove(key: Uint8Array): number {
    if (this.#isIndexed && indexOf(key) >= this.capacity) return -errno.E2BIG;
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
