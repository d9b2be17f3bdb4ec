/**
 * What each access of a family says of the packets that make it: to whom the cell
 * belongs that it touches.
 *
 *   key          the cell's own key
 *   entry        an index that was found in an entry: the entry's key. One index
 *                belongs to one key, so that equal cells have equal keys
 *   arguments    a cell that a hash selects, in a copy of the array that the core
 *                has for itself: the bits that were hashed. Packets that agree on
 *                none of them meet in a cell by collision only
 *   interchange  an index that came with the packet: what it must agree with, by
 *                the program's own comparison, before anything depends on it
 *   stored       the other side of that comparison
 *
 * No claim: what a sharded allocator does among its own cells (the list, the entry
 * of a reclaimed index, a fresh index), which are its core's by construction.
 */
import { signature, type Access, type Key } from "../analysis/index.ts";
import type { Interchange, StateObject } from "../analysis/index.ts";
import type { FieldBit } from "../packet/index.ts";
import type { PacketClass } from "../rss/index.ts";
import type { Family } from "./families.ts";
import { packetClassesOf } from "./packet-classes.ts";
import type { Port } from "./plan.ts";

export interface Claim {
  readonly object: string;
  readonly access: Access;
  /** Of those that say the same, one that writes. */
  readonly writer?: Access;
  readonly port: string;
  readonly classes: readonly PacketClass[];
  readonly kind: "key" | "entry" | "arguments" | "interchange" | "stored";
  readonly key: Key;
  /** Arguments: what was hashed, in order; the key's other bits count as well. */
  readonly hashed?: readonly FieldBit[];
  /** Interchange and stored: which of them belong together. */
  readonly interchange?: string;
}

/** Ports on which an access can happen. */
export function portsOf(
  { guard }: Pick<Access, "guard">,
  ports: readonly Port[],
): readonly Port[] {
  const { ifindex, notIfindex } = guard;
  return ports.filter(
    (port) =>
      (ifindex === undefined || ifindex.includes(port.ifindex)) &&
      notIfindex?.includes(port.ifindex) !== true,
  );
}

/** One claim for all accesses of a port that say the same. */
export function claimsOf(
  family: Family,
  ports: readonly Port[],
  slices: boolean,
): readonly Claim[] {
  const claims = new Map<string, Claim>();
  for (const object of family.members)
    for (const access of object.accesses)
      for (const said of saidBy(access, object, { family, slices })) {
        const { guard, ...claim } = said;
        const named = identity(said);
        const classes = packetClassesOf(guard);
        for (const { name: port } of portsOf({ guard }, ports)) {
          const key = `${named} ${port} ${classes.join()}`;
          const known = claims.get(key);
          const writer =
            known?.writer ?? (isWrite(access) ? access : undefined);
          claims.set(key, {
            ...(known ?? { ...claim, port, classes }),
            ...(writer === undefined ? {} : { writer }),
          });
        }
      }
  return [...claims.values()];
}

const isWrite = ({ op }: Access): boolean => op !== "lookup" && op !== "read";

type Said = Omit<Claim, "port" | "classes"> & Pick<Access, "guard">;

function identity({ kind, key, hashed, interchange = "" }: Said): string {
  if (hashed === undefined)
    return `${kind === "entry" ? "key" : kind} ${interchange} ${signature(key)}`;
  const linear = key.bits.map((bit) =>
    bit.kind === "linear" ? signature({ bits: [bit], text: "" }) : "?",
  );
  return `${kind} ${linear.join()} ${hashed.map(({ field, bit }) => `${field}.${bit}`).join()}`;
}

function saidBy(
  access: Access,
  object: StateObject,
  { family, slices }: { readonly family: Family; readonly slices: boolean },
): readonly Said[] {
  const common = { object: object.name, access, guard: access.guard };
  const own = { ...common, kind: "key", key: access.key } as const;
  const { allocator } = family;
  if (allocator === undefined) {
    const hashed =
      slices && canSlice(object) ? hashedBits(access.key) : undefined;
    if (hashed === undefined) return [own];
    return [{ ...own, kind: "arguments", hashed }];
  }
  const met = interchangesOf(family).filter((one) => one.access === access.id);
  if (met.length > 0)
    return met.flatMap((one, index) =>
      sidesOf(one, common, { family, name: `${access.id}.${index}` }),
    );
  const { through } = access;
  if (through !== undefined)
    return [{ ...common, kind: "entry", key: through.key }];
  return access.own === undefined ? [own] : [];
}

/** What came with the packet, and what it is compared with. */
function sidesOf(
  { packet, stored, storedBy }: Interchange,
  common: Pick<Said, "object" | "access" | "guard">,
  { family, name }: { readonly family: Family; readonly name: string },
): readonly Said[] {
  const makers = makersOf(family, common.access);
  const [maker = common.access] = makers;
  const guards =
    storedBy === undefined ? makers.map(({ guard }) => guard) : [storedBy];
  return [
    { ...common, kind: "interchange", key: packet, interchange: name },
    ...guards.map((guard): Said => ({
      ...common,
      access: maker,
      guard,
      kind: "stored",
      key: stored,
      interchange: name,
    })),
  ];
}

/** Accesses that make entries, where no more is known of the packets that store. */
function makersOf(family: Family, met: Access): readonly Access[] {
  const makers = family.head.accesses.filter(({ op }) => op === "update");
  return makers.length > 0 ? makers : [met];
}

export const interchangesOf = ({ members }: Family) =>
  members.flatMap(({ interchanges = [] }) => interchanges);

/** May each core have a copy of this array for itself? */
export const canSlice = (object: StateObject): boolean =>
  object.type === "array" &&
  object.global !== true &&
  object.fixedType === undefined &&
  !object.userWrites &&
  object.access !== "read-only";

/** The packet bits that decide which cell, in order; undefined: more than these do. */
function hashedBits({ bits }: Key): readonly FieldBit[] | undefined {
  const found = new Map<string, FieldBit>();
  let isHashed = false;
  for (const bit of bits) {
    if (bit.kind === "linear") continue;
    if (bit.why.kind !== "nonlinear" || bit.why.of === undefined)
      return undefined;
    isHashed = true;
    for (const of of bit.why.of) {
      const name = `${of.field}.${of.bit}`;
      if (!found.has(name)) found.set(name, of);
    }
  }
  return isHashed && found.size > 0 ? [...found.values()] : undefined;
}
