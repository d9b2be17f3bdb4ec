/**
 * `divisi run DIR --rebalance`: a trace over the portable engine while the table is
 * rewritten, compared packet by packet with the sequential program.
 */
import {
  chainState,
  orderOf,
  loadPortable,
  rebalanceOnThreads,
  rebalanceVirtually,
  PackedPackets,
  type RebalanceRun,
} from "../engine/index.ts";
import { rebalanceParts } from "../control/index.ts";
import { UnsupportedError, printable } from "../base/index.ts";
import type { PacketInput } from "../interp/index.ts";
import { generate } from "../pipeline.ts";
import { mergedDigest, type MapContents } from "../proof/index.ts";
import { nicProfile } from "../rss/index.ts";
import { programTypeRow } from "../isa/index.ts";
import { portOfTrace } from "../strategy/index.ts";
import type { TracePacket } from "../traffic/index.ts";
import type { SplitDirectory } from "./directory.ts";
import type { Answer } from "./render.ts";
import { strategyNamed } from "./strategy-words.ts";

export interface RebalanceRequest {
  readonly directory: SplitDirectory;
  readonly trace: readonly TracePacket[];
  readonly inputs: readonly PacketInput[];
  readonly contents: MapContents;
  readonly seed: number;
  /** Cores that a seeded interleaver runs in one thread, instead of a thread each. */
  readonly isVirtual: boolean;
}

export async function runRebalanced(
  request: RebalanceRequest,
): Promise<Answer> {
  const { directory, trace, inputs, contents, seed } = request;
  const { plan: file, analysed, path } = directory;
  const { setup } = file;
  if (setup === undefined || file.cores < 2)
    throw new UnsupportedError(
      "there is no table to rebalance: the plan has one core, or any spreading is right",
      { feature: "rebalancing without a table" },
    );
  const profile = setup.profile ?? nicProfile(file.nic);
  const { plan } = generate(analysed, profile, {
    cores: file.cores,
    profile,
    ports: file.ports,
    seed: file.seed,
    force: Object.fromEntries(
      file.objects.map(({ name, strategy }) => [name, strategyNamed(strategy)]),
    ),
  });
  const shown = plan.objects.find(({ rule }) => rule === "R5");
  if (shown !== undefined)
    throw new UnsupportedError(
      `${printable(shown.object)} hands out numbers that packets carry: a trace cannot answer what a run on several cores gave out`,
      {
        feature: "rebalancing over a trace where packets carry indices",
        fix: "balance at the start only: divisi split … --trace TRACE",
      },
    );
  const portOf = portOfTrace(file.ports);
  const parts = rebalanceParts(
    { plan, setup, report: analysed.report },
    trace.map(({ data, port }) => ({ frame: data, port: portOf(port) })),
  );
  const { keys, ...asked } = parts;
  const { program } = analysed;
  const options = {
    ...asked,
    program,
    cores: file.cores,
    packets: PackedPackets.pack(inputs),
    contents,
    seed,
  };
  const run = request.isVirtual
    ? rebalanceVirtually(options)
    : await rebalanceOnThreads(options);
  const reference = sequentially(request);
  const order = orderOf(run, keys);
  const mismatches = differences(run, reference);
  const numbered = new Set(
    parts.chains.flatMap(({ array, entries, following }) => [
      array,
      entries,
      ...following,
    ]),
  );
  const maps = program.maps.filter(
    ({ name }) =>
      !numbered.has(name) &&
      plan.objects.some(
        ({ object, strategy }) =>
          object === name && (strategy === "shard" || strategy === "copy"),
      ),
  );
  const stateDigest = mergedDigest(maps, run.contents);
  const isEqualState =
    stateDigest === mergedDigest(maps, [reference.contents]) &&
    parts.chains.every((chain) =>
      isEqualChain(
        chainState(chain, run.contents),
        chainState(chain, [reference.contents]),
      ),
    );
  const isEqual =
    order.lost + order.repeated + order.reordered + mismatches === 0 &&
    isEqualState;
  const verdicts = countVerdicts(run, programTypeRow(program.type).verdicts);
  const worst = Math.max(1, ...run.ticks.map(({ imbalance }) => imbalance));
  const over = run.ticks.filter(({ imbalance }) => imbalance > bearable);
  return {
    exit: isEqual ? 0 : 1,
    json: {
      schema: "divisi.run/1",
      program: program.name,
      from: path,
      packets: run.packets,
      verdicts,
      cores: run.counts.map((packets) => ({ packets })),
      misdirected: 0,
      mismatches,
      ...order,
      stateEqual: isEqualState,
      stateDigest,
      rebalance: {
        engine: request.isVirtual ? "virtual cores" : "threads",
        updates: run.updates,
        entriesMoved: run.moved,
        recordsMoved: run.records,
        worstImbalance: worst,
        overTime: run.ticks,
      },
    },
    text: [
      ...(isEqual ? [] : reasonsOf(order, mismatches, isEqualState)),
      `${program.name}: ${count(run.packets)} packets`,
      ...Object.entries(verdicts).map(
        ([name, packets]) => `  ${name.padEnd(10)} ${count(packets)}`,
      ),
      ...run.counts.map(
        (packets, core) => `  core ${core}     ${count(packets)} packets`,
      ),
      `  table      ${count(run.updates)} updates, ${count(run.moved)} entries and ${count(run.records)} records moved`,
      `  imbalance  at most ${worst.toFixed(2)}; above ${bearable.toFixed(1)} in ${count(over.length)} of ${count(run.ticks.length)} intervals`,
      `  order      ${count(order.lost)} lost, ${count(order.repeated)} twice, ${count(order.reordered)} out of order within their key`,
      `  equal      ${count(mismatches)} mismatches with the sequential program; state ${isEqualState ? "equal" : "differs"}`,
      `  state      ${stateDigest}`,
    ].join("\n"),
  };
}

const bearable = 1.2;

const count = (value: number): string => value.toLocaleString("en");

interface Reference {
  readonly verdicts: Uint32Array;
  readonly digests: Uint32Array;
  readonly contents: MapContents;
}

function sequentially({
  directory,
  inputs,
  contents,
  seed,
}: RebalanceRequest): Reference {
  const loaded = loadPortable(directory.analysed.program, {
    cpus: 1,
    seed,
    contents,
  });
  const verdicts = new Uint32Array(inputs.length);
  const digests = new Uint32Array(2 * inputs.length);
  let next = 0;
  loaded.runBatches(inputs, (slot) => {
    verdicts[next] = loaded.verdict(slot);
    loaded.digestInto(slot, digests, 2 * next++);
  });
  return { verdicts, digests, contents: loaded.contents() };
}

/** The same entries, whatever their indices. */
function isEqualChain(
  have: ReturnType<typeof chainState>,
  want: ReturnType<typeof chainState>,
): boolean {
  return (
    have.size === want.size &&
    [...have].every(([key, { text }]) => want.get(key)?.text === text)
  );
}

function differences(run: RebalanceRun, reference: Reference): number {
  let different = 0;
  for (const [packet, verdict] of run.verdicts.entries())
    if (
      verdict !== reference.verdicts[packet] ||
      run.digests[2 * packet] !== reference.digests[2 * packet] ||
      run.digests[2 * packet + 1] !== reference.digests[2 * packet + 1]
    )
      different++;
  return different;
}

function countVerdicts(
  { verdicts }: RebalanceRun,
  names: Readonly<Record<number, string>>,
): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const verdict of verdicts) {
    const name = names[verdict] ?? String(verdict);
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

function reasonsOf(
  { lost, repeated, reordered }: ReturnType<typeof orderOf>,
  mismatches: number,
  isEqualState: boolean,
): readonly string[] {
  return [
    ...(lost > 0 ? [`no: ${count(lost)} packets were lost`] : []),
    ...(repeated > 0 ? [`no: ${count(repeated)} packets ran twice`] : []),
    ...(reordered > 0 ? [`no: ${count(reordered)} packets out of order`] : []),
    ...(mismatches > 0 ? [`no: ${count(mismatches)} mismatches`] : []),
    ...(isEqualState ? [] : ["no: the state differs"]),
  ];
}
