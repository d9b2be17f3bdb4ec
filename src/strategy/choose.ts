/**
 * The plan for a program: each family of objects gets the first strategy that fits
 * (strategies.ts), then the NIC is asked for keys that serve all sharded objects at
 * once. Where it refuses, as few families as possible go another way. What needs
 * neither lock nor transaction is preferred; where something does, the cheapest of
 * the candidates is taken (cost.ts), one core that does it all among them, and the
 * plan says why first and what the others would have cost.
 */
import { Bug, InputError, nearest, printable } from "../base/index.ts";
import type { StateReport } from "../analysis/index.ts";
import { nicProfiles, type NicProfile } from "../rss/index.ts";
import { attempt, type Attempt, type Choice } from "./attempt.ts";
import {
  candidateName,
  guardedOtherwise,
  guards,
  isGuarded,
  isTransaction,
  preferred,
  withFewerShards,
} from "./candidates.ts";
import { demandsOf, type Demand } from "./conjuncts.ts";
import { contextOf, defaultPorts, type Context } from "./context.ts";
import { familiesOf, type Family } from "./families.ts";
import {
  costOf,
  coreNumberDeviations,
  overall,
  rejectedOf,
  runtimeOf,
  withCost,
  type Priced,
} from "./plan-parts.ts";
import {
  weaker,
  type Deviation,
  type Grade,
  type ObjectPart,
  type Plan,
  type Port,
  type Rejected,
  type SoftwareDispatch,
} from "./plan.ts";
import type { TableChoice } from "./private-tables.ts";
import { estimatesOf, pricedAttempt } from "./pricing.ts";
import { refuse, type Refusal } from "./refusal.ts";
import { softwareDispatch } from "./software-dispatch.ts";
import { strategies } from "./strategies.ts";
import type { TrafficFacts } from "./traffic-facts.ts";
import { before, unitsOf, type Force, type Unit } from "./ways.ts";

export interface PlanOptions {
  /** Default 4. */
  readonly cores?: number;
  /** Name of a shipped profile, or one of one's own; default generic. */
  readonly profile?: string | NicProfile;
  /** Default: what the program tests for, or one port for all. */
  readonly ports?: readonly Port[];
  /** For all objects that are written, or per object. */
  readonly force?: Force;
  /** The weakest grade that is accepted; default partitioned (any). */
  readonly grade?: Grade;
  /** What may stand around a packet's run, where nothing is forced; default: nothing. */
  readonly guards?: readonly ("lock" | "transaction")[];
  /** Why cores cannot have cells of their own in this program. */
  readonly withoutLayouts?: string;
  /** What the user's traffic does to the state: for the estimates. */
  readonly traffic?: TrafficFacts;
  readonly seed?: number;
  /** Members of the null space that the key search draws. */
  readonly samples?: number;
  /** Who brings packets to their cores; default nic. */
  readonly dispatch?: "nic" | "software";
  /** Entries of the software dispatcher's table may move while packets pass. */
  readonly movable?: boolean;
  /** Tables of each core's own in place of hash maps; default auto. */
  readonly layout?: TableChoice;
  /** Maps that have contents from outside. */
  readonly filled?: readonly string[];
}

export function choosePlan(
  report: StateReport,
  options: PlanOptions = {},
): Plan {
  const chooser = new Chooser(report, options);
  return chooser.plan();
}

/** A guard has to be this much cheaper than a plan that needs none … */
const guardMargin = 0.75;
/** … and a transaction than a lock, which runs no packet more than twice. */
const transactionMargin = 0.75;

/** Fields that most packets agree on. */
const fewValues = new Set(["ipv4.protocol", "ipv6.next-header", "eth.type"]);

class Chooser {
  readonly #report: StateReport;
  readonly #options: PlanOptions;
  readonly #context: Context;
  readonly #profile: NicProfile;
  readonly #cores: number;
  readonly #families: readonly Family[];
  readonly #units: readonly Unit[];
  readonly #refusals: Refusal[] = [];
  readonly #rejected: Rejected[] = [];
  readonly #attempts = new Map<string, Attempt>();

  constructor(report: StateReport, options: PlanOptions) {
    this.#report = report;
    this.#options = options;
    this.#cores = options.cores ?? 4;
    this.#families = familiesOf(report.objects);
    this.#profile = profileOf(options.profile ?? "generic");
    this.#context = contextOf({
      report,
      profile: this.#profile,
      ports:
        options.ports !== undefined && options.ports.length > 0
          ? options.ports
          : defaultPorts(report),
      cores: this.#cores,
      dispatch: options.dispatch,
      withoutLayouts: options.withoutLayouts,
    });
    this.#units = unitsOf(this.#families, this.#context, options);
  }

  plan(): Plan {
    const tailCall = this.#tailCall();
    if (tailCall !== undefined) {
      this.#refusals.push(tailCall);
      return this.#onOneCore([tailCall]);
    }
    const first = preferred(this.#units);
    if (first === undefined) {
      this.#say();
      return this.#onOneCore(this.#hopeless());
    }
    const isSequential = first.some(({ way }) => way.strategy === "sequential");
    if (isSequential || this.#cores === 1) return this.#onOneCore([], true);
    this.#say();
    const attempted = this.#attempt(first);
    const best =
      attempted.refusals === undefined ? attempted : this.#instead(first);
    if (best === undefined) {
      const because = attempted.refusals ?? [];
      this.#refusals.push(...because);
      return this.#onOneCore(because);
    }
    if (best !== attempted) this.#notSharded(attempted, best);
    return this.#cheapest(best);
  }

  #attempt(choices: readonly Choice[]): Attempt {
    const { seed, samples } = this.#options;
    const name = candidateName(choices);
    const known = this.#attempts.get(name);
    if (known !== undefined) return known;
    const made = attempt(choices, this.#context, {
      profile: this.#profile,
      ...(seed === undefined ? {} : { seed }),
      ...(samples === undefined ? {} : { samples }),
    });
    this.#attempts.set(name, made);
    return made;
  }

  /** Tells why what is preferred to each family's first way does not do. */
  #say(): void {
    for (const { ways, refusals, rejected } of this.#units) {
      this.#refusals.push(...before(refusals, ways[0]));
      this.#rejected.push(...before(rejected, ways[0]));
    }
  }

  /** Why families have no way at all. */
  #hopeless(): readonly Refusal[] {
    return this.#units.flatMap(({ ways, refusals }) =>
      ways.length === 0 ? refusals : [],
    );
  }

  #tailCall(): Refusal | undefined {
    const away = this.#report.notes.find(({ code }) => code === "tail-call");
    return away === undefined
      ? undefined
      : refuse("R-tail-call", {
          object: "",
          strategy: "shard",
          text: "a tail call leaves the program, and what it leads to may touch any state",
          ...(away.at === undefined ? {} : { at: away.at }),
          obligation: "all accesses to state are in the report",
          slice: away.at === undefined ? [] : [away.at],
          edit: "call the other program as a function",
        });
  }

  /** What the NIC can do, with fewer sharded families. */
  #instead(first: readonly Choice[]): Attempt | undefined {
    for (const choices of withFewerShards(first)) {
      const next = this.#attempt(choices);
      if (next.refusals === undefined) return next;
    }
    return undefined;
  }

  /** Why families that could be sharded alone are not. */
  #notSharded(failed: Attempt, best: Attempt): void {
    const refusals = failed.refusals ?? [];
    const reason = refusals[0]?.text ?? "";
    for (const [index, { way, unit }] of best.choices.entries())
      if (
        failed.choices[index]?.way.strategy === "shard" &&
        way.strategy !== "shard"
      ) {
        const object = unit.family.head.name;
        this.#rejected.push({
          strategy: "shard",
          object,
          reason: `together with the other objects: ${reason}`,
        });
        if (way.strategy !== "merge")
          this.#refusals.push(
            ...refusals.filter((refusal) => refusal.object === object),
          );
      }
  }

  /** `best`, the same guarded otherwise, or one core: what takes least time. */
  #cheapest(best: Attempt): Plan {
    const priced = [this.#priced(best)];
    const known = new Set([candidateName(best.choices)]);
    for (const choices of guardedOtherwise(best.choices)) {
      const name = candidateName(choices);
      if (known.has(name)) continue;
      known.add(name);
      const other = this.#attempt(choices);
      if (other.refusals === undefined) priced.push(this.#priced(other));
    }
    const alone = this.#priced(undefined);
    // Who asks for a guard gets it, whatever it costs.
    const isAsked = best.choices.some(
      ({ unit, way }) => unit.isForced && guards.includes(way.strategy),
    );
    const [chosen, ...others] = [...priced, ...(isAsked ? [] : [alone])].sort(
      (a, b) => weight(a) - weight(b),
    );
    if (chosen === undefined) throw new Bug("no candidate");
    for (const other of others) this.#rejected.push(rejectedOf(other, chosen));
    const { attempt } = chosen;
    const plan =
      attempt === undefined
        ? this.#onOneCore(this.#guardRefusals(best), false, chosen)
        : this.#parallel(attempt, chosen);
    return this.#withEstimates(plan, (attempt ?? best).choices, attempt);
  }

  #priced(attempt: Attempt | undefined): Priced {
    const { traffic } = this.#options;
    return pricedAttempt(attempt, {
      report: this.#report,
      cores: this.#cores,
      traffic,
    });
  }

  /** Of a plan that came from `choices`. */
  #withEstimates(
    plan: Plan,
    choices: readonly Choice[],
    chosen: Attempt | undefined,
  ): Plan {
    const estimates = estimatesOf(choices, {
      chosen,
      attemptOf: (others) => this.#attempt(others),
      priceOf: (attempt) => this.#priced(attempt),
    });
    return estimates.length === 0 ? plan : { ...plan, estimates };
  }

  #costFacts() {
    return {
      traffic: this.#options.traffic,
      ports: this.#context.ports,
      objects: this.#report.objects,
    };
  }

  /** Why what is guarded is not sharded. */
  #guardRefusals({ choices }: Attempt): readonly Refusal[] {
    const names = new Set(
      choices
        .filter(({ way }) => guards.includes(way.strategy))
        .map(({ unit }) => unit.family.head.name),
    );
    return this.#refusals.filter(
      ({ object, strategy }) => strategy === "shard" && names.has(object),
    );
  }

  #parallel(best: Attempt, priced: Priced): Plan {
    const { solution, requirement, choices } = best;
    const parts = best.parts.map((part) => withCost(part, priced));
    const common = this.#common(parts);
    const forced = choices.every(
      ({ unit, way }) => unit.isForced || !guards.includes(way.strategy),
    );
    const [because] = this.#guardRefusals(best);
    return {
      ...common,
      deviations: [
        ...common.deviations,
        ...coreNumberDeviations(this.#report.coreNumbers ?? []),
      ],
      strategy: overall(parts),
      cores: this.#cores,
      dispatch: best.software ?? {
        kind: requirement.conjuncts.length === 0 ? "any" : "nic",
      },
      runtime: runtimeOf(parts, this.#report.objects),
      requirement,
      ...(solution === undefined ? {} : { rss: solution }),
      ...(forced || because === undefined ? {} : { fallback: because.text }),
      cost: costOf(priced, this.#costFacts()),
      alternatives: forced ? [] : this.#alternatives(),
    };
  }

  /** `chosen`: the user wants it so; nothing is to be explained. */
  #onOneCore(
    because: readonly Refusal[],
    chosen = false,
    priced = this.#priced(undefined),
  ): Plan {
    const reason =
      because.find(({ strategy }) => strategy === "shard") ?? because[0];
    const isElsewhere = because.some(({ code }) => code === "R-tail-call");
    return {
      ...this.#common(priced.parts.map((part) => withCost(part, priced))),
      strategy: "sequential",
      cores: 1,
      dispatch: { kind: "one-core" },
      runtime: { kind: "plain" },
      requirement: {
        ports: this.#context.ports.map(({ name }) => name),
        conjuncts: [],
      },
      ...(chosen
        ? {}
        : {
            fallback: reason?.text ?? "no strategy of the accepted grade fits",
          }),
      cost: costOf(priced, this.#costFacts()),
      alternatives: chosen || isElsewhere ? [] : this.#alternatives(),
    };
  }

  /** Software dispatch, where every written object is sharded by some key or merged. */
  #alternatives(): readonly SoftwareDispatch[] {
    const everything: Context = {
      ...this.#context,
      hashable: () => true,
      vlanTags: 2,
    };
    const demands: Demand[] = [];
    for (const { head } of this.#families) {
      if (strategies.copy(head, everything).kind === "part") continue;
      if (strategies.shard(head, everything).kind === "part")
        demands.push(...demandsOf(everything.familyOf(head), everything.ports));
      else if (strategies.merge(head, everything).kind === "refusal") return [];
    }
    return softwareDispatch(everything.ports, demands).filter(({ fields }) =>
      fields.every((one) => one.fields.some((name) => !fewValues.has(name))),
    );
  }

  #common(parts: readonly ObjectPart[]) {
    const deviations = new Map<string, Deviation>();
    for (const deviation of parts.flatMap((part) => part.deviations))
      deviations.set(`${deviation.code} ${deviation.text}`, deviation);
    return {
      program: this.#report.program,
      grade: parts.reduce<Grade>(
        (all, { grade }) => weaker(all, grade),
        "exact",
      ),
      profile: this.#profile.name,
      ports: this.#context.ports,
      objects: parts,
      refusals: this.#refusals,
      rejected: this.#rejected,
      deviations: [...deviations.values()],
      notes: this.#report.notes,
    };
  }
}

/** Estimates are compared with what is simpler preferred. */
function weight({ attempt, total }: Priced): number {
  if (attempt === undefined) return total;
  if (!isGuarded(attempt.choices)) return total * guardMargin;
  return isTransaction(attempt.choices) ? total / transactionMargin : total;
}

function profileOf(profile: string | NicProfile): NicProfile {
  if (typeof profile !== "string") return profile;
  const known = nicProfiles[profile];
  if (known !== undefined) return known;
  const near = nearest(profile, Object.keys(nicProfiles));
  throw new InputError(
    `unknown NIC profile ${printable(profile)}${near === undefined ? "" : `; did you mean ${near}?`}`,
    { code: "nic-unknown", kind: "usage" },
  );
}
