/**
 * Helper calls on maps with cells: one function per import of a compiled program,
 * as helpers.ts has them for all others.
 */
import { Bug } from "../../base/index.ts";
import type { HelperHost, Maker } from "./helper-host.ts";
import { lockOffset, type ValueMap } from "./value-maps.ts";

function valueMap(host: HelperHost, index: number): ValueMap {
  const map = host.maps[index];
  if (map === undefined) throw new Bug(`map ${index} has no values`);
  return map;
}

const update: Maker = ({ memory, maps }, index) => {
  const map = valueMap({ maps } as HelperHost, index);
  const { values, stride, copies, spec } = map.layout;
  const lock = lockOffset(map.layout);
  const size = spec.valueSize;
  return (key = 0, value = 0, flags = 0) => {
    const at = map.claim(key, flags >>> 0);
    if (at < 0) return at;
    const first = values + at * copies * stride;
    const to = copies > 1 ? first + memory.cpu * stride : first;
    if (map.fresh && copies > 1)
      memory.bytes.fill(0, first, first + copies * stride);
    if (lock < 0) {
      memory.move(to, value, size);
      return 0;
    }
    memory.move(to, value, lock);
    memory.move(to + lock + 4, value + lock + 4, size - lock - 4);
    if (map.fresh) memory.setU32(to + lock, 0);
    return 0;
  };
};

export const mapHelpers: Readonly<Record<string, Maker>> = {
  map_lookup_elem: (host, index) => {
    const map = valueMap(host, index);
    return (key = 0) => map.lookup(key);
  },
  map_update_elem: update,
  map_delete_elem: (host, index) => {
    const map = valueMap(host, index);
    return (key = 0) => map.remove(key);
  },
};
