/** Packets on another core than the one to which the NIC's model steers them. */
import type { PacketInput } from "../interp/index.ts";
import { NicModel, portConfig, type NicSetup } from "../rss/index.ts";
import type { Port } from "../strategy/index.ts";

/** Asks the model for every packet by itself: were equal ones steered alike? */
export function misdirected(
  setup: NicSetup,
  ports: readonly Port[],
  inputs: readonly PacketInput[],
  steer: Uint8Array,
): number {
  const models = setup.ports.map(
    ({ name }) => new NicModel(portConfig(setup, name)),
  );
  let count = 0;
  for (const [index, { data, ifindex }] of inputs.entries()) {
    const port = ports.findIndex((candidate) => candidate.ifindex === ifindex);
    const model = models[port] ?? models[0];
    if (model !== undefined && model.queueOf(data).queue !== steer[index])
      count++;
  }
  return count;
}
