/**
 * An array with a copy for each core, in one map: cell i of core c is cell c · n + i.
 * For cells that packets of several cores would share although they are strangers
 * (sketches, hashed counters). A key from n on finds nothing, as ever; on a queue that
 * the plan has not, no key finds anything.
 *
 *   r0 = *(u32 *)(r2 + 0)
 *   if r0 >= n goto outside
 *   r5 = own core
 *   r5 *= n
 *   r0 += r5                     key of the own cell, in the frame, in r2
 */
import { UnsupportedError } from "../../../base/index.ts";
import { editFunction, type Edit } from "../../../isa/index.ts";
import { assembled } from "../patch/assembled.ts";
import {
  functionOf,
  mapOf,
  withFunctions,
  withReplacedMap,
  type Code,
} from "../patch/code.ts";
import { freeSlot } from "../patch/frame.ts";
import { callsWith } from "../patch/map-calls.ts";
import type { OwnCore } from "../patch/own-core.ts";

export interface SlicedPart {
  readonly object: string;
  readonly layout: "sliced";
}

const keyed: ReadonlySet<string> = new Set([
  "map_lookup_elem",
  "map_update_elem",
]);

export function slicedUsers(code: Code, { object }: SlicedPart): string[] {
  return [...callsWith(code, object, keyed).keys()];
}

export function withSlices<T extends Code>(
  code: T,
  { object }: SlicedPart,
  { cores, own }: { cores: number; own: ReadonlyMap<string, OwnCore> },
): T {
  const map = mapOf(code, object);
  const cells = map.maxEntries;
  if (map.type !== "array" || cells * (cores + 1) > 0x7fff_ffff)
    throw new UnsupportedError(
      `${object} cannot have a copy for each of ${cores} cores`,
      { feature: `copies per core of a ${map.type} of ${cells} entries` },
    );
  const functions = [...callsWith(code, object, keyed)].map(([name, calls]) => {
    const fn = functionOf(code, name);
    const core = own.get(name);
    if (core === undefined) return fn;
    const key = freeSlot(fn, 8);
    const instructions = assembled(keyText(core.slot, key, cells));
    return editFunction(
      fn,
      calls.map(({ at }): Edit => ({ kind: "insert", at, instructions })),
    );
  });
  return withReplacedMap(withFunctions(code, functions), {
    ...map,
    maxEntries: cells * cores,
  });
}

function keyText(own: number, key: number, cells: number): string {
  return `
    r0 = *(u32 *)(r2 + 0)
    if r0 >= ${cells} goto outside
    r5 = *(u64 *)(r10 + ${own})
    r5 *= ${cells}
    r0 += r5
    goto known
  outside:
    r0 = -1
  known:
    *(u32 *)(r10 + ${key}) = r0
    r2 = r10
    r2 += ${key}`;
}
