/**
 * The finest function of packet bits that names owners: what a stage in software
 * hashes. Two packets that may touch one cell have equal values of it, on whatever
 * ports they come in.
 *
 * The value is a list of lanes. A lane has one width for all packets, and per group of
 * packets (a port and some classes) the runs of header bits whose XOR, with a constant,
 * is its value:
 *
 *     lane 0, 32 bits    lan: ipv4.src    wan: ipv4.dst
 *     lane 1, 32 bits    lan: ipv4.dst    wan: ipv4.src       …
 *
 * Unknowns: a coefficient per group and bit, as in linear-owner.ts, and one constant
 * per group. A basis of the solutions is a list of one-bit lanes; those that stand side
 * by side in every group are one lane.
 *
 * Law: a packet that touches a sharded cell has every field of its group's lanes, since
 * no lane has a bit that some key of the group does not have. Others may go anywhere.
 */
import {
  fields as fieldTable,
  type FieldBit,
  type FieldName,
} from "../packet/index.ts";
import {
  canonicalField,
  type Conjunct,
  type PacketClass,
} from "../rss/index.ts";
import { groupsAt, groupsOf, Rows } from "./linear-owner.ts";

/** `bits` bits of a field from bit `first` on; bit 0 is the most significant. */
export interface FieldRun {
  readonly field: FieldName;
  readonly first: number;
}

export interface OwnerLane {
  readonly bits: number;
  /** XOR of these runs … */
  readonly runs: readonly FieldRun[];
  /** … and of this. */
  readonly constant: bigint;
}

/** What names the owner of some packets of a port. */
export interface OwnerGroup {
  readonly port: string;
  readonly classes: readonly PacketClass[];
  /** As many as in every group that some conjunct links with it, of equal widths. */
  readonly lanes: readonly OwnerLane[];
}

export interface OwnerFunction {
  readonly groups: readonly OwnerGroup[];
}

/** Undefined: every function that serves all conjuncts is constant. */
export function ownerFunction(
  given: readonly Conjunct[],
): OwnerFunction | undefined {
  const conjuncts = given.map(withWholeClasses);
  const groups = groupsOf(conjuncts);
  const columns = new Columns([...groups.keys()]);
  const pairs = conjuncts.flatMap((conjunct) =>
    groupsAt(conjunct, 0, groups).flatMap((from) =>
      groupsAt(conjunct, 1, groups).map((to) => ({ from, to, conjunct })),
    ),
  );
  for (const { from, to, conjunct } of pairs)
    for (const { left, right } of conjunct.equations) {
      for (const bit of left.bits) columns.of(from, bit);
      for (const bit of right.bits) columns.of(to, bit);
    }
  const system = new Rows();
  for (const pair of pairs)
    for (const row of conditionsOf(pair, columns)) system.add(row);
  const forms = system
    .orthogonal(columns.size)
    .map((vector) => columns.formsOf(vector))
    .filter((form) => form.some(({ bits }) => bits.length > 0));
  if (forms.length === 0) return undefined;
  const lanes = lanesOf(forms);
  const linked = componentsOf([...groups.keys()], pairs);
  return {
    groups: [...groups.values()].map(({ port, classes }, group) => ({
      port,
      classes,
      lanes: lanes
        .filter((lane) =>
          lane[0]?.some(
            ({ bits }, other) =>
              bits.length > 0 && linked[other] === linked[group],
          ),
        )
        .map((lane) => laneOf(lane, group)),
    })),
  };
}

/**
 * A number per group; linked groups have the same. No lane has bits of groups that
 * are not linked, since the rows of the system do not link them either.
 */
function componentsOf(
  groups: readonly string[],
  pairs: readonly Pair[],
): readonly number[] {
  let numbers = groups.map((_, index) => index);
  for (const { from, to } of pairs) {
    const [one, other] = [from, to].map(
      (name) => numbers[groups.indexOf(name)] ?? 0,
    );
    numbers = numbers.map((number) => (number === other ? (one ?? 0) : number));
  }
  return numbers;
}

/** Stages in software tell no fragments from other IPv6 packets. */
function withWholeClasses(conjunct: Conjunct): Conjunct {
  if (conjunct.classes === undefined) return conjunct;
  const [left, right] = conjunct.classes.map((classes) => {
    const loose = classes.some((name) => loose6.includes(name));
    return loose ? [...new Set([...classes, ...loose6])] : classes;
  });
  if (left === undefined || right === undefined) return conjunct;
  return { ...conjunct, classes: [left, right] };
}

const loose6: readonly PacketClass[] = ["other6", "fragment6"];

interface Pair {
  readonly from: string;
  readonly to: string;
  readonly conjunct: Conjunct;
}

/** One coefficient of a group: of a bit, or of the constant 1. */
interface Column {
  readonly group: string;
  readonly bit: FieldBit | undefined;
}

/** One bit of the owner in one group. */
interface Form {
  readonly bits: readonly FieldBit[];
  readonly constant: 0 | 1;
}

class Columns {
  readonly #groups: readonly string[];
  readonly #all: Column[] = [];
  readonly #numbers = new Map<string, number>();

  constructor(groups: readonly string[]) {
    this.#groups = groups;
    for (const group of groups) this.of(group, undefined);
  }

  get size(): number {
    return this.#all.length;
  }

  of(group: string, bit: FieldBit | undefined): number {
    const named =
      bit === undefined
        ? undefined
        : { field: canonicalField(bit.field), bit: bit.bit };
    const key = `${group} ${named?.field ?? ""} ${named?.bit ?? ""}`;
    let at = this.#numbers.get(key);
    if (at === undefined) {
      at = this.#all.length;
      this.#numbers.set(key, at);
      this.#all.push({ group, bit: named });
    }
    return at;
  }

  /** Columns of one group. */
  in(group: string): readonly number[] {
    return this.#all.flatMap((column, at) =>
      column.group === group ? [at] : [],
    );
  }

  /** Per group what a vector of coefficients says. */
  formsOf(vector: bigint): readonly Form[] {
    return this.#groups.map((group) => {
      const bits: FieldBit[] = [];
      let constant: 0 | 1 = 0;
      for (const at of this.in(group)) {
        if (((vector >> BigInt(at)) & 1n) === 0n) continue;
        const bit = this.#all[at]?.bit;
        if (bit === undefined) constant = 1;
        else bits.push(bit);
      }
      return { bits: bits.sort(byPlace), constant };
    });
  }
}

/** Rows that the coefficients must be orthogonal to, for one conjunct and two groups. */
function conditionsOf(pair: Pair, columns: Columns): readonly bigint[] {
  const { from, to, conjunct } = pair;
  const own = [...columns.in(from), ...columns.in(to)];
  const split = columns.in(from).length;
  const place = new Map<string, number>();
  for (const [index, at] of own.entries())
    place.set(`${index < split ? "p" : "q"}${at}`, index);
  const unit = (side: "p" | "q", bit: FieldBit | undefined): bigint => {
    const at = columns.of(side === "p" ? from : to, bit);
    return 1n << BigInt(place.get(`${side}${at}`) ?? 0);
  };
  const rows = new Rows();
  // The constant 1 is the same for both packets.
  rows.add(unit("p", undefined) ^ unit("q", undefined));
  for (const { left, right } of conjunct.equations) {
    let row = 0n;
    for (const bit of left.bits) row ^= unit("p", bit);
    for (const bit of right.bits) row ^= unit("q", bit);
    if (left.constant !== right.constant) row ^= unit("p", undefined);
    rows.add(row);
  }
  return rows.orthogonal(own.length).map((row) => {
    let out = 0n;
    for (const [index, at] of own.entries())
      if ((row >> BigInt(index)) & 1n) out ^= 1n << BigInt(at);
    return out;
  });
}

const fieldNames = Object.keys(fieldTable) as readonly FieldName[];

function byPlace(left: FieldBit, right: FieldBit): number {
  return (
    fieldNames.indexOf(left.field) - fieldNames.indexOf(right.field) ||
    left.bit - right.bit
  );
}

/** One-bit lanes in the order of the first group that tells them apart. */
function inOrder(
  forms: readonly (readonly Form[])[],
): readonly (readonly Form[])[] {
  return [...forms].sort((left, right) => {
    for (const [group, one] of left.entries()) {
      const other = right[group];
      const [a, b] = [one.bits[0], other?.bits[0]];
      if (a === undefined || b === undefined) {
        if (a !== b) return a === undefined ? 1 : -1;
        continue;
      }
      const order = byPlace(a, b);
      if (order !== 0) return order;
    }
    return 0;
  });
}

/** Bits that stand side by side in every group; at most 64. */
function lanesOf(
  forms: readonly (readonly Form[])[],
): readonly (readonly (readonly Form[])[])[] {
  const lanes: (readonly Form[])[][] = [];
  for (const form of inOrder(forms)) {
    const lane = lanes.at(-1);
    const last = lane?.at(-1);
    if (
      lane !== undefined &&
      last !== undefined &&
      lane.length < 64 &&
      form.every(({ bits }, group) => follows(last[group]?.bits ?? [], bits))
    )
      lane.push(form);
    else lanes.push([form]);
  }
  return lanes;
}

function follows(
  before: readonly FieldBit[],
  bits: readonly FieldBit[],
): boolean {
  return (
    before.length === bits.length &&
    bits.every(({ field, bit }, index) => {
      const last = before[index];
      return last?.field === field && last.bit + 1 === bit;
    })
  );
}

function laneOf(lane: readonly (readonly Form[])[], group: number): OwnerLane {
  let constant = 0n;
  for (const form of lane)
    constant = (constant << 1n) | BigInt(form[group]?.constant ?? 0);
  return {
    bits: lane.length,
    runs: (lane[0]?.[group]?.bits ?? []).map(({ field, bit }) => ({
      field,
      first: bit,
    })),
    constant,
  };
}
