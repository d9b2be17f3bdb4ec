/**
 * The state that an emitted object left, read by its layouts, against the states of the
 * cores' sequential runs (second-pass.ts). What must be equal is what the sequential
 * program could tell apart: an allocator's order and what it hands out next, never how
 * its links are written; a table's entries, never their places.
 */
import { fromHex, toHex } from "../base/index.ts";
import type { State } from "../interp/index.ts";
import type { MapSpec } from "../isa/index.ts";
import {
  cellKey,
  freeIndices,
  liveIndices,
  type AllocatorCheck,
} from "./chain-view.ts";
import { summedLanes, textOf, unionText } from "./parted-state.ts";
import type { MapContents, StateDump } from "./record.ts";
import type { Judged, Partition } from "./partition.ts";

/** How the emitted object keeps a map of the sequential program. */
export type EmittedLayout =
  | { readonly kind: "as-is" | "per-cpu" | "unread" }
  /** Core c has the cells from `cells` times c on. */
  | { readonly kind: "sliced"; readonly cells: number }
  /** Cells as ever; the head of a core is that cell of the same array. */
  | { readonly kind: "allocator"; readonly headOf: (core: number) => number }
  /** A value per core, which holds entries. */
  | {
      readonly kind: "table";
      readonly entries: (
        value: Uint8Array,
        core: number,
      ) => MapContents[string];
    };

export interface EmittedState {
  readonly maps: readonly MapSpec[];
  readonly initial: State;
  readonly parted: Pick<Judged, "states" | "written">;
  readonly partition: Partition;
  readonly layoutOf: (map: string) => EmittedLayout;
  readonly emitted: StateDump;
}

/** One sentence per difference. */
export function emittedDifferences(all: EmittedState): string[] {
  return all.maps.flatMap((map) => {
    const layout = all.layoutOf(map.name);
    switch (layout.kind) {
      case "unread":
        return [];
      case "as-is":
      case "per-cpu":
        return sharedCells(all, map);
      case "sliced":
        return slicedCells(all, map.name, layout.cells);
      case "allocator":
        return chains(all, map, layout.headOf);
      case "table":
        return tables(all, map.name, layout.entries);
    }
  });
}

function sharedCells(all: EmittedState, map: MapSpec): string[] {
  const { parted, partition, initial, emitted } = all;
  const texts: string[] = [];
  const states = partition.shared.has(map.name)
    ? parted.states.slice(0, 1)
    : parted.states;
  for (const cell of parted.written.get(map.name) ?? []) {
    const want =
      unionText(states, {
        map,
        cell,
        before: textOf(initial, map.name, cell),
        lanes: partition.merged.get(map.name),
      }) ?? "";
    const values = emitted.get(map.name)?.get(cell);
    const lanes = partition.merged.get(map.name);
    const have =
      values === undefined
        ? undefined
        : lanes === undefined
          ? values.join()
          : summedLanes(values, lanes);
    const zeros = "00".repeat(map.valueSize);
    const zero = lanes === undefined ? zeros : summedLanes([zeros], lanes);
    const empty = map.type === "array" ? zero : "absent";
    if ((have ?? empty) !== want)
      texts.push(
        `${map.name}[${cell}] is ${have ?? empty}, on its core ${want}`,
      );
  }
  return texts;
}

function slicedCells(all: EmittedState, map: string, cells: number): string[] {
  const { parted, emitted, initial } = all;
  const texts: string[] = [];
  for (const cell of parted.written.get(map) ?? [])
    for (const [core, state] of parted.states.entries()) {
      const want = textOf(state, map, cell);
      const [index = 0] = new Uint32Array(fromHex(cell).slice().buffer);
      const key = toHex(cellKey(index + cells * core));
      const have =
        emitted.get(map)?.get(key)?.[0] ?? "00".repeat(want.length / 2);
      if (have !== want && textOf(initial, map, cell) !== want)
        texts.push(`${map}[${cell}] of core ${core} is ${have}, not ${want}`);
    }
  return texts;
}

/** Order of use and order of handing out, core by core. */
function chains(
  all: EmittedState,
  map: MapSpec,
  headOf: (core: number) => number,
): string[] {
  const allocator = all.partition.allocators.find(
    ({ chain }) => chain === map.name,
  );
  const cells = all.emitted.get(map.name);
  if (allocator === undefined) return [`${map.name}: no allocator is known`];
  const texts: string[] = [];
  for (const [core, state] of all.parted.states.entries()) {
    const range = allocator.ranges[core] ?? { base: 0, count: 0 };
    const view = new EmittedChain(
      (number) => cells?.get(toHex(cellKey(number)))?.[0],
      headOf(core),
      { ...range, most: allocator.capacity, keyOffset: allocator.keyOffset },
    );
    const want = liveIndices(state, allocator, 0n)
      .map(({ index, last, key }) => `${index} ${last} ${toHex(key)}`)
      .join("; ");
    const have = view.used().join("; ");
    if (have !== want)
      texts.push(
        `${map.name} of core ${core} has ${have || "nothing"}, not ${want || "nothing"}`,
      );
    const [free, wanted] = [view.free(), freeOf(state, allocator)];
    if (free !== wanted)
      texts.push(`${map.name} of core ${core} gives ${free}, not ${wanted}`);
  }
  return texts;
}

function freeOf(state: State, allocator: AllocatorCheck): string {
  return freeIndices(state, allocator).join();
}

interface OwnRange {
  readonly base: number;
  readonly count: number;
  readonly most: number;
  readonly keyOffset: number | undefined;
}

/** The chain of one core as the emitted object's bytes have it. */
class EmittedChain {
  readonly #cell: (number: number) => string | undefined;
  readonly #head: number;
  readonly #range: OwnRange;

  constructor(
    cell: (number: number) => string | undefined,
    head: number,
    range: OwnRange,
  ) {
    this.#cell = cell;
    this.#head = head;
    this.#range = range;
  }

  #view(number: number): DataView {
    const bytes = fromHex(this.#cell(number) ?? "00".repeat(64));
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  used(): string[] {
    const { most, keyOffset } = this.#range;
    const found: string[] = [];
    let number = this.#view(this.#head).getUint32(8, true);
    while (number !== 0 && found.length <= most) {
      const view = this.#view(number);
      const text = this.#cell(number) ?? "";
      const key = keyOffset === undefined ? "" : text.slice(2 * keyOffset);
      found.push(`${number - 1} ${view.getBigUint64(0, true)} ${key}`);
      number = view.getUint32(8, true);
    }
    return found;
  }

  free(): string {
    const { base, count, most } = this.#range;
    const head = this.#view(this.#head);
    const found: number[] = [];
    let number = head.getUint32(4, true);
    while (number !== 0 && found.length <= most) {
      found.push(number - 1);
      number = this.#view(number).getUint32(8, true);
    }
    // Cells up to `fresh` were used; none is 0, whatever the range begins with.
    for (
      let index = Math.max(head.getUint32(0, true), base);
      index < base + count;
      index++
    )
      found.push(index);
    return found.join();
  }
}

function tables(
  { parted, emitted }: EmittedState,
  map: string,
  entriesOf: (value: Uint8Array, core: number) => MapContents[string],
): string[] {
  const texts: string[] = [];
  for (const [core, state] of parted.states.entries()) {
    const text = emitted.get(map)?.get(toHex(cellKey(core)))?.[0];
    const have = new Map(
      text === undefined
        ? []
        : (entriesOf(fromHex(text), core) ?? []).map(
            ({ key, value }) => [toHex(key), toHex(value)] as const,
          ),
    );
    const want = new Map(
      state
        .entries(map)
        .map(({ key, value }) => [toHex(key), toHex(value)] as const),
    );
    for (const key of new Set([...have.keys(), ...want.keys()])) {
      const [left, right] = [want.get(key), have.get(key)];
      if (left !== right)
        texts.push(
          `${map}[${key}] of core ${core} is ${right ?? "absent"}, not ${left ?? "absent"}`,
        );
    }
  }
  return texts;
}
