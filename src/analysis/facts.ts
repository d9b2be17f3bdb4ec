/**
 * What a path has established about the input: for some groups of atoms, the
 * set of values they can have, or cannot have.
 *
 * Representation: a group is an ascending list of at most 32 atoms; bit i of a
 * value is atom i of the group. `in` has at most MOST_VALUES values.
 * Law: dropping a fact, or enlarging `in`, or shrinking `not`, is always sound.
 * A path whose facts contradict each other is never taken: `assume` answers
 * undefined.
 */
import { mirrored, type BranchOp } from "../isa/index.ts";
import { compare, decidedBy, indexRange } from "./comparison.ts";
import { bitsOf, type Word } from "./word.ts";
import type { AtomId, Form, Symbols } from "./symbols.ts";

export interface Fact {
  readonly atoms: readonly AtomId[];
  readonly in?: readonly number[];
  readonly not?: readonly number[];
}

/** By the group's text; insertion order is age. */
export type Facts = ReadonlyMap<string, Fact>;

export const noFacts: Facts = new Map();

const MOST_VALUES = 16;
const MOST_FACTS = 40;
/** Values that a set may grow to at a loop head. */
const MOST_WIDENED = 4;
/** Frame bytes beyond these are never asked about. */
const LAYOUT_BYTES = 128;

/** Values that the group may have, if the facts bound them. */
export function valuesOf(
  facts: Facts,
  atoms: readonly AtomId[],
): readonly number[] | undefined {
  const direct = facts.get(atoms.join())?.in;
  if (direct !== undefined) return direct;
  let value = 0;
  for (const [index, atom] of atoms.entries()) {
    const known = knownAtom(facts, atom);
    if (known === undefined) return projected(facts, atoms);
    if (known === 1) value += 2 ** index;
  }
  return [value];
}

/** Values that the group cannot have. */
export function excludedOf(
  facts: Facts,
  atoms: readonly AtomId[],
): readonly number[] {
  return facts.get(atoms.join())?.not ?? [];
}

export function knownAtom(facts: Facts, atom: AtomId): 0 | 1 | undefined {
  for (const fact of facts.values()) {
    const index = fact.atoms.indexOf(atom);
    if (index < 0 || fact.in === undefined || fact.in.length === 0) continue;
    const first = bitAt(fact.in[0] ?? 0, index);
    if (fact.in.every((value) => bitAt(value, index) === first)) return first;
  }
  return undefined;
}

/** Facts on the path where the comparison comes out as `outcome`; undefined: none does. */
export function assume(
  facts: Facts,
  test: {
    readonly op: BranchOp;
    readonly width: 32 | 64;
    readonly left: Word;
    readonly right: Word;
    readonly outcome: boolean;
  },
  symbols: Symbols,
): Facts | undefined {
  let { op, left, right } = test;
  if (left.kind === "number" && right.kind !== "number") {
    [left, right] = [right, left];
    op = mirrored[op];
  }
  if (right.kind !== "number" || left.kind === "pointer") return facts;
  const constant = BigInt.asUintN(test.width, right.value);
  if (left.kind === "number") {
    const value = BigInt.asUintN(test.width, left.value);
    return compare(op, value, constant, test.width) === test.outcome
      ? facts
      : undefined;
  }
  const bits = bitsOf(left, symbols).slice(0, test.width);
  const range = indexRange(bits, symbols);
  if (
    range !== undefined &&
    decidedBy(op, range, constant, test.width) === !test.outcome
  )
    return undefined;
  const masked =
    op === "jset"
      ? bits.map((form, index) =>
          ((constant >> BigInt(index)) & 1n) === 1n ? form : 0,
        )
      : bits;
  const wanted = equality(op, constant, test.outcome);
  if (wanted !== undefined)
    return wanted.equal
      ? assumeEqual(facts, masked, wanted.value, symbols)
      : assumeUnequal(facts, masked, wanted.value, symbols);
  return assumeOrder(facts, bits, { ...test, op, constant }, symbols);
}

/** Facts that hold on both paths. */
export function joinFacts(left: Facts, right: Facts): Facts {
  if (left === right) return left;
  const out = new Map<string, Fact>();
  const keys = new Set([...left.keys(), ...right.keys()]);
  for (const key of keys) {
    const atoms = (left.get(key) ?? right.get(key))?.atoms ?? [];
    const fact = joinFact(atoms, left, right);
    if (fact !== undefined) out.set(key, fact);
  }
  return out;
}

export function sameFacts(left: Facts, right: Facts): boolean {
  if (left === right) return true;
  if (left.size !== right.size) return false;
  for (const [key, fact] of left) {
    const other = right.get(key);
    if (other === undefined) return false;
    if (fact.in?.join() !== other.in?.join()) return false;
    if (fact.not?.join() !== other.not?.join()) return false;
  }
  return true;
}

/** For loop heads: facts equal on both sides, or joined while few; sets must not grow slowly. */
export function widenFacts(before: Facts, after: Facts): Facts {
  if (sameFacts(before, after)) return before;
  const out = new Map<string, Fact>();
  for (const [key, fact] of before) {
    const other = after.get(key);
    const same =
      fact.in?.join() === other?.in?.join() &&
      fact.not?.join() === other?.not?.join();
    if (other !== undefined && same) out.set(key, fact);
    if (other === undefined || same) continue;
    const joined = joinFact(fact.atoms, before, after);
    if (joined?.in !== undefined && joined.in.length <= MOST_WIDENED)
      out.set(key, joined);
  }
  return out;
}

const bitAt = (value: number, index: number): 0 | 1 =>
  Math.floor(value / 2 ** index) % 2 === 1 ? 1 : 0;

function projected(
  facts: Facts,
  atoms: readonly AtomId[],
): readonly number[] | undefined {
  for (const fact of facts.values()) {
    if (fact.in === undefined) continue;
    const places = atoms.map((atom) => fact.atoms.indexOf(atom));
    if (places.includes(-1)) continue;
    const values = fact.in.map((value) =>
      places.reduce(
        (sum, place, index) => sum + bitAt(value, place) * 2 ** index,
        0,
      ),
    );
    return [...new Set(values)].sort((a, b) => a - b);
  }
  return undefined;
}

function joinFact(
  atoms: readonly AtomId[],
  left: Facts,
  right: Facts,
): Fact | undefined {
  const a = valuesOf(left, atoms);
  const b = valuesOf(right, atoms);
  if (a !== undefined && b !== undefined) {
    const all = [...new Set([...a, ...b])].sort((x, y) => x - y);
    return all.length > MOST_VALUES ? undefined : { atoms, in: all };
  }
  const isOut = (facts: Facts, values: readonly number[] | undefined) =>
    values === undefined
      ? (value: number) => excludedOf(facts, atoms).includes(value)
      : (value: number) => !values.includes(value);
  const outLeft = isOut(left, a);
  const outRight = isOut(right, b);
  const candidates = [...excludedOf(left, atoms), ...excludedOf(right, atoms)];
  const not = [...new Set(candidates)].filter(
    (value) => outLeft(value) && outRight(value),
  );
  return not.length === 0
    ? undefined
    : { atoms, not: not.sort((x, y) => x - y) };
}

/** The comparison as `x == value` or `x != value`, where it is one. */
function equality(
  op: BranchOp,
  constant: bigint,
  outcome: boolean,
): { equal: boolean; value: bigint } | undefined {
  const isOne = constant === 1n;
  const isZero = constant === 0n;
  if (op === "jeq") return { equal: outcome, value: constant };
  if (op === "jne") return { equal: !outcome, value: constant };
  if (op === "jset") return { equal: !outcome, value: 0n };
  if (op === "jgt" && isZero) return { equal: !outcome, value: 0n };
  if (op === "jle" && isZero) return { equal: outcome, value: 0n };
  if (op === "jge" && isOne) return { equal: !outcome, value: 0n };
  if (op === "jlt" && isOne) return { equal: outcome, value: 0n };
  return undefined;
}

function assumeEqual(
  facts: Facts,
  bits: readonly Form[],
  value: bigint,
  symbols: Symbols,
): Facts | undefined {
  const pairs = new Map<AtomId, 0 | 1>();
  for (const [index, form] of bits.entries()) {
    const wanted = Number((value >> BigInt(index)) & 1n);
    if (form === 0 || form === 1) {
      if (form !== wanted) return undefined;
      continue;
    }
    const atom = symbols.single(form);
    if (atom === undefined) continue;
    const bit = (form & 1) ^ wanted ? 1 : 0;
    if ((pairs.get(atom) ?? bit) !== bit) return undefined;
    pairs.set(atom, bit);
  }
  if (value >> BigInt(bits.length) !== 0n) return undefined;
  const atoms = [...pairs.keys()].sort((a, b) => a - b);
  return restrict(
    facts,
    atoms,
    [atoms.reduce((sum, atom, i) => sum + (pairs.get(atom) ?? 0) * 2 ** i, 0)],
    symbols,
  );
}

function assumeUnequal(
  facts: Facts,
  bits: readonly Form[],
  value: bigint,
  symbols: Symbols,
): Facts | undefined {
  const group = groupOf(bits, symbols);
  if (group === undefined) return facts;
  const code = group.encode(value);
  if (code === undefined) return facts;
  if (group.atoms.length === 0) return undefined;
  return exclude(facts, group.atoms, [code], symbols);
}

function assumeOrder(
  facts: Facts,
  bits: readonly Form[],
  test: {
    readonly op: BranchOp;
    readonly width: 32 | 64;
    readonly constant: bigint;
    readonly outcome: boolean;
  },
  symbols: Symbols,
): Facts | undefined {
  const group = groupOf(bits, symbols);
  if (group === undefined) return facts;
  const known = valuesOf(facts, group.atoms);
  const domain =
    known ??
    (group.atoms.length <= 4
      ? Array.from({ length: 2 ** group.atoms.length }, (_, value) => value)
      : undefined);
  if (domain === undefined) return facts;
  const kept = domain.filter(
    (code) =>
      compare(test.op, group.decode(code), test.constant, test.width) ===
      test.outcome,
  );
  return restrict(facts, group.atoms, kept, symbols);
}

/** Bits that are all constants or single distinct atoms, as a group with its code. */
function groupOf(bits: readonly Form[], symbols: Symbols) {
  const places = new Map<AtomId, { index: number; flip: number }>();
  let base = 0n;
  for (const [index, form] of bits.entries()) {
    if (form === 1) base |= 1n << BigInt(index);
    if (form === 0 || form === 1) continue;
    const atom = symbols.single(form);
    if (atom === undefined || places.has(atom)) return undefined;
    places.set(atom, { index, flip: form & 1 });
  }
  const atoms = [...places.keys()].sort((a, b) => a - b);
  if (atoms.length > 32) return undefined;
  const rows = atoms.map((atom) => places.get(atom) ?? { index: 0, flip: 0 });
  const decode = (code: number): bigint =>
    rows.reduce(
      (sum, { index, flip }, i) =>
        bitAt(code, i) !== flip ? sum | (1n << BigInt(index)) : sum,
      base,
    );
  const encode = (value: bigint): number | undefined => {
    const code = rows.reduce(
      (sum, { index, flip }, i) =>
        Number((value >> BigInt(index)) & 1n) !== flip ? sum + 2 ** i : sum,
      0,
    );
    return decode(code) === value ? code : undefined;
  };
  return { atoms, decode, encode };
}

function restrict(
  facts: Facts,
  atoms: readonly AtomId[],
  values: readonly number[],
  symbols: Symbols,
): Facts | undefined {
  if (atoms.length === 0) return values.length === 0 ? undefined : facts;
  const known = valuesOf(facts, atoms);
  const excluded = excludedOf(facts, atoms);
  const kept = values.filter(
    (value) =>
      (known === undefined || known.includes(value)) &&
      !excluded.includes(value),
  );
  if (kept.length === 0) return undefined;
  if (values.length === 1 && contradicts(facts, atoms, values[0] ?? 0))
    return undefined;
  if (kept.length > MOST_VALUES || atoms.length > 32) return facts;
  return put(facts, { atoms, in: kept }, symbols);
}

function exclude(
  facts: Facts,
  atoms: readonly AtomId[],
  values: readonly number[],
  symbols: Symbols,
): Facts | undefined {
  const known = valuesOf(facts, atoms);
  if (known !== undefined) {
    const kept = known.filter((value) => !values.includes(value));
    return kept.length === 0
      ? undefined
      : put(facts, { atoms, in: kept }, symbols);
  }
  if (atoms.length <= 4) {
    const all = Array.from({ length: 2 ** atoms.length }, (_, value) => value);
    return restrict(
      facts,
      atoms,
      all.filter((value) => !values.includes(value)),
      symbols,
    );
  }
  const not = [...new Set([...excludedOf(facts, atoms), ...values])];
  if (not.length > MOST_VALUES) return facts;
  return put(facts, { atoms, not: not.sort((a, b) => a - b) }, symbols);
}

function contradicts(
  facts: Facts,
  atoms: readonly AtomId[],
  value: number,
): boolean {
  return atoms.some((atom, index) => {
    const known = knownAtom(facts, atom);
    return known !== undefined && known !== bitAt(value, index);
  });
}

function put(facts: Facts, fact: Fact, symbols: Symbols): Facts {
  if (!fact.atoms.some((atom) => matters(atom, symbols))) return facts;
  const out = new Map(facts);
  out.set(fact.atoms.join(), fact);
  if (out.size > MOST_FACTS) {
    const oldest = out.keys().next().value;
    if (oldest !== undefined) out.delete(oldest);
  }
  return out;
}

function matters(id: AtomId, symbols: Symbols): boolean {
  const atom = symbols.atom(id);
  return (
    atom.space !== "packet" || (atom.base === 0 && atom.byte < LAYOUT_BYTES)
  );
}
