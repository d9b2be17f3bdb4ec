/**
 * Wrong artifacts that only a full table shows, and edges that no packet takes: the
 * episodes of the trial find the former, and without what makes them so the latter count.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { analyse, type StateReport } from "#analysis";
import {
  analyseLoaded,
  check,
  coveringPackets,
  generate,
  load,
  type CheckOptions,
} from "divisi";
import { BytecodeMachine, createState } from "#interp";
import type { Instruction, ProgramSpec } from "#isa";
import { nicProfile } from "#rss";
import { edgeName } from "#proof";
import { root } from "./support/cli.ts";

// No part of the package's surface.
const { reachable } = (await import(
  join(root, "dist/reachable.js")
)) as typeof import("../dist/reachable.js");

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

function analysed(object: string, set: readonly (readonly [string, string])[]) {
  const options = {
    file: object,
    set,
    ports: [],
    userWrites: [],
    kernelBtf: () => undefined,
  };
  const bytes = readFileSync(join(root, object));
  return analyseLoaded(load(bytes, options), options);
}

/** A check of the NAT with 4,096 flows on two cores; `full`: with full tables. */
function natCheck(): (full: boolean, emitted?: ProgramSpec) => number {
  const nat = analysed("nfs/c/nat.o", [["capacity", "4096"]]);
  const profile = nicProfile("generic");
  const { plan, setup, emitted } = generate(nat, profile, {
    cores: 2,
    profile,
    ports: nat.ports,
    seed,
  });
  const cover = coveringPackets({
    program: nat.program,
    report: nat.report,
    ports: nat.ports,
    cpus: 2,
    seeds: [],
    seed,
    budget: 6000,
  });
  const options: CheckOptions = {
    cover,
    sequential: nat.program,
    emitted,
    report: nat.report,
    strategies: new Map(
      plan.objects.map(({ object, strategy }) => [object, strategy]),
    ),
    parts: plan.objects,
    ports: nat.ports,
    cores: 2,
    setup,
    demand: {
      requirement: plan.requirement,
      mode: plan.rss?.mode ?? "index",
      constrained: [],
    },
    trace: [],
    mutants: 0,
    seed,
  };
  return (full, other = emitted) =>
    check({ ...options, full, emitted: other }).mismatches;
}

/** The emitted program with one instruction of its allocator changed. */
function changed(
  program: ProgramSpec,
  name: string,
  change: (instruction: Instruction) => Instruction | undefined,
): ProgramSpec {
  let count = 0;
  const functions = program.functions.map((fn) =>
    fn.name === name
      ? {
          ...fn,
          instructions: fn.instructions.map((each) => {
            const other = change(each);
            if (other !== undefined) count++;
            return other ?? each;
          }),
        }
      : fn,
  );
  ok(count > 0, `nothing to change in ${name}`);
  return { ...program, functions };
}

test(`what a full table shows is seen with full tables, and only then (seed ${seed})`, () => {
  const mismatches = natCheck();
  equal(mismatches(true), 0);
  const nat = analysed("nfs/c/nat.o", [["capacity", "4096"]]);
  const profile = nicProfile("generic");
  const { emitted } = generate(nat, profile, {
    cores: 2,
    profile,
    ports: nat.ports,
    seed,
  });
  const wrong: readonly (readonly [
    string,
    (each: Instruction) => Instruction | undefined,
  ])[] = [
    [
      "a share is one too large",
      (each) =>
        each.kind === "alu" &&
        each.op === "mov" &&
        each.src.kind === "immediate" &&
        each.src.value === 2048
          ? { ...each, src: { kind: "immediate", value: 2049 } }
          : undefined,
    ],
    [
      "a share is one too small",
      (each) =>
        each.kind === "alu" &&
        each.op === "mov" &&
        each.src.kind === "immediate" &&
        each.src.value === 2048
          ? { ...each, src: { kind: "immediate", value: 2047 } }
          : undefined,
    ],
    [
      "an index is used again while its entry may be alive",
      (each) =>
        each.kind === "load-wide" &&
        each.value.kind === "number" &&
        each.value.value === 100_000_000_000n
          ? { ...each, value: { kind: "number", value: 99_999_999_999n } }
          : undefined,
    ],
  ];
  for (const [what, change] of wrong) {
    const program = changed(emitted, "flows_chain_allocate", change);
    ok(mismatches(true, program) > 0, `${what}: not seen`);
    equal(mismatches(false, program), 0, `${what}: seen without full tables`);
  }
});

const edgesAt = (program: ProgramSpec, report: StateReport) =>
  reachable(program, report).infeasible ?? new Set<string>();

test(`no packet takes an edge that is left out (seed ${seed})`, () => {
  for (const name of [
    "nat",
    "connection-limiter",
    "load-balancer",
    "hhh",
    "hash-lb",
    "conntrack",
  ]) {
    const { program, report, ports } = analysed(`nfs/c/${name}.o`, []);
    const never = edgesAt(program, report);
    ok(never.size > 0);
    const cover = coveringPackets({
      program,
      report,
      ports,
      cpus: 1,
      seeds: [],
      seed,
      budget: 2500,
    });
    const tried = new Set(
      report.objects.flatMap(({ allocator }) =>
        allocator === undefined ? [] : Object.values(allocator.functions),
      ),
    );
    const taken = new Set<string>();
    const state = createState(program.maps, { contents: cover.contents });
    const machine = new BytecodeMachine(program, state, {
      seed,
      observer: {
        branch: (at, way) => {
          if (!tried.has(at.function)) taken.add(edgeName(at, way));
        },
      },
    });
    for (const packet of cover.packets) machine.run(packet);
    ok(taken.size > 20, name);
    deepEqual(
      [...taken].filter((edge) => never.has(edge)),
      [],
      name,
    );
  }
});

test("edges count again where what excludes them does not hold", () => {
  const { program } = analysed("nfs/c/nat.o", []);
  const never = (other: ProgramSpec): ReadonlySet<string> =>
    edgesAt(other, analyse(other));
  const counted = (other: ProgramSpec): readonly string[] => {
    const left = never(other);
    return [...never(program)].filter(
      (edge) => edge.startsWith("nat+") && !left.has(edge),
    );
  };
  deepEqual(counted(program), []);
  // The table holds fewer entries than there are indices: an update may fail, and then
  // an index is given back.
  const small = {
    ...program,
    maps: program.maps.map((map) =>
      map.name === "flows" ? { ...map, maxEntries: 1024 } : map,
    ),
  };
  ok(counted(small).length >= 3, counted(small).join());
  // Indices are given back while their entries stay.
  const freed = changed(program, "nat", (each) =>
    each.kind === "call" &&
    each.callee.kind === "function" &&
    each.callee.name === "flows_chain_refresh"
      ? {
          ...each,
          callee: { ...each.callee, name: "flows_chain_free" },
        }
      : undefined,
  );
  ok(counted(freed).length >= 3, counted(freed).join());
});

/** What is left out of the program, and no more of the changed one. */
function countedAgain(
  object: string,
  change: (program: ProgramSpec) => ProgramSpec,
): readonly string[] {
  const { program, report } = analysed(object, []);
  const other = change(program);
  const left = edgesAt(other, analyse(other));
  return [...edgesAt(program, report)].filter((edge) => !left.has(edge));
}

test("an index that is given back while its entry stays may be found free", () => {
  const name = "hash_lb";
  // The deletion behind the giving back becomes another look-up.
  const counted = countedAgain("nfs/c/hash-lb.o", (program) =>
    changed(program, name, (each) =>
      each.kind === "call" &&
      each.callee.kind === "helper" &&
      each.callee.helper === 3
        ? { ...each, callee: { kind: "helper", helper: 1 } }
        : undefined,
    ),
  );
  ok(counted.length >= 3, counted.join());
});

test("a frame that was found short of a header may be too short for the next test", () => {
  let count = 0;
  const counted = countedAgain("nfs/c/conntrack.o", (program) =>
    changed(program, "conntrack", (each) =>
      each.kind === "branch" && each.op === "jgt" && each.width === 64
        ? // The other way round: what was proven is not.
          { ...each, op: count++ % 2 === 0 ? "jgt" : "jle" }
        : undefined,
    ),
  );
  ok(counted.length > 0, counted.join());
});

test("what callers hand over bounds a parameter, and one of them alone does not", () => {
  const { program, report } = analysed("nfs/c/hhh.o", []);
  const never = edgesAt(program, report);
  const low = analysed("nfs/c/hhh.o", [["burst", "200"]]);
  const left = edgesAt(low.program, low.report);
  const counted = [...never].filter(
    (edge) => edge.startsWith("measure+") && !left.has(edge),
  );
  ok(counted.length > 0, counted.join());
});
