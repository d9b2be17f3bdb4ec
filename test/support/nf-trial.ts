/**
 * One network function, all its machines, much traffic: what they disagree about, and
 * how much the traffic would have shown.
 *
 * For each setting the search for covering packets runs on each object, the lines that
 * it finds are sequences of their own, and their packets are drawn upon by the traffic.
 * The first sequences also go through the interpreter, which counts branch edges and
 * objects written; mutants are judged on the first of them.
 *
 * `strong`: at least 90 % of the feasible branch edges of every object, every verdict
 * that the program names, every object written that it can write, at least 95 % of the
 * mutants seen.
 */
import { printPlace } from "#base";
import { analyseIr } from "#analysis";
import { createState, type PacketInput } from "#interp";
import { lift } from "#ir";
import { placeOf, type ProgramSpec } from "#isa";
import type { Btf } from "#object";
import { coverProgram, negatedBranches } from "#proof";
import { guardEdges, siteNames, verdictsWithout } from "./nf-guards.ts";
import { differences, disagreements, type Sequence } from "./nf-agreement.ts";
import {
  Reached,
  interpreted,
  portable,
  stateMaps,
  withPorts,
  type Machine,
  type Ran,
} from "./nf-machines.ts";
import { withZeroSums } from "./nf-zero-sums.ts";
import type { Variant } from "./nf-mixes.ts";
import {
  interfaces,
  nfTraffic,
  stranger,
  type TrafficMix,
} from "./nf-traffic.ts";

/** An object of the program, under a setting. */
export interface ObjectUnderTest {
  readonly language: "C" | "TypeScript";
  readonly program: ProgramSpec;
  readonly btf?: Btf;
}

export interface VariantUnderTest {
  readonly variant: Variant;
  readonly mix: TrafficMix;
  readonly objects: readonly ObjectUnderTest[];
  readonly plain?: Machine;
}

export interface TrialOptions {
  readonly packets: number;
  readonly seed: number;
  /** Packets of a sequence. */
  readonly per: number;
  /** Runs that a search may spend on one object. */
  readonly search: number;
  /** Packets of a setting that the interpreter runs as well. */
  readonly traced: number;
  /** Mutants of each language's objects, of all settings together. */
  readonly mutants: number;
}

/** How much the runs on one language's objects reached. */
export interface Coverage {
  readonly language: string;
  readonly hit: number;
  readonly feasible: number;
  /** Edges left out: nf-guards.ts. */
  readonly guards: number;
  readonly missing: readonly string[];
}

export interface TrialResult {
  readonly packets: number;
  readonly mismatches: number;
  /** The first of them in words. */
  readonly texts: readonly string[];
  readonly coverage: readonly Coverage[];
  readonly verdicts: Readonly<Record<string, number>>;
  readonly mutants: {
    readonly killed: number;
    readonly total: number;
    readonly survivors: readonly string[];
  };
  readonly strength: "strong" | "weak";
  readonly weaknesses: readonly string[];
}

interface Collected {
  packets: number;
  mismatches: number;
  readonly texts: string[];
  readonly verdicts: Map<string, number>;
  readonly expected: Set<string>;
  /** By language and name; the language alone: they are known. */
  readonly writable: Set<string>;
  readonly written: Set<string>;
  readonly edges: Map<string, EdgeCounts>;
  killed: number;
  mutants: number;
  readonly survivors: string[];
}

/** Edges by their site's name, with where they stand. */
interface EdgeCounts {
  readonly taken: Set<string>;
  readonly feasible: Map<string, string>;
  readonly guards: Map<string, string>;
}

const shownTexts = 3;
/** Packets of the first sequences. */
const shorts = [100, 200, 300, 400, 500, 600, 700, 800];
/** Packets whose checksums are tampered with. */
const zeroed = 5_000;
/** Packets of a setting that a mutant is run on. */
const mutantPackets = 25_000;

export function tryNf(
  name: string,
  variants: readonly VariantUnderTest[],
  options: TrialOptions,
): TrialResult {
  const found: Collected = {
    packets: 0,
    mismatches: 0,
    texts: [],
    verdicts: new Map(),
    expected: new Set(),
    writable: new Set(),
    written: new Set(),
    edges: new Map(),
    killed: 0,
    mutants: 0,
    survivors: [],
  };
  const share = Math.ceil(options.packets / variants.length);
  for (const [at, under] of variants.entries())
    tryVariant(`${name}, ${under.variant.name}`, under, found, {
      ...(under.variant.slow === true ? slower(options) : options),
      packets: share,
      mutants: Math.ceil(options.mutants / variants.length),
      seed: options.seed + 1000 * at,
    });
  return resultOf(found);
}

function slower(options: TrialOptions): TrialOptions {
  const { search, traced } = options;
  return { ...options, search: search / 4, traced: traced / 4 };
}

function tryVariant(
  name: string,
  under: VariantUnderTest,
  found: Collected,
  options: TrialOptions,
): void {
  const { objects, plain, variant, mix } = under;
  const { contents = {} } = variant;
  const traced = objects.map((object) => ({ object, reached: new Reached() }));
  const fast = [
    ...objects.map(({ language, program }) =>
      portable(`${language} object`, program, contents),
    ),
    ...(plain === undefined ? [] : [plain]),
  ];
  const slow = traced.map(({ object: { language, program }, reached }) =>
    interpreted(`${language} object interpreted`, program, contents, reached),
  );
  const [first] = objects;
  const maps = first === undefined ? [] : stateMaps(first.program);
  const lines = objects.map(({ language, program }): Sequence => ({
    name: `${name}: covering ${language}`,
    packets: lineOf(program, variant, options),
  }));
  const cover = lines.flatMap(({ packets }) => packets);
  const heads: { readonly sequence: Sequence; readonly want: Ran }[] = [];
  let [interpretedPackets, judged] = [0, 0];
  const run = (sequence: Sequence): void => {
    const isTraced = interpretedPackets < options.traced;
    if (isTraced) interpretedPackets += sequence.packets.length;
    const machines = isTraced ? [...fast, ...slow] : fast;
    const { want, all } = disagreements(sequence, machines, maps);
    found.packets += sequence.packets.length;
    for (const { count, text } of all) {
      found.mismatches += count;
      if (found.texts.length < shownTexts) found.texts.push(text);
    }
    for (const verdict of want?.record.verdicts ?? [])
      countVerdict(found.verdicts, verdict);
    if (want !== undefined && judged < mutantPackets) {
      judged += sequence.packets.length;
      heads.push({ sequence, want });
    }
  };
  for (const line of lines) run(line);
  for (let index = 0, done = cover.length; done < options.packets; index++) {
    // Short ones too: what a state did shows before more has passed over it.
    const long = index < shorts.length ? (shorts[index] ?? 1) : options.per;
    const count = Math.min(long, options.packets - done);
    done += count;
    const packets = nfTraffic(mix, {
      seed: options.seed + index,
      count,
      cover,
    });
    const title = `${name}: traffic ${options.seed + index}`;
    run({ name: title, packets });
    if (index === shorts.length && fast[0] !== undefined) {
      const some = packets.slice(0, zeroed);
      const { watched } = fast[0].run(some, new Set(some.keys()));
      const changed = withZeroSums(some, watched, options.seed);
      run({ name: `${title}, checksums that become 0`, packets: changed });
      done += changed.length;
    }
    if (found.texts.length >= shownTexts) break;
  }
  for (const { object, reached } of traced) {
    noteCoverage(found, object, reached);
    tryMutants(found, object, { reached, heads, contents, options, name });
  }
}

function lineOf(
  program: ProgramSpec,
  { contents = {} }: Variant,
  { search, seed }: TrialOptions,
): readonly PacketInput[] {
  const ports = [...interfaces, stranger];
  return coverProgram(program, {
    state: createState(program.maps, {
      cpus: 1,
      contents: withPorts(program, contents),
    }),
    seed,
    budget: search,
    ports,
  }).packets.map((packet) => ({ ...packet, rxQueue: 0, cpu: 0 }));
}

const verdictNames = ["aborted", "drop", "pass", "tx", "redirect"];

function countVerdict(counts: Map<string, number>, verdict: number): void {
  const name = verdictNames[verdict] ?? String(verdict);
  counts.set(name, (counts.get(name) ?? 0) + 1);
}

const ways = [
  [1, "falls"],
  [2, "taken"],
] as const;

function noteCoverage(
  found: Collected,
  { language, program }: ObjectUnderTest,
  reached: Reached,
): void {
  let counts = found.edges.get(language);
  if (counts === undefined) {
    counts = { taken: new Set(), feasible: new Map(), guards: new Map() };
    found.edges.set(language, counts);
  }
  const guards = guardEdges(program);
  const sites = siteNames(program);
  const bits = reached.all();
  const left = new Set<string>();
  for (const fn of program.functions)
    for (const [instruction, { kind }] of fn.instructions.entries()) {
      if (kind !== "branch") continue;
      const at = `${fn.name}+${instruction}`;
      for (const [bit, way] of ways) {
        const edge = `${sites.get(at) ?? at} ${way}`;
        const isGuard = guards.has(`${at} ${way}`);
        const isTaken = ((bits.get(at) ?? 0) & bit) !== 0;
        if (isTaken) counts.taken.add(edge);
        else if (isGuard) left.add(`${at} ${way}`);
        const kept = isGuard ? counts.guards : counts.feasible;
        kept.set(
          edge,
          `${at} ${way} (${printPlace(placeOf(fn, instruction))})`,
        );
      }
    }
  for (const map of reached.written) found.written.add(`${language} ${map}`);
  for (const value of verdictsWithout(program, left))
    found.expected.add(verdictNames[value] ?? String(value));
  if (found.writable.has(`${language} `)) return;
  found.writable.add(`${language} `);
  const states = new Set(stateMaps(program).map((map) => map.name));
  for (const { name, accesses, access } of analyseIr(lift(program)).objects)
    if (
      access !== "read-only" &&
      states.has(name) &&
      accesses.some(({ op }) => writing.includes(op))
    )
      found.writable.add(`${language} ${name}`);
}

const writing: readonly string[] = ["write", "add", "update", "delete"];

function tryMutants(
  found: Collected,
  { language, program }: ObjectUnderTest,
  given: {
    readonly reached: Reached;
    readonly heads: readonly {
      readonly sequence: Sequence;
      readonly want: Ran;
    }[];
    readonly contents: NonNullable<Variant["contents"]>;
    readonly options: TrialOptions;
    readonly name: string;
  },
): void {
  const { reached, heads, contents, options, name } = given;
  const bits = reached.all();
  const mutants = negatedBranches(
    program,
    (at) => bits.get(`${at.function}+${at.instruction}`) === 3,
    options.seed,
    options.mutants,
  );
  for (const mutant of mutants) {
    const machine = portable(
      mutant.name,
      mutant.program,
      contents,
      mutantBudget,
    );
    const isSeen = heads.some(
      ({ sequence, want }) =>
        differences(want, machine.run(sequence.packets)) > 0,
    );
    found.mutants++;
    if (isSeen) found.killed++;
    else found.survivors.push(`${language}: ${name}: ${mutant.name}`);
  }
}

/** Loop entries of one packet: a mutant may loop for ever. */
const mutantBudget = 20_000;

function resultOf(found: Collected): TrialResult {
  const coverage = [...found.edges].map(
    ([language, { taken, feasible, guards }]): Coverage => {
      // A guard that gave way, or is none under another setting, counts.
      const counted = [
        ...feasible,
        ...[...guards].filter(
          ([edge]) => taken.has(edge) && !feasible.has(edge),
        ),
      ];
      const missing = counted.flatMap(([edge, place]) =>
        taken.has(edge) ? [] : [place],
      );
      return {
        language,
        hit: counted.length - missing.length,
        feasible: counted.length,
        guards: [...guards.keys()].filter(
          (edge) => !taken.has(edge) && !feasible.has(edge),
        ).length,
        missing,
      };
    },
  );
  const weaknesses = [
    ...coverage.flatMap(({ language, hit, feasible }) =>
      hit < 0.9 * feasible
        ? [`${language}: ${hit} of ${feasible} branch edges, under 90 %`]
        : [],
    ),
    ...[...found.expected]
      .filter((verdict) => !found.verdicts.has(verdict))
      .map((verdict) => `verdict ${verdict} never given`),
    ...[...found.writable]
      .filter((object) => !object.endsWith(" ") && !found.written.has(object))
      .map((object) => `${object} never written`),
    ...(found.killed < 0.95 * found.mutants
      ? [`${found.killed} of ${found.mutants} mutants seen, under 95 %`]
      : []),
  ];
  return {
    packets: found.packets,
    mismatches: found.mismatches,
    texts: found.texts,
    coverage,
    verdicts: Object.fromEntries(found.verdicts),
    mutants: {
      killed: found.killed,
      total: found.mutants,
      survivors: found.survivors,
    },
    strength: weaknesses.length === 0 ? "strong" : "weak",
    weaknesses,
  };
}
