/** What the three machines said to one program: figures, and every disagreement. */
import { UnsupportedError } from "#base";
import type { Kernel } from "#engine";
import { programTypeRow } from "#isa";
import type { Cover } from "#proof";
import { isComparable } from "#engine";
import {
  Edges,
  compared,
  edgeText,
  outcomeText,
  runInterp,
  runIr,
  runKernel,
  runPortable,
  type MachineName,
  type Ran,
} from "./machines.ts";
import { episodeOf, type Episode, type Subject } from "./subjects.ts";

export interface AgreeOptions {
  readonly kernel: Kernel;
  readonly packets: number;
  /** Other searches: what they reach is reachable too. */
  readonly searches?: readonly Cover[];
  /** Packets of an episode, which begins on fresh state. */
  readonly per?: number;
}

export interface Agreement {
  readonly packets: number;
  /** Branch edges that the packets took, that any search or packet took, and all. */
  readonly reached: number;
  readonly reachable: number;
  readonly edges: number;
  readonly verdicts: Readonly<Record<string, number>>;
  /** Maps that held something at an end, of those compared. */
  readonly maps: readonly string[];
  readonly events: number;
  readonly mismatches: readonly string[];
  /** Machines that took no part, and why. */
  readonly refused: Readonly<Partial<Record<MachineName, string>>>;
  /** Calls of the kernel's copy that were rewritten. */
  readonly rewritten: number;
}

export function agree(subject: Subject, options: AgreeOptions): Agreement {
  const { kernel, packets, per = 5_000 } = options;
  const edges = new Edges();
  const verdicts: Record<string, number> = {};
  const maps = new Set<string>();
  const mismatches: string[] = [];
  const refused: Partial<Record<MachineName, string>> = {};
  let [done, events, rewritten] = [0, 0, 0];
  const names = programTypeRow(subject.program.type).verdicts;
  for (let index = 0; done < packets; index++) {
    const episode = episodeOf(subject, index, Math.min(per, packets - done));
    const want = runInterp(subject, episode, { observer: edges.observer });
    for (const fault of want.record.faults.slice(0, 2))
      mismatches.push(`interp faults at packet ${fault.packet}: ${fault.text}`);
    for (const verdict of want.record.verdicts) {
      const name = names[verdict] ?? String(verdict);
      verdicts[name] = (verdicts[name] ?? 0) + 1;
    }
    for (const map of subject.program.maps)
      if (
        isComparable(map) &&
        !map.readOnly &&
        (want.record.state.get(map.name)?.size ?? 0) > 0
      )
        maps.add(map.name);
    for (let at = 0; at < want.record.effects.length; at += 2)
      if (want.record.effects[at] !== 0) events++;
    const others: Record<string, (watch?: ReadonlySet<number>) => Ran> = {
      portable: (watch) => runPortable(subject, episode, watched(watch)),
      kernel: (watch) => {
        const ran = runKernel(subject, episode, { kernel, ...watched(watch) });
        ({ rewritten } = ran);
        return ran;
      },
      // The lifted program takes no tail calls to other programs.
      ...(index === 0 && subject.programs.length === 0
        ? { ir: (watch) => runIr(subject, episode, watched(watch)) }
        : {}),
    };
    for (const [machine, run] of Object.entries(others)) {
      if (machine in refused) continue;
      try {
        mismatches.push(...differences(subject, episode, want, run, machine));
      } catch (error) {
        if (!(error instanceof UnsupportedError)) throw error;
        refused[machine as MachineName] = error.message;
      }
    }
    if (index === 0 && rewritten === 0 && !("kernel" in refused))
      mismatches.push(
        ...differences(
          subject,
          episode,
          want,
          (watch) =>
            runKernel(subject, episode, {
              kernel,
              asIs: true,
              ...watched(watch),
            }),
          "kernel, unmodified",
        ),
      );
    done += episode.packets.length;
    if (mismatches.length > 20) break;
  }
  const reached = edges.names(subject.program);
  const { total, missing } = subject.cover.branches;
  const elsewhere = (options.searches ?? []).map(
    ({ branches }) => new Set(branches.missing.map(edgeText)),
  );
  const unknown = missing
    .map(edgeText)
    .filter(
      (edge) =>
        !reached.has(edge) && elsewhere.every((other) => other.has(edge)),
    ).length;
  return {
    packets: done,
    reached: reached.size,
    reachable: total - unknown,
    edges: total,
    verdicts,
    maps: [...maps],
    events,
    mismatches,
    refused,
    rewritten,
  };
}

function watched(watch: ReadonlySet<number> | undefined) {
  return watch === undefined ? {} : { watch };
}

/** The differences in words; the first packet that differs with both outcomes. */
function differences(
  subject: Subject,
  episode: Episode,
  want: Ran,
  run: (watch?: ReadonlySet<number>) => Ran,
  machine: string,
): string[] {
  const found = compared(subject, want, run());
  if (found.mismatches === 0) return [];
  const [first] = found.first;
  const at = first?.packet;
  const lines = found.first.map(
    ({ packet, text }) => `${machine}: packet ${packet ?? "-"}: ${text}`,
  );
  if (at === undefined) return lines;
  const watch = new Set([at]);
  const input = episode.packets[at];
  return [
    `${machine}: ${found.mismatches} mismatches`,
    ...lines.slice(0, 3),
    `  packet ${at} on ${input?.ifindex} at ${input?.time}: ${Buffer.from(input?.data ?? []).toString("hex")}`,
    `  interp: ${outcomeText(runInterp(subject, episode, { watch }).watched.get(at))}`,
    `  ${machine}: ${outcomeText(run(watch).watched.get(at))}`,
  ];
}
