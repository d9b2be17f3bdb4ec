/**
 * One program, one sequence of packets, one answer: bytecode interpreter,
 * interpreter of the lifted program, portable engine and kernel give the same
 * verdicts, frames and map contents, on every program of nfs/c and on the XDP
 * objects that libxdp installs.
 *
 * The packets are a covering sequence, so that most branch edges are really compared.
 * Redirect targets, which a test run does not show, are made visible by worlds in
 * which the device map lacks a port: then the verdict tells which one was meant.
 * docs/decisions/0005-three-machines.md says where the kernel's environment differs.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { after, test, type TestContext } from "node:test";
import { UnsupportedError, VerifierError, type Place } from "#base";
import type { IrProgram } from "#ir";
import type { Instruction, ProgramSpec } from "#isa";
import { programSpec, readObject } from "#object";
import { negatedBranches } from "#proof";
import { corpusAbsence, installedObjects } from "./support/corpus.ts";
import { divisi, root, temporaryFolder } from "./support/cli.ts";
import {
  comparable,
  cpus,
  difference,
  onBytecode,
  onIr,
  onKernel,
  onPortable,
  withoutFields,
  type Trail,
  type World,
} from "./support/machines.ts";
import {
  nameOf,
  openWhere,
  subjectOf,
  type Subject,
  type Where,
} from "./support/subjects.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);
const folder = join(root, "nfs/c");
const suite = readdirSync(folder)
  .filter((name) => name.endsWith(".o"))
  .map((name) => join(folder, name));

const place = await openWhere();
after(() => {
  if (!(place instanceof UnsupportedError)) place.kernel.close();
});

/** Runs where there is a kernel engine; elsewhere it says what is missing. */
function kernelTest(name: string, body: (where: Where) => void): void {
  void test(`${name} (seed ${seed})`, (t: TestContext) => {
    if (place instanceof UnsupportedError) t.skip(place.message);
    else body(place);
  });
}

// Cells that are there at the end, at least, and verdicts that must be among them.
// prettier-ignore
const wanted: Readonly<Record<string, { readonly cells: number; readonly verdicts: readonly number[] }>> = {
  "nop":            { cells: 0,  verdicts: [1, 4] },
  "static-bridge":  { cells: 1,  verdicts: [1, 4] },
  "source-counter": { cells: 20, verdicts: [2] },
  "flow-counter":   { cells: 20, verdicts: [2] },
  "port-knock":     { cells: 20, verdicts: [1, 2] },
  "ddos-mitigator": { cells: 2,  verdicts: [1, 2] },
  "policer":        { cells: 20, verdicts: [1, 4] },
  "firewall":       { cells: 20, verdicts: [1, 4] },
};

test("the table names the programs of nfs/c", () => {
  deepEqual(Object.keys(wanted).sort(), suite.map(nameOf).sort());
});

for (const path of suite) {
  let known: Subject | undefined;
  const subjectIn = (where: Where): Subject =>
    (known ??= subjectOf(path, { where, seed }));

  kernelTest(`${nameOf(path)}: four machines, one answer`, (where) => {
    const subject = subjectIn(where);
    const { cells, verdicts } = wanted[subject.name] ?? {};
    for (const [index, world] of subject.worlds.entries()) {
      const trail = expectAgreement(subject, world, where);
      ok(trail.packets.length >= 800, `${trail.packets.length} packets`);
      const found = cellsOf(subject.program, trail);
      ok(found >= (cells ?? 1), `${found} cells`);
      const seen = verdictsOf(trail);
      for (const verdict of index === 0 ? (verdicts ?? []) : [0])
        ok(seen.has(verdict), `world ${index}: no verdict ${verdict}`);
    }
    const { hit, total } = subject.cover.branches;
    ok(hit >= 0.8 * total, `${hit} of ${total} edges found`);
  });

  kernelTest(`${nameOf(path)}: one branch exchanged in one copy`, (where) => {
    expectMutantsFound(subjectIn(where), where);
  });
}

// prettier-ignore
const libxdp = ["xdp-dispatcher.o", "xdpfilt_alw_all.o", "xdpfilt_alw_ip.o", "xdpfilt_dny_eth.o", "xdpfilt_dny_udp.o", "xsk_def_xdp_prog.o"];

void test(`libxdp's objects: four machines, one answer (seed ${seed})`, (t) => {
  const absence =
    place instanceof UnsupportedError ? place.message : corpusAbsence();
  if (absence !== undefined || place instanceof UnsupportedError)
    return void t.skip(absence);
  const objects = installedObjects().filter(({ name }) =>
    libxdp.includes(name),
  );
  equal(objects.length, libxdp.length);
  let edges = 0;
  for (const { path, name } of objects)
    for (const entry of readObject(readFileSync(path), name).programs) {
      if (entry.type !== "xdp") continue;
      const options = { where: place, seed, entry: entry.name };
      const subject = subjectOf(path, options);
      for (const world of subject.worlds)
        expectAgreement(subject, world, place);
      edges += subject.cover.branches.hit;
    }
  ok(edges >= 240, `${edges} edges`);
});

/** Runs all four and compares; at least 90 % of the edges that the search found are in it. */
function expectAgreement(
  { program, object, cover }: Subject,
  world: World,
  { kernel }: Where,
): Trail {
  const edges = new Set<string>();
  const want = onBytecode(program, world, {
    branch: (at, taken) => void edges.add(edgeOf(at, taken)),
  });
  const { hit } = cover.branches;
  ok(edges.size >= 0.9 * hit, `${edges.size} of ${hit} edges`);
  equal(want.packets.length, world.packets.length);
  const others = {
    ir: onIr(program, world),
    portable: onPortable(program, world),
    kernel: onKernel(program, world, { kernel, btf: object.btf }),
  };
  for (const [machine, have] of Object.entries(others))
    equal(difference(want, have), undefined, `${program.name} on ${machine}`);
  return want;
}

function edgeOf({ function: fn, instruction }: Place, taken: boolean): string {
  return `${fn}+${instruction} ${taken}`;
}

/** Cells that hold something, of maps that are not read-only. */
function cellsOf(program: ProgramSpec, { state }: Trail): number {
  return comparable(program)
    .filter(({ readOnly }) => !readOnly)
    .reduce((sum, { name }) => sum + (state.get(name)?.size ?? 0), 0);
}

function verdictsOf({ packets }: Trail): Set<number> {
  return new Set(packets.map(({ seen }) => Number.parseInt(seen, 10)));
}

/**
 * A mutant goes to one machine only and is judged by the original's trail. Where it
 * changes anything, as the bytecode interpreter tells, every machine must show it.
 */
function expectMutantsFound(
  { program, object, worlds: [world] }: Subject,
  { kernel }: Where,
): void {
  ok(world !== undefined);
  const edges = new Set<string>();
  const want = onBytecode(program, world, {
    branch: (at, taken) => void edges.add(edgeOf(at, taken)),
  });
  const isWrong = (have: Trail): boolean =>
    difference(want, have) !== undefined;
  const isBoth = (at: Place): boolean =>
    edges.has(edgeOf(at, true)) && edges.has(edgeOf(at, false));
  const mutants = negatedBranches(program, isBoth, seed, 6);
  const found = { bytecode: 0, portable: 0, kernel: 0, ir: 0 };
  for (const mutant of mutants) {
    const expected = isWrong(onBytecode(mutant.program, world));
    equal(isWrong(onPortable(mutant.program, world)), expected, mutant.name);
    found.bytecode += Number(expected);
    found.portable += Number(expected);
    const btf = object.btf;
    const answer: boolean | "refused" = refusedOr((): boolean =>
      isWrong(onKernel(mutant.program, world, { kernel, btf })),
    );
    // A negated test of a bound or of null is refused, and nothing runs.
    if (answer !== "refused") equal(answer, expected, mutant.name);
    found.kernel += Number(answer === true);
  }
  const branches = branchesOf(program, world);
  for (const exchange of branches)
    found.ir += Number(isWrong(onIr(program, world, exchange)));
  for (const [machine, count] of Object.entries(found))
    ok(count > 0, `${machine}: nothing found of ${mutants.length} mutants`);
}

/** One exchange per branch that the world takes both ways, as a change of the IR. */
function branchesOf(
  program: ProgramSpec,
  world: World,
): ((ir: IrProgram) => IrProgram)[] {
  let count = 0;
  onIr(program, world, (ir) => {
    count = ir.functions
      .flatMap(({ blocks }) => blocks)
      .filter(({ terminator }) => terminator.kind === "branch").length;
    return ir;
  });
  return Array.from(
    { length: Math.min(count, 12) },
    (_, nth) => (ir: IrProgram) => exchanged(ir, nth),
  );
}

/** The nth branch leads where it did not. */
function exchanged(ir: IrProgram, nth: number): IrProgram {
  let seen = 0;
  const functions = ir.functions.map((fn) => ({
    ...fn,
    blocks: fn.blocks.map((block) => {
      const { terminator } = block;
      if (terminator.kind !== "branch" || seen++ !== nth) return block;
      const { then, otherwise } = terminator;
      const swapped = { ...terminator, then: otherwise, otherwise: then };
      return { ...block, terminator: swapped };
    }),
  }));
  return { ...ir, functions };
}

function refusedOr<T>(run: () => T): T | "refused" {
  try {
    return run();
  } catch (error) {
    if (error instanceof VerifierError) return "refused";
    throw error;
  }
}

kernelTest("frames that no test run takes: three machines", (where) => {
  for (const path of suite) {
    const { program, worlds } = subjectOf(path, { where, seed, budget: 100 });
    const [first] = worlds;
    ok(first !== undefined);
    const packets = first.packets.slice(0, 28).map((packet, at) => ({
      ...packet,
      data: packet.data.slice(0, at % 14),
    }));
    const world = { contents: first.contents, packets };
    const want = onBytecode(program, world);
    equal(want.packets.length, 28);
    equal(difference(want, onIr(program, world)), undefined);
    equal(difference(want, onPortable(program, world)), undefined);
  }
});

kernelTest(
  "a redirect to the other port is seen where a port is missing",
  (where) => {
    const { kernel } = where;
    const { program, object, worlds } = subjectOf(join(folder, "nop.o"), {
      where,
      seed,
    });
    const wrong = withOtherPort(program);
    const found = worlds.map((world) => {
      const have = onKernel(wrong, world, { kernel, btf: object.btf });
      return difference(onBytecode(program, world), have) !== undefined;
    });
    deepEqual(found, [false, true, true]);
  },
);

/** Port 0 for port 1 and the reverse, in the second argument of every redirect. */
function withOtherPort(program: ProgramSpec): ProgramSpec {
  let changed = 0;
  const turn = (instruction: Instruction): Instruction => {
    if (
      instruction.kind !== "alu" ||
      instruction.op !== "mov" ||
      instruction.dst !== 2 ||
      instruction.src.kind !== "immediate"
    )
      return instruction;
    changed++;
    const value = instruction.src.value === 0 ? 1 : 0;
    return { ...instruction, src: { kind: "immediate", value } };
  };
  const functions = program.functions.map((fn) => ({
    ...fn,
    instructions: fn.instructions.map(turn),
  }));
  ok(changed >= 2, `${changed} ports`);
  return { ...program, functions };
}

// Values that make the time matter to nothing but the field that keeps it.
const timeless: readonly (readonly [string, Record<string, string>])[] = [
  ["firewall", { expiry: String(2n ** 62n) }],
  ["policer", { rate: "0" }],
];
for (const [name, set] of timeless)
  kernelTest(`${name}: unchanged, with the kernel's own clock`, (where) => {
    const { kernel } = where;
    const options = { where, seed, set };
    const path = join(folder, `${name}.o`);
    const { program, object, worlds } = subjectOf(path, options);
    const world = worlds[0];
    ok(world !== undefined);
    const packets = world.packets.map((packet, at) => ({
      ...packet,
      time: 1000n * BigInt(at + 1),
    }));
    const want = onBytecode(program, { ...world, packets });
    const have = onKernel(program, world, {
      kernel,
      btf: object.btf,
      ownClock: true,
    });
    const [left, right] = [want, have].map((trail) =>
      withoutFields(trail, program, ["last"]),
    );
    ok(left !== undefined && right !== undefined);
    equal(difference(left, right), undefined);
    ok(difference(want, have) !== undefined, "the clocks are the same");
    ok(cellsOf(program, have) >= 20);
  });

kernelTest(
  "ddos-mitigator on two cores: the kernel's copies add up",
  (where) => {
    const output = join(temporaryFolder("three-machines"), "out");
    const path = join(folder, "ddos-mitigator.o");
    // prettier-ignore
    const split = divisi(["split", path, "--cores", "2", "--allow-untested", "-o", output]);
    equal(split.status, 0, split.stdout + split.stderr);
    const core = subjectOf(join(output, "core.o"), { where, seed });
    const sequential = programSpec(readObject(readFileSync(path), path));
    for (const world of core.worlds) {
      const trail = expectAgreement(core, world, where);
      const want = onBytecode(sequential, world);
      deepEqual(trail.packets, want.packets);
      deepEqual(trail.state.get("sources"), want.state.get("sources"));
      const copies = wordsOf(trail, "dropped");
      equal(copies.length, cpus);
      ok(
        cpus === 1 || copies.filter((count) => count > 0n).length > 1,
        `copies ${copies.join()}`,
      );
      const sum = copies.reduce((left, right) => left + right, 0n);
      ok(sum > 0n);
      deepEqual([sum], wordsOf(want, "dropped"));
    }
  },
);

/** The copies of the map's first cell. */
function wordsOf({ state }: Trail, map: string): bigint[] {
  const [copies = []] = state.get(map)?.values() ?? [];
  return copies.map((text) => Buffer.from(text, "hex").readBigUInt64LE());
}
