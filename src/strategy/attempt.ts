/**
 * One way per family, and whether the NIC can do what the sharded ones ask for
 * together: first any linear hash (linear-owner.ts), then the NIC's own (rss).
 */
import { Bug } from "../base/index.ts";
import {
  solveKeys,
  type KeySolution,
  type NicProfile,
  type Requirement,
  type RssRefusal,
} from "../rss/index.ts";
import { demandsOf, type Demand } from "./conjuncts.ts";
import type { Context } from "./context.ts";
import type { ObjectPart, SoftwareDispatch } from "./plan.ts";
import { refuse, type Refusal } from "./refusal.ts";
import { narrowedPart, ownersFor, type Owners } from "./shard.ts";
import { disjoint } from "./shard-refusals.ts";
import { softwareDispatch } from "./software-dispatch.ts";
import type { Unit, Way } from "./ways.ts";

export interface Choice {
  readonly unit: Unit;
  readonly way: Way;
}

export interface Attempt {
  readonly choices: readonly Choice[];
  readonly parts: readonly ObjectPart[];
  readonly requirement: Requirement;
  readonly solution?: KeySolution;
  /** In place of the NIC's. */
  readonly software?: SoftwareDispatch;
  /** Why not; absent: it can be done. */
  readonly refusals?: readonly Refusal[];
}

export interface KeySearch {
  readonly profile: NicProfile;
  readonly seed?: number;
  readonly samples?: number;
}

interface OwnedDemand extends Demand {
  readonly object: string;
}

export function attempt(
  choices: readonly Choice[],
  context: Context,
  { profile, seed, samples }: KeySearch,
): Attempt {
  const demands = choices.flatMap(({ unit: { family }, way }) =>
    way.strategy === "shard"
      ? demandsOf(family, context.ports, {
          slices: context.withoutLayouts === undefined,
        }).map((demand): OwnedDemand => ({
          ...demand,
          object: family.head.name,
        }))
      : [],
  );
  const requirement: Requirement = {
    ports: context.ports.map(({ name }) => name),
    conjuncts: demands.map(({ conjunct }) => conjunct),
  };
  const parts = choices.flatMap(({ way }) => way.parts);
  const common = { choices, parts, requirement };
  const owners = ownersFor(demands, context);
  if (owners.kind === "quarrel" || owners.kind === "stuck")
    return { ...common, refusals: apart(choices, owners) };
  const narrowed = choices.flatMap(({ unit: { family }, way }) => {
    // Owners of packets that it is asked of: of one version, say.
    const own = owners.owners.filter(({ conjuncts }) =>
      conjuncts.some((at) => demands[at]?.object === family.head.name),
    );
    return way.parts.map((part) =>
      part.strategy === "shard" ? narrowedPart(part, own, context) : part,
    );
  });
  const [software] = context.software
    ? softwareDispatch(context.ports, demands)
    : [];
  if (software !== undefined) return { ...common, parts: narrowed, software };
  const answer = solveKeys(requirement, {
    profile,
    cores: context.cores,
    ...(seed === undefined ? {} : { seed }),
    ...(samples === undefined ? {} : { samples }),
  });
  if (answer.kind === "refusal")
    return demands.length === 0
      ? common
      : { ...common, refusals: nicRefusals(answer, demands, profile) };
  return {
    ...common,
    parts: narrowed,
    solution: answer,
  };
}

/** Families that could be sharded each, and not together. */
function apart(
  choices: readonly Choice[],
  owners: Exclude<Owners, { kind: "owners" }>,
): readonly Refusal[] {
  const [one, other = one] = owners.demands;
  if (one === undefined || other === undefined)
    throw new Bug("nobody to blame");
  const pair = [one, other] as const;
  const names = new Set(
    pair.flatMap((demand) => demand.pair.map(({ object }) => object)),
  );
  return choices.flatMap(({ unit: { family } }) =>
    family.members.some(({ name }) => names.has(name))
      ? [disjoint(family.head, pair)]
      : [],
  );
}

function nicRefusals(
  answer: RssRefusal,
  demands: readonly OwnedDemand[],
  { name }: NicProfile,
): readonly Refusal[] {
  const blamed = (answer.conjuncts ?? [0]).flatMap(
    (index) => demands[index] ?? [],
  );
  const objects = [...new Set(blamed.map(({ object }) => object))];
  return (objects.length > 0 ? objects : [""]).map((object) => {
    const own = blamed.filter((demand) => demand.object === object);
    const at = own[0]?.pair[0].access.at;
    return refuse(
      answer.code.startsWith("R") ? answer.code : `rss-${answer.code}`,
      {
        object,
        strategy: "shard",
        text: answer.text,
        ...(at === undefined ? {} : { at }),
        obligation: `${name} has a key that sends packets with one owner to one queue`,
        slice: own
          .flatMap(({ pair }) => pair.map(({ access }) => access.at))
          .slice(0, 4),
        edit: answer.fix,
      },
    );
  });
}
