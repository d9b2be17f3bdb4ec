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
import {
  plainCoefficients,
  toggle,
  type GroupPair,
  type PairSystem,
} from "./plain-coefficients.ts";

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
  const named = pairs.map(({ from, to, conjunct }): GroupPair => ({
    from,
    to,
    equations: conjunct.equations.map(({ left, right }) => ({
      left: columnsOf(left, (bit) => column(from, bit)),
      right: columnsOf(right, (bit) => column(to, bit)),
    })),
  }));
  const unusable = columns.flatMap(({ bit }, at) =>
    usable(bit.field) ? [] : [at],
  );
  const groupOf = columns.map(({ group }) => group);
  const plain = plainCoefficients(distinct(named), groupOf, unusable);
  const system = new Rows();
  for (const one of plain.systems)
    for (const row of conditionsOf(one)) system.add(row);
  const free = system.support(plain.count);
  return [...groups].map(([name, group]) => ({
    ...group,
    fields: namesOf(
      columns
        .filter(
          (one, at) => one.group === name && free.has(plain.unknowns[at] ?? -1),
        )
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

/** Columns with an odd number of mentions. */
function columnsOf(
  form: LinearForm,
  column: (bit: FieldBit) => number,
): readonly number[] {
  const out = new Set<number>();
  for (const bit of form.bits) toggle(out, column(bit));
  return [...out];
}

/** Demands of several accesses often say the same. */
function distinct(pairs: readonly GroupPair[]): readonly GroupPair[] {
  const known = new Map<string, GroupPair>();
  for (const pair of pairs) {
    const { from, to, equations } = pair;
    const text = equations.map(
      ({ left, right }) => `${left.join()}=${right.join()}`,
    );
    known.set(`${from}|${to}|${text.join(";")}`, pair);
  }
  return [...known.values()];
}

/** Rows over the unknowns that the coefficients of one pair must be orthogonal to. */
function conditionsOf({ places, rows }: PairSystem): readonly bigint[] {
  const indexOf = new Map([...places.keys()].map((place, at) => [place, at]));
  const span = new Rows();
  for (const row of rows) {
    let out = 0n;
    for (const place of row) out |= 1n << BigInt(indexOf.get(place) ?? 0);
    span.add(out);
  }
  const own = [...places.values()].map(BigInt);
  return span.orthogonal(own.length).map((row) => {
    let out = 0n;
    for (const [index, at] of own.entries())
      if ((row >> BigInt(index)) & 1n) out ^= 1n << at;
    return out;
  });
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
