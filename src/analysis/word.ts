/**
 * Abstract 64-bit words: a number, a vector of bit forms, or a pointer.
 *
 * Bits are least significant first: bits[8 * i + j] is bit j of byte i, which is
 * bit 7 - j in network order. Arithmetic is exact on bits as long as no carry
 * depends on the input; above that it is opaque ("nonlinear").
 *
 * `sum` remembers that an opaque word is `term + constant`, because addresses of
 * L4 headers are computed as data + (14 + 4 * IHL).
 */
import type { Form, Symbols } from "./symbols.ts";

/** What a pointer points into, more exactly than ir's regions. */
export type Target =
  | { readonly kind: "context" }
  /** `base` as in Atom: the pointer is base + 4 * IHL(base) + offset, or offset if base is 0. */
  | { readonly kind: "packet"; readonly base: number }
  | { readonly kind: "packet-end" }
  | { readonly kind: "slot"; readonly slot: number }
  | { readonly kind: "cell"; readonly cell: Cell }
  | { readonly kind: "map"; readonly map: string }
  | { readonly kind: "function"; readonly name: string }
  /** Memory that is no state of the program: ring buffer records, sockets. */
  | { readonly kind: "kernel" };

/** One value of a map, by the key that selected it. */
export interface Cell {
  readonly object: string;
  /** In the order of the key's bytes, each least significant bit first; absent: unknown. */
  readonly key: readonly Form[] | undefined;
  /** What made the pointer: value id of the lookup, -1 for global data, -2 for several. */
  readonly root: number;
}

export type Word =
  | { readonly kind: "number"; readonly value: bigint }
  | {
      readonly kind: "bits";
      readonly bits: readonly Form[];
      readonly sum?: { readonly term: Word; readonly constant: bigint };
    }
  /** Null, or this. */
  | {
      readonly kind: "pointer";
      readonly target: Target;
      /** Undefined: somewhere in it. */
      readonly offset: number | undefined;
    };

export const zeros: readonly Form[] = Array.from({ length: 64 }, () => 0);

export function number(value: bigint): Word {
  return { kind: "number", value: BigInt.asUintN(64, value) };
}

export function pointer(target: Target, offset: number | undefined): Word {
  return { kind: "pointer", target, offset };
}

/** All bits below `width` opaque for one reason, zeros above. */
export function opaqueWord(form: Form, width = 64): Word {
  return {
    kind: "bits",
    bits: zeros.map((zero, index) => (index < width ? form : zero)),
  };
}

/** Low bits given, zeros above; a number when all are constant. */
export function fromBits(low: readonly Form[]): Word {
  let value = 0n;
  let constant = true;
  for (let index = 0; index < low.length && constant; index++) {
    if (low[index] === 1) value |= 1n << BigInt(index);
    else if (low[index] !== 0) constant = false;
  }
  if (constant) return { kind: "number", value };
  if (low.length >= 64) return { kind: "bits", bits: low.slice(0, 64) };
  return { kind: "bits", bits: [...low, ...zeros.slice(low.length)] };
}

export function bitsOf(word: Word, symbols: Symbols): readonly Form[] {
  switch (word.kind) {
    case "number": {
      let rest = word.value;
      if (rest === 0n) return zeros;
      const bits: Form[] = [];
      while (rest !== 0n) {
        let chunk = Number(rest & 0xffffn);
        for (let index = 0; index < 16; index++, chunk >>= 1)
          bits.push(chunk & 1);
        rest >>= 16n;
      }
      while (bits.length < 64) bits.push(0);
      return bits;
    }
    case "bits":
      return word.bits;
    case "pointer":
      return zeros.map(() => symbols.unknown("an address"));
  }
}

export function sameWord(left: Word, right: Word): boolean {
  if (left === right) return true;
  if (left.kind === "number")
    return right.kind === "number" && left.value === right.value;
  if (left.kind === "bits")
    return (
      right.kind === "bits" &&
      sameForms(left.bits, right.bits) &&
      sameSum(left.sum, right.sum)
    );
  return (
    right.kind === "pointer" &&
    left.offset === right.offset &&
    sameTarget(left.target, right.target)
  );
}

export function sameForms(
  left: readonly Form[] | undefined,
  right: readonly Form[] | undefined,
): boolean {
  if (left === right) return true;
  if (left?.length !== right?.length) return false;
  if (left === undefined || right === undefined) return false;
  for (let index = 0; index < left.length; index++)
    if (left[index] !== right[index]) return false;
  return true;
}

/** Least upper bound: what both agree on, opaque elsewhere. */
export function joinWords(left: Word, right: Word, symbols: Symbols): Word {
  if (sameWord(left, right)) return left;
  const joined = symbols.unknown("paths that disagree meet");
  if (left.kind === "pointer" || right.kind === "pointer") {
    if (isNull(left)) return right;
    if (isNull(right)) return left;
    if (left.kind !== "pointer" || right.kind !== "pointer")
      return opaqueWord(joined);
    const target = joinTargets(left.target, right.target);
    if (target === undefined) return opaqueWord(joined);
    return pointer(
      target,
      left.offset === right.offset && sameTarget(left.target, right.target)
        ? left.offset
        : target.kind === "packet" || left.offset !== right.offset
          ? undefined
          : left.offset,
    );
  }
  const a = bitsOf(left, symbols);
  const b = bitsOf(right, symbols);
  return fromBits(a.map((form, index) => symbols.join(form, b[index] ?? 0)));
}

/** Everything that two words do not share becomes opaque at once. */
export function widenWords(before: Word, after: Word, symbols: Symbols): Word {
  if (sameWord(before, after)) return before;
  if (before.kind === "pointer" && after.kind === "pointer")
    return joinWords(before, after, symbols);
  return opaqueWord(symbols.unknown("changes in a loop"));
}

function sameSum(
  left: { term: Word; constant: bigint } | undefined,
  right: { term: Word; constant: bigint } | undefined,
): boolean {
  if (left === undefined || right === undefined) return left === right;
  return left.constant === right.constant && sameWord(left.term, right.term);
}

function sameTarget(left: Target, right: Target): boolean {
  switch (left.kind) {
    case "packet":
      return right.kind === "packet" && left.base === right.base;
    case "slot":
      return right.kind === "slot" && left.slot === right.slot;
    case "cell":
      return (
        right.kind === "cell" &&
        left.cell.object === right.cell.object &&
        left.cell.root === right.cell.root &&
        sameForms(left.cell.key, right.cell.key)
      );
    case "map":
      return right.kind === "map" && left.map === right.map;
    case "function":
      return right.kind === "function" && left.name === right.name;
    case "context":
    case "packet-end":
    case "kernel":
      return left.kind === right.kind;
  }
}

function joinTargets(left: Target, right: Target): Target | undefined {
  if (sameTarget(left, right)) return left;
  if (left.kind === "packet" && right.kind === "packet") return left;
  if (left.kind === "cell" && right.kind === "cell") {
    if (left.cell.object !== right.cell.object) return undefined;
    const sameKey = sameForms(left.cell.key, right.cell.key);
    return {
      kind: "cell",
      cell: {
        object: left.cell.object,
        key: sameKey ? left.cell.key : undefined,
        root: left.cell.root === right.cell.root ? left.cell.root : -2,
      },
    };
  }
  return undefined;
}

const isNull = (word: Word): boolean =>
  word.kind === "number" && word.value === 0n;
