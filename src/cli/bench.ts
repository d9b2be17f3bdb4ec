/**
 * `divisi bench`: nanoseconds per packet and throughput over cores, on one engine or
 * on both, with intervals, what the figures include, and where the CPUs were.
 */
import { readFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg, release } from "node:os";
import process from "node:process";
import { UnsupportedError } from "../base/index.ts";
import { fewestForInterval } from "../engine/index.ts";
import {
  contestantOf,
  tablePackets,
  type Contestant,
} from "./bench-contestant.ts";
import { forwardingSeries } from "./bench-forwarding.ts";
import {
  modelledPoint,
  modelsOf,
  pointsOf,
  superlinearText,
  type BenchModel,
  type BenchPoint,
} from "./bench-points.ts";
import {
  dispatchSeries,
  kernelSeries,
  portableSeries,
  type EngineName,
  type StateChoice,
} from "./bench-series.ts";
import { isBusy } from "./bench-busy.ts";
import type { Words } from "./command.ts";
import { writeWhole } from "./files.ts";
import { Progress, say, type Answer, type Rendering } from "./render.ts";
import { choiceOf, isSet, seedOf, usage, valueOf, valuesOf } from "./words.ts";
import { wrapped } from "./wrap.ts";

const engines: readonly EngineName[] = ["wasm", "kernel"];
const leftOut = {
  program:
    "the program alone: no NIC, driver, DMA, NAPI, RSS, dispatch, nor cache misses of packets",
  dispatch:
    "whole runs of the portable engine by the wall clock, feeding and verdicts included: no NIC, driver, kernel",
  veth: "the most that is forwarded without loss, live frames over veth: generator, veth, NAPI, program; no NIC",
};

type Path = keyof typeof leftOut;

/** What measures a path on an engine. */
const measures: Readonly<
  Record<Path, Partial<Record<EngineName, typeof kernelSeries>>>
> = {
  program: { wasm: portableSeries, kernel: kernelSeries },
  dispatch: { wasm: dispatchSeries },
  veth: { kernel: forwardingSeries },
};

export async function bench(
  words: Words,
  rendering: Rendering,
): Promise<Answer> {
  const cores = coresOf(words);
  const chosen = enginesOf(words);
  const path = pathOf(words, chosen);
  const seconds = secondsOf(words);
  const seed = seedOf(words);
  const present = availableParallelism();
  const real = cores.filter((count) => count <= present);
  const beyond = cores.filter((count) => count > present);
  if (beyond.length > 0 && !isSet(words, "fit"))
    throw new UnsupportedError(
      `${beyond.join(", ")} cores cannot be measured on ${present} CPUs: they would take turns`,
      {
        feature: `${Math.max(...beyond)} CPUs`,
        fix: "--fit draws them from a model, and labels them so",
      },
    );
  if (real.length === 0)
    throw usage(
      "--fit needs a number of cores that this machine has",
      `--cores 1,${cores.join(",")}`,
    );
  const packets = tablePackets * Math.max(...real);
  const contestants: Contestant[] = [];
  for (const path of words.args)
    contestants.push(await contestantOf(path, words, packets));
  for (const { from, mostCores } of contestants)
    if (Math.max(...real) > mostCores)
      throw usage(
        `${from} is divided over ${mostCores} cores, not ${Math.max(...real)}`,
        `--cores ${mostCores} at most, or split it anew with --cores`,
      );
  const machine = describeMachine();
  if (isBusy(machine) && !rendering.quiet)
    say(
      wrapped(
        `warning: the machine is busy (load ${machine.loadAverage} on ${machine.cpus} CPUs): figures may not repeat`,
        2,
      ).join("\n"),
    );
  const points: BenchPoint[] = [];
  for (const engine of chosen) {
    const progress = new Progress(`measuring (${engine})`, rendering);
    const measure = measures[path][engine];
    if (measure === undefined) continue;
    const series = await measure(contestants, {
      cores: real,
      state: stateOf(words, engine),
      seconds,
      seed,
      words,
      onRound: (done, total) => progress.update(done, total),
    });
    progress.finish();
    points.push(...series.flatMap((each) => pointsOf(each, seed)));
  }
  const models = isSet(words, "fit") ? modelsOf(points) : [];
  const modelled = models.flatMap((model) =>
    beyond.map((count) =>
      modelledPoint(model, count, stateOf(words, model.engine)),
    ),
  );
  const result = {
    schema: "divisi.bench/1",
    machine,
    trace: contestants[0]?.trace ?? [],
    packets: contestants[0]?.packets.length ?? 0,
    seed,
    seconds,
    includes: leftOut[path],
    points: [...points, ...modelled],
    model: models.length === 0 ? {} : { fits: models },
  };
  const out = valueOf(words, "out");
  if (out !== undefined)
    writeWhole(out, `${JSON.stringify(result, undefined, 1)}\n`);
  return {
    exit: 0,
    json: result,
    text: text(result.points, models, leftOut[path]),
  };
}

function coresOf(words: Words): readonly number[] {
  const text = valueOf(words, "cores") ?? "1";
  const counts = text.split(",").map((word) => {
    if (!/^[1-9]\d{0,2}$/.test(word) || Number(word) > 256)
      throw usage(
        `--cores takes numbers of cores from 1 to 256, e.g. 1,2,4; not ${text}`,
      );
    return Number(word);
  });
  return [...new Set(counts)].sort((a, b) => a - b);
}

function enginesOf(words: Words): readonly EngineName[] {
  choiceOf(words, "engine", engines);
  const given = valuesOf(words, "engine");
  const chosen = engines.filter((engine) => given.includes(engine));
  return chosen.length === 0 ? ["wasm"] : chosen;
}

function pathOf(words: Words, chosen: readonly EngineName[]): Path {
  const path =
    choiceOf(words, "path", ["program", "dispatch", "veth"] as const) ??
    "program";
  const missing = chosen.find((engine) => measures[path][engine] === undefined);
  if (missing !== undefined)
    throw usage(
      `--path ${path} is not there on --engine ${missing}`,
      `--engine ${Object.keys(measures[path]).join(" or ")}`,
    );
  return path;
}

/** The portable engine's cores have private state unless told, the kernel's share. */
function stateOf(words: Words, engine: EngineName): StateChoice {
  const state = choiceOf(words, "state", ["shared", "private"] as const);
  return state ?? (engine === "kernel" ? "shared" : "private");
}

function secondsOf(words: Words): number {
  const word = valueOf(words, "seconds") ?? "5";
  const seconds = Number(word);
  if (!/^\d+(\.\d+)?$/.test(word) || seconds <= 0 || seconds > 3600)
    throw usage(`--seconds takes a number up to 3600; not ${word}`);
  return seconds;
}

/** What a figure depends on. */
function describeMachine() {
  const governor = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cpus: cpus().length,
    virtual: /^flags\s*:.*\bhypervisor\b/m.test(textOf("/proc/cpuinfo")),
    kernel: release(),
    node: process.version,
    governor: textOf(governor).trim() || "none",
    loadAverage: Math.round(100 * (loadavg()[0] ?? 0)) / 100,
  };
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

function text(
  points: readonly BenchPoint[],
  models: readonly BenchModel[],
  includes: string,
): string {
  const froms = [...new Set(points.map(({ from }) => from))];
  // The model's own line has said it.
  const said = new Set(models.map(superlinearText));
  const notes = new Set(
    points.flatMap((point) => point.notes).filter((note) => !said.has(note)),
  );
  return [
    ...froms.flatMap((from) => table(points.filter((p) => p.from === from))),
    ...models.flatMap((model) => wrapped(`model: ${modelText(model)}`, 2)),
    ...wrapped(`figures are of ${includes}`, 2),
    ...explained(points).flatMap((words) => wrapped(words, 2)),
    ...[...notes].flatMap((note) => wrapped(`note: ${note}`, 2)),
  ].join("\n");
}

function table(points: readonly BenchPoint[]): readonly string[] {
  const [first] = points;
  if (first === undefined) return [];
  const head = row(
    "engine",
    "cores",
    "state",
    "placement",
    "ns/packet",
    "95 %",
    "net",
    "Mpps",
    "load",
  );
  return [
    ...wrapped(`${first.program} (${first.from}): ${first.strategy}`, 2),
    head,
    ...points.map((point) =>
      row(
        point.engine,
        String(point.cores),
        point.state,
        point.placement,
        nanoseconds(point.nsPerPacket),
        sureness(point),
        point.netNsPerPacket?.toFixed(1) ?? "–",
        point.mpps.toFixed(1),
        point.load.length === 0
          ? "–"
          : `${Math.round(100 * Math.max(...point.load))} %`,
      ),
    ),
  ];
}

/** The interval, or how far off the model is. */
function sureness({ ci95, modelError }: BenchPoint): string {
  if (modelError === null) return "± unknown";
  if (modelError !== undefined) return `± ${percent(modelError)}`;
  return ci95.length === 2 ? ci95.map(nanoseconds).join("–") : "–";
}

function percent(value: number): string {
  return `${Number((100 * value).toPrecision(2))} %`;
}

/** What the columns mean; only of columns and words that are there. */
function explained(points: readonly BenchPoint[]): readonly string[] {
  const real = points.filter((point) => point.real);
  const isPlaced = real.some(({ placement }) => /near|far/.test(placement));
  return [
    `net: less an empty program's in the same loop; load: the largest part of the packets on one core; Mpps: 1000 / (part × ns/packet) of the core for which that product is largest`,
    ...(isPlaced
      ? [
          "near, far: whether the CPUs were close (a cache line goes to and fro quickly) or not",
        ]
      : []),
    ...(real.some(({ ci95 }) => ci95.length === 0)
      ? [
          `–: under ${fewestForInterval} samples there is no interval; a longer --seconds gives more`,
        ]
      : []),
  ];
}

function nanoseconds(value: number): string {
  return value.toFixed(value < 1000 ? 1 : 0);
}

// Columns: width, and which side the words stand on.
// prettier-ignore
const columns = [[-7, 0], [5, 0], [-8, 2], [-9, 1], [10, 0], [13, 0], [7, 0], [7, 0], [6, 0]] as const;

function row(...cells: readonly string[]): string {
  return `  ${columns
    .map(([width, gap], index) => {
      const cell = cells[index] ?? "";
      const shown = width < 0 ? cell.padEnd(-width) : cell.padStart(width);
      return " ".repeat(gap) + shown;
    })
    .join("")
    .trimEnd()}`;
}

function modelText(model: BenchModel): string {
  const part = (value: number): string => `${(100 * value).toPrecision(3)} %`;
  const terms = {
    linear: "a straight line (one number of cores was measured)",
    amdahl: `Amdahl, contention ${part(model.contention)}`,
    usl: `USL, contention ${part(model.contention)}, coherence ${part(model.coherence)}`,
  };
  const error =
    model.freedom === 0
      ? "as many terms as points, so its error is unknown"
      : `off by at most ${part(model.error)} on ${model.cores.length} numbers of cores`;
  const grown = superlinearText(model);
  return `${model.program} ${model.strategy} on ${model.engine}: ${terms[model.kind]}; ${error}${grown === undefined ? "" : `; ${grown}`}`;
}
