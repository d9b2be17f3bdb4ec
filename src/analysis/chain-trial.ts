/**
 * The trial of functions that may be an index allocator: what their constants are, and
 * whether they do what the reference does.
 *
 * Constants by bisection on states of our own: with u cells used and none in a list,
 * allocate hands out u + 1 exactly while u is below the capacity; a full chain whose
 * only listed cell was used at time 0 is reclaimed from expiry + 1 on. So a trial of
 * 65,536 indices costs as much as one of eight.
 */
import { equalBytes, Random } from "../base/index.ts";
import type { CellTouch } from "../interp/index.ts";
import type { MapSpec, ProgramSpec } from "../isa/index.ts";
import { cellNumber, ChainMachine, type Called } from "./chain-machine.ts";
import { ChainModel, freeCell } from "./chain-model.ts";

export interface ChainFunctions {
  readonly allocate: string;
  readonly refresh?: string;
  readonly free?: string;
}

export interface Candidate {
  readonly functions: ChainFunctions;
  readonly array: MapSpec;
  readonly entries: MapSpec | undefined;
  /** Read-only data that they use. */
  readonly frozen: readonly MapSpec[];
}

export interface Tried {
  readonly capacity: number;
  readonly expiry?: bigint;
  readonly evictsOldest: boolean;
  readonly tried: { readonly operations: number; readonly seed: number };
  readonly edges: ReadonlySet<string>;
}

const SEED = 1;
const ROUNDS = 3;
const OPERATIONS = 120;
/** Indices that a round works with below the capacity. */
const BRINK = 5;
const LINKS = 16;
const MOST_TIME = 1n << 62n;

/** What it is, or why it is none. */
export function tryChain(
  program: ProgramSpec,
  candidate: Candidate,
): Tried | string {
  const { functions, array, entries, frozen } = candidate;
  const maps = [array, ...(entries === undefined ? [] : [entries]), ...frozen];
  const names = [functions.allocate, functions.refresh, functions.free];
  const machine = new ChainMachine(
    program,
    names.filter((name) => name !== undefined),
    maps,
  );
  const trial = new Trial(machine, candidate);
  const capacity = trial.capacity();
  if (capacity === 0) return "it never hands out an index";
  const evictsOldest = trial.reclaims(capacity, 0n);
  const expiry = evictsOldest ? 0n : trial.expiry(capacity);
  if (expiry === undefined) return "it never reclaims an expired index";
  const random = new Random(SEED);
  let operations = 0;
  for (let round = 0; round < ROUNDS; round++)
    for (const used of [0, Math.max(0, capacity - BRINK)]) {
      const model = new ChainModel({ capacity, expiry, evictsOldest, used });
      const wrong = trial.round(model, { random, capacity, expiry, used });
      if (wrong !== undefined) return wrong;
      operations += OPERATIONS;
    }
  return {
    capacity,
    ...(evictsOldest ? {} : { expiry }),
    evictsOldest,
    tried: { operations, seed: SEED },
    edges: machine.edges,
  };
}

interface Round {
  readonly random: Random;
  readonly capacity: number;
  readonly expiry: bigint;
  /** Cells that count as used at the start, and are in no list. */
  readonly used: number;
}

class Trial {
  readonly #machine: ChainMachine;
  readonly #candidate: Candidate;
  /** Key in the entries of each allocated cell. */
  readonly #keys = new Map<number, Uint8Array>();
  /** What a cell has behind its links. */
  readonly #tails = new Map<number, Uint8Array>();
  #entered = 0;

  constructor(machine: ChainMachine, candidate: Candidate) {
    this.#machine = machine;
    this.#candidate = candidate;
  }

  capacity(): number {
    let low = 0;
    let high = this.#candidate.array.maxEntries;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      this.#begin(middle);
      const { answer } = this.#allocate(0n);
      if (answer === BigInt(middle + 1)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Is the only cell of a full chain, used at time 0, handed out at `now`? */
  reclaims(capacity: number, now: bigint): boolean {
    this.#begin(capacity - 1);
    this.#allocate(0n);
    return this.#allocate(now).answer === BigInt(capacity);
  }

  expiry(capacity: number): bigint | undefined {
    if (!this.reclaims(capacity, MOST_TIME)) return undefined;
    let low = 0n;
    let high = MOST_TIME;
    while (high - low > 1n) {
      const middle = (low + high) / 2n;
      if (this.reclaims(capacity, middle)) high = middle;
      else low = middle;
    }
    return low;
  }

  /** Random operations on functions and model; the first difference. */
  round(model: ChainModel, round: Round): string | undefined {
    const { random, capacity, expiry, used } = round;
    this.#begin(used);
    const steps = [0n, 1n, expiry / 3n, expiry, expiry + 1n, 2n * expiry + 1n];
    const times = random.chance(0.5) ? steps : [0n, 0n, 0n, 0n, 1n, expiry];
    let now = random.chance(0.5) ? 0n : BigInt(random.u32()) * 1000n;
    const allocates = 0.3 + 0.4 * random.unit();
    const indices = (): number =>
      random.chance(0.1)
        ? random.pick([capacity, capacity + 1, freeCell, freeCell - 1])
        : used + random.below(Math.min(BRINK + 1, capacity - used + 1));
    for (let count = 0; count < OPERATIONS; count++) {
      now += random.pick(times);
      const wrong = random.chance(allocates)
        ? this.#tryAllocate(model, now, random)
        : random.chance(0.6)
          ? this.#tryRefresh(model, indices(), now)
          : this.#tryFree(model, indices());
      if (wrong !== undefined) return wrong;
    }
    return undefined;
  }

  #begin(used: number): void {
    this.#machine.restart();
    this.#keys.clear();
    this.#tails.clear();
    if (used === 0) return;
    const { array } = this.#candidate;
    const head = new Uint8Array(array.valueSize);
    new DataView(head.buffer).setUint32(0, used, true);
    this.#machine.state.update(array.name, keyOf(0), head);
  }

  #allocate(now: bigint): Called {
    return this.#machine.call(this.#candidate.functions.allocate, now);
  }

  #tryAllocate(
    model: ChainModel,
    now: bigint,
    random: Random,
  ): string | undefined {
    const { functions, entries } = this.#candidate;
    const called = this.#allocate(now);
    const { number, reclaimed } = model.allocate(now);
    if ((called.answer & 0xffff_ffffn) !== BigInt(number))
      return `allocate answers ${called.answer} where ${number} is due`;
    const gone = reclaimed ? this.#keys.get(number) : undefined;
    if (gone !== undefined) this.#keys.delete(number);
    const wrong =
      this.#compare(model, called, functions.allocate) ??
      this.#compareEntries(called, gone);
    if (wrong !== undefined || number === 0) return wrong;
    this.#enter(number, random, entries);
    return undefined;
  }

  #tryRefresh(
    model: ChainModel,
    index: number,
    now: bigint,
  ): string | undefined {
    const { refresh } = this.#candidate.functions;
    if (refresh === undefined || this.#isLeaked(model, index)) return undefined;
    const called = this.#machine.call(refresh, BigInt(index), now);
    model.refresh(index, now);
    return (
      this.#compare(model, called, refresh) ??
      this.#compareEntries(called, undefined)
    );
  }

  #tryFree(model: ChainModel, index: number): string | undefined {
    const { free } = this.#candidate.functions;
    if (this.#isLeaked(model, index)) return undefined;
    const { previous, next } = model.cell(index + 1);
    model.free(index);
    let wrong: string | undefined;
    if (free === undefined) this.#put(model, [0, index + 1, previous, next]);
    else {
      const called = this.#machine.call(free, BigInt(index));
      wrong =
        this.#compare(model, called, free) ??
        this.#compareEntries(called, undefined);
    }
    // As the library does: the entry goes with its index.
    const key = this.#keys.get(index + 1);
    const { entries } = this.#candidate;
    if (key !== undefined && entries !== undefined) {
      this.#machine.state.delete(entries.name, key);
      this.#keys.delete(index + 1);
    }
    return wrong;
  }

  /** Where no function frees: as if one had. */
  #put(model: ChainModel, numbers: readonly number[]): void {
    const { array } = this.#candidate;
    for (const number of numbers)
      if (number <= this.#candidate.array.maxEntries)
        this.#machine.state.update(
          array.name,
          keyOf(number),
          this.#bytesOf(model, number),
        );
  }

  /** Counts as used at the start and is in no list: no chain is ever so. */
  #isLeaked(model: ChainModel, index: number): boolean {
    return model.isAllocated(index) && model.cell(index + 1) === model.cell(-1);
  }

  /** As the caller of allocate does: a key into the cell, and an entry under it. */
  #enter(number: number, random: Random, entries: MapSpec | undefined): void {
    const { array } = this.#candidate;
    const { state } = this.#machine;
    const tail = random.bytes(array.valueSize - LINKS);
    // So that no two keys are equal.
    tail.set(keyOf(this.#entered++).subarray(0, tail.length));
    const cell = state.lookup(array.name, keyOf(number));
    if (cell === undefined) return;
    cell.set(tail, LINKS);
    state.update(array.name, keyOf(number), cell);
    this.#tails.set(number, tail);
    if (entries === undefined) return;
    const key = tail.slice(0, entries.keySize);
    const value = new Uint8Array(entries.valueSize);
    if (state.update(entries.name, key, value) === 0)
      this.#keys.set(number, key);
  }

  /** Answer, faults, and the bytes of every cell that was touched. */
  #compare(
    model: ChainModel,
    { touches, fault }: Called,
    name: string,
  ): string | undefined {
    if (fault !== undefined) return `${name} stops: ${fault}`;
    const { array } = this.#candidate;
    const numbers = new Set([0]);
    for (const touch of touches)
      if (touch.map === array.name && touch.result === "hit")
        numbers.add(cellNumber(touch));
    for (const number of numbers) {
      const have = this.#machine.state.lookup(array.name, keyOf(number));
      const want = this.#bytesOf(model, number);
      if (have === undefined || !equalBytes(have, want))
        return `${name} leaves cell ${number} otherwise`;
    }
    return undefined;
  }

  /** `gone`: the key that is deleted, and no other. */
  #compareEntries(
    { touches }: Called,
    gone: Uint8Array | undefined,
  ): string | undefined {
    const { entries } = this.#candidate;
    if (entries === undefined) return undefined;
    const { state } = this.#machine;
    const deleted = touches.filter(
      ({ map, writes }: CellTouch) => map === entries.name && writes,
    );
    if (deleted.length !== (gone === undefined ? 0 : 1))
      return `it deletes ${deleted.length} entries of ${entries.name}`;
    if (gone !== undefined && state.lookup(entries.name, gone) !== undefined)
      return `it deletes another entry of ${entries.name} than its own`;
    return undefined;
  }

  #bytesOf(model: ChainModel, number: number): Uint8Array {
    const bytes = new Uint8Array(this.#candidate.array.valueSize);
    const view = new DataView(bytes.buffer);
    const { last, next, previous } = model.cell(number);
    view.setBigUint64(0, last, true);
    view.setUint32(8, next, true);
    view.setUint32(12, previous, true);
    bytes.set(this.#tails.get(number) ?? [], LINKS);
    return bytes;
  }
}

const keyOf = (number: number): Uint8Array =>
  Uint8Array.of(number, number >>> 8, number >>> 16, number >>> 24);
