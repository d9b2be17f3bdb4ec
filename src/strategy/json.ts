/**
 * JSON of `analyze` (schema divisi.analyze/1) and of the plan's part of `split`
 * (divisi.split/1): plain values, fields as the command line's contract has them.
 */
import { printPlace, type Place } from "../base/index.ts";
import type { StateReport } from "../analysis/index.ts";
import type { KeySolution } from "../rss/index.ts";
import { contextOf, defaultPorts } from "./context.ts";
import type { KernelGuard, KernelLock } from "./kernel-guard.ts";
import type { ObjectPart, Plan, Port, StrategyName } from "./plan.ts";
import type { Refusal } from "./refusal.ts";
import { strategies } from "./strategies.ts";

export interface AnalyzeFacts {
  readonly type: string;
  readonly ms: number;
  readonly ports?: readonly Port[];
  /** Default 4. */
  readonly cores?: number;
  /** By object that is written: the kernel's lock, or why there is none. */
  readonly kernelLocks?: ReadonlyMap<string, KernelLock | Refusal>;
}

export function analyzeJson(report: StateReport, facts: AnalyzeFacts) {
  const context = contextOf({
    report,
    ports:
      facts.ports !== undefined && facts.ports.length > 0
        ? facts.ports
        : defaultPorts(report),
    cores: facts.cores ?? 4,
  });
  return {
    schema: "divisi.analyze/1",
    program: {
      name: report.program,
      type: facts.type,
      insns: report.instructions,
      maps: report.objects.length,
    },
    objects: report.objects.map((object) => ({
      name: object.name,
      type: object.type,
      access: object.access,
      cpuIndexed: object.cpuIndexed,
      userWrites: object.userWrites,
      accesses: object.accesses.map(({ id, op, key, guard, at }) => ({
        id,
        op,
        key: key.text,
        guard: guard.text,
        at: placeJson(at),
      })),
      strategies: [
        ...verdictsOf((name) => strategies[name](object, context)),
        ...guardVerdicts(
          (name) => strategies[name](object, context),
          facts.kernelLocks?.get(object.name),
        ),
      ],
    })),
    races: report.races.map(({ object, kind, at, text }) => ({
      object,
      kind,
      at: at.map(placeJson),
      text,
    })),
    notes: report.notes.map(({ code, message, at }) => ({
      code,
      text: message,
      ...(at === undefined ? {} : { at: placeJson(at) }),
    })),
    testsPort: report.testsPort === true,
    ms: facts.ms,
  };
}

/** The plan's fields of `split`; certificate and files stand beside them. */
export function planJson(plan: Plan) {
  return {
    strategy: plan.strategy,
    grade: plan.grade,
    cores: plan.cores,
    nic: plan.profile,
    ports: plan.ports,
    ...(plan.fallback === undefined ? {} : { fallback: plan.fallback }),
    objects: plan.objects.map((part) => ({
      name: part.object,
      strategy: part.strategy,
      grade: part.grade,
      layout: part.layout,
      layoutChanged: part.layoutChanged,
      reason: part.reason,
      ...(part.fields === undefined ? {} : { fields: fieldsJson(part) }),
      ...(part.rule === undefined ? {} : { rule: part.rule }),
      ...(part.forcedBy === undefined ? {} : { forcedBy: part.forcedBy }),
      ...(part.capacities === undefined ? {} : { capacities: part.capacities }),
      ...(part.cost === undefined ? {} : { cost: part.cost }),
    })),
    refusals: plan.refusals.map(refusalJson),
    rejected: plan.rejected,
    dispatch: plan.dispatch.kind,
    ...(plan.dispatch.kind === "software" && plan.dispatch.table !== undefined
      ? { dispatchTable: plan.dispatch.table }
      : {}),
    runtime: plan.runtime,
    ...(plan.kernel === undefined ? {} : { kernel: kernelJson(plan.kernel) }),
    cost: plan.cost,
    ...(plan.estimates === undefined ? {} : { estimates: plan.estimates }),
    ...(plan.rss === undefined ? {} : { rss: rssJson(plan.rss) }),
    ...(plan.balance === undefined ? {} : { balance: plan.balance }),
    alternatives: plan.alternatives,
    deviations: plan.deviations,
  };
}

function verdictsOf(ask: (name: StrategyName) => ObjectPart | Refusal) {
  return (["copy", "shard", "merge"] as const).map((name) => {
    const answer = ask(name);
    if (answer.kind === "refusal")
      return { name, verdict: "no", reasons: [reasonJson(answer)] };
    return {
      name,
      verdict: "yes",
      ...(answer.fields === undefined ? {} : { fields: fieldsJson(answer) }),
      ...(answer.rule === undefined ? {} : { rule: answer.rule }),
      grade: answer.grade,
      reasons: [{ code: "fits", text: answer.reason }],
    };
  });
}

/** What fits anything, and what it is in the kernel; not told of what needs no guard. */
function guardVerdicts(
  ask: (name: StrategyName) => ObjectPart | Refusal,
  kernel: KernelLock | Refusal | undefined,
) {
  if (kernel === undefined) return [];
  const inKernel =
    "how" in kernel
      ? { verdict: "yes", how: kernel.how }
      : { verdict: "no", reasons: [reasonJson(kernel)] };
  return (["lock", "transaction"] as const).flatMap((name) => {
    const part = ask(name);
    return part.kind === "refusal"
      ? []
      : [
          {
            name,
            verdict: "yes",
            grade: part.grade,
            reasons: [{ code: "fits", text: part.reason }],
            kernel: inKernel,
          },
        ];
  });
}

/** How guarded objects are locked in the kernel, or why they are not. */
function kernelJson(kernel: KernelGuard) {
  return kernel.kind === "locked"
    ? kernel
    : { kind: kernel.kind, refusals: kernel.refusals.map(refusalJson) };
}

function fieldsJson({ fields = [] }: ObjectPart) {
  return fields.map(({ port, fields }) => ({ port, fields }));
}

function reasonJson({ code, text, at, edit }: Refusal) {
  return {
    code,
    text,
    ...(at === undefined ? {} : { at: placeJson(at) }),
    edit,
  };
}

function refusalJson(refusal: Refusal) {
  return {
    object: refusal.object,
    strategy: refusal.strategy,
    ...reasonJson(refusal),
    obligation: refusal.obligation,
    slice: refusal.slice.map(placeJson),
  };
}

function rssJson(rss: KeySolution) {
  return {
    mode: rss.mode,
    ports: rss.ports.map(({ name, key, set, rank, imbalance }) => ({
      name,
      fields: set,
      key,
      freeBits: rss.freeBits,
      rank,
      imbalance,
    })),
  };
}

function placeJson(at: Place) {
  return { text: printPlace(at), ...at };
}
