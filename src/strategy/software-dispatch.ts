/**
 * Software dispatch: an XDP stage on the receiving core hashes the true key and
 * redirects each packet to its owner's core through a CPU map. It can use any
 * header bit, MAC addresses and VLAN ids included.
 *
 * Cost, as the share of a core's packet rate against a program at the interface, which
 * drops: Linux 6.18, two virtual CPUs, live frames over veth, one worker on the other
 * CPU: 6.0 million packets per second become 3.6 where the CPUs share a cache (40 %) and
 * 2.7 where they do not (55 %). Of that the dispatcher itself is a few nanoseconds
 * (scripts/dispatch-cost.mjs). The verdict XDP_TX is not available behind a CPU map: the
 * worker redirects instead.
 */
import type { Demand } from "./conjuncts.ts";
import { fieldsOfPorts, ownersOf } from "./linear-owner.ts";
import { ownerFunction } from "./owner-function.ts";
import type { Port, SoftwareDispatch } from "./plan.ts";

export const dispatchCost: readonly [number, number] = [0.4, 0.55];

export function softwareDispatch(
  ports: readonly Port[],
  demands: readonly Demand[],
): readonly SoftwareDispatch[] {
  if (demands.length === 0) return [];
  const owners = ownersOf(
    demands.map(({ conjunct }) => conjunct),
    () => true,
  );
  if (ownerFunction(demands.map(({ conjunct }) => conjunct)) === undefined)
    return [];
  const used = fieldsOfPorts(owners);
  const by = used
    .map(({ port, fields }) =>
      ports.length > 1 ? `${fields.join(", ")} on ${port}` : fields.join(", "),
    )
    .join("; ");
  return [
    {
      kind: "software",
      fields: used,
      cost: dispatchCost,
      text: `dispatch in software by ${by}: costs up to ${Math.round(dispatchCost[1] * 100)} % of the packet rate`,
    },
  ];
}
