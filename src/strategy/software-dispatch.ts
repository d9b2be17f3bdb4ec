/**
 * Software dispatch: an XDP stage on the receiving core hashes the true key and
 * redirects each packet to its owner's core through a CPU map. It can use any
 * header bit, MAC addresses and VLAN ids included.
 *
 * Cost: measured on 6.1 guests over veth, as the share of the packet rate lost
 * against spreading by the NIC: up to 25 % between neighbouring cores, 10–25 %
 * across the package. The verdict XDP_TX is not available behind a CPU map.
 */
import type { Demand } from "./conjuncts.ts";
import { fieldsOfPorts, ownersOf } from "./linear-owner.ts";
import { ownerFunction } from "./owner-function.ts";
import type { Port, SoftwareDispatch } from "./plan.ts";

export const dispatchCost: readonly [number, number] = [0, 0.25];

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
      text: `dispatch in software by ${by}: costs up to ${dispatchCost[1] * 100} % of the packet rate`,
    },
  ];
}
