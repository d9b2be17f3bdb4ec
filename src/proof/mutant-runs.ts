/** Wrong settings and wrong programs, each of which the differential run must notice. */
import { VerifierError } from "../base/index.ts";
import {
  BytecodeMachine,
  createState,
  type PacketInput,
} from "../interp/index.ts";
import type { Tested } from "./certificate.ts";
import { compareRecords } from "./compare.ts";
import { widened } from "./contents.ts";
import type { DifferentialOptions, Episode } from "./differential.ts";
import type { Steering } from "./ownership.ts";
import { negatedBranches } from "./program-mutants.ts";
import type { Runner } from "./record.ts";
import type { Reference } from "./reference-run.ts";
import { edgeName, TakenEdges } from "./taken-edges.ts";

/** Steering mutants by ownership; program mutants on the head of each episode. */
export function runMutants(
  options: DifferentialOptions,
  reference: Reference,
): Tested["mutants"] {
  const survivors: string[] = [];
  let total = 0;
  const judge = (name: string, killed: boolean): void => {
    total++;
    if (!killed) survivors.push(name);
  };
  for (const mutant of options.steeringMutants)
    judge(
      mutant.name,
      mutant
        .steerings()
        .some((steering) => reference.ownership.hasConflict(steering)),
    );

  const heads = options.episodes.map((episode, index) =>
    (
      reference.parted[index]?.packets ?? steered(episode, options.steering)
    ).slice(0, episode.head ?? headLength),
  );
  const run = options.runEmitted();
  const want =
    options.mutants === 0 ? [] : heads.map((head) => run(head, options.cores));
  const edges =
    options.mutants === 0
      ? new Set<string>()
      : edgesOf(options, reference, heads);
  for (const mutant of negatedBranches(
    options.emitted,
    (at) => edges.has(edgeName(at, true)) && edges.has(edgeName(at, false)),
    options.seed,
    options.mutants,
  )) {
    const runMutant = options.runEmitted(mutant.program);
    if (isRefused(runMutant, options)) continue;
    const killed = heads.some((head, index) => {
      const record = want[index];
      return (
        record !== undefined &&
        compareRecords(record, runMutant(head, options.cores), options.rules)
          .mismatches > 0
      );
    });
    judge(mutant.name, killed);
  }
  return { killed: total - survivors.length, total, survivors };
}

/** Edges that the packets take in the emitted program, whose places may be others. */
function edgesOf(
  options: DifferentialOptions,
  { edges }: Reference,
  heads: readonly (readonly PacketInput[])[],
): ReadonlySet<string> {
  const { sequential, emitted, cores, contents, seed } = options;
  const isSame = sequential.functions.every(
    ({ name, instructions }, index) =>
      emitted.functions[index]?.name === name &&
      emitted.functions[index].instructions.length === instructions.length,
  );
  if (isSame) return edges;
  const own = new TakenEdges();
  const observer = { branch: own.note };
  for (const head of heads) {
    const state = createState(emitted.maps, {
      cpus: cores,
      contents: widened(contents ?? {}, emitted, cores),
    });
    const machine = new BytecodeMachine(emitted, state, { seed, observer });
    for (const packet of head) machine.run(packet);
  }
  return own.names();
}

/** The kernel takes not every mutant: what it refuses says nothing of the check. */
function isRefused(
  run: Runner,
  { engine, cores }: DifferentialOptions,
): boolean {
  if (engine !== "kernel") return false;
  try {
    run([], cores);
    return false;
  } catch (error) {
    if (error instanceof VerifierError) return true;
    throw error;
  }
}

/** Packets of each episode that a program mutant gets to see. */
const headLength = 4096;

/** The packets of an episode on their cores. */
export function steered(episode: Episode, steering: Steering): PacketInput[] {
  return episode.packets.map((packet, index) => {
    const core = steering(episode.steering[index] ?? 0);
    return { ...packet, cpu: core, rxQueue: core };
  });
}
