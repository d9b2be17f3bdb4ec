/** `divisi compare`: did anything become slower between two results of `bench`? */
import { InputError } from "../base/index.ts";
import { fewestForInterval } from "../engine/index.ts";
import { parseResult } from "./bench-file.ts";
import type { Words } from "./command.ts";
import {
  compareResults,
  pointText,
  type Comparison,
  type Pair,
} from "./compare-points.ts";
import { readInput } from "./files.ts";
import type { Answer } from "./render.ts";
import { choiceOf, seedOf, usage, valueOf } from "./words.ts";
import { wrapped } from "./wrap.ts";

export function compare(words: Words): Promise<Answer> {
  const [first = "", second = ""] = words.args;
  const threshold = thresholdOf(words);
  const seed = seedOf(words);
  const read = (path: string) =>
    parseResult(new TextDecoder().decode(readInput(path)), path);
  const comparison = compareResults(read(first), read(second), {
    threshold,
    seed,
    anyPlacement:
      choiceOf(words, "placement", ["same", "any"] as const) === "any",
  });
  const { pairs, unpaired, warnings } = comparison;
  if (pairs.length === 0) throw nothing(comparison, first, second);
  const worse = pairs.filter(({ verdict }) => verdict === "worse");
  return Promise.resolve({
    exit: worse.length > 0 ? 1 : 0,
    json: {
      schema: "divisi.compare/1",
      before: first,
      after: second,
      threshold,
      seed,
      worse: worse.length,
      points: pairs.map(({ point, ...rest }) => {
        const { samples: _samples, nsPerPacket: _ns, ...names } = point;
        return { ...names, ...rest };
      }),
      unpaired,
      warnings,
    },
    text: text(comparison, threshold, worse.length),
  });
}

function nothing(
  { unpaired }: Comparison,
  first: string,
  second: string,
): InputError {
  // The file to measure again is the one with too few samples.
  const left =
    unpaired.find(({ fewSamples }) => fewSamples !== undefined) ?? unpaired[0];
  return new InputError(
    left === undefined
      ? `nothing was measured in it, nor in ${first}`
      : `nothing can be compared: ${left.point}: ${left.why}`,
    {
      code: "compare-nothing",
      file: left?.file ?? second,
      ...(left?.fix === undefined ? {} : { fix: left.fix }),
    },
  );
}

/** `5%` or `0.05`. */
function thresholdOf(words: Words): number {
  const word = valueOf(words, "threshold") ?? "5%";
  const match = /^(\d+(?:\.\d+)?)(%?)$/.exec(word);
  const value = Number(match?.[1]) / (match?.[2] === "%" ? 100 : 1);
  if (match === null || !(value >= 0 && value <= 10))
    throw usage(`--threshold takes a part, e.g. 5% or 0.05; not ${word}`);
  return value;
}

function text(
  { pairs, unpaired, warnings }: Comparison,
  threshold: number,
  worse: number,
): string {
  const unclear = pairs.filter(({ verdict }) => verdict === "unclear").length;
  const fewer = pairs.some(({ ci95 }) => ci95.length === 0);
  const limit = `${Number((100 * threshold).toPrecision(6))} %`;
  return [
    ...warnings.flatMap((warning) => wrapped(`warning: ${warning}`, 2)),
    ...pairs.flatMap((pair) => [
      ...wrapped(pointText(pair.point, pair.placements?.join(" against ")), 2),
      line(pair),
    ]),
    ...unpaired.flatMap(({ file, point, why }) =>
      wrapped(`not compared: ${point} (${file}): ${why}`, 2),
    ),
    ...[...new Set(unpaired.flatMap(({ fix }) => fix ?? []))].flatMap((fix) =>
      wrapped(`fix: ${fix}`, 2),
    ),
    ...(fewer
      ? wrapped(
          `no interval under ${fewestForInterval} samples: bench --seconds longer gives more`,
          2,
        )
      : []),
    `${
      worse === 0
        ? `nothing is slower by more than ${limit} for sure`
        : `${worse} of ${pairs.length} slower by more than ${limit}`
    }${unclear === 0 ? "" : `; ${unclear} unclear`}`,
  ].join("\n");
}

function line({ before, after, change, ci95, verdict }: Pair): string {
  const ns = (value: number): string => value.toFixed(1).padStart(9);
  const percent = (value: number): string =>
    `${value > 0 ? "+" : ""}${(100 * value).toFixed(1)}`;
  const interval =
    ci95.length === 0 ? "–" : `[${ci95.map(percent).join(" .. ")}]`;
  return `  ${ns(before)} ->${ns(after)} ns  ${`${percent(change)} %`.padStart(9)}  ${interval.padEnd(20)}  ${verdict}`;
}
