/**
 * Real objects through the whole tool: every object of the corpus is read, printed,
 * lifted, analysed and written back, and none may fail; the kernel loads them, except
 * those that the list names. What was written back, and
 * what was lifted, behave as the original on inputs that reach 90 % of the branch
 * edges. A run that a missing helper stops is a failure.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { analyse, type Race, type StateReport } from "#analysis";
import { InputError, UnsupportedError, VerifierError } from "#base";
import { openKernel } from "#engine";
import { lift, parseIr, printIr, verifyIr } from "#ir";
import {
  parseFunction,
  placeOf,
  printFunction,
  programTypes,
  type Instruction,
  type ProgramSpec,
  type ProgramTypeName,
} from "#isa";
import {
  normalise,
  programSpec,
  readObject,
  understoodPrograms,
  writeObject,
} from "#object";
import type { ObjectSpec } from "#object";
import {
  corpusAbsence,
  corpusObjects,
  deadLines,
  unlistedSources,
} from "./support/corpus.ts";
import { printEdge, reach, type Reached } from "./support/steering.ts";
import { Bench } from "./support/trial.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

const absence = corpusAbsence();
const corpus = (absence === undefined ? corpusObjects() : []).map((listed) => ({
  ...listed,
  object: readObject(readFileSync(listed.path), listed.name),
}));

type Listed = (typeof corpus)[number];

const root = join(import.meta.dirname, "../..");
const kernel = await openKernel().catch((error: unknown) => {
  if (error instanceof UnsupportedError) return error;
  throw error;
});
after(() => {
  if (!(kernel instanceof UnsupportedError)) kernel.close();
});
const noKernel =
  absence ?? (kernel instanceof UnsupportedError && kernel.message);

/** Entries of a type that we lift; docs/decisions/0006-larger-corpus.md argues the others. */
function entries(object: ObjectSpec): string[] {
  return understoodPrograms(object).map(({ name }) => name);
}

const skip = absence ?? false;

const races: Race[] = [];

/** Races said of maps that each CPU has a copy of, or whose writes are all atomic. */
function falseRaces({ races, objects }: StateReport): readonly string[] {
  return races.flatMap(({ object: name, kind }) => {
    const object = objects.find((one) => one.name === name);
    if (object === undefined) return [`${kind} of nothing: ${name}`];
    const writes = object.accesses.filter(({ op }) =>
      ["write", "add", "update"].includes(op),
    );
    return object.access === "per-cpu" ||
      object.cpuIndexed ||
      writes.every(({ op, atomic }) => atomic && op !== "update")
      ? [`${kind} of ${name}`]
      : [];
  });
}

test(
  "the corpus is the packages' objects and every XDP and TC program",
  { skip },
  () => {
    deepEqual(unlistedSources(), []);
    ok(corpus.length >= 115, `${corpus.length} objects`);
    const run = corpus.filter(({ isRun }) => isRun);
    ok(run.length >= 29, `${run.length} objects that are run`);
    const programs = run.flatMap(({ object }) => entries(object));
    ok(programs.length >= 40, `${programs.length} programs`);
    const untyped = run.flatMap(({ object }) =>
      object.programs.filter(({ type }) => type === undefined),
    );
    deepEqual(
      untyped.filter(
        ({ section }) => !/^(tp_btf|fentry|fexit)\//.test(section),
      ),
      [],
    );
  },
);

for (const { name, object, isRun } of corpus) {
  test(`${name}: printed functions parse back`, () => {
    for (const fn of object.functions) {
      const text = printFunction(fn);
      ok(text.split("\n").length > fn.instructions.length);
      equal(printFunction(parseFunction(text)), text);
    }
  });

  test(`${name}: lifts to a program that verifies and prints`, () => {
    for (const entry of entries(object)) {
      const ir = lift(programSpec(object, { entry }));
      deepEqual(verifyIr(ir), [], entry);
      equal(printIr(parseIr(printIr(ir))), printIr(ir), entry);
    }
  });

  test(`${name}: written back it is the same object`, () => {
    const { notes, ...again } = readObject(writeObject(object), name);
    const { notes: before, ...want } = normalise(object);
    deepEqual(again, want, `${notes.length} and ${before.length} notes`);
  });

  test(`${name}: analysed`, () => {
    for (const entry of entries(object)) {
      const report = analyse(programSpec(object, { entry }));
      const accesses = report.objects.flatMap(({ accesses }) => accesses);
      ok(accesses.every(({ at }) => at.function !== ""));
      deepEqual(falseRaces(report), []);
      races.push(...report.races);
    }
  });

  if (!isRun) continue;
  test(`${name}: written back and lifted it behaves the same`, () => {
    const again = readObject(writeObject(object), name);
    const dead = new Set(deadLines(name));
    const used = new Set<number>();
    for (const entry of entries(object)) {
      const program = programSpec(object, { entry });
      const reached = search(program);
      const missing = reached.missing.filter(({ fn, instruction }) => {
        const { line = 0 } = placeOf(fn, instruction);
        if (dead.has(line)) used.add(line);
        return !dead.has(line);
      });
      ok(
        reached.hit >= 9 * missing.length,
        `${entry}: ${reached.hit} edges reached, seed ${seed}, missing ${missing.map(printEdge).join(", ")}`,
      );
      const written = programSpec(again, { entry });
      equal(difference(program, new Bench(written), reached), undefined);
      const lifted = new Bench(program, { lifted: true });
      equal(difference(program, lifted, reached), undefined);
    }
    deepEqual(used, dead, "dead lines");
  });
}

/** A run that a missing helper stops throws here, with its name. */
function search(program: ProgramSpec): Reached {
  return reach(program, { seed, budget: 8_000 });
}

/** The first trial on which `other` differs from the program; no run may fault. */
function difference(
  program: ProgramSpec,
  other: Bench,
  { trials }: Reached,
): string | undefined {
  const bench = new Bench(program);
  for (const [index, trial] of trials.entries()) {
    const want = bench.replay(trial);
    if (want.fault !== undefined) return `${program.name}: ${want.fault}`;
    if (!isDeepStrictEqual(other.replay(trial), want))
      return `${program.name}: trial ${index} of seed ${seed}`;
  }
  return undefined;
}

for (const listed of corpus) {
  const { name, object, rejected, refused, module } = listed;
  test(`${name}: what the kernel says of it`, { skip: noKernel }, () => {
    const meant = meantToLoad(listed);
    if (meant.length > 0) {
      const why = refusalOf(listed, meant);
      if (refused === undefined && module === undefined) equal(why, undefined);
      else ok(why !== undefined, "it loads");
    }
    for (const program of rejected) {
      ok(object.programs.some((entry) => entry.name === program));
      const why = refusalOf(listed, [program]);
      ok(why?.startsWith("VerifierError") === true, `${program}: ${why}`);
      equal(why.split("\n").length, 1, why);
    }
  });
}

test(
  "19 of 20 objects load, and the page names the others",
  { skip: noKernel },
  () => {
    const counted = corpus.filter((listed) => meantToLoad(listed).length > 0);
    const own = counted.filter(({ module }) => module === undefined);
    const loaded = own.filter(({ refused }) => refused === undefined);
    ok(loaded.length >= 100, `${loaded.length} load`);
    ok(loaded.length / own.length >= 0.95, `${loaded.length}/${own.length}`);
    const page = readFileSync(join(root, "docs/reference/loader.md"), "utf8");
    const rows = [...page.matchAll(/^\| `([\w-]+\.o)` +\| (.*?) +\|$/gm)].map(
      ([, name = "", reason = ""]) => `${name}: ${reason}`,
    );
    deepEqual(
      rows.sort(),
      counted
        .flatMap(({ name, refused, module }) => {
          if (module !== undefined)
            return [`${name}: names functions of the kernel module ${module}`];
          return refused === undefined ? [] : [`${name}: ${refused}`];
        })
        .sort(),
    );
    const figure = `${loaded.length} of ${own.length}`;
    ok(page.includes(figure), `the page does not say ${figure}`);
  },
);

/** Programs that were not written to be rejected. */
function meantToLoad({ object, rejected }: Listed): readonly string[] {
  return object.programs
    .map(({ name }) => name)
    .filter((name) => !rejected.includes(name));
}

/** Why these programs do not load together; only what others bind is left out. */
function refusalOf(
  { object, type }: Listed,
  programs: readonly string[],
): string | undefined {
  if (kernel instanceof UnsupportedError) return kernel.message;
  try {
    const own = programTypeNamed(type);
    const loaded = kernel.loadObject(object, {
      programs,
      ...(own === undefined ? {} : { type: own }),
    });
    const left = loaded.notes.flatMap(
      ({ message }) => /^program (\w+) is left out/.exec(message)?.[1] ?? [],
    );
    const wanted = understoodPrograms(object).map(({ name }) => name);
    loaded.close();
    return left.find((name) => wanted.includes(name));
  } catch (error) {
    if (
      error instanceof InputError ||
      error instanceof UnsupportedError ||
      error instanceof VerifierError
    )
      return `${error.name}: ${error.message}`;
    throw error;
  }
}

function programTypeNamed(
  name: string | undefined,
): ProgramTypeName | undefined {
  return (Object.keys(programTypes) as ProgramTypeName[]).find(
    (type) => type === name,
  );
}

test("a jump that is off by one is noticed", { skip }, () => {
  const found = corpus.find(({ name }) => name === "xdp_redirect_cpu.o");
  ok(found !== undefined);
  const entry = "xdp_prognum4_ddos_filter_pktgen";
  const program = programSpec(found.object, { entry });
  const reached = search(program);
  const [main, ...rest] = program.functions;
  ok(main !== undefined);
  let mutants = 0;
  const survivors: number[] = [];
  for (const [index, old] of main.instructions.entries()) {
    if (old.kind !== "branch") continue;
    mutants++;
    const instructions = main.instructions.with(index, offByOne(old));
    const mutant = {
      ...program,
      functions: [{ ...main, instructions }, ...rest],
    };
    if (difference(program, new Bench(mutant), reached) === undefined)
      survivors.push(index);
  }
  // A jump may skip an instruction whose result is not used there.
  ok(mutants >= 20 && survivors.length <= mutants / 10, survivors.join(" "));
});

function offByOne(
  branch: Extract<Instruction, { kind: "branch" }>,
): Instruction {
  return { ...branch, target: branch.target + 1 };
}

test("races are found in real programs", { skip }, () => {
  const kinds = new Set(races.map(({ kind }) => kind));
  ok(races.length >= 20, `${races.length} races`);
  deepEqual([...kinds].sort(), [
    "check-then-act",
    "lost-update",
    "unlocked-write",
  ]);
});
