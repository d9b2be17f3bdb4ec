/**
 * When a type of the object and one of the target kernel are "the same" for
 * CO-RE. Three relations, from weak to strong; all see through typedefs and
 * qualifiers.
 *
 * - fields compatible: what a member may have become (any struct for any struct,
 *   any integer for any integer, enums of one name);
 * - types compatible (type exists, size, id): same kind, and pointers, arrays and
 *   prototypes down to it; members do not matter;
 * - types match (type matches): also names, sizes, and that the target has all
 *   members and enumerators.
 *
 * Source: libbpf relo_core.c.
 */
import type { Btf, BtfType } from "./btf.ts";
import { resolveType } from "./resolve.ts";

interface Pair {
  readonly local: number;
  readonly target: number;
}

const deepest = 32;
/** Steps of one comparison, so that no graph of types takes forever. */
const mostSteps = 100_000;

/** Name without flavour: `task_struct___old` is `task_struct`. */
export function essentialName(name: string): string {
  if (!name.includes("___")) return name;
  return /^(.*[^_])___[^_]/s.exec(name)?.[1] ?? name;
}

export function areCompatibleFields(
  local: Btf,
  target: Btf,
  pair: Pair,
): boolean {
  let { local: left, target: right } = pair;
  for (let depth = 0; depth < deepest; depth++) {
    const a = resolveType(local, left).type;
    const b = resolveType(target, right).type;
    const kinds = groupOf(a);
    if (kinds === "composite" && groupOf(b) === "composite") return true;
    if (!sameKind(a, b)) return false;
    if (a.kind === "pointer" || a.kind === "float") return true;
    if (a.kind === "int" && b.kind === "int")
      return a.offset === 0 && b.offset === 0;
    if (kinds === "enum" || a.kind === "forward") {
      const names = [nameOf(a), nameOf(b)].map((name) => essentialName(name));
      return names.includes("") || names[0] === names[1];
    }
    if (a.kind !== "array" || b.kind !== "array") return false;
    left = a.type;
    right = b.type;
  }
  return false;
}

export function areCompatibleTypes(
  local: Btf,
  target: Btf,
  pair: Pair,
): boolean {
  const walk = { steps: 0 };
  const compatible = (
    { local: x, target: y }: Pair,
    depth: number,
  ): boolean => {
    if (depth > deepest || ++walk.steps > mostSteps) return false;
    const a = resolveType(local, x).type;
    const b = resolveType(target, y).type;
    if (!sameKind(a, b)) return false;
    if (a.kind === "int" && b.kind === "int")
      return a.offset === 0 && b.offset === 0;
    if (a.kind === "pointer" && b.kind === "pointer")
      return compatible({ local: a.type, target: b.type }, depth + 1);
    if (a.kind === "array" && b.kind === "array")
      return compatible({ local: a.type, target: b.type }, depth + 1);
    if (a.kind === "prototype" && b.kind === "prototype")
      return (
        a.parameters.length === b.parameters.length &&
        a.parameters.every(({ type }, index) =>
          compatible(
            { local: type, target: b.parameters[index]?.type ?? 0 },
            depth + 1,
          ),
        ) &&
        compatible({ local: a.type, target: b.type }, depth + 1)
      );
    return (
      a.kind === "void" ||
      a.kind === "forward" ||
      groupOf(a) === "composite" ||
      groupOf(a) === "enum"
    );
  };
  return compatible(pair, 0);
}

export function doTypesMatch(local: Btf, target: Btf, pair: Pair): boolean {
  const walk = { steps: 0 };
  const match = (
    x: number,
    y: number,
    behind: boolean,
    depth: number,
  ): boolean => {
    if (depth > deepest || ++walk.steps > mostSteps) return false;
    const a = resolveType(local, x).type;
    const b = resolveType(target, y).type;
    const inner = (left: number, right: number): boolean =>
      match(left, right, behind, depth + 1);
    if (essentialName(nameOf(a)) !== essentialName(nameOf(b))) return false;
    if (a.kind === "void") return b.kind === "void";
    if (a.kind === "forward")
      return b.kind === "forward" ? a.of === b.of : a.of === b.kind;
    if (a.kind === "enum" || a.kind === "enum64")
      return (b.kind === "enum" || b.kind === "enum64") && enumsMatch(a, b);
    if (a.kind === "struct" || a.kind === "union") {
      if (behind)
        return b.kind === "forward" ? a.kind === b.of : a.kind === b.kind;
      return a.kind === b.kind && membersMatch(a, b, inner);
    }
    if (a.kind === "int")
      return (
        b.kind === "int" &&
        a.size === b.size &&
        (a.encoding & 1) === (b.encoding & 1)
      );
    if (a.kind === "pointer")
      return b.kind === "pointer" && match(a.type, b.type, true, depth + 1);
    if (a.kind === "array")
      return b.kind === "array" && a.count === b.count && inner(a.type, b.type);
    if (a.kind !== "prototype" || b.kind !== "prototype") return false;
    return (
      a.parameters.length === b.parameters.length &&
      a.parameters.every(({ type }, index) =>
        inner(type, b.parameters[index]?.type ?? 0),
      ) &&
      inner(a.type, b.type)
    );
  };
  return match(pair.local, pair.target, false, 0);
}

type Enumeration = Extract<BtfType, { kind: "enum" | "enum64" }>;
type Composite = Extract<BtfType, { kind: "struct" | "union" }>;

function enumsMatch(local: Enumeration, target: Enumeration): boolean {
  const names = new Set(target.values.map(({ name }) => essentialName(name)));
  return local.values.every(({ name }) => names.has(essentialName(name)));
}

function membersMatch(
  local: Composite,
  target: BtfType,
  match: (local: number, target: number) => boolean,
): boolean {
  if (target.kind !== "struct" && target.kind !== "union") return false;
  if (local.members.length > target.members.length) return false;
  return local.members.every((member) =>
    target.members.some(
      (other) =>
        essentialName(member.name) === essentialName(other.name) &&
        match(member.type, other.type),
    ),
  );
}

function sameKind(left: BtfType, right: BtfType): boolean {
  return left.kind === right.kind || (isEnum(left) && isEnum(right));
}

function isEnum(type: BtfType): boolean {
  return type.kind === "enum" || type.kind === "enum64";
}

function groupOf(type: BtfType): "composite" | "enum" | "other" {
  if (type.kind === "struct" || type.kind === "union") return "composite";
  return isEnum(type) ? "enum" : "other";
}

function nameOf(type: BtfType): string {
  return "name" in type ? type.name : "";
}
