/**
 * Packets that fill a table: to the last entry of every core's share, then some more,
 * hits on old entries and answers to what they sent, the moment in which the oldest
 * expires, and a time when all have.
 *
 * Nothing is known of keys. Some packet of the coverage adds an entry; those bits of its
 * frame are varied that make it add another one, found by trying each. Addresses and
 * ports come first, since they choose the core; where they are not what the key is made
 * of, any bit. Within a group of packets one field changes and the rest stays, so that
 * what counts packets of one address sees many, too. How far a core is filled is seen by
 * running the packets as they are made.
 *
 * Which tables: those of recognised allocators, whose heads a plan makes private; and
 * hash maps of which the program looks whether an update worked, or that get another
 * layout. A table that evicts by itself (LRU) is never full.
 *
 * Not promised: that it fills what is larger than `mostEntries`, or what no packet of
 * the coverage adds to.
 */
import type { StateReport } from "./analysis/index.ts";
import { Random } from "./base/index.ts";
import {
  BytecodeMachine,
  createState,
  type CellTouch,
  type Outcome,
  type PacketInput,
  type State,
} from "./interp/index.ts";
import { lift, operandsOf, terminatorOperands } from "./ir/index.ts";
import type { ProgramSpec } from "./isa/index.ts";
import {
  fieldBits,
  fieldPosition,
  parseFrame,
  refreshChecksums,
  type FieldName,
  replyTo,
} from "./packet/index.ts";
import type { Answer, MapContents } from "./proof/index.ts";

/** A table that can be full, and how many entries each core may have in it. */
export interface Fillable {
  /** Of the map with the entries, or of the array of cells where there is none. */
  readonly name: string;
  readonly shares: readonly number[];
  /** Nanoseconds after which an entry may go. */
  readonly expiry?: bigint;
  /** What a touch adds to it. */
  readonly adds: (touch: CellTouch) => boolean;
}

export interface FillingRequest {
  readonly program: ProgramSpec;
  readonly contents: MapContents;
  readonly cores: number;
  readonly seed: number;
  /** Packets among which one adds an entry, in order. */
  readonly cover: readonly PacketInput[];
  readonly ifindexes: readonly number[];
  readonly coreOf: (packet: PacketInput) => number;
  readonly accepts: (packet: PacketInput) => boolean;
}

export interface Filling {
  readonly name: string;
  readonly packets: readonly PacketInput[];
  readonly answers: ReadonlyMap<number, Answer>;
}

/** Entries that a table may have, to be filled. */
const mostEntries = 1 << 17;
/** Per core: packets on a full table, and of each kind later. */
const more = 48;
const answered = 16;
const groupLength = 128;
const UPDATE = 2;

/** The tables of a program that are filled; `sharesOf` says whose share is how large. */
export function fillables(
  program: ProgramSpec,
  { objects }: StateReport,
  sharesOf: (object: string, capacity: number) => readonly number[],
  isChanged: (object: string) => boolean,
): Fillable[] {
  const chained = new Set<string>();
  const found: Fillable[] = [];
  for (const { name, allocator } of objects) {
    if (allocator === undefined || allocator.evictsOldest) continue;
    const { entries, capacity, expiry, functions } = allocator;
    if (entries !== undefined) chained.add(entries);
    if (capacity > mostEntries) continue;
    found.push({
      name: entries ?? name,
      shares: sharesOf(name, capacity),
      ...(expiry === undefined ? {} : { expiry }),
      // What it hands out gets its time; the head's word there is another.
      adds: ({ map, cell, op, offset, at }) =>
        map === name &&
        at.function === functions.allocate &&
        op === "store" &&
        offset === 0 &&
        !/^0*$/.test(cell),
    });
  }
  const asked = askedUpdates(program);
  for (const { name, userWrites } of objects) {
    const map = program.maps.find((each) => each.name === name);
    if (map?.type !== "hash" || userWrites || chained.has(name)) continue;
    if (map.maxEntries > mostEntries || map.maxEntries === 0) continue;
    if (!asked.has(name) && !isChanged(name)) continue;
    found.push({
      name,
      shares: sharesOf(name, map.maxEntries),
      adds: ({ map: touched, op, result, writes }) =>
        touched === name && op === "update" && result === "miss" && writes,
    });
  }
  return found;
}

/** Maps of which some update's answer is looked at. */
function askedUpdates(program: ProgramSpec): ReadonlySet<string> {
  const asked = new Set<string>();
  for (const fn of lift(program).functions) {
    const used = new Set<number>();
    for (const { instructions, terminator } of fn.blocks) {
      for (const each of instructions)
        for (const value of operandsOf(each)) used.add(value);
      for (const value of terminatorOperands(terminator)) used.add(value);
    }
    for (const { instructions } of fn.blocks)
      for (const each of instructions) {
        if (each.kind !== "call" || each.callee.kind !== "helper") continue;
        if (each.callee.helper !== UPDATE || !used.has(each.result)) continue;
        const [map] = each.args;
        const type = map === undefined ? undefined : fn.values[map];
        if (type?.kind === "pointer" && type.region.kind === "map")
          asked.add(type.region.map);
      }
  }
  return asked;
}

/** The episode; undefined: no packet is known that adds to it, or no bit makes another. */
export function fillingOf(
  table: Fillable,
  request: FillingRequest,
): Filling | undefined {
  const bench = new Bench(table, request);
  const adder = bench.adder();
  if (adder === undefined) return undefined;
  const { prefix, packet } = adder;
  const places = bench.freeBits(prefix, packet);
  if (places.length === 0) return undefined;
  return new Line(bench, { prefix, packet, places }).filling();
}

/** Runs of the program that say how many entries a packet adds. */
class Bench {
  readonly table: Fillable;
  readonly request: FillingRequest;
  readonly #machine: BytecodeMachine;
  readonly #initial: State;
  #added = 0;

  constructor(table: Fillable, request: FillingRequest) {
    this.table = table;
    this.request = request;
    const { program, cores, contents, seed } = request;
    this.#initial = createState(program.maps, { cpus: cores, contents });
    this.#machine = new BytecodeMachine(program, this.#initial, {
      seed,
      observer: {
        touch: (touch) => {
          if (table.adds(touch)) this.#added++;
        },
      },
    });
  }

  /** Entries that the packet added; the state goes on. */
  run(state: State, packet: PacketInput): number {
    this.#machine.use(state);
    this.#added = 0;
    this.#machine.run(packet);
    return this.#added;
  }

  after(packets: readonly PacketInput[]): State {
    const state = this.#initial.clone();
    for (const packet of packets) this.run(state, packet);
    return state;
  }

  /** A packet that adds an entry, behind as few others as will do. */
  adder():
    | { readonly prefix: readonly PacketInput[]; readonly packet: PacketInput }
    | undefined {
    const { cover, accepts } = this.request;
    const state = this.#initial.clone();
    const before: PacketInput[] = [];
    for (const packet of cover) {
      if (!accepts(packet)) continue;
      if (this.run(state, packet) > 0)
        return { prefix: this.#shortened(before, packet), packet };
      before.push(packet);
    }
    return undefined;
  }

  /** Leaves out halves, quarters, … as long as the packet still adds. */
  #shortened(
    before: readonly PacketInput[],
    packet: PacketInput,
  ): readonly PacketInput[] {
    const suffices = (some: readonly PacketInput[]): boolean =>
      this.run(this.after(some), packet) > 0;
    if (suffices([])) return [];
    let left = before;
    for (let size = left.length >> 1; size >= 1; size >>= 1)
      for (let at = 0; at < left.length;) {
        const fewer = [...left.slice(0, at), ...left.slice(at + size)];
        if (suffices(fewer)) left = fewer;
        else at += size;
      }
    return left;
  }

  /** Bits of the frame that make the packet add another entry, those of one field together. */
  freeBits(
    prefix: readonly PacketInput[],
    packet: PacketInput,
  ): readonly (readonly number[])[] {
    const state = this.after(prefix);
    this.run(state, packet);
    const isFree = (bit: number): boolean =>
      this.run(state.clone(), varied(packet, [bit], packet.time + 1n)) > 0;
    const parsed = parseFrame(packet.data);
    const fields = steeringFields.flatMap((name) => {
      const first = fieldPosition(parsed, name);
      if (first === undefined) return [];
      const bits = Array.from(
        { length: fieldBits(name).length },
        (_, at) => first + at,
      ).filter(isFree);
      return bits.length === 0 ? [] : [bits];
    });
    if (fields.flat().length >= fewestBits) return fields;
    const all = Array.from(
      { length: 8 * Math.min(packet.data.length, 128) },
      (_, bit) => bit,
    ).filter(isFree);
    return all.length > fields.flat().length ? [all] : fields;
  }
}

/** What NICs hash, and MACs, which dispatchers do. */
const steeringFields: readonly FieldName[] = [
  "l4.sport",
  "l4.dport",
  "ipv4.src",
  "ipv4.dst",
  "ipv6.src",
  "ipv6.dst",
];
/** As many name enough entries. */
const fewestBits = 24;

/** The packets of the episode, in the order in which they are made. */
class Line {
  readonly #bench: Bench;
  readonly #packet: PacketInput;
  readonly #prefix: readonly PacketInput[];
  readonly #fields: readonly (readonly number[])[];
  readonly #state: State;
  readonly #random: Random;
  readonly #packets: PacketInput[] = [];
  readonly #answers = new Map<number, Answer>();
  readonly #entries: number[];
  /** Indices of packets that added, by core. */
  readonly #olds: number[][];
  #time: bigint;
  #gap = 1000n;
  #base: readonly number[] = [];
  #field: readonly number[] = [];
  #inGroup = 0;

  constructor(
    bench: Bench,
    given: {
      readonly prefix: readonly PacketInput[];
      readonly packet: PacketInput;
      readonly places: readonly (readonly number[])[];
    },
  ) {
    this.#bench = bench;
    this.#packet = given.packet;
    this.#prefix = given.prefix;
    this.#fields = given.places;
    const { request, table } = bench;
    this.#random = new Random(request.seed);
    this.#state = bench.after([]);
    this.#entries = table.shares.map(() => 0);
    this.#olds = table.shares.map(() => []);
    this.#time = given.prefix[0]?.time ?? given.packet.time;
    const capacity = table.shares.reduce((sum, share) => sum + share, 0);
    if (table.expiry !== undefined) {
      // All are made long before the first expires.
      const gap = table.expiry / 4n / BigInt(Math.max(1, capacity));
      this.#gap = gap > 1000n ? 1000n : gap < 1n ? 1n : gap;
    }
  }

  filling(): Filling {
    const { table } = this.#bench;
    this.#prepare();
    this.#fill();
    const cores = table.shares.length;
    for (let count = 0; count < more * cores; count++) this.#add(this.#fresh());
    this.#revisit(1);
    this.#answer();
    // The last moment of the oldest entry, and the first one after it.
    const oldest = this.#packets[this.#olds[0]?.[0] ?? 0];
    const { expiry } = table;
    if (oldest !== undefined && expiry !== undefined) {
      const end = oldest.time + expiry;
      for (const moment of [end, end + 1n]) {
        if (moment <= this.#time) continue;
        this.#time = moment - this.#gap;
        this.#add(this.#freshOn(0));
      }
    }
    this.#time += longestWait(expiry);
    this.#answer();
    this.#prepare();
    for (let count = 0; count < more * cores; count++) this.#add(this.#fresh());
    this.#revisit(0);
    this.#answer();
    return {
      name: `full ${table.name}`,
      packets: this.#packets,
      answers: this.#answers,
    };
  }

  /** What must come first, at this time. */
  #prepare(): void {
    for (const packet of this.#prefix) this.#add(packet);
  }

  /** Until each core has its share. */
  #fill(): void {
    const { table, request } = this.#bench;
    const capacity = table.shares.reduce((sum, share) => sum + share, 0);
    const isFull = (core: number): boolean =>
      (this.#entries[core] ?? 0) >= (table.shares[core] ?? 0);
    let left = 3 * capacity + 1000;
    let idle = 0;
    while (left > 0 && idle < 32 * groupLength) {
      left--;
      const packet = this.#fresh();
      const core = request.coreOf(packet);
      if (isFull(core)) {
        if (table.shares.every((_, each) => isFull(each))) return;
        // Another group may be other cores'.
        this.#inGroup = 0;
        continue;
      }
      idle = this.#add(packet) > 0 ? 0 : idle + 1;
    }
  }

  /** Appends it at the next time; how many entries it added. */
  #add(packet: PacketInput): number {
    this.#time += this.#gap;
    const timed = { ...packet, time: this.#time };
    const core = this.#bench.request.coreOf(timed);
    const added = this.#bench.run(this.#state, timed);
    if (added > 0) {
      this.#entries[core] = (this.#entries[core] ?? 0) + added;
      this.#olds[core]?.push(this.#packets.length);
    }
    this.#packets.push(timed);
    return added;
  }

  /** Packets again that added entries early, middle and late; not the first `left` ones. */
  #revisit(left: number): void {
    for (const olds of this.#olds) {
      const every = Math.max(1, Math.floor(olds.length / more));
      for (let at = left; at < olds.length; at += every) {
        const packet = this.#packets[olds[at] ?? 0];
        if (packet !== undefined) this.#add(packet);
      }
    }
  }

  /** Answers to what early and late packets sent out. */
  #answer(): void {
    const { ifindexes } = this.#bench.request;
    for (const olds of this.#olds)
      for (const index of [
        ...olds.slice(1, answered),
        ...olds.slice(-answered),
      ])
        for (const ifindex of ifindexes) {
          const asked = this.#packets[index];
          if (asked === undefined || asked.ifindex === ifindex) continue;
          this.#answers.set(this.#packets.length, {
            to: index,
            frame: (sent: Outcome) => replyTo(sent.data),
          });
          this.#time += this.#gap;
          this.#packets.push({
            ...asked,
            data: replyTo(asked.data),
            ifindex,
            time: this.#time,
          });
        }
  }

  /** A packet with another key. */
  #fresh(): PacketInput {
    if (this.#inGroup === 0) {
      this.#base = this.#fields.flat().filter(() => this.#random.chance(0.5));
      this.#field = this.#random.pick(this.#fields);
      this.#inGroup = Math.min(
        groupLength,
        2 ** Math.max(0, this.#field.length - 1),
      );
    }
    const number = this.#inGroup--;
    const changed = new Set(this.#base);
    for (const [at, bit] of this.#field.slice(-7).entries())
      if (((number >> at) & 1) === 1)
        if (!changed.delete(bit)) changed.add(bit);
    return varied(this.#packet, [...changed], this.#time);
  }

  #freshOn(core: number): PacketInput {
    for (let tries = 0; tries < 64; tries++) {
      const packet = this.#fresh();
      if (this.#bench.request.coreOf(packet) === core) return packet;
      this.#inGroup = 0;
    }
    return this.#fresh();
  }
}

const second = 1_000_000_000n;

/** When all entries have expired, whoever they are. */
function longestWait(expiry: bigint | undefined): bigint {
  return expiry === undefined ? 1000n * second : 2n * expiry + 2n;
}

/** The packet with those bits of its frame flipped. */
function varied(
  packet: PacketInput,
  bits: readonly number[],
  time: bigint,
): PacketInput {
  const data = packet.data.slice();
  for (const bit of bits)
    data[bit >> 3] = (data[bit >> 3] ?? 0) ^ (0x80 >> (bit & 7));
  return { ...packet, data: refreshChecksums(data), time };
}
