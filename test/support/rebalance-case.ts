/** A network function, its plan and a trace, ready to be rebalanced and judged. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { analyseLoaded, generate, load } from "divisi";
import { rebalanceParts } from "#control";
import {
  PackedPackets,
  chainState,
  loadPortable,
  orderOf,
  type RebalanceOptions,
  type RebalanceRun,
} from "#engine";
import { deviceContents, mergedDigest } from "#proof";
import type { PacketInput } from "#interp";
import { nicProfile } from "#rss";
import { portOfTrace } from "#strategy";
import { generate as generateTrace, parseGenerator } from "#traffic";
import { root } from "./cli.ts";

export interface RebalanceCase {
  readonly options: RebalanceOptions;
  readonly keys: Uint32Array;
  /** Lost, twice, out of order, other verdict or frame, other state: 0 or what is wrong. */
  readonly wrong: (run: RebalanceRun) => readonly string[];
}

const ports = [
  { name: "lan", ifindex: 1 },
  { name: "wan", ifindex: 2 },
];

export function rebalanceCase(
  nf: string,
  trace: string,
  {
    cores,
    seed,
    showsIndex = false,
    set = [],
    sizes = [],
  }: {
    readonly cores: number;
    readonly seed: number;
    /** Frames are compared by verdict only. */
    readonly showsIndex?: boolean;
    readonly set?: readonly (readonly [string, string])[];
    /** Entries of maps. */
    readonly sizes?: readonly (readonly [string, number])[];
  },
): RebalanceCase {
  const file = `${nf}.o`;
  const given = {
    file,
    set,
    mapSizes: sizes,
    ports,
    userWrites: [],
    kernelBtf: () => undefined,
  };
  const bytes = readFileSync(join(root, "nfs/c", file));
  const analysed = analyseLoaded(load(bytes, given), given);
  const profile = nicProfile("e810");
  const { plan, setup } = generate(analysed, profile, {
    cores,
    profile,
    ports: analysed.ports,
    seed,
  });
  if (setup === undefined) throw new Error(`${nf} has no table`);
  const packets = [...generateTrace(parseGenerator(trace))];
  const portOf = portOfTrace(analysed.ports);
  const { keys, ...parts } = rebalanceParts(
    { plan, setup, report: analysed.report },
    packets.map(({ data, port }) => ({ frame: data, port: portOf(port) })),
  );
  const inputs: PacketInput[] = packets.map(({ data, port, time }) => ({
    data,
    ifindex: analysed.ports[portOf(port)]?.ifindex ?? 1,
    rxQueue: 0,
    cpu: 0,
    time,
  }));
  const { program } = analysed;
  const contents = deviceContents(
    program,
    analysed.ports.map(({ ifindex }) => ifindex),
  );
  const sequential = loadPortable(program, { cpus: 1, seed, contents });
  const verdicts = new Uint32Array(inputs.length);
  const digests = new Uint32Array(2 * inputs.length);
  let next = 0;
  sequential.runBatches(inputs, (slot) => {
    verdicts[next] = sequential.verdict(slot);
    sequential.digestInto(slot, digests, 2 * next++);
  });
  const chains = parts.chains;
  const numbered = new Set(
    chains.flatMap(({ array, entries, following }) => [
      array,
      entries,
      ...following,
    ]),
  );
  const maps = program.maps.filter(({ name }) => !numbered.has(name));
  const before = sequential.contents();
  const state = mergedDigest(maps, [before]);
  const numberedState = (contents: Parameters<typeof chainState>[1]): string =>
    chains
      .flatMap((chain) => [...chainState(chain, contents)])
      .map(([key, { text }]) => `${key} ${text}`)
      .sort()
      .join("\n");
  const entriesBefore = numberedState([before]);
  return {
    options: {
      ...parts,
      program,
      cores,
      packets: PackedPackets.pack(inputs),
      contents,
      seed,
    },
    keys,
    wrong: (run) => {
      const { lost, repeated, reordered } = orderOf(run, keys);
      let mismatches = 0;
      for (const [packet, verdict] of run.verdicts.entries())
        if (
          verdict !== verdicts[packet] ||
          (!showsIndex &&
            (run.digests[2 * packet] !== digests[2 * packet] ||
              run.digests[2 * packet + 1] !== digests[2 * packet + 1]))
        )
          mismatches++;
      const counts = { lost, repeated, reordered, mismatches };
      return [
        ...Object.entries(counts).flatMap(([what, count]) =>
          count === 0 ? [] : [`${what} ${count}`],
        ),
        ...(mergedDigest(maps, run.contents) === state &&
        numberedState(run.contents) === entriesBefore
          ? []
          : ["state differs"]),
      ];
    },
  };
}
