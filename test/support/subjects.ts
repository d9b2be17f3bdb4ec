/**
 * What machines are compared on. A subject is a program with the maps filled that user
 * space would fill, and a line of packets that covers its branches. An episode is that
 * line, with what user space writes on the way, and mutants of its packets behind it.
 *
 * Hash maps are small, so that they fill up; LRU maps so large that nothing is ever
 * evicted. Interfaces are made for the test (KernelStage), CPUs come in runs.
 */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { Random } from "#base";
import { testRunTakes } from "#engine";
import { possibleCpus } from "#host";
import { createState, variedEnvironment, type PacketInput } from "#interp";
import { mapTypeRow, type MapSpec, type ProgramSpec } from "#isa";
import {
  hasVariable,
  programSpec,
  readObject,
  setVariable,
  type ObjectSpec,
} from "#object";
import {
  coverProgram,
  packetMutants,
  type Cover,
  type LineWrite,
  type MapContents,
} from "#proof";

/** Interfaces that packets come from and device maps lead to; made for the test. */
export const ports = [11, 12, 13] as const;

export interface Subject {
  readonly name: string;
  readonly object: ObjectSpec;
  readonly program: ProgramSpec;
  /** Where tail calls may lead. */
  readonly programs: readonly ProgramSpec[];
  readonly contents: MapContents;
  readonly cover: Cover;
  /** CPUs that packets name. */
  readonly cpus: number;
  readonly seed: number;
}

type Searched = Pick<Subject, "program" | "programs" | "contents" | "cpus">;

export interface SubjectOptions {
  readonly seed: number;
  readonly entry: string;
  /** Runs that the search for the covering line may spend. */
  readonly budget?: number;
  /** Variables of `.rodata`, by name. */
  readonly set?: Readonly<Record<string, string>>;
}

export interface Episode {
  readonly packets: readonly PacketInput[];
  readonly writes: readonly LineWrite[];
}

/** Names of programs in the file that a test run takes. */
export function entriesOf(path: string): string[] {
  return readObject(readFileSync(path), basename(path))
    .programs.filter(({ type }) => type === "xdp" || type === "sched_cls")
    .map(({ name }) => name);
}

export function subjectOf(path: string, options: SubjectOptions): Subject {
  const { seed, entry, budget = 6_000 } = options;
  const object = configured(
    readObject(readFileSync(path), basename(path)),
    options.set ?? {},
  );
  const own = programSpec(object, { entry });
  const others = object.programs
    .filter(({ name, type }) => type === own.type && name !== entry)
    .slice(0, 8)
    .map(({ name }) => programSpec(object, { entry: name }));
  const hasTailCalls = own.maps.some(({ type }) => type === "prog_array");
  const programs = hasTailCalls ? others : [];
  const fill = (program: ProgramSpec): ProgramSpec => ({
    ...program,
    maps: filledMaps(program.maps, [
      entry,
      ...programs.map(({ name }) => name),
    ]),
  });
  const program = fill(own);
  const contents = devices(program);
  const cpus = program.maps.some(isPerCpu) ? possibleCpus() : 8;
  const all = { program, programs: programs.map(fill), contents, cpus };
  const cover = searchOf(all, { seed, budget });
  return {
    name: `${basename(path, ".o")}/${entry}`,
    object,
    ...all,
    cover,
    seed,
  };
}

/** A search for covering packets. */
export function searchOf(
  { program, programs, contents, cpus }: Searched,
  { seed, budget }: { readonly seed: number; readonly budget: number },
): Cover {
  const maps = mapsOf(program, programs);
  return coverProgram(program, {
    state: createState(maps, { cpus, contents }),
    programs,
    seed,
    budget,
    ports,
    shortest: 14,
    accepts: (input) => isPossible(program, cpus, input),
    userWrites: "read-only",
    frozen: unwritable(program),
    environment: variedEnvironment,
  });
}

/** Frozen data, and maps that take no bytes of the search's. */
function unwritable({ maps }: ProgramSpec): string[] {
  return maps
    .filter(
      ({ type, readOnly }) =>
        readOnly || /^devmap|^cpumap|^xskmap|_of_maps$|^prog_array/.test(type),
    )
    .map(({ name }) => name);
}

/** Maps of a program and of those that it may call by tail, each once. */
export function mapsOf(
  program: ProgramSpec,
  programs: readonly ProgramSpec[],
): readonly MapSpec[] {
  const maps = new Map<string, MapSpec>();
  for (const each of [program, ...programs])
    for (const map of each.maps) maps.set(map.name, map);
  return [...maps.values()];
}

function isPerCpu(map: MapSpec): boolean {
  return (
    mapTypeRow(map.type).perCpu === true ||
    (map.inner !== undefined && isPerCpu(map.inner))
  );
}

function configured(
  object: ObjectSpec,
  set: Readonly<Record<string, string>>,
): ObjectSpec {
  const values: Readonly<Record<string, string>> = {
    lan_ifindex: String(ports[0]),
    wan_ifindex: String(ports[1]),
    // libxdp's dispatcher: all ten programs, each followed by the next.
    "conf.num_progs_enabled": "10",
    ...Object.fromEntries(
      Array.from({ length: 10 }, (_, at) => [
        `conf.chain_call_actions[${at}]`,
        String(2 ** 32 - 1),
      ]),
    ),
    ...set,
  };
  let changed = object;
  for (const [name, value] of Object.entries(values))
    if (name in set || hasVariable(object, name))
      changed = setVariable(changed, name, value);
  return changed;
}

/** Small enough to fill up; LRU large enough never to evict; links lead somewhere. */
function filledMaps(
  maps: readonly MapSpec[],
  functions: readonly string[],
): readonly MapSpec[] {
  return maps.flatMap((map): MapSpec[] => {
    const sized = { ...map, maxEntries: entriesFor(map) };
    if (map.values !== undefined) return [sized];
    if (map.type === "prog_array") {
      const values = functions
        .slice(0, sized.maxEntries)
        .map((name, index) => ({
          index,
          target: { kind: "function", name } as const,
        }));
      return [{ ...sized, values }];
    }
    if (map.inner !== undefined && map.keySize === 4) {
      const { inner } = map;
      const names = [0, 1, 3]
        .filter((index) => index < sized.maxEntries)
        .map((index) => ({ index, name: `${map.name}.${index}` }));
      const values = names.map(({ index, name }) => ({
        index,
        target: { kind: "map", name } as const,
      }));
      return [
        { ...sized, values },
        ...names.map(({ name }) => ({ ...inner, name })),
      ];
    }
    return [sized];
  });
}

const forLru = 32_768;

function entriesFor({ type, maxEntries, inner }: MapSpec): number {
  if (inner !== undefined || type === "ringbuf") return maxEntries;
  if (type.startsWith("lru_")) return forLru;
  if (type === "perf_event_array") return 8;
  const most = type.endsWith("hash") || type === "lpm_trie" ? 48 : 256;
  return Math.min(maxEntries === 0 ? 8 : maxEntries, most);
}

/** Most slots lead to an interface or CPU, some nowhere. */
function devices(program: ProgramSpec): MapContents {
  const entries = program.maps
    .filter(
      ({ type, keySize }) => /^devmap|^cpumap/.test(type) && keySize === 4,
    )
    .map(({ name, type, valueSize, maxEntries }) => {
      const cells = Array.from(
        { length: Math.min(maxEntries, 24) },
        (_, at) => {
          const value = new Uint8Array(valueSize);
          const view = new DataView(value.buffer);
          view.setUint32(
            0,
            type === "cpumap" ? 64 : (ports[at % 3] ?? 0),
            true,
          );
          return { key: number(at), value };
        },
      );
      const isReal = (_: unknown, at: number): boolean =>
        type === "cpumap" ? at < possibleCpus() : at % 4 !== 3;
      return [name, cells.filter(isReal)] as const;
    });
  return Object.fromEntries(entries);
}

function number(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

/** Can the kernel be given it? Loopback has one queue, interfaces made here have many. */
function isPossible(
  { type }: ProgramSpec,
  cpus: number,
  input: PacketInput,
): boolean {
  const { ifindex, rxQueue, cpu } = input;
  return (
    testRunTakes(type, input) &&
    cpu < cpus &&
    ifindex > 0 &&
    ifindex < 100 &&
    rxQueue < (ifindex === 1 ? 1 : 64)
  );
}

/** The covering line, then mutants of it: `count` packets, other ones for each index. */
export function episodeOf(
  { program, cover, cpus, seed }: Subject,
  index: number,
  count: number,
): Episode {
  const random = new Random(seed).fork(index);
  const whole = cover.packets.slice(0, count);
  // Renamed flows of the line may have left what a test run takes.
  const takes = (packet: PacketInput): boolean =>
    isPossible(program, cpus, packet);
  const line = whole.filter(takes);
  const mutants = packetMutants(program, cover.packets, {
    count: count - line.length,
    seed: random.u32(),
    ports,
    shortest: 14,
    after: line.at(-1)?.time ?? 0n,
  })
    .filter(takes)
    .map((packet, at) => ({
      ...packet,
      rxQueue: random.chance(0.5) ? packet.rxQueue : random.below(4),
      // In runs: going to another real CPU is slow.
      cpu: (at >> 6) % cpus,
      random: random.u32(),
    }))
    .map((packet) =>
      packet.ifindex === 1 ? { ...packet, rxQueue: 0 } : packet,
    );
  const packets = [...line, ...mutants];
  const writes = cover.writes
    .filter(({ before }) => before < whole.length)
    .map((write) => ({
      ...write,
      before: whole.slice(0, write.before).filter(takes).length,
    }));
  return { packets, writes };
}
