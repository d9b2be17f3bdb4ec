/**
 * Helpers that send something to user space. A reader that is always quick enough is
 * assumed: rings are empty at the start of every run, every perf event is open.
 * Source: kernel/bpf/ringbuf.c, kernel/trace/bpf_trace.c.
 */
import { errno } from "../errno.ts";
import { fault } from "../fault.ts";
import { formatText } from "../format.ts";
import { readable, type Host, type HelperFunction } from "../host.ts";
import type { EventStore } from "../other-stores.ts";

function channel(host: Host, register: number): EventStore {
  const store = host.map(register);
  if (store.kind === "events") {
    host.observer.record?.(host.at, store.spec.name);
    return store;
  }
  return fault(`events to a ${store.spec.type}`);
}

const indexMask = 0xffffffffn;
const lengthMask = 0xfffffn << 32n;

const perfOutput: HelperFunction = (host) => {
  const store = channel(host, 2);
  const flags = host.args.word(3);
  const data = host.bytes(4, host.args.low(5));
  if ((flags & ~(indexMask | lengthMask)) !== 0n) return -errno.EINVAL;
  const extra = Number((flags & lengthMask) >> 32n);
  if (extra > host.frame.length) return -errno.EFAULT;
  const index = Number(flags & indexMask);
  const cpu = index === 0xffffffff ? host.input.cpu : index;
  if (cpu >= store.capacity) return -errno.E2BIG;
  const all = new Uint8Array(data.length + extra);
  all.set(data);
  if (extra > 0) all.set(host.frame.bytes(0, extra), data.length);
  host.events.push({ kind: "perf", map: store.spec.name, data: all });
  return 0;
};

/** BPF_RB_NO_WAKEUP | BPF_RB_FORCE_WAKEUP. */
const wakeFlags = 3n;
const recordHeader = 8;

function fits(store: EventStore, size: number): boolean {
  return Math.ceil((size + recordHeader) / 8) * 8 <= store.capacity;
}

const ringOutput: HelperFunction = (host) => {
  const store = channel(host, 1);
  const size = host.args.low(3);
  if ((host.args.word(4) & ~wakeFlags) !== 0n) return -errno.EINVAL;
  if (!fits(store, size)) return -errno.EAGAIN;
  const data = host.bytes(2, size).slice();
  host.events.push({ kind: "ringbuf", map: store.spec.name, data });
  return 0;
};

/** A record keeps its place in the order of reservation, as in the ring. */
const ringReserve: HelperFunction = (host) =>
  host.args.word(3) === 0n ? reserveRecord(host, host.args.low(2)) : 0;

/** Address of a record in the ring that r1 names, or 0. */
export function reserveRecord(host: Host, size: number): number {
  const store = channel(host, 1);
  if (!fits(store, size)) return 0;
  const address = host.allocate(size);
  const event = {
    kind: "ringbuf" as const,
    map: store.spec.name,
    data: new Uint8Array(size),
  };
  host.events.push(event);
  host.records.set(address, event);
  return address;
}

function finish(submit: boolean): HelperFunction {
  return (host) => {
    finishRecord(host, host.args.address(1), submit);
    return 0;
  };
}

export function finishRecord(
  host: Host,
  address: number,
  submit: boolean,
): void {
  const event = host.records.get(address);
  if (event === undefined) fault("not a reserved record");
  host.records.delete(address);
  if (submit) event.data.set(host.memory.bytes(address, event.data.length));
  else host.events.splice(host.events.indexOf(event), 1);
}

/** What is in the ring (0: nothing), its size, consumer and producer position. */
const ringQuery: HelperFunction = (host) =>
  host.args.word(2) === 1n ? channel(host, 1).capacity : 0;

function print(host: Host, args: readonly bigint[]): number {
  const format = host.bytes(1, host.args.low(2));
  const text = formatText(readable(host), format, args);
  if (typeof text === "number") return text;
  host.events.push({ kind: "print", data: text });
  return text.length;
}

const printk: HelperFunction = (host) =>
  print(host, [host.args.word(3), host.args.word(4), host.args.word(5)]);

export function wordsOf(bytes: Uint8Array): readonly bigint[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length >> 3 }, (_, index) =>
    view.getBigUint64(8 * index, true),
  );
}

const vprintk: HelperFunction = (host) => {
  const size = host.args.low(4);
  if ((size & 7) !== 0 || size > 96) return -errno.EINVAL;
  return print(host, size === 0 ? [] : wordsOf(host.bytes(3, size)));
};

export const eventHelpers: Readonly<Record<string, HelperFunction>> = {
  perf_event_output: perfOutput,
  skb_output: perfOutput,
  xdp_output: perfOutput,
  ringbuf_output: ringOutput,
  ringbuf_reserve: ringReserve,
  ringbuf_submit: finish(true),
  ringbuf_discard: finish(false),
  ringbuf_query: ringQuery,
  trace_printk: printk,
  trace_vprintk: vprintk,
};
