/**
 * The kernel engine against the running kernel. Where bpf(2) is not allowed the
 * tests that need it are skipped with the typed reason; the others always run.
 */
import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import {
  InputError,
  UnsupportedError,
  VerifierError,
} from "../../base/index.ts";
import {
  parseFunctions,
  type MapSpec,
  type ProgramSpec,
} from "../../isa/index.ts";
import { readObject, type Btf } from "../../object/index.ts";
import { attributes, result } from "./attributes.ts";
import { possibleCpus } from "../../host/index.ts";
import type { MapEntry } from "./load/kernel-map.ts";
import { haveBpf, openKernel, type Kernel } from "./kernel.ts";
import { linkProgram, placeFunctions, placeOfSlot } from "./load/layout.ts";
import { measureOverhead, measureTestRun } from "./measure/measure.ts";
import { memory, type Syscalls } from "./syscalls.ts";

const root = join(import.meta.dirname, "../../..");
const frame = Uint8Array.from({ length: 64 }, (_, index) => index);

function map(
  name: string,
  type: MapSpec["type"],
  more: Partial<MapSpec> = {},
): MapSpec {
  return {
    name,
    type,
    keySize: 4,
    valueSize: 8,
    maxEntries: 16,
    flags: 0,
    section: ".maps",
    readOnly: false,
    ...more,
  };
}

function program(
  text: string,
  maps: readonly MapSpec[] = [],
  more: Partial<ProgramSpec> = {},
): ProgramSpec {
  return {
    file: "test",
    name: "main",
    section: "xdp",
    type: "xdp",
    license: "GPL",
    functions: parseFunctions(text),
    maps,
    ...more,
  };
}

function kernelTest(
  name: string,
  body: (kernel: Kernel, t: TestContext) => void,
): void {
  test(name, async (t) => {
    let kernel: Kernel;
    try {
      kernel = await openKernel();
    } catch (error) {
      if (!(error instanceof UnsupportedError)) throw error;
      t.skip(error.message);
      return;
    }
    try {
      body(kernel, t);
    } finally {
      kernel.close();
    }
  });
}

const u32 = (value: number): Uint8Array =>
  Uint8Array.from(Buffer.from(Uint32Array.of(value).buffer));
const u64 = (value: bigint): Uint8Array =>
  Uint8Array.from(Buffer.from(BigUint64Array.of(value).buffer));
const bpfFds = (): number =>
  readdirSync("/proc/self/fdinfo").filter((fd) => {
    try {
      return /^(?:map_type|prog_type|btf_id):/m.test(
        readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"),
      );
    } catch {
      return false;
    }
  }).length;

kernelTest("a program runs: verdict, bytes, port", (kernel) => {
  const loaded = kernel.load([
    program(`
      r2 = *(u32 *)(r1 + 0)
      r3 = *(u32 *)(r1 + 4)
      r0 = *(u32 *)(r1 + 12)
      r4 = r2
      r4 += 4
      if r4 > r3 goto out
      *(u16 *)(r2 + 2) = 0x1234
    out:
      exit`),
  ]);
  const run = loaded.program("main").testRun(frame, { ifindex: 1, rxQueue: 0 });
  equal(run.verdict, 1);
  deepEqual(run.data.slice(0, 5), Uint8Array.of(0, 1, 0x34, 0x12, 4));
  equal(run.data.length, 64);
  ok((loaded.program().processed ?? 0) >= 8);
  throws(() => loaded.program().testRun(frame.slice(0, 3)), InputError);
  throws(() => loaded.program("other"), InputError);
});

kernelTest(
  "maps: write, read, walk, delete; per CPU; sizes are checked",
  (kernel) => {
    const loaded = kernel.load([
      program("r1 = map h ll\nr1 = map p ll\nr1 = map a ll\nr0 = 2\nexit", [
        map("h", "hash"),
        map("p", "percpu_hash"),
        map("a", "array"),
      ]),
    ]);
    const hash = loaded.map("h");
    equal(hash.lookup(u32(1)), undefined);
    hash.update(u32(1), u64(10n));
    hash.update(u32(2), u64(20n));
    deepEqual(hash.lookup(u32(2)), u64(20n));
    deepEqual(
      hash
        .entries()
        .map(([key]) => key[0])
        .sort((a = 0, b = 0) => a - b),
      [1, 2],
    );
    equal(hash.delete(u32(1)), true);
    equal(hash.delete(u32(1)), false);
    equal(hash.keys().length, 1);
    throws(() => hash.lookup(new Uint8Array(3)), InputError);
    throws(() => hash.update(u32(1), u32(1)), InputError);
    throws(() => hash.update(u32(2), u64(1n), 1), InputError); // BPF_NOEXIST
    equal(loaded.map("a").entries().length, 16);

    const perCpu = loaded.map("p");
    perCpu.update(u32(7), u64(3n));
    equal(perCpu.lookupAll(u32(7))?.length, possibleCpus());
    perCpu.updateAll(
      u32(7),
      Array.from({ length: possibleCpus() }, (_, cpu) => u64(BigInt(cpu))),
    );
    deepEqual(
      perCpu.lookupAll(u32(7))?.at(-1),
      u64(BigInt(possibleCpus() - 1)),
    );
    throws(() => loaded.map("none"), InputError);
  },
);

kernelTest(
  "maps as a whole: loaded, dumped, drained and cleared, more than a batch, with and without one",
  (kernel) => {
    const types = [
      "hash",
      "percpu_hash",
      "lru_hash",
      "lru_percpu_hash",
      "lpm_trie",
      "array",
      "percpu_array",
      "queue",
      "stack",
    ] as const;
    const count = 2500;
    const loaded = kernel.load([
      program(
        `${types.map((name) => `r1 = map ${name} ll`).join("\n")}\nr0 = 2\nexit`,
        types.map((name) =>
          map(name, name, {
            maxEntries: count,
            ...(name === "lpm_trie" ? { keySize: 8, flags: 1 } : {}),
            ...(name === "queue" || name === "stack" ? { keySize: 0 } : {}),
          }),
        ),
      ),
    ]);
    const keyOf = (name: string, index: number): Uint8Array =>
      name === "lpm_trie"
        ? Uint8Array.of(32, 0, 0, 0, 0, 0, index >> 8, index)
        : u32(index);
    const sorted = (entries: readonly MapEntry[]): unknown[] =>
      entries
        .map(([key, values]) => [Buffer.from(key).readUIntBE(0, 4), values])
        .sort(([a], [b]) => Number(a) - Number(b));
    for (const type of types.slice(0, 7)) {
      const each = loaded.map(type);
      const copies = type.includes("percpu") ? possibleCpus() : 1;
      const entries = Array.from({ length: count }, (_, index): MapEntry => [
        keyOf(type, index),
        Array.from({ length: copies }, (_, cpu) =>
          u64(BigInt(1 + index + cpu * 1e6)),
        ),
      ]);
      each.load(entries);
      const have = each.entries();
      // LRU maps forget when full.
      if (type.startsWith("lru")) ok(have.length > count / 2, type);
      else deepEqual(sorted(have), sorted(entries), type);
      equal(each.keys().length, have.length);
      each.clear();
      const left = each.entries();
      if (!type.endsWith("array")) deepEqual(left, [], type);
      equal(
        left.filter(([, values]) =>
          values.some((value) => value.some((byte) => byte !== 0)),
        ).length,
        0,
        type,
      );
      if (type.endsWith("array")) {
        equal(left.length, count);
        continue;
      }
      each.load(entries.slice(0, 5));
      deepEqual(sorted(each.drain()), sorted(entries.slice(0, 5)), type);
      deepEqual(each.entries(), []);
    }
    for (const type of ["queue", "stack"] as const) {
      const each = loaded.map(type);
      for (const value of [1n, 2n, 3n])
        each.update(new Uint8Array(), u64(value));
      const values = each.drain().map(([, [value]]) => value?.[0]);
      deepEqual(values, type === "queue" ? [1, 2, 3] : [3, 2, 1]);
      each.update(new Uint8Array(), u64(1n));
      each.clear();
      deepEqual(each.drain(), []);
    }
  },
);

kernelTest(
  "a walk takes more room where one bucket holds more than a call",
  (kernel) => {
    const valueSize = 2_500_000;
    const large = { maxEntries: 8, valueSize, flags: 1 };
    const loaded = kernel.load([
      program("r1 = map h ll\nr0 = 2\nexit", [map("h", "hash", large)]),
    ]);
    const each = loaded.map("h");
    for (let key = 0; key < 8; key++)
      each.update(u32(key), new Uint8Array(valueSize).fill(key));
    deepEqual(
      each
        .entries()
        .map(([key, [value]]) => [key[0], value?.[0], value?.at(-1)])
        .sort(([a = 0], [b = 0]) => a - b),
      Array.from({ length: 8 }, (_, key) => [key, key, key]),
    );
    equal(each.drain().length, 8);
    equal(each.keys().length, 0);
  },
);

kernelTest("reset: maps as they were when loaded", (kernel) => {
  const maps = [
    map("h", "hash"),
    map(".data", "array", { section: ".data", maxEntries: 1, data: u64(5n) }),
    map("jumps", "prog_array", {
      valueSize: 4,
      maxEntries: 2,
      values: [{ index: 1, target: { kind: "function", name: "main" } }],
    }),
  ];
  const text = maps.map(({ name }) => `r1 = map ${name} ll`).join("\n");
  const loaded = kernel.load([program(`${text}\nr0 = 2\nexit`, maps)]);
  loaded.map("h").update(u32(1), u64(1n));
  loaded.map(".data").update(u32(0), u64(1n));
  const before = loaded.map("jumps").lookup(u32(1));
  loaded.reset();
  deepEqual(loaded.map("h").entries(), []);
  deepEqual(loaded.map(".data").lookup(u32(0)), u64(5n));
  deepEqual(loaded.map("jumps").lookup(u32(1)), before);
});

kernelTest(
  "data sections are filled, read-only ones frozen and constant",
  (kernel) => {
    const data = { section: ".rodata", maxEntries: 1, valueSize: 4 } as const;
    const loaded = kernel.load([
      program(
        "r1 = value .rodata[0] ll\nr0 = *(u32 *)(r1 + 0)\nr2 = value .data[4] ll\nr3 = *(u32 *)(r2 + 0)\nr0 += r3\nexit",
        [
          map(".rodata", "array", { ...data, data: u32(30), readOnly: true }),
          map(".data", "array", {
            ...data,
            section: ".data",
            valueSize: 8,
            data: u64(7n << 32n),
          }),
        ],
      ),
    ]);
    equal(loaded.program().testRun(frame).verdict, 37);
    throws(() => loaded.map(".rodata").update(u32(0), u32(1)), InputError);
    loaded.map(".data").update(u32(0), u64(1n << 32n));
    equal(loaded.program().testRun(frame).verdict, 31);
  },
);

kernelTest(
  "map-in-map, program arrays, subprograms, callbacks, kfuncs",
  (kernel) => {
    const inner = map("inner", "array", { maxEntries: 1 });
    const loaded = kernel.load([
      program(
        `*(u32 *)(r10 - 4) = 1
       r2 = r10
       r2 += -4
       r1 = map outer ll
       call map_lookup_elem
       if r0 == 0 goto none
       r1 = r0
       *(u32 *)(r10 - 4) = 0
       r2 = r10
       r2 += -4
       call map_lookup_elem
       if r0 == 0 goto none
       r0 = *(u64 *)(r0 + 0)
       exit
     none:
       r0 = 99
       exit`,
        [
          map("outer", "array_of_maps", {
            valueSize: 4,
            maxEntries: 2,
            inner,
            values: [{ index: 1, target: { kind: "map", name: "one" } }],
          }),
          map("one", "array", { maxEntries: 1 }),
        ],
      ),
    ]);
    loaded.map("one").update(u32(0), u64(41n));
    equal(loaded.program().testRun(frame).verdict, 41);

    const tail = kernel.load([
      program(
        "function main\n r2 = map jumps ll\n r3 = 0\n call tail_call\n r0 = 1\n exit",
        [
          map("jumps", "prog_array", {
            valueSize: 4,
            maxEntries: 1,
            values: [{ index: 0, target: { kind: "function", name: "next" } }],
          }),
        ],
      ),
      program("function next\n r0 = 17\n exit", [], { name: "next" }),
    ]);
    equal(tail.program("main").testRun(frame).verdict, 17);

    const calls = kernel.load([
      program(`
      function main
        *(u64 *)(r10 - 8) = 0
        r1 = 5
        r2 = function add ll
        r3 = r10
        r3 += -8
        r4 = 0
        call loop
        r1 = *(u64 *)(r10 - 8)
        call function double
        exit
      function double static
        r0 = r1
        r0 += r1
        exit
      function add static
        r3 = *(u64 *)(r2 + 0)
        r3 += 2
        *(u64 *)(r2 + 0) = r3
        r0 = 0
        exit`),
    ]);
    equal(calls.program().testRun(frame).verdict, 20);

    const iterator = kernel.load([
      program(`
        r6 = 0
        r1 = r10
        r1 += -8
        r2 = 0
        r3 = 6
        call kfunc bpf_iter_num_new
      again:
        r1 = r10
        r1 += -8
        call kfunc bpf_iter_num_next
        if r0 == 0 goto done
        r6 += 1
        if r6 > 100 goto done
        goto again
      done:
        r1 = r10
        r1 += -8
        call kfunc bpf_iter_num_destroy
        r0 = r6
        exit`),
    ]);
    equal(iterator.program().testRun(frame).verdict, 6);
    throws(
      () => kernel.load([program("call kfunc no_such_kfunc\nexit")]),
      UnsupportedError,
    );
  },
);

kernelTest(
  "a spin lock in a map value is found through the types",
  (kernel) => {
    const member = { bitSize: 0, type: 1 };
    const btf: Btf = {
      types: [
        { kind: "void" },
        {
          kind: "int",
          name: "unsigned int",
          size: 4,
          bits: 32,
          offset: 0,
          encoding: 0,
        },
        {
          kind: "struct",
          name: "bpf_spin_lock",
          size: 4,
          bitFields: false,
          members: [{ ...member, name: "val", bitOffset: 0 }],
        },
        {
          kind: "struct",
          name: "value",
          size: 8,
          bitFields: false,
          members: [
            { ...member, name: "lock", type: 2, bitOffset: 0 },
            { ...member, name: "count", bitOffset: 32 },
          ],
        },
      ],
    };
    const text = `
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = map m ll
    call map_lookup_elem
    if r0 == 0 goto out
    r6 = r0
    r1 = r6
    call spin_lock
    r7 = *(u32 *)(r6 + 4)
    r7 += 1
    *(u32 *)(r6 + 4) = r7
    r1 = r6
    call spin_unlock
    r0 = r7
  out:
    exit`;
    const locked = map("m", "array", { btfKey: 1, btfValue: 3, maxEntries: 1 });
    const loaded = kernel.load([program(text, [locked])], { btf });
    loaded.program().testRun(frame);
    equal(loaded.program().testRun(frame).verdict, 2);
    throws(() => kernel.load([program(text, [locked])]), VerifierError);
  },
);

kernelTest(
  "field offsets are relocated by the kernel from the records",
  (kernel) => {
    const btf: Btf = {
      types: [
        { kind: "void" },
        { kind: "int", name: "int", size: 4, bits: 32, offset: 0, encoding: 1 },
        {
          kind: "struct",
          name: "net_device",
          size: 4,
          bitFields: false,
          members: [{ name: "ifindex", type: 1, bitOffset: 0, bitSize: 0 }],
        },
        { kind: "prototype", type: 1, parameters: [] },
        { kind: "function", name: "main", type: 3, linkage: "global" },
      ],
    };
    // Kind 0 is the byte offset of the member, kind 2 whether it exists.
    const text = `function main btf 4
    .core 2 "0:0" 0
    r0 = 0
    .core 2 "0:0" 2
    r1 = 1
    r0 <<= 8
    r0 += r1
    exit`;
    const { verdict } = kernel
      .load([program(text)], { btf })
      .program()
      .testRun(frame);
    ok(verdict >> 8 > 0 && (verdict & 0xff) === 1, `${verdict}`);
  },
);

kernelTest(
  "whole objects: every committed program loads with its types and lines",
  (kernel) => {
    const folder = join(root, "nfs/c");
    const objects = readdirSync(folder).filter((file) => file.endsWith(".o"));
    ok(objects.length >= 8);
    for (const file of objects) {
      const object = readObject(
        new Uint8Array(readFileSync(join(folder, file))),
        file,
      );
      const loaded = kernel.loadObject(object);
      for (const each of loaded.programs.values())
        ok(each.testRun(frame).verdict <= 4, file);
      loaded.close();
    }
  },
);

kernelTest(
  "nothing stays: descriptors after close, after a rejection, after a bad map",
  (kernel) => {
    const before = bpfFds();
    const maps = [
      map("h", "hash"),
      map("o", "hash_of_maps", { valueSize: 4, inner: map("i", "array") }),
    ];
    const good = program("r1 = map h ll\nr1 = map o ll\nr0 = 2\nexit", maps);
    const loaded = kernel.load([good]);
    equal(bpfFds(), before + 3);
    loaded.close();
    loaded.close();
    throws(() =>
      kernel.load([good, program("r0 = r9\nexit", maps, { name: "bad" })]),
    );
    throws(
      () =>
        kernel.load([
          program("r1 = map h ll\nr0 = 2\nexit", [
            map("h", "hash"),
            map("z", "array", { keySize: 3 }),
          ]),
        ]),
      InputError,
    );
    const unsized = kernel.load([
      program("r1 = map u ll\nr0 = 2\nexit", [
        map("u", "array", { maxEntries: 0 }),
      ]),
    ]);
    equal(unsized.map("u").keys().length, possibleCpus());
    deepEqual(
      unsized.notes.map(({ code }) => code),
      ["map-size-assumed"],
    );
    unsized.close();
    throws(
      () =>
        kernel.load([
          program("r0 = 2\nexit", [
            map(".kconfig", "array", { section: ".kconfig" }),
          ]),
        ]),
      UnsupportedError,
    );
    throws(
      () => kernel.load([program("call function nowhere\nexit")]),
      InputError,
    );
    equal(bpfFds(), before);
  },
);

kernelTest("a run on a given CPU", (kernel) => {
  const loaded = kernel.load([program("call get_smp_processor_id\nexit")]);
  const allowed = /^Cpus_allowed_list:\s*(.*)$/m.exec(
    readFileSync("/proc/self/status", "utf8"),
  )?.[1];
  const cpus = (allowed ?? "0").split(",").flatMap((range) => {
    const [first = "0", last = first] = range.split("-");
    return [Number(first), Number(last)];
  });
  ok(cpus.length > 0);
  for (const cpu of cpus)
    equal(loaded.program().testRun(frame, { cpu }).verdict, cpu);
  throws(
    () => loaded.program().testRun(frame, { cpu: 100_000 }),
    UnsupportedError,
  );
});

kernelTest("measuring: samples, and a cost of measuring", (kernel) => {
  const loaded = kernel.load([program("r0 = 2\nexit")]);
  const options = { repeat: 2000, samples: 3 };
  const taken = measureTestRun(kernel, loaded.program(), frame, options);
  equal(taken.samples.length, 3);
  ok(
    taken.least <= taken.median &&
      taken.median <= taken.most &&
      taken.most < 1e6,
  );
  equal(measureOverhead(kernel, options).includes, "program");
  throws(() => kernel.onCpu(1000, () => 0), UnsupportedError);
});

test("without privilege the answer is an UnsupportedError with a way out", async () => {
  const script = `
    import { haveBpf } from ${JSON.stringify(join(root, "dist/engine/kernel/kernel.js"))};
    const reason = await haveBpf();
    console.log(JSON.stringify([reason?.name, reason?.feature, typeof reason?.fix]));`;
  const isRoot = process.getuid?.() === 0;
  const done = spawnSync(
    process.execPath,
    ["--input-type=module", "-e", script],
    {
      encoding: "utf8",
      ...(isRoot ? { uid: 65534, gid: 65534 } : {}),
    },
  );
  equal(done.status, 0, done.stderr);
  const here = await haveBpf();
  if (isRoot || here !== undefined)
    deepEqual(JSON.parse(done.stdout), [
      "UnsupportedError",
      "CAP_BPF",
      "string",
    ]);
  else deepEqual(JSON.parse(done.stdout), [null, null, "undefined"]);
});

test("layout: distances, pseudo registers and places over several functions", () => {
  const spec = program(
    "function main\n r1 = map h ll\n call function f\n exit\nfunction f static\n r1 = 5 ll\n r2 = function f ll\n r0 = 0\n exit",
  );
  const placed = placeFunctions(spec);
  deepEqual(
    placed.map(({ start }) => start),
    [0, 4],
  );
  const view = new DataView(
    linkProgram(placed, {
      mapFd: () => 77,
      kfunc: () => ({ pseudo: 2, value: 0 }),
      symbol: () => ({ pseudo: 3, low: 0, high: 0 }),
    }).buffer,
  );
  deepEqual([view.getUint8(1), view.getInt32(4, true)], [0x11, 77]);
  deepEqual([view.getUint8(17), view.getInt32(20, true)], [0x10, 1]);
  deepEqual(
    [view.getUint8(8 * 6 + 1), view.getInt32(8 * 6 + 4, true)],
    [0x42, -3],
  );
  deepEqual(placeOfSlot(placed, 6), { function: "f", instruction: 1 });
  deepEqual(placeOfSlot(placed, 1), { function: "main", instruction: 0 });
});

test("attributes: places and widths", () => {
  const fake = { address: () => 0x1122334455667788n } as unknown as Syscalls;
  const attr = attributes(fake, "programLoad", {
    type: 6,
    instructions: memory(8),
    name: "a name that is far too long",
  });
  equal(attr.readUInt32LE(0), 6);
  equal(attr.readBigUInt64LE(8), 0x1122334455667788n);
  equal(attr.toString("latin1", 48, 64), "a name that is \0");
  equal(result(attr, "programLoad", "type"), 6);
});
