/**
 * The feeder's end of a ring of packets that lies in a worker's linear memory: the
 * descriptors are the ring's slots, the packet area its bytes. A packet is written
 * once, where the compiled loop runs it.
 *
 *   descriptors   | done | published … | being written … | free |
 *                        tail          head              #written
 *   packet area   frames in the same order, around the end; none is split
 *
 * One producer, one consumer. The producer knows the consumer's index from its last
 * look and looks again only when the ring seems full; it publishes once per batch, and
 * wakes the consumer only if that sleeps and half the ring is full, or at a flush. Order of accesses: frame and descriptor are
 * plain stores, then `head` is stored with release; `tail` is loaded with acquire
 * before a slot is used again (Atomics are both).
 */
import { InputError } from "../../base/index.ts";
import { descriptor, type Layout } from "../../codegen/index.ts";
import type { PacketInput } from "../../interp/index.ts";
import { sleepMs, spins, word } from "./core-words.ts";
import { column, type PackedPackets } from "./packed-packets.ts";
import { headRoom, type FrameShape } from "./packet-area.ts";
import { slotWord } from "./ring-slots.ts";

/** Up to this many bytes a built-in copy costs more than a loop. */
const shortFrame = 256;
/** Packets from one publication to the next. */
const batch = 64;

export class PacketFeed {
  readonly #words: Int32Array;
  /** The worker's linear memory. */
  readonly #memory: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #data: DataView;
  readonly #layout: Layout;
  readonly #shape: FrameShape;
  readonly #slots: Int32Array;
  readonly #mask: number;
  /** Address of each slot's frame. */
  readonly #starts: Uint32Array;
  readonly #cpu: number;
  #written = 0;
  #published = 0;
  #tail = 0;
  #next: number;

  constructor(
    control: SharedArrayBuffer,
    memory: ArrayBuffer | SharedArrayBuffer,
    options: {
      readonly layout: Layout;
      readonly shape: FrameShape;
      readonly slots: SharedArrayBuffer;
      /** Every packet's CPU and receive queue. */
      readonly cpu: number;
    },
  ) {
    const { layout } = options;
    this.#words = new Int32Array(control);
    this.#memory = new Int32Array(memory);
    this.#bytes = new Uint8Array(memory);
    this.#data = new DataView(memory);
    this.#layout = layout;
    this.#shape = options.shape;
    this.#slots = new Int32Array(options.slots);
    this.#cpu = options.cpu;
    this.#mask = layout.batchPackets - 1;
    this.#starts = new Uint32Array(layout.batchPackets);
    this.#next = layout.packets.start;
  }

  /** Packets that the worker has not done yet, as far as the feeder knows. */
  get pending(): number {
    return (this.#written - Atomics.load(this.#words, word.tail)) >>> 0;
  }

  /** Slot of the packet that was added last. */
  get lastSlot(): number {
    return (this.#written - 1) & this.#mask;
  }

  /** Waits a little for room, busily; whether there is news. */
  spin(): boolean {
    for (let turn = 0; turn < spins; turn++)
      if (Atomics.load(this.#words, word.tail) !== this.#tail) return true;
    return false;
  }

  /** Waits for room asleep, 2 ms at most. */
  sleep(): void {
    const words = this.#words;
    Atomics.store(words, word.feederWaits, 1);
    Atomics.wait(words, word.tail, this.#tail, sleepMs);
    Atomics.store(words, word.feederWaits, 0);
  }

  /** False when the ring is full. `number` is the packet's position in the trace. */
  add(number: number, input: PacketInput): boolean {
    const { data, random } = input;
    const start = this.#take(number, data.length);
    if (start < 0) return false;
    this.#bytes.set(data, start + headRoom);
    const at = this.#describe(number, start, data.length);
    const memory = this.#memory;
    memory[(at + descriptor.ifindex) >>> 2] = input.ifindex;
    this.#data.setBigUint64(
      at + descriptor.time,
      BigInt.asUintN(64, input.time),
      true,
    );
    this.#commit(random);
    return true;
  }

  /**
   * Fills an empty ring with packets of a packed trace, from number `from` on, those
   * steered to this core, `most` at most. Answers the number to go on with. One loop
   * over local variables: this is what bounds how fast a trace gets in.
   */
  fill(
    packets: PackedPackets,
    steer: Uint8Array,
    from: number,
    most: number,
  ): number {
    if (this.pending > 0) return from;
    const { rows, words: source, count } = packets;
    const memory = this.#memory;
    const slots = this.#slots;
    const shape = this.#shape;
    const cpu = this.#cpu;
    const { descriptors } = this.#layout;
    const { start, end } = this.#layout.packets;
    const mask = this.#mask;
    const last = this.#written + most;
    let written = this.#written;
    let next = start;
    let number = from;
    for (; number < count && written !== last; number++) {
      if (steer[number] !== cpu) continue;
      const row = number * column.size;
      const length = rows[row + column.length] ?? 0;
      const span = shape.span(length);
      if (next + span > end) break;
      const to = next + headRoom;
      if (shape.showsHeadRoom) this.#bytes.fill(0, next, to);
      this.#copy(source, rows[row + column.at] ?? 0, to, length);
      const slot = written & mask;
      const at = (descriptors + slot * descriptor.size) >>> 2;
      memory[at + descriptor.data / 4] = to;
      memory[at + descriptor.length / 4] = length;
      memory[at + descriptor.ifindex / 4] = rows[row + column.ifindex] ?? 0;
      memory[at + descriptor.rxQueue / 4] = cpu;
      memory[at + descriptor.cpu / 4] = cpu;
      memory[at + descriptor.time / 4] = rows[row + column.time] ?? 0;
      memory[at + descriptor.time / 4 + 1] = rows[row + column.time + 1] ?? 0;
      memory[at + descriptor.redirectKind / 4] = 0;
      memory[at + descriptor.hardStart / 4] = next;
      memory[at + descriptor.hardEnd / 4] = next + shape.frameSize(length);
      const own = slotWord.size * slot;
      slots[own + slotWord.number] = number;
      slots[own + slotWord.hasRandom] = rows[row + column.hasRandom] ?? 0;
      slots[own + slotWord.random] = rows[row + column.random] ?? 0;
      next = (next + span + 63) & ~63;
      written = (written + 1) | 0;
    }
    this.#written = written;
    this.#next = next;
    this.#tail = Atomics.load(this.#words, word.tail);
    this.flush();
    return number;
  }

  #copy(source: Int32Array, from: number, to: number, length: number): void {
    if (length > shortFrame) {
      const bytes = new Uint8Array(source.buffer, from, length);
      this.#bytes.set(bytes, to);
      return;
    }
    const memory = this.#memory;
    const first = from >>> 2;
    const into = to >>> 2;
    const words = (length + 3) >>> 2;
    for (let index = 0; index < words; index++)
      memory[into + index] = source[first + index] ?? 0;
  }

  /** Hands over all that was written. */
  flush(): void {
    this.#publish(0);
  }

  /** No packet comes after those written so far. */
  close(): void {
    this.flush();
    // Only now: who sees it has nothing more to look for.
    Atomics.store(this.#words, word.closed, 1);
    Atomics.notify(this.#words, word.head);
  }

  /** Start of a frame of that length, or −1 while there is no room. */
  #take(number: number, length: number): number {
    const span = this.#shape.span(length);
    const { start, end } = this.#layout.packets;
    if (span > end - start)
      throw new InputError(`packet ${number} of ${length} bytes is too long`, {
        code: "packet-too-long",
      });
    const at = this.#room(span);
    if (at >= 0) return at;
    const tail = Atomics.load(this.#words, word.tail);
    if (tail === this.#tail) {
      this.flush();
      return -1;
    }
    this.#tail = tail;
    return this.#room(span);
  }

  #room(span: number): number {
    const { start, end } = this.#layout.packets;
    const used = (this.#written - this.#tail) >>> 0;
    if (used === 0) return (this.#next = start);
    if (used > this.#mask) return -1;
    const next = this.#next;
    const oldest = this.#starts[this.#tail & this.#mask] ?? 0;
    if (next <= oldest) return next + span <= oldest ? next : -1;
    if (next + span <= end) return next;
    return start + span <= oldest ? start : -1;
  }

  #describe(number: number, start: number, length: number): number {
    const slot = this.#written & this.#mask;
    const at = this.#layout.descriptors + slot * descriptor.size;
    const memory = this.#memory;
    if (this.#shape.showsHeadRoom) this.#bytes.fill(0, start, start + headRoom);
    memory[(at + descriptor.data) >>> 2] = start + headRoom;
    memory[(at + descriptor.length) >>> 2] = length;
    memory[(at + descriptor.rxQueue) >>> 2] = this.#cpu;
    memory[(at + descriptor.cpu) >>> 2] = this.#cpu;
    memory[(at + descriptor.redirectKind) >>> 2] = 0;
    memory[(at + descriptor.hardStart) >>> 2] = start;
    memory[(at + descriptor.hardEnd) >>> 2] =
      start + this.#shape.frameSize(length);
    this.#starts[slot] = start;
    this.#slots[slotWord.size * slot + slotWord.number] = number;
    // A line of its own for each packet.
    this.#next = (start + this.#shape.span(length) + 63) & ~63;
    return at;
  }

  #commit(random: number | undefined): void {
    const slot = slotWord.size * (this.#written & this.#mask);
    this.#slots[slot + slotWord.hasRandom] = random === undefined ? 0 : 1;
    if (random !== undefined) this.#slots[slot + slotWord.random] = random;
    this.#written = (this.#written + 1) | 0;
    if (((this.#written - this.#published) | 0) >= batch)
      this.#publish((this.#mask + 1) / 2);
  }

  #publish(least: number): void {
    const words = this.#words;
    this.#published = this.#written;
    Atomics.store(words, word.head, this.#written);
    if (Atomics.load(words, word.coreWaits) === 0) return;
    if (least > 0 && this.pending < least) return;
    // It is told once: until it runs, more calls would only cost.
    Atomics.store(words, word.coreWaits, 0);
    Atomics.notify(words, word.head);
  }
}
