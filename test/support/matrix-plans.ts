/**
 * The plans of a subject on so many cores: the one that is chosen, and those that its
 * objects allow when a strategy is forced. Plans that come to the same are one.
 *
 * - plan: as chosen; parts may be guarded, the others sharded, copied or merged
 * - plan, transaction: the same with transactions where it chose locks
 * - merge, lock, transaction: for all objects that need a strategy and take it
 */
import type { GuardOptions } from "#codegen";
import { portConfig } from "#rss";
import { SteeringInputs, type Plan, type StrategyName } from "#strategy";
import type { PacketInput } from "#interp";
import { guardOf, type Artifact } from "divisi";
import { artifactOf, planTexts, type MatrixSubject } from "./matrix.ts";

export const strategyKinds = [
  "plan",
  "plan, transaction",
  "merge",
  "lock",
  "transaction",
] as const;
export type StrategyKind = (typeof strategyKinds)[number];

export interface MatrixPlan {
  readonly kind: StrategyKind;
  readonly cores: number;
  readonly artifact: Artifact;
}

type Force = StrategyName | Readonly<Record<string, StrategyName>> | undefined;

/** One after the other; what is not wanted is not made. */
export function* plansOf(
  subject: MatrixSubject,
  cores: number,
  wanted: (kind: StrategyKind) => boolean,
): Generator<MatrixPlan> {
  const done = new Set<string>();
  for (const kind of strategyKinds) {
    if (!wanted(kind)) continue;
    const force = forceOf(subject, cores, kind);
    if (force === "none") continue;
    const artifact = artifactOf(subject, cores, force);
    const { plan } = artifact;
    const text = JSON.stringify([plan.runtime.kind, planTexts(plan)]);
    if (done.has(text)) continue;
    done.add(text);
    // What runs on one core of several is no parallel version.
    if (cores > 1 && plan.strategy === "sequential") continue;
    yield { kind, cores, artifact };
  }
}

function forceOf(
  subject: MatrixSubject,
  cores: number,
  kind: StrategyKind,
): Force | "none" {
  if (kind === "plan") return undefined;
  if (kind !== "plan, transaction") return kind;
  const { runtime } = artifactOf(subject, cores).plan;
  if (runtime.kind === "plain") return "none";
  return Object.fromEntries(
    runtime.objects.map((name) => [name, "transaction"] as const),
  );
}

/** As the engine is told it; undefined: nothing is guarded. */
export function planGuard(
  { plan, emitted }: Artifact,
  { analysed }: MatrixSubject,
): GuardOptions | undefined {
  return guardOf(plan.runtime, analysed.report, emitted);
}

/** Core of a packet as the emitted settings of the NIC have it. */
export function coreOf(
  { plan, setup }: Artifact,
  { analysed }: MatrixSubject,
): (packets: readonly PacketInput[]) => Uint8Array {
  return (packets) => {
    const seen = new SteeringInputs();
    const numbers = packets.map(({ data, ifindex }) =>
      seen.intern(data, portOf(analysed.ports, ifindex)),
    );
    const steering =
      setup === undefined
        ? (input: number) => input % plan.cores
        : seen.cores(setup.ports.map(({ name }) => portConfig(setup, name)));
    return Uint8Array.from(numbers, steering);
  };
}

function portOf(ports: Plan["ports"], ifindex: number): number {
  return ports.findIndex((port) => port.ifindex === ifindex);
}
