/**
 * One program, one sequence of packets, one answer: interpreter (of bytecode and of the
 * lifted program), portable engine and kernel give the same verdicts, frames, redirect
 * targets, events and map contents, on every XDP and TC program of nfs/c and of the
 * corpus that the kernel loads. `scripts/agree.mjs` does the same with more packets.
 *
 * A program that takes no part stands in `absent` with the reason, and the reason must
 * hold. docs/decisions/0009-agreement.md says what is the kernel's own choice.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { after, test, type TestContext } from "node:test";
import { InputError, UnsupportedError, VerifierError, type Place } from "#base";
import { openKernel, type Kernel } from "#engine";
import { possibleCpus } from "#host";
import { decide, lift, type IrProgram } from "#ir";
import { programSpec, readObject } from "#object";
import { negatedBranches } from "#proof";
import { agree, type Agreement } from "./support/agree.ts";
import { corpusAbsence, corpusObjects } from "./support/corpus.ts";
import { divisi, root, temporaryFolder } from "./support/cli.ts";
import {
  Edges,
  compared,
  edgeText,
  runInterp,
  runIr,
  runKernel,
  runPortable,
} from "./support/machines.ts";
import {
  entriesOf,
  episodeOf,
  subjectOf,
  type Episode,
  type Subject,
} from "./support/subjects.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);
const packets = 5_000;
const folder = join(root, "nfs/c");
const suite = readdirSync(folder)
  .filter((name) => name.endsWith(".o"))
  .map((name) => join(folder, name));

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

/** Runs where there is a kernel engine; elsewhere it says what is missing. */
function kernelTest(name: string, body: (kernel: Kernel) => void): void {
  void test(`${name} (seed ${seed})`, (t: TestContext) => {
    if (kernel instanceof UnsupportedError) t.skip(kernel.message);
    else body(kernel);
  });
}

interface Wanted {
  readonly maps: readonly string[];
  readonly verdicts: readonly string[];
  /** Variables of `.rodata`. */
  readonly set?: Readonly<Record<string, string>>;
}

// Verdicts that must be among them, and maps that must hold something.
// prettier-ignore
const wanted: Readonly<Record<string, Wanted>> = {
  "nop":            { maps: [],              verdicts: ["redirect", "drop"] },
  "static-bridge":  { maps: ["stations"],    verdicts: ["redirect", "drop"] },
  "source-counter": { maps: ["sources"],     verdicts: ["pass"] },
  "flow-counter":   { maps: ["flows"],       verdicts: ["pass"] },
  "port-knock":     { maps: ["sources"],    verdicts: ["drop"] },
  "ddos-mitigator": { maps: ["sources"],     verdicts: ["pass", "drop"] },
  "policer":        { maps: ["buckets"], verdicts: ["redirect", "drop"] },
  "firewall":       { maps: ["flows"],       verdicts: ["redirect", "drop"] },
  "fwd":            { maps: [],              verdicts: ["redirect", "drop"] },
  "dynamic-bridge": { maps: ["stations"],    verdicts: ["redirect", "drop"] },
  "nat":            { maps: ["flows"],       verdicts: ["redirect", "drop"] },
  "allow":          { maps: ["allowed"],     verdicts: ["redirect", "drop"] },
  "proxy":          { maps: ["services"],    verdicts: ["redirect", "drop"] },
  // Its sketch is cut to 256 cells: four rows of these columns.
  "connection-limiter": { maps: ["flows", "clients"], verdicts: ["redirect", "drop"], set: { bucket_capacity: "64" } },
  "port-scan-detector": { maps: ["sources", "touched"], verdicts: ["redirect", "drop"] },
  "hhh":            { maps: ["sources"],     verdicts: ["redirect", "drop"] },
  "load-balancer":  { maps: ["flows", "backends", "slots"], verdicts: ["redirect", "drop"] },
  "hash-lb":        { maps: ["flows"],       verdicts: ["redirect", "drop"] },
  "ctrnat":         { maps: ["flows", "tuples", "allocated"], verdicts: ["redirect", "drop"] },
  "r3":             { maps: ["sources", "destinations"], verdicts: ["pass", "drop"] },
  "gcount":         { maps: ["sources", "total"], verdicts: ["pass", "drop"] },
  "arr":            { maps: ["counts"],      verdicts: ["pass", "drop"] },
  "heavy-hitter":   { maps: ["flows"],       verdicts: ["pass", "drop"] },
  "token-bucket":   { maps: ["flows"],       verdicts: ["pass", "drop"] },
  "conntrack":      { maps: ["connections"], verdicts: ["pass", "drop"] },
  "ids":            { maps: ["signatures"],  verdicts: ["pass"] },
  "wan-dedup":      { maps: ["payloads"],    verdicts: ["redirect", "drop"] },
};

test("the table names the programs of nfs/c", () => {
  const names = suite.map((path) => basename(path, ".o"));
  deepEqual(Object.keys(wanted).sort(), names.sort());
});

type Machine = "interp" | "portable" | "kernel";
type Kind = typeof UnsupportedError | typeof VerifierError | typeof InputError;

// Programs that the kernel loads and that take no part: who lacks what.
// prettier-ignore
const absent: Readonly<Record<string, readonly [Machine, Kind, RegExp]>> = {
  // A test run has no egress interface.
  "xdp_redirect_map_multi/xdp_devmap_prog":   ["kernel", VerifierError, /no 4 bytes at offset 20/],
  "xdp_redirect_multi_kern/xdp_devmap_prog":  ["kernel", VerifierError, /no 4 bytes at offset 20/],
  "test_xdp_with_devmap_helpers/xdp_dummy_dm": ["kernel", VerifierError, /no 4 bytes at offset 20/],
  // Sockets and tasks of the kernel.
  "test_sk_assign/bpf_sk_assign_test":        ["interp", UnsupportedError, /no sockmap/],
  "test_sockmap_update/copy_sock_map":        ["interp", UnsupportedError, /no sockmap/],
  "test_skb_helpers/test_skb_helpers":        ["interp", UnsupportedError, /no helper bpf_get_current_task/],
};

/** Does the kernel take the program as it is? */
function isLoaded(path: string, entry: string, using: Kernel): boolean {
  try {
    const object = readObject(readFileSync(path), basename(path));
    const program = programSpec(object, { entry });
    // What maps hold first is not the verifier's business.
    const maps = program.maps.map(({ ...map }) => {
      delete map.values;
      return map;
    });
    using
      .load(
        [{ ...program, maps }],
        object.btf === undefined ? {} : { btf: object.btf },
      )
      .close();
    return true;
  } catch (error) {
    for (const kind of [VerifierError, UnsupportedError, InputError])
      if (error instanceof kind) return false;
    throw error;
  }
}

/** Does it agree, or is it absent for the reason given? */
function expectAgreement(path: string, entry: string, using: Kernel): void {
  const name = `${basename(path, ".o")}/${entry}`;
  const reason = absent[name];
  let found: Agreement;
  try {
    const { set = {} } = wanted[basename(path, ".o")] ?? {};
    const subject = subjectOf(path, { seed, entry, set, budget: 2_500 });
    found = agree(subject, { kernel: using, packets });
  } catch (error) {
    if (!(error instanceof Error) || reason === undefined) throw error;
    const [machine, kind, words] = reason;
    ok(machine !== "portable" && error instanceof kind, String(error));
    ok(words.test(error.message), error.message);
    return;
  }
  deepEqual(found.mismatches, [], name);
  const { reached, reachable, refused, verdicts, maps } = found;
  ok(reached >= 0.9 * reachable, `${name}: ${reached} of ${reachable} edges`);
  const [who, , words] = reason ?? [];
  deepEqual(Object.keys(refused), reason === undefined ? [] : [who], name);
  if (reason !== undefined) ok(words?.test(refused.portable ?? ""), name);
  const want = wanted[basename(path, ".o")];
  for (const verdict of want?.verdicts ?? [])
    ok((verdicts[verdict] ?? 0) > 0, `${name}: no ${verdict}`);
  for (const map of want?.maps ?? [])
    ok(maps.includes(map), `${name}: nothing in ${map}`);
}

const absence = corpusAbsence();
const objects = [
  ...suite.map((path) => ({ name: basename(path), path })),
  ...(absence === undefined ? corpusObjects() : []),
];

void test("there is a corpus", (t) => {
  if (absence !== undefined) t.skip(absence);
  else ok(objects.length >= 80, `${objects.length} objects`);
});

const ran = new Set<string>();
for (const { name, path } of objects)
  kernelTest(`${name}: three machines, one answer`, (using) => {
    for (const entry of entriesOf(path)) {
      if (!isLoaded(path, entry, using)) continue;
      expectAgreement(path, entry, using);
      ran.add(`${basename(path, ".o")}/${entry}`);
    }
  });

kernelTest("most programs ran, and no reason is left over", () => {
  if (absence !== undefined) return;
  ok(ran.size >= 200, `${ran.size} programs`);
  for (const name of Object.keys(absent)) ok(ran.has(name), name);
});

// --- wrong machines ---

for (const path of suite)
  kernelTest(`${basename(path)}: one branch exchanged in one copy`, (using) => {
    const [entry = ""] = entriesOf(path);
    const subject = subjectOf(path, { seed, entry });
    expectMutantsFound(subject, episodeOf(subject, 0, 1_200), using);
  });

/**
 * A mutant goes to one machine only and is judged by the original's record. Where it
 * changes anything, as the bytecode interpreter tells, every machine must show it.
 */
function expectMutantsFound(
  subject: Subject,
  episode: Episode,
  using: Kernel,
): void {
  const { program } = subject;
  const edges = new Edges();
  const want = runInterp(subject, episode, { observer: edges.observer });
  const isWrong = (have: typeof want): boolean =>
    compared(subject, want, have).mismatches > 0;
  const names = edges.names(program);
  for (const edge of decide(lift(program)).infeasible)
    ok(!names.has(edgeText(edge)), `${edgeText(edge)} is called infeasible`);
  const isBoth = (at: Place): boolean =>
    [true, false].every((taken) => names.has(edgeText({ ...at, taken })));
  const mutants = negatedBranches(program, isBoth, seed, 6);
  const found = { interp: 0, portable: 0, kernel: 0, ir: 0 };
  for (const mutant of mutants) {
    const expected = isWrong(runInterp(subject, episode, mutant));
    equal(
      isWrong(runPortable(subject, episode, mutant)),
      expected,
      mutant.name,
    );
    found.interp += Number(expected);
    found.portable += Number(expected);
    const options = { kernel: using, program: mutant.program };
    const answer: boolean | "refused" = refusedOr((): boolean =>
      isWrong(runKernel(subject, episode, options)),
    );
    // A negated test of a bound or of null is refused, and nothing runs.
    if (answer !== "refused") equal(answer, expected, mutant.name);
    found.kernel += Number(answer === true);
  }
  for (const change of exchanges(subject, episode))
    found.ir += Number(isWrong(runIr(subject, episode, { change })));
  for (const [machine, count] of Object.entries(found))
    ok(count > 0, `${machine}: nothing found of ${mutants.length} mutants`);
}

/** One exchange per branch, as a change of the IR. */
function exchanges(
  subject: Subject,
  episode: Episode,
): ((ir: IrProgram) => IrProgram)[] {
  let count = 0;
  const counting = (ir: IrProgram): IrProgram => {
    count = ir.functions
      .flatMap(({ blocks }) => blocks)
      .filter(({ terminator }) => terminator.kind === "branch").length;
    return ir;
  };
  runIr(subject, { ...episode, packets: [] }, { change: counting });
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

// --- what no test run takes, and what is split ---

test("frames that no test run takes: three machines", () => {
  for (const path of suite) {
    const [entry = ""] = entriesOf(path);
    const subject = subjectOf(path, { seed, entry, budget: 100 });
    const whole = episodeOf(subject, 0, 28);
    const episode: Episode = {
      writes: [],
      packets: whole.packets.map((packet, at) => ({
        ...packet,
        data: packet.data.slice(0, at % 14),
      })),
    };
    const want = runInterp(subject, episode);
    ok(episode.packets.length >= 20);
    for (const run of [runIr, runPortable]) {
      const { first } = compared(subject, want, run(subject, episode));
      deepEqual(first, [], subject.name);
    }
  }
});

kernelTest(
  "ddos-mitigator on two cores: the kernel's copies add up",
  (using) => {
    const output = join(temporaryFolder("three-machines"), "out");
    const path = join(folder, "ddos-mitigator.o");
    // prettier-ignore
    const split = divisi(["split", path, "--cores", "2", "--allow-untested", "-o", output]);
    equal(split.status, 0, split.stdout + split.stderr);
    const core = join(output, "core.o");
    const [entry = ""] = entriesOf(core);
    const subject = subjectOf(core, { seed, entry });
    const episode = episodeOf(subject, 0, packets);
    const kernelRun = runKernel(subject, episode, { kernel: using });
    const machine = runInterp(subject, episode);
    deepEqual(compared(subject, machine, kernelRun).first, []);
    const sequential = programSpec(readObject(readFileSync(path), path));
    const want = runInterp(
      {
        ...subject,
        program: { ...sequential, maps: shrunk(subject, sequential) },
      },
      episode,
    );
    deepEqual(kernelRun.record.verdicts, want.record.verdicts);
    const { state } = kernelRun.record;
    deepEqual(state.get("sources"), want.record.state.get("sources"));
    const copies = wordsOf(state.get("dropped"));
    equal(copies.length, possibleCpus());
    ok(
      copies.length === 1 || copies.filter((count) => count > 0n).length > 1,
      `copies ${copies.join()}`,
    );
    const sum = copies.reduce((left, right) => left + right, 0n);
    ok(sum > 0n);
    deepEqual([sum], wordsOf(want.record.state.get("dropped")));
  },
);

/** Maps of the sequential program with the sizes that the subject's have. */
function shrunk(
  { program }: Subject,
  { maps }: { maps: Subject["program"]["maps"] },
) {
  return maps.map((map) => {
    const other = program.maps.find(({ name }) => name === map.name);
    return { ...map, maxEntries: other?.maxEntries ?? map.maxEntries };
  });
}

/** The copies of the map's first cell. */
function wordsOf(
  cells: ReadonlyMap<string, readonly string[]> | undefined,
): bigint[] {
  const [copies = []] = cells?.values() ?? [];
  return copies.map((text) => Buffer.from(text, "hex").readBigUInt64LE());
}
