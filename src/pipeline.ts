/**
 * The list of verbs: load → analyse → plan → generate → certify; what a check runs
 * is trial.ts. Values in, values out; files, clocks and terminals belong to `cli`.
 */
import { analyse, type StateReport } from "./analysis/index.ts";
import { splitLayouts, tableUsers, type LayoutPart } from "./codegen/index.ts";
import {
  Bug,
  InputError,
  UnsupportedError,
  type Diagnostic,
} from "./base/index.ts";
import {
  isUnsized,
  printFunction,
  programTypeRow,
  programTypes,
  type MapSpec,
  type MapTypeName,
  type ProgramSpec,
  type ProgramTypeName,
} from "./isa/index.ts";
import { dispatchedObject, dispatchToFill } from "./dispatched.ts";
import {
  applyCoreRelocations,
  fillKconfig,
  hasVariable,
  portVariables,
  programSpec,
  readBtf,
  readObject,
  resizeMap,
  setMapType,
  setVariable,
  sizeMaps,
  writeObject,
  type KconfigLookup,
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
  balancePlan,
  choosePlan,
  portsFor,
  withPrivateTables,
  type PortFrame,
  type SteeringDemand,
  type Plan,
  type PlanOptions,
  type Port,
} from "./strategy/index.ts";

export interface LoadOptions {
  readonly file: string;
  readonly entry?: string;
  readonly type?: string;
  /** Values of read-only variables. */
  readonly set: readonly (readonly [string, string])[];
  readonly ports: readonly Port[];
  readonly userWrites: readonly string[];
  /** BTF of the kernel that CO-RE records are resolved against, read on demand. */
  readonly kernelBtf: () => Uint8Array | undefined;
  /** Entries of maps, by name. */
  readonly mapSizes?: readonly (readonly [string, number])[];
  /** Of maps that neither the object nor `mapSizes` sizes; default: they stay unsized. */
  readonly unsized?: number;
  /** Values of the kernel's configuration; default: they stay unknown. */
  readonly kernelConfig?: KconfigLookup;
}

/** An object with the program that was chosen from it, analysed. */
export interface Loaded {
  readonly object: ObjectSpec;
  readonly program: ProgramSpec;
  /** The program as bytes: the user's own unless a variable was set. */
  readonly source: Uint8Array;
  readonly notes: readonly Diagnostic[];
}

/**
 * Reads an object, sets variables, resolves CO-RE records, picks the program.
 * A port `lan` also sets the variable `lan_ifindex`, where there is one.
 */
export function load(bytes: Uint8Array, options: LoadOptions): Loaded {
  const original = readObject(bytes, options.file);
  let object = original;
  for (const { name, ifindex } of options.ports)
    if (hasVariable(object, `${name}_ifindex`))
      object = setVariable(object, `${name}_ifindex`, String(ifindex));
  for (const [name, value] of options.set)
    object = setVariable(object, name, value);
  for (const [name, entries] of options.mapSizes ?? [])
    object = resizeMap(object, name, entries);
  const source = object === original ? bytes : writeObject(object);
  const { object: resolved, notes } = completed(
    relocated(object, options),
    options,
  );
  const program = programSpec(resolved, {
    ...(options.entry === undefined ? {} : { entry: options.entry }),
    ...(options.type === undefined ? {} : { type: typeNamed(options.type) }),
  });
  mustBeUnderstood(program);
  return { object, program, source, notes: [...resolved.notes, ...notes] };
}

/** What a loader fills in, filled in: sizes, and values of the kernel's configuration. */
function completed(
  object: ObjectSpec,
  { unsized, kernelConfig }: LoadOptions,
): { object: ObjectSpec; notes: readonly Diagnostic[] } {
  const notes: Diagnostic[] = [];
  const note = (code: string, message: string): void => {
    notes.push({ code, severity: "note", message });
  };
  let filled = object;
  if (unsized !== undefined) {
    const sizes = sizeMaps(filled, unsized);
    filled = sizes.object;
    for (const name of sizes.sized)
      note(
        "map-size-assumed",
        `map ${name} has no size: ${filled.maps.find((map) => map.name === name)?.maxEntries ?? 0} assumed; --map-size ${name}=N says another`,
      );
  }
  if (kernelConfig !== undefined) {
    const { object: configured, missing } = fillKconfig(filled, kernelConfig);
    filled = configured;
    for (const name of missing)
      note(
        "kconfig-unknown",
        `${name} is not known here: no value is assumed, and runs read 0`,
      );
  }
  return { object: filled, notes };
}

/** Types that only the kernel runs are loaded beside others, no more. */
function mustBeUnderstood({ name, type }: ProgramSpec): void {
  if (programTypeRow(type).kernelOnly === true)
    throw new UnsupportedError(
      `${name} is a ${type} program: such programs are loaded, not analysed or run`,
      {
        feature: `programs of type ${type}`,
        fix: "choose an XDP or TC program with --entry",
      },
    );
}

function relocated(object: ObjectSpec, options: LoadOptions): ObjectSpec {
  if (object.functions.every((fn) => fn.coreRelocations.length === 0))
    return object;
  const bytes = options.kernelBtf();
  return bytes === undefined
    ? object
    : applyCoreRelocations(object, readBtf(bytes));
}

function typeNamed(name: string): ProgramTypeName {
  const found = (Object.keys(programTypes) as ProgramTypeName[]).find(
    (type) => type === name,
  );
  if (found !== undefined) return found;
  throw new InputError(
    `--type takes ${Object.keys(programTypes).join(", ")}; not ${name}`,
    { code: "program-type-unknown", kind: "usage" },
  );
}

/** What analysis says of a program, and the ports it may be asked about. */
export interface Analysed extends Loaded {
  readonly report: StateReport;
  readonly ports: readonly Port[];
}

/** The state report, with every port that the program tests bound to a name. */
export function analyseLoaded(loaded: Loaded, options: LoadOptions): Analysed {
  const report = analyse(loaded.program, { userWrites: options.userWrites });
  const bound =
    options.ports.length > 0 ? options.ports : portVariables(loaded.object);
  return { ...loaded, report, ports: portsFor(report, bound) };
}

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
  const plan = balancePlan(artifact.plan, packets);
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
