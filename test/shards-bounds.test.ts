/**
 * What holds of cells of each core's own whatever the traffic: capacities sum to the
 * capacity, ranges are disjoint, another core's index is as good as none, a reused
 * index has forgotten everything; and layouts that are wrong by little are seen.
 */
import { deepEqual, equal, notEqual, ok, throws } from "node:assert/strict";
import { test } from "node:test";
import {
  capacitiesOf,
  firstIndices,
  originalCells,
  splitCells,
  type ChainFacts,
} from "#codegen";
import { BytecodeMachine, createState, type PacketInput } from "#interp";
import type { Instruction } from "#isa";
import { programSpec, type ObjectSpec } from "#object";
import { buildFrame } from "#packet";
import { deviceContents, type MapContents } from "#proof";
import { second, udp } from "./support/network-function.ts";
import {
  alone,
  capacity,
  cases,
  contentsOf,
  expectSame,
  partsOf,
  settingOf,
  sourceOf,
  start,
  traffic,
  type ShardCase,
} from "./support/shard-cases.ts";
import {
  configure,
  interpreted,
  joined,
  portable,
  splitObject,
  splitPorts,
} from "./support/split-runs.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);
const [lan, wan] = splitPorts;
const [drop, redirect] = [1, 4];

function caseNamed(name: string): ShardCase {
  const found = cases.find((each) => each.name === name);
  if (found === undefined) throw new Error(name);
  return found;
}

interface Split {
  readonly object: ObjectSpec;
  readonly facts: ChainFacts;
}

function split(name: string, cores: number, set = {}): Split {
  const each = caseNamed(name);
  const setting = settingOf(each, { first: 0, capacity });
  const object = configure(sourceOf(each), name, {
    ...setting,
    set: { ...setting.set, ...set },
  });
  const { parts, shape } = partsOf(each, object);
  return {
    object: splitObject(object, cores, parts),
    facts: shape(cores).facts,
  };
}

/** The program in the interpreter: a packet on a core, at a time. */
function running(
  { object }: Pick<Split, "object">,
  contents: MapContents = {},
) {
  const program = programSpec(object);
  const state = createState(program.maps, {
    cpus: 1,
    contents: { ...deviceContents(program, splitPorts), ...contents },
  });
  const machine = new BytecodeMachine(program, state, { seed: 1 });
  const send = (
    ends: string,
    { ifindex, core, time }: { ifindex: number; core: number; time: bigint },
  ) => {
    const packet: PacketInput = {
      data: buildFrame(udp(ends)),
      ifindex,
      rxQueue: core,
      cpu: 0,
      time,
    };
    return machine.run(packet);
  };
  return { send, state };
}

const now = 1000n * second;

function sourcePort(data: Uint8Array): number {
  return new DataView(data.buffer, data.byteOffset).getUint16(34);
}

for (const cores of [2, 3, 10])
  void test(`nat over ${cores} cores: ${capacity} flows in all, ports of one's own`, () => {
    const { send } = running(split("nat", cores));
    const capacities = capacitiesOf(capacity, cores);
    const firsts = firstIndices(capacities);
    const ports = new Set<number>();
    for (const [core, own] of capacities.entries()) {
      let granted = 0;
      for (let flow = 0; flow < capacity + 5; flow++) {
        const { verdict, data } = send(
          `10.0.${core}.${flow + 1}:4000 192.168.0.9:80`,
          { ifindex: lan, core, time: now },
        );
        if (verdict !== redirect) continue;
        granted++;
        const index = sourcePort(data) - start;
        const first = firsts[core] ?? 0;
        ok(index >= first && index < first + own, `core ${core}: ${index}`);
        ports.add(index);
      }
      equal(granted, own);
    }
    equal(ports.size, capacity);
  });

void test("nat: another core's port is no port, and is not kept alive", () => {
  for (const refresh of ["1", "2"]) {
    const { send } = running(split("nat", 4, { refresh }));
    const there = "10.0.0.1:4000 192.168.0.9:80";
    const out = send(there, { ifindex: lan, core: 2, time: now });
    equal(out.verdict, redirect);
    const port = sourcePort(out.data);
    const back = `192.168.0.9:80 203.0.113.1:${port}`;
    const none = `192.168.0.9:80 203.0.113.1:${port + 1}`;
    for (const core of [0, 1, 3]) {
      const foreign = send(back, {
        ifindex: wan,
        core,
        time: now + 60n * second,
      });
      const unallocated = send(none, { ifindex: wan, core: 2, time: now });
      equal(foreign.verdict, drop);
      equal(foreign.fault, undefined);
      equal(unallocated.verdict, foreign.verdict);
    }
    const later = now + 90n * second;
    // What the others saw has not refreshed it; what its own core sees does.
    const own = send(back, { ifindex: wan, core: 2, time: later });
    equal(own.verdict, redirect);
    const last = { ifindex: wan, core: 2, time: later + 99n * second };
    equal(send(back, last).verdict, redirect);
  }
  const { send } = running(split("nat", 4, { refresh: "2" }));
  const out = send("10.0.0.1:4000 192.168.0.9:80", {
    ifindex: lan,
    core: 2,
    time: now,
  });
  const back = `192.168.0.9:80 203.0.113.1:${sourcePort(out.data)}`;
  send(back, { ifindex: wan, core: 1, time: now + 90n * second });
  const late = { ifindex: wan, core: 2, time: now + 101n * second };
  equal(send(back, late).verdict, drop);
});

void test("a queue that the plan has not: as if every table were full", () => {
  for (const core of [4, 5, 63, 0xffff_ffff]) {
    const { send, state } = running(split("nat", 4));
    const before = [...state.entries("flows_chain")].map(({ value }) =>
      value.join(),
    );
    const { verdict, fault } = send("10.0.0.1:4000 192.168.0.9:80", {
      ifindex: lan,
      core,
      time: now,
    });
    deepEqual([verdict, fault], [drop, undefined]);
    deepEqual(
      [...state.entries("flows_chain")].map(({ value }) => value.join()),
      before,
    );
    equal([...state.entries("flows")].length, 0);
  }
});

void test("port-scan-detector: a source that gets an old index begins afresh", () => {
  const { send } = running(split("port-scan-detector", 3));
  const core = 1;
  const own = capacitiesOf(capacity, 3)[core] ?? 0;
  const scan = (source: string, ports: readonly number[], time: bigint) =>
    ports.map(
      (port) =>
        send(`${source}:999 192.168.0.9:${port}`, { ifindex: wan, core, time })
          .verdict,
    );
  // Every index of the core is taken, by sources that have used up their ports.
  for (let source = 0; source < own; source++)
    deepEqual(scan(`10.0.0.${source + 1}`, [1, 2, 3, 4, 5], now), [
      redirect,
      redirect,
      redirect,
      redirect,
      drop,
    ]);
  const later = now + 100n * second;
  for (let source = 0; source < own; source++)
    deepEqual(scan(`10.0.1.${source + 1}`, [5, 6, 7, 8, 9], later), [
      redirect,
      redirect,
      redirect,
      redirect,
      drop,
    ]);
});

// --- the original's view ---

void test("seen as the sequential program's, the state serves the sequential program", () => {
  const each = caseNamed("nat");
  const cores = 3;
  const object = configure(
    sourceOf(each),
    each.name,
    settingOf(each, { first: 0, capacity }),
  );
  const divided = split("nat", cores);
  const { send, state } = running(divided);
  const flows: { ends: string; core: number; port: number }[] = [];
  for (let flow = 0; flow < 20; flow++) {
    const core = flow % cores;
    const ends = `10.0.0.${flow + 1}:4000 192.168.0.9:80`;
    const { data } = send(ends, {
      ifindex: lan,
      core,
      time: now + BigInt(flow),
    });
    flows.push({ ends, core, port: sourcePort(data) });
  }
  const layout = partsOf(each, object).shape(cores).layout;
  const key = (number: number) => new Uint8Array(Uint32Array.of(number).buffer);
  const cells = originalCells(
    (number) => state.lookup("flows_chain", key(number)),
    layout,
  );
  const entriesOf = (name: string) =>
    [...state.entries(name)].map(({ key: at, value }) => ({
      key: at.slice(),
      value: value.slice(),
    }));
  const contents = {
    flows: entriesOf("flows"),
    flows_chain: cells.map((value, number) => ({ key: key(number), value })),
  };
  const whole = running({ object }, contents);
  const again = running(divided, {
    flows: contents.flows,
    flows_chain: [...splitCells(cells, layout)].map(([number, value]) => ({
      key: key(number),
      value,
    })),
  });
  const time = now + 50n * second;
  for (const { ends, core, port } of flows)
    for (const { send: next } of [whole, again])
      equal(sourcePort(next(ends, { ifindex: lan, core, time }).data), port);
  // New flows get what is left, and no more.
  let granted = 0;
  for (let flow = 0; flow < 40; flow++) {
    const { verdict } = whole.send(`10.0.9.${flow + 1}:4000 192.168.0.9:80`, {
      ifindex: lan,
      core: 0,
      time,
    });
    if (verdict === redirect) granted++;
  }
  equal(granted, capacity - flows.length);
});

// --- broken on purpose ---

type Change = (instruction: Instruction) => Instruction;

/** `op` of `dst` with the immediate `from`, which becomes `to`. */
function immediate(
  op: string,
  dst: number,
  [from, to]: readonly [number, number],
): Change {
  return (instruction) =>
    instruction.kind === "alu" &&
    instruction.op === op &&
    instruction.dst === dst &&
    instruction.src.kind === "immediate" &&
    instruction.src.value === from
      ? { ...instruction, src: { kind: "immediate", value: to } }
      : instruction;
}

/** Registers of the range: r9 first key, r7 count, r8 head. */
// prettier-ignore
const mutants: readonly (readonly [what: string, change: Change])[] = [
  ["a base off by one", immediate("add", 9, [1, 2])],
  ["bases too close", immediate("mul", 9, [11, 10])],
  ["a shared head", immediate("mul", 8, [4, 0])],
  ["a rounded-up capacity", immediate("mov", 7, [11, 16])],
  ["a cell too few", immediate("mov", 7, [11, 10])],
];

for (const [what, change] of mutants)
  void test(`nat over three cores, ${what}: seen (seed ${seed})`, () => {
    const each = caseNamed("nat");
    const cores = 3;
    const object = configure(
      sourceOf(each),
      each.name,
      settingOf(each, { first: 0, capacity }),
    );
    const { parts, shape } = partsOf(each, object);
    const packets = traffic(each, cores, 1000);
    const { outcomes, states } = alone(each, cores, packets);
    const want = { outcomes, state: joined(shape(cores), states) };
    const right = splitObject(object, cores, parts);
    // Each function finds out its range at its start: the first such instruction.
    const functions = right.functions.map((fn) => {
      const at = fn.instructions.findIndex((each) => change(each) !== each);
      const instructions = fn.instructions.map((each, index) =>
        index === at ? change(each) : each,
      );
      return at < 0 ? fn : { ...fn, instructions };
    });
    const changed = functions.filter((fn, at) => fn !== right.functions[at]);
    equal(changed.length, 4);
    const wrong = { ...right, functions };
    const compare = (candidate: ObjectSpec) => {
      expectSame(portable(candidate, packets, contentsOf(each)), want, {
        ...shape(cores),
        what,
      });
    };
    compare(right);
    throws(() => {
      compare(wrong);
    });
  });

void test("copies per core: a shared copy is seen", () => {
  const each = caseNamed("connection-limiter");
  const cores = 3;
  const object = configure(
    sourceOf(each),
    each.name,
    settingOf(each, { first: 0, capacity }),
  );
  const { parts, shape } = partsOf(each, object);
  const packets = traffic(each, cores, 1000);
  const { outcomes, states } = alone(each, cores, packets);
  const want = { outcomes, state: joined(shape(cores), states) };
  const shared = splitObject(
    object,
    cores,
    parts.filter(({ layout }) => layout !== "sliced"),
  );
  const ran = interpreted(shared, packets, contentsOf(each));
  notEqual(ran.outcomes.join(), want.outcomes.join());
});
