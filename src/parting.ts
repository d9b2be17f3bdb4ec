/**
 * How a plan parts the state, in the words of the check: shares of capacities, ranges of
 * indices, private sketches, and which word of a packet names an index. Nothing here
 * says who owns what; that the check finds out by itself.
 */
import type { Access, StateObject, StateReport } from "./analysis/index.ts";
import {
  fieldPosition,
  parseFrame,
  readBit,
  type FieldBit,
} from "./packet/index.ts";
import {
  emittedDifferences,
  lanesOf,
  rangesOf,
  sharesOf,
  type Aim,
  type AllocatorCheck,
  type EmittedLayout,
  type Judged,
  type MapContents,
  type Partition,
  type StateDump,
} from "./proof/index.ts";
import {
  chainLayout,
  headOf,
  tableEntries,
  tableLayout,
} from "./codegen/index.ts";
import { createState, type PacketInput } from "./interp/index.ts";
import type { MapSpec, ProgramSpec } from "./isa/index.ts";
import type { ObjectPart } from "./strategy/index.ts";

export interface PartedPlan {
  readonly parts: readonly ObjectPart[];
  readonly report: StateReport;
  readonly program: ProgramSpec;
  readonly cores: number;
}

/** Undefined where every object is as exact as in the sequential program, or merged. */
export function partitionOf(plan: PartedPlan): Partition | undefined {
  const { parts, report, program, cores } = plan;
  // On one core only a table is written otherwise.
  const own = cores === 1 ? ["table"] : ["allocator", "sliced", "table"];
  const parted = parts.filter(({ layout }) => own.includes(layout));
  if (parted.length === 0) return undefined;
  const objectOf = (name: string): StateObject | undefined =>
    report.objects.find((object) => object.name === name);
  const allocators = parted.flatMap((part) => {
    const object = objectOf(part.object);
    return part.layout === "allocator" && object?.allocator !== undefined
      ? [allocatorCheck(plan, part, object)]
      : [];
  });
  const merged = parts.filter(({ strategy }) => strategy === "merge");
  const aim = aimOf(report);
  return {
    allocators,
    capacities: new Map(
      parted.flatMap(({ layout, object, capacities }) =>
        layout === "table" && capacities !== undefined
          ? [[object, capacities] as const]
          : [],
      ),
    ),
    sketches: new Set(
      parted
        .filter(({ layout }) => layout === "sliced")
        .map(({ object }) => object),
    ),
    sketchKey: hashedKeys(objectOf),
    merged: new Map(
      merged.flatMap(({ object }) => {
        const map = program.maps.find(({ name }) => name === object);
        return map === undefined ? [] : [[object, lanesOf(map)] as const];
      }),
    ),
    shared: new Set(
      parts
        .filter(({ strategy }) => isGuarded(strategy))
        .map(({ object }) => object),
    ),
    ...(aim === undefined ? {} : { aim }),
  };
}

const isGuarded = (strategy: ObjectPart["strategy"]): boolean =>
  strategy === "lock" || strategy === "transaction";

function allocatorCheck(
  { report, cores }: PartedPlan,
  { capacities }: ObjectPart,
  { name, allocator }: StateObject,
): AllocatorCheck {
  const { entries, capacity = 0, expiry, keyOffset } = allocator ?? {};
  const { allocate = "", refresh, free } = allocator?.functions ?? {};
  return {
    chain: name,
    cellSize: allocator?.cellSize ?? 0,
    capacity,
    ...(entries === undefined ? {} : { entries }),
    ...(keyOffset === undefined ? {} : { keyOffset }),
    ...(expiry === undefined ? {} : { expiry }),
    allocate,
    functions: [allocate, refresh, free].filter((each) => each !== undefined),
    ranges: rangesOf(capacities ?? sharesOf(capacity, cores)),
    followers: report.objects
      .filter(({ indexedBy }) => indexedBy === name)
      .map((each) => each.name),
  };
}

/**
 * Values of the packet bits that an object's opaque keys are functions of. A packet
 * touches many cells, and an object has many accesses: both are looked at once.
 */
function hashedKeys(
  objectOf: (name: string) => StateObject | undefined,
): NonNullable<Partition["sketchKey"]> {
  const bits = new Map<string, readonly FieldBit[]>();
  const texts = new Map<string, WeakMap<PacketInput, string>>();
  return (name, packet) => {
    const known = texts.get(name) ?? new WeakMap<PacketInput, string>();
    texts.set(name, known);
    let text = known.get(packet);
    if (text === undefined) {
      const place = `${packet.ifindex} ${name}`;
      const hashed =
        bits.get(place) ?? hashedBits(objectOf(name), packet.ifindex);
      bits.set(place, hashed);
      const parsed = parseFrame(packet.data);
      text = hashed.map((bit) => readBit(parsed, bit) ?? "-").join("");
      known.set(packet, text);
    }
    return text;
  };
}

function hashedBits(
  object: StateObject | undefined,
  ifindex: number,
): readonly FieldBit[] {
  for (const access of object?.accesses ?? []) {
    const { guard } = access;
    if (guard.ifindex !== undefined && !guard.ifindex.includes(ifindex))
      continue;
    if (guard.notIfindex?.includes(ifindex) === true) continue;
    const bits = bitsOf(access);
    if (bits.length > 0) return bits;
  }
  return [];
}

function bitsOf({ key }: Access): readonly FieldBit[] {
  const found = new Map<string, FieldBit>();
  for (const bit of key.bits) {
    const of =
      bit.kind === "linear"
        ? bit.bits
        : bit.why.kind === "nonlinear"
          ? (bit.why.of ?? [])
          : [];
    for (const each of of) found.set(`${each.field} ${each.bit}`, each);
  }
  return [...found.values()];
}

/** Packets that name an index by their destination port, where R5 lets them. */
function aimOf({ objects }: StateReport): Aim | undefined {
  const used = objects.flatMap(({ interchanges = [], accesses }) =>
    interchanges
      .filter(({ holds }) => holds)
      .flatMap(({ access }) => accesses.find(({ id }) => id === access) ?? []),
  );
  for (const { name, allocator, interchanges = [] } of objects) {
    if (allocator === undefined) continue;
    if (!interchanges.some(({ holds }) => holds)) continue;
    const ports = new Set(used.flatMap(({ guard }) => guard.ifindex ?? []));
    const places = new Set(
      used.map(({ at }) => `${at.function}+${at.instruction}`),
    );
    return {
      chain: name,
      isAimed: ({ ifindex }) => ports.size === 0 || ports.has(ifindex),
      isDischarged: (at) => places.has(`${at.function}+${at.instruction}`),
      words: portWords,
    };
  }
  return undefined;
}

/** Byte offsets of the ports of TCP or UDP, and of the checksum over them. */
function portWords(frame: Uint8Array): ReturnType<Aim["words"]> {
  const parsed = parseFrame(frame);
  const source = fieldPosition(parsed, "l4.sport");
  const destination = fieldPosition(parsed, "l4.dport");
  if (source === undefined || destination === undefined) return undefined;
  const at = source >>> 3;
  const checksum =
    parsed.l4 === "tcp" ? at + 16 : parsed.l4 === "udp" ? at + 6 : undefined;
  return {
    source: at,
    destination: destination >>> 3,
    ...(checksum === undefined ? {} : { checksum }),
  };
}

/** Compares what the emitted object left with the cores' own runs, by its layouts. */
export function emittedStates(
  {
    sequential,
    parts = [],
    contents,
    cores,
  }: {
    readonly sequential: ProgramSpec;
    readonly parts?: readonly ObjectPart[];
    readonly contents?: MapContents;
    readonly cores: number;
  },
  partition: Partition,
): (parted: Judged, emitted: StateDump) => readonly string[] {
  const initial = createState(sequential.maps, {
    cpus: cores,
    ...(contents === undefined ? {} : { contents }),
  });
  const layouts = new Map(
    parts.map(
      (part) =>
        [part.object, layoutOf(sequential, cores, partition, part)] as const,
    ),
  );
  return (parted, emitted) =>
    emittedDifferences({
      maps: sequential.maps.filter(isComparable),
      initial,
      parted,
      partition,
      layoutOf: (map) => layouts.get(map) ?? { kind: "as-is" },
      emitted,
    });
}

function isComparable({ type, readOnly }: MapSpec): boolean {
  return !readOnly && (type === "array" || type === "hash");
}

function layoutOf(
  { maps }: ProgramSpec,
  cores: number,
  { allocators }: Partition,
  {
    object,
    layout,
    capacities,
  }: Pick<ObjectPart, "object" | "layout" | "capacities">,
): EmittedLayout {
  const map = maps.find(({ name }) => name === object);
  const allocator = allocators.find(({ chain }) => chain === object);
  switch (layout) {
    case "as-is":
    case "per-cpu":
      return { kind: layout };
    // Its values are narrowed to the program's (narrowed.ts).
    case "locked":
      return { kind: "as-is" };
    case "sliced":
      return { kind: "sliced", cells: map?.maxEntries ?? 0 };
    case "allocator": {
      if (map === undefined || allocator === undefined)
        return { kind: "unread" };
      const own = chainLayout(map.maxEntries, cores, allocator);
      return { kind: "allocator", headOf: (core) => headOf(own, core) };
    }
    case "table": {
      if (map === undefined || capacities === undefined)
        return { kind: "unread" };
      const own = tableLayout(map, capacities);
      return { kind: "table", entries: (value) => tableEntries(value, own) };
    }
  }
}
