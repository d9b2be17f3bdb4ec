/**
 * Real objects on the interpreter: bytecode and its lift give the same outcome on every
 * packet of a covering sequence, and the same state after it.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import {
  BytecodeMachine,
  IrMachine,
  createState,
  variedEnvironment,
  type Outcome,
  type State,
} from "#interp";
import { lift } from "#ir";
import type { ProgramSpec } from "#isa";
import { programSpec, readObject, understoodPrograms } from "#object";
import { coverProgram, type Cover } from "#proof";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);
const root = join(import.meta.dirname, "../..");

function objectsIn(folder: string): string[] {
  return (
    readdirSync(folder)
      // xdpfilt_dny_* are xdpfilt_alw_* with the other verdict.
      .filter((file) => file.endsWith(".o") && !file.includes("_dny_"))
      .map((file) => join(folder, file))
  );
}

function programsOf(path: string): ProgramSpec[] {
  const object = readObject(new Uint8Array(readFileSync(path)), basename(path));
  return understoodPrograms(object).map(({ name }) =>
    programSpec(object, { entry: name }),
  );
}

/** Small tables fill up; the declared device map has two ports. */
function stateFor(program: ProgramSpec): State {
  const capacity: Record<string, number> = {};
  for (const map of program.maps)
    if (/hash|lpm/.test(map.type))
      capacity[map.name] = Math.min(map.maxEntries, 8);
    else if (map.maxEntries > 4096) capacity[map.name] = 16;
  return createState(program.maps, { cpus: 2, capacity });
}

/**
 * Programs with lists in arrays test each cell for null, which no array answers, and
 * reach what they can reach over long runs only: test/nfs-agree.test.ts judges those.
 */
const hasChain = ({ maps }: ProgramSpec): boolean =>
  maps.some(({ name }) => name.endsWith("_chain"));

function cover(program: ProgramSpec): Cover {
  return coverProgram(program, {
    state: stateFor(program),
    seed,
    budget: hasChain(program) ? 1000 : 20_000,
    ports: [1, 2],
    userWrites: "read-only",
    environment: variedEnvironment,
  });
}

const withoutPlace = ({ fault, ...rest }: Outcome): unknown => ({
  ...rest,
  fault: fault?.text,
});

function compare(program: ProgramSpec, { packets, writes }: Cover): void {
  const options = { environment: variedEnvironment, seed };
  const [left, right] = [stateFor(program), stateFor(program)];
  const bytecode = new BytecodeMachine(program, left, options);
  const lifted = new IrMachine(lift(program), right, options);
  for (const [index, input] of packets.entries()) {
    for (const { before, map, key, value } of writes)
      if (before === index)
        equal(left.update(map, key, value), right.update(map, key, value));
    const want = bytecode.run(input);
    equal(want.fault, undefined, `${program.name}: ${want.fault?.text}`);
    deepEqual(
      withoutPlace(lifted.run(input)),
      withoutPlace(want),
      `packet ${index}`,
    );
  }
  equal(right.digest(), left.digest());
}

const folders = [join(root, "nfs/c"), "/usr/lib/x86_64-linux-gnu/bpf"];

for (const folder of folders)
  test(`bytecode and its lift agree on ${basename(folder)} (seed ${seed})`, () => {
    let [hit, total] = [0, 0];
    for (const path of objectsIn(folder))
      for (const program of programsOf(path)) {
        const covering = cover(program);
        compare(program, covering);
        if (hasChain(program)) continue;
        hit += covering.branches.hit;
        total += covering.branches.total;
      }
    ok(total > 100, `${total} edges seen`);
    ok(hit >= 0.85 * total, `${hit} of ${total} branch edges, feasible or not`);
  });
