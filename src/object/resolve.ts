/**
 * Walking BTF types: names seen through, sizes. Cycles that no compiler makes
 * (a typedef of itself, a struct inside itself) end in an InputError.
 */
import { InputError } from "../base/index.ts";
import type { Btf, BtfType } from "./btf.ts";

/** As libbpf's MAX_RESOLVE_DEPTH. */
const deepest = 32;

export function typeAt(btf: Btf, id: number): BtfType {
  const type = btf.types[id];
  if (type !== undefined) return type;
  throw new InputError(`BTF: no type ${id}`, { code: "btf-id" });
}

/** The type behind typedefs, qualifiers and tags. */
export function resolveType(
  btf: Btf,
  id: number,
): { readonly id: number; readonly type: BtfType } {
  let at = id;
  for (let depth = 0; depth < deepest; depth++) {
    const type = typeAt(btf, at);
    if (!isTransparent(type)) return { id: at, type };
    at = type.type;
  }
  throw tooDeep(id);
}

/** Size in bytes; undefined for types that have none (functions, void). */
export function sizeOfType(btf: Btf, id: number): number | undefined {
  let at = id;
  let count = 1;
  for (let depth = 0; depth < deepest; depth++) {
    const { type } = resolveType(btf, at);
    if (type.kind === "pointer") return count * 8;
    if ("size" in type && type.kind !== "section") return count * type.size;
    if (type.kind !== "array" && type.kind !== "variable") return undefined;
    if (type.kind === "array") count *= type.count;
    at = type.type;
    if (!Number.isSafeInteger(count * 0x1_0000_0000))
      throw new InputError(`BTF: type ${id} is impossibly large`, {
        code: "btf-size",
      });
  }
  throw tooDeep(id);
}

type Transparent = Extract<
  BtfType,
  { kind: "typedef" | "volatile" | "const" | "restrict" | "type-tag" }
>;

function isTransparent(type: BtfType): type is Transparent {
  return (
    type.kind === "typedef" ||
    type.kind === "volatile" ||
    type.kind === "const" ||
    type.kind === "restrict" ||
    type.kind === "type-tag"
  );
}

function tooDeep(id: number): InputError {
  return new InputError(`BTF: type ${id} is nested too deeply`, {
    code: "btf-depth",
  });
}
