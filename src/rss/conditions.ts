/**
 * From a requirement to conditions on hash coefficients.
 *
 * A linear hash of port a gives input position i the coefficient h(a,i) (for
 * Toeplitz and one index bit: a key bit). For a conjunct, classes ca and cb, and
 * the affine system "equations(p, q)", same queue for all its solutions means
 *
 *     sum over i of h(a,i)·p(i)  +  sum over j of h(b,j)·q(j)  =  0
 *
 * for each vector of a basis of the system's solutions, with the constants'
 * column as one more unknown: the basis vector that has it is the particular
 * solution, so constants are exact. Each gives one condition: a set of (port,
 * position) whose coefficients sum to 0. Equivalently: the coefficient vector
 * lies in the row space of the system.
 *
 * What a class fixes (the protocol of tcp4) is substituted; a system without
 * solution asks nothing. Bits the NIC does not hash are unknowns like others,
 * with coefficient 0.
 */
import { Bug } from "../base/index.ts";
import type { FieldBit } from "../packet/index.ts";
import { hasBit, LinearSystem } from "./gf2.ts";
import { matchedPairs } from "./matched-pairs.ts";
import {
  canonicalField,
  hashInput,
  type ClassInputs,
  type HashFields,
  type PacketClass,
} from "./packet-class.ts";
import {
  classesOf,
  type Conjunct,
  type LinearForm,
  type Requirement,
} from "./requirement.ts";

/** More than any input has bits. */
const stride = 1024;

/** Position `term % stride` of port `term / stride`; the coefficients sum to 0. */
export type Condition = readonly number[];

export function termOf(port: number, position: number): number {
  return port * stride + position;
}
export function termPort(term: number): number {
  return Math.floor(term / stride);
}
export function termPosition(term: number): number {
  return term % stride;
}

/** The hash inputs of every port, in the requirement's order of ports. */
export type Assignment = readonly ClassInputs[];

export interface Conditions {
  readonly conditions: readonly Condition[];
  /** A conjunct that meets a class whose hash input the profile does not know. */
  readonly unknown?: {
    readonly conjunct: number;
    readonly port: string;
    readonly class: PacketClass;
  };
}

export function conditionsOf(
  requirement: Requirement,
  assignment: Assignment,
): Conditions {
  const found = new Map<string, Condition>();
  let unknown: Conditions["unknown"];
  for (const [index, conjunct] of requirement.conjuncts.entries()) {
    const ends = ([0, 1] as const).map((end) =>
      endsOf(requirement, conjunct, end, assignment),
    );
    for (const left of ends[0] ?? [])
      for (const right of ends[1] ?? []) {
        const solutions = solutionsOf(conjunct, left, right);
        if (solutions === undefined) continue;
        if (left.fields === null || right.fields === null) {
          const end = left.fields === null ? 0 : 1;
          const { name } = end === 0 ? left : right;
          unknown ??= {
            conjunct: index,
            port: conjunct.ports[end],
            class: name,
          };
          continue;
        }
        for (const condition of solutions)
          if (condition.length > 0) found.set(condition.join(), condition);
      }
  }
  const conditions = [...found.values()];
  return unknown === undefined ? { conditions } : { conditions, unknown };
}

/** One end of a conjunct in one class, or in several that are alike. */
interface End {
  readonly side: "p" | "q";
  readonly port: number;
  readonly name: PacketClass;
  readonly fields: HashFields | null;
  readonly input: readonly FieldBit[];
}

function endsOf(
  requirement: Requirement,
  conjunct: Conjunct,
  side: 0 | 1,
  assignment: Assignment,
): readonly End[] {
  const port = requirement.ports.indexOf(conjunct.ports[side]);
  const fields = assignment[port];
  if (fields === undefined)
    throw new Bug(`a conjunct names the unknown port ${conjunct.ports[side]}`);
  const seesProtocol = conjunct.equations.some(({ left, right }) =>
    (side === 0 ? left : right).bits.some(
      ({ field }) => field === "ipv4.protocol",
    ),
  );
  const ends = new Map<string, End>();
  for (const name of classesOf(conjunct, side)) {
    const alike = seesProtocol ? name : name.slice(-1);
    for (const hashed of fields[name] ?? [null])
      ends.set(`${alike} ${hashed}`, {
        side: side === 0 ? "p" : "q",
        port,
        name,
        fields: hashed,
        input: hashed === null ? [] : hashInput(name, hashed),
      });
  }
  return [...ends.values()];
}

/** The conditions of a pair of classes; undefined when no such pair exists. */
function solutionsOf(
  conjunct: Conjunct,
  left: End,
  right: End,
): readonly Condition[] | undefined {
  const pairs = matchedPairs(conjunct, left.input, right.input);
  if (pairs !== undefined)
    return pairs.map((sum) =>
      conditionOf([
        ...sum.left.map((position) => termOf(left.port, position)),
        ...sum.right.map((position) => termOf(right.port, position)),
      ]),
    );
  const unknowns = new Map<string, number>();
  const name = (side: string, { field, bit }: FieldBit): string =>
    `${side} ${canonicalField(field)} ${bit}`;
  for (const end of [left, right])
    for (const bit of end.input)
      unknowns.set(name(end.side, bit), unknowns.size);
  const hashed = unknowns.size;
  const equations = conjunct.equations.map((equation) => {
    let constant = 0;
    const columns: number[] = [];
    const take = (form: LinearForm, end: End): void => {
      constant ^= form.constant;
      for (const bit of form.bits) {
        const fixed = fixedBit(end.name, bit);
        if (fixed !== undefined) {
          constant ^= fixed;
          continue;
        }
        const key = name(end.side, bit);
        const column = unknowns.get(key) ?? unknowns.size;
        unknowns.set(key, column);
        columns.push(column);
      }
    };
    take(equation.left, left);
    take(equation.right, right);
    return { columns, constant };
  });
  // The constants' column comes last, so that it is a pivot only in `0 = 1`.
  const one = unknowns.size;
  const system = new LinearSystem(one + 1);
  for (const { columns, constant } of equations)
    system.add(constant === 1 ? [...columns, one] : columns);
  if (system.isPivot(one)) return undefined;
  const basis = system.nullSpace();
  if (
    basis.some((vector) =>
      excluded(vector, { one, unknowns, left, right, basis }),
    )
  )
    return undefined;
  return basis.map((vector) => {
    const terms: number[] = [];
    for (let column = 0; column < hashed; column++) {
      if (!hasBit(vector, column)) continue;
      const end = column < left.input.length ? left : right;
      const position = column - (end === left ? 0 : left.input.length);
      terms.push(termOf(end.port, position));
    }
    return conditionOf(terms);
  });
}

/** Sorted; the same coefficient twice cancels. */
function conditionOf(terms: readonly number[]): Condition {
  const kept = new Set<number>();
  for (const term of terms) if (!kept.delete(term)) kept.add(term);
  return [...kept].sort((a, b) => a - b);
}

// prettier-ignore
const protocols: Partial<Record<PacketClass, number>> = { tcp4: 6, udp4: 17, sctp4: 132 };

function fixedBit(name: PacketClass, bit: FieldBit): 0 | 1 | undefined {
  const protocol = protocols[name];
  if (protocol === undefined || bit.field !== "ipv4.protocol") return undefined;
  return ((protocol >>> (7 - bit.bit)) & 1) as 0 | 1;
}

/**
 * Does the particular solution force a protocol on an other4 end that other4
 * never has? Only if all eight bits are forced: no basis vector moves them.
 */
function excluded(
  vector: Uint32Array,
  context: {
    readonly one: number;
    readonly unknowns: ReadonlyMap<string, number>;
    readonly left: End;
    readonly right: End;
    readonly basis: readonly Uint32Array[];
  },
): boolean {
  const { one, unknowns, left, right, basis } = context;
  if (!hasBit(vector, one)) return false;
  return [left, right].some((end) => {
    if (end.name !== "other4") return false;
    let protocol = 0;
    for (let bit = 0; bit < 8; bit++) {
      const column = unknowns.get(`${end.side} ipv4.protocol ${bit}`);
      if (column === undefined) return false;
      if (basis.some((other) => other !== vector && hasBit(other, column)))
        return false;
      protocol = 2 * protocol + (hasBit(vector, column) ? 1 : 0);
    }
    return Object.values(protocols).includes(protocol);
  });
}
