/**
 * The states of several cores against the one state of the sequential program, at the
 * end of an episode:
 *
 *   expiring maps  live entries by key: same value, same time, indices renamed, and the
 *                  same bytes in the arrays that go with the index, unless the index was
 *                  used before (what a former holder left behind is nobody's)
 *   sketches       cells that one core alone touched
 *   merged         sums of lanes
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
  readonly isTainted: (map: string, cell: string) => boolean;
  readonly now: bigint;
}

/** One sentence per difference. */
export function partedDifferences(states: PartedStates): string[] {
  const texts: string[] = [];
  const chained = new Set<string>();
  for (const allocator of states.allocators) {
    chained.add(allocator.chain);
    if (allocator.entries !== undefined) chained.add(allocator.entries.map);
    for (const name of allocator.followers) chained.add(name);
    texts.push(...chainDifferences(states, allocator));
  }
  for (const map of states.maps) {
    if (chained.has(map.name) || !hasCells(map)) continue;
    for (const cell of states.written.get(map.name) ?? []) {
      if (states.isTainted(map.name, cell)) continue;
      const want = textOf(states.whole, map.name, cell);
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

function textOf(state: State, map: string, cell: string): string {
  const value = state.lookup(map, fromHex(cell));
  return value === undefined ? "absent" : toHex(value);
}

/** What the cores hold of one cell, together; undefined: nothing can be said. */
function unionOf(
  { cores, initial, sketches, merged }: PartedStates,
  map: MapSpec,
  cell: string,
): string | undefined {
  const before = textOf(initial, map.name, cell);
  const lanes = merged.get(map.name);
  if (lanes !== undefined) return summed(cores, { map, cell, lanes, before });
  const changed = cores
    .map((state) => textOf(state, map.name, cell))
    .filter((text) => text !== before);
  if (changed.length > 1 && sketches.has(map.name)) return undefined;
  return changed.length > 1 ? changed.join(" and ") : (changed[0] ?? before);
}

function summed(
  cores: readonly State[],
  {
    map,
    cell,
    lanes,
    before,
  }: {
    readonly map: MapSpec;
    readonly cell: string;
    readonly lanes: readonly Lane[];
    readonly before: string;
  },
): string {
  const first = before === "absent" ? "00".repeat(map.valueSize) : before;
  const sum = fromHex(first);
  const texts = cores.map((state) => textOf(state, map.name, cell));
  if (texts.every((text) => text === "absent")) return "absent";
  for (const { offset, size } of lanes) {
    const lane = (text: string): bigint => {
      const bytes = fromHex(text === "absent" ? first : text);
      let word = 0n;
      for (let at = size - 1; at >= 0; at--)
        word = (word << 8n) | BigInt(bytes[offset + at] ?? 0);
      return word;
    };
    let total = lane(first);
    for (const text of texts) total += lane(text) - lane(first);
    for (let at = 0; at < size; at++)
      sum[offset + at] = Number((total >> BigInt(8 * at)) & 0xffn);
  }
  return toHex(sum);
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
    isTainted(allocator.entries.map, keyOf(entry, allocator));
  for (const held of liveIndices(whole, allocator, now)) {
    const want = { held, state: whole };
    const index = renaming?.get(held.index);
    const have = index === undefined ? undefined : byIndex.get(index);
    if (have !== undefined) byIndex.delete(have.held.index);
    if (skipped(want) || (have !== undefined && skipped(have))) continue;
    const text = entryText(want, allocator);
    const other = have === undefined ? "absent" : entryText(have, allocator);
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
        `${allocator.chain}: index ${entry.held.index} is ${entryText(entry, allocator)}, sequential absent`,
      );
  return texts;
}

function keyOf({ held, state }: Entry, { entries }: AllocatorCheck): string {
  const spec = state.maps.find(({ name }) => name === entries?.map);
  return toHex(held.key.subarray(0, spec?.keySize ?? held.key.length));
}

/** Key, time and value of an entry, its index left out. */
function entryText(entry: Entry, allocator: AllocatorCheck): string {
  const { held, state } = entry;
  const time = `at ${held.last}`;
  const { entries } = allocator;
  if (entries === undefined) return time;
  const key = keyOf(entry, allocator);
  const value = state.lookup(entries.map, fromHex(key));
  if (value === undefined) return `${key} without a value ${time}`;
  value.fill(0, entries.indexOffset, entries.indexOffset + 4);
  return `${key} ${toHex(value)} ${time}`;
}
