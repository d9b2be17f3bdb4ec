/**
 * A program with private layouts, beside what it stands for: one sequential program per
 * core, with the core's capacity and nothing else, over the core's packets. What the
 * cores leave in one machine's maps is taken apart again and compared cell by cell.
 */
import { recogniseAllocators } from "#analysis";
import { toHex } from "#base";
import {
  capacitiesOf,
  chainLayout,
  firstIndices,
  headOf,
  splitLayouts,
  type ChainFacts,
  type LayoutPart,
} from "#codegen";
import { KernelStage, asKernelShows, loadPortable, type Kernel } from "#engine";
import {
  BytecodeMachine,
  createState,
  type Outcome,
  type PacketInput,
} from "#interp";
import { lift } from "#ir";
import type { ProgramSpec } from "#isa";
import {
  hasVariable,
  programSpec,
  readObject,
  setVariable,
  writeObject,
  type ObjectSpec,
} from "#object";
import {
  deviceContents,
  dumpState,
  type MapContents,
  type StateDump,
} from "#proof";

/** Ports with many queues: the loopback interface has one. */
export const splitPorts = [11, 12] as const;

export interface Setting {
  readonly set: Readonly<Record<string, string>>;
  readonly sizes: Readonly<Record<string, number>>;
  readonly contents: MapContents;
}

export function configure(
  bytes: Uint8Array,
  name: string,
  { set, sizes }: Pick<Setting, "set" | "sizes">,
): ObjectSpec {
  let object = readObject(bytes, name);
  const [lan, wan] = splitPorts;
  const all = { lan_ifindex: String(lan), wan_ifindex: String(wan), ...set };
  for (const [variable, value] of Object.entries(all))
    if (hasVariable(object, variable))
      object = setVariable(object, variable, value);
  const maps = object.maps.map((map) => ({
    ...map,
    maxEntries: sizes[map.name] ?? map.maxEntries,
  }));
  return { ...object, maps };
}

/** The chains that analysis finds, by array. */
export function chainsOf(object: ObjectSpec): ReadonlyMap<string, ChainFacts> {
  const program = programSpec(object);
  return recogniseAllocators(program, lift(program)).allocators;
}

/** The object as `split` writes it, read again. */
export function splitObject(
  object: ObjectSpec,
  cores: number,
  parts: readonly LayoutPart[],
): ObjectSpec {
  const { name } = programSpec(object);
  const split = splitLayouts(object, name, { cores, parts });
  return readObject(writeObject(split), "core.o");
}

export interface Ran {
  readonly outcomes: readonly string[];
  readonly state: StateDump;
}

export type RunObject = (
  object: ObjectSpec,
  packets: readonly PacketInput[],
  contents: MapContents,
) => Ran;

export function textOf({ verdict, data, redirect, events }: Outcome): string {
  const target =
    redirect === undefined
      ? ""
      : ` ${redirect.map ?? redirect.ifindex}[${redirect.key}]`;
  const sent = events.map(({ map, data: bytes }) => ` ${map} ${toHex(bytes)}`);
  return `${verdict} ${toHex(data)}${target}${sent.join("")}`;
}

const seed = 1;

function filled(program: ProgramSpec, contents: MapContents): MapContents {
  return { ...deviceContents(program, splitPorts), ...contents };
}

function withoutDevices(dump: StateDump): StateDump {
  return new Map(
    [...dump].filter(([name]) => name !== "ports" && !name.startsWith(".")),
  );
}

export const interpreted: RunObject = (object, packets, contents) => {
  const program = programSpec(object);
  const state = createState(program.maps, {
    cpus: 1,
    contents: filled(program, contents),
  });
  const machine = new BytecodeMachine(program, state, { seed });
  const outcomes = packets.map((packet) =>
    textOf(asKernelShows(machine.run(packet))),
  );
  return { outcomes, state: withoutDevices(dumpState(state)) };
};

export const portable: RunObject = (object, packets, contents) => {
  const program = programSpec(object);
  const loaded = loadPortable(program, {
    cpus: 1,
    contents: filled(program, contents),
    seed,
  });
  const outcomes: string[] = [];
  loaded.runBatches(packets, (index) => {
    outcomes.push(textOf(asKernelShows(loaded.outcome(index))));
  });
  const state = dumpState({
    maps: program.maps,
    entries: (map) => loaded.entries(map),
  });
  return { outcomes, state: withoutDevices(state) };
};

export function inKernel(kernel: Kernel): RunObject {
  return (object, packets, contents) => {
    const program = programSpec(object);
    const { btf } = object;
    const stage = new KernelStage(kernel, program, {
      cpus: 1,
      contents: filled(program, contents),
      seed,
      ...(btf === undefined ? {} : { btf }),
    });
    try {
      const outcomes: string[] = [];
      stage.run(packets, () => {
        outcomes.push(textOf(stage.runs.outcome()));
      });
      return { outcomes, state: withoutDevices(stage.dump()) };
    } finally {
      stage.close();
    }
  };
}

/** What the state of one split program must be, from what its cores would have alone. */
export interface SplitShape {
  readonly cores: number;
  /** The chain that is split, and its facts. */
  readonly chain: string;
  readonly facts: ChainFacts;
  /** Where the index stands in a value of the hash map. */
  readonly indexAt: number;
  /** max_entries of the chain's array in the sequential program. */
  readonly cells: number;
  /** Arrays of one cell per index. */
  readonly indexed: readonly string[];
  /** Arrays with a copy per core, and their cells. */
  readonly sliced: Readonly<Record<string, number>>;
}

export function joined(
  shape: SplitShape,
  alone: readonly StateDump[],
): StateDump {
  const { cores, chain, facts, cells, indexed, sliced, indexAt } = shape;
  const firsts = firstIndices(capacitiesOf(facts.capacity, cores));
  const layout = chainLayout(cells, cores, facts);
  const whole = new Map<string, Map<string, readonly string[]>>();
  for (const [core, state] of alone.entries()) {
    const first = firsts[core] ?? 0;
    for (const [name, entries] of state) {
      const into = whole.get(name) ?? new Map<string, readonly string[]>();
      whole.set(name, into);
      for (const [key, values] of entries) {
        const cell = word(key, 0);
        if (name === chain) {
          const at = cell === 0 ? headOf(layout, core) : cell + first;
          into.set(
            hexWord(at),
            values.map((value) => shifted(value, cell, first)),
          );
        } else if (indexed.includes(name))
          into.set(hexWord(cell + first), values);
        else if (sliced[name] !== undefined)
          into.set(hexWord(cell + core * sliced[name]), values);
        else if (name === facts.entries)
          into.set(
            key,
            values.map((value) => withIndex(value, indexAt, first)),
          );
        else into.set(key, values);
      }
    }
  }
  return whole;
}

/** A cell's links, or a head's words, with indices `first` higher. */
function shifted(value: string, cell: number, first: number): string {
  const link = (at: number): string => {
    const number = word(value, at);
    return hexWord(
      number === 0 || number === 0xffff_ffff ? number : number + first,
    );
  };
  const last = cell === 0 ? link(0) + link(4) : value.slice(0, 16);
  return last + link(8) + link(12) + value.slice(32);
}

function withIndex(value: string, at: number, first: number): string {
  const index = hexWord(word(value, at) + first);
  return value.slice(0, 2 * at) + index + value.slice(2 * at + 8);
}

/** Little-endian, at a byte of the hexadecimal text. */
export function word(hex: string, at: number): number {
  const bytes = [0, 1, 2, 3].map((byte) =>
    parseInt(hex.slice(2 * (at + byte), 2 * (at + byte) + 2), 16),
  );
  return bytes.reduceRight((sum, byte) => sum * 256 + byte, 0);
}

export function hexWord(value: number): string {
  return toHex(new Uint8Array(new Uint32Array([value]).buffer));
}

/** The state without the cells that mark what belongs to other cores. */
export function withoutFreeCells(
  state: StateDump,
  { chain, cells, cores, facts }: SplitShape,
): StateDump {
  const layout = chainLayout(cells, cores, facts);
  const marks = new Set(
    Array.from({ length: cores }, (_, core) =>
      hexWord(headOf(layout, core) + 1),
    ),
  );
  return new Map(
    [...state].map(([name, entries]) => [
      name,
      name === chain
        ? new Map([...entries].filter(([key]) => !marks.has(key)))
        : entries,
    ]),
  );
}
