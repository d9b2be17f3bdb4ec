/**
 * From touches to the accesses of the report: touches of one instruction under
 * one key are one access, whose guard is what they have in common.
 */
import { mapTypeRow, type MapSpec } from "../isa/index.ts";
import type { FieldBit } from "../packet/index.ts";
import type { Belongs } from "./belongs.ts";
import type { Interchanges } from "./interchanges.ts";
import type { Facts } from "./facts.ts";
import { innerName } from "./calls.ts";
import { guardOf, joinGuards } from "./guard.ts";
import { isCpuNumber, resolveKey } from "./key.ts";
import type {
  Access,
  AccessGuard,
  AccessOp,
  Allocator,
  Key,
  ObjectAccess,
  OpaqueReason,
  StateObject,
} from "./report.ts";
import type { Symbols } from "./symbols.ts";
import { ANY_OBJECT, type Touch } from "./touch.ts";
import { spotOf, type Additions } from "./uses.ts";

interface Gathered {
  readonly touch: Touch;
  readonly op: AccessOp;
  readonly key: Key;
  readonly belonging: Pick<Access, "through" | "own">;
  guard: AccessGuard;
}

export interface Material {
  readonly touches: readonly Touch[];
  readonly additions: Additions;
  readonly symbols: Symbols;
  readonly userWrites: ReadonlySet<string>;
  readonly allocators: ReadonlyMap<string, Allocator>;
  readonly belongs: Belongs;
  readonly interchanges: Interchanges;
}

/** The state objects of `maps`, each with its accesses. */
export function objectsOf(
  maps: readonly MapSpec[],
  material: Material,
): readonly StateObject[] {
  let count = 0;
  const anywhere = material.touches.filter(
    ({ object }) => object === ANY_OBJECT,
  );
  return maps
    .filter((map) => !isConstantData(map))
    .map((map) => {
      const names = aliasesOf(map, maps);
      const own = [
        ...material.touches.filter(({ object }) => names.has(object)),
        ...(map.readOnly || isChannel(map) ? [] : anywhere),
      ];
      const gathered = gather(own, map, material).map(
        ([access, touch]) => [{ ...access, id: `a${count++}` }, touch] as const,
      );
      const accesses = gathered.map(([access]) => access);
      const cpuIndexed =
        mapTypeRow(map.type).indexed === true &&
        own.length > 0 &&
        own.every(({ key }) => isCpuNumber(key, material.symbols));
      return {
        name: map.name,
        type: map.type,
        access: classify(map, accesses),
        cpuIndexed,
        ...(isChannel(map) ? { channel: true } : {}),
        ...(map.data === undefined ? {} : { global: true }),
        maxEntries: map.maxEntries,
        ...fixedTypeOf(map, names.size > 1),
        userWrites: material.userWrites.has(map.name),
        ...allocatorOf(map, material),
        ...indexedBy(map, material),
        ...interchangesOf(gathered, material),
        accesses,
      };
    });
}

/**
 * Names under which a map's cells may be touched: user space may put any map that
 * fits into a map of maps, so that one cell has two names.
 */
function aliasesOf(
  map: MapSpec,
  maps: readonly MapSpec[],
): ReadonlySet<string> {
  const outers = maps.filter(({ inner }) => inner !== undefined);
  const isAlike = (inner: MapSpec | undefined, other: MapSpec) =>
    inner?.type === other.type &&
    inner.keySize === other.keySize &&
    inner.valueSize === other.valueSize;
  const names = new Set([map.name]);
  for (const { name, inner } of outers) {
    if (!isAlike(inner, map)) continue;
    names.add(innerName(name));
    if (map.name === innerName(name))
      for (const other of maps)
        if (isAlike(inner, other)) names.add(other.name);
  }
  return names;
}

function allocatorOf(
  { name }: MapSpec,
  { allocators }: Material,
): Pick<StateObject, "allocator"> {
  const allocator = allocators.get(name);
  return allocator === undefined ? {} : { allocator };
}

function interchangesOf(
  gathered: readonly (readonly [Access, Touch])[],
  { belongs, interchanges }: Material,
): Pick<StateObject, "interchanges"> {
  const found = gathered.flatMap(([{ id }, touch]) => {
    const belonging = belongs.of(touch);
    return belonging?.kind === "packet"
      ? interchanges.of(id, touch, belonging.cell)
      : [];
  });
  return found.length === 0 ? {} : { interchanges: found };
}

function indexedBy(
  { name }: MapSpec,
  { belongs }: Material,
): Pick<StateObject, "indexedBy"> {
  const array = belongs.indexed.get(name);
  return array === undefined ? {} : { indexedBy: array };
}

/** What keeps a map from becoming one of another type. */
function fixedTypeOf(
  map: MapSpec,
  hasAliases: boolean,
): Pick<StateObject, "fixedType"> {
  const held = map.valueFields?.find(
    ({ kind }) => kind === "spin-lock" || kind === "timer",
  );
  if (held !== undefined)
    return {
      fixedType: `its values hold a ${held.kind === "timer" ? "timer" : "spin lock"}`,
    };
  if (hasAliases || map.name.endsWith(innerName("")))
    return { fixedType: "maps of maps hold it, by its type" };
  return (map.flags & BPF_F_MMAPABLE) !== 0
    ? { fixedType: "user space maps its values into memory" }
    : {};
}

const BPF_F_MMAPABLE = 1 << 10;

const isConstantData = (map: MapSpec): boolean =>
  map.readOnly && map.data !== undefined;

const isChannel = (map: MapSpec): boolean =>
  map.type === "perf_event_array" || map.type === "ringbuf";

function gather(
  touches: readonly Touch[],
  map: MapSpec,
  material: Material,
): (readonly [Omit<Access, "id">, Touch])[] {
  const { additions, symbols } = material;
  const byKey = new Map<string, Gathered>();
  const keys = new KeyCache(symbols);
  for (const touch of touches) {
    const { key: exact, text } = keys.get(touch);
    const key = map.type === "lpm_trie" ? prefixKey(exact) : exact;
    const spot = spotOf(touch.where);
    const op = additions.stores.has(spot) ? "add" : touch.op;
    const belonging = belongingOf(touch, material);
    const identity = `${spot} ${op} ${text} ${belongingText(belonging)}`;
    const known = byKey.get(identity);
    const guard = guardOf(touch.key, touch, symbols);
    if (known === undefined)
      byKey.set(identity, { touch, op, key, belonging, guard });
    else known.guard = joinGuards(known.guard, guard);
  }
  const indexed = mapTypeRow(map.type).indexed === true;
  return [...byKey.values()].map(({ touch, op, key, belonging, guard }) => {
    const access: Omit<Access, "id"> = {
      op,
      key,
      guard,
      ...belonging,
      ...(touch.callee === undefined ? {} : { callee: touch.callee }),
      valueUsed: isValueUsed(op, spotOf(touch.where), { additions, indexed }),
      atomic: touch.atomic || touch.locked,
      ...(touch.offset === undefined || touch.size === 0
        ? {}
        : { bytes: { offset: touch.offset, size: touch.size } }),
      ...(touch.size === 0 ? {} : { width: touch.size }),
      at: touch.at,
    };
    return [access, touch] as const;
  });
}

function belongingOf(
  touch: Touch,
  { belongs, symbols }: Material,
): Pick<Access, "through" | "own"> {
  const found = belongs.of(touch);
  if (found?.kind === "own") return { own: found.own };
  if (found?.kind !== "through") return {};
  const { object } = found;
  return {
    through: { object, key: resolveKey(found.key, touch.facts, symbols) },
  };
}

const belongingText = ({ own, through }: Pick<Access, "through" | "own">) =>
  through === undefined ? own : `${through.object} ${signature(through.key)}`;

/** A lookup finds the cell of another key, if that is a prefix of its own. */
const prefixKey = ({ bits, text }: Key): Key => ({
  bits: bits.map(() => ({ kind: "opaque", why: longestPrefix })),
  text,
});

const longestPrefix = {
  kind: "nonlinear",
  text: "a lookup finds the longest prefix of its key",
} as const;

/** Touches of one cell share the array of its key's forms. */
class KeyCache {
  readonly #symbols: Symbols;
  readonly #known = new Map<unknown, WeakMap<Facts, Resolved>>();

  constructor(symbols: Symbols) {
    this.#symbols = symbols;
  }
  get({ key: raw, facts }: Touch): Resolved {
    let ofKey = this.#known.get(raw);
    if (ofKey === undefined) this.#known.set(raw, (ofKey = new WeakMap()));
    let found = ofKey.get(facts);
    if (found === undefined) {
      const key = resolveKey(raw, facts, this.#symbols);
      ofKey.set(facts, (found = { key, text: signature(key) }));
    }
    return found;
  }
}

interface Resolved {
  readonly key: Key;
  readonly text: string;
}

function isValueUsed(
  op: AccessOp,
  spot: string,
  context: { readonly additions: Additions; readonly indexed: boolean },
): boolean {
  const { additions, indexed } = context;
  switch (op) {
    case "lookup":
      // Whether the cell exists shows, unless all cells always do.
      return !indexed;
    case "read":
      return !additions.loads.has(spot) && !additions.unused.has(spot);
    case "add":
      return !additions.stores.has(spot) && !additions.unused.has(spot);
    case "write":
    case "update":
    case "delete":
    case "iterate":
    case "other":
      return true;
  }
}

/** Equal for equal keys, and for no others. */
export function signature(key: Key): string {
  let known = signatures.get(key);
  if (known === undefined) {
    const parts = key.bits.map((bit, index) => {
      if (bit.kind === "linear")
        return `${fieldBitsText(bit.bits)}=${bit.constant}`;
      const before = key.bits[index - 1];
      // Bits of one word have one reason.
      return before?.kind === "opaque" && before.why === bit.why
        ? "?"
        : `?${reasonSignature(bit.why)}`;
    });
    signatures.set(key, (known = parts.join()));
  }
  return known;
}

const signatures = new WeakMap<Key, string>();

const fieldBitsText = (bits: readonly FieldBit[]): string =>
  bits.map(({ field, bit }) => `${field}.${bit}`).join("+");

function reasonSignature(why: OpaqueReason): string {
  if (why.kind === "state" && why.key !== undefined)
    return `state ${why.object}[${signature(why.key)}]`;
  if (why.kind === "nonlinear" && why.of !== undefined)
    return `nonlinear ${why.text} ${fieldBitsText(why.of)}`;
  return JSON.stringify(why);
}

function classify(
  map: MapSpec,
  accesses: readonly Omit<Access, "id">[],
): ObjectAccess {
  if (accesses.length === 0 || isChannel(map)) return "none";
  if (mapTypeRow(map.type).perCpu === true) return "per-cpu";
  const changes = accesses.filter(({ op }) => op !== "lookup" && op !== "read");
  if (changes.length === 0) return "read-only";
  const onlyAdds =
    changes.every(({ op, valueUsed }) => op === "add" && !valueUsed) &&
    accesses.every(({ op, valueUsed }) => op !== "read" || !valueUsed);
  return onlyAdds ? "add-only" : "read-write";
}
