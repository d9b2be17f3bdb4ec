/**
 * The states of several cores against the one state of the sequential program, at the
 * end of an episode:
 *
 *   expiring maps  live entries by key: same value, same time, indices renamed, and the
 *                  same bytes in the arrays that go with the index, unless the index was
 *                  used before (what a former holder left behind is nobody's)
 *   sketches       cells that one core alone touched
 *   merged         sums of lanes
 *   shared         cells of the one map that all cores have
 *   all others     each cell as the one core that wrote it left it
 *
 * Cells that a declared deviation touched (tainted) are passed over.
 */
import { fromHex, toHex } from "../base/index.ts";
import type { State } from "../interp/index.ts";
import { mapTypeRow, type MapSpec } from "../isa/index.ts";
import {
  cellKey,
  liveIndices,
  type AllocatorCheck,
  type Held,
} from "./chain-view.ts";
import type { Lane } from "./compare.ts";
import type { Renaming } from "./renaming.ts";

export interface PartedStates {
  readonly maps: readonly MapSpec[];
  readonly initial: State;
  readonly whole: State;
  readonly cores: readonly State[];
  readonly written: ReadonlyMap<string, ReadonlySet<string>>;
  readonly allocators: readonly AllocatorCheck[];
  readonly renamings: ReadonlyMap<string, Renaming>;
  readonly sketches: ReadonlySet<string>;
  readonly merged: ReadonlyMap<string, readonly Lane[]>;
  /** Maps that all cores have in common. */
  readonly shared: ReadonlySet<string>;
  readonly isTainted: (map: string, cell: string) => boolean;
  readonly now: bigint;
}

/** One sentence per difference. */
export function partedDifferences(states: PartedStates): string[] {
  const texts: string[] = [];
  const chained = new Set<string>();
  for (const allocator of states.allocators) {
    chained.add(allocator.chain);
    if (allocator.entries !== undefined) chained.add(allocator.entries);
    for (const name of allocator.followers) chained.add(name);
    texts.push(...chainDifferences(states, allocator));
  }
  for (const map of states.maps) {
    if (chained.has(map.name) || !hasCells(map)) continue;
    for (const cell of states.written.get(map.name) ?? []) {
      if (states.isTainted(map.name, cell)) continue;
      const lanes = states.merged.get(map.name);
      const whole = textOf(states.whole, map.name, cell);
      const want =
        lanes === undefined || whole === "absent"
          ? whole
          : summedLanes([whole], lanes);
      const have = unionOf(states, map, cell);
      if (have !== undefined && have !== want)
        texts.push(`${map.name}[${cell}] is ${have}, sequential ${want}`);
    }
  }
  return texts;
}

function hasCells({ type, readOnly }: MapSpec): boolean {
  const row = mapTypeRow(type);
  return (
    !readOnly &&
    row.perCpu !== true &&
    (/^(lru_)?hash$/.test(type) || type === "array" || type === "lpm_trie")
  );
}

/** The cell's value as text, or `absent`. */
export function textOf(state: State, map: string, cell: string): string {
  const value = state.lookup(map, fromHex(cell));
  return value === undefined ? "absent" : toHex(value);
}

/** What the cores hold of one cell, together; undefined: nothing can be said. */
function unionOf(
  { cores, initial, sketches, merged, shared }: PartedStates,
  map: MapSpec,
  cell: string,
): string | undefined {
  const before = textOf(initial, map.name, cell);
  const lanes = merged.get(map.name);
  return unionText(shared.has(map.name) ? cores.slice(0, 1) : cores, {
    map,
    cell,
    before,
    lanes,
    several: sketches.has(map.name),
  });
}

/** The same of any states; with `several`, a cell that more than one wrote says nothing. */
export function unionText(
  cores: readonly State[],
  {
    map,
    cell,
    before,
    lanes,
    several = false,
  }: {
    readonly map: MapSpec;
    readonly cell: string;
    readonly before: string;
    readonly lanes: readonly Lane[] | undefined;
    readonly several?: boolean;
  },
): string | undefined {
  const texts = cores.map((state) => textOf(state, map.name, cell));
  if (lanes !== undefined) {
    const present = texts.filter((text) => text !== "absent");
    if (present.length === 0) return "absent";
    // Each core began with what was there; it counts once.
    const first = before === "absent" ? [] : [before];
    return summedLanes(present, lanes, first, present.length - 1);
  }
  const changed = texts.filter((text) => text !== before);
  if (changed.length > 1 && several) return undefined;
  return changed.length > 1 ? changed.join(" and ") : (changed[0] ?? before);
}

/** Sums of counters over copies of a value, less `times` of `first`, as text. */
export function summedLanes(
  values: readonly string[],
  lanes: readonly Lane[],
  first: readonly string[] = [],
  times = 0,
): string {
  return lanes
    .map(({ offset, size }) => {
      let sum = 0n;
      for (const value of values) sum += laneOf(value, offset, size);
      for (const value of first)
        sum -= BigInt(times) * laneOf(value, offset, size);
      return BigInt.asUintN(8 * size, sum).toString();
    })
    .join("+");
}

function laneOf(value: string, offset: number, size: number): bigint {
  const bytes = fromHex(value);
  let word = 0n;
  for (let at = size - 1; at >= 0; at--)
    word = (word << 8n) | BigInt(bytes[offset + at] ?? 0);
  return word;
}

interface Entry {
  readonly held: Held;
  readonly state: State;
}

function chainDifferences(
  states: PartedStates,
  allocator: AllocatorCheck,
): string[] {
  const { whole, cores, now, isTainted } = states;
  const renaming = states.renamings.get(allocator.chain);
  const texts: string[] = [];
  const byIndex = new Map<number, Entry>();
  for (const [core, state] of cores.entries())
    for (const held of liveIndices(state, allocator, now)) {
      const { base, count } = allocator.ranges[core] ?? { base: 0, count: 0 };
      if (held.index < base || held.index >= base + count)
        texts.push(
          `${allocator.chain}: core ${core} holds index ${held.index}, outside of its range`,
        );
      byIndex.set(held.index, { held, state });
    }
  const skipped = (entry: Entry): boolean =>
    allocator.entries !== undefined &&
    isTainted(allocator.entries, keyOf(entry, allocator));
  for (const held of liveIndices(whole, allocator, now)) {
    const want = { held, state: whole };
    const index = renaming?.get(held.index);
    const have = index === undefined ? undefined : byIndex.get(index);
    if (have !== undefined) byIndex.delete(have.held.index);
    if (skipped(want) || (have !== undefined && skipped(have))) continue;
    const text = entryText(want, allocator, renaming);
    const other =
      have === undefined ? "absent" : entryText(have, allocator, renaming);
    if (text !== other)
      texts.push(
        `${allocator.chain}: index ${held.index} is ${other}, sequential ${text}`,
      );
    else if (
      have !== undefined &&
      renaming?.reused.one.has(held.index) !== true &&
      renaming?.reused.other.has(have.held.index) !== true
    )
      for (const name of allocator.followers) {
        const [left, right] = [want, have].map((one) =>
          textOf(one.state, name, toHex(cellKey(one.held.index))),
        );
        if (left !== right)
          texts.push(`${name}[${held.index}] is ${right}, sequential ${left}`);
      }
  }
  for (const entry of byIndex.values())
    if (!skipped(entry))
      texts.push(
        `${allocator.chain}: index ${entry.held.index} is ${entryText(entry, allocator, renaming)}, sequential absent`,
      );
  return texts;
}

function keyOf({ held, state }: Entry, { entries }: AllocatorCheck): string {
  const spec = state.maps.find(({ name }) => name === entries);
  return toHex(held.key.subarray(0, spec?.keySize ?? held.key.length));
}

/** Key, time and value of an entry, its index left out. */
function entryText(
  entry: Entry,
  allocator: AllocatorCheck,
  renaming: Renaming | undefined,
): string {
  const { held, state } = entry;
  const time = `at ${held.last}`;
  const { entries } = allocator;
  if (entries === undefined) return time;
  const key = keyOf(entry, allocator);
  const value = state.lookup(entries, fromHex(key));
  if (value === undefined) return `${key} without a value ${time}`;
  return `${key} ${toHex(renaming?.without(value) ?? value)} ${time}`;
}
