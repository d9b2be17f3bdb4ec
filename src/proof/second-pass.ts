/**
 * Pass 2 of a partitioned grade: the sequential program once per core, each on state
 * of its own with that core's share of the capacity and its range of indices; objects
 * that stand under a guard are one for all cores, which take turns as packets do. Packet
 * by packet it goes beside pass 1, the sequential program on the whole state.
 *
 * Outcomes must be those of pass 1 up to one renaming of indices (renaming.ts). What
 * may differ is counted apart: a packet for which one run had room and the other had
 * none (capacity), or that touches a cell of a private sketch that another core's
 * packets touch as well in the whole one (collision); and what touches a cell that such
 * a packet touched, since from there on two states differ for a declared reason.
 *
 * No plan is consulted about who owns what: cores come from the steering of frames.
 */
import { toHex } from "../base/index.ts";
import {
  BytecodeMachine,
  createState,
  type Outcome,
  type PacketInput,
  type State,
} from "../interp/index.ts";
import type { ProgramSpec } from "../isa/index.ts";
import { Answering, type Answers } from "./answering.ts";
import { Aiming } from "./aiming.ts";
import { heldAt, rangeContents, type AllocatorCheck } from "./chain-view.ts";
import type { Mismatch } from "./compare.ts";
import { partedDifferences } from "./parted-state.ts";
import { effectsText, Recorder, type MapContents } from "./record.ts";
import type { CoreOf, Judged, Partition, WholeRun } from "./partition.ts";
import { Renaming, sameFrame } from "./renaming.ts";
import { TouchNotes } from "./touch-notes.ts";

export interface SecondPassOptions {
  readonly sequential: ProgramSpec;
  readonly contents: MapContents | undefined;
  readonly partition: Partition;
  readonly cores: number;
  readonly seed: number;
  readonly shown: (outcome: Outcome, input: PacketInput) => Outcome;
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
  /** Cells that belong to nobody and that such a packet touched: sums may differ. */
  readonly #summed = new Set<string>();
  #recorder = new Recorder(0);
  #packets: PacketInput[] = [];
  #now = 0n;
  #aiming: Aiming | undefined;
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
    const [one, ...others] = this.#templates.map((state) => state.clone());
    const { shared } = this.#options.partition;
    this.#states =
      one === undefined
        ? []
        : [one, ...others.map((state) => state.cloneSharing(one, shared))];
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
    this.#summed.clear();
    this.#recorder = new Recorder(packets);
    this.#packets = [];
    this.#now = 0n;
    const { aim } = this.#options.partition;
    const allocator = aim && this.#allocator(aim.chain);
    const renaming = aim && this.#renamings.get(aim.chain);
    this.#aiming =
      aim === undefined || allocator === undefined || renaming === undefined
        ? undefined
        : new Aiming(aim, { allocator, renaming, states: this.#states });
    this.#notes.written.clear();
    this.#mismatches = 0;
    this.#deviations = { capacity: 0, collision: 0 };
    this.#first = [];
  }

  /** Packet `index`; `whole` is how it went in pass 1. */
  packet(index: number, given: PacketInput, whole: WholeRun): void {
    const { shown } = this.#options;
    if (given.time > this.#now) this.#now = given.time;
    const renamed =
      this.#aiming?.aimed(whole) ?? this.#answering.packet(index, given);
    const core = this.#coreOf(index, renamed);
    const input = { ...renamed, cpu: core, rxQueue: core };
    this.#packets.push(input);
    this.#notes.clear();
    const machine = this.#machines[core];
    if (machine === undefined) return;
    const outcome = shown(machine.run(input), input);
    this.#answering.note(index, outcome);
    this.#recorder.add(index, input, outcome);
    this.#aiming?.learn(whole);
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
      shared: partition.shared,
      isTainted: (map, cell) =>
        this.#tainted.has(`${map}[${cell}]`) ||
        this.#summed.has(`${map}[${cell}]`),
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
      mine.room === whole.room && this.#aiming?.missed !== true
        ? undefined
        : "capacity";
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
        else this.#summed.add(cell);
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
    for (const [state, indices] of [
      [whole, ones],
      [own, given],
    ] as const)
      for (const index of indices) {
        const value = valueAt(allocator, index, state);
        if (value !== undefined) renaming.learn(value, index);
      }
    const named = (state: State, index: number): string =>
      toHex(heldAt(state, allocator, index)?.key ?? new Uint8Array());
    const left = new Map(given.map((other) => [named(own, other), other]));
    for (const one of ones) {
      const name = named(whole, one);
      renaming.pair(one, left.get(name) ?? sameEntry(one, whole, own));
      left.delete(name);
    }
    for (const other of left.values())
      renaming.pair(sameEntry(other, own, whole), other);

    /** The index that the entry at `index` of `from` has in `to`. */
    function sameEntry(index: number, from: State, to: State) {
      if (allocator === undefined) return undefined;
      const value = valueAt(allocator, index, from, to);
      return value === undefined ? undefined : renaming.indexIn(value);
    }
  }

  #allocator(chain: string): AllocatorCheck | undefined {
    return this.#options.partition.allocators.find(
      (allocator) => allocator.chain === chain,
    );
  }
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

/** The value that the entry at `index` of `from` has in `to`. */
function valueAt(
  allocator: AllocatorCheck,
  index: number,
  from: State,
  to = from,
): Uint8Array | undefined {
  const { entries } = allocator;
  const held = heldAt(from, allocator, index);
  if (held === undefined || entries === undefined) return undefined;
  const size = to.store(entries).spec.keySize;
  return to.lookup(entries, held.key.subarray(0, size));
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
