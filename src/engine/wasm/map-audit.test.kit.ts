/**
 * For tests: whether what a table map has in memory makes sense. Every cell is in one
 * chain, in the list of free cells, the spare one, or was never used; counts agree; an
 * element is found under its key; an LRU map's order has each element once.
 */
import { mapState, type MapLayout } from "../../codegen/index.ts";
import type { MemoryView } from "./memory-view.ts";
import type { ValueMap } from "./value-maps.ts";

/** What is wrong; nobody may use the map meanwhile. */
export function audit(
  memory: MemoryView,
  map: ValueMap & { readonly layout: MapLayout },
): readonly string[] {
  const { layout } = map;
  const word = (at: number): number => memory.u32(at);
  const state = (field: number): number => word(layout.state + field);
  const wrong: string[] = [];
  const home = new Map<number, string>();
  const settle = (at: number, where: string): boolean => {
    const old = home.get(at);
    if (old !== undefined) wrong.push(`cell ${at} is ${old} and ${where}`);
    if (at >= layout.cells) wrong.push(`cell ${at} of ${layout.cells}`);
    home.set(at, where);
    return old === undefined && at < layout.cells;
  };
  const walk = (start: number, list: number, where: string): number => {
    let count = 0;
    for (let entry = start; entry !== 0; entry = word(list + 4 * (entry - 1))) {
      if (!settle(entry - 1, where)) break;
      count++;
    }
    return count;
  };
  let size = 0;
  for (let bucket = 0; bucket < layout.bucketCount; bucket++)
    size += walk(
      word(layout.buckets + bucket * layout.bucketStride),
      layout.next,
      `in chain ${bucket}`,
    );
  if (size !== state(mapState.size))
    wrong.push(`${size} elements, but ${state(mapState.size)} counted`);
  if (size > layout.capacity) wrong.push(`${size} of ${layout.capacity}`);
  for (const at of map.cells()) {
    const found = map.locate(layout.keys + at * layout.keyStride);
    if (found !== at) wrong.push(`cell ${at} is found as ${found}`);
  }
  walk(state(mapState.free), layout.next, "free");
  const spare = state(mapState.spare);
  settle(spare === 0 ? layout.capacity : spare - 1, "spare");
  for (let at = state(mapState.unused); at < layout.capacity; at++)
    settle(at, "unused");
  if (home.size !== layout.cells)
    wrong.push(`${layout.cells - home.size} cells are lost`);
  if (layout.kind === "lru") wrong.push(...auditOrder(memory, map, size));
  if (layout.kind === "lpm") wrong.push(...auditLengths(memory, map));
  return wrong;
}

function auditOrder(
  memory: MemoryView,
  { layout }: ValueMap,
  size: number,
): readonly string[] {
  const wrong: string[] = [];
  const link = (list: number, at: number): number => memory.u32(list + 4 * at);
  let count = 0;
  let previous = 0;
  let entry = memory.u32(layout.state + mapState.oldest);
  for (; entry !== 0 && count <= size; count++) {
    if (link(layout.older, entry - 1) !== previous)
      wrong.push(`cell ${entry - 1} does not know its older neighbour`);
    previous = entry;
    entry = link(layout.newer, entry - 1);
  }
  if (previous !== memory.u32(layout.state + mapState.newest))
    wrong.push("the order does not end with the newest");
  if (count !== size) wrong.push(`${count} of ${size} elements in order`);
  return wrong;
}

function auditLengths(memory: MemoryView, map: ValueMap): readonly string[] {
  const { layout } = map;
  const counts = new Map<number, number>();
  for (const at of map.cells()) {
    const length = memory.u32(layout.keys + at * layout.keyStride);
    counts.set(length, (counts.get(length) ?? 0) + 1);
  }
  const longest = 8 * (layout.spec.keySize - 4);
  return Array.from({ length: longest + 1 }, (_, length) => length).flatMap(
    (length) => {
      const counted = memory.u32(layout.lengths + 4 * length);
      const real = counts.get(length) ?? 0;
      return counted === real
        ? []
        : [`${real} prefixes of length ${length}, but ${counted} counted`];
    },
  );
}
