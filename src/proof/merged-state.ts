/**
 * The private states of several cores as one: what a reader of the original maps
 * would see. Keys of sharded objects are disjoint, so their union is the state;
 * of per-CPU values each core contributes its own copy.
 */
import { createState } from "../interp/index.ts";
import { mapTypeRow, type MapSpec } from "../isa/index.ts";
import type { MapContents } from "./record.ts";

/**
 * Digest of the union; of one core it is the sequential program's. Maps of maps,
 * program arrays, queues and ways out for events are not in it.
 */
export function mergedDigest(
  maps: readonly MapSpec[],
  cores: readonly MapContents[],
): string {
  const state = createState(maps, { cpus: cores.length });
  const cells = maps.filter(({ type }) => !isLinked(type));
  for (const map of cells) {
    const row = mapTypeRow(map.type);
    const union = new Map<string, { key: Uint8Array; value: Uint8Array }>();
    for (const [core, contents] of cores.entries())
      for (const { key, value } of contents[map.name] ?? []) {
        const name = key.join();
        const before = union.get(name)?.value;
        const next =
          row.perCpu === true
            ? ownCopy(before, value, core, cores.length)
            : before !== undefined && value.every((byte) => byte === 0)
              ? before
              : value;
        union.set(name, { key, value: next });
      }
    if (union.size > 0) state.load(map.name, [...union.values()]);
  }
  return state.digest(cells.map(({ name }) => name));
}

function isLinked(type: MapSpec["type"]): boolean {
  return /_of_maps$|^prog_array$|sock|event|ringbuf|queue|stack|bloom/.test(
    type,
  );
}

function ownCopy(
  before: Uint8Array | undefined,
  value: Uint8Array,
  core: number,
  cores: number,
): Uint8Array {
  const stride = value.length / cores;
  const merged = before?.slice() ?? new Uint8Array(value.length);
  merged.set(value.subarray(core * stride, (core + 1) * stride), core * stride);
  return merged;
}
