/**
 * What the kernel says of its own programs, maps and links: BPF_OBJ_GET_INFO_BY_FD,
 * and walks over their ids. Descriptors go in, plain values come out.
 *
 * Source: include/uapi/linux/bpf.h (struct bpf_prog_info, bpf_map_info, bpf_link_info).
 */
import { InputError } from "../../../base/index.ts";
import { mapTypeByNumber, type MapTypeName } from "../../../isa/index.ts";
import { attributes, command, result } from "../attributes.ts";
import { memory, type Syscalls } from "../syscalls.ts";

const ENOENT = 2;

export interface ProgramInfo {
  readonly id: number;
  /** `enum bpf_prog_type`; 6 is XDP. */
  readonly type: number;
  /** As the kernel keeps it: 15 characters at most. */
  readonly name: string;
  /** Hash of the instructions, 16 hex digits. */
  readonly tag: string;
  /** Runs and nanoseconds while kernel.bpf_stats_enabled is 1; 0 otherwise. */
  readonly runs: bigint;
  readonly runNs: bigint;
}

export interface MapInfo {
  readonly id: number;
  readonly type: MapTypeName;
  /** As the kernel keeps it: 15 characters at most. */
  readonly name: string;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  readonly extra: bigint;
  /** 0: the map has no types. */
  readonly btfId: number;
  readonly btfKey: number;
  readonly btfValue: number;
}

/** `enum bpf_link_type`. */
const linkTypes = { xdp: 6, tcx: 11 } as const;

export interface LinkInfo {
  readonly id: number;
  readonly type: "xdp" | "tcx" | "other";
  readonly programId: number;
  /** Of the interface in its own namespace; 0: the interface is gone. */
  readonly ifindex: number;
}

export function programInfo(syscalls: Syscalls, fd: number): ProgramInfo {
  const info = read(syscalls, fd, 232);
  return {
    id: info.readUInt32LE(4),
    type: info.readUInt32LE(0),
    name: text(info, 64),
    tag: info.toString("hex", 8, 16),
    runNs: info.readBigUInt64LE(192),
    runs: info.readBigUInt64LE(200),
  };
}

export function mapInfo(syscalls: Syscalls, fd: number): MapInfo {
  const info = read(syscalls, fd, 88);
  const type = mapTypeByNumber(info.readUInt32LE(0));
  if (type === undefined)
    throw new InputError(
      `map ${text(info, 24)} has type ${info.readUInt32LE(0)}, which is not known here`,
      { code: "map-type-unknown" },
    );
  return {
    id: info.readUInt32LE(4),
    type,
    name: text(info, 24),
    keySize: info.readUInt32LE(8),
    valueSize: info.readUInt32LE(12),
    maxEntries: info.readUInt32LE(16),
    flags: info.readUInt32LE(20),
    extra: info.readBigUInt64LE(80),
    btfId: info.readUInt32LE(64),
    btfKey: info.readUInt32LE(68),
    btfValue: info.readUInt32LE(72),
  };
}

export function linkInfo(syscalls: Syscalls, fd: number): LinkInfo {
  const info = read(syscalls, fd, 40);
  const number = info.readUInt32LE(0);
  const hasInterface = number === linkTypes.xdp || number === linkTypes.tcx;
  return {
    id: info.readUInt32LE(4),
    type:
      number === linkTypes.xdp
        ? "xdp"
        : number === linkTypes.tcx
          ? "tcx"
          : "other",
    programId: info.readUInt32LE(8),
    ifindex: hasInterface ? info.readUInt32LE(16) : 0,
  };
}

/** A descriptor of the program with this id, or undefined when it is gone. */
export function openProgram(
  syscalls: Syscalls,
  id: number,
): number | undefined {
  return openId(syscalls, command.programFdById, id);
}

/** Every link of the running kernel, in all namespaces. */
export function links(syscalls: Syscalls): readonly LinkInfo[] {
  const found: LinkInfo[] = [];
  let id = 0;
  for (;;) {
    const attr = attributes(syscalls, "id", { id });
    if (syscalls.bpf(command.linkNextId, attr) < 0) return found;
    id = result(attr, "id", "next");
    const fd = openId(syscalls, command.linkFdById, id);
    if (fd === undefined) continue;
    try {
      found.push(linkInfo(syscalls, fd));
    } finally {
      syscalls.close(fd);
    }
  }
}

function openId(
  syscalls: Syscalls,
  which: number,
  id: number,
): number | undefined {
  const fd = syscalls.bpf(which, attributes(syscalls, "id", { id }));
  if (fd >= 0) return fd;
  if (fd === -ENOENT) return undefined;
  throw new InputError(
    `the kernel does not open object ${id}: ${syscalls.errorName(-fd)}`,
    { code: "object-unreadable" },
  );
}

/** `size` bytes of the object's description; an older kernel leaves the rest zero. */
function read(syscalls: Syscalls, fd: number, size: number): Buffer {
  const info = memory(size);
  const attr = attributes(syscalls, "objectInfo", { fd, size, info });
  const code = syscalls.bpf(command.objectInfo, attr);
  if (code < 0)
    throw new InputError(
      `the kernel does not describe descriptor ${fd}: ${syscalls.errorName(-code)}`,
      { code: "object-unreadable" },
    );
  return info;
}

function text(info: Buffer, offset: number): string {
  const end = info.indexOf(0, offset);
  return info.toString("latin1", offset, Math.min(end, offset + 16));
}
