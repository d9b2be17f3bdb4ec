/**
 * An AF_XDP socket: frames of one queue of one interface, in memory that this process
 * and the kernel share. No native code: the rings are words read and written by Atomics.
 *
 *   UMEM      frames of `chunk` bytes; those below `half` are for receiving, the others
 *             for sending
 *   fill      us → kernel   addresses of empty frames      64 bits each
 *   rx        kernel → us   received: address, length, options    16 bytes each
 *   tx        us → kernel   to be sent: the same
 *   completion kernel → us  addresses of frames that were sent
 *
 * Each ring has a producer and a consumer, counters that only grow; the place is the
 * counter modulo the ring's size. Whoever fills writes the entry, then its counter.
 *
 * Copy mode, which is all that veth has. EAGAIN, EBUSY and ENOBUFS are normal: later.
 * Receiving needs a program on the interface that redirects into an XSKMAP:
 * `attachSockets`. Nothing may touch frames or rings after `close`.
 *
 * Source: Documentation/networking/af_xdp.rst; include/uapi/linux/if_xdp.h.
 */
import { Bug, InputError, UnsupportedError } from "../../../base/index.ts";
import { attachXdp, type XdpLink } from "../links/link.ts";
import {
  createSmallMap,
  loadSmallProgram,
  setWord,
} from "../load/small-program.ts";
import { memory, type Syscalls } from "../syscalls.ts";

const AF_XDP = 44;
const SOCK_RAW = 3;
const SOL_XDP = 283;
// prettier-ignore
const option = { offsets: 1, rx: 2, tx: 3, umem: 4, fill: 5, completion: 6 } as const;
/** XDP_PGOFF_*, XDP_UMEM_PGOFF_*: which ring mmap(2) gives. */
// prettier-ignore
const pageOffset = { rx: 0, tx: 0x8000_0000, fill: 0x1_0000_0000, completion: 0x1_8000_0000 } as const;
type RingName = keyof typeof pageOffset;
const copyFlag = 2;
const dontWait = 0x40;
const readWrite = 3;
const map = {
  shared: 1,
  private: 2,
  anonymous: 0x20,
  populate: 0x8000,
} as const;
const chunk = 4096;
/** Head room that the kernel leaves in received frames. */
const headroom = 256;
const later = new Set([11, 16, 105]);

export interface AfXdpOptions {
  readonly ifindex: number;
  readonly queue: number;
  /** Frames of each direction, a power of two; default 2,048. */
  readonly frames?: number;
}

export class AfXdpSocket {
  readonly fd: number;
  readonly queue: number;
  readonly #syscalls: Syscalls;
  readonly #mapped: (readonly [address: number, length: number])[] = [];
  readonly #umem: Uint8Array;
  readonly #rings: Readonly<Record<RingName, Ring>>;
  readonly #frames: number;
  /** Addresses of frames that are free for sending. */
  readonly #free: number[];

  /** In the calling thread's namespace. */
  constructor(syscalls: Syscalls, options: AfXdpOptions) {
    const { ifindex, queue, frames = 2048 } = options;
    if ((frames & (frames - 1)) !== 0) throw new Bug(`${frames} frames`);
    this.#syscalls = syscalls;
    this.#frames = frames;
    this.queue = queue;
    this.fd = syscalls.call("socket", AF_XDP, SOCK_RAW, 0);
    if (this.fd < 0)
      throw new UnsupportedError(
        `no AF_XDP socket can be had (${syscalls.errorName(-this.fd)})`,
        { feature: "AF_XDP", firstKernel: "4.18" },
      );
    try {
      const size = 2 * frames * chunk;
      const anonymous = map.private | map.anonymous | map.populate;
      const at = this.#map(size, anonymous, -1, 0);
      this.#umem = new Uint8Array(syscalls.view(at, size));
      this.#register(at, size);
      this.#rings = this.#mapRings();
      this.#free = Array.from(
        { length: frames },
        (_, index) => (frames + index) * chunk,
      );
      this.#fill(Array.from({ length: frames }, (_, index) => index * chunk));
      const address = memory(16);
      address.writeUInt16LE(AF_XDP, 0);
      address.writeUInt16LE(copyFlag, 2);
      address.writeUInt32LE(ifindex, 4);
      address.writeUInt32LE(queue, 8);
      const bound = syscalls.call("bind", this.fd, address, 16);
      if (bound < 0)
        throw new InputError(
          `queue ${queue} of interface ${ifindex} cannot be had (${syscalls.errorName(-bound)})`,
          { code: "af-xdp-bind" },
        );
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Frames that arrived since the last call: copies. Their places are free again. */
  receive(): Uint8Array[] {
    const { rx } = this.#rings;
    const received: Uint8Array[] = [];
    const empty: number[] = [];
    for (const end = rx.produced; rx.position !== end; rx.position++) {
      const [address, length] = rx.descriptor(rx.position);
      received.push(this.#umem.slice(address, address + length));
      empty.push(address - (address % chunk));
    }
    rx.publishConsumer();
    this.#fill(empty);
    return received;
  }

  /** How many of the frames, from the first on, were taken: fewer when the ring is full. */
  send(frames: readonly Uint8Array[]): number {
    this.#reclaim();
    const { tx } = this.#rings;
    let sent = 0;
    for (const frame of frames) {
      if (frame.length > chunk) throw new Bug(`a frame of ${frame.length}`);
      const address = this.#free.pop();
      if (address === undefined) break;
      this.#umem.set(frame, address);
      tx.setDescriptor(tx.position++, address, frame.length);
      sent++;
    }
    tx.publishProducer();
    this.flush();
    return sent;
  }

  /** Tells the kernel to send; true when nothing is left to be sent. */
  flush(): boolean {
    const code = this.#syscalls.call("sendto", this.fd, 0, 0, dontWait, 0, 0);
    if (code < 0 && !later.has(-code))
      throw new InputError(
        `AF_XDP: sending failed with ${this.#syscalls.errorName(-code)}`,
        { code: "af-xdp-send" },
      );
    this.#reclaim();
    return this.#free.length === this.#frames;
  }

  close(): void {
    this.#syscalls.close(this.fd);
    for (const [address, length] of this.#mapped.splice(0))
      this.#syscalls.call("munmap", address, length);
  }

  #fill(addresses: readonly number[]): void {
    const { fill } = this.#rings;
    for (const address of addresses) fill.setAddress(fill.position++, address);
    fill.publishProducer();
  }

  #reclaim(): void {
    const { completion } = this.#rings;
    const end = completion.produced;
    for (; completion.position !== end; completion.position++)
      this.#free.push(completion.address(completion.position));
    completion.publishConsumer();
  }

  #register(address: number, size: number): void {
    const request = memory(32);
    request.writeBigUInt64LE(BigInt(address), 0);
    request.writeBigUInt64LE(BigInt(size), 8);
    request.writeUInt32LE(chunk, 16);
    request.writeUInt32LE(headroom, 20);
    this.#set(option.umem, request);
    const entries = memory(4);
    entries.writeUInt32LE(this.#frames);
    for (const ring of ["fill", "completion", "rx", "tx"] as const)
      this.#set(option[ring], entries);
  }

  #mapRings(): Readonly<Record<RingName, Ring>> {
    const offsets = memory(128);
    const length = memory(4);
    length.writeUInt32LE(offsets.length);
    const { call } = this.#syscalls;
    call("getsockopt", this.fd, SOL_XDP, option.offsets, offsets, length);
    const ring = (name: RingName, row: number, entry: number): Ring => {
      const [producer = 0, consumer = 0, entries = 0] = [0, 8, 16].map((at) =>
        Number(offsets.readBigUInt64LE(32 * row + at)),
      );
      const size = entries + this.#frames * entry;
      const flags = map.shared | map.populate;
      const at = this.#map(size, flags, this.fd, pageOffset[name]);
      const words = new Uint32Array(this.#syscalls.view(at, size - (size % 4)));
      return new Ring(words, {
        producer,
        consumer,
        entries,
        mask: this.#frames - 1,
      });
    };
    return {
      rx: ring("rx", 0, 16),
      tx: ring("tx", 1, 16),
      fill: ring("fill", 2, 8),
      completion: ring("completion", 3, 8),
    };
  }

  #map(length: number, flags: number, fd: number, offset: number): number {
    const { call, errorName } = this.#syscalls;
    const address = call("mmap", 0, length, readWrite, flags, fd, offset);
    if (address < 0)
      throw new UnsupportedError(`AF_XDP memory: ${errorName(-address)}`, {
        feature: "AF_XDP",
      });
    this.#mapped.push([address, length]);
    return address;
  }

  #set(name: number, value: Buffer): void {
    const { call, errorName } = this.#syscalls;
    const code = call(
      "setsockopt",
      this.fd,
      SOL_XDP,
      name,
      value,
      value.length,
    );
    if (code < 0)
      throw new UnsupportedError(`AF_XDP option ${name}: ${errorName(-code)}`, {
        feature: "AF_XDP",
        fix: "raise the limit of locked memory (ulimit -l)",
      });
  }
}

interface RingPlaces {
  readonly producer: number;
  readonly consumer: number;
  readonly entries: number;
  readonly mask: number;
}

/** One ring; `position` is our own counter, modulo 2^32 when it is published. */
class Ring {
  position = 0;
  readonly #words: Uint32Array;
  readonly #producer: number;
  readonly #consumer: number;
  readonly #entries: number;
  readonly #mask: number;

  constructor(words: Uint32Array, places: RingPlaces) {
    this.#words = words;
    this.#producer = places.producer / 4;
    this.#consumer = places.consumer / 4;
    this.#entries = places.entries / 4;
    this.#mask = places.mask;
  }

  /** How far the kernel has filled, counted as `position` is. */
  get produced(): number {
    const ahead = Atomics.load(this.#words, this.#producer) - this.position;
    return this.position + (ahead >>> 0);
  }

  publishProducer(): void {
    Atomics.store(this.#words, this.#producer, this.position >>> 0);
  }

  publishConsumer(): void {
    Atomics.store(this.#words, this.#consumer, this.position >>> 0);
  }

  descriptor(position: number): readonly [address: number, length: number] {
    const at = this.#entries + 4 * (position & this.#mask);
    return [this.#long(at), this.#words[at + 2] ?? 0];
  }

  setDescriptor(position: number, address: number, length: number): void {
    const at = this.#entries + 4 * (position & this.#mask);
    this.#setLong(at, address);
    this.#words[at + 2] = length;
    this.#words[at + 3] = 0;
  }

  address(position: number): number {
    return this.#long(this.#entries + 2 * (position & this.#mask));
  }

  setAddress(position: number, address: number): void {
    this.#setLong(this.#entries + 2 * (position & this.#mask), address);
  }

  #long(at: number): number {
    return (this.#words[at] ?? 0) + (this.#words[at + 1] ?? 0) * 2 ** 32;
  }

  #setLong(at: number, value: number): void {
    this.#words[at] = value >>> 0;
    this.#words[at + 1] = Math.floor(value / 2 ** 32);
  }
}

/** Every frame of a queue that has a socket goes there, others are passed on; closing the link ends it. */
export function attachSockets(
  syscalls: Syscalls,
  ifindex: number,
  sockets: readonly AfXdpSocket[],
): { readonly link: XdpLink; readonly close: () => void } {
  const entries = 1 + Math.max(0, ...sockets.map(({ queue }) => queue));
  const xskmap = createSmallMap(syscalls, "divisi_sockets", "xskmap", {
    valueSize: 4,
    entries,
  });
  for (const { queue, fd } of sockets) {
    const code = setWord(syscalls, xskmap, [queue, fd]);
    if (code < 0)
      throw new UnsupportedError(
        `no AF_XDP socket for queue ${queue} (${syscalls.errorName(-code)})`,
        { feature: "AF_XDP", firstKernel: "4.18" },
      );
  }
  const program = loadSmallProgram(
    syscalls,
    `function divisi_sockets
  r2 = *(u32 *)(r1 + 16)
  r1 = map sockets ll
  r3 = 2
  call redirect_map
  exit`,
    { maps: { sockets: xskmap }, attachType: 37 },
  );
  const link = attachXdp(syscalls, { fd: program }, ifindex, {
    mode: "native",
  });
  return {
    link,
    close: () => {
      link.close();
      syscalls.close(program);
      syscalls.close(xskmap);
    },
  };
}
