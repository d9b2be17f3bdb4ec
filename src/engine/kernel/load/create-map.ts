/**
 * Making a map in the kernel from its specification: flags that follow from what it
 * is for, types where it takes them.
 */
import { InputError, UnsupportedError } from "../../../base/index.ts";
import { mapTypeRow, type MapSpec } from "../../../isa/index.ts";
import { attributes, command, kernelName } from "../attributes.ts";
import type { Syscalls } from "../syscalls.ts";

const EPERM = 1;
const EINVAL = 22;
const ENOTSUPP = 524;
/** BPF_F_RDONLY_PROG: the verifier then knows the contents. */
const readOnlyProgram = 1 << 7;
const numaNode = 1 << 2;

// Types whose maps take BTF ids for key and value.
// prettier-ignore
const typed: ReadonlySet<string> = new Set(["hash", "array", "percpu_hash", "percpu_array", "lru_hash", "lru_percpu_hash", "lpm_trie", "sk_storage", "task_storage", "inode_storage", "cgrp_storage", "cgroup_storage", "percpu_cgroup_storage"]);

export function isPerCpu(spec: MapSpec): boolean {
  return "perCpu" in mapTypeRow(spec.type);
}

/** What user space reads: descriptors and ids have 4 bytes. */
export function valueSizeOf(spec: MapSpec): number {
  return "ofMaps" in mapTypeRow(spec.type) ? 4 : spec.valueSize;
}

/** Descriptor of a new map; `spec` as map-fit gives it. */
export function createMap(
  syscalls: Syscalls,
  spec: MapSpec,
  btfFd: number | undefined,
): number {
  if ("ofMaps" in mapTypeRow(spec.type) && spec.inner === undefined)
    throw new InputError(
      `map ${spec.name} holds maps, and the object does not say of what kind`,
      { code: "map-inner-missing" },
    );
  if (spec.section === ".kconfig" && spec.data === undefined)
    throw new UnsupportedError(
      "values of the kernel configuration (.kconfig) are not filled in",
      { feature: "extern __kconfig" },
    );
  const inner =
    spec.inner === undefined
      ? undefined
      : createMap(syscalls, spec.inner, btfFd);
  try {
    // A data section has a type and no key.
    const types =
      btfFd !== undefined &&
      typed.has(spec.type) &&
      (spec.btfKey !== undefined || spec.data !== undefined) &&
      spec.btfValue !== undefined
        ? { btfFd, btfKey: spec.btfKey ?? 0, btfValue: spec.btfValue }
        : {};
    const create = (more: object): number =>
      syscalls.bpf(
        command.mapCreate,
        attributes(syscalls, "mapCreate", {
          type: mapTypeRow(spec.type).number,
          keySize: spec.keySize,
          valueSize: valueSizeOf(spec),
          maxEntries: spec.maxEntries,
          // prettier-ignore
          flags: spec.flags | (spec.data !== undefined && spec.readOnly ? readOnlyProgram : 0) | (spec.numaNode === undefined ? 0 : numaNode),
          numaNode: spec.numaNode ?? 0,
          name: kernelName(spec.name),
          extra: spec.extra ?? 0n,
          ...(inner === undefined ? {} : { innerFd: inner }),
          ...more,
        }),
      );
    let code = create(types);
    // Types that the kernel refuses are only needed for locks and timers.
    if (code === -EINVAL || code === -ENOTSUPP) code = create({});
    if (code >= 0) return code;
    const name = syscalls.errorName(-code);
    if (code === -EPERM)
      throw new UnsupportedError(`map ${spec.name}: no permission (${name})`, {
        feature: "CAP_BPF",
        fix: "run as root, or with CAP_BPF and CAP_NET_ADMIN",
      });
    throw new InputError(
      `map ${spec.name}: the kernel refused ${spec.type} with key ${spec.keySize}, value ${spec.valueSize}, ${spec.maxEntries} entries, flags 0x${spec.flags.toString(16)}: ${name}`,
      { code: "map-refused" },
    );
  } finally {
    if (inner !== undefined) syscalls.close(inner);
  }
}
