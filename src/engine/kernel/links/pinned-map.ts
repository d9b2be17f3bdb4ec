/**
 * Maps that ask to be pinned by their name (LIBBPF_PIN_BY_NAME): one that stands in
 * the folder is shared, if it is the same kind of map; if there is none, it is made
 * and left there for the next.
 *
 * Source: libbpf bpf_object__reuse_map, map_is_reuse_compat.
 */
import { InputError } from "../../../base/index.ts";
import type { MapSpec } from "../../../isa/index.ts";
import { valueSizeOf } from "../load/create-map.ts";
import { KernelMap } from "../load/kernel-map.ts";
import { mapInfo, type MapInfo } from "../system/object-info.ts";
import { Pins } from "./pins.ts";
import type { Syscalls } from "../syscalls.ts";

/** The kernel itself adds BPF_F_RDONLY_PROG to device maps. */
const readOnlyProgram = 1 << 7;

export interface PinOptions {
  /** A folder of a bpffs that exists. */
  readonly root: string;
  readonly btfFd: number | undefined;
}

export interface PinnedMap {
  readonly map: KernelMap;
  /** It stood there already, with contents. */
  readonly isShared: boolean;
}

/** Throws an InputError that names the property in which a standing map differs. */
export function pinnedMap(
  syscalls: Syscalls,
  spec: MapSpec,
  { root, btfFd }: PinOptions,
): PinnedMap {
  const pins = new Pins(syscalls);
  // Dots are no characters of bpffs; libbpf writes underscores for them.
  const path = `${root}/${spec.name.replaceAll(".", "_")}`;
  const fd = pins.open(path);
  if (fd === undefined) {
    const map = KernelMap.create(syscalls, spec, btfFd);
    try {
      pins.pin(map.fd, path);
    } catch (error) {
      map.close();
      throw error;
    }
    return { map, isShared: false };
  }
  try {
    const difference = differenceOf(spec, mapInfo(syscalls, fd));
    if (difference !== undefined)
      throw new InputError(
        `map ${spec.name}: what is pinned has ${difference}`,
        {
          code: "pin-incompatible",
          file: path,
          fix: `remove ${path}, or give another folder`,
        },
      );
  } catch (error) {
    syscalls.close(fd);
    throw error;
  }
  return { map: KernelMap.open(syscalls, spec, fd), isShared: true };
}

/** `value size 8, not 16`, of the first property that differs. */
function differenceOf(spec: MapSpec, info: MapInfo): string | undefined {
  const flags = (of: number): number =>
    spec.type.startsWith("devmap") ? of & ~readOnlyProgram : of;
  const rows: readonly (readonly [string, unknown, unknown])[] = [
    ["type", info.type, spec.type],
    ["key size", info.keySize, spec.keySize],
    ["value size", info.valueSize, valueSizeOf(spec)],
    ["max_entries", info.maxEntries, spec.maxEntries],
    ["flags", flags(info.flags), flags(spec.flags)],
    ["map_extra", info.extra, spec.extra ?? 0n],
  ];
  const found = rows.find(([, have, want]) => have !== want);
  if (found === undefined) return undefined;
  const [name, have, want] = found;
  return `${name} ${String(have)}, not ${String(want)}`;
}
