/**
 * What the kernel wants to know of a program's purpose when it is loaded: the
 * expected attach type, flags, and the function of the kernel that it is bound to.
 *
 *     fentry/NAME   function NAME          lsm/NAME    function bpf_lsm_NAME
 *     tp_btf/NAME   typedef btf_trace_NAME iter/NAME   function bpf_iter_NAME
 *
 * Where the user names the type, the section says nothing, and the first attach type
 * of that type is taken. Source: libbpf libbpf_find_attach_btf_id.
 */
import { UnsupportedError } from "../../../base/index.ts";
import {
  isSleepable,
  sectionRow,
  sectionTable,
  type ProgramSpec,
  type SectionRow,
} from "../../../isa/index.ts";
import { kernelFunctionId, kernelTracepointId } from "./kernel-symbols.ts";

/** BPF_F_SLEEPABLE, BPF_F_XDP_HAS_FRAGS. */
const maySleep = 1 << 4;
const hasFrags = 1 << 5;

export interface Purpose {
  readonly attachType: number;
  readonly flags: number;
  /** Of the kernel's own types; 0: bound to nothing. */
  readonly attachBtfId: number;
}

/** Throws an UnsupportedError where the target is not there, or not the kernel's. */
export function purposeOf({ name, section, type }: ProgramSpec): Purpose {
  const own = sectionRow(section);
  const isOwn = own?.type === type;
  const row = isOwn
    ? own
    : sectionTable.find((candidate) => candidate.type === type);
  const frags = type === "xdp" && /^\??xdp\.frags/.test(section);
  return {
    attachType: row?.attach ?? 0,
    flags: (frags ? hasFrags : 0) | (isSleepable(section) ? maySleep : 0),
    attachBtfId:
      row?.target === undefined
        ? 0
        : targetId(row.target, isOwn ? targetName(row, section) : "", name),
  };
}

/** `do_exit` of `fentry.s/do_exit`. */
function targetName({ prefix }: SectionRow, section: string): string {
  const rest = section.replace(/^\?/, "").slice(prefix.length);
  return /^(?:\.s)?\/(.+)$/.exec(rest)?.[1] ?? "";
}

function targetId(
  target: NonNullable<SectionRow["target"]>,
  name: string,
  program: string,
): number {
  if (name === "" && target !== "struct" && target !== "program")
    throw new UnsupportedError(
      `program ${program}: its section does not say which ${target} it is bound to`,
      { feature: `a bound ${target}` },
    );
  switch (target) {
    case "function":
      return found(kernelFunctionId(name), program, `function ${name}`);
    case "tracepoint":
      return found(kernelTracepointId(name), program, `tracepoint ${name}`);
    case "lsm":
      return found(
        kernelFunctionId(`bpf_lsm_${name}`),
        program,
        `security hook ${name}`,
      );
    case "iterator":
      return found(
        kernelFunctionId(`bpf_iter_${name}`),
        program,
        `iterator ${name}`,
      );
    case "program":
      throw new UnsupportedError(
        `program ${program} replaces a function of another program, which is not named here`,
        { feature: "programs that replace a function" },
      );
    case "struct":
      throw new UnsupportedError(
        `program ${program} is a function of a kernel structure (struct_ops), which is not registered here`,
        { feature: "struct_ops" },
      );
  }
}

function found(id: number | undefined, program: string, what: string): number {
  if (id !== undefined) return id;
  throw new UnsupportedError(
    `program ${program} is bound to ${what}, which this kernel does not have`,
    { feature: what },
  );
}
