/**
 * What `split` wrote, with its ports bound to interfaces: the program as it is
 * loaded, first contents of its maps, what the NIC must be.
 */
import { join, resolve } from "node:path";
import { InputError, UnsupportedError } from "../base/index.ts";
import { ticketSources } from "../codegen/index.ts";
import {
  liveTableMaps,
  type MapRecord,
  type NicWish,
  type Placement,
} from "../control/index.ts";
import { boundDispatcher } from "../dispatched.ts";
import {
  loadFilled,
  type BoundDispatcher,
  type Kernel,
  type KernelMap,
  type LoadedPrograms,
} from "../engine/index.ts";
import { mapTypeRow, type MapSpec } from "../isa/index.ts";
import { hasVariable } from "../object/index.ts";
import { load, type Loaded } from "../analysed.ts";
import {
  deviceContents,
  lanesOf,
  toInitialise,
  type MapContents,
} from "../proof/index.ts";
import { readSplitDirectory, type SplitDirectory } from "./directory.ts";
import { mustRunInKernel } from "./plan-file.ts";
import { runningKernel } from "./input.ts";
import type { BoundInterface } from "./interfaces.ts";
import { counting } from "./misdirected.ts";
import { placementOf } from "./placement.ts";
import { usage } from "./words.ts";

export interface BoundDirectory {
  readonly directory: SplitDirectory;
  readonly loaded: Loaded;
  readonly maps: readonly MapRecord[];
  readonly nic: NicWish;
  readonly placement: Placement;
  /** Name of the program that interfaces get. */
  readonly program: string;
  /** What user space has still to do. */
  readonly notes: readonly string[];
  /**
   * Loads the program, counting what comes on a wrong queue, with these maps instead of
   * new ones, and fills the others.
   */
  readonly loadInto: (
    kernel: Kernel,
    standing?: ReadonlyMap<string, KernelMap>,
  ) => LoadedPrograms;
}

/** The directory as it was certified; anything else is an InputError. */
export function certifiedDirectory(path: string): SplitDirectory {
  const directory = readSplitDirectory(path);
  const [changed] = directory.changed;
  if (changed !== undefined)
    throw new InputError("its SHA-256 is not the one in certificate.json", {
      code: "directory-changed",
      file: join(path, changed),
      fix: `divisi check ${path} says whether what is there now is right; divisi split writes it anew`,
    });
  const [other] = directory.disagreeing;
  if (other !== undefined)
    throw new InputError("it does not say what plan.json says", {
      code: "directory-disagrees",
      file: join(path, other),
      fix: "divisi split writes it anew",
    });
  return directory;
}

export function bindDirectory(
  directory: SplitDirectory,
  interfaces: readonly BoundInterface[],
): BoundDirectory {
  const { plan, analysed, path } = directory;
  if (plan.program.type !== "xdp")
    throw new UnsupportedError(
      `${plan.program.name} is a ${plan.program.type} program; only XDP programs can be attached`,
      { feature: `attaching ${plan.program.type}` },
    );
  mustRunInKernel(plan);
  const tested = analysed.report.testedPorts ?? [];
  for (const { port, name, ifindex } of interfaces) {
    const planned = plan.ports.find((each) => each.name === port)?.ifindex;
    if (
      planned !== undefined &&
      planned !== ifindex &&
      tested.includes(planned) &&
      !hasVariable(analysed.object, `${port}_ifindex`)
    )
      throw usage(
        `the program tests for interface index ${planned} by number, and ${name} has ${ifindex}`,
        `divide it again with --port ${port}=${ifindex}`,
      );
  }
  const ports = interfaces.map(({ port, ifindex }) => ({
    name: port,
    ifindex,
  }));
  const loaded = load(directory.core, {
    file: join(path, "core.o"),
    entry: plan.program.name,
    type: plan.program.type,
    set: [],
    ports,
    userWrites: plan.userWrites ?? [],
    ...runningKernel,
  });
  const { program } = loaded;
  const dispatcher = boundDispatcher(loaded.object, plan);
  const devices = deviceMaps(
    program.maps,
    interfaces.map(({ ifindex }) => ifindex),
  );
  const contents: MapContents = {
    ...deviceContents(
      program,
      interfaces.map(({ ifindex }) => ifindex),
    ),
    ...devices,
    ...directory.contents,
  };
  return {
    directory,
    loaded,
    maps: [...program.maps, ...dispatcherMaps(program.maps, dispatcher)].map(
      (map) => ({
        ...mapRecord(
          map,
          directory,
          map.type === "devmap" && map.name in contents,
        ),
        ...(liveTableMaps.some((name) => name === map.name) ||
        map.name === ticketSources
          ? { writtenBy: "divisi rebalance" }
          : {}),
      }),
    ),
    nic: {
      ports: interfaces.map(({ port, name }) => ({ port, iface: name })),
      cores: plan.cores,
      setup: plan.setup,
      ...(dispatcher === undefined ? {} : { anyQueues: true }),
    },
    placement: placementOf({
      setup: plan.setup,
      dispatcher: dispatcher?.program,
    }),
    program: dispatcher?.program.name ?? program.name,
    notes: toInitialise(program)
      .filter((name) => !(name in contents))
      .map((name) => `map ${name} is empty: it is yours to fill`),
    loadInto: (kernel, standing = new Map()) => {
      const { btf } = loaded.object;
      const made = loadFilled(
        kernel,
        {
          program: counting(program, plan.setup, interfaces),
          contents,
          ...(btf === undefined ? {} : { btf }),
          ...(dispatcher === undefined ? {} : { dispatcher }),
        },
        standing,
      );
      setReady(program.maps, made);
      return made;
    },
  };
}

/** What the dispatcher has beside the worker's maps and can be shown. */
function dispatcherMaps(
  known: readonly MapSpec[],
  dispatcher: BoundDispatcher | undefined,
): readonly MapSpec[] {
  return (dispatcher?.program.maps ?? []).filter(
    ({ name, type, data }) =>
      type !== "cpumap" &&
      data === undefined &&
      !known.some((map) => map.name === name),
  );
}

/** What the record of an attachment says of where it came from. */
export function originOf(
  { directory, maps, program, nic, placement }: BoundDirectory,
  command: readonly string[],
) {
  const { plan, path } = directory;
  return {
    directory: resolve(path),
    command: ["divisi", ...command],
    program,
    strategy: plan.strategy,
    grade: plan.grade,
    cores: plan.cores,
    ...(nic.anyQueues === true ? { anyQueues: true } : {}),
    placement,
    sha256: directory.sha256,
    maps,
  };
}

/** Device maps whose values have room for a program: interface, then none. */
function deviceMaps(
  maps: readonly MapSpec[],
  ifindexes: readonly number[],
): MapContents {
  const words = (...numbers: readonly number[]): Uint8Array =>
    new Uint8Array(Uint32Array.of(...numbers).buffer);
  return Object.fromEntries(
    maps
      .filter(({ type, valueSize }) => type === "devmap" && valueSize === 8)
      .map(({ name, maxEntries }) => [
        name,
        ifindexes.slice(0, maxEntries).map((ifindex, slot) => ({
          key: words(slot),
          value: words(ifindex, 0),
        })),
      ]),
  );
}

/** An object that waits for its maps is told that they are filled (CLI.md: ready). */
function setReady(maps: readonly MapSpec[], made: LoadedPrograms): void {
  for (const { name, section, data, valueFields } of maps) {
    const word = valueFields?.find(({ path }) => path === "ready");
    if (!section.startsWith(".data") || word === undefined) continue;
    const key = new Uint8Array(4);
    const map = made.map(name);
    const bytes = (map.lookup(key) ?? data ?? new Uint8Array()).slice();
    bytes[word.bitOffset / 8] = 1;
    map.update(key, bytes);
  }
}

function mapRecord(
  map: MapSpec,
  { plan, analysed }: SplitDirectory,
  isFilled: boolean,
): MapRecord {
  const original =
    analysed.program.maps.find(({ name }) => name === map.name) ?? map;
  const part = plan.objects.find(({ name }) => name === map.name);
  const cores = privateCells(part, plan.cores);
  const isMerged =
    mapTypeRow(map.type).perCpu === true &&
    mapTypeRow(original.type).perCpu !== true;
  // Sizes and members are the original's where only divisi knows the layout.
  const seen = cores === undefined ? map : original;
  return {
    name: map.name,
    strategy: part?.strategy ?? "copy",
    originalType: original.type,
    type: map.type,
    keySize: seen.keySize,
    valueSize: seen.valueSize,
    maxEntries: seen.maxEntries,
    flags: map.flags,
    readOnly: map.readOnly,
    section: map.data === undefined ? "" : map.section,
    keyFields: seen.keyFields ?? [],
    valueFields: seen.valueFields ?? [],
    lanes: isMerged ? lanesOf(original) : [],
    isFilled: isFilled || map.values !== undefined,
    ...(cores === undefined ? {} : { cores }),
  };
}

/** What the plan gave each core of the map. */
function privateCells(
  part: SplitDirectory["plan"]["objects"][number] | undefined,
  cores: number,
): MapRecord["cores"] {
  const { layout, capacities = [] } = part ?? {};
  const isOwn =
    layout === "table" ||
    layout === "locked" ||
    (cores > 1 && (layout === "allocator" || layout === "sliced"));
  return isOwn ? { layout, cores, capacities } : undefined;
}
