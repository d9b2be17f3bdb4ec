/**
 * Concrete against abstract: whenever two packets touch one cell in the
 * interpreter, some demand of the object over their ports holds of the two. Frames
 * are drawn from few values, so that cells are shared; with tags, options,
 * fragments, other protocols and cut-off ends. `DIVISI_SEED` sets the seed.
 *
 * The mutants at the end show that a wrong demand would be found.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import process from "node:process";
import { Random } from "#base";
import { BytecodeMachine, createState, type CellTouch } from "#interp";
import { parseFrame, type FieldBit } from "#packet";
import type { Conjunct, LinearForm } from "#rss";
import { demandsOf, portsOf, type Port } from "#strategy";
import { drawFrame, unforeseen, type Touched } from "./support/foreseen.ts";
import {
  compiledCase,
  lanAndWan,
  networkFunction,
  noClang,
  type Case,
} from "./strategy-cases.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 20240611);
const PACKETS = 1500;

/** Per object and cell the packets that touched it. */
type Cells = ReadonlyMap<string, ReadonlyMap<string, readonly Touched[]>>;

function runPackets({ spec }: Case): Cells {
  const cells = new Map<string, Map<string, Touched[]>>();
  const state = createState(spec.maps);
  let current: Omit<Touched, "at"> | undefined;
  const touch = ({ map, cell, at }: CellTouch): void => {
    if (current === undefined) return;
    const ofMap = cells.get(map) ?? new Map<string, Touched[]>();
    cells.set(map, ofMap);
    const known = ofMap.get(cell) ?? [];
    ofMap.set(cell, known);
    known.push({ ...current, at: `${at.function}+${at.instruction}` });
  };
  const machine = new BytecodeMachine(spec, state, {
    observer: { touch },
    seed,
  });
  const random = new Random(seed);
  for (let count = 0; count < PACKETS; count++) {
    const data = drawFrame(random);
    const port = random.pick(lanAndWan);
    current = { frame: parseFrame(data.slice()), port: port.name };
    machine.run({
      data,
      ifindex: port.ifindex,
      rxQueue: 0,
      cpu: 0,
      time: BigInt(count) * 1000n,
    });
  }
  return cells;
}

function conjunctsOf({ report }: Case, object: string): readonly Conjunct[] {
  const found = report.objects.find(({ name }) => name === object);
  ok(found !== undefined, object);
  return demandsOf(found, lanAndWan).map(({ conjunct }) => conjunct);
}

const isWritten = (one: Case, name: string): boolean => {
  const object = one.report.objects.find((each) => each.name === name);
  return (
    object !== undefined &&
    !object.cpuIndexed &&
    (object.access === "read-write" || object.access === "add-only")
  );
};

// prettier-ignore
const functions = ["policer", "firewall", "port-knock", "ddos-mitigator", "source-counter", "flow-counter"];
// prettier-ignore
const cases = ["arr", "calls", "hhh", "ipv6", "loops", "no-ihl", "plain-header", "psd", "r3", "r3-maps", "rewrites", "symmetric",
  "two-lengths", "vlan", "gcount", "ctrnat", "dbridge", "mac-count", "either", "hashed", "walk", "prefixes"];

for (const name of [...functions, ...cases])
  test(
    `${name}: packets that share a cell are foreseen (seed ${seed})`,
    {
      skip: functions.includes(name) ? false : noClang,
    },
    () => {
      const one = functions.includes(name)
        ? networkFunction(name)
        : compiledCase(name);
      const cells = runPackets(one);
      let pairs = 0;
      for (const [object, touched] of cells) {
        if (!isWritten(one, object)) continue;
        const answer = unforeseen(touched, conjunctsOf(one, object));
        deepEqual(answer.missed.slice(0, 3), [], object);
        pairs += answer.pairs;
      }
      ok(pairs > (name === "ddos-mitigator" ? 3 : 50), `${pairs} pairs`);
    },
  );

const isOn = (access: Parameters<typeof portsOf>[0], ports: readonly Port[]) =>
  portsOf(access, ports)
    .map(({ name }) => name)
    .join();

test("the guard gives the ports of an access", () => {
  const { report } = networkFunction("firewall");
  const [flows] = report.objects;
  deepEqual(
    [...new Set(flows?.accesses.map((access) => isOn(access, lanAndWan)))],
    ["lan", "wan"],
  );
});

function missedBy(
  one: Case,
  object: string,
  mutate: (conjuncts: readonly Conjunct[]) => readonly Conjunct[],
): number {
  const touched = runPackets(one).get(object);
  ok(touched !== undefined);
  return unforeseen(touched, mutate(conjunctsOf(one, object))).missed.length;
}

const mapBits = (
  conjunct: Conjunct,
  change: (bit: FieldBit) => FieldBit,
): Conjunct => ({
  ...conjunct,
  equations: conjunct.equations.map(({ left, right }) => ({
    left: { ...left, bits: left.bits.map(change) },
    right: { ...right, bits: right.bits.map(change) },
  })),
});

test("mutant: each dropped conjunct is missed", () => {
  const one = networkFunction("firewall");
  const all = conjunctsOf(one, "flows");
  equal(all.length, 3);
  for (const dropped of all.keys())
    ok(
      missedBy(one, "flows", (some) => some.filter((_, at) => at !== dropped)) >
        0,
    );
});

test("mutant: the other byte of a port", { skip: noClang }, () => {
  const swapped = (some: readonly Conjunct[]) =>
    some.map((one) =>
      mapBits(one, ({ field, bit }) => ({ field, bit: bit ^ 8 })),
    );
  ok(missedBy(compiledCase("arr"), "cells", swapped) > 0);
});

test("mutant: an equation too much", () => {
  const port: LinearForm = {
    bits: [{ field: "l4.sport", bit: 15 }],
    constant: 0,
  };
  const more = (some: readonly Conjunct[]) =>
    some.map((one) => ({
      ...one,
      equations: [...one.equations, { left: port, right: port }],
    }));
  ok(missedBy(networkFunction("port-knock"), "sources", more) > 0);
});

test("mutant: ports taken for one another", () => {
  const unswapped = (some: readonly Conjunct[]) =>
    some.map((one) => ({ ...one, ports: ["lan", "lan"] as const }));
  ok(missedBy(networkFunction("firewall"), "flows", unswapped) > 0);
});

test("mutant: a packet class left out", () => {
  const tcpOnly = (some: readonly Conjunct[]) =>
    some.map((one) => ({ ...one, classes: [["tcp4"], ["tcp4"]] as const }));
  ok(missedBy(networkFunction("source-counter"), "sources", tcpOnly) > 0);
});
