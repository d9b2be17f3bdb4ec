/**
 * Events that a program sent to user space: BPF ring buffers and perf event arrays,
 * mapped into this process and read record by record.
 *
 *   ring     page 0 consumer position (ours), page 1 producer position, then data
 *            twice, so that a record never breaks; a record: length (bit 31 busy,
 *            bit 30 discarded), page offset, data rounded up to 8
 *   perf     a ring per CPU: control page (data_head 1024, data_tail 1032), then
 *            data; a sample: type, misc, size, length, data padded to 8
 *
 * A perf sample does not tell how long its data was before padding; who sent it must
 * (codegen/bpf notes it). trace_printk goes to one pipe of the machine: not read.
 *
 * Source: kernel/bpf/ringbuf.c; include/uapi/linux/perf_event.h.
 */
import { InputError } from "../../../base/index.ts";
import type { Outcome, ProgramEvent } from "../../../interp/index.ts";
import type { KernelMap } from "../load/kernel-map.ts";
import { memory, type Syscalls } from "../syscalls.ts";

export interface EventReader {
  /** Takes what has come since the last call. */
  readonly drain: (events: ProgramEvent[]) => void;
  /** Events that found no room. */
  readonly lost: () => number;
  readonly close: () => void;
}

const page = 4096;
const readOnly = 1;
const readWrite = 3;
const shared = 1;
const busy = 0x8000_0000;
const discarded = 0x4000_0000;

function mapped(
  syscalls: Syscalls,
  what: { length: number; protection: number; fd: number; offset: number },
): number {
  const { length, protection, fd, offset } = what;
  const at = syscalls.call("mmap", 0, length, protection, shared, fd, offset);
  if (at < 0)
    throw new InputError(
      `an event buffer cannot be mapped: ${syscalls.errorName(-at)}`,
      { code: "map-access" },
    );
  return at;
}

export function ringReader(syscalls: Syscalls, map: KernelMap): EventReader {
  const size = map.spec.maxEntries;
  const { fd } = map;
  const own = mapped(syscalls, {
    length: page,
    protection: readWrite,
    fd,
    offset: 0,
  });
  const length = page + 2 * size;
  const theirs = mapped(syscalls, {
    length,
    protection: readOnly,
    fd,
    offset: page,
  });
  const consumer = new BigUint64Array(syscalls.view(own, page), 0, 1);
  const memoryOf = syscalls.view(theirs, length);
  const producer = new Uint32Array(memoryOf, 0, 2);
  const bytes = new Uint8Array(memoryOf, page);
  const view = new DataView(memoryOf, page);
  let position = 0;
  return {
    drain: (events) => {
      const end = (producer[0] ?? 0) + (producer[1] ?? 0) * 2 ** 32;
      if (position === end) return;
      while (position < end) {
        const at = position % size;
        const head = view.getUint32(at, true);
        if (head >= busy) break;
        const long = head & ~discarded;
        if ((head & discarded) === 0)
          events.push({
            kind: "ringbuf",
            map: map.spec.name,
            data: bytes.slice(at + 8, at + 8 + long),
          });
        position += 8 * Math.ceil((long + 8) / 8);
      }
      consumer[0] = BigInt(position);
    },
    lost: () => 0,
    close: () => {
      syscalls.call("munmap", own, page);
      syscalls.call("munmap", theirs, length);
    },
  };
}

const sample = 9;
const lostRecord = 2;
const perfPages = 16;
const enable = 0x2400;
/** PERF_TYPE_SOFTWARE, PERF_COUNT_SW_BPF_OUTPUT, PERF_SAMPLE_RAW. */
const perfEvent = { type: 1, config: 10, sampleType: 1 << 10, size: 128 };

/** Opens an event on each of these CPUs and puts it into the array. */
export function perfReader(
  syscalls: Syscalls,
  map: KernelMap,
  cpus: readonly number[],
): EventReader {
  const rings: PerfRing[] = [];
  const close = (): void => {
    for (const ring of rings) ring.close();
  };
  try {
    for (const cpu of cpus) {
      if (cpu >= map.spec.maxEntries && map.spec.maxEntries > 0) continue;
      const ring = new PerfRing(syscalls, map.spec.name, cpu);
      rings.push(ring);
      map.setDescriptor(cpu, ring.fd);
    }
  } catch (error) {
    close();
    throw error;
  }
  return {
    drain: (events) => {
      for (const ring of rings) ring.drain(events);
    },
    lost: () => rings.reduce((sum, { lost }) => sum + lost, 0),
    close,
  };
}

class PerfRing {
  readonly fd: number;
  lost = 0;
  readonly #syscalls: Syscalls;
  readonly #map: string;
  readonly #address: number;
  readonly #head: Uint32Array;
  readonly #tail: BigUint64Array;
  readonly #bytes: Uint8Array;
  #position = 0;

  constructor(syscalls: Syscalls, map: string, cpu: number) {
    this.#syscalls = syscalls;
    this.#map = map;
    const attr = memory(perfEvent.size);
    attr.writeUInt32LE(perfEvent.type, 0);
    attr.writeUInt32LE(perfEvent.size, 4);
    attr.writeUInt32LE(perfEvent.config, 8);
    attr.writeUInt32LE(1, 16);
    attr.writeUInt32LE(perfEvent.sampleType, 24);
    const closeOnExec = 8;
    this.fd = syscalls.call("perf_event_open", attr, -1, cpu, -1, closeOnExec);
    if (this.fd < 0)
      throw new InputError(
        `no perf event on CPU ${cpu}: ${syscalls.errorName(-this.fd)}`,
        { code: "map-access" },
      );
    const size = perfPages * page;
    this.#address = mapped(syscalls, {
      length: page + size,
      protection: readWrite,
      fd: this.fd,
      offset: 0,
    });
    const all = syscalls.view(this.#address, page + size);
    this.#head = new Uint32Array(all, 1024, 2);
    this.#tail = new BigUint64Array(all, 1032, 1);
    this.#bytes = new Uint8Array(all, page, size);
    syscalls.call("ioctl", this.fd, enable, 0);
  }

  drain(events: ProgramEvent[]): void {
    const end = (this.#head[0] ?? 0) + (this.#head[1] ?? 0) * 2 ** 32;
    if (this.#position === end) return;
    while (this.#position < end) {
      const head = this.#take(this.#position, 8);
      const size = head.getUint16(6, true);
      const record = this.#take(this.#position, size);
      const type = head.getUint32(0, true);
      if (type === sample) {
        const long = record.getUint32(8, true);
        const data = new Uint8Array(record.buffer, 12, long);
        events.push({ kind: "perf", map: this.#map, data });
      }
      if (type === lostRecord) this.lost += record.getUint32(16, true);
      this.#position += size;
    }
    this.#tail[0] = BigInt(this.#position);
  }

  close(): void {
    this.#syscalls.call("munmap", this.#address, page + this.#bytes.length);
    this.#syscalls.close(this.fd);
  }

  /** A copy of the ring's bytes from there on. */
  #take(position: number, size: number): DataView {
    const copy = new Uint8Array(size);
    const at = position % this.#bytes.length;
    const first = Math.min(size, this.#bytes.length - at);
    copy.set(this.#bytes.subarray(at, at + first));
    copy.set(this.#bytes.subarray(0, size - first), first);
    return new DataView(copy.buffer);
  }
}

/** The outcome as a test run in the kernel can show it: no prints, no clones sent. */
export function asKernelShows(outcome: Outcome): Outcome {
  if (outcome.events.length === 0) return outcome;
  const events = outcome.events.filter(
    ({ kind }) => kind !== "print" && kind !== "clone",
  );
  return { ...outcome, events };
}
