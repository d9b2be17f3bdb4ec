/** The maps that declarations of state become, and the device map `ports`. */
import { Bug } from "../../base/index.ts";
import type { MapSpec, MapTypeName } from "../../isa/index.ts";
import type { Declaration, MapKind, Part } from "../library/declaration.ts";
import { u32 } from "../library/scalar.ts";
import type { LoweredMap } from "./lowering.ts";

interface MapRow {
  readonly type: MapTypeName;
  readonly flags: number;
}

/** BPF_F_NO_PREALLOC, which tries demand. */
const noPreallocation = 1;

// prettier-ignore
const mapRows: Readonly<Record<MapKind, MapRow>> = {
  "array":        { type: "array", flags: 0 },
  "hash":         { type: "hash", flags: 0 },
  "lru-hash":     { type: "lru_hash", flags: 0 },
  "lpm-trie":     { type: "lpm_trie", flags: noPreallocation },
  "percpu-array": { type: "percpu_array", flags: 0 },
  "percpu-hash":  { type: "percpu_hash", flags: 0 },
  "counter":      { type: "array", flags: 0 },
  "ring":         { type: "ringbuf", flags: 0 },
};

/** By declaration; composites are not maps themselves, their parts are. */
export function stateMaps(
  state: ReadonlyMap<string, object>,
): ReadonlyMap<object, LoweredMap> {
  const maps = new Map<object, LoweredMap>();
  for (const { name, declaration } of parts(state)) {
    if (declaration.kind === "composite") continue;
    const { type, flags } = mapRows[declaration.kind];
    const { key, value, capacity } = declaration;
    const isRing = declaration.kind === "ring";
    maps.set(declaration, {
      spec: mapSpec(name, type, {
        keySize: isRing ? 0 : (key?.size ?? 0),
        valueSize: isRing ? 0 : value.size,
        maxEntries: capacity,
        flags,
      }),
      key,
      value,
    });
  }
  return maps;
}

/** Names of composites, for their functions. */
export function compositeNames(
  state: ReadonlyMap<string, object>,
): ReadonlyMap<object, string> {
  return new Map(
    parts(state).map(({ name, declaration }) => [declaration, name]),
  );
}

function parts(state: ReadonlyMap<string, object>): readonly Part[] {
  return [...state].flatMap(([name, declaration]) => {
    if (!isDeclaration(declaration))
      throw new Bug(`the state ${name} is no declaration`);
    return declaration.parts(name);
  });
}

function isDeclaration(value: object): value is Declaration {
  return "kind" in value && "parts" in value;
}

export function portsMap(count: number): MapSpec {
  return mapSpec("ports", "devmap", {
    keySize: u32.size,
    valueSize: u32.size,
    maxEntries: count,
    flags: 0,
  });
}

function mapSpec(
  name: string,
  type: MapTypeName,
  sizes: Pick<MapSpec, "keySize" | "valueSize" | "maxEntries" | "flags">,
): MapSpec {
  return { name, type, ...sizes, section: ".maps", readOnly: false };
}
