/**
 * The plan for a program: each object gets the first strategy that fits (see
 * strategies.ts), then the NIC is asked for keys that serve all sharded objects
 * at once. Where it refuses, objects that could be merged as well are merged, as
 * few as possible; where that does not help either, one core does it all, and
 * the plan says why first and what dispatching in software would cost.
 */
import { InputError, nearest, printable } from "../base/index.ts";
import type {
  CoreNumber,
  StateObject,
  StateReport,
} from "../analysis/index.ts";
import type { FieldName } from "../packet/index.ts";
import {
  nicProfiles,
  solveKeys,
  type KeySolution,
  type NicProfile,
  type Requirement,
  type RssRefusal,
} from "../rss/index.ts";
import { demandsOf, type Demand } from "./conjuncts.ts";
import type { Context } from "./context.ts";
import {
  weaker,
  grades,
  type Deviation,
  type Grade,
  type ObjectPart,
  type Plan,
  type Port,
  type Rejected,
  type Runtime,
  type SoftwareDispatch,
  type StrategyName,
} from "./plan.ts";
import { refuse, type Refusal } from "./refusal.ts";
import { sequential } from "./sequential.ts";
import { softwareDispatch } from "./software-dispatch.ts";
import { strategies } from "./strategies.ts";

export interface PlanOptions {
  /** Default 4. */
  readonly cores?: number;
  /** Name of a shipped profile, or one of one's own; default generic. */
  readonly profile?: string | NicProfile;
  /** Default: what the program tests for, or one port for all. */
  readonly ports?: readonly Port[];
  /** For all objects that are written, or per object. */
  readonly force?: StrategyName | Readonly<Record<string, StrategyName>>;
  /** The weakest grade that is accepted; default partitioned (any). */
  readonly grade?: Grade;
  readonly seed?: number;
  /** Members of the null space that the key search draws. */
  readonly samples?: number;
}

export function choosePlan(
  report: StateReport,
  options: PlanOptions = {},
): Plan {
  const chooser = new Chooser(report, options);
  return chooser.plan();
}

/** Ports to plan for where the user named none. */
export function defaultPorts(report: StateReport): readonly Port[] {
  const tested = report.testedPorts ?? [];
  if (tested.length === 0) return [{ name: "any", ifindex: 0 }];
  const ports = tested.map((ifindex) => ({ name: `if${ifindex}`, ifindex }));
  const elsewhere = report.objects.some(({ accesses }) =>
    accesses.some(({ guard }) => guard.ifindex === undefined),
  );
  return elsewhere ? [...ports, { name: "other", ifindex: -1 }] : ports;
}

/** Fields that some NIC's receive-side scaling hashes. */
const hashed: readonly FieldName[] = [
  "ipv4.src",
  "ipv4.dst",
  "ipv6.src",
  "ipv6.dst",
  "l4.sport",
  "l4.dport",
  "tcp.sport",
  "tcp.dport",
  "udp.sport",
  "udp.dport",
];

export const contextOf = (ports: readonly Port[]): Context => ({
  ports,
  hashable: (field) => hashed.includes(field),
});

interface Attempt {
  readonly parts: readonly ObjectPart[];
  readonly requirement: Requirement;
  readonly demands: readonly (Demand & { readonly object: string })[];
  readonly answer: KeySolution | RssRefusal;
}

class Chooser {
  readonly #report: StateReport;
  readonly #options: PlanOptions;
  readonly #context: Context;
  readonly #profile: NicProfile;
  readonly #cores: number;
  readonly #refusals: Refusal[] = [];
  readonly #rejected: Rejected[] = [];

  constructor(report: StateReport, options: PlanOptions) {
    this.#report = report;
    this.#options = options;
    this.#context = contextOf(
      options.ports !== undefined && options.ports.length > 0
        ? options.ports
        : defaultPorts(report),
    );
    this.#profile = profileOf(options.profile ?? "generic");
    this.#cores = options.cores ?? 4;
  }

  plan(): Plan {
    const parts: ObjectPart[] = [];
    const hopeless: string[] = [];
    for (const object of this.#report.objects) {
      const part = this.#partOf(object);
      if (part === undefined) hopeless.push(object.name);
      else parts.push(part);
    }
    const away = this.#report.notes.find(({ code }) => code === "tail-call");
    if (away !== undefined) {
      const refusal = refuse("R-tail-call", {
        object: "",
        strategy: "shard",
        text: "a tail call leaves the program, and what it leads to may touch any state",
        ...(away.at === undefined ? {} : { at: away.at }),
        obligation: "all accesses to state are in the report",
        slice: away.at === undefined ? [] : [away.at],
        edit: "call the other program as a function",
      });
      this.#refusals.push(refusal);
      return this.#onOneCore([refusal]);
    }
    if (hopeless.length > 0)
      return this.#onOneCore(
        this.#refusals.filter(({ object }) => hopeless.includes(object)),
      );
    const forced = parts.some(({ strategy }) => strategy === "sequential");
    if (forced || this.#cores === 1) return this.#onOneCore([], true);
    const first = this.#attempt(parts);
    const best = accepted(first) ? first : (this.#withMerges(first) ?? first);
    if (accepted(best)) return this.#parallel(best);
    const refusals = this.#rssRefusals(best);
    this.#refusals.push(...refusals);
    return this.#onOneCore(refusals);
  }

  /** The first strategy that fits, or undefined. */
  #partOf(object: StateObject): ObjectPart | undefined {
    const forced = this.#forcedFor(object);
    const order: readonly StrategyName[] =
      forced === undefined ? ["copy", "shard", "merge"] : [forced];
    for (const name of order) {
      const answer = strategies[name](object, this.#context);
      if (answer.kind === "refusal") {
        // That what is written cannot be copied goes without saying.
        if (answer.code !== "R-written" || forced !== undefined)
          this.#refusals.push(answer);
        continue;
      }
      if (!this.#isAccepted(answer.grade)) {
        this.#rejected.push({
          strategy: name,
          object: object.name,
          reason: `grade ${answer.grade} is weaker than ${this.#options.grade}`,
        });
        continue;
      }
      return answer;
    }
    return undefined;
  }

  #forcedFor(object: StateObject): StrategyName | undefined {
    const { force } = this.#options;
    if (force === undefined) return undefined;
    if (typeof force !== "string") return force[object.name];
    const needsNone = strategies.copy(object, this.#context).kind === "part";
    return needsNone && force !== "sequential" ? undefined : force;
  }

  #isAccepted(grade: Grade): boolean {
    const weakest = this.#options.grade ?? "partitioned";
    return grades.indexOf(grade) <= grades.indexOf(weakest);
  }

  #attempt(parts: readonly ObjectPart[]): Attempt {
    const { ports } = this.#context;
    const demands = parts.flatMap((part) => {
      if (part.strategy !== "shard") return [];
      const object = this.#report.objects.find(
        ({ name }) => name === part.object,
      );
      return object === undefined
        ? []
        : demandsOf(object, ports).map((demand) => ({
            ...demand,
            object: object.name,
          }));
    });
    const requirement = {
      ports: ports.map(({ name }) => name),
      conjuncts: demands.map(({ conjunct }) => conjunct),
    };
    const { seed, samples } = this.#options;
    const answer = solveKeys(requirement, {
      profile: this.#profile,
      cores: this.#cores,
      ...(seed === undefined ? {} : { seed }),
      ...(samples === undefined ? {} : { samples }),
    });
    return { parts, requirement, demands, answer };
  }

  /** Merging one object that could be merged, or all of them, if that helps. */
  #withMerges(first: Attempt): Attempt | undefined {
    const merged = new Map<string, ObjectPart>();
    for (const object of this.#report.objects) {
      if (this.#forcedFor(object) !== undefined) continue;
      const part = strategies.merge(object, this.#context);
      const sharded = first.parts.some(
        (one) => one.object === object.name && one.strategy === "shard",
      );
      if (sharded && part.kind === "part" && this.#isAccepted(part.grade))
        merged.set(object.name, part);
    }
    const choices = [...merged.keys()].map((name) => [name]);
    if (merged.size > 1) choices.push([...merged.keys()]);
    for (const names of choices) {
      const parts = first.parts.map((part) =>
        names.includes(part.object) ? (merged.get(part.object) ?? part) : part,
      );
      const attempt = this.#attempt(parts);
      if (!accepted(attempt)) continue;
      const { answer } = first;
      for (const name of names)
        this.#rejected.push({
          strategy: "shard",
          object: name,
          reason:
            answer.kind === "refusal"
              ? `together with the other objects: ${answer.text}`
              : "not needed",
        });
      return attempt;
    }
    return undefined;
  }

  #parallel(best: Attempt): Plan {
    const { parts, answer, requirement } = best;
    const strategy = overall(parts);
    const free = requirement.conjuncts.length === 0;
    const common = this.#common(parts);
    return {
      ...common,
      deviations: [
        ...common.deviations,
        ...(this.#report.coreNumbers ?? []).map((what) => coreNumber[what]),
      ],
      strategy,
      cores: this.#cores,
      dispatch: { kind: free ? "any" : "nic" },
      runtime: runtimeOf(parts),
      requirement,
      ...(answer.kind === "solution" ? { rss: answer } : {}),
      alternatives: [],
    };
  }

  /** `chosen`: the user wants it so; nothing is to be explained. */
  #onOneCore(because: readonly Refusal[], chosen = false): Plan {
    const parts = this.#report.objects.map(sequential);
    const reason =
      because.find(({ strategy }) => strategy === "shard") ?? because[0];
    return {
      ...this.#common(parts),
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
      alternatives:
        chosen || because.some(({ code }) => code === "R-tail-call")
          ? []
          : this.#alternatives(),
    };
  }

  /** Software dispatch, where every written object is sharded by some key or merged. */
  #alternatives(): readonly SoftwareDispatch[] {
    const everything: Context = { ...this.#context, hashable: () => true };
    const demands: Demand[] = [];
    for (const object of this.#report.objects) {
      if (strategies.copy(object, everything).kind === "part") continue;
      if (strategies.shard(object, everything).kind === "part")
        demands.push(...demandsOf(object, everything.ports));
      else if (strategies.merge(object, everything).kind === "refusal")
        return [];
    }
    return softwareDispatch(everything.ports, demands);
  }

  #rssRefusals({ answer, demands }: Attempt): readonly Refusal[] {
    if (answer.kind !== "refusal") return [];
    const blamed = (answer.conjuncts ?? [0]).flatMap(
      (index) => demands[index] ?? [],
    );
    const names = [...new Set(blamed.map(({ object }) => object))];
    return (names.length > 0 ? names : [""]).map((object) => {
      const own = blamed.filter((demand) => demand.object === object);
      const [first] = own;
      return refuse(
        answer.code.startsWith("R") ? answer.code : `rss-${answer.code}`,
        {
          object,
          strategy: "shard",
          text: answer.text,
          ...(first === undefined ? {} : { at: first.pair[0].at }),
          obligation: `${this.#profile.name} has a key that sends packets with one owner to one queue`,
          slice: own
            .flatMap(({ pair }) => pair.map(({ at }) => at))
            .slice(0, 4),
          edit: answer.fix,
        },
      );
    });
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

// prettier-ignore
const coreNumber: Readonly<Record<CoreNumber, Deviation>> = {
  cpu: { code: "core-number", text: "the program reads the number of its CPU: what depends on it differs from one core's run" },
  queue: { code: "core-number", text: "the program reads the number of the receive queue: what depends on it differs from one core's run" },
};

/** Keys, or no need for any. */
function accepted({ answer, requirement }: Attempt): boolean {
  return answer.kind === "solution" || requirement.conjuncts.length === 0;
}

/** Guarded objects have one guard: a transaction's, if any asks for it. */
function runtimeOf(parts: readonly ObjectPart[]): Runtime {
  const named = (name: StrategyName): readonly string[] =>
    parts.flatMap(({ object, strategy }) => (strategy === name ? object : []));
  const objects = [...named("lock"), ...named("transaction")];
  if (objects.length === 0) return { kind: "plain" };
  const isLock = named("transaction").length === 0;
  return { kind: isLock ? "lock" : "transaction", objects };
}

/** Spreading packets by a hash is sharding, even where any hash will do. */
function overall(parts: readonly ObjectPart[]): StrategyName {
  const names = parts.map(({ strategy }) => strategy);
  return !names.includes("shard") && names.includes("merge")
    ? "merge"
    : "shard";
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
