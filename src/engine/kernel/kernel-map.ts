/**
 * One map of the running kernel: made from its specification, read and written
 * by key. Values of per-CPU types come as one array per possible CPU.
 */
import { readFileSync } from "node:fs";
import { InputError, UnsupportedError } from "../../base/index.ts";
import { mapTypeRow, type MapSpec } from "../../isa/index.ts";
import { attributes, command, kernelName } from "./attributes.ts";
import { memory, type Syscalls } from "./syscalls.ts";

const ENOENT = 2;
const EPERM = 1;
const EINVAL = 22;
const ENOTSUPP = 524;
/** BPF_F_RDONLY_PROG: the verifier then knows the contents. */
const readOnlyProgram = 1 << 7;
const numaNode = 1 << 2;

// Types whose maps take BTF ids for key and value.
// prettier-ignore
const typed: ReadonlySet<string> = new Set(["hash", "array", "percpu_hash", "percpu_array", "lru_hash", "lru_percpu_hash", "lpm_trie", "sk_storage", "task_storage", "inode_storage", "cgrp_storage"]);

/** CPUs that may ever exist: how many values a per-CPU cell has. */
export function possibleCpus(): number {
  const text = readFileSync("/sys/devices/system/cpu/possible", "utf8");
  return text
    .trim()
    .split(",")
    .reduce((count, range) => {
      const [first = "0", last = first] = range.split("-");
      return count + Number(last) - Number(first) + 1;
    }, 0);
}

export class KernelMap {
  readonly spec: MapSpec;
  readonly fd: number;
  readonly #syscalls: Syscalls;
  readonly #cpus: number;
  /** Bytes of one value as the kernel copies it. */
  readonly #stride: number;

  private constructor(syscalls: Syscalls, spec: MapSpec, fd: number) {
    this.#syscalls = syscalls;
    this.spec = spec;
    this.fd = fd;
    this.#cpus = isPerCpu(spec) ? possibleCpus() : 0;
    this.#stride =
      this.#cpus > 0 ? Math.ceil(spec.valueSize / 8) * 8 : valueSizeOf(spec);
  }

  /** Creates it, fills it with its data section and freezes read-only data. */
  static create(
    syscalls: Syscalls,
    spec: MapSpec,
    btfFd: number | undefined,
  ): KernelMap {
    const map = new KernelMap(syscalls, spec, createFd(syscalls, spec, btfFd));
    try {
      if (spec.data !== undefined) {
        map.update(Uint8Array.of(0, 0, 0, 0), spec.data);
        if (spec.readOnly) map.#freeze();
      }
    } catch (error) {
      map.close();
      throw error;
    }
    return map;
  }

  /** The value under `key` (the first CPU's of per-CPU types), or undefined. */
  lookup(key: Uint8Array): Uint8Array | undefined {
    return this.lookupAll(key)?.[0];
  }

  /** One value per possible CPU, or the one value. */
  lookupAll(key: Uint8Array): readonly Uint8Array[] | undefined {
    const { bytes, buffer } = this.#cell();
    const held = this.#key(key);
    const attr = this.#element(held, buffer, 0);
    const code = this.#syscalls.bpf(command.mapLookup, attr);
    if (code === -ENOENT) return undefined;
    if (code < 0) throw this.#failure("lookup", -code);
    return Array.from({ length: Math.max(1, this.#cpus) }, (_, cpu) => {
      const at = cpu * this.#stride;
      return Uint8Array.from(buffer.subarray(at, at + bytes));
    });
  }

  /** Writes the value, on every CPU alike for per-CPU types. */
  update(key: Uint8Array, value: Uint8Array, flags = 0): void {
    this.updateAll(
      key,
      Array.from({ length: Math.max(1, this.#cpus) }, () => value),
      flags,
    );
  }

  /** Writes one value per possible CPU. */
  updateAll(key: Uint8Array, values: readonly Uint8Array[], flags = 0): void {
    const { bytes, buffer } = this.#cell();
    for (const [cpu, value] of values.entries()) {
      if (value.length !== bytes || cpu >= Math.max(1, this.#cpus))
        throw new InputError(
          `map ${this.spec.name}: ${value.length} bytes given for a value of ${bytes}`,
          { code: "map-value-size" },
        );
      buffer.set(value, cpu * this.#stride);
    }
    const held = this.#key(key);
    const attr = this.#element(held, buffer, flags);
    const code = this.#syscalls.bpf(command.mapUpdate, attr);
    if (code < 0) throw this.#failure("update", -code);
  }

  /** Puts another map or program into a cell. */
  setDescriptor(index: number, fd: number): void {
    const key = memory(4);
    key.writeUInt32LE(index);
    const value = memory(4);
    value.writeUInt32LE(fd);
    const attr = this.#element(key, value, 0);
    const code = this.#syscalls.bpf(command.mapUpdate, attr);
    if (code < 0) throw this.#failure("update", -code);
  }

  /** False when the key was not there. */
  delete(key: Uint8Array): boolean {
    const held = this.#key(key);
    const attr = this.#element(held, undefined, 0);
    const code = this.#syscalls.bpf(command.mapDelete, attr);
    if (code === -ENOENT) return false;
    if (code < 0) throw this.#failure("delete", -code);
    return true;
  }

  keys(): readonly Uint8Array[] {
    const keys: Uint8Array[] = [];
    const next = memory(Math.max(1, this.spec.keySize));
    let previous: Buffer | undefined;
    for (;;) {
      const attr = attributes(this.#syscalls, "mapElement", {
        fd: this.fd,
        ...(previous === undefined ? {} : { key: previous }),
        value: next,
      });
      const code = this.#syscalls.bpf(command.mapNextKey, attr);
      if (code === -ENOENT) return keys;
      if (code < 0) throw this.#failure("walk", -code);
      keys.push(Uint8Array.from(next));
      previous ??= memory(next.length);
      previous.set(next);
    }
  }

  /** Every key with its values, in the kernel's order. */
  entries(): readonly (readonly [Uint8Array, readonly Uint8Array[]])[] {
    return this.keys().flatMap((key) => {
      const values = this.lookupAll(key);
      return values === undefined ? [] : [[key, values] as const];
    });
  }

  close(): void {
    this.#syscalls.close(this.fd);
  }

  #cell(): { bytes: number; buffer: Buffer } {
    const bytes = valueSizeOf(this.spec);
    // prettier-ignore
    return { bytes, buffer: memory(Math.max(1, this.#stride * Math.max(1, this.#cpus))) };
  }

  #key(key: Uint8Array): Buffer {
    if (key.length !== this.spec.keySize)
      throw new InputError(
        `map ${this.spec.name}: ${key.length} bytes given for a key of ${this.spec.keySize}`,
        { code: "map-key-size" },
      );
    const held = memory(Math.max(1, key.length));
    held.set(key);
    return held;
  }

  #element(key: Buffer, value: Buffer | undefined, flags: number): Buffer {
    return attributes(this.#syscalls, "mapElement", {
      fd: this.fd,
      key,
      ...(value === undefined ? {} : { value }),
      flags,
    });
  }

  #freeze(): void {
    const attr = attributes(this.#syscalls, "mapElement", { fd: this.fd });
    const code = this.#syscalls.bpf(command.mapFreeze, attr);
    if (code < 0) throw this.#failure("freeze", -code);
  }

  #failure(what: string, errno: number): Error {
    return new InputError(
      `map ${this.spec.name}: ${what} failed with ${this.#syscalls.errorName(errno)}`,
      { code: "map-access" },
    );
  }
}

function isPerCpu(spec: MapSpec): boolean {
  return "perCpu" in mapTypeRow(spec.type);
}

/** What user space reads: descriptors and ids have 4 bytes. */
function valueSizeOf(spec: MapSpec): number {
  return "ofMaps" in mapTypeRow(spec.type) ? 4 : spec.valueSize;
}

function createFd(
  syscalls: Syscalls,
  spec: MapSpec,
  btfFd: number | undefined,
): number {
  if (spec.section === ".kconfig")
    throw new UnsupportedError(
      "values of the kernel configuration (.kconfig) are not filled in",
      { feature: "extern __kconfig" },
    );
  const inner =
    spec.inner === undefined
      ? undefined
      : createFd(syscalls, spec.inner, btfFd);
  try {
    const types =
      btfFd !== undefined &&
      typed.has(spec.type) &&
      spec.data === undefined &&
      spec.btfKey !== undefined &&
      spec.btfValue !== undefined
        ? { btfFd, btfKey: spec.btfKey, btfValue: spec.btfValue }
        : {};
    const create = (more: object): number =>
      syscalls.bpf(
        command.mapCreate,
        attributes(syscalls, "mapCreate", {
          type: mapTypeRow(spec.type).number,
          keySize: spec.keySize,
          valueSize: valueSizeOf(spec),
          maxEntries: entriesOf(spec),
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
      `map ${spec.name}: the kernel refused ${spec.type} with key ${spec.keySize}, value ${spec.valueSize}, ${entriesOf(spec)} entries, flags 0x${spec.flags.toString(16)}: ${name}`,
      { code: "map-refused" },
    );
  } finally {
    if (inner !== undefined) syscalls.close(inner);
  }
}

// Local storage has no size at all.
// prettier-ignore
const sizeless: ReadonlySet<string> = new Set(["sk_storage", "task_storage", "inode_storage", "cgrp_storage", "cgroup_storage", "percpu_cgroup_storage"]);

/** A map that user space would size gets one entry per possible CPU. */
function entriesOf(spec: MapSpec): number {
  return isUnsized(spec) ? possibleCpus() : spec.maxEntries;
}

export function isUnsized(spec: MapSpec): boolean {
  return spec.maxEntries === 0 && !sizeless.has(spec.type);
}
