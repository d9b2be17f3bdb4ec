/**
 * Pass 2 of a partitioned grade: the sequential program once per core, each on state
 * of its own with that core's share of the capacity and its range of indices. Packet by
 * packet it goes beside pass 1, the sequential program on the whole state.
 *
 * Outcomes must be those of pass 1 up to one renaming of indices (renaming.ts). What
 * may differ is counted apart: a packet for which one run had room and the other had
 * none (capacity), or that touches a cell of a private sketch that another core's
 * packets touch as well in the whole one (collision); and what touches a cell that such
 * a packet touched, since from there on two states differ for a declared reason.
 *
 * No plan is consulted about who owns what: cores come from the steering of frames.
 */
import {
  BytecodeMachine,
  createState,
  type Outcome,
  type PacketInput,
  type State,
} from "../interp/index.ts";
import type { ProgramSpec } from "../isa/index.ts";
import { Answering, type Answers } from "./answering.ts";
import {
  heldAt,
  isLive,
  rangeContents,
  type AllocatorCheck,
} from "./chain-view.ts";
import type { Lane, Mismatch } from "./compare.ts";
import { partedDifferences } from "./parted-state.ts";
import {
  effectsText,
  Recorder,
  type MapContents,
  type RunRecord,
} from "./record.ts";
import { Renaming, sameFrame } from "./renaming.ts";
import { TouchNotes } from "./touch-notes.ts";

/** How the state is parted, as the emitted object has it. */
export interface Partition {
  readonly allocators: readonly AllocatorCheck[];
  /** Entries of each core, by map, where they are not all. */
  readonly capacities: ReadonlyMap<string, readonly number[]>;
  /** Arrays that each core has a copy of, keyed by a hash: keys may collide in them. */
  readonly sketches: ReadonlySet<string>;
  /** The packet bits that a sketch's cells are a hash of, as text: what owns a cell. */
  readonly sketchKey?: (map: string, packet: PacketInput) => string;
  /** Lanes of maps that are merged. */
  readonly merged: ReadonlyMap<string, readonly Lane[]>;
  readonly aim?: Aim;
}

/** Packets that name an index of a chain by a port number: a NAT's replies. */
export interface Aim {
  readonly chain: string;
  readonly isAimed: (packet: PacketInput) => boolean;
  /** Byte offsets of the ports and of the checksum over them. */
  readonly words: (frame: Uint8Array) =>
    | {
        readonly source: number;
        readonly destination: number;
        readonly checksum?: number;
      }
    | undefined;
}

export interface SecondPassOptions {
  readonly sequential: ProgramSpec;
  readonly contents: MapContents | undefined;
  readonly partition: Partition;
  readonly cores: number;
  readonly seed: number;
  readonly shown: (outcome: Outcome) => Outcome;
}

/** Core of a packet, by its number in the episode and its frame. */
export type CoreOf = (index: number, packet: PacketInput) => number;

/** One packet in pass 1. */
export interface WholeRun {
  readonly input: PacketInput;
  readonly outcome: Outcome;
  readonly notes: TouchNotes;
  /** What it left behind. */
  readonly state: State;
}

export interface Judged {
  readonly mismatches: number;
  readonly capacityDeviation: number;
  readonly collisionDeviation: number;
  readonly first: readonly Mismatch[];
  /** The packets as the cores got them, and what became of each. */
  readonly packets: readonly PacketInput[];
  readonly record: RunRecord;
  readonly states: readonly State[];
  readonly written: ReadonlyMap<string, ReadonlySet<string>>;
}

/** The cores of one episode. Made once, begun anew with `begin`. */
export class SecondPass {
  readonly #options: SecondPassOptions;
  readonly #notes: TouchNotes;
  readonly #templates: readonly State[];
  readonly #machines: readonly BytecodeMachine[];
  readonly #initial: State;
  #states: readonly State[] = [];
  #coreOf: CoreOf = () => 0;
  #answering = new Answering();
  #renamings = new Map<string, Renaming>();
  #toucher = new Map<string, Set<number>>();
  #tainted = new Map<string, "capacity" | "collision">();
  #recorder = new Recorder(0);
  #packets: PacketInput[] = [];
  #now = 0n;
  /** Port number of index 0, once known. */
  #port: number | undefined;
  /** Every index is in use here, and the packet means one that is not. */
  #unaimed = false;
  #mismatches = 0;
  #deviations = { capacity: 0, collision: 0 };
  #first: Mismatch[] = [];

  constructor(options: SecondPassOptions) {
    this.#options = options;
    const { sequential, partition, cores, contents, seed } = options;
    this.#notes = new TouchNotes(partition.allocators);
    this.#templates = Array.from({ length: cores }, (_, core) =>
      createState(sequential.maps, {
        cpus: cores,
        capacity: shareOf(partition, core, contents),
        contents: {
          ...contents,
          ...Object.fromEntries(
            partition.allocators.map((allocator) => [
              allocator.chain,
              rangeContents(
                allocator,
                allocator.ranges[core] ?? { base: 0, count: 0 },
              ) ?? [],
            ]),
          ),
        },
      }),
    );
    this.#initial = createState(sequential.maps, {
      cpus: cores,
      ...(contents === undefined ? {} : { contents }),
    });
    this.#machines = this.#templates.map(
      (state) =>
        new BytecodeMachine(sequential, state, {
          seed,
          observer: this.#notes.observer,
        }),
    );
  }

  /** A new episode of so many packets; `coreOf` steers one by what the NIC sees of it. */
  begin(packets: number, coreOf: CoreOf, answers?: Answers): void {
    this.#coreOf = coreOf;
    this.#states = this.#templates.map((state) => state.clone());
    for (const [core, state] of this.#states.entries())
      this.#machines[core]?.use(state);
    this.#answering = new Answering(answers);
    this.#renamings = new Map(
      this.#options.partition.allocators.map(({ chain }) => [
        chain,
        new Renaming(),
      ]),
    );
    this.#toucher = new Map();
    this.#tainted = new Map();
    this.#recorder = new Recorder(packets);
    this.#packets = [];
    this.#now = 0n;
    this.#port = undefined;
    this.#notes.written.clear();
    this.#mismatches = 0;
    this.#deviations = { capacity: 0, collision: 0 };
    this.#first = [];
  }

  /** Packet `index`; `whole` is how it went in pass 1. */
  packet(index: number, given: PacketInput, whole: WholeRun): void {
    const { shown } = this.#options;
    if (given.time > this.#now) this.#now = given.time;
    this.#unaimed = false;
    const answered = this.#answering.packet(index, given);
    const renamed = this.#aimed(answered, whole);
    const core = this.#coreOf(index, renamed);
    const input = { ...renamed, cpu: core, rxQueue: core };
    this.#packets.push(input);
    this.#notes.clear();
    const machine = this.#machines[core];
    if (machine === undefined) return;
    const outcome = shown(machine.run(input));
    this.#answering.note(index, outcome);
    this.#recorder.add(index, input, outcome);
    this.#learn(whole);
    const reason = this.#reason(core, whole.notes);
    const shifts = this.#shifts(whole, machine.state);
    const difference = differenceOf(whole, { input, outcome }, shifts);
    if (difference === undefined) return;
    if (reason !== undefined) this.#deviations[reason]++;
    else
      this.#miss({
        kind: difference,
        packet: index,
        text: `${difference} on core ${core} is not the sequential one's`,
      });
  }

  /** What became of the episode; `whole`: the state of pass 1 at its end. */
  finish(whole: State, notes: TouchNotes): Judged {
    const { sequential, partition } = this.#options;
    const written = new Map(notes.written);
    for (const [map, cells] of this.#notes.written)
      written.set(map, new Set([...(written.get(map) ?? []), ...cells]));
    const texts = partedDifferences({
      maps: sequential.maps,
      initial: this.#initial,
      whole,
      cores: this.#states,
      written,
      allocators: partition.allocators,
      renamings: this.#renamings,
      sketches: partition.sketches,
      merged: partition.merged,
      isTainted: (map, cell) => this.#tainted.has(`${map}[${cell}]`),
      now: this.#now,
    });
    for (const text of texts) this.#miss({ kind: "state", text });
    return {
      mismatches: this.#mismatches,
      capacityDeviation: this.#deviations.capacity,
      collisionDeviation: this.#deviations.collision,
      first: this.#first,
      packets: this.#packets,
      record: this.#recorder.finish(new Map()),
      states: this.#states,
      written,
    };
  }

  #miss(mismatch: Mismatch): void {
    this.#mismatches++;
    if (this.#first.length < 5) this.#first.push(mismatch);
  }

  /** Why this packet may differ; what it touched is tainted then. */
  #reason(
    core: number,
    whole: TouchNotes,
  ): "capacity" | "collision" | undefined {
    const mine = this.#notes;
    let reason: "capacity" | "collision" | undefined =
      mine.room === whole.room && !this.#unaimed ? undefined : "capacity";
    for (const cell of whole.cells) {
      const map = cell.slice(0, cell.lastIndexOf("["));
      if (!this.#options.partition.sketches.has(map)) continue;
      const cores = this.#toucher.get(cell) ?? new Set();
      cores.add(core);
      this.#toucher.set(cell, cores);
      if (cores.size > 1) reason ??= "collision";
    }
    for (const cell of [...whole.cells, ...mine.cells])
      reason ??= this.#tainted.get(cell);
    if (reason !== undefined)
      for (const cell of [...whole.cells, ...mine.cells])
        if (this.#isOwned(cell)) this.#tainted.set(cell, reason);
    return reason;
  }

  /** Cells that say whose they are: not one cell for all, not devices. */
  #isOwned(cell: string): boolean {
    const map = cell.slice(0, cell.lastIndexOf("["));
    const spec = this.#options.sequential.maps.find(({ name }) => name === map);
    return (
      spec !== undefined &&
      !spec.readOnly &&
      spec.maxEntries > 1 &&
      spec.type !== "devmap" &&
      !this.#options.partition.merged.has(map)
    );
  }

  /** Differences of the indices that this packet dealt with in both runs. */
  #shifts({ notes: whole, state }: WholeRun, own: State): Set<number> {
    const shifts = new Set<number>();
    for (const [chain, renaming] of this.#renamings) {
      const given = this.#notes.given.get(chain) ?? [];
      const ones = whole.given.get(chain) ?? [];
      this.#pair(renaming, { chain, ones, given, whole: state, own });
      const mine = new Set([...given, ...(this.#notes.seen.get(chain) ?? [])]);
      for (const one of [...ones, ...(whole.seen.get(chain) ?? [])]) {
        const other = renaming.get(one);
        if (other !== undefined && mine.has(other))
          shifts.add((other - one) & 0xffff);
      }
    }
    return shifts;
  }

  /**
   * Indices that became one another's: those of one key, where entries have keys (one
   * run may have kept an expired entry's index that the other reclaimed); else in the
   * order in which they were handed out.
   */
  #pair(
    renaming: Renaming,
    {
      chain,
      ones,
      given,
      whole,
      own,
    }: {
      readonly chain: string;
      readonly ones: readonly number[];
      readonly given: readonly number[];
      readonly whole: State;
      readonly own: State;
    },
  ): void {
    const allocator = this.#allocator(chain);
    if (allocator?.entries === undefined) {
      for (let at = 0; at < Math.max(ones.length, given.length); at++)
        renaming.pair(ones[at], given[at]);
      return;
    }
    for (const one of ones)
      renaming.pair(one, sameEntry(allocator, one, whole, own));
    for (const other of given) {
      const one = sameEntry(allocator, other, own, whole);
      if (one === undefined || renaming.get(one) !== other)
        renaming.pair(one, other);
    }
  }

  /**
   * A packet that names an index by a number of pass 1 names the same one here: the
   * renamed one if a live entry has it, else one that no live entry has.
   */
  #aimed(packet: PacketInput, whole: WholeRun): PacketInput {
    const { aim } = this.#options.partition;
    // An answer that this run built for itself is aimed already.
    if (aim === undefined || packet.data !== whole.input.data) return packet;
    if (this.#port === undefined || !aim.isAimed(packet)) return packet;
    const allocator = this.#allocator(aim.chain);
    const words = aim.words(packet.data);
    if (allocator === undefined || words === undefined) return packet;
    const index =
      (wordAt(packet.data, words.destination) - this.#port) & 0xffff;
    if (index >= allocator.capacity) return packet;
    // Such a packet hands out nothing: what is in use now was before.
    const { expiry } = allocator;
    const other = isLive(
      heldAt(whole.state, allocator, index),
      expiry,
      packet.time,
    )
      ? (this.#renamings.get(aim.chain)?.get(index) ??
        this.#deadIndex(allocator, index, packet.time))
      : this.#deadIndex(allocator, index, packet.time);
    this.#unaimed = other === undefined;
    if (other === undefined || other === index) return packet;
    const data = packet.data.slice();
    const before = wordAt(data, words.destination);
    const after = (before + other - index) & 0xffff;
    putWord(data, words.destination, after);
    // As in nf_csum.h, no checksum stays none.
    if (words.checksum !== undefined && wordAt(data, words.checksum) !== 0) {
      const sum = wordAt(data, words.checksum) + before - after;
      putWord(data, words.checksum, ((sum + 0xffff - 1) % 0xffff) + 1);
    }
    return { ...packet, data };
  }

  /** What number index 0 has as a port, from the first one that was handed out. */
  #learn(whole: WholeRun): void {
    const { aim } = this.#options.partition;
    if (aim === undefined || this.#port !== undefined) return;
    const [index] = whole.notes.given.get(aim.chain) ?? [];
    const words = aim.words(whole.outcome.data);
    if (index === undefined || words === undefined) return;
    this.#port = (wordAt(whole.outcome.data, words.source) - index) & 0xffff;
  }

  #allocator(chain: string): AllocatorCheck | undefined {
    return this.#options.partition.allocators.find(
      (allocator) => allocator.chain === chain,
    );
  }

  #deadIndex(
    allocator: AllocatorCheck,
    index: number,
    now: bigint,
  ): number | undefined {
    const isDead = (each: number): boolean =>
      this.#states.every(
        (state) =>
          !isLive(heldAt(state, allocator, each), allocator.expiry, now),
      );
    if (isDead(index)) return index;
    for (let each = 0; each < allocator.capacity; each++)
      if (isDead(each)) return each;
    return undefined;
  }
}

type Difference = "verdict" | "bytes" | "effects" | "fault";

function differenceOf(
  one: { readonly input: PacketInput; readonly outcome: Outcome },
  other: { readonly input: PacketInput; readonly outcome: Outcome },
  shifts: ReadonlySet<number>,
): Difference | undefined {
  if ((one.outcome.fault === undefined) !== (other.outcome.fault === undefined))
    return "fault";
  if (one.outcome.verdict !== other.outcome.verdict) return "verdict";
  if (effectsText(one.outcome) !== effectsText(other.outcome)) return "effects";
  return sameFrame(one.outcome.data, other.outcome.data, shifts, {
    one: one.input.data,
    other: other.input.data,
  })
    ? undefined
    : "bytes";
}

function shareOf(
  { capacities }: Partition,
  core: number,
  contents: MapContents | undefined,
): Record<string, number> {
  return Object.fromEntries(
    [...capacities].map(([name, row]) => [
      name,
      Math.max(row[core] ?? 1, contents?.[name]?.length ?? 0, 1),
    ]),
  );
}

/** The index that the entry at `index` of `from` has in `to`. */
function sameEntry(
  allocator: AllocatorCheck,
  index: number,
  from: State,
  to: State,
): number | undefined {
  const { entries } = allocator;
  const held = heldAt(from, allocator, index);
  if (held === undefined || entries === undefined) return undefined;
  const size = to.store(entries.map).spec.keySize;
  const value = to.lookup(entries.map, held.key.subarray(0, size));
  if (value === undefined) return undefined;
  return new DataView(value.buffer, value.byteOffset).getUint32(
    entries.indexOffset,
    true,
  );
}

function wordAt(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}

function putWord(bytes: Uint8Array, at: number, word: number): void {
  bytes[at] = word >> 8;
  if (at + 1 < bytes.length) bytes[at + 1] = word;
}
