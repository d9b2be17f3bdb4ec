/**
 * From samples to points: a point for each contestant, engine, number of cores and
 * placement, with the interval of its median, and a model of how they grow.
 *
 * `nsPerPacket` is what a core spends on a packet, averaged over the cores by their
 * share of the traffic. `mpps` is what the whole bears when the traffic is spread as
 * it is: the busiest core sets it. Points of numbers of cores that were not measured
 * come from the model; they are not real, and say so.
 */
import {
  differenceInterval,
  fewestForInterval,
  fitScaling,
  median,
  medianInterval,
  modelledMpps,
  type Interval,
  type Placement,
  type ScalingModel,
} from "../engine/index.ts";
import type { EngineName, Series, SeriesSample } from "./bench-series.ts";

export interface BenchPoint {
  readonly program: string;
  readonly from: string;
  readonly engine: EngineName;
  readonly strategy: string;
  readonly state: "shared" | "private";
  readonly cores: number;
  readonly real: boolean;
  readonly mpps: number;
  readonly nsPerPacket: number;
  /** Of nsPerPacket; empty where too little was measured. */
  readonly ci95: readonly number[];
  readonly includes: Series["includes"];
  readonly placement: Placement | "modelled";
  /** The same without what an empty program costs in the same loop. */
  readonly netNsPerPacket?: number;
  readonly netCi95?: readonly number[];
  /** Of a modelled point: the model's worst miss; null where that is unknown. */
  readonly modelError?: number | null;
  /** Part of the packets by core. */
  readonly load: readonly number[];
  /** Nanoseconds per packet of each sample. */
  readonly samples: readonly number[];
  readonly how?: Series["how"];
  readonly disturbed?: Readonly<Record<string, number>>;
  readonly notes: readonly string[];
}

export interface BenchModel extends ScalingModel {
  readonly program: string;
  readonly from: string;
  readonly engine: EngineName;
  readonly strategy: string;
  readonly includes: BenchPoint["includes"];
  readonly placement: Placement;
  /** Numbers of cores that it was fitted to. */
  readonly cores: readonly number[];
  /** What was measured to grow faster than the cores, which no term can say. */
  readonly superlinear?: { readonly times: number; readonly cores: number };
}

/** Growth beyond the cores that chance does not explain. */
const mostGrowth = 1.05;

/** Placements with fewer samples than these are left out, unless none has more. */
const fewest = 3;

export function pointsOf(series: Series, seed: number): readonly BenchPoint[] {
  const groups = new Map<Placement, SeriesSample[]>();
  for (const sample of series.samples) {
    const group = groups.get(sample.placement);
    if (group === undefined) groups.set(sample.placement, [sample]);
    else group.push(sample);
  }
  const most = Math.max(0, ...[...groups.values()].map(({ length }) => length));
  return [...groups]
    .filter(([, { length }]) => length >= Math.min(fewest, most))
    .map(([placement, samples]) =>
      pointOf(series, placement, { samples, seed }),
    );
}

function pointOf(
  series: Series,
  placement: Placement,
  { samples, seed }: { samples: readonly SeriesSample[]; seed: number },
): BenchPoint {
  const { contestant, shares } = series;
  const busy = shares.filter((share) => share > 0);
  const mean = ({ ns }: SeriesSample): number =>
    ns.reduce((sum, each, core) => sum + each * (busy[core] ?? 0), 0);
  const busiest = ({ ns }: SeriesSample): number =>
    Math.max(...ns.map((each, core) => each * (busy[core] ?? 0)));
  const times = samples.map(mean);
  const alike = series.base.filter((sample) => sample.placement === placement);
  const base = (alike.length > 0 ? alike : series.base).map(mean);
  return {
    program: contestant.program.name,
    from: contestant.from,
    engine: series.engine,
    strategy: contestant.strategy,
    state: series.state,
    cores: series.cores,
    real: true,
    mpps: rounded(1e3 / median(samples.map(busiest))),
    nsPerPacket: rounded(median(times)),
    ci95: isEnough(times) ? both(medianInterval(times, { seed })) : [],
    includes: series.includes,
    placement,
    ...(base.length === 0
      ? {}
      : {
          netNsPerPacket: rounded(median(times) - median(base)),
          netCi95:
            isEnough(times) && isEnough(base)
              ? both(differenceInterval(times, base, { seed }))
              : [],
        }),
    load: shares.map((share) => rounded(share)),
    samples: times.map(rounded),
    how: series.how,
    disturbed: series.disturbed,
    notes: series.notes,
  };
}

function isEnough(values: readonly number[]): boolean {
  return values.length >= fewestForInterval;
}

/** Models of each contestant on each engine, on points of one placement. */
export function modelsOf(points: readonly BenchPoint[]): readonly BenchModel[] {
  const groups = new Map<string, BenchPoint[]>();
  for (const point of points) {
    const key = [point.engine, point.from, point.program].join("\0");
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [point]);
    else group.push(point);
  }
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const placement = usualPlacement(group);
    const used = group.filter(
      (point) => point.cores === 1 || point.placement === placement,
    );
    const fit = fitScaling(used);
    const { program, from, engine, strategy, includes } = first;
    const cores = [...new Set(used.map((point) => point.cores))];
    // prettier-ignore
    return [{ program, from, engine, strategy, includes, placement, cores, ...fit, ...superlinearOf(used) }];
  });
}

function superlinearOf(
  points: readonly BenchPoint[],
): Pick<BenchModel, "superlinear"> {
  const one = points.find(({ cores }) => cores === 1)?.mpps;
  if (one === undefined) return {};
  const grown = points
    .map(({ cores, mpps }) => ({ cores, times: rounded(mpps / one) }))
    .filter(({ cores, times }) => times > mostGrowth * cores)
    .sort((a, b) => b.times / b.cores - a.times / a.cores);
  return grown[0] === undefined ? {} : { superlinear: grown[0] };
}

/** The same on every line that draws on the model. */
export function superlinearText({
  superlinear,
}: BenchModel): string | undefined {
  return superlinear === undefined
    ? undefined
    : `superlinear input: ${superlinear.times.toFixed(2)} times from 1 to ${superlinear.cores} cores, which no model explains; do not trust what it draws`;
}

/** Where most samples of several cores were taken. */
function usualPlacement(points: readonly BenchPoint[]): Placement {
  const counts = new Map<Placement, number>([["single", 0]]);
  for (const { cores, placement, samples } of points)
    if (cores > 1 && placement !== "modelled")
      counts.set(placement, (counts.get(placement) ?? 0) + samples.length);
  return [...counts].reduce((best, next) =>
    next[1] > best[1] ? next : best,
  )[0];
}

/** What the model says of a number of cores that was not measured. */
export function modelledPoint(
  model: BenchModel,
  cores: number,
  state: BenchPoint["state"],
): BenchPoint {
  const superlinear = superlinearText(model);
  const mpps = modelledMpps(model, cores);
  const { program, from, engine, strategy, includes } = model;
  return {
    program,
    from,
    engine,
    strategy,
    state,
    cores,
    real: false,
    mpps: rounded(mpps),
    nsPerPacket: rounded((1e3 * cores) / mpps),
    ci95: [],
    includes,
    placement: "modelled",
    load: [],
    samples: [],
    modelError: model.freedom === 0 ? null : rounded(model.error),
    notes: [
      `modelled from ${model.cores.join(", ")} cores, not measured`,
      ...(superlinear === undefined ? [] : [superlinear]),
    ],
  };
}

function both([low, high]: Interval): readonly [number, number] {
  return [rounded(low), rounded(high)];
}

/** Four significant places are more than any machine repeats. */
function rounded(value: number): number {
  return Number(value.toPrecision(4));
}
