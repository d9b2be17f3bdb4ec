/**
 * CO-RE access paths: what a relocation record means in the object's own types,
 * and the same path found in another kernel's types by *names*.
 *
 * A path `0:2:1` is: element 0 of the pointer, member 2, member (or element) 1.
 * Anonymous members are steps of the record but not of the path by names. A name
 * is compared without its flavour, the part from `___` on.
 *
 * Source: libbpf relo_core.c; kernel Documentation/bpf/llvm_reloc.rst.
 */
import { InputError } from "../base/index.ts";
import type { Btf, BtfType } from "./btf.ts";
import { areCompatibleFields } from "./core-compat.ts";
import { resolveType, sizeOfType } from "./resolve.ts";

/** As libbpf's BPF_CORE_SPEC_MAX_LEN. */
const longest = 64;

/** One step: a member of `type` by name, or an element. */
interface Step {
  /** Struct or union for members; the element's type for elements. */
  readonly type: number;
  readonly index: number;
  readonly name?: string;
}

export interface AccessPath {
  readonly root: number;
  readonly steps: readonly Step[];
  readonly bitOffset: number;
}

type Composite = Extract<BtfType, { kind: "struct" | "union" }>;

export function isComposite(type: BtfType): type is Composite {
  return type.kind === "struct" || type.kind === "union";
}

/** The indices of an access string. */
export function parseAccess(access: string): number[] {
  const parts = access.split(":");
  if (parts.length > longest || parts.some((part) => !/^\d{1,9}$/.test(part)))
    throw new InputError(
      `CO-RE: \`${access.slice(0, 40)}\` is no access path`,
      { code: "core-access" },
    );
  return parts.map(Number);
}

/** The path that `access` describes in type `id` of the object's own BTF. */
export function localPath(btf: Btf, id: number, access: string): AccessPath {
  const [first = 0, ...rest] = parseAccess(access);
  const root = resolveType(btf, id).id;
  const steps: Step[] = [{ type: root, index: first }];
  let bitOffset = 8 * first * sizeOf(btf, root);
  let at = root;
  for (const index of rest) {
    const { id: here, type } = resolveType(btf, at);
    if (isComposite(type)) {
      const member = type.members[index];
      if (member === undefined) throw outside(access);
      bitOffset += member.bitOffset;
      if (member.name !== "")
        steps.push({ type: here, index, name: member.name });
      at = member.type;
    } else if (type.kind === "array") {
      if (index >= type.count && !isFlexible(btf, steps, type.count))
        throw outside(access);
      at = resolveType(btf, type.type).id;
      steps.push({ type: at, index });
      bitOffset += 8 * index * sizeOf(btf, at);
    } else throw outside(access);
  }
  return { root, steps, bitOffset };
}

/** The same path in candidate type `id` of another BTF, if it is there. */
export function matchPath(
  local: { readonly btf: Btf; readonly path: AccessPath },
  target: Btf,
  id: number,
): AccessPath | undefined {
  const steps: Step[] = [];
  let bitOffset = 0;
  let at = id;
  for (const [position, step] of local.path.steps.entries()) {
    const { id: here, type } = resolveType(target, at);
    if (step.name !== undefined) {
      const found = matchMember(local.btf, step, target, at, 0);
      if (found === undefined) return undefined;
      steps.push(found.step);
      bitOffset += found.bitOffset;
      at = found.next;
      continue;
    }
    at = here;
    if (position > 0) {
      if (type.kind !== "array") return undefined;
      const open = isFlexible(target, steps, type.count);
      if (step.index >= type.count && !open) return undefined;
      at = resolveType(target, type.type).id;
    }
    steps.push({ type: at, index: step.index });
    bitOffset += 8 * step.index * sizeOf(target, at);
  }
  return { root: id, steps, bitOffset };
}

interface MemberMatch {
  readonly step: Step;
  readonly bitOffset: number;
  readonly next: number;
}

function matchMember(
  localBtf: Btf,
  local: Step,
  target: Btf,
  id: number,
  depth: number,
): MemberMatch | undefined {
  const { id: here, type } = resolveType(target, id);
  const own = localBtf.types[local.type];
  if (!isComposite(type) || own === undefined || !isComposite(own))
    return undefined;
  const wanted = own.members[local.index];
  if (wanted === undefined || depth > 16) return undefined;
  for (const [index, member] of type.members.entries()) {
    if (member.name === "") {
      const inner = matchMember(
        localBtf,
        local,
        target,
        member.type,
        depth + 1,
      );
      if (inner !== undefined)
        return { ...inner, bitOffset: inner.bitOffset + member.bitOffset };
    } else if (member.name === local.name) {
      const types = { local: wanted.type, target: member.type };
      if (!areCompatibleFields(localBtf, target, types)) return undefined;
      return {
        step: { type: here, index, name: member.name },
        bitOffset: member.bitOffset,
        next: member.type,
      };
    }
  }
  return undefined;
}

/** An array at the end of a struct that is declared without elements. */
function isFlexible(btf: Btf, steps: readonly Step[], count: number): boolean {
  const last = steps.at(-1);
  if (last?.name === undefined || count > 0) return false;
  const type = btf.types[last.type];
  return type?.kind === "struct" && last.index === type.members.length - 1;
}

function sizeOf(btf: Btf, id: number): number {
  const size = sizeOfType(btf, id);
  if (size !== undefined) return size;
  throw new InputError(`CO-RE: type ${id} has no size`, { code: "core-size" });
}

function outside(access: string): InputError {
  return new InputError(`CO-RE: path ${access} leaves its type`, {
    code: "core-access",
  });
}
