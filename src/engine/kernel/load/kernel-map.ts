/**
 * One map of the running kernel: made from its specification, read and written
 * by key, or as a whole. Values of per-CPU types come as one array per possible
 * CPU. What speaks of all elements goes in batches where the type has them.
 *
 * The element's attributes, key and cell are made once: a lookup is one system
 * call and a copy.
 */
import { InputError } from "../../../base/index.ts";
import { possibleCpus } from "../../../host/index.ts";
import type { MapSpec, MapTypeName } from "../../../isa/index.ts";
import { attributes, command } from "../attributes.ts";
import { createMap, isPerCpu, valueSizeOf } from "./create-map.ts";
import {
  deleteBatch,
  updateBatch,
  walkBatch,
  type BatchMap,
  type Visit,
} from "./map-batch.ts";
import { memory, type Syscalls } from "../syscalls.ts";

const ENOENT = 2;
const page = 4096;
/** PROT_READ | PROT_WRITE, MAP_SHARED. */
const readWrite = 3;
const shared = 1;

// prettier-ignore
const writtenByPrograms: ReadonlySet<MapTypeName> = new Set(["hash", "array", "percpu_hash", "percpu_array", "lru_hash", "lru_percpu_hash", "lpm_trie", "queue", "stack"]);

/** A key with its values: one, or one per possible CPU. */
export type MapEntry = readonly [
  key: Uint8Array,
  values: readonly Uint8Array[],
];

export class KernelMap {
  readonly spec: MapSpec;
  readonly fd: number;
  readonly #syscalls: Syscalls;
  /** Values of a cell. */
  readonly #copies: number;
  /** Bytes of one value as the kernel copies it. */
  readonly #stride: number;
  readonly #valueSize: number;
  readonly #key: Buffer;
  readonly #cell: Buffer;
  readonly #attributes: Buffer;

  private constructor(syscalls: Syscalls, spec: MapSpec, fd: number) {
    this.#syscalls = syscalls;
    this.spec = spec;
    this.fd = fd;
    this.#valueSize = valueSizeOf(spec);
    const perCpu = isPerCpu(spec);
    this.#copies = perCpu ? possibleCpus() : 1;
    this.#stride = perCpu
      ? Math.ceil(this.#valueSize / 8) * 8
      : this.#valueSize;
    this.#key = memory(Math.max(1, spec.keySize));
    this.#cell = memory(Math.max(1, this.#stride * this.#copies));
    this.#attributes = attributes(syscalls, "mapElement", {
      fd,
      // Queues have no keys, and the kernel wants none.
      ...(spec.keySize === 0 ? {} : { key: this.#key }),
      value: this.#cell,
    });
  }

  /** Creates it (`spec` as map-fit gives it), fills it with its data section and freezes read-only data. */
  static create(
    syscalls: Syscalls,
    spec: MapSpec,
    btfFd: number | undefined,
  ): KernelMap {
    const map = new KernelMap(syscalls, spec, createMap(syscalls, spec, btfFd));
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

  /** A map that stands already, as `spec` describes it; the descriptor becomes ours. */
  static open(syscalls: Syscalls, spec: MapSpec, fd: number): KernelMap {
    return new KernelMap(syscalls, spec, fd);
  }

  /** Values of a cell: one, or one per possible CPU. */
  get copies(): number {
    return this.#copies;
  }

  /** The value under `key` (the first CPU's of per-CPU types), or undefined. */
  lookup(key: Uint8Array): Uint8Array | undefined {
    return this.#read(key) ? this.#value(this.#cell, 0) : undefined;
  }

  /** One value per possible CPU, or the one value. */
  lookupAll(key: Uint8Array): readonly Uint8Array[] | undefined {
    return this.#read(key) ? this.#values(this.#cell) : undefined;
  }

  /** Writes the value, on every CPU alike for per-CPU types. */
  update(key: Uint8Array, value: Uint8Array, flags = 0): void {
    this.updateAll(key, this.#everywhere(value), flags);
  }

  /** Writes one value per possible CPU; zero where there are fewer. */
  updateAll(key: Uint8Array, values: readonly Uint8Array[], flags = 0): void {
    this.#setKey(key, this.#key);
    this.#setValues(values, this.#cell);
    this.#call(command.mapUpdate, "update", flags);
  }

  /** Puts another map or program into a cell. */
  setDescriptor(index: number, fd: number): void {
    this.#key.writeUInt32LE(index);
    this.#cell.writeUInt32LE(fd);
    this.#call(command.mapUpdate, "update");
  }

  /** False when the key was not there. */
  delete(key: Uint8Array): boolean {
    this.#setKey(key, this.#key);
    const attr = attributes(this.#syscalls, "mapElement", {
      fd: this.fd,
      key: this.#key,
    });
    const code = this.#syscalls.bpf(command.mapDelete, attr);
    if (code === -ENOENT) return false;
    if (code < 0) throw this.#failure("delete", -code);
    return true;
  }

  keys(): readonly Uint8Array[] {
    const keys: Uint8Array[] = [];
    const isWalked = this.#walk(false, (key) => keys.push(copyOf(key)));
    if (isWalked) return keys;
    keys.length = 0;
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
      keys.push(copyOf(next));
      previous ??= memory(next.length);
      previous.set(next);
    }
  }

  /** Every key with its values, in the kernel's order. */
  entries(): readonly MapEntry[] {
    const entries: MapEntry[] = [];
    const isWalked = this.#walk(false, (key, cell) =>
      entries.push([copyOf(key), this.#values(cell)]),
    );
    if (isWalked) return entries;
    return this.keys().flatMap((key) => {
      const values = this.lookupAll(key);
      return values === undefined ? [] : [[key, values] as const];
    });
  }

  /** Writes every entry; what stands under other keys stays. */
  load(entries: readonly MapEntry[]): void {
    if (entries.length === 0) return;
    const code = updateBatch(
      this.#batch(),
      entries.length,
      (index, key, cell) => {
        const [bytes, values] = entries[index] ?? [new Uint8Array(), []];
        this.#setKey(bytes, key);
        this.#setValues(values, cell);
      },
    );
    if (code === undefined)
      for (const [key, values] of entries) this.updateAll(key, values);
    else if (code > 0) throw this.#failure("update", code);
  }

  /** Every entry, removed: of a queue or stack the elements in their order, under empty keys. */
  drain(): readonly MapEntry[] {
    const entries: MapEntry[] = [];
    if (this.spec.keySize === 0) {
      while (this.#call(command.mapLookupAndDelete, "pop"))
        entries.push([new Uint8Array(), this.#values(this.#cell)]);
      return entries;
    }
    const isWalked = this.#walk(true, (key, cell) =>
      entries.push([copyOf(key), this.#values(cell)]),
    );
    if (isWalked) return entries;
    const standing = this.entries();
    this.#deleteAll(standing.map(([key]) => key));
    return standing;
  }

  /** Empties it; cells that always exist become zero. */
  clear(): void {
    if (this.spec.keySize === 0) {
      while (this.#call(command.mapLookupAndDelete, "pop"));
      return;
    }
    if (this.spec.type === "array" || this.spec.type === "percpu_array") {
      this.#zero();
      return;
    }
    if (!this.#walk(true, () => undefined)) this.#deleteAll(this.keys());
  }

  /** What it was after loading, where programs can write it; a bloom filter cannot forget. */
  reset(): void {
    const { data, readOnly, type } = this.spec;
    if (readOnly) return;
    if (data !== undefined) this.update(Uint8Array.of(0, 0, 0, 0), data);
    else if (writtenByPrograms.has(type)) this.clear();
  }

  /** All values of a mmapable array, in this process's memory while `work` runs. */
  inMemory<T>(work: (bytes: Uint8Array) => T): T {
    const stride = Math.ceil(this.#valueSize / 8) * 8;
    const size = stride * this.spec.maxEntries;
    const length = Math.ceil(size / page) * page;
    // prettier-ignore
    const address = this.#syscalls.call("mmap", 0, length, readWrite, shared, this.fd, 0);
    if (address < 0) throw this.#failure("mapping", -address);
    try {
      return work(
        new Uint8Array(this.#syscalls.view(address, length), 0, size),
      );
    } finally {
      this.#syscalls.call("munmap", address, length);
    }
  }

  close(): void {
    this.#syscalls.close(this.fd);
  }

  #zero(): void {
    const count = this.spec.maxEntries;
    const code = updateBatch(this.#batch(), count, (index, key) => {
      key.writeUInt32LE(index);
    });
    if (code !== undefined && code > 0) throw this.#failure("update", code);
    if (code === 0) return;
    const zero = new Uint8Array(this.#valueSize);
    for (const key of this.keys()) this.update(key, zero);
  }

  #deleteAll(keys: readonly Uint8Array[]): void {
    if (keys.length === 0) return;
    const code = deleteBatch(this.#batch(), keys);
    if (code === undefined) for (const key of keys) this.delete(key);
    else if (code > 0) throw this.#failure("delete", code);
  }

  /** False where the type has no batches. */
  #walk(remove: boolean, visit: Visit): boolean {
    const code = walkBatch(this.#batch(), { remove }, visit);
    if (code !== undefined && code > 0) throw this.#failure("walk", code);
    return code === 0;
  }

  #batch(): BatchMap {
    return {
      syscalls: this.#syscalls,
      fd: this.fd,
      keySize: this.spec.keySize,
      cellSize: this.#stride * this.#copies,
      maxEntries: this.spec.maxEntries,
    };
  }

  /** Fetches the cell of `key`; false when there is none. */
  #read(key: Uint8Array): boolean {
    this.#setKey(key, this.#key);
    return this.#call(command.mapLookup, "lookup");
  }

  /** One call on the held key and cell; false for ENOENT. */
  #call(what: number, name: string, flags = 0): boolean {
    this.#attributes.writeUInt32LE(flags, 24);
    const code = this.#syscalls.bpf(what, this.#attributes);
    if (code >= 0) return true;
    if (code === -ENOENT && what !== command.mapUpdate) return false;
    throw this.#failure(name, -code);
  }

  #value(cell: Buffer, copy: number): Uint8Array {
    const at = copy * this.#stride;
    return copyOf(cell.subarray(at, at + this.#valueSize));
  }

  #values(cell: Buffer): readonly Uint8Array[] {
    return Array.from({ length: this.#copies }, (_, copy) =>
      this.#value(cell, copy),
    );
  }

  #everywhere(value: Uint8Array): readonly Uint8Array[] {
    return Array.from({ length: this.#copies }, () => value);
  }

  #setKey(key: Uint8Array, to: Buffer): void {
    if (key.length !== this.spec.keySize)
      throw new InputError(
        `map ${this.spec.name}: ${key.length} bytes given for a key of ${this.spec.keySize}`,
        { code: "map-key-size" },
      );
    to.set(key);
  }

  #setValues(values: readonly Uint8Array[], to: Buffer): void {
    for (const [copy, value] of values.entries()) {
      if (value.length !== this.#valueSize || copy >= this.#copies)
        throw new InputError(
          `map ${this.spec.name}: ${value.length} bytes given for a value of ${this.#valueSize}`,
          { code: "map-value-size" },
        );
      to.set(value, copy * this.#stride);
    }
    to.fill(0, values.length * this.#stride);
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

function copyOf(bytes: Buffer): Uint8Array {
  return Uint8Array.from(bytes);
}
