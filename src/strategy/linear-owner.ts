/**
 * Which linear functions of packet bits can name the owner of a packet, whatever
 * hashes them: the freedom that demands leave, before any NIC is asked.
 *
 * Unknowns: one coefficient per port and packet bit that the demands name. For
 * a demand over ports (i, j) the vector (h_i | h_j) must lie in the span of its
 * equations' vectors (left | right), i.e. be orthogonal to everything that is
 * orthogonal to them. GF(2) with rows as bigint.
 *
 * Not said: whether a NIC can compute one of them. Constants and packet classes
 * are left to rss.
 */
import { printFieldBits } from "../analysis/index.ts";
import type { FieldBit, FieldName } from "../packet/index.ts";
import type { Conjunct, LinearForm } from "../rss/index.ts";
import type { PortFields } from "./plan.ts";

/** Fields with a coefficient in some owner function, per port; empty: none is. */
export function ownerFields(
  ports: readonly string[],
  conjuncts: readonly Conjunct[],
  usable: (field: FieldName) => boolean,
): readonly PortFields[] {
  const names = new Map<string, number>();
  const bits: { port: string; bit: FieldBit }[] = [];
  const column = (port: string, bit: FieldBit): number => {
    const key = `${port} ${bit.field} ${bit.bit}`;
    let at = names.get(key);
    if (at === undefined) {
      at = bits.length;
      names.set(key, at);
      bits.push({ port, bit });
    }
    return at;
  };
  for (const { ports: ends, equations } of conjuncts)
    for (const { left, right } of equations) {
      for (const bit of left.bits) column(ends[0], bit);
      for (const bit of right.bits) column(ends[1], bit);
    }
  const system = new Rows();
  for (const [at, { bit }] of bits.entries())
    if (!usable(bit.field)) system.add(1n << BigInt(at));
  for (const conjunct of conjuncts)
    for (const row of conditionsOf(conjunct, bits, column)) system.add(row);
  const free = system.support(bits.length);
  return ports.map((port) => ({
    port,
    fields: namesOf(
      bits
        .filter((one, at) => one.port === port && free.has(at))
        .map(({ bit }) => bit),
    ),
  }));
}

/** Rows that the coefficients must be orthogonal to, for one conjunct. */
function conditionsOf(
  { ports: [from, to], equations }: Conjunct,
  bits: readonly { readonly port: string; readonly bit: FieldBit }[],
  column: (port: string, bit: FieldBit) => number,
): readonly bigint[] {
  // Columns of this conjunct: coefficients of p (port from), then of q (port to).
  const p = bits.flatMap(({ port }, at) => (port === from ? [at] : []));
  const q = bits.flatMap(({ port }, at) => (port === to ? [at] : []));
  const place = new Map<string, number>();
  for (const at of p) place.set(`p${at}`, place.size);
  for (const at of q) place.set(`q${at}`, place.size);
  const rows = new Rows();
  for (const { left, right } of equations)
    rows.add(
      vector("p", left, (bit) => column(from, bit), place) ^
        vector("q", right, (bit) => column(to, bit), place),
    );
  const columns = [...p, ...q];
  return rows.orthogonal(columns.length).map((row) => {
    let out = 0n;
    for (const [index, at] of columns.entries())
      if ((row >> BigInt(index)) & 1n) out ^= 1n << BigInt(at);
    return out;
  });
}

function vector(
  side: "p" | "q",
  form: LinearForm,
  column: (bit: FieldBit) => number,
  place: ReadonlyMap<string, number>,
): bigint {
  let out = 0n;
  for (const bit of form.bits) {
    const at = place.get(`${side}${column(bit)}`);
    if (at !== undefined) out ^= 1n << BigInt(at);
  }
  return out;
}

/** A reduced basis: each row's lowest set bit is set in no other row. */
class Rows {
  readonly #byPivot = new Map<number, bigint>();

  add(row: bigint): void {
    let rest = row;
    for (const [pivot, known] of this.#byPivot)
      if ((rest >> BigInt(pivot)) & 1n) rest ^= known;
    if (rest === 0n) return;
    const pivot = lowest(rest);
    for (const [other, known] of this.#byPivot)
      if ((known >> BigInt(pivot)) & 1n) this.#byPivot.set(other, known ^ rest);
    this.#byPivot.set(pivot, rest);
  }

  /** A basis of what is orthogonal to all rows, over `columns` columns. */
  orthogonal(columns: number): readonly bigint[] {
    const basis: bigint[] = [];
    for (let free = 0; free < columns; free++) {
      if (this.#byPivot.has(free)) continue;
      let out = 1n << BigInt(free);
      for (const [pivot, row] of this.#byPivot)
        if ((row >> BigInt(free)) & 1n) out |= 1n << BigInt(pivot);
      basis.push(out);
    }
    return basis;
  }

  /** Columns that some vector orthogonal to all rows has set. */
  support(columns: number): ReadonlySet<number> {
    const out = new Set<number>();
    for (const vector of this.orthogonal(columns))
      for (let at = 0; at < columns; at++)
        if ((vector >> BigInt(at)) & 1n) out.add(at);
    return out;
  }
}

function lowest(row: bigint): number {
  let at = 0;
  let rest = row;
  while ((rest & 0xffffffffn) === 0n) {
    rest >>= 32n;
    at += 32;
  }
  while ((rest & 1n) === 0n) {
    rest >>= 1n;
    at++;
  }
  return at;
}

/** `ipv4.src`, `l4.dport[8:16]`: whole fields and runs of bits. */
function namesOf(bits: readonly FieldBit[]): readonly string[] {
  const byField = new Map<FieldName, number[]>();
  for (const { field, bit } of bits) {
    const known = byField.get(field);
    if (known === undefined) byField.set(field, [bit]);
    else known.push(bit);
  }
  return [...byField].flatMap(([field, all]) => printFieldBits(field, all));
}
