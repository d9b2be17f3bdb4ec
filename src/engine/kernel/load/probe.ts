/**
 * What the running kernel has, asked of bpf(2) itself: every row of the table makes a
 * small map, loads a few instructions or tries a call, and looks at the answer. Nothing
 * stays: descriptors are closed, nothing is attached.
 *
 * The first kernel of each feature is from its commit's release (bpf-next tags).
 * A distribution may have carried a feature back; so the answer counts, not the version.
 */
import { UnsupportedError } from "../../../base/index.ts";
import {
  encode,
  helperByNumber,
  mapTypes,
  parseFunction,
  type MapTypeName,
} from "../../../isa/index.ts";
import { attributes, command } from "../attributes.ts";
import { probeTable, type Probe } from "./probe-table.ts";
import { kernelFunctionId } from "./kernel-symbols.ts";
import { memory, openSyscalls, type Syscalls } from "../syscalls.ts";

export interface FeatureProbe {
  readonly name: string;
  readonly kind: Probe["kind"];
  /** `5.8`. */
  readonly firstKernel: string;
  readonly have: boolean;
  /** What the kernel answered, where it said no. */
  readonly answer?: string;
}

/** What there is to ask for, where nothing can be asked. */
export const kernelFeatureCount = probeTable.length;

/** Every row of the table, in its order. Needs the right to use bpf(2). */
export function probeFeatures(syscalls: Syscalls): readonly FeatureProbe[] {
  return probeTable.map((probe) => {
    const { kind, name, firstKernel } = probe;
    const code = ask(syscalls, probe);
    return {
      name,
      kind,
      firstKernel,
      have: code === 0,
      ...(code === 0 ? {} : { answer: syscalls.errorName(-code) }),
    };
  });
}

/** 0 where the kernel has it, else a negative errno. */
function ask(syscalls: Syscalls, probe: Probe): number {
  switch (probe.kind) {
    case "map":
      return makeMap(syscalls, probe.map, probe.flags ?? 0);
    case "helper":
      return callHelper(syscalls, probe.helper);
    case "program":
      return loadText(syscalls, probe.text, probe.flags ?? 0);
    case "call":
      return calls[probe.call](syscalls);
  }
}

function makeMap(syscalls: Syscalls, type: MapTypeName, flags: number): number {
  const inner =
    type === "array_of_maps" || type === "hash_of_maps"
      ? mapDescriptor(syscalls, "array", 0)
      : undefined;
  const fd = mapDescriptor(syscalls, type, flags, inner);
  if (inner !== undefined && inner >= 0) syscalls.close(inner);
  return closed(syscalls, fd);
}

// Key, value, entries where they are not 4, 4, 1.
// prettier-ignore
const shapes: Partial<Readonly<Record<MapTypeName, readonly [number, number, number]>>> = {
  lpm_trie: [8, 4, 1], queue: [0, 4, 1], stack: [0, 4, 1], bloom_filter: [0, 4, 1],
  ringbuf: [0, 0, 4096 * 16], user_ringbuf: [0, 0, 4096 * 16], arena: [0, 0, 1],
};
const noPrealloc = 1;
const mmapable = 1 << 10;

function mapDescriptor(
  syscalls: Syscalls,
  type: MapTypeName,
  flags: number,
  innerFd?: number,
): number {
  const [keySize, valueSize, maxEntries] = shapes[type] ?? [4, 4, 1];
  const own =
    type === "lpm_trie" ? noPrealloc : type === "arena" ? mmapable : 0;
  const attr = attributes(syscalls, "mapCreate", {
    type: mapTypes[type].number,
    keySize,
    valueSize,
    maxEntries,
    flags: flags | own,
    ...(innerFd === undefined ? {} : { innerFd }),
    name: "divisi_probe",
  });
  return syscalls.bpf(command.mapCreate, attr);
}

/**
 * A program that does nothing but call it. The verifier refuses an unknown helper
 * before it looks at arguments, so any other complaint means that the helper is there.
 */
function callHelper(syscalls: Syscalls, helper: number): number {
  const log = memory(64 * 1024);
  const fd = load(syscalls, `call ${nameOf(helper)}\n r0 = 0\n exit`, {
    flags: 0,
    log,
  });
  if (fd >= 0) return closed(syscalls, fd);
  const text = log.toString("latin1", 0, Math.max(0, log.indexOf(0)));
  const isUnknown =
    /(?:invalid|unknown) func|cannot use helper/.test(text) || text === "";
  return isUnknown ? fd : 0;
}

function nameOf(helper: number): string {
  return helperByNumber(helper)?.name ?? String(helper);
}

function loadText(syscalls: Syscalls, text: string, flags: number): number {
  return closed(syscalls, load(syscalls, text, { flags }));
}

const xdp = 6;
const dropAll = "r0 = 1\n exit";

function load(
  syscalls: Syscalls,
  text: string,
  options: { readonly flags: number; readonly log?: Buffer },
): number {
  const fn = parseFunction(`function probe\n ${text}`);
  const bytes = encode(fn.instructions);
  const code = memory(bytes.length);
  code.set(bytes);
  const license = memory(8);
  license.write("GPL");
  const { log } = options;
  const attr = attributes(syscalls, "programLoad", {
    type: xdp,
    instructionCount: code.length / 8,
    instructions: code,
    license,
    flags: options.flags,
    name: "divisi_probe",
    ...(log === undefined ? {} : { logLevel: 1, logSize: log.length, log }),
  });
  return syscalls.bpf(command.programLoad, attr);
}

const EINVAL = 22;
const EOPNOTSUPP = 95;
const live = 2;

const calls: Readonly<
  Record<
    Extract<Probe, { kind: "call" }>["call"],
    (syscalls: Syscalls) => number
  >
> = {
  // Attaching is the only other way to know, and a probe attaches nothing.
  link: () => {
    try {
      kernelFunctionId("bpf_xdp_link_attach");
      return 0;
    } catch (error) {
      if (error instanceof UnsupportedError) return -EOPNOTSUPP;
      throw error;
    }
  },
  testRun: (syscalls) => runOnce(syscalls, 0),
  liveFrames: (syscalls) => runOnce(syscalls, live),
  batch: (syscalls) => {
    const fd = mapDescriptor(syscalls, "hash", 0);
    if (fd < 0) return fd;
    const [keys, values, out] = [memory(4), memory(4), memory(4)];
    const attr = attributes(syscalls, "mapBatch", {
      fd,
      keys,
      values,
      outBatch: out,
      count: 1,
    });
    const code = syscalls.bpf(command.mapLookupBatch, attr);
    syscalls.close(fd);
    return code === -EINVAL ? code : 0;
  },
};

function runOnce(syscalls: Syscalls, flags: number): number {
  return withProgram(syscalls, (fd) => {
    const frame = memory(64);
    const attr = attributes(syscalls, "testRun", {
      fd,
      sizeIn: 64,
      dataIn: frame,
      repeat: 1,
      flags,
    });
    return Math.min(0, syscalls.bpf(command.testRun, attr));
  });
}

function withProgram(syscalls: Syscalls, work: (fd: number) => number): number {
  const fd = load(syscalls, dropAll, { flags: 0 });
  if (fd < 0) return fd;
  try {
    return work(fd);
  } finally {
    syscalls.close(fd);
  }
}

function closed(syscalls: Syscalls, fd: number): number {
  if (fd < 0) return fd;
  syscalls.close(fd);
  return 0;
}

/** The same, with system calls of its own; throws UnsupportedError where there is none. */
export async function probeKernel(): Promise<readonly FeatureProbe[]> {
  return probeFeatures(await openSyscalls());
}
