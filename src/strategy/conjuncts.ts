/**
 * What an object that is written at run time asks of the distribution of packets:
 * for EVERY pair of its accesses, the same one twice and pairs across ports
 * included, packets whose keys are equal must meet on one core.
 *
 * Law (soundness): for packets p on port i and q on port j that touch one cell,
 * some conjunct over (i, j) holds of (p, q). An opaque key bit gives no equation,
 * which asks for more; a pair whose constant key bits differ can never touch one
 * cell and gives no conjunct.
 */
import { signature, type Access, type StateObject } from "../analysis/index.ts";
import type { Conjunct, PacketClass } from "../rss/index.ts";
import { packetClassesOf } from "./packet-classes.ts";
import type { Port } from "./plan.ts";

/** A conjunct, and the accesses it comes from. */
export interface Demand {
  readonly conjunct: Conjunct;
  readonly pair: readonly [Access, Access];
}

/** Accesses that ask for the same thing. */
interface Group {
  readonly access: Access;
  readonly port: string;
  readonly classes: readonly PacketClass[];
}

export function demandsOf(
  object: StateObject,
  ports: readonly Port[],
): readonly Demand[] {
  const groups = groupsOf(object, ports);
  const demands = new Map<string, Demand>();
  for (const [index, left] of groups.entries())
    for (const right of groups.slice(index)) {
      const conjunct = conjunctOf(left, right);
      if (conjunct === undefined) continue;
      const pair = [left.access, right.access] as const;
      demands.set(JSON.stringify(conjunct), { conjunct, pair });
    }
  return [...demands.values()];
}

/** Ports on which an access can happen. */
export function portsOf(
  access: Access,
  ports: readonly Port[],
): readonly Port[] {
  const { ifindex, notIfindex } = access.guard;
  return ports.filter(
    (port) =>
      (ifindex === undefined || ifindex.includes(port.ifindex)) &&
      notIfindex?.includes(port.ifindex) !== true,
  );
}

function groupsOf(
  object: StateObject,
  ports: readonly Port[],
): readonly Group[] {
  const groups = new Map<string, Group>();
  for (const access of object.accesses) {
    const classes = packetClassesOf(access.guard);
    const key = signature(access.key);
    for (const port of portsOf(access, ports)) {
      const identity = `${key} ${port.name} ${classes.join()}`;
      if (!groups.has(identity))
        groups.set(identity, { access, port: port.name, classes });
    }
  }
  return [...groups.values()];
}

function conjunctOf(left: Group, right: Group): Conjunct | undefined {
  const a = left.access.key.bits;
  const b = right.access.key.bits;
  const equations: Conjunct["equations"][number][] = [];
  for (const [index, x] of a.entries()) {
    const y = b[index];
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
    equations,
    classes: [left.classes, right.classes],
  };
}
