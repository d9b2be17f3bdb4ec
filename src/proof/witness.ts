/**
 * Packets that show a race: two that touch one cell of an object, one of them at
 * least writing. Given to two cores at once, the sequential program may lose what
 * one of them did.
 */
import {
  BytecodeMachine,
  createState,
  type PacketInput,
} from "../interp/index.ts";
import type { ProgramSpec } from "../isa/index.ts";
import type { MapContents } from "./record.ts";

export interface Witness {
  readonly object: string;
  /** Key bytes as hex. */
  readonly cell: string;
  /** Indices into the packets that were run. */
  readonly packets: readonly [number, number];
}

/** One witness per object, for those of `objects` that the packets reach twice. */
export function raceWitnesses(
  program: ProgramSpec,
  packets: readonly PacketInput[],
  objects: ReadonlySet<string>,
  contents: MapContents,
): Witness[] {
  const found = new Map<string, Witness>();
  const before = new Map<string, { packet: number; writes: boolean }>();
  let packet = 0;
  const machine = new BytecodeMachine(
    program,
    createState(program.maps, { contents }),
    {
      observer: {
        touch: ({ map, cell, writes }) => {
          if (!objects.has(map) || found.has(map)) return;
          const name = `${map}[${cell}]`;
          const earlier = before.get(name);
          if (
            earlier !== undefined &&
            earlier.packet !== packet &&
            (writes || earlier.writes)
          )
            found.set(map, {
              object: map,
              cell,
              packets: [earlier.packet, packet],
            });
          else if (earlier === undefined || writes)
            before.set(name, { packet, writes });
        },
      },
    },
  );
  for (const [index, input] of packets.entries()) {
    packet = index;
    machine.run(input);
  }
  return [...found.values()];
}
