/**
 * Bridged helpers on maps with values. interp has the same on values of its own; these
 * work on linear memory. The map is what the register holds, so they also serve calls
 * whose map is chosen at run time.
 */
import { errno, fault, type HelperAnswer } from "../../interp/index.ts";
import type { HelperHost } from "./helper-host.ts";
import type { LinearHost } from "./linear-host.ts";
import { lockOffset, type ValueMap } from "./value-maps.ts";

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

function mapOf(host: HelperHost, linear: LinearHost): ValueMap {
  const number = linear.mapNumber(1);
  const type = host.layout.maps[number]?.spec.type ?? "map";
  return host.maps[number] ?? fault(`not possible on a map of type ${type}`);
}

/** Address of the key in a register, checked. */
function keyOf(linear: LinearHost, { layout }: ValueMap): number {
  linear.bytes(2, layout.spec.keySize);
  return linear.args.address(2);
}

const lookup: MapHelper = (host, linear) => {
  const map = mapOf(host, linear);
  return map.lookup(keyOf(linear, map));
};

const remove: MapHelper = (host, linear) => {
  const map = mapOf(host, linear);
  return map.remove(keyOf(linear, map));
};

const update: MapHelper = (host, linear) => {
  const map = mapOf(host, linear);
  const key = keyOf(linear, map);
  linear.bytes(3, map.layout.spec.valueSize);
  const flags = linear.args.word(4);
  if (flags > 0xffff_ffffn) return -errno.EINVAL;
  return writeValue(host, map, {
    key,
    value: linear.args.address(3),
    flags: Number(flags),
  });
};

/** What bpf_map_update_elem does on the current CPU. */
export function writeValue(
  { memory }: HelperHost,
  map: ValueMap,
  element: {
    readonly key: number;
    readonly value: number;
    readonly flags: number;
  },
): number {
  const { values, stride, copies, spec } = map.layout;
  const { key, value, flags } = element;
  const at = map.claim(key, flags);
  if (at < 0) return at;
  const size = spec.valueSize;
  const lock = lockOffset(map.layout);
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
}

const lookupPerCpu: MapHelper = (host, linear) => {
  const map = mapOf(host, linear);
  const key = keyOf(linear, map);
  const cpu = linear.args.low(3);
  const at = cpu < host.layout.cpus ? map.find(key) : -1;
  if (at < 0) return 0;
  const { values, stride, copies } = map.layout;
  return values + (at * copies + (copies > 1 ? cpu : 0)) * stride;
};

/** Elements in order of insertion (of last use for LRU); arrays by index. */
const forEach: MapHelper = (host, linear) => {
  const map = mapOf(host, linear);
  const { args } = linear;
  const [handle, callback] = [args.word(1), args.address(2)];
  const context = args.word(3);
  if (args.word(4) !== 0n) return -errno.EINVAL;
  const { values, stride, copies, spec } = map.layout;
  let visited = 0;
  for (const at of map.inOrder()) {
    visited++;
    const key = linear.allocate(spec.keySize);
    const from = map.keyAddress(at);
    if (from === 0) host.memory.setU32(key, at);
    else host.memory.move(key, from, spec.keySize);
    const copy = copies > 1 ? host.memory.cpu : 0;
    const value = values + (at * copies + copy) * stride;
    if (linear.callBack(callback, [handle, key, value, context]) !== 0n) break;
  }
  return visited;
};

const helpers: Readonly<Record<string, MapHelper>> = {
  map_lookup_elem: lookup,
  map_update_elem: update,
  map_delete_elem: remove,
  map_lookup_percpu_elem: lookupPerCpu,
  for_each_map_elem: forEach,
};
