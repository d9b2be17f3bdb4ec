/**
 * What a family of objects that is written at run time asks of the distribution of
 * packets: for EVERY pair of claims (claims.ts), the same one twice and pairs across
 * ports included, packets that may mean the same cell must meet on one core.
 *
 * Law (soundness): for packets p on port i and q on port j that touch one cell,
 * some conjunct over (i, j) holds of (p, q), up to what claims.ts leaves to cores
 * of their own. An opaque key bit gives no equation, which asks for more; a pair
 * whose constant key bits differ can never touch one cell and gives no conjunct.
 */
import type { StateObject } from "../analysis/index.ts";
import type { Conjunct } from "../rss/index.ts";
import { claimsOf, type Claim } from "./claims.ts";
import { aloneFamily, type Family } from "./families.ts";
import type { Port } from "./plan.ts";

/** A conjunct, and the claims it comes from. */
export interface Demand {
  readonly conjunct: Conjunct;
  readonly pair: readonly [Claim, Claim];
}

/** `slices`: may an array that a hash selects cells of be a core's own? */
export function demandsOf(
  subject: Family | StateObject,
  ports: readonly Port[],
  { slices = true }: { readonly slices?: boolean } = {},
): readonly Demand[] {
  const family = "members" in subject ? subject : aloneFamily(subject);
  const claims = claimsOf(family, ports, slices);
  const demands = new Map<string, Demand>();
  for (const [index, left] of claims.entries())
    for (const right of claims.slice(index)) {
      const conjunct = conjunctOf(left, right);
      if (conjunct === undefined) continue;
      const name = JSON.stringify(conjunct);
      if (!demands.has(name))
        demands.set(name, { conjunct, pair: [left, right] });
    }
  return [...demands.values()];
}

type Equation = Conjunct["equations"][number];

function conjunctOf(left: Claim, right: Claim): Conjunct | undefined {
  if (!isComparable(left, right)) return undefined;
  const equations: Equation[] = [];
  for (const [index, x] of left.key.bits.entries()) {
    const y = right.key.bits[index];
    if (x.kind === "opaque" || y === undefined || y.kind === "opaque") continue;
    if (x.bits.length === 0 && y.bits.length === 0) {
      if (x.constant !== y.constant) return undefined;
      continue;
    }
    equations.push({
      left: { bits: x.bits, constant: x.constant },
      right: { bits: y.bits, constant: y.constant },
    });
  }
  return {
    ports: [left.port, right.port],
    equations: [...equations, ...argumentsEqual(left, right)],
    classes: [left.classes, right.classes],
  };
}

/**
 * The two sides of one interchange say together who owns the cell, and so do two
 * packets that bring an index. What a packet brings is no key of an entry: the
 * packet that stored it has both, and leads from one to the other.
 */
function isComparable(left: Claim, right: Claim): boolean {
  const sides = [left.kind, right.kind];
  if (left.interchange === undefined && right.interchange === undefined)
    return true;
  return (
    left.interchange === right.interchange && sides.includes("interchange")
  );
}

function argumentsEqual(left: Claim, right: Claim): readonly Equation[] {
  const [a = [], b = []] = [left.hashed, right.hashed];
  if (a.length !== b.length) return [];
  return a.flatMap((bit, index) => {
    const other = b[index];
    return other === undefined
      ? []
      : [
          {
            left: { bits: [bit], constant: 0 },
            right: { bits: [other], constant: 0 },
          } as const,
        ];
  });
}
