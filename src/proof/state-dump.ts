/**
 * The state of a machine as text by map and key, for comparison. Per-CPU values
 * are taken apart into their copies. Cells of arrays that are all zero are left
 * out: an untouched cell says nothing.
 */
import { toHex } from "../base/index.ts";
import { mapTypeRow, type MapSpec } from "../isa/index.ts";
import type { StateDump } from "./record.ts";

/** What both the interpreter's state and the portable engine's can give. */
export interface Dumpable {
  readonly maps: readonly MapSpec[];
  entries(map: string): Iterable<{
    readonly key: Uint8Array;
    readonly value: Uint8Array;
  }>;
}

export function dumpState(state: Dumpable): StateDump {
  const dump = new Map<string, Map<string, readonly string[]>>();
  for (const spec of state.maps) {
    const row = mapTypeRow(spec.type);
    const cells = new Map<string, readonly string[]>();
    for (const { key, value } of state.entries(spec.name)) {
      if (row.indexed === true && value.every((byte) => byte === 0)) continue;
      cells.set(toHex(key), copies(value, spec, row.perCpu === true));
    }
    dump.set(spec.name, cells);
  }
  return dump;
}

function copies(value: Uint8Array, spec: MapSpec, perCpu: boolean): string[] {
  if (!perCpu) return [toHex(value)];
  const stride = (spec.valueSize + 7) & ~7;
  const parts: string[] = [];
  for (let at = 0; at < value.length; at += stride)
    parts.push(toHex(value.subarray(at, at + spec.valueSize)));
  return parts;
}
