/**
 * What is known at one point of the program on some of the paths that lead there.
 * A point has at most MOST_STATES of these, so that a key which is one of a few
 * keeps each of them with the facts under which it is that one.
 *
 * Law: `mergeStates` only forgets: each state it is given is described by one of
 * those it returns.
 */
import {
  joinFacts,
  noFacts,
  sameFacts,
  widenFacts,
  type Facts,
} from "./facts.ts";
import { joinOrders, noOrders, sameOrders, type Orders } from "./orders.ts";
import type { Form, Symbols } from "./symbols.ts";
import {
  joinWords,
  sameForms,
  sameWord,
  widenWords,
  type Word,
} from "./word.ts";

/** A byte of memory: eight forms, least significant first, or a part of a spilled pointer. */
export type Byte =
  | { readonly kind: "forms"; readonly forms: readonly Form[] }
  | { readonly kind: "part"; readonly word: Word; readonly index: number };

/** What the program has done to the frame. Offsets are those of the frame as it arrived. */
export interface FrameState {
  /** Bytes that were written, by "base.offset". */
  readonly written: ReadonlyMap<string, Byte>;
  /** Bytes from here on may have been written through another base. */
  readonly unknownFrom: number;
  /** For which bases bytes behind base + 4 * IHL are as they were but for `written`. */
  readonly knownBases: "all" | "none" | number;
  /** The frame's start was moved: nothing is known of any byte. */
  readonly moved: boolean;
}

export interface State {
  /** Words of the values that are live here and matter to keys. */
  readonly env: ReadonlyMap<number, Word>;
  /** Bytes of memory slots, by slot id. */
  readonly slots: readonly (readonly Byte[])[];
  readonly frame: FrameState;
  readonly facts: Facts;
  readonly orders: Orders;
  /** How many bytes behind each base (see Atom) are known to be in the frame. */
  readonly bounds: ReadonlyMap<number, number>;
  /** A spin lock is held on every path. */
  readonly locked: boolean;
  /** Objects in which a lookup has failed on every path. */
  readonly missed: ReadonlySet<string>;
  /** Bytes that were stored into cells of fresh indices, by "load.offset" (linked.ts). */
  readonly entered: ReadonlyMap<string, Byte>;
}

const MOST_STATES = 8;

export const untouchedFrame: FrameState = {
  written: new Map(),
  unknownFrom: Infinity,
  knownBases: "all",
  moved: false,
};

export function entryState(slots: State["slots"]): State {
  return {
    env: new Map(),
    slots,
    frame: untouchedFrame,
    facts: noFacts,
    orders: noOrders,
    bounds: new Map(),
    locked: false,
    missed: new Set(),
    entered: new Map(),
  };
}

/** At most MOST_STATES states that cover all of `states`. */
export function mergeStates(
  states: readonly State[],
  symbols: Symbols,
): readonly State[] {
  const out: State[] = [];
  for (const state of states) {
    const twin = out.findIndex((other) => sameValues(other, state));
    const known = out[twin];
    if (known !== undefined) out[twin] = joinStates(known, state, symbols);
    else out.push(state);
    if (out.length > MOST_STATES) joinNearest(out, symbols);
  }
  return out;
}

/** For loop heads: as few states as before, and what changed is given up at once. */
export function widenStates(
  before: readonly State[],
  after: readonly State[],
  symbols: Symbols,
): readonly State[] {
  const out = [...before];
  for (const state of after) {
    let best = -1;
    let least = Infinity;
    for (const [index, other] of out.entries()) {
      const apart = samePort(other, state, symbols) ? 0 : PORTS;
      const distance = apart + difference(other, state);
      if (distance < least) [best, least] = [index, distance];
    }
    const known = out[best];
    if (known === undefined) out.push(state);
    else out[best] = widenState(known, state, symbols);
  }
  return out;
}

export function sameStates(
  left: readonly State[],
  right: readonly State[],
): boolean {
  return (
    left.length === right.length &&
    left.every((state, index) => {
      const other = right[index];
      return other !== undefined && sameState(state, other);
    })
  );
}

export function sameByte(left: Byte, right: Byte): boolean {
  if (left === right) return true;
  if (left.kind === "forms")
    return right.kind === "forms" && sameForms(left.forms, right.forms);
  return (
    right.kind === "part" &&
    left.index === right.index &&
    sameWord(left.word, right.word)
  );
}

function sameState(left: State, right: State): boolean {
  return (
    sameValues(left, right) &&
    left.locked === right.locked &&
    sameFacts(left.facts, right.facts) &&
    sameOrders(left.orders, right.orders) &&
    sameBounds(left.bounds, right.bounds) &&
    sameSet(left.missed, right.missed) &&
    sameEntered(left.entered, right.entered)
  );
}

const sameSet = (left: ReadonlySet<string>, right: ReadonlySet<string>) =>
  left.size === right.size && [...left].every((item) => right.has(item));

/** Equal but for facts. */
function sameValues(left: State, right: State): boolean {
  return difference(left, right, 0) === 0;
}

/** How many values differ; stops counting above `limit`. */
function difference(left: State, right: State, limit = Infinity): number {
  let count = sameFrame(left.frame, right.frame) ? 0 : 8;
  for (const [value, word] of left.env) {
    if (count > limit) return count;
    const other = right.env.get(value);
    if (other === undefined) count++;
    else if (!sameWord(word, other)) count += weight(word, other);
  }
  for (const value of right.env.keys()) if (!left.env.has(value)) count++;
  for (const [slot, bytes] of left.slots.entries()) {
    const others = right.slots[slot] ?? [];
    if (bytes === others) continue;
    for (const [index, byte] of bytes.entries()) {
      if (count > limit) return count;
      const other = others[index];
      if (other === undefined || !sameByte(byte, other)) count++;
    }
  }
  return count;
}

/** Pointers and numbers that differ are what makes paths worth keeping apart. */
function weight(left: Word, right: Word): number {
  return left.kind === "pointer" || right.kind === "pointer" ? 8 : 2;
}

function sameFrame(left: FrameState, right: FrameState): boolean {
  if (left === right) return true;
  if (
    left.moved !== right.moved ||
    left.knownBases !== right.knownBases ||
    left.unknownFrom !== right.unknownFrom ||
    left.written.size !== right.written.size
  )
    return false;
  for (const [key, byte] of left.written) {
    const other = right.written.get(key);
    if (other === undefined || !sameByte(byte, other)) return false;
  }
  return true;
}

function joinNearest(states: State[], symbols: Symbols): void {
  let pair: readonly [number, number] = [0, 1];
  let least = Infinity;
  for (const [i, left] of states.entries())
    for (let j = i + 1; j < states.length; j++) {
      const right = states[j];
      if (right === undefined) continue;
      const apart = samePort(left, right, symbols) ? 0 : PORTS;
      const distance = apart + difference(left, right, least - apart);
      if (distance < least) [pair, least] = [[i, j], distance];
    }
  const [a, b] = [states[pair[0]], states[pair[1]]];
  if (a === undefined || b === undefined) return;
  states[pair[0]] = joinStates(a, b, symbols);
  states.splice(pair[1], 1);
}

/** What packets of different ports do is kept apart longer than a few values. */
const PORTS = 8;

const samePort = (left: State, right: State, symbols: Symbols): boolean =>
  portText(left.facts, symbols) === portText(right.facts, symbols);

const portTexts = new WeakMap<Facts, string>();

function portText(facts: Facts, symbols: Symbols): string {
  let text = portTexts.get(facts);
  if (text === undefined) {
    text = [...facts.values()]
      .filter(
        ({ atoms: [first] }) =>
          first !== undefined && symbols.atom(first).space === "ifindex",
      )
      .map(({ in: values, not }) => `${values?.join()} ${not?.join()}`)
      .join(";");
    portTexts.set(facts, text);
  }
  return text;
}

function joinStates(left: State, right: State, symbols: Symbols): State {
  return combine(left, right, {
    words: (a, b) => joinWords(a, b, symbols),
    facts: joinFacts,
    symbols,
  });
}

function widenState(before: State, after: State, symbols: Symbols): State {
  return combine(before, after, {
    words: (a, b) => widenWords(a, b, symbols),
    facts: widenFacts,
    symbols,
    widening: true,
  });
}

interface Combination {
  readonly words: (left: Word, right: Word) => Word;
  readonly facts: (left: Facts, right: Facts) => Facts;
  readonly symbols: Symbols;
  /** Bytes that differ are lost whole: a counter would lose bit after bit. */
  readonly widening?: true;
}

function combine(left: State, right: State, how: Combination): State {
  const env = new Map<number, Word>();
  for (const [value, word] of left.env) {
    const other = right.env.get(value);
    // A value that one side lacks is not known at all.
    if (other !== undefined) env.set(value, how.words(word, other));
  }
  return {
    env,
    slots: left.slots.map((bytes, slot) => {
      const others = right.slots[slot] ?? [];
      if (bytes === others) return bytes;
      return bytes.map((byte, index) => combineBytes(byte, others[index], how));
    }),
    frame: combineFrames(left.frame, right.frame, how),
    facts: how.facts(left.facts, right.facts),
    orders: joinOrders(left.orders, right.orders),
    bounds: lesserBounds(left.bounds, right.bounds),
    locked: left.locked && right.locked,
    missed:
      left.missed === right.missed
        ? left.missed
        : new Set([...left.missed].filter((item) => right.missed.has(item))),
    entered: commonBytes(left.entered, right.entered),
  };
}

function commonBytes(
  left: ReadonlyMap<string, Byte>,
  right: ReadonlyMap<string, Byte>,
): ReadonlyMap<string, Byte> {
  if (left === right) return left;
  return new Map(
    [...left].filter(([name, byte]) => {
      const other = right.get(name);
      return other !== undefined && sameByte(byte, other);
    }),
  );
}

const sameEntered = (left: State["entered"], right: State["entered"]) =>
  left === right ||
  (left.size === right.size && commonBytes(left, right).size === left.size);

function combineBytes(
  left: Byte,
  right: Byte | undefined,
  { words, symbols, widening }: Combination,
): Byte {
  if (right !== undefined && sameByte(left, right)) return left;
  if (
    left.kind === "part" &&
    right?.kind === "part" &&
    left.index === right.index
  )
    return { ...left, word: words(left.word, right.word) };
  const unknown = symbols.unknown("paths that disagree meet");
  if (left.kind !== "forms" || right?.kind !== "forms" || widening === true)
    return unknownByte(unknown);
  return {
    kind: "forms",
    forms: left.forms.map((form, index) =>
      symbols.join(form, right.forms[index] ?? unknown),
    ),
  };
}

export function unknownByte(form: Form): Byte {
  return { kind: "forms", forms: Array.from({ length: 8 }, () => form) };
}

function combineFrames(
  left: FrameState,
  right: FrameState,
  how: Combination,
): FrameState {
  if (sameFrame(left, right)) return left;
  const written = new Map<string, Byte>();
  const unknown = unknownByte(how.symbols.unknown("written on some paths"));
  for (const key of new Set([
    ...left.written.keys(),
    ...right.written.keys(),
  ])) {
    const a = left.written.get(key);
    const b = right.written.get(key);
    written.set(
      key,
      a !== undefined && b !== undefined ? combineBytes(a, b, how) : unknown,
    );
  }
  return {
    written,
    unknownFrom: Math.min(left.unknownFrom, right.unknownFrom),
    knownBases: meetBases(left.knownBases, right.knownBases),
    moved: left.moved || right.moved,
  };
}

function meetBases(
  left: FrameState["knownBases"],
  right: FrameState["knownBases"],
): FrameState["knownBases"] {
  if (left === right || right === "all") return left;
  return left === "all" ? right : "none";
}

/** How much of the frame is there on both sides. */
export function lesserBounds(
  left: State["bounds"],
  right: State["bounds"],
): State["bounds"] {
  if (left === right) return left;
  const out = new Map<number, number>();
  for (const [base, bytes] of left) {
    const other = right.get(base);
    if (other !== undefined) out.set(base, Math.min(bytes, other));
  }
  return out;
}

const sameBounds = (left: State["bounds"], right: State["bounds"]): boolean =>
  left === right ||
  (left.size === right.size &&
    [...left].every(([base, bytes]) => right.get(base) === bytes));
