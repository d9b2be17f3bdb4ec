/**
 * Shard: every packet that may touch a cell goes to the core that owns the cell.
 *
 * Fits an object whose demands (conjuncts.ts) leave some linear function of
 * hashable header bits to name the owner. Grade: exact, as long as no table fills.
 * Rules: R1 equal keys, R2 a part that all keys have; refusals R3 and R4.
 * Not promised: that a NIC's Toeplitz hash can compute such a function (rss).
 */
import { Bug } from "../base/index.ts";
import {
  reasonText,
  type Access,
  type StateObject,
} from "../analysis/index.ts";
import { demandsOf, type Demand } from "./conjuncts.ts";
import type { Context } from "./context.ts";
import { fieldsOfPorts, ownersOf, type Owner } from "./linear-owner.ts";
import type { Deviation, ObjectPart, PortFields } from "./plan.ts";
import { refuse, type Refusal } from "./refusal.ts";

/** May packets be spread so that each cell has one core? */
export function shard(
  object: StateObject,
  context: Context,
): ObjectPart | Refusal {
  const demands = demandsOf(object, context.ports);
  const solve = (some: readonly Demand[]): readonly Owner[] =>
    ownersOf(
      some.map(({ conjunct }) => conjunct),
      context.hashable,
    );
  const alone = demands.map((demand) => solve([demand]));
  const hopeless = demands.find((_, index) => isStuck(alone[index] ?? []));
  if (hopeless !== undefined) return stuck(object, hopeless, context);
  const together = solve(demands);
  if (isStuck(together)) return disjoint(object, ...quarrel(demands, solve));
  const fields = fieldsOfPorts(together).filter(
    ({ fields }) => fields.length > 0,
  );
  const narrowed = alone.map((one) => isNarrower(fields, fieldsOfPorts(one)));
  // The demand that leaves least is the one that forces the choice.
  const cause = demands[narrowed.indexOf(false)] ?? demands[0];
  return {
    kind: "part",
    object: object.name,
    strategy: "shard",
    grade: "exact",
    reason:
      demands.length === 0
        ? "no packet of these ports reaches it"
        : `one core per ${fields.map(({ port, fields }) => `${fields.join(", ")}${context.ports.length > 1 ? ` on ${port}` : ""}`).join("; ")}`,
    fields,
    rule: narrowed.includes(true) ? "R2" : "R1",
    ...(cause === undefined
      ? {}
      : {
          forcedBy: [cause.pair[0].id, cause.pair[1].id] as const,
          forcedAt: [cause.pair[0].at, cause.pair[1].at] as const,
        }),
    layout: "as-is",
    layoutChanged: false,
    deviations: deviationsOf(object),
  };
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
  return [last, other ?? demands[0] ?? last];
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

function stuck(
  object: StateObject,
  { conjunct, pair }: Demand,
  context: Context,
): Refusal {
  const [left, right] = pair;
  const obligation = `packets that touch one cell of ${object.name} agree on some header bits that the NIC hashes`;
  const common = {
    object: object.name,
    strategy: "shard",
    obligation,
    at: left.at,
    slice: [left.at, right.at],
  } as const;
  if (conjunct.equations.length === 0) {
    const { code, text, edit } = opaque(left) ?? opaque(right) ?? constant;
    return refuse(code, { ...common, text: `${object.name}: ${text}`, edit });
  }
  const named = conjunct.equations.flatMap(({ left, right }) =>
    [...left.bits, ...right.bits].map(({ field }) => field),
  );
  const odd = [...new Set(named.filter((field) => !context.hashable(field)))];
  const some = named.some((field) => context.hashable(field));
  if (odd.length > 0 && !some) {
    const mac = odd.every((field) => /^eth\.(src|dst)$/.test(field));
    const vlan = odd.every((field) => field.startsWith("vlan"));
    return refuse(mac ? "R4-mac" : vlan ? "R4-vlan" : "R4-unhashable", {
      ...common,
      text: `${object.name} is keyed by ${odd.join(", ")}, which no NIC hashes`,
      edit: "key by addresses or ports, or dispatch in software",
    });
  }
  return disjoint(object, { conjunct, pair }, { conjunct, pair });
}

function disjoint(object: StateObject, one: Demand, other: Demand): Refusal {
  const [left] = one.pair;
  const keys = new Set([...one.pair, ...other.pair].map(({ key }) => key.text));
  return refuse("R3-disjoint", {
    object: object.name,
    strategy: "shard",
    text: `${object.name} is touched under ${[...keys].join(" and under ")}, which have no bit in common that could name an owner`,
    at: left.at,
    obligation: `one function of the packet names the owner of every cell of ${object.name} that it touches`,
    slice: [...one.pair, ...other.pair].map(({ at }) => at),
    edit: "use one map per kind of key, so that each can have a strategy of its own",
  });
}

const constant = {
  code: "R4-constant-key",
  text: "every packet uses the same cell",
  edit: "count in a per-CPU map, or give each flow a cell of its own",
};

/** Why the key of an access gives no equation. */
function opaque(
  access: Access,
):
  | { readonly code: string; readonly text: string; readonly edit: string }
  | undefined {
  if (access.op === "iterate")
    return {
      code: "R4-iterate",
      text: "the program walks over all cells",
      edit: "walk over the map in user space",
    };
  const { bits, text } = access.key;
  if (bits.length === 0)
    return access.op === "other"
      ? {
          code: "R4-other",
          text: "an operation that may touch any cell",
          edit: "use a plain lookup, update or delete",
        }
      : {
          code: "R4-opaque",
          text: `the key of this ${access.op} is not known`,
          edit: "build the key in one place, from header fields, before the call",
        };
  const reasons = bits.flatMap((bit) =>
    bit.kind === "opaque" ? [bit.why] : [],
  );
  const find = (kind: string) => reasons.find((why) => why.kind === kind);
  const state = find("state");
  if (state !== undefined)
    return {
      code: "R4-state-derived",
      text: `its key is a ${reasonText(state)}, which packets of other cells may share`,
      edit: "keep the data in the first map's value, or key both maps by the same fields",
    };
  const environment = find("environment");
  if (environment !== undefined)
    return {
      code: "R4-environment",
      text: `its key depends on ${reasonText(environment)}`,
      edit: "key by header fields",
    };
  const payload = find("payload");
  if (payload?.kind === "payload")
    return {
      code: "R4-payload",
      text: `its key has ${payload.text}`,
      edit: "test EtherType, protocol and fragment bits, and honour the IPv4 header length, before reading the ports",
    };
  const arithmetic = find("nonlinear") ?? find("unknown");
  if (arithmetic !== undefined)
    return {
      code: "R4-opaque",
      text: `its key (${text}) is no XOR of header bits: ${"text" in arithmetic ? arithmetic.text : reasonText(arithmetic)}`,
      edit: "key by the header fields themselves",
    };
  return undefined;
}

// prettier-ignore
const malformed: readonly (readonly [number, string])[] = [
  [0x0800, "IPv4 frames with a cut-off header or fewer than 5 header words are not hashed by NICs and go to queue 0"],
  [0x86dd, "IPv6 frames with a cut-off header are not hashed by NICs and go to queue 0"],
];

function deviationsOf(object: StateObject): readonly Deviation[] {
  const out: Deviation[] = [];
  const inserts = object.accesses.some(({ op }) => op === "update");
  if (inserts && object.type.startsWith("lru"))
    out.push({
      code: "lru-eviction",
      object: object.name,
      text: `which entries of ${object.name} are evicted depends on all cores; equal while it does not fill`,
    });
  else if (inserts && object.type === "hash")
    out.push({
      code: "full-table",
      object: object.name,
      text: `which keys find ${object.name} full depends on the order across cores; equal while it does not fill`,
    });
  for (const [etherType, text] of malformed)
    if (
      object.accesses.some(
        ({ guard }) =>
          guard.wellFormed !== true &&
          guard.etherTypes?.includes(etherType) === true,
      )
    )
      out.push({ code: "malformed-header", object: object.name, text });
  return out;
}
