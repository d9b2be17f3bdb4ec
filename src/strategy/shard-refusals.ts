/** Why an object cannot be sharded, in words for whoever wrote the program. */
import { Bug, type Place } from "../base/index.ts";
import {
  reasonText,
  type Access,
  type Interchange,
  type StateObject,
} from "../analysis/index.ts";
import { conjunctText } from "./conjunct-text.ts";
import type { Claim } from "./claims.ts";
import type { Demand } from "./conjuncts.ts";
import type { Context } from "./context.ts";
import type { Family } from "./families.ts";
import { ownersOf } from "./linear-owner.ts";
import { refuse, type Refusal, type RefusedAccess } from "./refusal.ts";

/** What is said first, where several demands leave no owner. */
// prettier-ignore
const tellingFirst = [
  "R4-iterate", "R4-constant-key", "R4-mac", "R4-vlan", "R4-unhashable",
  "R4-environment", "R4-payload", "R4-opaque", "R4-other", "R3-disjoint",
  "R4-state-derived",
];

/** Each of these demands alone leaves no owner: the one that tells most. */
export function stuck(
  object: StateObject,
  demands: readonly Demand[],
  context: Context,
): Refusal {
  const dispatchable = ownersOf(
    demands.map(({ conjunct }) => conjunct),
    () => true,
  ).every(({ fields }) => fields.length > 0);
  const [first] = demands
    .map((demand) => {
      const refusal = stuckBy(object, demand, { ...context, dispatchable });
      const [left, right] = demand.pair;
      const place =
        4 * tellingFirst.indexOf(refusal.code) +
        (refusal.accesses?.some(isWrite) === true ? 0 : 2) +
        (left.key.text === right.key.text ? 1 : 0);
      return { refusal, place };
    })
    .toSorted((a, b) => a.place - b.place);
  if (first === undefined) throw new Bug("refused for nothing");
  return first.refusal;
}

const isWrite = ({ op }: RefusedAccess): boolean =>
  op !== "lookup" && op !== "read";

function stuckBy(
  object: StateObject,
  demand: Demand,
  context: Context & {
    /** Some function of the packet, if not the NIC's, names the owner. */
    readonly dispatchable: boolean;
  },
): Refusal {
  const { conjunct, pair } = demand;
  const [left] = pair;
  const family = context.familyOf(object);
  if (family.allocator !== undefined && pair.some(isNumbered)) {
    const all = { ...demand, conjunct: { ...conjunct, equations: [] } };
    return refused(iterated.code, [object, all], {
      text: `${left.object}: ${iterated.text}`,
      edit: iterated.edit,
    });
  }
  if (conjunct.equations.length === 0) {
    const found = opaqueOf(demand) ?? numbered(object, demand) ?? constant;
    return refused(found.code, [object, demand], {
      text: `${left.object}: ${found.text}`,
      edit: found.edit,
    });
  }
  const named = conjunct.equations.flatMap(({ left, right }) =>
    [...left.bits, ...right.bits].map(({ field }) => field),
  );
  const odd = [...new Set(named.filter((field) => !context.hashable(field)))];
  const some = named.some((field) => context.hashable(field));
  if (odd.length > 0 && !some) {
    const hidden = opaqueOf(demand);
    if (hidden !== undefined)
      return refused(hidden.code, [object, demand], {
        text: `${left.object}: ${hidden.text}`,
        edit: hidden.edit,
      });
    const mac = odd.every((field) => /^eth\.(src|dst)$/.test(field));
    const vlan = odd.every((field) => field.startsWith("vlan"));
    return refused(
      mac ? "R4-mac" : vlan ? "R4-vlan" : "R4-unhashable",
      [object, demand],
      {
        text: `${left.object} is keyed by ${odd.join(", ")}, which no NIC hashes`,
        edit: context.dispatchable
          ? "key by addresses or ports, or dispatch in software"
          : "key by addresses or ports; one packet touches cells of several keys, so that dispatching in software does not help",
      },
    );
  }
  return disjoint(object, [demand, demand]);
}

/** Each demand could be met, these two together leave no owner. */
export function disjoint(
  object: StateObject,
  [one, other]: readonly [Demand, Demand],
): Refusal {
  const claims = [...one.pair, ...other.pair];
  const keys = new Set(claims.map(({ key }) => key.text));
  const names = [...new Set(claims.map((claim) => claim.object))];
  const text = `${names.join(" and ")} ${names.length > 1 ? "are" : "is"} touched under ${[...keys].join(" and under ")}, which have no bit in common that could name an owner`;
  return {
    ...refused("R3-disjoint", [object, one], {
      text,
      edit:
        names.length > 1
          ? `lock ${names.join(" or ")}, or merge it, so that the other can be sharded`
          : "use one map per kind of key, so that each can have a strategy of its own",
    }),
    slice: claims.map(({ access }) => access.at),
    accesses: [accessOf(one.pair[0], true), accessOf(other.pair[1], true)],
    conjunct: [one, other]
      .map(({ conjunct }) => conjunctText(conjunct))
      .join("; and "),
  };
}

export function notInterchangeable(
  family: Family,
  { access: id, packet, stored, reason }: Interchange,
): Refusal {
  const owner = family.members.find(({ accesses }) =>
    accesses.some((access) => access.id === id),
  );
  const access = owner?.accesses.find((one) => one.id === id);
  const at = reason?.at ?? access?.at;
  return refuse(reason?.code ?? "R5-distinguishable", {
    object: family.head.name,
    strategy: "shard",
    text: `${owner?.name ?? family.head.name}: an index comes with the packet, and ${reason?.text ?? "what the program does with a cell of another core shows"}`,
    ...(at === undefined ? {} : { at }),
    obligation: `"not allocated" and "allocated for other packets" have the same verdict and output, and change no state`,
    slice: [
      ...(access === undefined ? [] : [access.at]),
      ...(at === undefined ? [] : [at]),
    ],
    ...(access === undefined || owner === undefined
      ? {}
      : {
          accesses: [
            {
              object: owner.name,
              op: access.op,
              key: packet.text,
              guard: access.guard.text,
              at: access.at,
            },
          ],
        }),
    conjunct: `${packet.text} of the packet = ${stored.text} of the one that made the entry`,
    edit: `compare the cell with ${packet.text} before anything else is done with it, and change nothing where they differ`,
  });
}

/** The program finds headers behind VLAN tags that the NIC does not look behind. */
export function behindTags(
  { name }: StateObject,
  { op, key, guard, at }: Access,
  { vlanTags }: Context,
): Refusal {
  const tags = (count: number): string =>
    `${count} VLAN ${count === 1 ? "tag" : "tags"}`;
  const seen = vlanTags === 0 ? "no VLAN tag" : `at most ${tags(vlanTags)}`;
  return refuse("R-vlan-tags", {
    object: name,
    strategy: "shard",
    text: `${name} is touched by packets behind ${tags(guard.tags ?? 0)}; the NIC looks behind ${seen}, and brings them to one queue whatever their addresses are`,
    at,
    obligation: `the NIC finds the headers that ${name} is keyed by`,
    slice: [at],
    accesses: [{ object: name, op, key: key.text, guard: guard.text, at }],
    edit: "have the NIC strip tags before it hashes and say so in its profile (vlanTags), pass on frames with more tags, or dispatch in software",
  });
}

export function tooFewIndices(
  { name, accesses }: StateObject,
  capacity: number,
  cores: number,
): Refusal {
  const at = accesses[0]?.at;
  return refuse("R-capacity", {
    object: name,
    strategy: "shard",
    text: `${name}: ${capacity} ${capacity === 1 ? "index is" : "indices are"} too few for ${cores} cores`,
    ...(at === undefined ? {} : { at }),
    obligation: "each core has an index at least",
    slice: at === undefined ? [] : [at],
    edit: `raise the capacity to ${cores}, or use at most ${Math.max(capacity, 1)} cores`,
  });
}

/** Entries stay one shared map: who comes first would have what others' indices are for. */
export function fewerEntriesThanIndices(
  { name, accesses, maxEntries = 0 }: StateObject,
  allocator: StateObject,
  capacity: number,
): Refusal {
  const at = accesses[0]?.at;
  return refuse("R-capacity", {
    object: name,
    strategy: "shard",
    text: `${name} has room for ${maxEntries} entries, and ${allocator.name} hands out ${capacity} indices for them: full for one core, it is full for all`,
    ...(at === undefined ? {} : { at }),
    obligation: "each index of a core has an entry",
    slice: at === undefined ? [] : [at],
    edit: `give ${name} ${capacity} entries (--map-size ${name}=${capacity}), or lower the capacity to ${maxEntries}`,
  });
}

/** The program does not let its look-ups be changed. */
export function noLayouts(
  { name, accesses }: StateObject,
  why: string,
): Refusal {
  const at = accesses[0]?.at;
  return refuse("R-layout", {
    object: name,
    strategy: "shard",
    text: `${name}: cores cannot have indices of their own: ${why}`,
    ...(at === undefined ? {} : { at }),
    obligation: `every look-up of ${name} can be changed`,
    slice: at === undefined ? [] : [at],
    edit: "look cells up by calls of bpf_map_lookup_elem with the map named in the call, in functions with room on their stack",
  });
}

/** User space writes cells that would become a core's own. */
export function writtenOutside(
  { name, accesses }: StateObject,
  what: string,
): Refusal {
  const at = accesses[0]?.at;
  return refuse("R-user-writes", {
    object: name,
    strategy: "shard",
    text: `${name}: user space writes it, and it keeps its layout: ${what}`,
    ...(at === undefined ? {} : { at }),
    obligation: `no core needs cells of ${name} of its own`,
    slice: at === undefined ? [] : [at],
    edit: `leave ${name} to the program, or split without --user-writes ${name}`,
  });
}

function refused(
  code: string,
  [object, { pair, conjunct }]: readonly [StateObject, Demand],
  words: Pick<Refusal, "text" | "edit">,
): Refusal {
  const [left, right] = pair;
  return refuse(code, {
    object: object.name,
    strategy: "shard",
    ...words,
    obligation: `packets that touch one cell of ${left.object} agree on some header bits that the NIC hashes`,
    at: left.access.at,
    slice: [left.access.at, right.access.at],
    accesses: [
      accessOf(left, right.writer === undefined),
      accessOf(right, true),
    ],
    conjunct: conjunctText(conjunct),
  });
}

/** `writing`: one that writes, if any does. */
function accessOf(
  { object, access: first, writer, key }: Claim,
  writing = false,
): RefusedAccess {
  const { op, guard, at } = (writing ? writer : undefined) ?? first;
  return { object, op, key: key.text, guard: guard.text, at };
}

interface Why {
  readonly code: string;
  readonly text: string;
  readonly edit: string;
}

const constant: Why = {
  code: "R4-constant-key",
  text: "every packet uses the same cell",
  edit: "count in a per-CPU map, or give each flow a cell of its own",
};

const iterated: Why = {
  code: "R4-iterate",
  text: "the program walks over its cells, so that a packet may touch any",
  edit: "walk over the map in user space, and leave the answer in a cell",
};

/** A cell by its number: a turn of a loop over all of them. */
const isNumbered = ({ kind, key: { bits } }: Claim): boolean =>
  kind === "key" &&
  bits.length > 0 &&
  bits.every((bit) => bit.kind === "linear" && bit.bits.length === 0);

/** Cells that one line of the program names by their numbers, for it to be a walk. */
const walked = 4;

/** A row of cells, each by its number, in one line of the program: a walk. */
function numbered(object: StateObject, { pair }: Demand): Why | undefined {
  const isWalk = ({ access }: Claim): boolean => {
    const keys = object.accesses.flatMap(({ at, op, key }) =>
      op === access.op && samePlace(at, access.at) ? [key.text] : [],
    );
    return new Set(keys).size >= walked;
  };
  return pair.some((claim) => isNumbered(claim) && isWalk(claim))
    ? iterated
    : undefined;
}

/** The same line, or the same instruction where lines are not known. */
function samePlace(one: Place, other: Place): boolean {
  if (one.function !== other.function) return false;
  return one.line === undefined
    ? one.instruction === other.instruction
    : one.file === other.file && one.line === other.line;
}

/** In which order one of two reasons is said, however the program orders them. */
// prettier-ignore
const opaqueFirst = [
  "R4-iterate", "R4-state-derived", "R4-environment", "R4-payload", "R4-other",
  "R4-opaque",
];

function opaqueOf({ pair }: Demand): Why | undefined {
  const [first] = pair
    .flatMap((claim) => opaque(claim) ?? [])
    .toSorted(
      (a, b) => opaqueFirst.indexOf(a.code) - opaqueFirst.indexOf(b.code),
    );
  return first;
}

/** Why the key of an access gives no equation. */
function opaque({ access }: Claim): Why | undefined {
  if (access.op === "iterate") return iterated;
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
  if (arithmetic === undefined) return undefined;
  const why = "text" in arithmetic ? arithmetic.text : reasonText(arithmetic);
  if (/\bloop\b/.test(why)) return iterated;
  return {
    code: "R4-opaque",
    text: `its key (${text}) is no XOR of header bits: ${why}`,
    edit: "key by the header fields themselves",
  };
}
