/**
 * Which packets belong together: those that a requirement links, directly or through
 * others, have one _key_, and every key one table entry. Frames stand for all packets
 * that the NIC cannot tell from them (SteeringInputs).
 *
 * A packet's share in a conjunct is the values of its forms; two packets with equal
 * values at either end of one conjunct are linked. That may link packets of which no
 * third one is ever seen, and so joins too many rather than too few.
 */
import { parseFrame, readBit, type ParsedFrame } from "../packet/index.ts";
import {
  classOf,
  classesOf,
  type Conjunct,
  type LinearForm,
  type PacketClass,
  type Requirement,
} from "../rss/index.ts";

/** A frame, and the index of the port that it came in by. */
export interface PortFrame {
  readonly port: number;
  readonly frame: Uint8Array;
}

interface End {
  readonly conjunct: number;
  readonly port: string;
  readonly classes: ReadonlySet<PacketClass>;
  readonly forms: readonly LinearForm[];
}

/** Number of each frame's key, in the order of first appearance. */
export function keysOf(
  { ports, conjuncts }: Requirement,
  frames: readonly PortFrame[],
): Uint32Array {
  const ends = conjuncts.flatMap((conjunct, at) => [
    endOf(conjunct, at, 0),
    endOf(conjunct, at, 1),
  ]);
  const sets = new Sets(frames.length);
  const first = new Map<string, number>();
  for (const [index, { port, frame }] of frames.entries()) {
    const parsed = parseFrame(frame);
    const name = classOf(parsed);
    for (const end of ends) {
      if (end.port !== ports[port] || !end.classes.has(name)) continue;
      const values = valuesOf(end.forms, parsed);
      if (values === undefined) continue;
      const node = `${end.conjunct} ${values}`;
      const other = first.get(node);
      if (other === undefined) first.set(node, index);
      else sets.join(index, other);
    }
  }
  const numbers = new Map<number, number>();
  return Uint32Array.from(frames, (_, index) => {
    const leader = sets.leader(index);
    const known = numbers.get(leader) ?? numbers.size;
    numbers.set(leader, known);
    return known;
  });
}

function endOf(conjunct: Conjunct, at: number, end: 0 | 1): End {
  return {
    conjunct: at,
    port: conjunct.ports[end],
    classes: new Set(classesOf(conjunct, end)),
    forms: conjunct.equations.map(({ left, right }) =>
      end === 0 ? left : right,
    ),
  };
}

/** One character per form; undefined where the packet lacks a field. */
function valuesOf(
  forms: readonly LinearForm[],
  parsed: ParsedFrame,
): string | undefined {
  let text = "";
  for (const { bits, constant } of forms) {
    let value: number = constant;
    for (const bit of bits) {
      const read = readBit(parsed, bit);
      if (read === undefined) return undefined;
      value ^= read;
    }
    text += value;
  }
  return text;
}

/** Union and find, by halving paths. */
class Sets {
  readonly #parent: Uint32Array;

  constructor(size: number) {
    this.#parent = Uint32Array.from({ length: size }, (_, index) => index);
  }

  leader(index: number): number {
    let at = index;
    for (;;) {
      const parent = this.#parent[at] ?? at;
      if (parent === at) return at;
      const next = this.#parent[parent] ?? parent;
      this.#parent[at] = next;
      at = next;
    }
  }

  join(left: number, right: number): void {
    const [a, b] = [this.leader(left), this.leader(right)];
    if (a === b) return;
    this.#parent[Math.max(a, b)] = Math.min(a, b);
  }
}
