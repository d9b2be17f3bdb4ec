/**
 * What a program did at real interfaces against what it does in the portable engine:
 * the same packets, in the order, on the CPUs and at the times that the kernel saw.
 *
 * Compared for each packet: the verdict; where the frame went (stack, back, to which
 * ports); its bytes there. Not compared: bytes of dropped frames, which nobody sees.
 */
import { toHex, UnsupportedError } from "../../../base/index.ts";
import {
  BytecodeMachine,
  createState,
  type Outcome,
  type PacketInput,
} from "../../../interp/index.ts";
import {
  programTypeRow,
  type MapTypeName,
  type ProgramSpec,
} from "../../../isa/index.ts";
import {
  dumpState,
  stateDifferences,
  type Dumpable,
  type MapContents,
  type StateDump,
} from "../../../proof/index.ts";
import type { LoadedPrograms } from "../load/loaded-programs.ts";
import { loadPortable } from "../../wasm/program.ts";
import type { Fate, Sighting } from "./trace-run.ts";

const broadcast = 8n;
const excludeIngress = 16n;
const redirectVerdict = 4;
const largestVerdict = 4;

export interface FateMismatch {
  /** Position in the trace. */
  readonly packet: number;
  readonly what: "verdict" | "place" | "bytes";
  readonly want: string;
  readonly have: string;
}

export interface ReferenceOptions {
  readonly program: ProgramSpec;
  readonly contents: MapContents;
  readonly cpus: number;
  readonly seed: number;
  /** Index of each port's interface. */
  readonly interfaces: readonly number[];
}

/** What the runs should have come to, one by one and at the end. */
export interface Reference {
  readonly outcomes: readonly Outcome[];
  readonly state: StateDump;
}

/** By the portable engine, in the order of the runs; by interp where it must. */
export function referenceOf(
  fates: readonly Fate[],
  { program, contents, cpus, seed }: ReferenceOptions,
): Reference {
  const inputs = fates.map(({ run }): PacketInput => ({
    data: run.frame,
    ifindex: run.ifindex,
    rxQueue: run.queue,
    cpu: run.cpu,
    time: run.time,
  }));
  try {
    const loaded = loadPortable(program, { cpus, contents, seed });
    const outcomes = loaded.run(inputs);
    return { outcomes, state: stateOf(program, (map) => loaded.entries(map)) };
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error;
    const state = createState(program.maps, { cpus, contents });
    const machine = new BytecodeMachine(program, state, { seed });
    const outcomes = inputs.map((input) => machine.run(input));
    return { outcomes, state: stateOf(program, (map) => state.entries(map)) };
  }
}

// Maps whose contents are a function of the packets, and can be read.
// prettier-ignore
const comparable: ReadonlySet<MapTypeName> = new Set(["array", "percpu_array", "hash", "percpu_hash", "lpm_trie"]);

function stateOf(
  { maps }: ProgramSpec,
  entries: Dumpable["entries"],
): StateDump {
  const read = maps.filter(({ type }) => comparable.has(type));
  return dumpState({ maps: read, entries });
}

/** One sentence for each cell of the kernel's maps that is not as it should be. */
export function compareState(
  loaded: LoadedPrograms,
  program: ProgramSpec,
  { state }: Reference,
): readonly string[] {
  const have = stateOf(program, (name) =>
    loaded
      .map(name)
      .entries()
      .map(([key, values]) => ({
        key,
        value: joined(values),
      })),
  );
  return stateDifferences(state, have, new Map());
}

/** Copies of a per-CPU value as interp keeps them: each from a multiple of 8 on. */
function joined(values: readonly Uint8Array[]): Uint8Array {
  const [first = new Uint8Array()] = values;
  if (values.length === 1) return first;
  const stride = (first.length + 7) & ~7;
  const all = new Uint8Array(stride * values.length);
  for (const [cpu, value] of values.entries()) all.set(value, cpu * stride);
  return all;
}

export function compareFates(
  fates: readonly Fate[],
  outcomes: readonly Outcome[],
  options: ReferenceOptions,
): readonly FateMismatch[] {
  return fates.flatMap((fate, index) => {
    const outcome = outcomes[index];
    const found =
      outcome === undefined ? undefined : differing(fate, outcome, options);
    return found === undefined ? [] : [{ packet: fate.frame, ...found }];
  });
}

function differing(
  fate: Fate,
  outcome: Outcome,
  options: ReferenceOptions,
): Omit<FateMismatch, "packet"> | undefined {
  const { verdict } = outcome;
  if (verdict !== fate.verdict)
    return {
      what: "verdict",
      want: verdictName(options.program, verdict),
      have: verdictName(options.program, fate.verdict),
    };
  const want = placesOf(fate, outcome, options);
  const have = printPlaces(fate.sightings);
  if (want !== undefined && want !== have) return { what: "place", want, have };
  const wrong = fate.sightings.find(
    ({ frame }) => Buffer.compare(frame, outcome.data) !== 0,
  );
  return wrong === undefined
    ? undefined
    : { what: "bytes", want: toHex(outcome.data), have: toHex(wrong.frame) };
}

export function verdictName(program: ProgramSpec, verdict: number): string {
  const names = programTypeRow(program.type).verdicts;
  return verdict > largestVerdict
    ? `unknown verdict ${verdict}`
    : (names[verdict] ?? String(verdict));
}

/** `stack 0`, `wire 0 wire 1`; undefined: it cannot be known. */
function placesOf(
  fate: Fate,
  outcome: Outcome,
  options: ReferenceOptions,
): string | undefined {
  const own = options.interfaces.indexOf(fate.run.ifindex);
  switch (outcome.verdict) {
    case 2:
      return `stack ${own}`;
    case 3:
      return `wire ${own}`;
    case redirectVerdict: {
      const targets = targetsOf(fate, outcome, options);
      return targets === undefined
        ? undefined
        : targets
            .map((ifindex) => options.interfaces.indexOf(ifindex))
            .filter((port) => port >= 0)
            .map((port) => `wire ${port}`)
            .sort()
            .join(" ");
    }
    default:
      return "";
  }
}

function printPlaces(sightings: readonly Sighting[]): string {
  return sightings
    .map(({ at, port }) => `${at} ${port}`)
    .sort()
    .join(" ");
}

/** Interfaces that the redirect means; undefined: no device. */
function targetsOf(
  { run }: Fate,
  { redirect }: Outcome,
  { program, contents }: ReferenceOptions,
): readonly number[] | undefined {
  if (redirect === undefined) return undefined;
  if (redirect.ifindex !== undefined) return [redirect.ifindex];
  const map = program.maps.find(({ name }) => name === redirect.map);
  if (map?.type !== "devmap" && map?.type !== "devmap_hash") return undefined;
  const word = (bytes: Uint8Array): number =>
    new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const entries = (contents[map.name] ?? []).map(({ key, value }) => ({
    key: word(key),
    ifindex: word(value),
  }));
  if ((redirect.flags & broadcast) === 0n)
    return entries
      .filter(({ key }) => key === redirect.key)
      .map(({ ifindex }) => ifindex);
  return entries
    .map(({ ifindex }) => ifindex)
    .filter(
      (ifindex) =>
        (redirect.flags & excludeIngress) === 0n || ifindex !== run.ifindex,
    );
}
