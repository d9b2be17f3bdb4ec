/**
 * Keys in the report's terms: each bit as a form over header fields, and a text.
 */
import {
  printFieldSpec,
  fields,
  type FieldBit,
  type FieldName,
} from "../packet/index.ts";
import { knownAtom, type Facts } from "./facts.ts";
import { fieldOf, isFieldBit, layoutOf, type Layout } from "./layout.ts";
import type { Key, KeyBit, OpaqueReason } from "./report.ts";
import type { Reason } from "./sources.ts";
import type { Form, Symbols } from "./symbols.ts";

const UNKNOWN_KEY: Key = {
  bits: [],
  text: "unknown",
};

/**
 * `raw` is in memory order, each byte least significant bit first. A key of
 * which nothing is known has no bits.
 */
export function resolveKey(
  raw: readonly Form[] | undefined,
  facts: Facts,
  symbols: Symbols,
): Key {
  if (raw === undefined) return UNKNOWN_KEY;
  const layout = layoutOf(facts, symbols);
  const context = { facts, layout, symbols, known: new Map() };
  const bits = raw.map((_, index) =>
    resolveBit(raw[(index & ~7) + 7 - (index & 7)] ?? 0, context),
  );
  return { bits, text: keyText(bits) };
}

/** The array index of a CPU-indexed array: the 32 bits of the CPU number. */
export function isCpuNumber(
  raw: readonly Form[] | undefined,
  symbols: Symbols,
): boolean {
  return (
    raw?.length === 32 &&
    raw.every(
      (form, index) =>
        form === symbols.input("cpu", 0, index >> 3, 7 - (index & 7)),
    )
  );
}

/** `ipv4.src`, `{ipv4.src, l4.dport[8:16]}`, `7`, `value of table`. */
export function keyText(bits: readonly KeyBit[]): string {
  if (bits.length === 0) return "the whole object";
  if (bits.every((bit) => isPlain(bit))) return constantText(bits);
  const parts: string[] = [];
  const covered = new Map<FieldName, number[]>();
  const add = (text: string): void => {
    if (!parts.includes(text)) parts.push(text);
  };
  for (const bit of bits) {
    if (bit.kind === "opaque") add(reasonText(bit.why));
    else if (bit.bits.length > 1) {
      const names = [...new Set(bit.bits.map(({ field }) => field))];
      add(names.length > 1 ? names.join("^") : `${names[0]}^${names[0]}`);
    } else {
      const [only] = bit.bits;
      if (only === undefined) continue;
      const known = covered.get(only.field);
      if (known === undefined) {
        covered.set(only.field, [only.bit]);
        parts.push(`\u0000${only.field}`);
      } else known.push(only.bit);
    }
  }
  const texts = parts.flatMap((part) => {
    if (!part.startsWith("\u0000")) return [part];
    const field = part.slice(1) as FieldName;
    return printFieldBits(field, covered.get(field) ?? []);
  });
  return texts.length === 1 ? (texts[0] ?? "") : `{${texts.join(", ")}}`;
}

/** In words, for a refusal. */
export function reasonText(why: OpaqueReason): string {
  switch (why.kind) {
    case "payload":
      return "payload";
    case "environment":
      return why.what;
    case "state":
      return `value of ${why.object}`;
    case "nonlinear":
      return "arithmetic";
    case "unknown":
      return "unknown";
  }
}

interface Context {
  readonly facts: Facts;
  readonly layout: Layout;
  readonly symbols: Symbols;
  /** Reasons by cell or set, so that bits of one word have one reason. */
  readonly known: Map<string, OpaqueReason>;
}

/** The reason in the report's terms. */
function publicReason(form: Form, context: Context): OpaqueReason {
  const { symbols, known } = context;
  const reason = symbols.reason(form);
  const isPlain =
    (reason.kind !== "state" || reason.cell === undefined) &&
    (reason.kind !== "nonlinear" || reason.from === undefined);
  if (isPlain) return reason;
  const name =
    reason.kind === "state" ? `cell ${reason.cell}` : JSON.stringify(reason);
  let found = known.get(name);
  if (found === undefined) {
    found =
      reason.kind === "state"
        ? stateReason(reason, context)
        : nonlinearReason(reason, context);
    known.set(name, found);
  }
  return found;
}

function stateReason(
  { object, cell }: Extract<Reason, { kind: "state" }>,
  { symbols, facts }: Context,
): OpaqueReason {
  const key = cell === undefined ? undefined : symbols.sources.cell(cell).key;
  return key === undefined
    ? { kind: "state", object }
    : { kind: "state", object, key: resolveKey(key, facts, symbols) };
}

/** A function of header bits; of a byte that is none, that byte's reason. */
function nonlinearReason(
  { text, from }: Extract<Reason, { kind: "nonlinear" }>,
  { symbols, facts, layout }: Context,
): OpaqueReason {
  if (from === undefined) return { kind: "nonlinear", text };
  const of: FieldBit[] = [];
  for (const atom of symbols.sources.members(from)) {
    const isInput = symbols.atom(atom).space !== "packet";
    if (isInput && knownAtom(facts, atom) !== undefined) continue;
    const found = fieldOf(atom, layout, symbols);
    if (!isFieldBit(found)) return found;
    of.push(found);
  }
  return { kind: "nonlinear", text, of };
}

function resolveBit(form: Form, context: Context): KeyBit {
  const { facts, layout, symbols } = context;
  if (form < 0) return { kind: "opaque", why: publicReason(form, context) };
  let constant = form & 1;
  const bits: FieldBit[] = [];
  for (const atom of symbols.atoms(form)) {
    const isInput = symbols.atom(atom).space !== "packet";
    const known = isInput ? knownAtom(facts, atom) : undefined;
    if (known !== undefined) {
      constant ^= known;
      continue;
    }
    const found = fieldOf(atom, layout, symbols);
    if (!isFieldBit(found)) return { kind: "opaque", why: found };
    bits.push(found);
  }
  return { kind: "linear", bits, constant: constant === 1 ? 1 : 0 };
}

const isPlain = (bit: KeyBit): boolean =>
  bit.kind === "linear" && bit.bits.length === 0;

/** A constant key as user space would write it: little-endian up to 8 bytes. */
function constantText(bits: readonly KeyBit[]): string {
  let value = 0n;
  for (let byte = bits.length / 8 - 1; byte >= 0; byte--)
    for (let index = 0; index < 8; index++) {
      const bit = bits[8 * byte + index];
      value = (value << 1n) | BigInt(bit?.kind === "linear" ? bit.constant : 0);
    }
  return bits.length <= 64 ? value.toString() : `0x${value.toString(16)}`;
}

/** Whole fields and runs of bits: `ipv4.src`, `l4.dport[8:16]`. */
export function printFieldBits(
  field: FieldName,
  all: readonly number[],
): string[] {
  const sorted = [...new Set(all)].sort((a, b) => a - b);
  if (sorted.length === fields[field].bits) return [field];
  const texts: string[] = [];
  let first = sorted[0] ?? 0;
  for (const [index, bit] of sorted.entries()) {
    if (sorted[index + 1] === bit + 1) continue;
    texts.push(printFieldSpec({ field, first, count: bit + 1 - first }));
    first = sorted[index + 1] ?? 0;
  }
  return texts;
}
