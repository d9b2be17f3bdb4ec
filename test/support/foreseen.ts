/**
 * Packets of few values, so that cells are shared, and whether conjuncts foresee the
 * packets that share them.
 */
import type { Random } from "#base";
import { buildFrame, readBit, tcpFlags, type ParsedFrame } from "#packet";
import { classOf, type Conjunct, type LinearForm } from "#rss";

export interface Touched {
  readonly frame: ParsedFrame;
  readonly port: string;
  readonly at: string;
}

/** With tags, options, fragments, other protocols and cut-off ends. */
export function drawFrame(random: Random): Uint8Array {
  const address = () =>
    random.pick(["10.0.0.1", "10.0.0.2", "10.0.1.2", "192.168.0.1"]);
  const port = () => random.pick([100, 101, 102, 356]);
  const mac = () => random.pick(["02:00:00:00:00:01", "02:00:00:00:00:02"]);
  const eth = { src: mac(), dst: mac() };
  const tags = random.pick([[], [], [], [5], [5, 6]]);
  const ports = { sport: port(), dport: port() };
  const kind = random.below(10);
  const transport =
    kind < 5
      ? {
          tcp: {
            ...ports,
            flags: random.pick([tcpFlags.syn, tcpFlags.fin, 0]),
          },
        }
      : kind < 8
        ? { udp: ports }
        : { icmp: { type: 8 } };
  const fragment = random.chance(0.1)
    ? { moreFragments: true }
    : random.chance(0.05)
      ? { fragmentOffset: 3 }
      : {};
  const options = random.chance(0.2)
    ? { options: new Uint8Array(4 * (1 + random.below(3))).fill(1) }
    : {};
  const frame = random.chance(0.2)
    ? buildFrame({
        eth,
        vlans: tags,
        ipv6: { src: `fe80::${random.below(3)}`, dst: "fe80::9" },
        ...transport,
      })
    : buildFrame({
        eth,
        vlans: tags,
        ipv4: { src: address(), dst: address(), ...fragment, ...options },
        ...transport,
        payload: random.bytes(random.below(8)),
      });
  return random.chance(0.1) ? frame.subarray(0, 14 + random.below(40)) : frame;
}

const valueOf = (form: LinearForm, frame: ParsedFrame): number | undefined => {
  let value: number = form.constant;
  for (const bit of form.bits) {
    const one = readBit(frame, bit);
    if (one === undefined) return undefined;
    value ^= one;
  }
  return value;
};

export function holds(conjunct: Conjunct, p: Touched, q: Touched): boolean {
  if (conjunct.ports[0] !== p.port || conjunct.ports[1] !== q.port)
    return false;
  const [left, right] = conjunct.classes ?? [];
  if (left?.includes(classOf(p.frame)) === false) return false;
  if (right?.includes(classOf(q.frame)) === false) return false;
  return conjunct.equations.every((equation) => {
    const a = valueOf(equation.left, p.frame);
    return a !== undefined && a === valueOf(equation.right, q.frame);
  });
}

/** Pairs of packets that share a cell while no conjunct holds of them. */
export function unforeseen(
  touched: ReadonlyMap<string, readonly Touched[]>,
  conjuncts: readonly Conjunct[],
): { readonly pairs: number; readonly missed: readonly string[] } {
  const missed: string[] = [];
  let pairs = 0;
  for (const [cell, all] of touched) {
    // A sample of each cell's packets, the first and last among them.
    const step = Math.max(1, Math.floor(all.length / 12));
    const some = all.filter((_, index) => index % step === 0);
    for (const [index, p] of some.entries())
      for (const q of some.slice(index)) {
        pairs++;
        if (!conjuncts.some((one) => holds(one, p, q) || holds(one, q, p)))
          missed.push(`${cell}: ${p.at} on ${p.port}, ${q.at} on ${q.port}`);
      }
  }
  return { pairs, missed };
}
