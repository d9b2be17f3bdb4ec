/**
 * Packets on another queue than the one to which the NIC's model steers them: in a
 * trace, by the model itself; at interfaces, by code in front of the program.
 */
import { countMisdirected } from "../codegen/index.ts";
import { hashedPorts } from "../control/index.ts";
import type { PacketInput } from "../interp/index.ts";
import type { ProgramSpec } from "../isa/index.ts";
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

/** The program with the code that counts; as it is where the plan decides no queues. */
export function counting(
  program: ProgramSpec,
  setup: NicSetup | undefined,
  interfaces: readonly { readonly port: string; readonly ifindex: number }[],
): ProgramSpec {
  const ports = hashedPorts(setup, interfaces);
  return ports.length === 0 ? program : countMisdirected(program, ports);
}
