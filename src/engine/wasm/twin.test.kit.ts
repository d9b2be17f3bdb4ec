/**
 * For tests: one program on the portable engine and on interp, and where they differ.
 */
import { Random, toHex } from "../../base/index.ts";
import {
  BytecodeMachine,
  createState,
  type MapEntry,
  type Outcome,
  type PacketInput,
} from "../../interp/index.ts";
import {
  parseFunctions,
  type MapSpec,
  type ProgramSpec,
  type ProgramTypeName,
} from "../../isa/index.ts";
import type { LoadOptions } from "./prepare.ts";
import { loadPortable } from "./program.ts";

export const cpus = 2;

export function programOf(
  text: string,
  maps: readonly MapSpec[] = [],
  type: ProgramTypeName = "xdp",
): ProgramSpec {
  return {
    file: "test",
    name: "main",
    section: type,
    type,
    license: "GPL",
    functions: parseFunctions(text),
    maps,
  };
}

export function mapOf(
  name: string,
  type: MapSpec["type"],
  sizes: readonly [key: number, value: number, entries: number],
  more: Partial<MapSpec> = {},
): MapSpec {
  const [keySize, valueSize, maxEntries] = sizes;
  return {
    name,
    type,
    keySize,
    valueSize,
    maxEntries,
    flags: 0,
    section: ".maps",
    readOnly: false,
    ...more,
  };
}

/** Random frames of 14 to 96 bytes; bytes are small numbers, so that keys repeat. */
export function packetsOf(random: Random, count: number): PacketInput[] {
  return Array.from({ length: count }, (_, index) => ({
    data: Uint8Array.from({ length: 14 + random.below(83) }, () =>
      random.chance(0.5) ? random.below(8) : random.below(256),
    ),
    ifindex: 1 + random.below(3),
    rxQueue: random.below(4),
    cpu: random.below(cpus),
    time: BigInt(index) * 1_000n + BigInt(random.below(1000)),
  }));
}

export interface TwinOptions extends LoadOptions {
  /** Steps that interp may take per packet. */
  readonly steps?: number;
}

/** One line for each difference, and what interp gave. */
export function compareEngines(
  program: ProgramSpec,
  packets: readonly PacketInput[],
  options: TwinOptions = {},
): {
  readonly differences: readonly string[];
  readonly want: readonly Outcome[];
} {
  const contents: Record<string, readonly MapEntry[]> = {
    ...options.contents,
  };
  const state = createState(program.maps, {
    cpus,
    contents,
    capacity: options.capacities ?? {},
  });
  const machine = new BytecodeMachine(program, state, {
    environment: options.environment ?? {},
    ...(options.seed === undefined ? {} : { seed: options.seed }),
    ...(options.steps === undefined ? {} : { budget: options.steps }),
  });
  const want = packets.map((packet) => machine.run(packet));
  const portable = loadPortable(program, { cpus, ...options });
  const have = portable.run(packets);
  const differences = want.flatMap((outcome, index) => {
    const [left, right] = [outcome, have[index]].map(print);
    return left === right ? [] : [`packet ${index}: ${left}, but ${right}`];
  });
  for (const { name } of state.maps) {
    const left = printEntries(state.entries(name));
    const right = printEntries(portable.entries(name));
    if (left !== right) differences.push(`map ${name}: ${left}, but ${right}`);
  }
  if (state.digest() !== portable.digest() && differences.length === 0)
    differences.push("the digests of the states differ");
  return { differences, want };
}

function printEntries(entries: readonly MapEntry[]): string {
  return entries
    .map(({ key, value }) => `${toHex(key)}=${toHex(value)}`)
    .join(" ");
}

export function print(outcome: Outcome | undefined): string {
  if (outcome === undefined) return "nothing";
  const { verdict, data, redirect, events, fault, context } = outcome;
  const parts = [`${verdict}`, toHex(data)];
  if (redirect !== undefined)
    parts.push(
      `to ${redirect.ifindex ?? ""} ${redirect.map ?? ""} ${redirect.key ?? ""} ${redirect.flags}`,
    );
  for (const { kind, map, ifindex, data: bytes } of events)
    parts.push(`${kind} ${map ?? ""} ${ifindex ?? ""} ${toHex(bytes)}`);
  if (context !== undefined) parts.push(`context ${toHex(context)}`);
  if (fault !== undefined)
    parts.push(`fault at ${fault.at.function}+${fault.at.instruction}`);
  return parts.join("; ");
}
