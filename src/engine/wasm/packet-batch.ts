/**
 * Packets on their way to a worker: records in a buffer that both threads see.
 *
 *   0  number in the trace     8  length      16 rx queue     24 time (8 bytes)
 *   4  ingress interface      12  cpu         20 1: has seed  32 seed      40 frame
 *
 * Records start at multiples of 8. Only one side touches a buffer at a time: it goes
 * back and forth by message.
 */
import type { PacketInput } from "../../interp/index.ts";

export const batchBytes = 1 << 20;
const header = 40;

export interface NumberedPacket {
  /** Position in the trace. */
  readonly number: number;
  readonly input: PacketInput;
}

export class BatchWriter {
  count = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #next = 0;

  constructor(buffer: SharedArrayBuffer) {
    this.#bytes = new Uint8Array(buffer);
    this.#view = new DataView(buffer);
  }

  /** False when it does not fit any more. */
  add({ number, input }: NumberedPacket): boolean {
    const at = this.#next;
    const end = at + header + Math.ceil(input.data.length / 8) * 8;
    if (end > this.#bytes.length) return false;
    const view = this.#view;
    view.setUint32(at, number, true);
    view.setUint32(at + 4, input.ifindex, true);
    view.setUint32(at + 8, input.data.length, true);
    view.setUint32(at + 12, input.cpu, true);
    view.setUint32(at + 16, input.rxQueue, true);
    view.setUint32(at + 20, input.random === undefined ? 0 : 1, true);
    view.setBigUint64(at + 24, BigInt.asUintN(64, input.time), true);
    view.setUint32(at + 32, input.random ?? 0, true);
    this.#bytes.set(input.data, at + header);
    this.#next = end;
    this.count++;
    return true;
  }

  clear(): void {
    this.count = 0;
    this.#next = 0;
  }
}

/** Frames are views: they change once the buffer goes back. */
export function* readBatch(
  buffer: SharedArrayBuffer,
  count: number,
): Iterable<NumberedPacket> {
  const view = new DataView(buffer);
  let at = 0;
  for (let index = 0; index < count; index++) {
    const length = view.getUint32(at + 8, true);
    const hasSeed = view.getUint32(at + 20, true) === 1;
    yield {
      number: view.getUint32(at, true),
      input: {
        data: new Uint8Array(buffer, at + header, length),
        ifindex: view.getUint32(at + 4, true),
        cpu: view.getUint32(at + 12, true),
        rxQueue: view.getUint32(at + 16, true),
        time: view.getBigUint64(at + 24, true),
        ...(hasSeed ? { random: view.getInt32(at + 32, true) } : {}),
      },
    };
    at += header + Math.ceil(length / 8) * 8;
  }
}
