/**
 * The list of verbs behind load and analyse (analysed.ts): plan → generate → certify; what
 * a check runs is trial.ts. Values in, values out; files, clocks and terminals belong to `cli`.
 */
import type { Analysed } from "./analysed.ts";
import type { StateReport } from "./analysis/index.ts";
import { splitLayouts, tableUsers, type LayoutPart } from "./codegen/index.ts";
import { Bug, UnsupportedError } from "./base/index.ts";
import {
  isUnsized,
  printFunction,
  type MapSpec,
  type MapTypeName,
  type ProgramSpec,
} from "./isa/index.ts";
import {
  dispatchedObject,
  dispatchingOf,
  dispatchToFill,
  evenTable,
} from "./dispatched.ts";
import {
  programSpec,
  readObject,
  setMapType,
  writeObject,
  type ObjectSpec,
} from "./object/index.ts";
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
  choosePlan,
  withPrivateTables,
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
  const { plan, edited } = planAndEdit(analysed, report, options);
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

/** A plan whose layouts cannot be put into this program is made again without them. */
function planAndEdit(
  { object, program }: Analysed,
  report: StateReport,
  options: PlanOptions,
): { plan: Plan; edited: ObjectSpec } {
  const chosen = (more: PlanOptions): Plan =>
    withPrivateTables(choosePlan(report, more), report, {
      choice: more.layout ?? "shared",
      sizeOf: (map) =>
        program.maps.find(({ name }) => name === map)?.maxEntries ?? 0,
      filled: new Set(options.filled ?? []),
      obstacle: (map, capacities) => tableObstacle(object, map, capacities),
    });
  const plan = chosen(options);
  try {
    return { plan, edited: withLayouts(object, program, plan, report) };
  } catch (error) {
    if (!(error instanceof UnsupportedError) || layoutsOf(plan).length === 0)
      throw error;
    const again = chosen({
      ...options,
      layout: "shared",
      withoutLayouts: error.message,
    });
    return {
      plan: again,
      edited: withLayouts(object, program, again, report),
    };
  }
}

/** Why the program's calls with a map cannot become those of a table. */
function tableObstacle(
  object: ObjectSpec,
  map: string,
  capacities: readonly number[],
): string | undefined {
  try {
    tableUsers(object, { object: map, layout: "table", capacities });
    return undefined;
  } catch (error) {
    if (error instanceof UnsupportedError) return error.message;
    throw error;
  }
}

const layoutsOf = ({ objects, cores }: Plan): Plan["objects"] =>
  objects.filter(
    ({ layout }) =>
      layout === "table" ||
      (cores > 1 && (layout === "sliced" || layout === "allocator")),
  );

/** The object with its maps and look-ups as the plan has them. */
function withLayouts(
  object: ObjectSpec,
  program: ProgramSpec,
  plan: Plan,
  { objects }: StateReport,
): ObjectSpec {
  let edited = object;
  for (const part of plan.objects)
    if (part.layout === "per-cpu")
      edited = setMapType(edited, part.object, perCpuType(edited, part.object));
  const changed = layoutsOf(plan);
  if (changed.length === 0) return edited;
  if (object.functions.some((fn) => fn.coreRelocations.length > 0))
    throw new UnsupportedError(
      "its CO-RE records do not survive a change of its look-ups",
      {
        feature: "layouts of one's own beside CO-RE records",
        fix: "compile it for this kernel's types",
      },
    );
  const parts = changed.map((part): LayoutPart => {
    const { object: name, layout, capacities = [] } = part;
    if (layout === "table") return { object: name, layout, capacities };
    if (layout === "sliced") return { object: name, layout };
    const found = objects.find((one) => one.name === name)?.allocator;
    if (found === undefined) throw new Bug(`${name} is no allocator`);
    return { object: name, layout: "allocator", allocator: found };
  });
  return splitLayouts(edited, program.name, {
    cores: plan.cores,
    parts,
    source: plan.dispatch.kind === "software" ? "cpu" : "queue",
  });
}

const perCpuForms = {
  array: "percpu_array",
  hash: "percpu_hash",
  lru_hash: "lru_percpu_hash",
} as const;

function perCpuType(object: ObjectSpec, name: string): MapTypeName {
  const type = object.maps.find((map) => map.name === name)?.type;
  if (type === "array" || type === "hash" || type === "lru_hash")
    return perCpuForms[type];
  throw new Bug(`${name} cannot become per-CPU`);
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
      claim: "the instructions of core.o are those of source.o",
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
