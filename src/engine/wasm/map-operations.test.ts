/**
 * User space's view of every map type: the same random operations on interp, on the
 * portable engine in private and in shared memory, and on the kernel where it is at
 * hand. Each answer, error number and the contents at the end must be the same.
 *
 * Not compared: an LRU map at its capacity (the kernel takes batches, and by CPU), a
 * bloom filter with a random seed, values of maps of maps (the kernel shows ids).
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { after, before, test, type TestContext } from "node:test";
import { Random, toHex, UnsupportedError } from "../../base/index.ts";
import { createState } from "../../interp/index.ts";
import type { MapSpec } from "../../isa/index.ts";
import { attributes, command } from "../kernel/attributes.ts";
import { possibleCpus } from "../../host/index.ts";
import { KernelMap } from "../kernel/load/kernel-map.ts";
import { memory, openSyscalls, type Syscalls } from "../kernel/syscalls.ts";
import { loadPortable } from "./program.ts";
import { mapOf, programOf } from "./twin.test.kit.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);
const none = new Uint8Array(0);

/** A map as user space has it. */
interface UserMap {
  update(key: Uint8Array, value: Uint8Array, flags: number): number;
  delete(key: Uint8Array): number;
  lookup(key: Uint8Array): Uint8Array | undefined;
  pop(): Uint8Array | undefined;
  /** Keys and values of all elements, sorted; undefined where nobody can list them. */
  entries(): string | undefined;
}

function interpMap(spec: MapSpec, cpus: number): UserMap {
  const state = createState([spec], { cpus });
  return {
    update: (key, value, flags) => state.update(spec.name, key, value, flags),
    delete: (key) => state.delete(spec.name, key),
    lookup: (key) => state.lookup(spec.name, key),
    pop: () => state.pop(spec.name),
    entries: () => print(state.entries(spec.name)),
  };
}

function portableMap(
  spec: MapSpec,
  cpus: number,
  place: "private" | { readonly core: number; readonly cores: number },
): UserMap {
  const { maps } = loadPortable(programOf("r0 = 0\nexit", [spec]), {
    cpus,
    memory: place,
  });
  return {
    update: (key, value, flags) => maps.update(spec.name, key, value, flags),
    delete: (key) => maps.delete(spec.name, key),
    lookup: (key) => maps.lookup(spec.name, key),
    pop: () => maps.pop(spec.name),
    entries: () => print(maps.entries(spec.name)),
  };
}

function print(
  entries: readonly {
    readonly key: Uint8Array;
    readonly value: Uint8Array;
  }[],
): string {
  return entries
    .map(({ key, value }) => `${toHex(key)}=${toHex(value)}`)
    .join(" ");
}

class RunningMap implements UserMap {
  readonly map: KernelMap;
  readonly #syscalls: Syscalls;
  readonly #spec: MapSpec;
  readonly #size: number;

  constructor(syscalls: Syscalls, spec: MapSpec, size: number) {
    this.#syscalls = syscalls;
    this.#spec = spec;
    this.#size = size;
    this.map = KernelMap.create(syscalls, spec, undefined);
  }
  update(key: Uint8Array, value: Uint8Array, flags: number): number {
    return this.#call(command.mapUpdate, key, held(value), flags);
  }
  delete(key: Uint8Array): number {
    return this.#call(command.mapDelete, key, undefined, 0);
  }
  lookup(key: Uint8Array): Uint8Array | undefined {
    const value = memory(this.#size);
    if (this.#spec.type === "bloom_filter") value.set(key);
    const code = this.#call(command.mapLookup, key, value, 0);
    return code < 0 ? undefined : Uint8Array.from(value);
  }
  pop(): Uint8Array | undefined {
    const value = memory(this.#size);
    const code = this.#call(command.mapLookupAndDelete, none, value, 0);
    return code < 0 ? undefined : Uint8Array.from(value);
  }
  entries(): string | undefined {
    if (this.#spec.keySize === 0) return undefined;
    return print(
      this.map
        .keys()
        .toSorted((left, right) => Buffer.compare(left, right))
        .flatMap((key) => {
          const value = this.lookup(key);
          return value === undefined ? [] : [{ key, value }];
        }),
    );
  }

  #call(
    what: number,
    key: Uint8Array,
    value: Buffer | undefined,
    flags: number,
  ): number {
    const keyed = this.#spec.keySize > 0;
    const place = held(key);
    return this.#syscalls.bpf(
      what,
      attributes(this.#syscalls, "mapElement", {
        fd: this.map.fd,
        ...(keyed ? { key: place } : {}),
        ...(value === undefined ? {} : { value }),
        flags,
      }),
    );
  }
}

function held(bytes: Uint8Array): Buffer {
  const buffer = memory(Math.max(1, bytes.length));
  buffer.set(bytes);
  return buffer;
}

let syscalls: Syscalls | UnsupportedError;
let open: RunningMap[] = [];

before(async () => {
  try {
    syscalls = await openSyscalls();
    new RunningMap(syscalls, mapOf("probe", "array", [4, 4, 1]), 4).map.close();
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error;
    syscalls = error;
  }
});
after(() => {
  for (const { map } of open) map.close();
  open = [];
});

interface Case {
  readonly spec: MapSpec;
  readonly key: (random: Random) => Uint8Array;
  readonly value?: (random: Random) => Uint8Array;
  readonly operations?: number;
  /** Flags to draw from. */
  readonly flags?: readonly number[];
  readonly kernel?: false;
}

const u32 = (value: number): Uint8Array =>
  Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24);
const below =
  (limit: number, size = 4) =>
  (random: Random): Uint8Array => {
    const key = new Uint8Array(size).fill(7);
    key.set(u32(random.below(limit)).subarray(0, size));
    return key;
  };
const prefix = (random: Random): Uint8Array => {
  const key = new Uint8Array(8).fill(0x55);
  key.set(u32(random.pick([0, 1, 7, 8, 9, 16, 31, 32, 33, 300])));
  key[4] = random.below(4);
  key[7] = random.below(2);
  return key;
};
const noKey = (): Uint8Array => none;
const first =
  (size: number, words: readonly number[], seconds: readonly number[] = [0]) =>
  (random: Random): Uint8Array => {
    const value = new Uint8Array(size);
    const word = random.pick(words);
    value.set(u32(word));
    if (size > 4) value.set(u32(word === 0 ? random.pick(seconds) : 0), 4);
    return value;
  };
const zeroSeed = 0x40;

// prettier-ignore
const cases: readonly Case[] = [
  { spec: mapOf("array", "array", [4, 12, 6]), key: below(8) },
  { spec: mapOf("array_mmap", "array", [4, 8, 6], { flags: 0x400 }), key: below(8) },
  { spec: mapOf("percpu_array", "percpu_array", [4, 12, 6]), key: below(8) },
  { spec: mapOf("hash", "hash", [4, 8, 5]), key: below(9) },
  { spec: mapOf("hash_alloc", "hash", [6, 9, 5], { flags: 1 }), key: below(9, 6) },
  { spec: mapOf("percpu_hash", "percpu_hash", [8, 12, 5]), key: below(9, 8) },
  { spec: mapOf("lru", "lru_hash", [4, 8, 4096]), key: below(9) },
  { spec: mapOf("lru_own", "lru_hash", [4, 8, 4096], { flags: 2 }), key: below(9) },
  { spec: mapOf("lru_percpu", "lru_percpu_hash", [4, 12, 4096]), key: below(9) },
  { spec: mapOf("lpm", "lpm_trie", [8, 5, 6], { flags: 1 }), key: prefix },
  { spec: mapOf("queue", "queue", [0, 12, 4]), key: noKey },
  { spec: mapOf("stack", "stack", [0, 12, 4]), key: noKey },
  { spec: mapOf("devmap4", "devmap", [4, 4, 4]), key: below(6), value: first(4, [0, 1, 1]) },
  { spec: mapOf("devmap8", "devmap", [4, 8, 4]), key: below(6), value: first(8, [0, 1, 1], [0, 7]) },
  { spec: mapOf("devmap_hash", "devmap_hash", [4, 4, 4]), key: below(9), value: first(4, [0, 1, 1, 1]) },
  { spec: mapOf("cpumap", "cpumap", [4, 4, 1]), key: below(3), value: first(4, [0, 192, 20_000]), operations: 40 },
  { spec: mapOf("xskmap", "xskmap", [4, 4, 4]), key: below(6), value: first(4, [1, 2]), kernel: false },
];

for (const each of cases)
  void test(`${each.spec.name}: random operations have the same answers (seed ${seed})`, (t) => {
    const { spec } = each;
    const random = new Random(seed).fork(spec.name.length);
    const cpus = process.platform === "linux" ? possibleCpus() : 2;
    const machines = machinesOf(t, each, cpus);
    t.diagnostic(Object.keys(machines).join(" = "));
    const size = elementSize(spec, cpus);
    const seen = new Set<string>();
    for (let count = 0; count < (each.operations ?? 600); count++) {
      const key = each.key(random);
      const value = each.value?.(random) ?? bytesOf(random, spec, size);
      const flags = random.pick([0, 0, 0, 1, 2, 3, 4, 5, 6, 8]);
      const what = random.pick(["update", "update", "delete", "lookup", "pop"]);
      const answers = Object.entries(machines).map(([name, machine]) => [
        name,
        operate(machine, spec, what, { key, value, flags }),
      ]);
      const [, want] = answers[0] ?? [];
      const text = `${count}: ${what} ${toHex(key)} ${toHex(value)} flags ${flags}`;
      deepEqual(
        answers.map(([name, answer]) => `${text}: ${name}: ${answer}`),
        answers.map(([name]) => `${text}: ${name}: ${want}`),
      );
      seen.add(`${what} ${want}`);
    }
    const contents = Object.values(machines).flatMap(
      (machine) => machine.entries() ?? [],
    );
    equal(new Set(contents).size, 1, contents.join("\n"));
    ok(seen.size > 5, [...seen].join(", "));
  });

function machinesOf(
  t: TestContext,
  each: Case,
  cpus: number,
): Readonly<Record<string, UserMap>> {
  const { spec } = each;
  const machines: Record<string, UserMap> = {
    interp: interpMap(spec, cpus),
    private: portableMap(spec, cpus, "private"),
    shared: portableMap(spec, cpus, { core: 1, cores: 2 }),
  };
  if (each.kernel === false) return machines;
  if (syscalls instanceof UnsupportedError) {
    t.diagnostic(`without the kernel: ${syscalls.message}`);
    return machines;
  }
  const running = new RunningMap(syscalls, spec, elementSize(spec, cpus));
  open.push(running);
  return { ...machines, kernel: running };
}

function elementSize({ type, valueSize }: MapSpec, cpus: number): number {
  return type.includes("percpu")
    ? cpus * Math.ceil(valueSize / 8) * 8
    : valueSize;
}

/** A value; what lies between CPUs' copies is zero. */
function bytesOf(random: Random, spec: MapSpec, size: number): Uint8Array {
  const stride = Math.ceil(spec.valueSize / 8) * 8;
  return Uint8Array.from({ length: size }, (_, at) =>
    size === spec.valueSize || at % stride < spec.valueSize
      ? random.below(256)
      : 0,
  );
}

function operate(
  map: UserMap,
  { keySize }: MapSpec,
  what: string,
  about: {
    readonly key: Uint8Array;
    readonly value: Uint8Array;
    readonly flags: number;
  },
): string {
  const text = (value: Uint8Array | undefined): string =>
    value === undefined ? "nothing" : toHex(value);
  switch (what) {
    case "update":
      return `${map.update(about.key, about.value, about.flags)}`;
    case "delete":
      return `${map.delete(about.key)}`;
    case "pop":
      // A map with keys has nothing to pop; it is looked into instead.
      return text(keySize === 0 ? map.pop() : map.lookup(about.key));
    default:
      return text(map.lookup(about.key));
  }
}

// prettier-ignore
const blooms: readonly MapSpec[] = [
  mapOf("bloom4", "bloom_filter", [0, 4, 40], { flags: zeroSeed }),
  mapOf("bloom_odd", "bloom_filter", [0, 7, 10], { flags: zeroSeed, extra: 3n }),
  mapOf("bloom_long", "bloom_filter", [0, 29, 12], { flags: zeroSeed, extra: 15n }),
  mapOf("bloom16", "bloom_filter", [0, 16, 3], { flags: zeroSeed, extra: 1n }),
];

for (const spec of blooms)
  void test(`${spec.name}: the same bits, false positives among them (seed ${seed})`, (t) => {
    const random = new Random(seed).fork(spec.valueSize);
    const each: Case = { spec, key: noKey };
    const machines = Object.entries(machinesOf(t, each, 2));
    const pushed = new Set<string>();
    let wrong = 0;
    for (let count = 0; count < 400; count++) {
      const value = bytesOf(random, spec, spec.valueSize);
      if (count % 3 === 0) {
        const flags = random.pick([0, 0, 0, 1, 2]);
        const answers = machines.map(([, map]) =>
          map.update(none, value, flags),
        );
        equal(new Set(answers).size, 1, `push ${answers.join()}`);
        if (flags === 0) pushed.add(toHex(value));
        continue;
      }
      const found = machines.map(
        ([name, map]) => `${name} ${map.lookup(value) !== undefined}`,
      );
      const isFound = found[0]?.endsWith("true") === true;
      deepEqual(
        found,
        machines.map(([name]) => `${name} ${isFound}`),
      );
      if (isFound && !pushed.has(toHex(value))) wrong++;
    }
    for (const [, map] of machines) {
      for (const text of pushed)
        ok(map.lookup(Buffer.from(text, "hex")) !== undefined, text);
      equal(map.delete(none), -95);
    }
    ok(wrong > 0, "false positives occurred");
  });

const inner = mapOf("inner", "array", [4, 8, 2]);
// prettier-ignore
const holders: readonly (readonly [MapSpec, (random: Random) => Uint8Array])[] = [
  [mapOf("array_of_maps", "array_of_maps", [4, 4, 3], { inner }), below(5)],
  [mapOf("hash_of_maps", "hash_of_maps", [4, 4, 3], { inner }), below(6)],
  [mapOf("prog_array", "prog_array", [4, 4, 3]), below(5)],
];

for (const [spec, keyOf] of holders)
  void test(`${spec.name}: elements put in, taken out, refused (seed ${seed})`, (t) => {
    const random = new Random(seed).fork(spec.name.length);
    const isMap = spec.inner !== undefined;
    const names = isMap ? ["one", "two"] : ["main", "other"];
    const maps = isMap ? names.map((name) => ({ ...inner, name })) : [];
    const program = programOf(
      'r0 = 0\nexit\nfunction other section "xdp" global\nr0 = 1\nexit',
      [...maps, spec],
    );
    const state = createState(program.maps, { cpus: 2 });
    const engines = [state, loadPortable(program, { cpus: 2 }).maps] as const;
    // A program's descriptor would need a program; maps do for the rest.
    const running =
      isMap && !(syscalls instanceof UnsupportedError)
        ? [spec, ...maps].map((each) =>
            KernelMap.create(syscalls as Syscalls, each, undefined),
          )
        : [];
    t.diagnostic(running.length > 0 ? "with the kernel" : "without the kernel");
    const outer = running[0] && new RunningMap(syscalls as Syscalls, spec, 4);
    if (outer !== undefined) open.push(outer);
    try {
      const seen = new Set<number>();
      for (let count = 0; count < 300; count++) {
        const key = keyOf(random);
        const which = random.below(2);
        const value = new TextEncoder().encode(names[which]);
        const flags = random.pick([0, 0, 0, 1, 2, 3]);
        const removes = random.chance(0.4);
        const answers = engines.map((engine) =>
          removes
            ? engine.delete(spec.name, key)
            : engine.update(spec.name, key, value, flags),
        );
        if (outer !== undefined)
          answers.push(
            removes
              ? outer.delete(key)
              : outer.update(key, u32(running[1 + which]?.fd ?? 0), flags),
          );
        const text = `${count}: ${removes ? "delete" : "update"} ${toHex(key)} flags ${flags}`;
        equal(new Set(answers).size, 1, `${text}: ${answers.join()}`);
        seen.add(answers[0] ?? 0);
        const found = engines.map((engine) => engine.lookup(spec.name, key));
        deepEqual(found[0], found[1], text);
        if (outer !== undefined)
          equal(outer.lookup(key) !== undefined, found[0] !== undefined, text);
      }
      ok(seen.size >= 4, [...seen].join());
      deepEqual(engines[0].entries(spec.name), engines[1].entries(spec.name));
    } finally {
      for (const map of running) map.close();
    }
  });
