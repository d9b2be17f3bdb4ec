/**
 * Shard: every packet that may touch a cell goes to the core that owns the cell.
 *
 * Fits a family of objects whose demands (conjuncts.ts) leave some linear function
 * of hashable header bits to name the owner. Rules: R1 equal keys, R2 a part that
 * all keys have, or the bits that a hash is made of, R5 what an index that comes
 * with a packet is compared with; refusals R3, R4, R5 (shard-refusals.ts).
 *
 * Grade: exact as long as no table fills; partitioned where cores have copies
 * (layout sliced) or ranges of indices (layout allocator) of their own.
 * Not promised: that a NIC's Toeplitz hash can compute such a function (rss).
 */
import { Bug } from "../base/index.ts";
import type { StateObject } from "../analysis/index.ts";
import { capacitySplit } from "./capacity.ts";
import { interchangesOf } from "./claims.ts";
import { demandsOf, type Demand } from "./conjuncts.ts";
import type { Context } from "./context.ts";
import type { Family } from "./families.ts";
import { fieldsOfPorts, ownersOf, type Owner } from "./linear-owner.ts";
import type { Layout, ObjectPart, PortFields, Rule } from "./plan.ts";
import type { Refusal } from "./refusal.ts";
import { deviationsOf } from "./shard-deviations.ts";
import {
  behindTags,
  disjoint,
  fewerEntriesThanIndices,
  noLayouts,
  notInterchangeable,
  stuck,
  tooFewIndices,
  writtenOutside,
} from "./shard-refusals.ts";

/** May packets be spread so that each cell has one core? */
export function shard(
  object: StateObject,
  context: Context,
): ObjectPart | Refusal {
  const family = context.familyOf(object);
  const refusal = allocatorRefusal(family, context);
  if (refusal !== undefined) return { ...refusal, object: object.name };
  const demands = demandsOf(family, context.ports, {
    slices: context.withoutLayouts === undefined,
  });
  const answer = ownersFor(demands, context);
  if (answer.kind === "stuck") return stuck(object, answer.demands, context);
  if (answer.kind === "quarrel") return disjoint(object, answer.demands);
  const behind = family.members
    .flatMap(({ accesses }) => accesses)
    .find(({ guard }) => (guard.tags ?? 0) > context.vlanTags);
  if (behind !== undefined) return behindTags(object, behind, context);
  return partOf(object, family, { demands, owners: answer.owners }, context);
}

/** Who may own cells under all demands at once, or those to blame that nobody can. */
export type Owners =
  | { readonly kind: "owners"; readonly owners: readonly Owner[] }
  | { readonly kind: "stuck"; readonly demands: readonly Demand[] }
  | { readonly kind: "quarrel"; readonly demands: readonly [Demand, Demand] };

export function ownersFor(
  demands: readonly Demand[],
  { hashable }: Pick<Context, "hashable">,
): Owners {
  const solve = (some: readonly Demand[]): readonly Owner[] =>
    ownersOf(
      some.map(({ conjunct }) => conjunct),
      hashable,
    );
  const owners = solve(demands);
  if (!isStuck(owners)) return { kind: "owners", owners };
  const hopeless = demands.filter((demand) => isStuck(solve([demand])));
  return hopeless.length === 0
    ? { kind: "quarrel", demands: quarrel(demands, solve) }
    : { kind: "stuck", demands: hopeless };
}

/**
 * Some TCP or UDP packets all have to meet, or all packets of every kind. (That
 * all others meet is no loss: NICs send them to one queue anyway.)
 */
function isStuck(owners: readonly Owner[]): boolean {
  const isEmpty = ({ fields }: Owner) => fields.length === 0;
  return (
    (owners.length > 0 && owners.every(isEmpty)) ||
    owners.some(
      (owner) =>
        isEmpty(owner) && owner.classes.some((name) => /^(tcp|udp)/.test(name)),
    )
  );
}

/** The first demand that, with those before it, leaves no owner; and one it quarrels with. */
function quarrel(
  demands: readonly Demand[],
  solve: (some: readonly Demand[]) => readonly Owner[],
): readonly [Demand, Demand] {
  let low = 1;
  let high = demands.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isStuck(solve(demands.slice(0, middle)))) high = middle;
    else low = middle + 1;
  }
  const last = demands[low - 1];
  if (last === undefined) throw new Bug("no demand to blame");
  const other = demands
    .slice(0, low - 1)
    .find((demand) => isStuck(solve([demand, last])));
  return [other ?? demands[0] ?? last, last];
}

/** What of an allocator cannot be divided, whatever the keys are. */
function allocatorRefusal(
  family: Family,
  { cores, withoutLayouts }: Context,
): Refusal | undefined {
  const { allocator } = family;
  if (allocator?.allocator === undefined) return undefined;
  if (withoutLayouts !== undefined) return noLayouts(allocator, withoutLayouts);
  const written = family.members.find(({ userWrites }) => userWrites);
  if (written !== undefined)
    return writtenOutside(written, "cores cannot have indices of their own");
  const broken = interchangesOf(family).find(({ holds }) => !holds);
  if (broken !== undefined) return notInterchangeable(family, broken);
  const { capacity, entries } = allocator.allocator;
  if (capacity < cores) return tooFewIndices(allocator, capacity, cores);
  const map = family.members.find(({ name }) => name === entries);
  return map?.maxEntries !== undefined && map.maxEntries < capacity
    ? fewerEntriesThanIndices(map, allocator, capacity)
    : undefined;
}

interface Answered {
  readonly demands: readonly Demand[];
  readonly owners: readonly Owner[];
}

function partOf(
  object: StateObject,
  family: Family,
  answered: Answered,
  context: Context,
): ObjectPart {
  const { demands, owners } = answered;
  const fields = namedFields(owners);
  // A demand of IPv4 packets is not narrowed by what owns IPv6 ones.
  const narrowed = demands.map(({ conjunct }, index) =>
    isNarrower(
      fieldsOfPorts(
        owners.filter(({ conjuncts }) => conjuncts.includes(index)),
      ),
      fieldsOfPorts(ownersOf([conjunct], context.hashable)),
    ),
  );
  // The demand that leaves least is the one that forces the choice.
  const crossing = demands.find(({ pair }) =>
    pair.some(({ kind }) => kind === "interchange"),
  );
  const cause = crossing ?? demands[narrowed.indexOf(false)] ?? demands[0];
  const isSliced = demands.some(({ pair }) =>
    pair.some(({ kind }) => kind === "arguments"),
  );
  const rule: Rule =
    crossing !== undefined
      ? "R5"
      : isSliced || narrowed.includes(true)
        ? "R2"
        : "R1";
  const isAllocator = object === family.allocator;
  const layout: Layout = isSliced
    ? "sliced"
    : isAllocator
      ? "allocator"
      : "as-is";
  return {
    kind: "part",
    object: object.name,
    strategy: "shard",
    grade: isSliced || family.allocator !== undefined ? "partitioned" : "exact",
    reason: reasonOf(fields, demands.length, context),
    fields,
    rule,
    ...(cause === undefined
      ? {}
      : {
          forcedBy: [cause.pair[0].access.id, cause.pair[1].access.id] as const,
          forcedAt: [cause.pair[0].access.at, cause.pair[1].access.at] as const,
        }),
    layout,
    ...(isAllocator && object.allocator !== undefined
      ? { capacities: capacitySplit(object.allocator.capacity, context.cores) }
      : {}),
    layoutChanged: layout !== "as-is",
    deviations: deviationsOf(object, family, { layout, cores: context.cores }),
  };
}

/** The same part, where all sharded objects together leave fewer fields. */
export function narrowedPart(
  part: ObjectPart,
  together: readonly Owner[],
  context: Context,
): ObjectPart {
  const { fields = [] } = part;
  if (fields.length === 0) return part;
  const ports = new Set(fields.map(({ port }) => port));
  const left = namedFields(together).filter(({ port }) => ports.has(port));
  if (!isNarrower(left, fields)) return part;
  return {
    ...part,
    fields: left,
    ...(part.rule === "R1" ? { rule: "R2" } : {}),
    reason: reasonOf(left, 1, context),
  };
}

function namedFields(owners: readonly Owner[]): readonly PortFields[] {
  return fieldsOfPorts(owners).filter(({ fields }) => fields.length > 0);
}

function reasonOf(
  fields: readonly PortFields[],
  demands: number,
  { ports }: Context,
): string {
  if (demands === 0) return "no packet of these ports reaches it";
  const named = fields.map(
    ({ port, fields }) =>
      `${fields.join(", ")}${ports.length > 1 ? ` on ${port}` : ""}`,
  );
  return `one core per ${named.join("; ")}`;
}

/** Fewer bits than before on a port that had some. */
function isNarrower(
  now: readonly PortFields[],
  before: readonly PortFields[],
): boolean {
  return before.some(({ port, fields }) => {
    const left = now.find((one) => one.port === port)?.fields ?? [];
    return fields.length > 0 && fields.join() !== left.join();
  });
}
