/**
 * The plan, and the object as the plan has it: private layouts, per-CPU types, kernel
 * locks. What a program does not let be done to it sends the plan back: layouts to be
 * chosen again without them, locks to the portable engine, which guards whole packets.
 */
import type { StateReport } from "./analysis/index.ts";
import { Bug, UnsupportedError } from "./base/index.ts";
import {
  splitLayouts,
  tableUsers,
  withKernelLocks,
  withLocks,
  type LayoutPart,
  type LockRefusal,
} from "./codegen/index.ts";
import {
  helperByNumber,
  type MapTypeName,
  type ProgramSpec,
} from "./isa/index.ts";
import { setMapType, type ObjectSpec } from "./object/index.ts";
import {
  choosePlan,
  kernelLocked,
  kernelRefused,
  refuse,
  withPrivateTables,
  type KernelLock,
  type Plan,
  type PlanOptions,
  type Refusal,
} from "./strategy/index.ts";

/** What is divided, with what is known of it. */
export interface Divided {
  readonly object: ObjectSpec;
  readonly program: ProgramSpec;
  readonly report: StateReport;
}

export interface Edited {
  readonly plan: Plan;
  readonly edited: ObjectSpec;
}

/** A plan whose layouts cannot be put into this program is made again without them. */
export function editedFor(divided: Divided, options: PlanOptions): Edited {
  const { object, program, report } = divided;
  const chosen = (more: PlanOptions): Plan =>
    withPrivateTables(choosePlan(report, more), report, {
      // What moves at run time is in maps that all cores share.
      choice: more.layout ?? (more.movable === true ? "shared" : "auto"),
      isPinned: (map) =>
        program.maps.some(
          ({ name, pinning }) => name === map && pinning !== undefined,
        ),
      sizeOf: (map) =>
        program.maps.find(({ name }) => name === map)?.maxEntries ?? 0,
      filled: new Set(options.filled ?? []),
      obstacle: (map, capacities) => tableObstacle(object, map, capacities),
    });
  const plan = chosen(options);
  try {
    return edit(divided, plan);
  } catch (error) {
    if (!(error instanceof UnsupportedError) || layoutsOf(plan).length === 0)
      throw error;
    // Tables are only faster; without other layouts the plan is another one.
    if (plan.objects.some(({ layout }) => layout === "table"))
      return editedFor(divided, { ...options, layout: "shared" });
    const again = chosen({
      ...options,
      layout: "shared",
      withoutLayouts: error.message,
    });
    return edit(divided, again);
  }
}

function edit({ object, program, report }: Divided, given: Plan): Edited {
  const { plan, edited } = locked(object, program, given);
  return { plan, edited: withLayouts(edited, program, plan, report) };
}

/** What a guard around each object that is written would be in the kernel. */
export function kernelLocksOf({
  object,
  report,
}: Divided): ReadonlyMap<string, KernelLock | Refusal> {
  const written = report.objects.filter(
    ({ access, name }) =>
      (access === "read-write" || access === "add-only") &&
      object.maps.some((map) => map.name === name),
  );
  return new Map(
    written.map(({ name }) => {
      const answer = withLocks(object, name);
      return [
        name,
        answer.kind === "refused"
          ? refusal(answer)
          : { object: name, how: answer.how },
      ];
    }),
  );
}

/** Guarded objects with locks of their own, if all of them take one. */
function locked(object: ObjectSpec, program: ProgramSpec, plan: Plan): Edited {
  const { runtime } = plan;
  if (runtime.kind === "plain") return { plan, edited: object };
  const answer = withKernelLocks(object, runtime.objects);
  if (answer.kind === "refused")
    return {
      plan: kernelRefused(plan, answer.refusals.map(refusal)),
      edited: object,
    };
  const moved = answer.code.functions.find(
    (fn, at) =>
      fn.coreRelocations.length > 0 &&
      fn.instructions !== object.functions[at]?.instructions,
  );
  if (moved !== undefined)
    return {
      plan: kernelRefused(plan, [
        refuse("R-lock-shape", {
          object: runtime.objects[0] ?? "",
          strategy: "lock",
          text: `${moved.name}: its CO-RE records do not survive a change of its code`,
          obligation: "the code can be changed",
          slice: [],
          edit: "compile it for this kernel's types",
        }),
      ]),
      edited: object,
    };
  const readsTime = program.functions.some(({ instructions }) =>
    instructions.some(
      (instruction) =>
        instruction.kind === "call" &&
        instruction.callee.kind === "helper" &&
        helperByNumber(instruction.callee.helper)?.reads.includes("time"),
    ),
  );
  return {
    plan: kernelLocked(plan, answer.objects, { readsTime }),
    edited: answer.code,
  };
}

function refusal({ code, object, at, text, edit }: LockRefusal): Refusal {
  return refuse(code, {
    object,
    strategy: "lock",
    text,
    at,
    obligation: "one lock of the kernel makes a packet's accesses one step",
    slice: [at],
    edit,
  });
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
