/**
 * Which linear functions of packet bits can name the owner of a packet, whatever
 * hashes them: the freedom that demands leave, before any NIC is asked.
 *
 * Unknowns: one coefficient per port, group of packet classes and packet bit that
 * the demands name. For a demand over (i, j) the vector (h_i | h_j) must lie in the span of its
 * equations' vectors (left | right), i.e. be orthogonal to everything that is
 * orthogonal to them. GF(2) with rows as bigint.
 *
 * Not said: whether a NIC can compute one of them. Constants are left to rss.
 */
import { printFieldBits } from "../analysis/index.ts";
import type { FieldBit, FieldName } from "../packet/index.ts";
import {
  packetClasses,
  type Conjunct,
  type LinearForm,
  type PacketClass,
} from "../rss/index.ts";
import type { PortFields } from "./plan.ts";

/** What may name the owner of the packets of one port and some classes. */
export interface Owner {
  readonly port: string;
  readonly classes: readonly PacketClass[];
  /** Fields with a coefficient in some owner function; empty: all packets meet. */
  readonly fields: readonly string[];
  /** Indices of the conjuncts that name these packets. */
  readonly conjuncts: readonly number[];
}

/** Classes of a port that the same conjuncts name have one function. */
export function ownersOf(
  conjuncts: readonly Conjunct[],
  usable: (field: FieldName) => boolean,
): readonly Owner[] {
  const groups = groupsOf(conjuncts);
  const names = new Map<string, number>();
  const columns: Column[] = [];
  const column = (group: string, bit: FieldBit): number => {
    const key = `${group} ${bit.field} ${bit.bit}`;
    let at = names.get(key);
    if (at === undefined) {
      at = columns.length;
      names.set(key, at);
      columns.push({ group, bit });
    }
    return at;
  };
  const pairs = conjuncts.flatMap((conjunct) =>
    groupsAt(conjunct, 0, groups).flatMap((from) =>
      groupsAt(conjunct, 1, groups).map((to) => ({ from, to, conjunct })),
    ),
  );
  for (const { from, to, conjunct } of pairs)
    for (const { left, right } of conjunct.equations) {
      for (const bit of left.bits) column(from, bit);
      for (const bit of right.bits) column(to, bit);
    }
  const system = new Rows();
  for (const [at, { bit }] of columns.entries())
    if (!usable(bit.field)) system.add(1n << BigInt(at));
  for (const pair of pairs)
    for (const row of conditionsOf(pair, columns, column)) system.add(row);
  const free = system.support(columns.length);
  return [...groups].map(([name, group]) => ({
    ...group,
    fields: namesOf(
      columns
        .filter((one, at) => one.group === name && free.has(at))
        .map(({ bit }) => bit),
    ),
  }));
}

/** Per port the fields of all its classes. */
export function fieldsOfPorts(owners: readonly Owner[]): readonly PortFields[] {
  const ports = [...new Set(owners.map(({ port }) => port))];
  return ports.map((port) => ({
    port,
    fields: [
      ...new Set(
        owners.flatMap((owner) => (owner.port === port ? owner.fields : [])),
      ),
    ],
  }));
}

interface Column {
  readonly group: string;
  readonly bit: FieldBit;
}

/** Packets that the same ends of conjuncts name. */
export type Group = Omit<Owner, "fields">;

export function groupsOf(
  conjuncts: readonly Conjunct[],
): ReadonlyMap<string, Group> {
  const namedBy = new Map<string, Set<string>>();
  for (const [index, conjunct] of conjuncts.entries())
    for (const end of [0, 1] as const)
      for (const name of classesAt(conjunct, end)) {
        const key = `${name} ${conjunct.ports[end]}`;
        const known = namedBy.get(key) ?? new Set();
        namedBy.set(key, known.add(`${index}.${end}`));
      }
  const groups = new Map<string, Group>();
  for (const [key, ends] of namedBy) {
    const space = key.indexOf(" ");
    const name = key.slice(0, space) as PacketClass;
    const port = key.slice(space + 1);
    const id = `${[...ends].join()} ${port}`;
    const known = groups.get(id);
    groups.set(id, {
      port,
      classes: [...(known?.classes ?? []), name],
      conjuncts: [...new Set([...ends].map((end) => Number.parseInt(end, 10)))],
    });
  }
  return groups;
}

const classesAt = (conjunct: Conjunct, end: 0 | 1): readonly PacketClass[] =>
  conjunct.classes?.[end] ?? packetClasses;

/** Groups that one end of a conjunct can mean. */
export function groupsAt(
  conjunct: Conjunct,
  end: 0 | 1,
  groups: ReadonlyMap<string, Group>,
): readonly string[] {
  const classes = classesAt(conjunct, end);
  return [...groups].flatMap(([id, group]) =>
    group.port === conjunct.ports[end] &&
    group.classes.some((name) => classes.includes(name))
      ? [id]
      : [],
  );
}

/** Rows that the coefficients must be orthogonal to, for one conjunct and two groups. */
function conditionsOf(
  pair: {
    readonly from: string;
    readonly to: string;
    readonly conjunct: Conjunct;
  },
  columns: readonly Column[],
  column: (group: string, bit: FieldBit) => number,
): readonly bigint[] {
  const { from, to, conjunct } = pair;
  // Columns of this pair: coefficients of p (group from), then of q (group to).
  const p = columns.flatMap(({ group }, at) => (group === from ? [at] : []));
  const q = columns.flatMap(({ group }, at) => (group === to ? [at] : []));
  const place = new Map<string, number>();
  for (const at of p) place.set(`p${at}`, place.size);
  for (const at of q) place.set(`q${at}`, place.size);
  const rows = new Rows();
  for (const { left, right } of conjunct.equations)
    rows.add(
      vector("p", left, (bit) => column(from, bit), place) ^
        vector("q", right, (bit) => column(to, bit), place),
    );
  const own = [...p, ...q];
  return rows.orthogonal(own.length).map((row) => {
    let out = 0n;
    for (const [index, at] of own.entries())
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
export class Rows {
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
