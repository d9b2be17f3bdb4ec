/**
 * Do several machines agree on a sequence of packets? Verdicts, frames, events, and at
 * the end every map, entry by entry. Where they do not, the shortest sequence that
 * still shows it, with both answers and the fields that differ, for people.
 */
import { toHex } from "#base";
import type { Outcome, PacketInput } from "#interp";
import type { FieldLayout, MapSpec } from "#isa";
import { compareRecords, effectsText } from "#proof";
import type { Machine, Ran } from "./nf-machines.ts";

/** Packets in order on fresh state. */
export interface Sequence {
  readonly name: string;
  readonly packets: readonly PacketInput[];
}

export interface Disagreement {
  readonly left: string;
  readonly right: string;
  /** Packets and maps that differ. */
  readonly count: number;
  readonly text: string;
}

const noRules = new Map<string, never>();

/** Everything in which the other machines differ from what the first did. */
export function disagreements(
  sequence: Sequence,
  machines: readonly Machine[],
  maps: readonly MapSpec[],
): { readonly want?: Ran; readonly all: readonly Disagreement[] } {
  const [first, ...others] = machines;
  if (first === undefined) return { all: [] };
  const want = first.run(sequence.packets);
  const all = others.flatMap((other): Disagreement[] => {
    const have = other.run(sequence.packets);
    const count = differences(want, have);
    if (count === 0) return [];
    const text = described(sequence, first, other, maps);
    return [{ left: first.name, right: other.name, count, text }];
  });
  return { want, all };
}

export function differences(want: Ran, have: Ran): number {
  const { mismatches } = compareRecords(want.record, have.record, noRules);
  const names = new Set(want.record.state.keys());
  // Maps that only the other has.
  const extra = [...have.record.state].filter(
    ([name, cells]) => !names.has(name) && cells.size > 0,
  );
  return mismatches + extra.length;
}

function described(
  { name, packets }: Sequence,
  left: Machine,
  right: Machine,
  maps: readonly MapSpec[],
): string {
  const isDifferent = (some: readonly PacketInput[]): boolean =>
    differences(left.run(some), right.run(some)) > 0;
  const short = shrunk(packets, isDifferent);
  const all = new Set(short.keys());
  const want = left.run(short, all);
  const have = right.run(short, all);
  const lines = [
    `${name}: ${left.name} and ${right.name} differ; ${short.length} of ${packets.length} packets show it`,
  ];
  for (const [at, { data, time, ifindex, random }] of short.entries()) {
    const [one, other] = [want.watched.get(at), have.watched.get(at)];
    lines.push(
      `  packet ${at} on interface ${ifindex} at ${time}, random ${random ?? "-"}: ${hex(data)}`,
    );
    const [mine, theirs] = [words(one, data), words(other, data)];
    if (mine === theirs) lines.push(`    both: ${mine}`);
    else
      lines.push(
        `    ${left.name}: ${mine}`,
        `    ${right.name}: ${theirs}${bytesThatDiffer(one, other)}`,
      );
  }
  for (const [map, cells] of want.record.state)
    lines.push(
      ...cellDifferences(
        [map, cells, have.record.state.get(map) ?? new Map()],
        [left.name, right.name],
        maps.find((spec) => spec.name === map),
      ),
    );
  for (const map of have.record.state.keys())
    if (!want.record.state.has(map))
      lines.push(`  map ${map}: only in ${right.name}`);
  return lines.join("\n");
}

const names = ["aborted", "drop", "pass", "tx", "redirect"];

/** The outcome as words; the frame only where it was changed. */
function words(outcome: Outcome | undefined, before: Uint8Array): string {
  if (outcome === undefined) return "nothing";
  const { verdict, data, fault } = outcome;
  const changed = toHex(data) === toHex(before) ? "" : ` ${hex(data)}`;
  const wrong = fault === undefined ? "" : `, fault: ${fault.text}`;
  const effects = effectsText(outcome);
  return `${names[verdict] ?? verdict}${effects === "" ? "" : ` (${effects})`}${changed}${wrong}`;
}

/** Zeros at the end as their number. */
function hex(bytes: Uint8Array): string {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  const zeros = bytes.length - end;
  if (zeros < 8) return toHex(bytes);
  return `${toHex(bytes.subarray(0, end))} +${zeros} zeros`;
}

function bytesThatDiffer(
  one: Outcome | undefined,
  other: Outcome | undefined,
): string {
  const [left, right] = [one?.data ?? [], other?.data ?? []];
  if (left.length !== right.length)
    return ` (${left.length} and ${right.length} bytes)`;
  const places = [...left].flatMap((byte, at) =>
    byte === right[at] ? [] : [at],
  );
  return places.length === 0 ? "" : ` (bytes ${places.join(", ")} differ)`;
}

type Cells = ReadonlyMap<string, readonly string[]>;

function cellDifferences(
  [map, left, right]: readonly [string, Cells, Cells],
  [one, other]: readonly [string, string],
  spec: MapSpec | undefined,
): string[] {
  const lines: string[] = [];
  for (const key of new Set([...left.keys(), ...right.keys()])) {
    const [mine, theirs] = [left.get(key)?.join(), right.get(key)?.join()];
    if (mine === theirs) continue;
    const fields = fieldsThatDiffer(mine, theirs, spec?.valueFields);
    lines.push(
      `  ${map}[${key}]: ${one} ${mine ?? "absent"}, ${other} ${theirs ?? "absent"}${fields}`,
    );
  }
  return lines.slice(0, 8);
}

function fieldsThatDiffer(
  mine: string | undefined,
  theirs: string | undefined,
  fields: readonly FieldLayout[] = [],
): string {
  if (mine === undefined || theirs === undefined) return "";
  const differing = fields.filter(({ bitOffset, bits }) => {
    const [from, to] = [bitOffset / 4, (bitOffset + bits) / 4];
    return mine.slice(from, to) !== theirs.slice(from, to);
  });
  return differing.length === 0
    ? ""
    : ` (${differing.map(({ path }) => path).join(", ")})`;
}

/** Runs that shrinking may cost. */
const attempts = 250;

/**
 * The shortest sequence that still differs, as far as leaving out pieces finds one:
 * first everything behind the first difference, then ever smaller pieces.
 */
export function shrunk(
  packets: readonly PacketInput[],
  isDifferent: (packets: readonly PacketInput[]) => boolean,
): readonly PacketInput[] {
  let [low, high] = [0, packets.length];
  while (low + 1 < high) {
    const middle = (low + high) >> 1;
    if (isDifferent(packets.slice(0, middle))) high = middle;
    else low = middle;
  }
  let left = packets.slice(0, high);
  let runs = 0;
  for (let piece = left.length >> 1; piece >= 1 && runs < attempts;) {
    let smaller = false;
    for (let at = 0; at < left.length && runs < attempts; runs++) {
      const rest = [...left.slice(0, at), ...left.slice(at + piece)];
      if (rest.length < left.length && isDifferent(rest)) {
        left = rest;
        smaller = true;
      } else at += piece;
    }
    if (piece === 1 && !smaller) break;
    piece = smaller && piece === 1 ? 1 : piece >> 1;
  }
  return left;
}
