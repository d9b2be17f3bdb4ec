/**
 * A key's or value's type as a flat list of scalar fields.
 *
 * Paths: members joined by `.`, elements as `[n]`, anonymous members invisible,
 * "" for a type that is a scalar itself. Members of a union overlap. An array of
 * more than `longestArray` fields is one field of kind `other`; a type with more
 * than `mostFields` fields has no layout. Both are limits on work, not errors.
 */
import type { FieldLayout } from "../isa/index.ts";
import type { Btf, BtfType } from "./btf.ts";
import { resolveType, sizeOfType } from "./resolve.ts";

const longestArray = 256;
const mostFields = 1024;
const deepest = 16;

/** Kernel structures that are opaque to programs. */
const opaque = new Map<string, FieldLayout["kind"]>([
  ["bpf_spin_lock", "spin-lock"],
  ["bpf_res_spin_lock", "spin-lock"],
  ["bpf_timer", "timer"],
  ["bpf_wq", "other"],
  ["bpf_list_head", "other"],
  ["bpf_list_node", "other"],
  ["bpf_rb_root", "other"],
  ["bpf_rb_node", "other"],
  ["bpf_refcount", "other"],
  ["bpf_dynptr", "other"],
]);

interface Walk {
  readonly btf: Btf;
  /** Steps left; below 0 the walk is given up. */
  steps: number;
}

export function layoutOf(
  btf: Btf,
  id: number,
): readonly FieldLayout[] | undefined {
  const walk: Walk = { btf, steps: 4 * mostFields };
  const fields = fieldsOf(walk, id, "", 0);
  return walk.steps < 0 || fields.length > mostFields ? undefined : fields;
}

/** Fields of a data section: its variables by name. */
export function sectionLayout(
  btf: Btf,
  section: Extract<BtfType, { kind: "section" }>,
): readonly FieldLayout[] | undefined {
  const walk: Walk = { btf, steps: 4 * mostFields };
  const fields = section.variables.flatMap((item) => {
    const variable = btf.types[item.type];
    return variable?.kind === "variable"
      ? fieldsOf(walk, variable.type, variable.name, 0).map((field) => ({
          ...field,
          bitOffset: field.bitOffset + 8 * item.offset,
        }))
      : [];
  });
  return walk.steps < 0 || fields.length > mostFields ? undefined : fields;
}

function fieldsOf(
  walk: Walk,
  id: number,
  path: string,
  depth: number,
): FieldLayout[] {
  walk.steps--;
  if (depth > deepest) walk.steps = -1;
  if (walk.steps < 0) return [];
  const { type } = resolveType(walk.btf, id);
  const leaf = (kind: FieldLayout["kind"], bits: number): FieldLayout[] => [
    { path, bitOffset: 0, bits, kind },
  ];
  if (type.kind === "int") return leaf("int", type.bits);
  if (type.kind === "pointer") return leaf("pointer", 64);
  if (type.kind === "enum" || type.kind === "enum64")
    return leaf("enum", 8 * type.size);
  if (type.kind === "float") return leaf("float", 8 * type.size);
  if (type.kind === "array") return elements(walk, type, path, depth);
  if (type.kind !== "struct" && type.kind !== "union") return [];
  const known = opaque.get(type.name);
  return known === undefined
    ? members(walk, type, path, depth)
    : leaf(known, 8 * type.size);
}

function members(
  walk: Walk,
  type: Extract<BtfType, { kind: "struct" | "union" }>,
  path: string,
  depth: number,
): FieldLayout[] {
  const found: FieldLayout[] = [];
  for (const member of type.members) {
    if (walk.steps < 0) break;
    const name =
      path === "" || member.name === ""
        ? path + member.name
        : `${path}.${member.name}`;
    for (const field of fieldsOf(walk, member.type, name, depth + 1))
      found.push({
        ...field,
        bitOffset: field.bitOffset + member.bitOffset,
        bits: member.bitSize === 0 ? field.bits : member.bitSize,
      });
    walk.steps -= found.length > mostFields ? walk.steps + 1 : 0;
  }
  return found;
}

function elements(
  walk: Walk,
  type: Extract<BtfType, { kind: "array" }>,
  path: string,
  depth: number,
): FieldLayout[] {
  const step = 8 * (sizeOfType(walk.btf, type.type) ?? 0);
  if (type.count === 0 || step === 0) return [];
  const one = fieldsOf(walk, type.type, "", depth + 1);
  if (one.length * type.count > longestArray)
    return [{ path, bitOffset: 0, bits: step * type.count, kind: "other" }];
  return Array.from({ length: one.length === 0 ? 0 : type.count }, (_, index) =>
    one.map((field) => ({
      ...field,
      path: join(`${path}[${index}]`, field.path),
      bitOffset: field.bitOffset + index * step,
    })),
  ).flat();
}

function join(path: string, rest: string): string {
  return rest === "" || rest.startsWith("[") ? path + rest : `${path}.${rest}`;
}
