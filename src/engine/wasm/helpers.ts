/**
 * The engine's side of helper calls: one function per import of a compiled program.
 * Numbers in and out are i32; what they mean stands in codegen's helper table.
 * Addresses were checked by the compiled code before the call.
 *
 * Answers and error numbers are those of interp, which says where each comes from
 * (net/core/filter.c, kernel/bpf/*.c).
 */
import { Bug } from "../../base/index.ts";
import type { HelperImport } from "../../codegen/index.ts";
import { errno, formatText, type ProgramEvent } from "../../interp/index.ts";
import type { Helper, HelperHost, Maker } from "./helper-host.ts";
import { mapHelpers } from "./map-helpers.ts";
import type { MemoryView } from "./memory-view.ts";
import type { PacketArea } from "./packet-area.ts";

/** Function for one import. Throws a Bug for one that codegen lists and nobody wrote. */
export function makeHelper(host: HelperHost, wanted: HelperImport): Helper {
  const make = makers[wanted.helper];
  if (make === undefined) throw new Bug(`no helper ${wanted.helper}`);
  return make(host, wanted.map ?? -1);
}

const perfOutput: Maker = ({ memory, layout, packets, events }, index) => {
  const map = layout.maps[index];
  const name = map?.spec.name ?? "";
  return (low = 0, high = 0, data = 0, size = 0) => {
    if (high >>> 20 !== 0) return -errno.EINVAL;
    const extra = high >>> 0;
    if (extra > packets.length) return -errno.EFAULT;
    const cpu = low === -1 ? memory.cpu : low >>> 0;
    if (cpu >= (map?.capacity ?? 0)) return -errno.E2BIG;
    const all = new Uint8Array((size >>> 0) + extra);
    all.set(memory.bytes.subarray(data, data + (size >>> 0)));
    all.set(memory.copy(packets.bytesAt(0), extra), size >>> 0);
    events().push({ kind: "perf", map: name, data: all });
    return 0;
  };
};

/** Whether a record with its header fits a ring of that size. */
function fits(size: number, capacity: number): boolean {
  return Math.ceil((size + 8) / 8) * 8 <= capacity;
}

const ringOutput: Maker = ({ memory, layout, events }, index) => {
  const map = layout.maps[index];
  return (data = 0, size = 0, flags = 0) => {
    if ((flags & ~3) !== 0) return -errno.EINVAL;
    if (!fits(size >>> 0, map?.capacity ?? 0)) return -errno.EAGAIN;
    const name = map?.spec.name ?? "";
    events().push({
      kind: "ringbuf",
      map: name,
      data: memory.copy(data, size),
    });
    return 0;
  };
};

/**
 * A reserved record lies in the records area: 8 bytes of size, then data. Its event
 * stands in line from the reservation on, as the record does in the ring.
 */
const ringReserve: Maker = ({ memory, layout, events, fault }, index) => {
  const map = layout.maps[index];
  const { start, end } = layout.records;
  return (size = 0, flags = 0) => {
    if (flags !== 0 || !fits(size >>> 0, map?.capacity ?? 0)) return 0;
    const list = events();
    const used = list.reduce((sum, event) => {
      const at = records.get(event) ?? 0;
      return Math.max(sum, at === 0 ? 0 : at - start + event.data.length + 8);
    }, 8);
    const at = start + Math.ceil(used / 8) * 8;
    if (at + size > end) return fault("out of memory for records");
    memory.bytes.fill(0, at, at + size);
    const event: ProgramEvent = {
      kind: "ringbuf",
      map: map?.spec.name ?? "",
      data: new Uint8Array(size),
    };
    records.set(event, at);
    list.push(event);
    return at;
  };
};

/** Where the record behind an event lies, while it is reserved. */
const records = new WeakMap<ProgramEvent, number>();

function ringFinish(submit: boolean): Maker {
  return ({ memory, events, fault }) =>
    (record = 0) => {
      const list = events();
      const index = list.findIndex(
        (event) => records.get(event) === record >>> 0,
      );
      const event = list[index];
      if (event === undefined) return fault("not a reserved record");
      records.delete(event);
      if (submit) event.data.set(memory.copy(record, event.data.length));
      else list.splice(index, 1);
    };
}

const loadBytes: Maker =
  ({ memory, packets }) =>
  (offset = 0, to = 0, size = 0) => {
    const answer = copyable(packets, offset >>> 0, size >>> 0);
    const from = packets.bytesAt(offset);
    if (answer === 0) memory.move(to, from, size);
    return answer;
  };

const storeBytes: Maker =
  ({ memory, packets }) =>
  (offset = 0, from = 0, size = 0) => {
    const answer = copyable(packets, offset >>> 0, size >>> 0);
    if (answer === 0) memory.move(packets.bytesAt(offset), from, size);
    return answer;
  };

function copyable(packets: PacketArea, offset: number, size: number): number {
  if (offset > 0xffff || size > 0xffff) return -errno.EFAULT;
  return offset + size > packets.length ? -errno.EINVAL : 0;
}

/** Ones' complement sums of 32-bit words; the answer is folded to 16 bits (6.13). */
const csumDiff: Maker =
  ({ memory, layout: { cell } }) =>
  (from = 0, fromSize = 0, to = 0, toSize = 0, seed = 0) => {
    const answer = (low: number): void => {
      memory.setU32(cell.result, low);
      memory.setU32(cell.result + 4, low < 0 ? -1 : 0);
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

const printk: Maker =
  ({ memory, events }) =>
  (format = 0, size = 0, ...halves) => {
    const words = [0, 2, 4].map(
      (at) =>
        (BigInt((halves[at + 1] ?? 0) >>> 0) << 32n) |
        BigInt((halves[at] ?? 0) >>> 0),
    );
    const text = formatText(
      (address, length) => memory.copy(address % 2 ** 32, length),
      memory.copy(format, size),
      words,
    );
    if (typeof text === "number") return text;
    events().push({ kind: "print", data: text });
    return text.length;
  };

const noFamily = 97;

/** Nothing is routed here: BPF_FIB_LKUP_RET_NOT_FWDED, as interp's default. */
const fibLookup: Maker =
  ({ memory }) =>
  (params = 0, size = 0, flags = 0) => {
    if (size >>> 0 < 64 || (flags & ~0x3f) !== 0) return -errno.EINVAL;
    const family = memory.bytes[params];
    return family === 2 || family === 10 ? 4 : -noFamily;
  };

/** Every interface has an MTU of 1500, as interp's by default. */
const checkMtu: Maker =
  ({ memory, packets }) =>
  (_ifindex = 0, at = 0, difference = 0, low = 0, high = 0) => {
    if ((low | high) !== 0) return -errno.EINVAL;
    const given = memory.u32(at);
    memory.setU32(at, 1500);
    const length = given === 0 ? packets.length : given + 14;
    return length + difference > 1514 ? 1 : 0;
  };

const makers: Readonly<Record<string, Maker>> = {
  ...mapHelpers,
  get_prandom_u32: (host) => () => host.random().u32(),
  perf_event_output: perfOutput,
  csum_diff: csumDiff,
  fib_lookup: fibLookup,
  check_mtu: checkMtu,
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
  ringbuf_output: ringOutput,
  ringbuf_reserve: ringReserve,
  ringbuf_submit: ringFinish(true),
  ringbuf_discard: ringFinish(false),
  trace_printk: printk,
};
