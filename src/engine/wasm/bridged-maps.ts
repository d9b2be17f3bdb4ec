/**
 * Bridged helpers on maps. interp has the same on values of its own; these
 * work on linear memory. The map is what the register holds, so they also serve calls
 * whose map is chosen at run time.
 */
import { errno, fault, type HelperAnswer } from "../../interp/index.ts";
import type { HelperHost } from "./helper-host.ts";
import type { LinearHost } from "./linear-host.ts";
import { QueueMap } from "./queue-map.ts";
import { hasCells, type LinearMap, type ValueMap } from "./value-maps.ts";

type MapHelper = (host: HelperHost, linear: LinearHost) => HelperAnswer;

/** The helper of that name if it is one of these. */
export function bridgedMapHelper(
  host: HelperHost,
  linear: LinearHost,
  name: string,
): (() => HelperAnswer) | undefined {
  const helper = helpers[name];
  return helper && (() => helper(host, linear));
}

function mapOf(host: HelperHost, linear: LinearHost): LinearMap {
  const number = linear.mapNumber(1);
  const type = host.layout.maps[number]?.spec.type ?? "map";
  return host.maps[number] ?? fault(`not possible on a map of type ${type}`);
}

function unfit({ layout }: LinearMap): never {
  return fault(`not possible on a map of type ${layout.spec.type}`);
}

/** The map in r1, if its cells hold what `held` says. */
function cellsOf(
  host: HelperHost,
  linear: LinearHost,
  held: readonly string[] = ["values"],
): ValueMap {
  const map = mapOf(host, linear);
  if (!hasCells(map) || !held.includes(map.layout.held)) return unfit(map);
  return map;
}

/** Address of the key in a register, checked. */
function keyOf(linear: LinearHost, { layout }: ValueMap): number {
  linear.bytes(2, layout.spec.keySize);
  return linear.args.address(2);
}

const lookup: MapHelper = (host, linear) => {
  const map = cellsOf(host, linear, ["values", "maps"]);
  const at = map.lookup(keyOf(linear, map));
  return map.layout.held === "values" || at === 0 ? at : host.memory.u32(at);
};

const remove: MapHelper = (host, linear) => {
  const map = cellsOf(host, linear);
  return map.remove(keyOf(linear, map));
};

const update: MapHelper = (host, linear) => {
  const map = cellsOf(host, linear);
  const key = keyOf(linear, map);
  linear.bytes(3, map.layout.spec.valueSize);
  const flags = linear.args.word(4);
  if (flags > 0xffff_ffffn) return -errno.EINVAL;
  map.values.from = linear.args.address(3);
  return map.update(key, Number(flags));
};

const push: MapHelper = (host, linear) => {
  const map = mapOf(host, linear);
  if (hasCells(map)) return unfit(map);
  linear.bytes(2, map.layout.valueSize);
  const flags = linear.args.word(3);
  if (flags > 0xffff_ffffn) return -errno.EINVAL;
  return map.push(linear.args.address(2), Number(flags));
};

function take(remove: boolean): MapHelper {
  return (host, linear) => {
    const map = mapOf(host, linear);
    if (map instanceof QueueMap) {
      linear.bytes(2, map.layout.valueSize, true);
      const to = linear.args.address(2);
      return remove ? map.pop(to) : map.peek(to);
    }
    if (hasCells(map) || remove) return unfit(map);
    linear.bytes(2, map.layout.valueSize);
    return map.peek(linear.args.address(2));
  };
}

const lookupPerCpu: MapHelper = (host, linear) => {
  const map = cellsOf(host, linear);
  const key = keyOf(linear, map);
  const cpu = linear.args.low(3);
  const at = cpu < host.layout.cpus ? map.find(key) : -1;
  if (at < 0) return 0;
  return map.values.address(at, cpu);
};

/** Elements in order of insertion (of last use for LRU); arrays by index. */
const forEach: MapHelper = (host, linear) => {
  const map = cellsOf(host, linear);
  const { args } = linear;
  const [handle, callback] = [args.word(1), args.address(2)];
  const context = args.word(3);
  if (args.word(4) !== 0n) return -errno.EINVAL;
  const { spec } = map.layout;
  let visited = 0;
  for (const at of map.inOrder()) {
    visited++;
    const key = linear.allocate(spec.keySize);
    const from = map.keyAddress(at);
    if (from === 0) host.memory.setU32(key, at);
    else host.memory.move(key, from, spec.keySize);
    const value = map.values.address(at, host.memory.cpu);
    if (linear.callBack(callback, [handle, key, value, context]) !== 0n) break;
  }
  return visited;
};

const helpers: Readonly<Record<string, MapHelper>> = {
  map_lookup_elem: lookup,
  map_update_elem: update,
  map_delete_elem: remove,
  map_push_elem: push,
  map_pop_elem: take(true),
  map_peek_elem: take(false),
  map_lookup_percpu_elem: lookupPerCpu,
  for_each_map_elem: forEach,
};
