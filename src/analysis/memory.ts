/**
 * Addresses, and what reading and writing through them does to a state: memory
 * slots byte for byte, the frame through an overlay of written bytes, cells of
 * maps as touches that the caller records.
 */
import type { Size } from "../isa/index.ts";
import {
  sameByte,
  unknownByte,
  type Byte,
  type FrameState,
  type State,
} from "./state.ts";
import type { Form, Symbols } from "./symbols.ts";
import { bitsOf, fromBits, number, pointer, type Word } from "./word.ts";

/** Address + scalar; undefined when the sum is no pointer that we follow. */
export function movePointer(
  from: Extract<Word, { kind: "pointer" }>,
  by: Word,
  symbols: Symbols,
): Word {
  const { target, offset } = from;
  if (by.kind === "number")
    return pointer(
      target,
      offset === undefined
        ? undefined
        : offset + Number(BigInt.asIntN(64, by.value)),
    );
  if (by.kind === "bits" && target.kind === "packet" && target.base === 0) {
    const { term, constant } = by.sum ?? { term: by, constant: 0n };
    const base = headerLengthOf(term, symbols);
    if (base !== undefined && offset !== undefined)
      return pointer(
        { kind: "packet", base },
        offset + Number(BigInt.asIntN(64, constant)) - base,
      );
  }
  return pointer(target, undefined);
}

/** Where the header starts whose 4 * IHL the word is. */
function headerLengthOf(word: Word, symbols: Symbols): number | undefined {
  if (word.kind !== "bits") return undefined;
  let at: number | undefined;
  for (const [index, form] of word.bits.entries()) {
    if (index < 2 || index > 5) {
      if (form !== 0) return undefined;
      continue;
    }
    const id = form & 1 ? undefined : symbols.single(form);
    if (id === undefined) return undefined;
    const atom = symbols.atom(id);
    if (atom.space !== "packet" || atom.base !== 0) return undefined;
    if (atom.bit !== 9 - index || (at ?? atom.byte) !== atom.byte)
      return undefined;
    at = atom.byte;
  }
  return at === undefined || at === 0 ? undefined : at;
}

const MOST_OFFSET = 0xffff;

/** A byte of the frame as the program sees it now. */
function frameByte(
  frame: FrameState,
  place: { readonly base: number; readonly offset: number },
  symbols: Symbols,
): Byte {
  const { base, offset } = place;
  if (frame.moved) return unknownByte(payload("the frame was moved", symbols));
  const written = frame.written.get(`${base}.${offset}`);
  if (written !== undefined) return written;
  const lost =
    base === 0
      ? offset >= frame.unknownFrom
      : !isKnownBase(frame.knownBases, base);
  if (lost) return unknownByte(payload("a rewritten byte", symbols));
  if (offset < 0 || offset > MOST_OFFSET)
    return unknownByte(payload("a byte outside of any frame", symbols));
  const forms: Form[] = [];
  for (let bit = 7; bit >= 0; bit--)
    forms.push(symbols.input("packet", base, offset, bit));
  return { kind: "forms", forms };
}

const payload = (text: string, symbols: Symbols): Form =>
  symbols.opaque({ kind: "payload", text });

/** `count` bytes behind a pointer into the frame or a slot; undefined: not known which. */
export function readBytes(
  state: State,
  address: Word,
  count: number,
  symbols: Symbols,
): readonly Byte[] | undefined {
  if (address.kind !== "pointer" || address.offset === undefined)
    return undefined;
  const { target, offset } = address;
  const places = Array.from({ length: count }, (_, index) => offset + index);
  if (target.kind === "packet")
    return places.map((at) =>
      frameByte(state.frame, { base: target.base, offset: at }, symbols),
    );
  if (target.kind === "slot") {
    const bytes = state.slots[target.slot] ?? [];
    const lost = unknownByte(symbols.unknown("outside its stack slot"));
    return places.map((at) => bytes[at] ?? lost);
  }
  return undefined;
}

/** Little-endian assembly of bytes into a word. */
export function assemble(
  bytes: readonly Byte[],
  signed: boolean,
  symbols: Symbols,
): Word {
  const first = bytes[0];
  if (first?.kind === "part" && bytes.length === 8) {
    const whole = bytes.every(
      (byte, index) =>
        byte.kind === "part" &&
        byte.index === index &&
        sameByte(byte, { ...first, index }),
    );
    if (whole) return first.word;
  }
  const forms = bitsOfBytes(bytes, symbols);
  if (!signed) return fromBits(forms);
  const sign = forms.at(-1) ?? 0;
  return fromBits([
    ...forms,
    ...Array.from({ length: 64 - forms.length }, () => sign),
  ]);
}

/** The bits of bytes in memory order, each byte least significant bit first. */
export function bitsOfBytes(
  bytes: readonly Byte[],
  symbols: Symbols,
): readonly Form[] {
  const out: Form[] = [];
  for (const byte of bytes)
    if (byte.kind === "forms") for (const form of byte.forms) out.push(form);
    else for (let at = 0; at < 8; at++) out.push(symbols.unknown("an address"));
  return out;
}

/** The low bytes of a word, as memory holds them. */
export function bytesOf(word: Word, size: Size, symbols: Symbols): Byte[] {
  if (word.kind === "pointer" && size === 8)
    return Array.from({ length: 8 }, (_, index) => ({
      kind: "part",
      word,
      index,
    }));
  const bits = bitsOf(word, symbols);
  return Array.from({ length: size }, (_, index) => ({
    kind: "forms",
    forms: bits.slice(8 * index, 8 * index + 8),
  }));
}

/** State after bytes were written into a slot. `offset` undefined: anywhere in it. */
export function writeSlot(
  state: State,
  place: { readonly slot: number; readonly offset: number | undefined },
  bytes: readonly Byte[],
  symbols: Symbols,
): State {
  const old = state.slots[place.slot];
  if (old === undefined) return state;
  const { offset } = place;
  const lost = unknownByte(symbols.unknown("a stack byte written somewhere"));
  const slots = [...state.slots];
  slots[place.slot] =
    offset === undefined
      ? old.map(() => lost)
      : old.map((byte, index) => bytes[index - offset] ?? byte);
  return { ...state, slots };
}

/** Nothing is known of any slot: something unknown may have written them. */
export function loseSlots(state: State, symbols: Symbols): State {
  if (state.slots.length === 0) return state;
  const lost = unknownByte(symbols.unknown("a stack byte that escaped"));
  return { ...state, slots: state.slots.map((slot) => slot.map(() => lost)) };
}

/**
 * Gives up the slots that these words point to, and those that pointers spilled
 * there point to; all, where a byte there may be a pointer that was lost sight of.
 */
export function loseReachable(
  state: State,
  words: readonly Word[],
  symbols: Symbols,
): State {
  const reached = new Set<number>();
  const stack = [...words];
  const never = symbols.unknown("never written");
  for (let word = stack.pop(); word !== undefined; word = stack.pop()) {
    if (word.kind === "number") continue;
    if (word.kind === "bits") {
      const lost = word.bits.find((form) => form < 0);
      if (lost !== undefined && mayBeAddress(lost, never, symbols))
        return loseSlots(state, symbols);
      continue;
    }
    if (word.target.kind !== "slot" || reached.has(word.target.slot)) continue;
    reached.add(word.target.slot);
    for (const byte of state.slots[word.target.slot] ?? []) {
      if (byte.kind === "part") stack.push(byte.word);
      else if (byte.forms.some((form) => mayBeAddress(form, never, symbols)))
        return loseSlots(state, symbols);
    }
  }
  if (reached.size === 0) return state;
  const lost = unknownByte(symbols.unknown("a stack byte that escaped"));
  return {
    ...state,
    slots: state.slots.map((slot, index) =>
      reached.has(index) ? slot.map(() => lost) : slot,
    ),
  };
}

/** Spilled pointers that were lost sight of are opaque for an unknown reason. */
function mayBeAddress(form: Form, never: Form, symbols: Symbols): boolean {
  return form < 0 && form !== never && symbols.reason(form).kind === "unknown";
}

/** Nothing is known of the frame's bytes any more. */
export function loseFrame(state: State): State {
  return { ...state, frame: { ...state.frame, moved: true } };
}

/** State after a store into the frame. */
export function writeFrame(
  state: State,
  place: { readonly base: number; readonly offset: number | undefined },
  bytes: readonly Byte[],
): State {
  const { base, offset } = place;
  if (offset === undefined) return loseFrame(state);
  const { frame } = state;
  const end = offset + bytes.length;
  // Which other bytes may this have been? Those behind 4 * IHL, for a constant
  // offset behind the shortest header, and the other way round.
  const unknownFrom =
    base === 0
      ? frame.unknownFrom
      : Math.min(frame.unknownFrom, base + (offset >= 0 ? 20 : 0));
  const knownBases =
    base === 0
      ? end > 34
        ? "none"
        : frame.knownBases
      : frame.knownBases === "all" || frame.knownBases === base
        ? base
        : "none";
  const written = new Map(frame.written);
  for (const key of frame.written.keys()) {
    const [other = 0, at = 0] = key.split(".").map(Number);
    const lost =
      other === 0
        ? base !== 0 && at >= unknownFrom
        : !isKnownBase(knownBases, other);
    if (lost) written.delete(key);
  }
  for (const [index, byte] of bytes.entries())
    written.set(`${base}.${offset + index}`, byte);
  return { ...state, frame: { ...frame, written, unknownFrom, knownBases } };
}

const isKnownBase = (known: FrameState["knownBases"], base: number) =>
  known === "all" || known === base;

/** The word at an address of a read-only data section. */
export function constantAt(
  data: Uint8Array,
  offset: number | undefined,
  size: number,
): Word | undefined {
  if (offset === undefined || offset < 0 || offset + size > data.length)
    return undefined;
  let value = 0n;
  for (let index = size - 1; index >= 0; index--)
    value = (value << 8n) | BigInt(data[offset + index] ?? 0);
  return number(value);
}
