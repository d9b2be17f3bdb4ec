/**
 * Frames sent by the kernel itself: BPF_PROG_TEST_RUN in live mode runs a small
 * program of ours on frames that it makes, and acts on the verdict. The program
 * fills each frame from a shared store and redirects it to the interface that the
 * store names, so it leaves by the driver's ndo_xdp_xmit, as a forwarded one would.
 *
 *   store, a value per frame:   0 length   4 index of the interface   16 bytes
 *
 * On veth the frame is received on queue `CPU mod queues` of the peer, and polled on
 * the sending CPU: bind the calling thread. At most `capacity` frames a call, so
 * that the ring of a veth queue (256) cannot overflow. Interface indices are those
 * of the calling thread's namespace when the sender is made.
 *
 * With more than one repeat the kernel enters the program in a list that direct calls
 * go by, and waits for all CPUs (16 ms): unless it is there already.
 *
 * Source: net/bpf/test_run.c (bpf_test_run_xdp_live), drivers/net/veth.c.
 */
import { Bug, InputError, UnsupportedError } from "../../../base/index.ts";
import { attributes, command } from "../attributes.ts";
import { createSharedArray, type SharedArray } from "../load/shared-array.ts";
import {
  createSmallMap,
  loadSmallProgram,
  setWord,
} from "../load/small-program.ts";
import { memory, type Syscalls } from "../syscalls.ts";

const liveFlag = 2;
const header = 16;
const EINTR = 4;
/** What a page has room for beside head room and `struct skb_shared_info`. */
export const longestFrame = 3400;
export const shortestFrame = 14;

export interface FrameToSend {
  readonly data: Uint8Array;
  /** Index into the interfaces of the sender. */
  readonly to: number;
}

export interface LiveSenderOptions {
  /** Interfaces to send on. */
  readonly interfaces: readonly number[];
  /** Bytes of the longest frame that will be sent. */
  readonly longest: number;
}

export class LiveSender {
  /** Frames of one call. */
  readonly capacity = 192;
  readonly fd: number;
  readonly #syscalls: Syscalls;
  readonly #store: SharedArray;
  readonly #next: SharedArray;
  readonly #out: number;
  readonly #frame: Buffer;
  readonly #longest: number;

  constructor(syscalls: Syscalls, { interfaces, longest }: LiveSenderOptions) {
    if (longest > longestFrame)
      throw new InputError(
        `a frame of ${longest} bytes does not fit into a page with its head room (${longestFrame})`,
        { code: "frame-too-long" },
      );
    this.#syscalls = syscalls;
    this.#longest = Math.max(64, Math.ceil(longest / 8) * 8);
    // Longer than any: a frame whose ends did not move keeps the metadata of its last trip.
    this.#frame = memory(this.#longest + 8);
    this.#store = createSharedArray(syscalls, "divisi_frames", {
      entries: this.capacity,
      valueSize: header + this.#longest,
    });
    this.#next = createSharedArray(syscalls, "divisi_sent", {
      entries: 1,
      valueSize: 8,
    });
    this.#out = createSmallMap(syscalls, "divisi_out", "devmap", {
      valueSize: 4,
      entries: Math.max(1, interfaces.length),
    });
    for (const entry of interfaces.entries()) {
      const code = setWord(syscalls, this.#out, [entry[0], entry[1]]);
      if (code < 0)
        throw new UnsupportedError(
          `interface ${entry[1]} cannot be sent to (${syscalls.errorName(-code)})`,
          { feature: "ndo_xdp_xmit" },
        );
    }
    this.fd = loadSmallProgram(syscalls, generator(this.#longest), {
      maps: {
        frames: this.#store.fd,
        sent: this.#next.fd,
        out: this.#out,
      },
    });
  }

  /** All of them, in order, `batch` at a time: each batch is received before the next is made. */
  send(frames: readonly FrameToSend[], batch = 64): void {
    if (frames.length > this.capacity)
      throw new Bug(`${frames.length} frames in one call`);
    if (frames.length === 0) return;
    for (const [index, { data, to }] of frames.entries()) {
      if (data.length < shortestFrame || data.length > this.#longest)
        throw new Bug(`a frame of ${data.length} bytes`);
      const at = index * this.#store.stride;
      this.#store.words[at / 4] = data.length;
      this.#store.words[at / 4 + 1] = to;
      this.#store.bytes.set(data, at + header);
    }
    Atomics.store(this.#next.words, 0, 0);
    // A signal ends the call between two frames.
    for (let made = 0; made < frames.length;) {
      const attr = attributes(this.#syscalls, "testRun", {
        fd: this.fd,
        sizeIn: this.#frame.length,
        dataIn: this.#frame,
        repeat: frames.length - made,
        flags: liveFlag,
        batch,
      });
      const code = this.#syscalls.bpf(command.testRun, attr);
      made = Atomics.load(this.#next.words, 0);
      if (code < 0 && code !== -EINTR)
        throw new UnsupportedError(
          `live frames: ${made} of ${frames.length} made (${this.#syscalls.errorName(-code)})`,
          { feature: "BPF_F_TEST_XDP_LIVE_FRAMES", firstKernel: "5.18" },
        );
    }
  }

  close(): void {
    this.#syscalls.close(this.fd);
    this.#syscalls.close(this.#out);
    this.#store.close();
    this.#next.close();
  }
}

function generator(longest: number): string {
  return `function divisi_generate
  r6 = r1
  *(u32 *)(r10 - 4) = 0
  r1 = map sent ll
  r2 = r10
  r2 += -4
  call map_lookup_elem
  if r0 == 0 goto end
  r7 = *(u32 *)(r0 + 0)
  r1 = r7
  r1 += 1
  *(u32 *)(r0 + 0) = r1
  *(u32 *)(r10 - 4) = r7
  r1 = map frames ll
  r2 = r10
  r2 += -4
  call map_lookup_elem
  if r0 == 0 goto end
  r8 = r0
  r9 = *(u32 *)(r8 + 0)
  r2 = *(u32 *)(r6 + 0)
  r3 = *(u32 *)(r6 + 4)
  r3 -= r2
  r2 = r9
  r2 -= r3
  r1 = r6
  call xdp_adjust_tail
  if r0 != 0 goto end
  r4 = r9
  if r4 < 1 goto end
  if r4 > ${longest} goto end
  r1 = r6
  r2 = 0
  r3 = r8
  r3 += ${header}
  call xdp_store_bytes
  if r0 != 0 goto end
  r2 = *(u32 *)(r8 + 4)
  r1 = map out ll
  r3 = 0
  call redirect_map
  exit
end:
  r0 = 0
  exit`;
}
