/**
 * Helpers on maps. Source: kernel/bpf/helpers.c, hashtab.c, arraymap.c,
 * bpf_iter for for_each, net/core/filter.c and kernel/bpf/devmap.c for redirect_map.
 */
import { UnsupportedError, toHex } from "../../base/index.ts";
import type { CellStore } from "../cell-store.ts";
import { errno } from "../errno.ts";
import { fault } from "../fault.ts";
import type { Host, HelperFunction } from "../host.ts";
import type { AccessResult } from "../outcome.ts";
import type { Store } from "../state.ts";

/** Address of the copy that a program on this CPU sees. */
function addressOf(host: Host, store: CellStore, cell: number): number {
  return host.addressOf(store, cell, store.copies > 1 ? host.input.cpu : 0);
}

function keyOf(host: Host, store: Store, register = 2): Uint8Array {
  return host.bytes(register, store.spec.keySize);
}

const lookup: HelperFunction = (host) => {
  const store = host.map(1);
  if (store.kind === "links") {
    const key = keyOf(host, store);
    const target = store.get(key);
    const found = target?.kind === "map";
    host.touch(
      store,
      () => toHex(key),
      "lookup",
      found ? "hit" : "miss",
      false,
    );
    return found ? host.state.handleOf(target.name) : 0;
  }
  if (store.kind !== "cells") return noLookup(store);
  const key = keyOf(host, store);
  const cell = store.find(key);
  if (cell < 0) {
    host.touch(store, () => toHex(key), "lookup", "miss", false);
    return 0;
  }
  store.used(cell);
  host.touch(store, () => store.cellName(cell), "lookup", "hit", false);
  return addressOf(host, store, cell);
};

function noLookup(store: Store): never {
  const { name, type } = store.spec;
  if (store.kind === "foreign")
    throw new UnsupportedError(`${name}: the interpreter has no ${type}`, {
      feature: `maps of type ${type}`,
    });
  return fault(`lookup in ${name}, a ${type}`);
}

/** What an update did, for the observer. */
function updateResult(store: CellStore, answer: number): AccessResult {
  if (answer === -errno.E2BIG || answer === -errno.ENOSPC) return "full";
  if (answer === -errno.ENOENT) return "miss";
  if (answer < 0) return "hit";
  if (store.evicted !== undefined) return "full";
  return store.fresh ? "miss" : "hit";
}

const update: HelperFunction = (host) => {
  const store = host.cells(1);
  const key = keyOf(host, store);
  const value = host.bytes(3, store.spec.valueSize);
  const flags = host.args.low(4);
  if (host.args.word(4) > 0xffffffffn) return -errno.EINVAL;
  store.evicted = undefined;
  const answer = store.update(key, value, flags, host.input.cpu);
  const { evicted } = store;
  if (evicted !== undefined)
    host.touch(store, toHex(evicted), "delete", "full", true);
  const result = updateResult(store, answer);
  host.touch(store, () => toHex(key), "update", result, answer === 0);
  return answer;
};

const remove: HelperFunction = (host) => {
  const store = host.cells(1);
  const key = keyOf(host, store);
  const name = host.observer.touch === undefined ? "" : toHex(key);
  const answer = store.remove(key);
  const found = answer === 0;
  host.touch(store, name, "delete", found ? "hit" : "miss", found);
  return answer;
};

const push: HelperFunction = (host) => {
  const store = host.map(1);
  if (store.kind !== "queue" && store.kind !== "bloom")
    fault(`push to a ${store.spec.type}`);
  const value = host.bytes(2, store.spec.valueSize).slice();
  const answer = store.push(value, host.args.low(3));
  const full = answer === -errno.E2BIG;
  host.touch(store, "", "update", full ? "full" : "hit", answer === 0);
  return answer;
};

function take(remove: boolean): HelperFunction {
  return (host) => {
    const store = host.map(1);
    if (store.kind === "bloom" && !remove) {
      const found = store.has(host.bytes(2, store.spec.valueSize));
      host.touch(store, "", "lookup", found ? "hit" : "miss", false);
      return found ? 0 : -errno.ENOENT;
    }
    if (store.kind !== "queue") fault(`pop or peek of a ${store.spec.type}`);
    const value = remove ? store.pop() : store.peek();
    const found = value !== undefined;
    host.touch(
      store,
      "",
      remove ? "delete" : "lookup",
      found ? "hit" : "miss",
      remove && found,
    );
    const target = host.bytes(2, store.spec.valueSize, true);
    if (found) target.set(value);
    else target.fill(0);
    return found ? 0 : -errno.ENOENT;
  };
}

const lookupPerCpu: HelperFunction = (host) => {
  const store = host.cells(1);
  const key = keyOf(host, store);
  const cpu = host.args.low(3);
  const cell = cpu < host.state.cpus ? store.find(key) : -1;
  const found = cell >= 0;
  host.touch(store, () => toHex(key), "lookup", found ? "hit" : "miss", false);
  if (!found) return 0;
  return host.addressOf(store, cell, store.copies > 1 ? cpu : 0);
};

/** Elements in order of insertion (of last use for LRU); arrays by index. */
const forEach: HelperFunction = (host) => {
  const store = host.cells(1);
  const callback = host.args.address(2);
  const context = host.args.word(3);
  if (host.args.word(4) !== 0n) return -errno.EINVAL;
  const handle = host.state.handleOf(store.spec.name);
  let visited = 0;
  for (const [key, cell] of store.keys()) {
    const keyAddress = host.allocate(key.length);
    host.memory.bytes(keyAddress, key.length, true).set(key);
    host.touch(store, () => toHex(key), "lookup", "hit", false);
    visited++;
    const value = addressOf(host, store, cell);
    if (host.callBack(callback, [handle, keyAddress, value, context]) !== 0n)
      break;
  }
  return visited;
};

const actionMask = 3n;
/** BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS, for device maps only. */
const deviceFlags = 0x18n;
const broadcast = 0x8n;

const redirectMap: HelperFunction = (host) => {
  const store = host.cells(1);
  const key = host.args.low(2);
  const flags = host.args.word(3);
  const { type, name } = store.spec;
  const isDevices = type === "devmap" || type === "devmap_hash";
  if (!isDevices && type !== "cpumap" && type !== "xskmap")
    fault(`redirect to a ${type}`);
  const allowed = actionMask | (isDevices ? deviceFlags : 0n);
  if ((flags & ~allowed) !== 0n) return 0;
  const bytes = Uint8Array.of(key, key >>> 8, key >>> 16, key >>> 24);
  const found = store.find(bytes) >= 0;
  const toAll = (flags & broadcast) !== 0n;
  if (!toAll)
    host.touch(
      store,
      () => toHex(bytes),
      "lookup",
      found ? "hit" : "miss",
      false,
    );
  if (!found && !toAll) {
    host.redirect = undefined;
    return Number(flags & actionMask);
  }
  host.redirect = { map: name, ...(toAll ? {} : { key }), flags };
  return 4;
};

function setLock(word: number): HelperFunction {
  return (host) => {
    const { memory, args } = host;
    memory.locate(args.address(1), 4, true);
    if (memory.chunk.view.getUint32(memory.at, true) === word)
      fault(word === 1 ? "lock taken twice" : "lock is not held");
    memory.chunk.view.setUint32(memory.at, word, true);
    return 0;
  };
}

export const mapHelpers: Readonly<Record<string, HelperFunction>> = {
  map_lookup_elem: lookup,
  map_update_elem: update,
  map_delete_elem: remove,
  map_push_elem: push,
  map_pop_elem: take(true),
  map_peek_elem: take(false),
  map_lookup_percpu_elem: lookupPerCpu,
  for_each_map_elem: forEach,
  redirect_map: redirectMap,
  spin_lock: setLock(1),
  spin_unlock: setLock(0),
};
