/**
 * `array`: cells 0 … capacity − 1, all there from the start and zero. In BPF an
 * ARRAY; with `perCpu` a PERCPU_ARRAY, of which a program sees its own CPU's cells.
 */
import { Bug } from "../../base/index.ts";
import { bytesOf } from "./value.ts";
import { cellCodecOf, type Codec } from "./codec.ts";
import { checkCapacity, type MapEntry, type Part } from "./declaration.ts";
import { u32 } from "./scalar.ts";
import type { Ref, Type, ValueOf } from "./struct.ts";

export interface ArrayOptions<V extends Type> {
  readonly value: V;
  /** How many cells. */
  readonly capacity: number;
  /** What cells hold from the start; the others are zero. */
  readonly initial?: readonly (readonly [number, ValueOf<NoInfer<V>>])[];
}

export class ArrayMap<V extends Type> {
  readonly kind: "array" | "percpu-array";
  readonly key = u32;
  readonly value: V;
  readonly capacity: number;
  readonly options: ArrayOptions<V>;
  readonly #codec: Codec;
  #cells: Ref<V>[] | undefined;

  constructor(
    options: ArrayOptions<V>,
    kind: "array" | "percpu-array" = "array",
  ) {
    checkCapacity("array", options.capacity);
    this.kind = kind;
    this.value = options.value;
    this.capacity = options.capacity;
    this.options = options;
    this.#codec = cellCodecOf(options.value);
  }

  /** The cell at `index`; undefined where there is none. */
  get(index: number): Ref<V> | undefined {
    if (!(index >= 0 && index < this.capacity)) return undefined;
    const cells = this.#cells ?? this.#start();
    return (cells[index] ??= this.#codec.zero() as Ref<V>);
  }

  /** The cell at `index`, which is proved to be in range. */
  at(index: number): Ref<V> {
    const cell = this.get(index);
    if (cell === undefined)
      throw new Bug(`cell ${index} of an array of ${this.capacity}`);
    return cell;
  }

  parts(name: string): readonly Part[] {
    return [{ name, declaration: this }];
  }

  renew(): ArrayMap<V> {
    return new ArrayMap(this.options, this.kind);
  }

  dump(): readonly MapEntry[] {
    const cells = this.#cells ?? this.#start();
    return Array.from({ length: this.capacity }, (_, index) => {
      const value = new Uint8Array(this.value.size);
      const cell = cells[index];
      if (cell !== undefined) this.#codec.encode(value, 0, cell);
      return { key: bytesOf(u32, index), value };
    });
  }

  #start(): Ref<V>[] {
    const cells: Ref<V>[] = [];
    this.#cells = cells;
    for (const [index, value] of this.options.initial ?? [])
      this.#codec.assign(this.at(index), value);
    return cells;
  }
}

/** Cells by index, zero from the start; a scalar is `.value` of its cell. */
export function array<V extends Type>(options: ArrayOptions<V>): ArrayMap<V> {
  return new ArrayMap(options);
}
