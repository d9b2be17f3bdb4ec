/**
 * The list of verbs behind load and analyse (analysed.ts): plan → generate → certify; what
 * a check runs is trial.ts. Values in, values out; files, clocks and terminals belong to `cli`.
 */
import type { Analysed } from "./analysed.ts";
import {
  isUnsized,
  printFunction,
  type MapSpec,
  type ProgramSpec,
} from "./isa/index.ts";
import {
  dispatchedObject,
  dispatchingOf,
  dispatchToFill,
  evenTable,
} from "./dispatched.ts";
import { editedFor } from "./edited.ts";
import { programSpec, readObject, writeObject } from "./object/index.ts";
import { toInitialise, type Certificate, type Proved } from "./proof/index.ts";
import {
  inputsOf,
  nicSetup,
  violated,
  type NicProfile,
  type NicSetup,
} from "./rss/index.ts";
import {
  balanceDispatch,
  balancePlan,
  emittedFile,
  type PortFrame,
  type SteeringDemand,
  type Plan,
  type PlanOptions,
} from "./strategy/index.ts";

/** A parallel version: the edited object, its bytes, and the NIC's set-up. */
export interface Artifact {
  readonly plan: Plan;
  readonly bytes: Uint8Array;
  readonly emitted: ProgramSpec;
  readonly setup: NicSetup | undefined;
}

/** Chooses, and writes the object that was chosen. */
export function generate(
  analysed: Analysed,
  profile: NicProfile,
  options: PlanOptions,
): Artifact {
  const { object, program, report } = analysed;
  const { plan, edited } = editedFor(analysed, options);
  const isDispatched = plan.dispatch.kind === "software";
  const emitted = isDispatched
    ? dispatchedObject(edited, {
        entry: program.name,
        plan,
        readsQueue: report.coreNumbers?.includes("queue") === true,
        seed: options.seed ?? 1,
        movable: options.movable === true,
      })
    : edited;
  const bytes = emitted === object ? analysed.source : writeObject(emitted);
  return {
    plan,
    bytes,
    emitted: reread(bytes, program),
    setup: plan.rss === undefined ? undefined : nicSetup(plan.rss, profile),
  };
}

/** The program as the emitted bytes hold it; records resolved as in the source. */
export function reread(
  bytes: Uint8Array,
  source: ProgramSpec,
  file = "core.o",
): ProgramSpec {
  const object = readObject(bytes, file);
  const again = programSpec(object, { entry: source.name, type: source.type });
  const maps = again.maps.map((map) => {
    const known = source.maps.find(({ name }) => name === map.name);
    return known === undefined ? map : asLoaded(map, known);
  });
  const isResolved = object.functions.some(
    (fn) => fn.coreRelocations.length > 0,
  );
  // CO-RE records stay in the file for the loader; what runs here is resolved.
  return {
    ...again,
    maps,
    ...(isResolved ? { functions: source.functions } : {}),
  };
}

/** What the loader fills in is the same for both. */
function asLoaded(map: MapSpec, known: MapSpec): MapSpec {
  const { inner, data } = known;
  return {
    ...map,
    ...(isUnsized(map) ? { maxEntries: known.maxEntries } : {}),
    ...(map.inner === undefined || inner === undefined
      ? {}
      : { inner: asLoaded(map.inner, inner) }),
    ...(map.data === undefined && data !== undefined ? { data } : {}),
  };
}

/** The same with indirection tables for these packets. */
export function balanced(
  artifact: Artifact,
  profile: NicProfile,
  packets: Iterable<PortFrame>,
): Artifact {
  const { plan: made } = artifact;
  if (made.dispatch.kind === "software") {
    const dispatching = dispatchingOf(
      readObject(artifact.bytes, "core.o"),
      made,
    );
    return {
      ...artifact,
      plan: balanceDispatch(made, packets, {
        entries: evenTable(made.cores),
        entryOf: ({ frame, port }) => dispatching.of(frame, port).entry,
      }),
    };
  }
  const plan = balancePlan(made, packets);
  if (plan.rss === undefined || plan.balance === undefined) return artifact;
  return { ...artifact, plan, setup: nicSetup(plan.rss, profile) };
}

/** What the emitted settings must serve, for their mutants. */
export function demandOf({ plan }: Artifact): SteeringDemand {
  return {
    requirement: plan.requirement,
    mode: plan.rss?.mode ?? "index",
    constrained: plan.rss?.ports.map(({ constrained }) => constrained) ?? [],
  };
}

/** The certificate over everything that is emitted. */
export function certify(
  analysed: Analysed,
  artifact: Artifact,
  found: Pick<Certificate, "tested" | "guarded" | "verifier" | "sha256">,
): Certificate {
  return {
    schema: "divisi.certificate/1",
    proved: proofs(analysed, artifact),
    ...found,
    rewrittenCalls: found.tested.rewrittenCalls,
    initialise: [
      ...toInitialise(artifact.emitted),
      ...(artifact.plan.dispatch.kind === "software" ? dispatchToFill : []),
    ],
    deviations: artifact.plan.deviations.map(({ text }) => text),
  };
}

function proofs({ program }: Analysed, artifact: Artifact): Proved[] {
  const proved: Proved[] = [];
  const text = (spec: ProgramSpec): string =>
    spec.functions.map(printFunction).join("\n");
  if (text(program) === text(artifact.emitted))
    proved.push({
      by: "structural",
      claim: `the instructions of ${emittedFile(artifact.plan)} are those of source.o`,
    });
  const { plan, setup } = artifact;
  if (plan.rss === undefined || setup === undefined) return proved;
  if (plan.requirement.conjuncts.length === 0) return proved;
  const [first] = setup.ports;
  if (first === undefined) return proved;
  const broken = violated(
    plan.requirement,
    setup.ports.map(({ key }) => key),
    {
      inputs: inputsOf(first.fields),
      tableBits: Math.log2(first.table.entries.length),
      mode: plan.rss.mode,
    },
  );
  if (broken === undefined)
    proved.push({
      by: "linear-algebra",
      claim:
        "packets that can reach one cell have one table index under the emitted keys, for all packets, as the analysis reads the keys and the profile reads the NIC",
    });
  return proved;
}
