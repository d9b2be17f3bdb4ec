/**
 * The engine's side of helper calls: one function per import of a compiled program.
 * What every packet may do is here, with numbers in and out as i32 (codegen's helper
 * table says what they mean) and addresses checked by the compiled code before. All
 * else is bridged: interp's own function runs on linear memory.
 *
 * Answers and error numbers are those of interp, which says where each comes from
 * (net/core/filter.c, kernel/bpf/*.c).
 */
import { Bug } from "../../base/index.ts";
import type { HelperImport } from "../../codegen/index.ts";
import {
  errno,
  helperFunctions,
  kfuncFunctions,
  type HelperAnswer,
} from "../../interp/index.ts";
import { bridgedMapHelper } from "./bridged-maps.ts";
import type { Helper, HelperHost, Maker } from "./helper-host.ts";
import type { LinearHost } from "./linear-host.ts";
import { mapHelpers } from "./map-helpers.ts";
import type { MemoryView } from "./memory-view.ts";
import type { PacketArea } from "./packet-area.ts";

/** Function for one import. Throws a Bug for one that codegen lists and nobody wrote. */
export function makeHelper(
  host: HelperHost,
  linear: LinearHost,
  wanted: HelperImport,
): Helper {
  if (wanted.bridged === true) return bridge(host, linear, wanted.helper);
  const make = makers[wanted.helper];
  if (make === undefined) throw new Bug(`no helper ${wanted.helper}`);
  return make(host, wanted.map ?? -1);
}

/** Arguments and result in cells; interp's own function, or ours on maps. */
function bridge(host: HelperHost, linear: LinearHost, name: string): Helper {
  const onMaps = bridgedMapHelper(host, linear, name);
  const interps = helperFunctions.get(name) ?? kfuncFunctions.get(name);
  const run: (() => HelperAnswer) | undefined =
    onMaps ?? (interps && (() => interps(linear)));
  if (run === undefined) throw new Bug(`no helper ${name}`);
  const { result } = host.memory.cell;
  return () => {
    const answer = linear.guard(run) ?? 0;
    if (typeof answer === "bigint") {
      host.memory.data.setBigUint64(result, BigInt.asUintN(64, answer), true);
      return;
    }
    host.memory.setU32(result, answer);
    host.memory.setU32(result + 4, Math.floor(answer / 4294967296));
  };
}

const loadBytes: Maker =
  ({ memory, packets }) =>
  (offset = 0, to = 0, size = 0) => {
    const answer = copyable(packets, offset >>> 0, size >>> 0);
    if (answer === 0) memory.move(to, packets.data + offset, size);
    return answer;
  };

const storeBytes: Maker =
  ({ memory, packets }) =>
  (offset = 0, from = 0, size = 0) => {
    const answer = copyable(packets, offset >>> 0, size >>> 0);
    if (answer === 0) memory.move(packets.data + offset, from, size);
    return answer;
  };

function copyable(packets: PacketArea, offset: number, size: number): number {
  if (offset > 0xffff || size > 0xffff) return -errno.EFAULT;
  return offset + size > packets.length ? -errno.EINVAL : 0;
}

/** Ones' complement sums of 32-bit words; the answer is folded to 16 bits (6.13). */
const csumDiff: Maker =
  ({ memory }) =>
  (from = 0, fromSize = 0, to = 0, toSize = 0, seed = 0) => {
    const { result } = memory.cell;
    const answer = (low: number): void => {
      memory.setU32(result, low);
      memory.setU32(result + 4, low < 0 ? -1 : 0);
    };
    if (((fromSize | toSize) & 3) !== 0) return answer(-errno.EINVAL);
    let sum = seed >>> 0;
    if (toSize !== 0) sum = addWords(memory, { at: to, size: toSize }, sum);
    if (fromSize !== 0 && toSize !== 0)
      sum = addCarry(
        sum,
        ~addWords(memory, { at: from, size: fromSize }, 0) >>> 0,
      );
    else if (fromSize !== 0)
      sum = ~addWords(memory, { at: from, size: fromSize }, ~sum >>> 0) >>> 0;
    const once = (sum >>> 16) + (sum & 0xffff);
    return answer(((once >>> 16) + once) & 0xffff);
  };

function addWords(
  memory: MemoryView,
  bytes: { readonly at: number; readonly size: number },
  seed: number,
): number {
  let sum = seed;
  for (let index = 0; index < bytes.size; index += 4)
    sum = addCarry(sum, memory.u32(bytes.at + index));
  return sum;
}

function addCarry(left: number, right: number): number {
  const sum = left + right;
  return sum > 0xffff_ffff ? sum - 0xffff_ffff : sum;
}

const makers: Readonly<Record<string, Maker>> = {
  ...mapHelpers,
  get_prandom_u32: (host) => () => host.random().u32(),
  csum_diff: csumDiff,
  xdp_adjust_head:
    ({ packets }) =>
    (delta = 0) =>
      packets.adjustHead(delta),
  xdp_adjust_meta:
    ({ packets }) =>
    (delta = 0) =>
      packets.adjustMeta(delta),
  xdp_adjust_tail:
    ({ packets }) =>
    (delta = 0) =>
      packets.adjustTail(delta),
  xdp_get_buff_len:
    ({ packets }) =>
    () =>
      packets.length,
  xdp_load_bytes: loadBytes,
  xdp_store_bytes: storeBytes,
};
