/**
 * lower(lift(x.o)): the kernel takes it where it takes x.o, and it does what x.o does,
 * over every packet program of nfs/c and of the corpus. Random programs, and mutants of
 * the lowered code, show that a wrong register or slot would be seen.
 */
import { deepEqual, ok } from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { after, test, type TestContext } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { Random, UnsupportedError, VerifierError, toHex } from "#base";
import { lowerProgram } from "#codegen";
import { openKernel, type Kernel } from "#engine";
import { BytecodeMachine, createState, type PacketInput } from "#interp";
import { inlineCalls, lift, simplify, type IrProgram } from "#ir";
import {
  editFunction,
  totalSlots,
  type Edit,
  type Instruction,
  type ProgramSpec,
} from "#isa";
import {
  applyCoreRelocations,
  programSpec,
  readBtf,
  readObject,
  understoodPrograms,
  type ObjectSpec,
} from "#object";
import { randomProgram } from "./random-program.ts";
import { root } from "./support/cli.ts";
import { corpusAbsence, corpusObjects } from "./support/corpus.ts";
import { lowered } from "./support/lowered.ts";
import { compared, runInterp, runKernel } from "./support/machines.ts";
import { entriesOf, episodeOf, subjectOf } from "./support/subjects.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 4);
const folder = join(root, "nfs/c");
const suite = readdirSync(folder)
  .filter((name) => name.endsWith(".o"))
  .map((name) => join(folder, name));
const absence = corpusAbsence();
const others =
  absence === undefined ? corpusObjects().map(({ path }) => path) : [];

const kernel = await opened();
after(() => {
  if (!(kernel instanceof UnsupportedError)) kernel.close();
});

async function opened(): Promise<Kernel | UnsupportedError> {
  try {
    return await openKernel();
  } catch (error) {
    if (error instanceof UnsupportedError) return error;
    throw error;
  }
}

function kernelTest(name: string, body: (kernel: Kernel) => void): void {
  void test(`${name} (seed ${seed})`, (t: TestContext) => {
    if (kernel instanceof UnsupportedError) t.skip(kernel.message);
    else body(kernel);
  });
}

void test("there is a corpus", (t) => {
  if (absence !== undefined) t.skip(absence);
  else ok(others.length >= 80, `${others.length} objects`);
});

// --- the verifier ---

/** For the running kernel. */
function relocated(path: string): ObjectSpec {
  const object = readObject(readFileSync(path), basename(path));
  const types = new Uint8Array(readFileSync("/sys/kernel/btf/vmlinux"));
  return object.functions.some((fn) => fn.coreRelocations.length > 0)
    ? applyCoreRelocations(object, readBtf(types))
    : object;
}

/** Why the kernel does not take it, or undefined. */
function refusal(
  using: Kernel,
  object: ObjectSpec,
  program: ProgramSpec,
): string | undefined {
  // What maps hold first is not the verifier's business.
  const maps = program.maps.map(({ ...map }) => {
    delete map.values;
    return map;
  });
  try {
    const { btf, externs } = object;
    const types = btf === undefined ? {} : { btf };
    using.load([{ ...program, maps }], { externs, ...types }).close();
    return undefined;
  } catch (error) {
    if (error instanceof VerifierError) return error.message;
    if (error instanceof Error) return error.message;
    throw error;
  }
}

kernelTest("the kernel takes what it took, at its old size", (using) => {
  let [taken, before, after] = [0, 0, 0];
  for (const path of [...suite, ...others]) {
    const object = relocated(path);
    for (const { name } of understoodPrograms(object)) {
      const program = programSpec(object, { entry: name });
      const code = lowered(program);
      const reason = refusal(using, object, code);
      if (reason !== undefined) {
        // Then nobody takes the original either.
        const original = refusal(using, object, program);
        ok(original !== undefined, `${basename(path)} ${name}: ${reason}`);
        continue;
      }
      taken++;
      before += sizeOf(program);
      after += sizeOf(code);
    }
  }
  ok(taken >= (absence === undefined ? 220 : suite.length), `${taken} taken`);
  ok(after <= 1.02 * before, `${after} slots from ${before}`);
});

function sizeOf({ functions }: ProgramSpec): number {
  return functions.reduce((sum, fn) => sum + totalSlots(fn.instructions), 0);
}

// --- what it does ---

test(`lowered programs do what the originals do (seed ${seed})`, () => {
  let compares = 0;
  for (const path of [...suite, ...others])
    for (const entry of entriesOf(path)) {
      const name = `${basename(path, ".o")}/${entry}`;
      let subject;
      try {
        subject = subjectOf(path, { seed, entry, budget: 150 });
      } catch (error) {
        // What the interpreter has not, nobody can compare.
        if (error instanceof Error) continue;
        throw error;
      }
      const episode = episodeOf(subject, 0, 250);
      const want = runInterp(subject, episode);
      const program = lowered(subject.program);
      const have = runInterp(subject, episode, { program });
      deepEqual(compared(subject, want, have).first, [], name);
      compares++;
    }
  ok(compares >= (absence === undefined ? 220 : suite.length), `${compares}`);
});

kernelTest("in the kernel too, over nfs/c", (using) => {
  for (const path of suite) {
    const [entry = ""] = entriesOf(path);
    const subject = subjectOf(path, { seed, entry, budget: 500 });
    const episode = episodeOf(subject, 0, 800);
    const want = runInterp(subject, episode);
    const program = lowered(subject.program);
    const have = runKernel(subject, episode, { kernel: using, program });
    deepEqual(compared(subject, want, have).first, [], basename(path));
  }
});

// --- random programs, and wrong ones ---

interface Trace {
  readonly outcomes: readonly unknown[];
  readonly state: string;
}

function run(program: ProgramSpec, packets: readonly PacketInput[]): Trace {
  const state = createState(program.maps);
  const machine = new BytecodeMachine(program, state);
  const outcomes = packets.map((packet) => {
    const { verdict, data, redirect, events, fault } = machine.run(packet);
    return fault === undefined
      ? [verdict, toHex(data), redirect, events]
      : "faults";
  });
  return { outcomes, state: state.digest() };
}

function drawn(index: number): {
  readonly program: ProgramSpec;
  readonly packets: readonly PacketInput[];
} {
  const random = new Random(seed + index);
  const packets = Array.from({ length: 6 }, (_, time) => ({
    data: random.bytes(random.pick([20, 64, 64, 64])),
    ifindex: 1,
    rxQueue: 0,
    cpu: 0,
    time: BigInt(time),
  }));
  const program = randomProgram(1_000 * seed + index, {
    tameStack: index % 4 > 0,
    statements: 8 + (index % 30),
  });
  return { program, packets };
}

/** Undefined where the stack does not do. */
function loweredOrNot(
  program: ProgramSpec,
  pass: (ir: IrProgram) => IrProgram = (ir) => ir,
  instructionSet: "v3" | "v4" = "v3",
): ProgramSpec | undefined {
  try {
    const ir = pass(lift(program));
    return { ...program, functions: lowerProgram(ir, { instructionSet }) };
  } catch (error) {
    if (error instanceof UnsupportedError) return undefined;
    throw error;
  }
}

/** After a call, r1 … r5 hold rubbish: the interpreter alone would leave them. */
function poisoned(program: ProgramSpec): ProgramSpec {
  const instructions = ([1, 2, 3, 4, 5] as const).map((dst): Instruction => {
    const value = { kind: "number", value: 0xdead_beef_1234_5678n } as const;
    return { kind: "load-wide", dst, value };
  });
  const functions = program.functions.map((fn) =>
    editFunction(
      fn,
      fn.instructions.flatMap(({ kind }, at): Edit[] =>
        kind === "call"
          ? [
              {
                kind: "insert",
                at: at + 1,
                reach: "fall-through",
                instructions,
              },
            ]
          : [],
      ),
    ),
  );
  return { ...program, functions };
}

const passes: readonly (readonly [string, (ir: IrProgram) => IrProgram])[] = [
  ["lifted", (ir) => ir],
  ["simplified", simplify],
  ["inlined", (ir) => inlineCalls(ir, { budget: 100_000 })],
];

test(`random programs do the same when lowered (seed ${seed})`, () => {
  let compares = 0;
  for (let index = 0; index < 60; index++) {
    const { program, packets } = drawn(index);
    const want = run(program, packets);
    for (const [name, pass] of passes) {
      const set = index % 2 === 0 ? "v3" : "v4";
      const code = loweredOrNot(program, pass, set);
      if (code === undefined) continue;
      const what = `${program.file} ${name}, seed ${seed}`;
      deepEqual(run(poisoned(code), packets), want, what);
      compares++;
    }
  }
  ok(compares >= 130, `${compares} of 180`);
});

/** One wrong instruction, or undefined where the code has no place for it. */
type Plant = (
  code: readonly Instruction[],
  random: Random,
) => readonly Instruction[] | undefined;

function isMove(instruction: Instruction | undefined): boolean {
  return (
    instruction?.kind === "alu" &&
    instruction.op === "mov" &&
    instruction.src.kind === "register" &&
    instruction.src.register !== 10
  );
}

/** Does one of two moves write what the other reads? */
function isTied(
  one: Instruction | undefined,
  other: Instruction | undefined,
): boolean {
  if (!isMove(one) || !isMove(other)) return false;
  if (one?.kind !== "alu" || other?.kind !== "alu") return false;
  const [from, next] = [one.src, other.src];
  return (
    (from.kind === "register" && from.register === other.dst) ||
    (next.kind === "register" && next.register === one.dst)
  );
}

/** A word of the stack that is loaded or stored whole: as spills are. */
function isSpill(instruction: Instruction, kind: "load" | "store"): boolean {
  return (
    instruction.kind === kind &&
    instruction.base === 10 &&
    instruction.size === 8
  );
}

function at(
  where: (instruction: Instruction, index: number) => boolean,
  change: (
    instruction: Instruction,
    next: Instruction | undefined,
  ) => readonly Instruction[],
  count = 1,
): Plant {
  return (code, random) => {
    const places = [...code.keys()].filter((index) => {
      const instruction = code[index];
      return instruction !== undefined && where(instruction, index);
    });
    if (places.length === 0) return undefined;
    const index = random.pick(places);
    const instruction = code[index];
    if (instruction === undefined) return undefined;
    const changed = change(instruction, code[index + 1]);
    return code.toSpliced(index, count, ...changed);
  };
}

/** Keeps the length, so that no jump changes. */
const nothing: Instruction = {
  kind: "jump",
  target: -1,
  long: false,
};

const plants: readonly (readonly [string, Plant])[] = [
  ["a move is lost", at(isMove, () => [nothing])],
  [
    "moves one after the other that must be at once",
    (code, random) => {
      const swaps = [...code.keys()].filter((index) =>
        isTied(code[index], code[index + 1]),
      );
      if (swaps.length === 0) return undefined;
      const index = random.pick(swaps);
      const pair = code.slice(index, index + 2).reverse();
      return code.toSpliced(index, 2, ...pair);
    },
  ],
  [
    "a spill is not stored",
    at(
      (i) => isSpill(i, "store"),
      () => [nothing],
    ),
  ],
  [
    "a spill is loaded from the slot next to it",
    at(
      (i) => isSpill(i, "load"),
      (i) => (i.kind === "load" ? [{ ...i, offset: i.offset - 8 }] : [i]),
    ),
  ],
  [
    "half a spill is loaded",
    at(
      (i) => isSpill(i, "load"),
      (i) => (i.kind === "load" ? [{ ...i, size: 4 }] : [i]),
    ),
  ],
  [
    "a word stays in r3 over a call",
    (code) =>
      code.map((instruction) => {
        const wrong: Record<string, unknown> = { ...instruction };
        for (const member of ["dst", "base", "left"])
          if (wrong[member] === 8) wrong[member] = 3;
        return wrong as unknown as Instruction;
      }),
  ],
  [
    "a branch leads where it did not",
    at(
      (i) => i.kind === "branch" && i.op === "jeq",
      (i) => (i.kind === "branch" ? [{ ...i, op: "jne" }] : [i]),
    ),
  ],
  [
    "an argument in the wrong register",
    at(
      (i) => i.kind === "alu" && i.op === "mov" && i.dst === 2,
      (i) => (i.kind === "alu" ? [{ ...i, dst: 4 }] : [i]),
    ),
  ],
];

test(`wrong code is seen (seed ${seed})`, (t: TestContext) => {
  for (const [name, plant] of plants) {
    let [planted, seen] = [0, 0];
    for (let index = 0; index < 3000 && seen < 3; index++) {
      const { program, packets } = drawn(index);
      const code = loweredOrNot(program);
      if (code === undefined) continue;
      const [entry, ...rest] = code.functions;
      if (entry === undefined) continue;
      const wrong = plant(entry.instructions, new Random(seed + index));
      if (wrong === undefined) continue;
      planted++;
      const instructions = wrong.map((instruction, here) =>
        instruction === nothing
          ? { ...nothing, target: here + 1 }
          : instruction,
      );
      const mutant = {
        ...code,
        functions: [{ ...entry, instructions }, ...rest],
      };
      const want = run(program, packets);
      if (!isDeepStrictEqual(run(poisoned(mutant), packets), want)) seen++;
    }
    t.diagnostic(`${name}: ${seen} of ${planted} seen`);
    ok(seen === 3, `${name}: ${seen} of ${planted}, seed ${seed}`);
  }
});
