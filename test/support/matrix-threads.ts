/**
 * The artifact of a plan on real threads, all of them in one memory.
 *
 * What is guarded equals the sequential program in the order of commits, exactly. What is
 * not has one core per cell: whatever the threads' timing, each packet's outcome and the
 * final state are those of the artifact on one thread in the order of arrival (which the
 * differential run compares with the sequential program). Where cores share a table's
 * room, timing decides who gets its last entry: such subjects are roomy.
 */
import { loadPortable, outcomeDigest, runParallel } from "#engine";
import { widened } from "#proof";
import type { PacketInput } from "#interp";
import type { Artifact } from "divisi";
import { tryGuarded } from "./guarded.ts";
import { episodesOf, type Cell, type MatrixSubject } from "./matrix.ts";
import { coreOf, planGuard } from "./matrix-plans.ts";

export async function threadedPart(
  subject: MatrixSubject,
  artifact: Artifact,
  cores: number,
): Promise<Pick<Cell, "mismatches" | "packets" | "first">> {
  const guard = planGuard(artifact, subject);
  const steered = coreOf(artifact, subject);
  const { emitted } = artifact;
  const packets = inOneRow(subject);
  const steer = steered(packets);
  const trial = {
    program: emitted,
    packets: packets.map((packet, at) => ({
      ...packet,
      cpu: steer[at] ?? 0,
      rxQueue: steer[at] ?? 0,
    })),
    steer,
    cores,
    contents: widened(subject.cover.contents, emitted, cores),
  };
  const differences =
    guard === undefined
      ? await plainDifferences(trial)
      : (await tryGuarded({ ...trial, guard })).differences;
  return {
    mismatches: differences.length,
    packets: packets.length,
    first: differences.slice(0, 5),
  };
}

/** Starting threads takes longer than a run: all episodes in one, the next behind the last. */
function inOneRow(subject: MatrixSubject): readonly PacketInput[] {
  let last = 0n;
  return episodesOf(subject).flatMap(({ packets }) => {
    const shift = last + 1n - (packets[0]?.time ?? 0n);
    const moved = packets.map((packet) => ({
      ...packet,
      time: packet.time + shift,
    }));
    last = moved.at(-1)?.time ?? last;
    return moved;
  });
}

async function plainDifferences(
  trial: Omit<Parameters<typeof tryGuarded>[0], "guard">,
): Promise<readonly string[]> {
  const { program, packets, cores, contents = {} } = trial;
  const run = await runParallel({
    ...trial,
    memory: "shared",
    keep: "digests",
  });
  const alone = loadPortable(program, { cpus: cores, contents });
  const differences: string[] = [];
  let number = 0;
  alone.runBatches(packets, (index) => {
    const outcome = alone.outcome(index);
    const [low, high] = outcomeDigest(outcome);
    if (low !== run.digests[2 * number] || high !== run.digests[2 * number + 1])
      differences.push(
        `packet ${number} on core ${packets[number]?.cpu}: ${run.verdicts[number]}, but ${outcome.verdict}`,
      );
    number++;
  });
  if (run.cores[0]?.digest !== alone.digest())
    differences.push("the final state");
  return differences;
}
