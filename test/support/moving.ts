/**
 * A hot spot that moves, in the kernel: numbered frames in a stream through the
 * dispatcher of testdata/dispatch/sequence.c, real workers on two CPUs, and a controller that
 * rewrites the table. The program counts what comes out of order within its key; its
 * state at the end is compared with what the sequential program has.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  analyseLoaded,
  Dispatching,
  dispatchContents,
  dispatcherOf,
  evenTable,
  generate,
  load,
  ownerContents,
  queueSize,
} from "divisi";
import { Random } from "#base";
import { dispatchCpus } from "#codegen";
import { LiveTable, type LiveTurn, type LiveWaits } from "#control";
import { loadPortable, streamThroughCpumap, type Kernel } from "#engine";
import { readObject } from "#object";
import { buildFrame } from "#packet";
import { nicProfile } from "#rss";
import { root } from "./cli.ts";
import type { Programs } from "./cpumap.ts";

export interface MovingTrial {
  readonly packets: number;
  /** Keys; default 2000. */
  readonly keys?: number;
  /** Parts of the trace with a hot spot each; default 8. */
  readonly epochs?: number;
  /** Packets from turn to turn of the controller; default 10,000. */
  readonly interval?: number;
  /** CPUs that send, each its own keys; default 1. */
  readonly senders?: number;
  readonly seed?: number;
  readonly spoil?: (programs: Programs) => Programs;
  /**
   * Who writes the table: a controller (default), nobody, or a hand that sends the first
   * key to the other CPU as often as it has settled, or without asking.
   */
  readonly hand?: "controller" | "none" | "restless" | "reckless";
}

export interface MovingVerdict {
  readonly sent: number;
  readonly lost: number;
  /** Packets that came out of order within their key. */
  readonly reordered: number;
  /** Keys whose state is not the sequential program's. */
  readonly differing: number;
  readonly updates: number;
  readonly moved: number;
  readonly waits: LiveWaits;
  readonly turns: readonly (LiveTurn & { readonly at: number })[];
  /** Of each hot spot: table updates until the load was within 1.2, or undefined: never. */
  readonly updatesUntilEven: readonly (number | undefined)[];
  readonly worst: number;
  readonly perCpu: readonly number[];
  readonly seconds: number;
}

/** Of the Zipf distribution, as gen:moving-zipf has it. */
const skew = 1.26;
/** Slow enough for queues of different lengths. */
const workTurns = 3000;
/** Keys that a hot spot has on one CPU. */
const hottest = 50;
const object = "testdata/dispatch/sequence.o";
const ifindex = 3;
export const bearable = 1.2;

export async function tryMoving(
  kernel: Kernel,
  trial: MovingTrial,
): Promise<MovingVerdict> {
  const { interval = 10_000, epochs = 8, senders = 1, seed = 1 } = trial;
  const { hand = "controller" } = trial;
  const cores = 2;
  const options = {
    file: object,
    set: [["turns", String(workTurns)]] as const,
    ports: [{ name: "port", ifindex }],
    userWrites: [],
    kernelBtf: () => undefined,
  };
  const bytes = readFileSync(join(root, object));
  const analysed = analyseLoaded(load(bytes, options), options);
  const artifact = generate(analysed, nicProfile("generic"), {
    cores,
    ports: options.ports,
    seed,
    dispatch: "software",
    movable: true,
  });
  const emitted = readObject(artifact.bytes, "core.o");
  const dispatcher = dispatcherOf(emitted);
  if (dispatcher === undefined) throw new Error("no dispatcher");
  const programs = (trial.spoil ?? ((same: Programs) => same))({
    dispatcher,
    worker: artifact.emitted,
  });
  const table = evenTable(cores);
  const asked = new Dispatching(dispatcher, { table, ports: options.ports });
  const frames = numberedFrames(trial, (data) => asked.of(data, 0).cpu);
  const { [dispatchCpus]: _, ...filled } = dispatchContents(dispatcher, table);
  const { entry } = asked.of(templateOf(0), 0);
  let cpu = entry % cores;
  const turns: (LiveTurn & { at: number })[] = [];
  let live: LiveTable | undefined;
  let next = interval;
  let decided: LiveTurn["moves"] = [];
  return streamThroughCpumap(
    kernel,
    {
      ...programs,
      ...(emitted.btf === undefined ? {} : { btf: emitted.btf }),
      contents: { ...ownerContents(dispatcher, table), ...filled },
      cpumap: dispatchCpus,
      cpus: cores,
      queueSize,
      ifindex,
      frames,
      senders,
      window: 1200,
      done: () => (live?.done ?? []).reduce((sum, count) => sum + count, 0),
      onRound: (sent, loaded) => {
        live ??= new LiveTable({
          map: (name) => loaded.map(name),
          cores,
          ...(hand === "none" ? { bearable: Infinity } : {}),
        });
        if (hand === "restless" || hand === "reckless") {
          const isSettled = live.settle() === 0;
          if (sent === 0 || (hand === "restless" && !isSettled)) return;
          live.write([{ entry, from: cpu, to: 1 - cpu }]);
          cpu = 1 - cpu;
          return;
        }
        // Written a round later, with the queues full.
        live.write(decided);
        decided = [];
        if (sent > 0 && sent < next) return;
        const turn = live.decide();
        if (sent === 0) return;
        next += interval;
        decided = turn.moves;
        turns.push({ at: sent, ...turn });
      },
    },
    ({ loaded, sent, lost, seconds }) => {
      if (live === undefined) throw new Error("nothing was sent");
      const reference = loadPortable(analysed.program, { cpus: 1, seed });
      const inputs = frames.map(({ data }) => ({
        data,
        ifindex,
        rxQueue: 0,
        cpu: 0,
        time: 0n,
      }));
      for (let at = 0; at < inputs.length; at += 50_000)
        reference.runBatches(inputs.slice(at, at + 50_000), () => undefined);
      const want = new Map(
        (reference.contents()["sequences"] ?? []).map(({ key, value }) => [
          key.join(),
          value.join(),
        ]),
      );
      let [reordered, differing, met] = [0, 0, 0];
      for (const [key, [value = new Uint8Array(16)]] of loaded
        .map("sequences")
        .entries()) {
        met++;
        reordered += new DataView(value.buffer).getUint32(4, true);
        if (value.join() !== want.get(key.join())) differing++;
      }
      return {
        sent,
        lost,
        reordered,
        differing: differing + Math.abs(want.size - met),
        updates: live.updates,
        moved: live.moved,
        waits: live.waits,
        turns,
        updatesUntilEven: untilEven(turns, trial.packets / epochs),
        worst: Math.max(1, ...turns.map(({ imbalance }) => imbalance)),
        perCpu: live.done,
        seconds,
      };
    },
  );
}

/**
 * Zipf over the keys; in each part of the trace other keys are the frequent ones, and
 * those that are most frequent all have entries of one CPU in an even table.
 */
function numberedFrames(
  { packets, keys = 2000, epochs = 8, senders = 1, seed = 1 }: MovingTrial,
  cpuOf: (data: Uint8Array) => number,
): { readonly data: Uint8Array; readonly sender: number }[] {
  const random = new Random(seed);
  const weights = Array.from(
    { length: keys },
    (_, rank) => (rank + 1) ** -skew,
  );
  const ends: number[] = [];
  let sum = 0;
  for (const weight of weights) ends.push((sum += weight));
  const numbers = new Uint32Array(keys);
  const templates = Array.from({ length: keys }, (_, key) => templateOf(key));
  const cpus = templates.map((data) => cpuOf(data));
  const orders = Array.from({ length: epochs }, (_, epoch) => {
    const shift = Math.floor((epoch * keys) / epochs);
    const order = Array.from({ length: keys }, (_, at) => (at + shift) % keys);
    const hot = order
      .filter((key) => cpus[key] === epoch % 2)
      .slice(0, hottest);
    const isHot = new Set(hot);
    return [...hot, ...order.filter((key) => !isHot.has(key))];
  });
  return Array.from({ length: packets }, (_, at) => {
    const point = (random.below(1 << 30) / (1 << 30)) * sum;
    let [low, high] = [0, keys - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((ends[middle] ?? 0) < point) low = middle + 1;
      else high = middle;
    }
    const key = orders[Math.floor((at * epochs) / packets)]?.[low] ?? 0;
    const number = (numbers[key] = (numbers[key] ?? 0) + 1);
    const data = (templates[key] ?? new Uint8Array()).slice();
    new DataView(data.buffer).setUint32(42, number);
    return { data, sender: key % senders };
  });
}

function templateOf(key: number): Uint8Array {
  return buildFrame({
    ipv4: { src: BigInt(0x0a00_0001 + key), dst: "10.128.0.1" },
    udp: { sport: 1024 + (key % 50_000), dport: 53 },
    payload: new Uint8Array(22),
  });
}

/** Of each part of the trace: updates before the first turn that is within the bound. */
function untilEven(
  turns: MovingVerdict["turns"],
  length: number,
): (number | undefined)[] {
  const parts: { updates: number; even?: number }[] = [];
  let from = 0;
  for (const { at, imbalance, moves } of turns) {
    const part = Math.floor((at - 1) / length);
    const seen = (parts[part] ??= { updates: 0 });
    // A turn that saw the end of the part before says nothing about this one's load.
    if (imbalance <= bearable && Math.floor(from / length) === part)
      seen.even ??= seen.updates;
    if (moves.length > 0) seen.updates++;
    from = at;
  }
  return parts.map(({ even }) => even);
}
