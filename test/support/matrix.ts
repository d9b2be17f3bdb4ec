/**
 * The matrix: a network function, a strategy, a number of cores. Each is planned and
 * generated as `split` does it, and checked over coverage and five kinds of traffic on
 * virtual cores: one thread, packets in an order that a seed gives.
 *
 * - in the order of arrival: the differential run of trial.ts, in two passes where the
 *   grade is partitioned;
 * - what is guarded: steps of cores interleaved by seed; the order of commits, replayed
 *   by the sequential program, must be equal.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Random } from "#base";
import type { GuardOptions } from "#codegen";
import type { PacketInput } from "#interp";
import { widened, type Tested } from "#proof";
import { nicProfile } from "#rss";
import type { ObjectPart, Plan, StrategyName } from "#strategy";
import {
  analyseLoaded,
  check,
  coveringPackets,
  generate,
  load,
  type Analysed,
  type Artifact,
} from "divisi";
import { apart, interleave } from "./guarded.ts";
import { root } from "./cli.ts";
import {
  matrixTraffic,
  trafficKinds,
  type MatrixEpisode,
  type TrafficKind,
} from "./matrix-traffic.ts";
import { compiled } from "./nf-compile.ts";
import { withPorts } from "./nf-machines.ts";
import { caseOf, mixOf, type Variant } from "./nf-mixes.ts";

export type Language = "C" | "TypeScript";

/** A network function under a setting, analysed. */
export interface MatrixSubject {
  readonly name: string;
  readonly language: Language;
  readonly setting: "small" | "roomy";
  readonly variant: Variant;
  readonly analysed: Analysed;
  readonly cover: ReturnType<typeof coveringPackets>;
  readonly episodes: readonly MatrixEpisode[];
}

export interface MatrixOptions {
  readonly seed: number;
  /** Of each kind of traffic. */
  readonly packets: number;
  /** Runs that the search for covering packets may spend; 0: no search. */
  readonly search: number;
  readonly kinds?: readonly TrafficKind[];
  /** Of a TypeScript source's text, for mutants. */
  readonly change?: (text: string) => string;
}

const ports = [
  { name: "lan", ifindex: 1 },
  { name: "wan", ifindex: 2 },
];

/**
 * Tables with room for every index of their chain: where cores share a hash map that is
 * smaller, one core's entries take what another's would have had.
 */
function whole(variant: Variant): Variant {
  const { sizes = {} } = variant;
  const entries = (name: string, size: number): number =>
    Math.max(size, (sizes[`${name}_chain`] ?? 0) - 1);
  return {
    ...variant,
    sizes: Object.fromEntries(
      Object.entries(sizes).map(([name, size]) => [name, entries(name, size)]),
    ),
  };
}

/** Packets of traffic that the search for covering ones begins with. */
const seedPackets = 32;

/** Tables this many times as large, so that no share fills. */
const room = 256;

/** The same setting with room for everybody. */
export function roomy(variant: Variant): Variant {
  const { set = {}, sizes = {} } = variant;
  const isPort = (name: string): boolean => /^(tuples|slots)$/.test(name);
  return {
    ...variant,
    name: `${variant.name}, roomy`,
    set: Object.fromEntries(
      Object.entries(set).map(([name, value]) => [
        name,
        name.endsWith("capacity") && name !== "backend_capacity"
          ? String(Number(value) * room)
          : value,
      ]),
    ),
    sizes: Object.fromEntries(
      Object.entries(sizes).map(([name, entries]) => [
        name,
        isPort(name) || name.startsWith("backends")
          ? entries
          : name.endsWith("_chain")
            ? (entries - 1) * room + 1
            : entries * room,
      ]),
    ),
  };
}

export async function subjectOf(
  name: string,
  language: Language,
  setting: MatrixSubject["setting"],
  options: MatrixOptions,
): Promise<MatrixSubject> {
  const known = caseOf(name);
  const [first = { name: "default" }] = known.variants;
  const variant = setting === "small" ? whole(first) : roomy(whole(first));
  const { set = {}, sizes = {} } = variant;
  const path = `nfs/${language === "C" ? "c" : "ts"}/${name}.${language === "C" ? "o" : "ts"}`;
  const bytes =
    language === "C"
      ? readFileSync(join(root, path))
      : await compiled(name, set, options.change);
  const loadOptions = {
    file: path,
    set: language === "C" ? Object.entries(set) : [],
    ports: [],
    userWrites: [],
    kernelBtf: () => undefined,
    mapSizes: [],
  };
  const declared = load(bytes, loadOptions);
  const names = new Set(declared.object.maps.map((map) => map.name));
  const loaded = load(bytes, {
    ...loadOptions,
    mapSizes: Object.entries(sizes)
      .filter(([map]) => names.has(map))
      .map(([map, entries]) => [map, entries] as const),
  });
  const hasPorts = names.has("ports");
  const analysed = analyseLoaded(loaded, {
    ...loadOptions,
    ports: hasPorts ? ports : [],
  });
  const contents = withPorts(loaded.program, variant.contents ?? {});
  const cover =
    options.search === 0
      ? { packets: [], contents }
      : coveringPackets({
          program: loaded.program,
          report: analysed.report,
          ports: hasPorts ? ports : [{ name: "any", ifindex: 1 }],
          cpus: 1,
          seeds: matrixTraffic(mixOf(known, variant), "bidirectional", {
            seed: options.seed,
            count: seedPackets,
          }).packets,
          seed: options.seed,
          contents,
          budget: options.search,
        });
  const { kinds = trafficKinds } = options;
  const episodes = kinds.map((kind, at) =>
    matrixTraffic(mixOf(known, variant), kind, {
      seed: options.seed + at,
      count: options.packets,
      cover: cover.packets,
    }),
  );
  return { name, language, setting, variant, analysed, cover, episodes };
}

export interface Cell {
  readonly subject: string;
  readonly strategy: string;
  readonly cores: number;
  readonly grade: string;
  readonly packets: number;
  readonly mismatches: number;
  readonly first: readonly string[];
  readonly deviations: number;
  readonly strength: "strong" | "weak" | "not asked";
  readonly weaknesses: readonly string[];
  readonly tested?: Tested;
}

/** What the plan comes to: cores that share nothing need no guard. */
export function artifactOf(
  { analysed }: MatrixSubject,
  cores: number,
  force?: StrategyName | Readonly<Record<string, StrategyName>>,
): Artifact {
  const profile = nicProfile("generic");
  return generate(analysed, profile, {
    cores,
    profile,
    ports: analysed.ports,
    samples: 10,
    guards: ["lock", "transaction"],
    ...(force === undefined ? {} : { force }),
  });
}

const nameOf = ({ name, language, setting }: MatrixSubject): string =>
  `${name} in ${language}, ${setting}`;

/** A plan over all episodes, packets in the order of their arrival. */
export function planCell(
  subject: MatrixSubject,
  artifact: Artifact,
  options: {
    readonly seed: number;
    readonly mutants: number;
    readonly strategy: string;
    readonly cores: number;
  },
): Cell {
  const { analysed, cover, episodes } = subject;
  const { plan, emitted, setup } = artifact;
  const tested = check({
    sequential: analysed.program,
    emitted,
    report: analysed.report,
    strategies: new Map(
      plan.objects.map((part) => [part.object, part.strategy]),
    ),
    parts: plan.objects,
    ports: analysed.ports,
    cores: plan.cores,
    setup,
    demand: {
      requirement: plan.requirement,
      mode: plan.rss?.mode ?? "index",
      constrained:
        options.mutants === 0
          ? []
          : (plan.rss?.ports.map(({ constrained }) => constrained) ?? []),
    },
    trace: [],
    // Full tables of the layouts as emitted: only where strength is judged.
    full: options.mutants > 0,
    cover,
    more: episodes,
    mutants: options.mutants,
    seed: options.seed,
  });
  return {
    subject: nameOf(subject),
    strategy: options.strategy,
    cores: options.cores,
    grade: plan.grade,
    packets: tested.packets,
    mismatches: tested.mismatches,
    first: tested.first.map(({ text }) => text),
    deviations: tested.capacityDeviation,
    strength: options.mutants === 0 ? "not asked" : tested.strength,
    weaknesses: tested.weaknesses,
    tested,
  };
}

/**
 * What a plan guards, on virtual cores whose steps a seed interleaves: packets where the
 * emitted settings send them, and, where all state is guarded, anywhere.
 */
export function guardedPart(
  subject: MatrixSubject,
  { emitted }: Artifact,
  run: {
    readonly seed: number;
    readonly cores: number;
    readonly guard: GuardOptions;
    readonly coreOf: (packets: readonly PacketInput[]) => Uint8Array;
  },
): Pick<Cell, "mismatches" | "packets" | "first"> {
  const { seed, cores, guard, coreOf } = run;
  const contents = widened(subject.cover.contents, emitted, cores);
  const first: string[] = [];
  let [mismatches, packets] = [0, 0];
  for (const { name, packets: inputs } of episodesOf(subject)) {
    const random = new Random(seed);
    packets += inputs.length;
    const { differences } = interleave(
      {
        program: emitted,
        packets: inputs,
        steer: coreOf(inputs),
        cores,
        guard,
        contents,
      },
      (ready) => random.below(ready.length),
    );
    mismatches += differences.length;
    first.push(...differences.map((text) => `${name}: ${text}`));
  }
  return { mismatches, packets, first: first.slice(0, 5) };
}

/** Covering packets and all traffic; times differ, so that what is refreshed has an order. */
export function episodesOf({ cover, episodes }: MatrixSubject): readonly {
  readonly name: string;
  readonly packets: readonly PacketInput[];
}[] {
  return [{ name: "coverage", packets: cover.packets }, ...episodes]
    .filter(({ packets }) => packets.length > 0)
    .map(({ name, packets }) => ({ name, packets: apart(packets) }));
}

/** `shard R1 wan:ipv4.dst`: ports and their fields sorted. */
export function partText({
  strategy,
  rule,
  fields = [],
}: Pick<ObjectPart, "strategy" | "rule" | "fields">): string {
  const told = fields
    .filter((each) => each.fields.length > 0)
    .map((each) => `${each.port}:${each.fields.toSorted().join()}`)
    .toSorted();
  return [strategy, rule, ...told]
    .filter((word) => word !== undefined)
    .join(" ");
}

export function planTexts(plan: Plan): Readonly<Record<string, string>> {
  return Object.fromEntries(
    plan.objects.map((part) => [part.object, partText(part)]),
  );
}
