/**
 * Private tables beside the interpreter's hash map, operation by operation: the same
 * answers, values, errors and contents, on three machines; and what must not pass for
 * a table does not.
 */
import { deepEqual, equal, notDeepEqual, ok, throws } from "node:assert/strict";
import { after, test, type TestContext } from "node:test";
import { Random, UnsupportedError, toHex } from "#base";
import {
  longestChain,
  putTableEntry,
  removeTableEntry,
  tableEntries,
  tableEntry,
  tableLayout,
} from "#codegen";
import {
  originalEntries,
  originalValue,
  writeOriginals,
  type MapRecord,
} from "#control";
import { loadPortable, openKernel, type Kernel } from "#engine";
import { BytecodeMachine, createState, type PacketInput } from "#interp";
import { parseInstruction, printInstruction, type ProgramSpec } from "#isa";
import {
  hashProgram,
  operations,
  packetSize,
  tableProgram,
  valueAt,
  type TableCase,
} from "./support/table-program.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

const kernel = await openKernel().catch((error: unknown) => {
  if (error instanceof UnsupportedError) return error;
  throw error;
});
after(() => {
  if (!(kernel instanceof UnsupportedError)) kernel.close();
});

function kernelTest(name: string, body: (kernel: Kernel) => void): void {
  void test(`${name} (seed ${seed})`, (t: TestContext) => {
    if (kernel instanceof UnsupportedError) t.skip(kernel.message);
    else body(kernel);
  });
}

// prettier-ignore
const shapes: readonly TableCase[] = [
  { keySize: 4,  valueSize: 8,   capacities: [5],        alignment: 4 },
  { keySize: 16, valueSize: 16,  capacities: [7, 6],     alignment: 4 },
  { keySize: 8,  valueSize: 4,   capacities: [3, 3, 2],  alignment: 8 },
  { keySize: 13, valueSize: 24,  capacities: [9, 8],     alignment: 1 },
  { keySize: 2,  valueSize: 1,   capacities: [1, 1],     alignment: 2 },
  { keySize: 1,  valueSize: 12,  capacities: [4, 3],     alignment: 8 },
  { keySize: 24, valueSize: 40,  capacities: [12],       alignment: 8 },
  { keySize: 36, valueSize: 33,  capacities: [11, 10],   alignment: 4 },
  { keySize: 39, valueSize: 64,  capacities: [6, 6],     alignment: 1 },
  { keySize: 16, valueSize: 100, capacities: [20, 20, 19], alignment: 8, inPacket: true },
];

const text = (shape: TableCase): string =>
  `${shape.keySize} + ${shape.valueSize} bytes × ${shape.capacities.join("+")}, ${shape.inPacket === true ? "in packets" : `at multiples of ${shape.alignment}`}`;

interface Step {
  readonly queue: number;
  readonly input: PacketInput;
}

/** Operations over a few more keys than there is room for. */
function steps(shape: TableCase, count: number, random: Random): Step[] {
  const { keySize, valueSize, capacities } = shape;
  const most = Math.max(...capacities);
  const keys = Array.from({ length: Math.ceil(most * 1.4) + 1 }, (_, at) => {
    const key = new Uint8Array(keySize);
    // Neighbours that differ in one byte, the first or the last; some in more.
    key[at % 2 === 0 ? 0 : keySize - 1] = at + 1;
    if (at % 3 === 0) key.set(random.bytes(1), random.below(keySize));
    if (at % 3 === 1 && keySize > 8) key.set(random.bytes(4), keySize - 5);
    return key;
  });
  return Array.from({ length: count }, (_, at) => {
    const data = new Uint8Array(packetSize(shape));
    const queue = random.below(capacities.length);
    // Long stretches of growing and of shrinking, to be full and empty.
    const grows = Math.floor(at / (most * capacities.length * 10)) % 2 === 0;
    data[14] = grows
      ? random.pick([0, 1, 1, 1, 1, 2, 3, 4])
      : random.pick([0, 1, 2, 2, 2, 2, 3, 4]);
    data[15] = random.pick([0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 3, 4, 255]);
    data[16] = queue;
    data.set(random.pick(keys), 32);
    data.set(random.bytes(valueSize), valueAt(keySize));
    const input = { data, ifindex: 1, rxQueue: 0, cpu: 0, time: BigInt(at) };
    return { queue, input };
  });
}

interface Ran {
  readonly frames: readonly string[];
  /** By queue: hex of key and value, sorted. */
  readonly contents: readonly (readonly string[])[];
}

const entryText = (key: Uint8Array, value: Uint8Array): string =>
  `${toHex(key)} ${toHex(value)}`;

/** One hash map for each queue, as the interpreter has it. */
function runHashes(shape: TableCase, all: readonly Step[]): Ran {
  const machines = shape.capacities.map((capacity) => {
    const program = hashProgram(shape, capacity);
    return new BytecodeMachine(program, createState(program.maps));
  });
  const frames = all.map(({ queue, input }) => {
    const outcome = machines[queue]?.run(input);
    equal(outcome?.fault, undefined);
    return toHex(outcome?.data ?? new Uint8Array());
  });
  const contents = machines.map(({ state }) =>
    state
      .entries("cells")
      .map(({ key, value }) => entryText(key, value))
      .sort(),
  );
  return { frames, contents };
}

function contentsOf(
  shape: TableCase,
  tables: readonly Uint8Array[],
): Ran["contents"] {
  const layout = tableLayout(shape, shape.capacities);
  return tables.map((bytes) =>
    tableEntries(bytes, layout)
      .map(({ key, value }) => entryText(key, value))
      .sort(),
  );
}

function runInterp(
  shape: TableCase,
  program: ProgramSpec,
  all: readonly Step[],
): Ran {
  const state = createState(program.maps);
  const machine = new BytecodeMachine(program, state, { seed });
  const frames = all.map(({ input }) => {
    const outcome = machine.run(input);
    equal(outcome.fault, undefined);
    return toHex(outcome.data);
  });
  const tables = state.entries("cells").map(({ value }) => value);
  return { frames, contents: contentsOf(shape, tables) };
}

function runPortable(
  shape: TableCase,
  program: ProgramSpec,
  all: readonly Step[],
): Ran {
  const loaded = loadPortable(program, { seed });
  const outcomes = loaded.run(all.map(({ input }) => input));
  const tables = loaded.entries("cells").map(({ value }) => value);
  return {
    frames: outcomes.map(({ data, fault }) => {
      equal(fault, undefined);
      return toHex(data);
    }),
    contents: contentsOf(shape, tables),
  };
}

function runKernel(
  using: Kernel,
  { shape, program }: { shape: TableCase; program: ProgramSpec },
  all: readonly Step[],
): Ran {
  const loaded = using.load([program]);
  try {
    const one = loaded.program();
    const frames = all.map(({ input }) => toHex(one.testRun(input.data).data));
    const map = loaded.map("cells");
    const tables = map
      .entries()
      .map(([, [value]]) => value ?? new Uint8Array());
    return { frames, contents: contentsOf(shape, tables) };
  } finally {
    loaded.close();
  }
}

for (const shape of shapes) {
  const wanted = (count: number) => {
    const random = new Random(seed * 1000 + shape.keySize);
    const all = steps(shape, count, random);
    return { all, hashes: runHashes(shape, all) };
  };

  void test(`as a hash map: ${text(shape)} (seed ${seed})`, () => {
    const { all, hashes } = wanted(2000 + 150 * Math.max(...shape.capacities));
    // Every answer was given.
    const answers = new Set(hashes.frames.map((frame) => frame.slice(48, 64)));
    for (const errno of [0, -2, -7, -17, -22])
      ok(
        answers.has(
          toHex(new Uint8Array(BigInt64Array.of(BigInt(errno)).buffer)),
        ),
        `no ${errno}`,
      );
    const program = tableProgram(shape);
    deepEqual(runInterp(shape, program, all), hashes);
    deepEqual(runPortable(shape, program, all), hashes);
  });

  kernelTest(`in the kernel: ${text(shape)}`, (using) => {
    const { all, hashes } = wanted(1500);
    deepEqual(
      runKernel(using, { shape, program: tableProgram(shape) }, all),
      hashes,
    );
  });
}

// Wrong code in the generated functions: [what, instruction, what stands there instead].
// prettier-ignore
const mutants: readonly (readonly [string, RegExp, string])[] = [
  ["the second word of the key is not compared",  /^if r1 != r7 goto/, "r1 = 0"],
  ["unlinking is forgotten",                      /^\*\(u32 \*\)\(r2 \+ 0\) = r1$/, "r1 = 0"],
  ["one entry more than the capacity",            /^if r3 >= r0 goto/, "r0 += 1"],
  ["NOEXIST is ignored",                          /^if r1 == 1 goto/, "r1 = 0"],
  ["EXIST is ignored",                            /^if r1 == 2 goto/, "r1 = 0"],
  ["flags are not looked at",                     /^if r4 > 2 goto/, "r0 = 0"],
  ["a freed entry is lost",                       /^\*\(u32 \*\)\(r9 \+ 12\) = r3$/, "r3 = 0"],
  ["the free list forgets its rest",              /^\*\(u32 \*\)\(r9 \+ 12\) = r4$/, "r4 = 0"],
  ["the old entry stays spare and linked",        /^\*\(u32 \*\)\(r9 \+ 16\) = r3$/, "r4 = 0"],
  ["every core has the first one's table",        /^\*\(u32 \*\)\(r10 - 4\) = r1$/, "*(u32 *)(r10 - 4) = 0"],
  ["a look-up in the first one's table",          /^\*\(u64 \*\)\(r10 - 56\) = r1$/, "*(u64 *)(r10 - 56) = 0"],
  ["a look-up compares one word of two",          /^if r1 != r4 goto/, "r1 = 0"],
  ["a look-up stays in the first entry",          /^if r5 < 16 goto/, "r1 = 0"],
];

void test(`wrong code is seen (seed ${seed})`, () => {
  const shape: TableCase = {
    keySize: 16,
    valueSize: 16,
    capacities: [24, 12],
    alignment: 4,
  };
  const random = new Random(seed);
  const all = steps(shape, 5000, random);
  const hashes = runHashes(shape, all);
  deepEqual(runInterp(shape, tableProgram(shape), all), hashes);
  for (const [what, pattern, instead] of mutants) {
    let changed = 0;
    const program = tableProgram(shape, (fn) => {
      const instructions = fn.instructions.map((instruction) => {
        if (!pattern.test(printInstruction(instruction))) return instruction;
        changed++;
        return parseInstruction(instead);
      });
      return { ...fn, instructions };
    });
    ok(changed > 0, `${what}: nothing to change`);
    let ran: Ran | undefined;
    try {
      ran = runInterp(shape, program, all);
    } catch {
      continue; // A fault is a difference too.
    }
    notDeepEqual(ran, hashes, what);
  }
});

void test(`what a reader writes, a program finds (seed ${seed})`, () => {
  const shape: TableCase = {
    keySize: 13,
    valueSize: 20,
    capacities: [30, 30],
    alignment: 4,
  };
  const layout = tableLayout(shape, shape.capacities);
  const random = new Random(seed);
  const all = steps(shape, 600, random).filter(({ queue }) => queue === 0);
  const program = tableProgram(shape);
  const state = createState(program.maps);
  const bytes = new Uint8Array(layout.size);
  const model = new Map<string, string>();
  for (const { input } of all) {
    const key = input.data.slice(32, 32 + shape.keySize);
    const value = random.bytes(shape.valueSize);
    const name = toHex(key);
    if (random.chance(0.3))
      equal(removeTableEntry(bytes, layout, key), model.delete(name));
    else {
      const isFull = model.size === 30 && !model.has(name);
      const change = { key, value, capacity: 30, seed: 0x9e3779b97f4a7c14n };
      equal(putTableEntry(bytes, layout, change), isFull ? "full" : "done");
      if (!isFull) model.set(name, toHex(value));
    }
    equal(
      toHex(tableEntry(bytes, layout, key)?.value ?? new Uint8Array()),
      model.get(name) ?? "",
    );
  }
  const entries = (table: Uint8Array) =>
    new Map(
      tableEntries(table, layout).map((entry) => [
        toHex(entry.key),
        toHex(entry.value),
      ]),
    );
  deepEqual(entries(bytes), model);
  // The program goes on with it: what it finds is there, what it adds is read.
  const queue = Uint8Array.of(0, 0, 0, 0);
  equal(state.update("cells", queue, bytes), 0);
  const machine = new BytecodeMachine(program, state);
  for (const { input } of all) {
    const name = toHex(input.data.slice(32, 32 + shape.keySize));
    const data = input.data.slice();
    data[14] = operations.lookup;
    const outcome = machine.run({ ...input, data });
    equal(outcome.data[24] === 1, model.has(name));
    data[14] = operations.delete;
    machine.run({ ...input, data });
    model.delete(name);
  }
  equal(tableEntries(state.lookup("cells", queue) ?? bytes, layout).length, 0);
  throws(() => tableEntries(bytes.subarray(1), layout), /a table of/);
});

void test("chains are short, and the longest one is full", () => {
  const shape = { keySize: 8, valueSize: 8 };
  const layout = tableLayout(shape, [4096]);
  const random = new Random(seed);
  const key = (number: number): Uint8Array =>
    new Uint8Array(BigUint64Array.of(BigInt(number) << 13n).buffer);
  const odd = (random.below(2 ** 31) * 2 ** 21 + random.below(2 ** 21)) * 2 + 1;
  const put = (bytes: Uint8Array, number: number, value: bigint): string =>
    putTableEntry(bytes, layout, {
      key: key(number),
      value: key(number),
      capacity: 4096,
      seed: value,
    });
  const bytes = new Uint8Array(layout.size);
  for (let number = 0; number < 4096; number++)
    equal(put(bytes, number, BigInt(odd)), "done");
  equal(tableEntries(bytes, layout).length, 4096);
  // Keys that count upward, by seeds near fractions of small denominators.
  for (let parts = 3; parts < 40; parts++) {
    const counted = new Uint8Array(layout.size);
    const near = 2n ** 64n / BigInt(parts) + BigInt(random.below(2 ** 31));
    for (let number = 0; number < 600; number++)
      equal(put(counted, number, near), "done", `seed ${near}`);
  }
  // A seed of 1 hashes small numbers to one bucket.
  const small = new Uint8Array(layout.size);
  for (let number = 0; number < longestChain; number++)
    equal(put(small, number, 1n), "done");
  equal(put(small, longestChain, 1n), "full");
});

kernelTest("tables are seen and written as the original map", (using) => {
  const shape: TableCase = {
    keySize: 13,
    valueSize: 20,
    capacities: [20, 19],
    alignment: 4,
  };
  const all = steps(shape, 1150, new Random(seed)).map(({ input }): Step => {
    // Sharded: a key is one core's.
    const queue = (input.data[32] ?? 0) % 2;
    const data = input.data.slice();
    data[16] = queue;
    return { queue, input: { ...input, data } };
  });
  const wanted = runHashes(shape, all).contents.flat().sort();
  ok(wanted.length > 5);
  const loaded = using.load([tableProgram(shape)]);
  try {
    for (const { input } of all) loaded.program().testRun(input.data);
    const map = loaded.map("cells");
    const record: MapRecord = {
      name: "cells",
      strategy: "shard",
      originalType: "hash",
      type: "array",
      keySize: shape.keySize,
      valueSize: shape.valueSize,
      maxEntries: 39,
      flags: 1024,
      readOnly: false,
      section: "",
      keyFields: [],
      valueFields: [],
      lanes: [],
      isFilled: false,
      cores: { layout: "table", cores: 2, capacities: shape.capacities },
    };
    const seen = originalEntries(map, record);
    const textOf = (entries: typeof seen): string[] =>
      entries.map(({ key, values: [value] }) =>
        entryText(key, value ?? new Uint8Array()),
      );
    // In the order of keys.
    deepEqual(textOf(seen), wanted);
    for (const { key, values } of seen)
      deepEqual(originalValue(map, record, key), values);
    const [first, second] = seen;
    ok(first !== undefined && second !== undefined);
    const value = second.values[0]?.slice() ?? new Uint8Array();
    value.fill(7, 16, 20);
    writeOriginals(map, record, [{ key: second.key, values: [value] }]);
    deepEqual(originalValue(map, record, second.key), [value]);
    deepEqual(originalValue(map, record, first.key), first.values);
    // The program finds what was written.
    const look = all.find(
      ({ input }) => toHex(input.data.slice(32, 45)) === toHex(second.key),
    );
    ok(look !== undefined);
    const data = look.input.data.slice();
    data[14] = operations.lookup;
    const found = loaded.program().testRun(data).data;
    deepEqual(found.slice(48, 68), value);
    const unknown = new Uint8Array(shape.keySize).fill(255);
    const flipped = (bytes: Uint8Array): Uint8Array =>
      bytes.map((byte, at) => (at < 8 ? byte ^ 255 : byte));
    equal(originalValue(map, record, unknown), undefined);
    throws(
      () =>
        writeOriginals(map, record, [
          { key: first.key, values: first.values.map(flipped) },
          { key: unknown, values: [value] },
        ]),
      /none has the key f+: only the core/,
    );
    deepEqual(originalValue(map, record, first.key), first.values);
    // A packet would see bytes of two values.
    const before = originalValue(map, record, second.key);
    const wide = value.map((byte, at) => (at < 9 ? byte ^ 255 : byte));
    throws(() => {
      writeOriginals(map, record, [{ key: second.key, values: [wide] }]);
    }, /more than 8 bytes of \w+ would change/);
    deepEqual(originalValue(map, record, second.key), before);
  } finally {
    loaded.close();
  }
});
