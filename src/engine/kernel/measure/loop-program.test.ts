/**
 * The measuring loop by what it does: 32 packets in one call leave the state that 32
 * test runs leave, on every program of nfs/c; whoever skips a packet is seen; nobody
 * passes the barrier before all have arrived. No figure is tested.
 */
import { deepEqual, equal, notDeepEqual, ok, throws } from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { Random, UnsupportedError } from "../../../base/index.ts";
import {
  helperByName,
  parseFunctions,
  type Instruction,
  type MapSpec,
  type ProgramSpec,
} from "../../../isa/index.ts";
import {
  hasVariable,
  programSpec,
  readObject,
  setVariable,
  type ObjectSpec,
} from "../../../object/index.ts";
import { buildFrame, tcpFlags } from "../../../packet/index.ts";
import { openKernel, type Kernel } from "../kernel.ts";
import {
  gateMap,
  loopLength,
  loopProgram,
  readGate,
  tagFrame,
  type GateReading,
  type Row,
} from "./loop-program.ts";
import { MeasureCrew } from "./measure-crew.ts";
import { prepareSubject } from "./measure-subject.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);
const folder = join(import.meta.dirname, "../../../../nfs/c");
const files = readdirSync(folder).filter((name) => name.endsWith(".o"));

function kernelTest(
  name: string,
  body: (kernel: Kernel) => void | Promise<void>,
): void {
  test(`${name} (seed ${seed})`, async (t: TestContext) => {
    let kernel: Kernel;
    try {
      kernel = await openKernel();
    } catch (error) {
      if (!(error instanceof UnsupportedError)) throw error;
      t.skip(error.message);
      return;
    }
    try {
      await body(kernel);
    } finally {
      kernel.close();
    }
  });
}

/** The first two interfaces there are: single test runs take no others. */
const interfaces = readdirSync("/sys/class/net", { withFileTypes: true })
  .filter((entry) => !entry.isFile())
  .map(({ name }) =>
    Number(readFileSync(`/sys/class/net/${name}/ifindex`, "utf8")),
  )
  .sort((a, b) => a - b)
  .slice(0, 2);

/** A few flows, so that cells are met again; some knocks; both ports. */
function rowsOf(count: number): readonly Row[] {
  const random = new Random(seed);
  return Array.from({ length: count }, () => {
    const host = random.below(5);
    const data = buildFrame({
      eth: { src: "02:00:00:00:00:01", dst: "02:00:00:00:00:02" },
      ipv4: { src: `10.0.0.${host}`, dst: `192.0.2.${random.below(3)}` },
      tcp: {
        sport: 1000 + host,
        dport: 100 + random.below(3),
        flags: random.chance(0.5) ? tcpFlags.syn : tcpFlags.ack,
      },
      size: 64,
    });
    return { data, ifindex: random.pick(interfaces), rxQueue: 0 };
  });
}

/** Ports bound to what there is, and time deciding nothing. */
function configured(object: ObjectSpec): ObjectSpec {
  const values: Readonly<Record<string, number | undefined>> = {
    lan_ifindex: interfaces[0],
    wan_ifindex: interfaces[1] ?? 0x7fff_ffff,
    rate: 1,
  };
  return Object.entries(values).reduce(
    (next, [name, value]) =>
      hasVariable(next, name) && value !== undefined
        ? setVariable(next, name, String(value))
        : next,
    object,
  );
}

// Bytes of values that hold the time.
// prettier-ignore
const times: Readonly<Record<string, readonly [number, number]>> = { "firewall/flows": [0, 8], "policer/buckets": [8, 16] };

interface State {
  readonly name: string;
  readonly maps: readonly MapSpec[];
  readonly entries: (
    map: string,
  ) => readonly (readonly [Uint8Array, readonly Uint8Array[]])[];
}

/** Contents of all maps as text, in the order of keys. */
function stateOf({ name, maps, entries }: State): string {
  return maps
    .filter((map) => !/array|devmap/.test(map.type) || map.data === undefined)
    .map((map) => {
      const [from, to] = times[`${name}/${map.name}`] ?? [0, 0];
      const lines = entries(map.name).map(([key, values]) => {
        const shown = values.map((value) => value.fill(0, from, to).join());
        return `${key.join()}=${shown.join("|")}`;
      });
      return `${map.name}: ${lines.sort().join("; ")}`;
    })
    .join("\n");
}

function singly(
  kernel: Kernel,
  program: ProgramSpec,
  rows: readonly Row[],
): string {
  const loaded = kernel.load([program]);
  try {
    for (const { data, ifindex } of rows)
      loaded.program().testRun(data, { ifindex, rxQueue: 0 });
    return stateOf({
      ...program,
      entries: (map) => loaded.map(map).entries(),
    });
  } finally {
    loaded.close();
  }
}

type Mutation = (instruction: Instruction) => Instruction;

function inLoop(
  kernel: Kernel,
  program: ProgramSpec,
  rows: readonly Row[],
  mutate: Mutation = (instruction) => instruction,
): string {
  const loop = loopProgram(program, { rows: [rows], frameSize: 64 });
  ok(loop !== undefined);
  const [first, ...others] = loop.program.functions;
  ok(first !== undefined);
  const changed = { ...first, instructions: first.instructions.map(mutate) };
  const loaded = kernel.load(
    [{ ...loop.program, functions: [changed, ...others] }],
    { btf: loop.btf },
  );
  try {
    const calls = rows.length / loopLength;
    const frame = tagFrame(64, { core: 0, waitFor: 1, calls });
    // Calls one by one, each on the frame that the last one left.
    let data = frame;
    for (let call = 0; call < calls; call++)
      data = loaded.program().testRun(data).data;
    return stateOf({
      ...program,
      entries: (map) => loaded.map(map).entries(),
    });
  } finally {
    loaded.close();
  }
}

const rows = rowsOf(4 * loopLength);

const programOf = (file: string): ProgramSpec =>
  programSpec(
    configured(
      readObject(new Uint8Array(readFileSync(join(folder, file))), file),
    ),
  );

/** Its state does not tell when packets came, or tells it where `times` says. */
function isComparable(file: string): boolean {
  const { name, functions } = programOf(file);
  return (
    Object.keys(times).some((place) => place.startsWith(`${name}/`)) ||
    !functions.some(({ instructions }) =>
      instructions.some(
        (each) =>
          each.kind === "call" &&
          each.callee.kind === "helper" &&
          each.callee.helper === helperByName("ktime_get_ns")?.number,
      ),
    )
  );
}

/** Its subprogram takes the context, which a loop has only one of. */
const notCallable = ["ids.o"];

const compared = files.filter(
  (file) => isComparable(file) && !notCallable.includes(file),
);
test("most programs of nfs/c keep no times that cannot be left out", () => {
  ok(2 * compared.length > files.length, compared.join());
});

for (const file of compared)
  kernelTest(
    `${file}: 32 packets a call leave what single runs leave`,
    (kernel) => {
      const program = programOf(file);
      const want = singly(kernel, program, rows);
      equal(inLoop(kernel, program, rows), want);
      if (
        program.maps.some(({ type }) => type === "hash") &&
        /=/.test(want) &&
        !/bridge|ddos/.test(file)
      )
        // Every second packet left out.
        notDeepEqual(inLoop(kernel, program, rows, skipping), want);
    },
  );

function skipping(instruction: Instruction): Instruction {
  return instruction.kind === "alu" &&
    instruction.op === "add" &&
    instruction.dst === 9 &&
    instruction.src.kind === "immediate"
    ? { ...instruction, src: { kind: "immediate", value: 2 } }
    : instruction;
}

const counters: MapSpec = {
  name: "sums",
  type: "array",
  keySize: 4,
  valueSize: 8,
  maxEntries: 2,
  flags: 0,
  section: ".maps",
  readOnly: false,
};

/** Sums the first words of frames, and how often the port was the first one. */
const shifting: ProgramSpec = {
  file: "test",
  name: "shifting",
  section: "xdp",
  type: "xdp",
  license: "GPL",
  maps: [counters],
  functions: parseFunctions(`
    function shifting
      r6 = r1
      r2 = *(u32 *)(r6 + 0)
      r3 = *(u32 *)(r6 + 4)
      r4 = r2
      r4 += 40
      if r4 > r3 goto out
      r7 = *(u32 *)(r2 + 26)
      *(u32 *)(r10 - 4) = 0
      r2 = r10
      r2 += -4
      r1 = map sums ll
      call map_lookup_elem
      if r0 == 0 goto out
      r1 = *(u64 *)(r0 + 0)
      r1 += r7
      *(u64 *)(r0 + 0) = r1
      r1 = r6
      r2 = 8
      call xdp_adjust_head
      r1 = r6
      r2 = -16
      call xdp_adjust_tail
      *(u32 *)(r10 - 4) = 1
      r2 = r10
      r2 += -4
      r1 = map sums ll
      call map_lookup_elem
      if r0 == 0 goto out
      r2 = *(u32 *)(r6 + 12)
      r1 = *(u64 *)(r0 + 0)
      r1 += r2
      *(u64 *)(r0 + 0) = r1
    out:
      r0 = 2
      exit`),
};

kernelTest("what a program does to the frame's bounds is undone", (kernel) => {
  equal(inLoop(kernel, shifting, rows), singly(kernel, shifting, rows));
  // A loop that undoes nothing is found out.
  const forgetting: Mutation = (instruction) =>
    instruction.kind === "call" &&
    instruction.callee.kind === "helper" &&
    [44, 65].includes(instruction.callee.helper)
      ? {
          kind: "alu",
          op: "mov",
          width: 64,
          dst: 0,
          src: { kind: "immediate", value: 0 },
        }
      : instruction;
  notDeepEqual(
    inLoop(kernel, shifting, rows, forgetting),
    singly(kernel, shifting, rows),
  );
});

kernelTest("port and queue are those of each row, in every copy", (kernel) => {
  const asking: ProgramSpec = {
    ...shifting,
    functions: parseFunctions(`
      function asking
        r6 = r1
        *(u32 *)(r10 - 4) = 0
        r2 = r10
        r2 += -4
        r1 = map sums ll
        call map_lookup_elem
        if r0 == 0 goto out
        r1 = *(u64 *)(r0 + 0)
        r2 = *(u32 *)(r6 + 12)
        r1 += r2
        r2 = *(u32 *)(r6 + 16)
        r2 *= 100000
        r1 += r2
        *(u64 *)(r0 + 0) = r1
      out:
        r0 = 2
        exit`),
  };
  const lists = [10, 20].map((queue) =>
    rowsOf(loopLength).map((row, at) => ({
      ...row,
      ifindex: at,
      rxQueue: queue + (at % 3),
    })),
  );
  const subject = prepareSubject(kernel, asking, {
    packets: lists,
    state: "private",
  });
  deepEqual(subject.rewritten, ["ingress_ifindex", "rx_queue_index"]);
  for (const [core, list] of lists.entries()) {
    const frame = subject.frame({ core, waitFor: 1, calls: 1 });
    subject.programs[core]?.testRun(frame);
    const value = subject.map("sums", core).lookup(new Uint8Array(4));
    const sum = new DataView(value?.buffer ?? new ArrayBuffer(8));
    const want = list.reduce(
      (total, { ifindex, rxQueue }) => total + ifindex + 100_000 * rxQueue,
      0,
    );
    equal(Number(sum.getBigUint64(0, true)), want);
  }
  subject.close();
});

/** Every arrival stands before every departure in the one order of both. */
function barrierHeld({ cores }: GateReading): boolean {
  return cores.every(({ leftAs }) =>
    cores.every(({ arrivedAs }) => arrivedAs < leftAs),
  );
}

kernelTest(
  "who is alone at the barrier gives up and runs nothing",
  (kernel) => {
    const subject = prepareSubject(kernel, shifting, { packets: [rows, rows] });
    try {
      const start = (core: number, waitFor: number): GateReading => {
        const frame = subject.frame({ core, waitFor, calls: 2 });
        subject.programs[core]?.testRun(frame, { repeat: 1 });
        return readGate(subject.gate?.() ?? new Uint8Array(), 2);
      };
      ok(start(0, 2).late);
      deepEqual(
        subject.map("sums").lookup(new Uint8Array(4)),
        new Uint8Array(8),
      );
      subject.resetGate();
      // Without a barrier the first one is away before the second comes.
      start(0, 1);
      const gate = start(1, 1);
      equal(gate.late, false);
      equal(barrierHeld(gate), false);
    } finally {
      subject.close();
    }
  },
);

kernelTest(
  "two cores leave the barrier after both have arrived",
  async (kernel) => {
    const cpus = kernel.allowedCpus();
    if (cpus.length < 2) return;
    for (const state of ["shared", "private"] as const) {
      const subject = prepareSubject(kernel, shifting, {
        packets: [rows, rows],
        state,
      });
      const crew = MeasureCrew.open(cpus, 2);
      try {
        let sample = await crew.sample(subject, [64_000, 64_000]);
        // A loaded machine may disturb some.
        for (
          let attempt = 0;
          sample.kind === "disturbed" && attempt < 8;
          attempt++
        )
          sample = await crew.sample(subject, [64_000, 64_000]);
        ok(sample.kind === "sample", "every sample was disturbed");
        deepEqual(
          sample.cores.map(({ packets }) => packets),
          [64_000, 64_000],
        );
        ok(barrierHeld(readGate(subject.gate?.() ?? new Uint8Array(), 2)));
        const sums = (core: number) =>
          subject
            .map("sums", core)
            .lookup(new Uint8Array(4))
            ?.some((byte) => byte !== 0);
        deepEqual([sums(0), sums(1)], [true, true]);
      } finally {
        await crew.close();
        subject.close();
      }
    }
  },
);

kernelTest(
  "every program of nfs/c can be called, with its object's types",
  (kernel) => {
    for (const file of notCallable)
      throws(
        () =>
          prepareSubject(kernel, programOf(file), { packets: [rows, rows] }),
        UnsupportedError,
      );
    for (const file of files.filter((name) => !notCallable.includes(name)))
      for (const state of ["shared", "private"] as const) {
        const object = readObject(
          new Uint8Array(readFileSync(join(folder, file))),
          file,
        );
        const subject = prepareSubject(kernel, programSpec(object), {
          packets: [rows, rows],
          state,
          ...(object.btf === undefined ? {} : { btf: object.btf }),
        });
        deepEqual([file, subject.how, subject.notes], [file, "loop", []]);
        subject.close();
      }
  },
);

kernelTest("a program that cannot be called is repeated instead", (kernel) => {
  const deep: ProgramSpec = {
    ...shifting,
    maps: [],
    functions: parseFunctions(`
      function deep
        *(u64 *)(r10 - 512) = 1
        r0 = *(u64 *)(r10 - 512)
        exit`),
  };
  const subject = prepareSubject(kernel, deep, { packets: [rows] });
  equal(subject.how, "repeat");
  equal(subject.packetsPerCall, 1);
  subject.close();
  let refused: unknown;
  try {
    prepareSubject(kernel, deep, { packets: [rows, rows] });
  } catch (error) {
    refused = error;
  }
  ok(refused instanceof UnsupportedError);
});

test("more cores than CPUs are refused", () => {
  let refused: unknown;
  try {
    MeasureCrew.open([0, 1], 3);
  } catch (error) {
    refused = error;
  }
  ok(refused instanceof UnsupportedError);
  equal(
    refused.message,
    "3 cores cannot be measured on 2 CPUs: they would take turns",
  );
});

test("the gate is where the loop writes", () => {
  const loop = loopProgram(shifting, {
    rows: [rows, rows, rows],
    frameSize: 64,
  });
  const gate = loop?.program.maps.find(({ name }) => name === gateMap);
  // Room for a power of two of cores.
  equal(gate?.valueSize, 64 + 4 * 64);
  deepEqual(loop?.rewritten, ["ingress_ifindex"]);
  deepEqual(loop?.undone, ["xdp_adjust_head", "xdp_adjust_tail"]);
});
