/** Packets that reach a program's branches, and the first contents that they need. */
import type { StateReport } from "./analysis/index.ts";
import { createState, type PacketInput } from "./interp/index.ts";
import type { ProgramSpec } from "./isa/index.ts";
import {
  coverProgram,
  deviceContents,
  type MapContents,
} from "./proof/index.ts";
import { filledByUser, type Port } from "./strategy/index.ts";

export interface CoverRequest {
  readonly program: ProgramSpec;
  readonly report: StateReport;
  readonly ports: readonly Port[];
  readonly cpus: number;
  readonly seeds: readonly PacketInput[];
  readonly seed: number;
  readonly contents?: MapContents;
  /** Runs that the search may spend. */
  readonly budget?: number;
}

export interface Cover {
  readonly packets: readonly PacketInput[];
  readonly contents: MapContents;
}

/**
 * Packets that reach the program's branches, and first contents: what the user
 * gave, else the ports in device maps and, in maps that only user space fills,
 * what the search wrote there.
 */
export function coveringPackets({
  program,
  report,
  ports,
  cpus,
  seeds,
  seed,
  contents: given,
  budget,
}: CoverRequest): Cover {
  const ifindexes = ports.map(({ ifindex }) => ifindex);
  const before = { ...deviceContents(program, ifindexes), ...given };
  const cover = coverProgram(program, {
    state: createState(program.maps, { cpus, contents: before }),
    seeds,
    ports: ifindexes,
    userWrites: filledByUser(report).filter((name) => !(name in before)),
    seed,
    ...(budget === undefined ? {} : { budget }),
  });
  const contents: Record<string, MapContents[string]> = { ...before };
  for (const { map, key, value } of cover.writes)
    contents[map] = [...(contents[map] ?? []), { key, value }];
  return { packets: cover.packets, contents };
}
