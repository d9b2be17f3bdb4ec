/**
 * Many frames at a wanted rate, from the CPU of the calling thread: live frames
 * (live-frames.ts) of one size whose first bytes come in turn from a store, so that a
 * frame costs some 20 ns more than one that is always the same.
 *
 * Paced within the kernel: the first frame of each burst waits for its time. What is
 * late is not made up for: a generator that cannot keep up sends less, and the rate
 * that it reached is what counts.
 *
 * Source: net/bpf/test_run.c (bpf_test_run_xdp_live).
 */
import { Bug, UnsupportedError } from "../../../base/index.ts";
import { attributes, command } from "../attributes.ts";
import { createSharedArray, type SharedArray } from "../load/shared-array.ts";
import {
  createSmallMap,
  loadSmallProgram,
  setWord,
} from "../load/small-program.ts";
import { memory, type Syscalls } from "../syscalls.ts";

const liveFlag = 2;
const EINTR = 4;
/** Bytes of a frame that differ between frames: Ethernet, IPv4, TCP and a little. */
export const variedBytes = 64;
/** Frames between two looks at the clock; live frames are sent in batches of as many. */
const burst = 32;
/** Looks at the clock, about 30 ns each, before a burst is sent anyhow: so no rate is under 0.3 million. */
const patience = 3_500;
const stride = variedBytes + 8;

export interface FloodOptions {
  readonly interfaces: readonly number[];
  /** Bytes of every frame. */
  readonly size: number;
  /** A power of two; first bytes, and the interface's index to send on. */
  readonly frames: readonly {
    readonly data: Uint8Array;
    readonly to: number;
  }[];
}

export interface Flooded {
  readonly frames: number;
  readonly ns: number;
}

export class FrameFlood {
  readonly fd: number;
  readonly #syscalls: Syscalls;
  readonly #store: SharedArray;
  /** 0 next frame, 8 nanoseconds of a burst, 16 when the next one is due. */
  readonly #pace: SharedArray;
  readonly #out: number;
  readonly #frame: Buffer;

  constructor(syscalls: Syscalls, options: FloodOptions) {
    const { interfaces, size, frames } = options;
    if (size < variedBytes || (frames.length & (frames.length - 1)) !== 0)
      throw new Bug(`${frames.length} frames of ${size} bytes`);
    this.#syscalls = syscalls;
    this.#frame = memory(size);
    this.#store = createSharedArray(syscalls, "divisi_flood", {
      entries: frames.length,
      valueSize: stride,
    });
    for (const [index, { data, to }] of frames.entries()) {
      this.#store.words[(index * stride) / 4] = to;
      this.#store.bytes.set(data.subarray(0, variedBytes), index * stride + 8);
    }
    this.#pace = createSharedArray(syscalls, "divisi_pace", {
      entries: 1,
      valueSize: 24,
    });
    this.#out = createSmallMap(syscalls, "divisi_out", "devmap", {
      valueSize: 4,
      entries: Math.max(1, interfaces.length),
    });
    for (const [index, ifindex] of interfaces.entries())
      if (setWord(syscalls, this.#out, [index, ifindex]) < 0)
        throw new UnsupportedError(`interface ${ifindex} cannot be sent to`, {
          feature: "ndo_xdp_xmit",
        });
    this.fd = loadSmallProgram(syscalls, floodText(frames.length), {
      maps: {
        frames: this.#store.fd,
        pace: this.#pace.fd,
        out: this.#out,
      },
    });
  }

  /** `perSecond` 0: as fast as can be. */
  send(frames: number, perSecond: number): Flooded {
    const words = new BigUint64Array(this.#pace.words.buffer, 0, 3);
    words[0] = 0n;
    words[1] = BigInt(
      perSecond === 0 ? 0 : Math.round((burst * 1e9) / perSecond),
    );
    words[2] = 0n;
    const attr = attributes(this.#syscalls, "testRun", {
      fd: this.fd,
      sizeIn: this.#frame.length,
      dataIn: this.#frame,
      repeat: frames,
      flags: liveFlag,
      batch: burst,
    });
    const started = process.hrtime.bigint();
    const code = this.#syscalls.bpf(command.testRun, attr);
    const ns = Number(process.hrtime.bigint() - started);
    if (code < 0 && code !== -EINTR)
      throw new UnsupportedError(
        `live frames: ${this.#syscalls.errorName(-code)}`,
        { feature: "BPF_F_TEST_XDP_LIVE_FRAMES", firstKernel: "5.18" },
      );
    return { frames: Number(words[0]), ns };
  }

  close(): void {
    this.#syscalls.close(this.fd);
    this.#syscalls.close(this.#out);
    this.#store.close();
    this.#pace.close();
  }
}

function floodText(frames: number): string {
  const copies = Array.from(
    { length: variedBytes / 8 },
    (_, word) => `
  r1 = *(u64 *)(r9 + ${8 + 8 * word})
  *(u64 *)(r2 + ${8 * word}) = r1`,
  ).join("");
  return `function divisi_flood
  r6 = r1
  r7 = value pace[0] ll
  r8 = *(u64 *)(r7 + 0)
  r1 = r8
  r1 += 1
  *(u64 *)(r7 + 0) = r1
  r1 = *(u64 *)(r7 + 8)
  if r1 == 0 goto go
  r2 = r8
  r2 &= ${burst - 1}
  if r2 != 0 goto go
  r9 = 0
wait:
  call ktime_get_ns
  r1 = *(u64 *)(r7 + 16)
  if r0 >= r1 goto due
  r9 += 1
  if r9 < ${patience} goto wait
due:
  r2 = *(u64 *)(r7 + 8)
  r1 += r2
  if r1 >= r0 goto set
  r1 = r0
set:
  *(u64 *)(r7 + 16) = r1
go:
  r8 &= ${frames - 1}
  *(u32 *)(r10 - 4) = r8
  r1 = map frames ll
  r2 = r10
  r2 += -4
  call map_lookup_elem
  if r0 == 0 goto end
  r9 = r0
  r2 = *(u32 *)(r6 + 0)
  r3 = *(u32 *)(r6 + 4)
  r4 = r2
  r4 += ${variedBytes}
  if r4 > r3 goto end${copies}
  r2 = *(u32 *)(r9 + 0)
  r1 = map out ll
  r3 = 0
  call redirect_map
  exit
end:
  r0 = 0
  exit`;
}
