/**
 * Two records of the same packets: the first differences, in words.
 *
 * Verdicts, bytes, redirects and events compare packet by packet. State compares
 * cell by cell, except what a plan declares merged (the copies' sum must be the
 * sequential value, lane by lane) and what is private scratch of a CPU.
 */
import type { RunRecord, StateDump } from "./record.ts";

/** A counter inside a value: `size` bytes at `offset`, little-endian. */
export interface Lane {
  readonly offset: number;
  readonly size: number;
}

/** How an object's final contents compare; absent objects compare exactly. */
export type StateRule =
  /** Sum of all copies in the parallel run = the value (or sum) in the sequential one. */
  | { readonly kind: "merged"; readonly lanes: readonly Lane[] }
  /** Already one copy per CPU in the sequential program: the sums of u64 lanes say nothing; skipped. */
  | { readonly kind: "per-cpu" }
  /** Its cells hold what the machine compared with cannot show: sockets, programs, devices. */
  | { readonly kind: "unread" };

export interface Mismatch {
  readonly kind:
    "verdict" | "bytes" | "effects" | "state" | "ownership" | "fault";
  /** Index of the packet in its episode; absent for final state. */
  readonly packet?: number;
  readonly text: string;
}

export interface Comparison {
  readonly mismatches: number;
  /** The first few, for people. */
  readonly first: readonly Mismatch[];
}

const shown = 5;

/** Counts every difference, and describes the first few. */
export function compareRecords(
  want: RunRecord,
  have: RunRecord,
  rules: ReadonlyMap<string, StateRule>,
): Comparison {
  const first: Mismatch[] = [];
  let mismatches = 0;
  const miss = (mismatch: Mismatch): void => {
    mismatches++;
    if (first.length < shown) first.push(mismatch);
  };
  const packets = want.verdicts.length;
  for (let packet = 0; packet < packets; packet++) {
    const left = want.verdicts[packet];
    const right = have.verdicts[packet];
    if (left !== right)
      miss({
        kind: "verdict",
        packet,
        text: `verdict ${right}, sequential ${left}`,
      });
    if (!sameWords(want.outputs, packet, have.outputs, packet))
      miss({ kind: "bytes", packet, text: "output bytes differ" });
    if (!sameWords(want.effects, packet, have.effects, packet))
      miss({ kind: "effects", packet, text: "redirect or events differ" });
  }
  const excused = new Set(want.faults.map((fault) => fault.packet));
  for (const fault of have.faults)
    if (!excused.has(fault.packet))
      miss({ kind: "fault", packet: fault.packet, text: fault.text });
  for (const text of stateDifferences(want.state, have.state, rules))
    miss({ kind: "state", text });
  return { mismatches, first };
}

/** Did packet `left` of one record end as packet `right` of another? */
export function sameOutcome(
  one: RunRecord,
  left: number,
  other: RunRecord,
  right: number,
): boolean {
  return (
    one.verdicts[left] === other.verdicts[right] &&
    sameWords(one.outputs, left, other.outputs, right) &&
    sameWords(one.effects, left, other.effects, right)
  );
}

function sameWords(
  one: Uint32Array,
  left: number,
  other: Uint32Array,
  right: number,
): boolean {
  return (
    one[2 * left] === other[2 * right] &&
    one[2 * left + 1] === other[2 * right + 1]
  );
}

/** One sentence per cell that differs. */
export function stateDifferences(
  want: StateDump,
  have: StateDump,
  rules: ReadonlyMap<string, StateRule>,
): string[] {
  const texts: string[] = [];
  for (const [map, cells] of want) {
    const rule = rules.get(map);
    if (rule?.kind === "per-cpu" || rule?.kind === "unread") continue;
    const others = have.get(map) ?? new Map<string, readonly string[]>();
    for (const key of new Set([...cells.keys(), ...others.keys()])) {
      const left = reduced(cells.get(key), rule);
      const right = reduced(others.get(key), rule);
      if (left !== right)
        texts.push(
          `${map}[${key}] is ${right ?? "absent"}, sequential ${left ?? "absent"}`,
        );
    }
  }
  return texts;
}

function reduced(
  values: readonly string[] | undefined,
  rule: StateRule | undefined,
): string | undefined {
  if (values === undefined) return undefined;
  if (rule?.kind !== "merged") return values.join(",");
  return rule.lanes
    .map(({ offset, size }) => {
      let sum = 0n;
      for (const value of values) sum += lane(value, offset, size);
      return BigInt.asUintN(8 * size, sum).toString();
    })
    .join("+");
}

function lane(value: string, offset: number, size: number): bigint {
  let word = 0n;
  for (let index = size - 1; index >= 0; index--) {
    const at = 2 * (offset + index);
    word =
      (word << 8n) | BigInt(Number.parseInt(value.slice(at, at + 2), 16) || 0);
  }
  return word;
}
