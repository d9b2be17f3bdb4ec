/**
 * Contents of maps that user space is responsible for: what a run assumes where
 * the user gave none, and what must be filled before the program is of use.
 */
import { mapTypeRow, type MapSpec, type ProgramSpec } from "../isa/index.ts";
import type { Lane } from "./compare.ts";
import type { MapContents } from "./record.ts";

/** Slot i of a device map holds the i-th of `ifindexes`. */
export function deviceContents(
  program: Pick<ProgramSpec, "maps">,
  ifindexes: readonly number[],
): MapContents {
  const word = (number: number): Uint8Array =>
    new Uint8Array(Uint32Array.of(number).buffer);
  return Object.fromEntries(
    program.maps
      .filter(({ type, valueSize }) => type === "devmap" && valueSize === 4)
      .map(({ name, maxEntries }) => [
        name,
        ifindexes
          .slice(0, maxEntries)
          .map((ifindex, slot) => ({ key: word(slot), value: word(ifindex) })),
      ]),
  );
}

/**
 * The same contents for a program in which some maps became per-CPU: the first
 * copy holds the value, the others nothing, so that the copies sum to it.
 */
export function widened(
  contents: MapContents,
  program: ProgramSpec,
  cpus: number,
): MapContents {
  return Object.fromEntries(
    Object.entries(contents).map(([name, entries]) => {
      const map = program.maps.find((candidate) => candidate.name === name);
      if (map === undefined) return [name, entries];
      if (mapTypeRow(map.type).perCpu !== true)
        return [name, entries.map((entry) => lengthened(entry, map))];
      const size = cpus * ((map.valueSize + 7) & ~7);
      return [
        name,
        entries.map(({ key, value }) => {
          if (value.length !== map.valueSize) return { key, value };
          const copies = new Uint8Array(size);
          copies.set(value);
          return { key, value: copies };
        }),
      ];
    }),
  );
}

/** With zeros behind it where the emitted value has a lock there. */
function lengthened(
  { key, value }: MapContents[string][number],
  { valueSize, valueFields = [] }: MapSpec,
): MapContents[string][number] {
  const hasLock = valueFields.some(({ kind }) => kind === "spin-lock");
  if (!hasLock || value.length >= valueSize) return { key, value };
  const long = new Uint8Array(valueSize);
  long.set(value);
  return { key, value: long };
}

const filledByUser: readonly MapSpec["type"][] = [
  "devmap",
  "devmap_hash",
  "cpumap",
  "xskmap",
  "prog_array",
];

/** Maps without which the program does nothing useful, by name. */
export function toInitialise(program: ProgramSpec): string[] {
  return program.maps
    .filter(
      ({ type, values }) => filledByUser.includes(type) && values === undefined,
    )
    .map(({ name }) => name);
}

/** The counters inside a value: its members, or words where types are not known. */
export function lanesOf(map: MapSpec): Lane[] {
  const fields = (map.valueFields ?? []).filter(
    ({ bits, bitOffset }) =>
      [8, 16, 32, 64].includes(bits) && bitOffset % 8 === 0,
  );
  if (fields.length > 0)
    return fields.map(({ bits, bitOffset }) => ({
      offset: bitOffset / 8,
      size: bits / 8,
    }));
  const size = map.valueSize % 8 === 0 ? 8 : map.valueSize % 4 === 0 ? 4 : 1;
  return Array.from({ length: map.valueSize / size }, (_, index) => ({
    offset: index * size,
    size,
  }));
}
