/**
 * From touches to the accesses of the report: touches of one instruction under
 * one key are one access, whose guard is what they have in common.
 */
import { mapTypeRow, type MapSpec } from "../isa/index.ts";
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
  StateObject,
} from "./report.ts";
import type { Symbols } from "./symbols.ts";
import { ANY_OBJECT, type Touch } from "./touch.ts";
import { spotOf, type Additions } from "./uses.ts";

interface Gathered {
  readonly touch: Touch;
  readonly op: AccessOp;
  readonly key: Key;
  guard: AccessGuard;
}

export interface Material {
  readonly touches: readonly Touch[];
  readonly additions: Additions;
  readonly symbols: Symbols;
  readonly userWrites: ReadonlySet<string>;
  readonly allocators: ReadonlyMap<string, Allocator>;
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
      const accesses = gather(own, map, material).map((access) => ({
        ...access,
        id: `a${count++}`,
      }));
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
  { additions, symbols }: Material,
): Omit<Access, "id">[] {
  const byKey = new Map<string, Gathered>();
  const keys = new KeyCache(symbols);
  for (const touch of touches) {
    const { key: exact, text } = keys.get(touch);
    const key = map.type === "lpm_trie" ? prefixKey(exact) : exact;
    const spot = spotOf(touch.where);
    const op = additions.stores.has(spot) ? "add" : touch.op;
    const identity = `${spot} ${op} ${text}`;
    const known = byKey.get(identity);
    const guard = guardOf(touch.key, touch, symbols);
    if (known === undefined) byKey.set(identity, { touch, op, key, guard });
    else known.guard = joinGuards(known.guard, guard);
  }
  const indexed = mapTypeRow(map.type).indexed === true;
  return [...byKey.values()].map(({ touch, op, key, guard }) => ({
    op,
    key,
    guard,
    valueUsed: isValueUsed(op, spotOf(touch.where), { additions, indexed }),
    atomic: touch.atomic || touch.locked,
    ...(touch.offset === undefined || touch.size === 0
      ? {}
      : { bytes: { offset: touch.offset, size: touch.size } }),
    ...(touch.size === 0 ? {} : { width: touch.size }),
    at: touch.at,
  }));
}

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
  return key.bits
    .map((bit) =>
      bit.kind === "opaque"
        ? `?${JSON.stringify(bit.why)}`
        : `${bit.bits.map(({ field, bit }) => `${field}.${bit}`).join("+")}=${bit.constant}`,
    )
    .join();
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
