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

type MapEntry = NonNullable<MapContents[string]>[number];

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
    seeds: [...seeds, ...seeds.slice(0, damagedSeeds).flatMap(damaged)],
    ports: ifindexes,
    userWrites: filledByUser(report).filter((name) => !(name in before)),
    seed,
    ...(budget === undefined ? {} : { budget }),
  });
  const contents: Record<string, MapContents[string]> = { ...before };
  for (const { map, key, value } of cover.writes)
    contents[map] = [...(contents[map] ?? []), { key, value }];
  for (const map of program.maps) {
    const found = contents[map.name];
    if (found !== undefined && !(map.name in before) && map.type === "array")
      contents[map.name] = spread(map.maxEntries, found);
  }
  return { packets: cover.packets, contents };
}

/** Cells of an array that user space fills: as many as it has, or so many. */
const mostSpread = 256;

/** What the search wrote into few cells of an array, in most of the others, too. */
function spread(size: number, found: readonly MapEntry[]): readonly MapEntry[] {
  const [first] = found;
  if (first === undefined || size > mostSpread) return found;
  const written = new Set(
    found.map(({ key }) =>
      new DataView(key.buffer, key.byteOffset).getUint32(0, true),
    ),
  );
  const others = Array.from({ length: size }, (_, index) => index).filter(
    (index) => index % 8 !== 7 && !written.has(index),
  );
  return [
    ...others.map((index) => ({
      key: new Uint8Array(Uint32Array.of(index).buffer),
      value: first.value,
    })),
    ...found,
  ];
}

/** Seeds that are cut and damaged. */
const damagedSeeds = 4;

/** The frame cut short before and in each header, and with headers that are no such. */
function damaged(packet: PacketInput): PacketInput[] {
  const { data } = packet;
  const words = ((data[14] ?? 0) & 15) * 4;
  const cuts = [0, 13, 14, 33, 34, 14 + words + 4, 14 + words + 12];
  const bytes: readonly (readonly [at: number, byte: number])[] = [
    [12, 0x86],
    [14, 0x65],
    [14, 0x44],
    [14, 0x4f],
    [20, 0x20],
    [21, 0x01],
    [23, 0x01],
  ];
  return [
    ...cuts.filter((cut) => cut < data.length).map((cut) => data.slice(0, cut)),
    ...bytes.flatMap(([at, byte]) => {
      if (at >= data.length) return [];
      const copy = data.slice();
      copy[at] = byte;
      // A header that is longer than the frame.
      return byte === 0x4f ? [copy.slice(0, 42)] : [copy];
    }),
  ].map((frame) => ({ ...packet, data: frame }));
}
