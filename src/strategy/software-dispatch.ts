/**
 * Software dispatch: an XDP stage on the receiving core hashes the true key and
 * redirects each packet to its owner's core through a CPU map. It can use any
 * header bit, MAC addresses and VLAN ids included.
 *
 * Its cost (dispatch-cost.ts) is the share of a core's packet rate, against a program at
 * the interface that drops. Of that the dispatcher itself is a few nanoseconds
 * (scripts/dispatch-cost.mjs), the way to the other CPU all else (bench/dispatch.bench.ts).
 * The verdict XDP_TX is not available behind a CPU map: the worker redirects instead.
 */
import type { Demand } from "./conjuncts.ts";
import { dispatchCost } from "./dispatch-cost.ts";
import { fieldsOfPorts, ownersOf } from "./linear-owner.ts";
import { ownerFunction } from "./owner-function.ts";
import type { Port, SoftwareDispatch } from "./plan.ts";

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
