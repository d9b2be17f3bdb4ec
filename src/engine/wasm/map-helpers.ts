/**
 * Helper calls on maps: one function per import of a compiled program, as helpers.ts
 * has them for all others. Keys and values are addresses.
 */
import { Bug } from "../../base/index.ts";
import type { HelperHost, Maker } from "./helper-host.ts";
import { hasCells, type ValueMap } from "./value-maps.ts";

function valueMap(host: HelperHost, index: number): ValueMap {
  const map = host.maps[index];
  if (!hasCells(map)) throw new Bug(`map ${index} has no cells`);
  return map;
}

/** A handle for maps of maps, else the address of the value; 0 without element. */
const lookup: Maker = (host, index) => {
  const map = valueMap(host, index);
  if (map.layout.held === "values") return (key = 0) => map.lookup(key);
  return (key = 0) => {
    const at = map.lookup(key);
    return at === 0 ? 0 : host.memory.u32(at);
  };
};

const update: Maker = (host, index) => {
  const map = valueMap(host, index);
  const { values } = map;
  return (key = 0, value = 0, flags = 0) => {
    values.from = value;
    return map.update(key, flags >>> 0);
  };
};

export const mapHelpers: Readonly<Record<string, Maker>> = {
  map_lookup_elem: lookup,
  map_update_elem: update,
  map_delete_elem: (host, index) => {
    const map = valueMap(host, index);
    return (key = 0) => map.remove(key);
  },
};
