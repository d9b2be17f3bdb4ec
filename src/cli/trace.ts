/** `divisi trace stats|gen|cat`. */
import {
  createWriteStream,
  existsSync,
  openSync,
  statSync,
  type WriteStream,
} from "node:fs";
import { once } from "node:events";
import { finished } from "node:stream/promises";
import {
  NicModel,
  candidates,
  fieldsOf,
  indirectionTable,
  nicProfiles,
} from "../rss/index.ts";
import {
  Bug,
  InputError,
  UnsupportedError,
  fromHex,
  toHex,
} from "../base/index.ts";
import {
  FlowCounter,
  mergeByPort,
  writePcap,
  writePcapng,
  type Trace,
  type TraceStatistics,
} from "../traffic/index.ts";
import type { Words } from "./command.ts";
import { fileError, staged } from "./files.ts";
import { Progress, writeData, type Answer, type Rendering } from "./render.ts";
import { readCaptureFile, trafficFrom } from "./traffic-input.ts";
import { countOf, usage, valueOf } from "./words.ts";

export async function traceStats(
  words: Words,
  rendering: Rendering,
): Promise<Answer> {
  const [word = ""] = words.args;
  const input = trafficFrom([word], words, []);
  refuseCoverage(input.coverageOnly);
  const counter = new FlowCounter();
  const key = valueOf(words, "key");
  const queues = countOf(words, "cores", [1, 1024]) ?? 16;
  const steer = key === undefined ? undefined : genericNic(key, queues);
  const load = Array<number>(queues).fill(0);
  const progress = new Progress("packets", rendering);
  for await (const packet of input.read()) {
    counter.add(packet);
    if (steer !== undefined) {
      const { queue } = steer.queueOf(packet.data);
      load[queue] = (load[queue] ?? 0) + 1;
    }
  }
  progress.finish();
  const statistics = counter.finish();
  const total = load.reduce((sum, count) => sum + count, 0);
  const imbalance = total === 0 ? 1 : (Math.max(...load) * queues) / total;
  return {
    exit: 0,
    json: {
      schema: "divisi.trace/1",
      trace: word,
      ...statistics,
      ...(steer === undefined ? {} : { queues: { packets: load, imbalance } }),
    },
    text: statisticsText(word, statistics, steer && { load, imbalance }),
  };
}

/** The generic profile with its default fields and an even table. */
function genericNic(key: string, queues: number): NicModel {
  const { generic } = nicProfiles;
  const inputs = generic && candidates(generic)[0];
  if (generic === undefined || inputs === undefined)
    throw new Bug("no generic NIC profile");
  const every = Array.from({ length: generic.tableEntries }, () => true);
  return new NicModel({
    key: toHex(fromHex(key)),
    fields: fieldsOf(inputs),
    table: indirectionTable(every, queues).entries,
  });
}

function statisticsText(
  name: string,
  statistics: TraceStatistics,
  queues: { load: readonly number[]; imbalance: number } | undefined,
): string {
  const { shares, size, zipf } = statistics;
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  const count = (value: number): string =>
    Math.round(value).toLocaleString("en");
  const rows: (readonly [string, string])[] = [
    [
      "packets",
      `${count(statistics.packets)} in ${count(statistics.flows)} ${statistics.flows === 1 ? "flow" : "flows"}`,
    ],
    [
      "bytes",
      `${count(statistics.bytes)} (${size.least === size.most ? `frames of ${size.least}` : `frames of ${size.least} to ${size.most}, mean ${size.mean.toFixed(0)}`})`,
    ],
    [
      "time",
      `${(Number(statistics.nanoseconds) / 1e9).toFixed(3)} s, ${statistics.packetsPerSecond === undefined ? "–" : count(statistics.packetsPerSecond)} packets/s`,
    ],
    [
      "share",
      `largest flow ${percent(shares.top1)}, 10: ${percent(shares.top10)}, 100: ${percent(shares.top100)}`,
    ],
    ...(zipf === undefined
      ? []
      : [
          [
            "skew",
            `Zipf s = ${zipf.skew.toFixed(2)} (largest gap ${percent(zipf.distance)})`,
          ] as const,
        ]),
    [
      "protocols",
      Object.entries(statistics.protocols)
        .slice(0, 6)
        .map(([protocol, packets]) => `${protocol} ${count(packets)}`)
        .join(", "),
    ],
    ["ports", statistics.ports.map(count).join(", ")],
    ...(queues === undefined
      ? []
      : [
          [
            "queues",
            `${queues.load.map(count).join(" ")}; max/mean ${queues.imbalance.toFixed(2)}`,
          ] as const,
        ]),
  ];
  return [
    name,
    ...rows.map(([label, text]) => `  ${label.padEnd(10)} ${text}`),
  ].join("\n");
}

export async function traceGen(
  words: Words,
  rendering: Rendering,
): Promise<Answer> {
  const [word = ""] = words.args;
  if (!word.startsWith("gen:"))
    throw usage(
      `a generator is expected, like gen:zipf; not ${word}`,
      "trace cat converts captures",
    );
  const input = trafficFrom([word], words, []);
  refuseCoverage(input.coverageOnly);
  return write(input.read(), [word], words, rendering);
}

export async function traceCat(
  words: Words,
  rendering: Rendering,
): Promise<Answer> {
  const traces = words.args.map((word) =>
    word.startsWith("gen:")
      ? trafficFrom([word], words, []).read()
      : readCaptureFile(word),
  );
  const output = valueOf(words, "output");
  for (const word of words.args)
    if (output !== undefined && existsSync(word) && sameFile(word, output))
      throw usage(`${output} is one of the inputs`);
  const [only] = traces;
  const merged =
    traces.length === 1 && only !== undefined ? only : mergeByPort(traces);
  return write(merged, words.args, words, rendering);
}

function sameFile(left: string, right: string): boolean {
  if (!existsSync(right)) return false;
  const [one, other] = [statSync(left), statSync(right)];
  return one.ino === other.ino && one.dev === other.dev;
}

/** Writes to a sibling and renames: a failure leaves what was there. */
async function write(
  trace: Trace,
  from: readonly string[],
  words: Words,
  rendering: Rendering,
): Promise<Answer> {
  const output = valueOf(words, "output");
  if (output === undefined)
    throw usage("-o FILE is missing", "`-o -` writes to standard output");
  let packets = 0;
  let bytes = 0;
  const counted = (async function* () {
    for await (const packet of trace) {
      packets++;
      bytes += packet.wireLength;
      yield packet;
    }
  })();
  const chunks = output.endsWith(".pcapng")
    ? writePcapng(counted, { application: "divisi" })
    : writePcap(counted);
  if (output === "-") {
    if (rendering.json)
      throw usage("--json and `-o -` both want standard output");
    for await (const chunk of chunks) await writeData(chunk);
    return { exit: 0, json: undefined, text: "" };
  }
  const place = staged(output);
  let stream: WriteStream | undefined;
  try {
    // A place of ours is opened here and now, so that it can be removed for sure.
    stream = createWriteStream(
      output,
      place && { fd: openSync(place.temporary, "w") },
    );
    const done = finished(stream);
    // A failure to open is seen by the await below.
    done.catch(() => undefined);
    for await (const chunk of chunks)
      if (!stream.write(chunk))
        await Promise.race([once(stream, "drain"), done]);
    stream.end();
    await done;
    place?.keep();
  } catch (error) {
    stream?.destroy();
    place?.discard();
    if (error instanceof InputError || !isSystemError(error)) throw error;
    throw fileError(error, output);
  }
  return {
    exit: 0,
    json: {
      schema: "divisi.trace/1",
      from,
      file: output,
      packets,
      bytes,
    },
    text: `${output}: ${packets.toLocaleString("en")} packets, ${bytes.toLocaleString("en")} bytes`,
  };
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && "syscall" in error;
}

function refuseCoverage(coverageOnly: boolean): void {
  if (coverageOnly)
    throw new UnsupportedError(
      "gen:coverage draws on a program: it works with split, check and run",
      { feature: "coverage traffic without a program" },
    );
}
