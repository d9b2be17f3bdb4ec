/** The check of what an engine guards, over a part of the packets of `split`. */
import { checkGuarded, guardOf, type GuardedResult } from "../guarded.ts";
import type { Analysed } from "../analysed.ts";
import type { Artifact } from "../pipeline.ts";
import { widened } from "../proof/index.ts";
import { portConfig } from "../rss/index.ts";
import { SteeringInputs } from "../strategy/index.ts";
import type { TracePacket } from "../traffic/index.ts";
import { toInputs, type Cover } from "../trial.ts";

/** Interleaved steps are ten times as slow as a run. */
const mostPackets = 4000;

/** Undefined: nothing is guarded. */
export function guardedPart(
  { report, ports }: Analysed,
  { plan, emitted, setup }: Artifact,
  found: {
    readonly cover: Cover;
    readonly trace: readonly TracePacket[];
    readonly seed: number;
  },
): GuardedResult | undefined {
  const guard = guardOf(plan.runtime, report, emitted);
  if (guard === undefined) return undefined;
  const { cores } = plan;
  const packets = [
    ...found.cover.packets,
    ...toInputs(found.trace.slice(0, mostPackets), ports),
  ];
  const seen = new SteeringInputs();
  const numbers = packets.map(({ data, ifindex }) =>
    seen.intern(
      data,
      ports.findIndex((port) => port.ifindex === ifindex),
    ),
  );
  const steering =
    setup === undefined
      ? (input: number) => input % cores
      : seen.cores(setup.ports.map(({ name }) => portConfig(setup, name)));
  return checkGuarded({
    program: emitted,
    guard,
    cores,
    packets,
    coreOf: (packet) => steering(numbers[packet] ?? 0),
    contents: widened(found.cover.contents, emitted, cores) ?? {},
    seed: found.seed,
  });
}
