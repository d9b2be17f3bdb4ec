/** What is told of the packets of a run: outcomes, without frames nobody asked for. */
import type { ParallelRun } from "../engine/index.ts";
import type { Outcome } from "../interp/index.ts";

/** An outcome, as far as it is told. */
export type Seen = Pick<Outcome, "verdict" | "fault"> &
  Partial<Pick<Outcome, "data">>;

/** Of a run that kept verdicts only; faults beyond the first are verdict 0 alone. */
export function seenIn({
  verdicts,
  firstFaults,
}: ParallelRun): readonly Seen[] {
  const seen: Seen[] = Array.from(verdicts, (verdict) => ({ verdict }));
  for (const { packet, text, at } of firstFaults)
    seen[packet] = { verdict: 0, fault: { text, at } };
  return seen;
}
