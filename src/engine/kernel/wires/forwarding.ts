/**
 * Maximum loss-free forwarding rate (MLFFR) over veth, after RFC 2544 section 26.1:
 * the highest offered rate at which no more frames are lost than allowed.
 *
 *   generator (CPU g) → peer ~~~~ port, queue g mod queues: program → peers, which drop
 *
 * First a trial at full speed; if that loses too much, a binary search between nothing
 * and what it got through. Each trial offers a constant rate for a while, then everything is counted:
 * a frame is lost if the program never got it, or if it was sent on and the next ring was full.
 *
 * What the figure is not: a NIC's. The path is live frames, veth twice, NAPI; veth is
 * polled on the sending CPU, so generator and program share it, and with one generator
 * a queue nothing is lost: the figure is then the throughput of both together.
 */
import { Worker } from "node:worker_threads";
import { Bug, InputError, UnsupportedError } from "../../../base/index.ts";
import { possibleCpus } from "../../../host/index.ts";
import { Ethtool } from "../system/ethtool.ts";
import { variedBytes } from "./flood-frames.ts";
import type { FloodAnswer, FloodOrder, FloodStart } from "./flood-messages.ts";
import type { Kernel } from "../kernel.ts";
import { loadFilled, type BoundProgram } from "../load/load-filled.ts";
import { createNamespace } from "../system/namespace.ts";
import { loadSmallProgram } from "../load/small-program.ts";
import type { TraceFrame } from "./trace-run.ts";
import { createVeths, type VethPair } from "./veth.ts";

export interface ForwardingOptions {
  /** The program for these ports. */
  readonly bind: (ports: readonly VethPair[]) => BoundProgram;
  /** Sent over and over, each from the generator of its queue; only the first 64 bytes differ. */
  readonly frames: readonly TraceFrame[];
  /** Index that each port's interface must have, where it must. */
  readonly ports: readonly { readonly ifindex?: number }[];
  readonly queues: number;
  /** CPUs that send, from 0 on; default: one for each queue. */
  readonly generators?: number;
  /** Bytes of every frame; default 64. */
  readonly size?: number;
  /** Lost of a million that are allowed; default 0. */
  readonly lossPerMillion?: number;
  /** Seconds of a trial, below 0.9; default 0.2. */
  readonly trialSeconds?: number;
  /** Trials of the search after the first; default 8. */
  readonly steps?: number;
}

export interface ForwardingTrial {
  /** Frames in a second, all generators together. */
  readonly wanted: number | "full speed";
  readonly offered: number;
  readonly sent: number;
  /** Never reached the program. */
  readonly lostBefore: number;
  /** Sent on, and lost there. */
  readonly lostAfter: number;
}

export interface Forwarding {
  /** Million frames in a second. */
  readonly mpps: number;
  readonly nsPerPacket: number;
  readonly trials: readonly ForwardingTrial[];
  readonly includes: "path";
  readonly path: "live frames, veth, native XDP";
  /** Who shares a CPU with whom. */
  readonly placement: "generator and program on one CPU";
  readonly generators: number;
  readonly queues: number;
  readonly size: number;
  /** Without real-time priority other processes take part in the figure. */
  readonly realTime: boolean;
}

/** Throws an UnsupportedError where live frames, veth or CPUs are missing. */
export async function measureForwarding(
  kernel: Kernel,
  options: ForwardingOptions,
): Promise<Forwarding> {
  const { queues, size = 64, trialSeconds = 0.2, steps = 8 } = options;
  const generators = options.generators ?? queues;
  const allowed = (options.lossPerMillion ?? 0) / 1e6;
  if (trialSeconds > 0.85)
    throw new InputError("a trial in real time takes less than 0.9 s", {
      code: "trial-too-long",
    });
  if (generators > possibleCpus())
    throw new UnsupportedError(
      `${generators} generators, and this machine has ${possibleCpus()} CPUs`,
      { feature: `${generators} CPUs` },
    );
  const path = await Path.open(kernel, { ...options, generators, size });
  try {
    const trials: ForwardingTrial[] = [];
    const take = async (
      wanted: ForwardingTrial["wanted"],
      frames: number,
    ): Promise<ForwardingTrial> => {
      const trial = await path.trial(wanted, frames);
      trials.push(trial);
      return trial;
    };
    const isGood = ({ sent, lostBefore, lostAfter }: ForwardingTrial) =>
      lostBefore + lostAfter <= allowed * sent;
    // A short one warms up and tells how many frames a trial takes.
    const { offered } = await path.trial("full speed", 20_000);
    const first = await take("full speed", Math.ceil(offered * trialSeconds));
    let best: ForwardingTrial | undefined = isGood(first) ? first : undefined;
    if (best === undefined) {
      let low = 0;
      let high = first.offered;
      for (let step = 0; step < steps; step++) {
        const middle = (low + high) / 2;
        const trial = await take(middle, Math.ceil(middle * trialSeconds));
        if (isGood(trial)) {
          low = middle;
          if (trial.offered > (best?.offered ?? 0)) best = trial;
        } else high = middle;
      }
    }
    const rate = best?.offered ?? 0;
    return {
      mpps: rate / 1e6,
      nsPerPacket: rate === 0 ? Number.POSITIVE_INFINITY : 1e9 / rate,
      trials,
      includes: "path",
      path: "live frames, veth, native XDP",
      placement: "generator and program on one CPU",
      generators,
      queues,
      size,
      realTime: path.realTime,
    };
  } finally {
    await path.close();
  }
}

type PathOptions = ForwardingOptions & {
  readonly generators: number;
  readonly size: number;
};

/** Ports, program, sinks and generators; each trial counts what came through. */
class Path {
  realTime = true;
  readonly #ports: readonly VethPair[];
  readonly #ethtool: Ethtool;
  readonly #crew: readonly Generator[];
  readonly #barrier: Int32Array;
  readonly #closing: readonly (() => unknown)[];
  #round = 0;

  private constructor(parts: {
    ports: readonly VethPair[];
    ethtool: Ethtool;
    crew: readonly Generator[];
    barrier: Int32Array;
    closing: readonly (() => unknown)[];
  }) {
    this.#ports = parts.ports;
    this.#ethtool = parts.ethtool;
    this.#crew = parts.crew;
    this.#barrier = parts.barrier;
    this.#closing = parts.closing;
  }

  static async open(kernel: Kernel, options: PathOptions): Promise<Path> {
    const { syscalls } = kernel;
    const closing: (() => unknown)[] = [];
    const namespace = await createNamespace();
    closing.push(() => namespace.close());
    try {
      const ports = createVeths(
        syscalls,
        namespace,
        options.ports.map((port, at) => ({
          ...port,
          name: `port${at}`,
          queues: options.queues,
          mtu: Math.max(1500, options.size),
        })),
      );
      const ethtool = namespace.run(() => new Ethtool(syscalls));
      closing.push(() => ethtool.close());
      const loaded = namespace.run(() =>
        loadFilled(kernel, options.bind(ports)),
      );
      closing.push(() => loaded.close());
      const sink = loadSmallProgram(
        syscalls,
        "function divisi_sink\n r0 = 1\n exit",
        { attachType: 37 },
      );
      closing.push(() => syscalls.close(sink));
      for (const { ifindex, peer } of ports) {
        const links = namespace.run(() => [
          kernel.attachXdp(loaded.program(), ifindex, { mode: "native" }),
          kernel.attachXdp({ fd: sink }, peer.ifindex, { mode: "native" }),
        ]);
        for (const link of links) closing.push(() => link.close());
      }
      const barrier = new SharedArrayBuffer(4);
      const crew = Array.from(
        { length: options.generators },
        (_, cpu) =>
          new Generator({
            namespaceFd: namespace.fd,
            cpu,
            barrier,
            crew: options.generators,
            interfaces: ports.map(({ peer }) => peer.ifindex),
            size: options.size,
            frames: storeOf(options, cpu),
          }),
      );
      closing.push(() => Promise.all(crew.map((one) => one.close())));
      await Promise.all(crew.map((one) => one.answer()));
      const words = new Int32Array(barrier);
      return new Path({ ports, ethtool, crew, barrier: words, closing });
    } catch (error) {
      for (const close of closing.reverse()) await close();
      throw error;
    }
  }

  async trial(
    wanted: ForwardingTrial["wanted"],
    frames: number,
  ): Promise<ForwardingTrial> {
    const before = this.#counts();
    const each = Math.ceil(frames / this.#crew.length);
    const perSecond =
      wanted === "full speed" ? 0 : Math.max(1, wanted / this.#crew.length);
    const ready = ++this.#round * this.#crew.length;
    Atomics.store(this.#barrier, 0, ready - this.#crew.length);
    const answers = await Promise.all(
      this.#crew.map((one) => one.send({ frames: each, perSecond, ready })),
    );
    let sent = 0;
    let offered = 0;
    for (const answer of answers) {
      sent += answer.frames;
      offered += (answer.frames * 1e9) / answer.ns;
      this.realTime &&= answer.realTime;
    }
    const lost = await this.#settled(before, sent);
    return { wanted, offered, sent, ...lost };
  }

  async close(): Promise<void> {
    for (const close of [...this.#closing].reverse()) await close();
  }

  /** Counts until all is accounted for, or nothing changes any more. */
  async #settled(
    before: Counts,
    sent: number,
  ): Promise<Pick<ForwardingTrial, "lostBefore" | "lostAfter">> {
    for (let still = 0, last = ""; ;) {
      const now = this.#counts();
      const lostBefore = sent - (now.got - before.got);
      const lostAfter =
        now.onward - before.onward - (now.arrived - before.arrived);
      const text = `${now.got} ${now.arrived}`;
      still = text === last ? still + 1 : 0;
      if (still === 5 || (lostBefore === 0 && lostAfter === 0))
        return { lostBefore, lostAfter };
      last = text;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  #counts(): Counts {
    const sum = (name: string, wanted: RegExp): number =>
      [...this.#ethtool.counters(name)]
        .filter(([counter]) => wanted.test(counter))
        .reduce((total, [, value]) => total + value, 0);
    const counts = { got: 0, onward: 0, arrived: 0 };
    for (const { name, peer } of this.#ports) {
      counts.got += sum(name, /^rx_queue_\d+_xdp_packets$/);
      counts.onward += sum(name, /^rx_queue_\d+_xdp_(redirect|tx)$/);
      counts.arrived += sum(peer.name, /^rx_queue_\d+_xdp_packets$/);
    }
    return counts;
  }
}

/** By the driver, since ever: frames at the program, sent on by it, at the sinks. */
interface Counts {
  readonly got: number;
  readonly onward: number;
  readonly arrived: number;
}

/** Of a generator's own queue; a power of two of them. */
function storeOf(
  { frames, queues }: PathOptions,
  cpu: number,
): FloodStart["frames"] {
  const own = frames.filter(({ queue }) => queue === cpu % queues);
  const count = 2 ** Math.floor(Math.log2(Math.min(4096, own.length)));
  if (own.length === 0)
    throw new InputError(
      `no packet of the trace is for queue ${cpu % queues}`,
      {
        code: "queue-empty",
      },
    );
  return own.slice(0, count).map(({ data, port }) => {
    const first = new Uint8Array(variedBytes);
    first.set(data.subarray(0, variedBytes));
    return { data: first, to: port };
  });
}

type Sent = Extract<FloodAnswer, { readonly kind: "sent" }>;

class Generator {
  readonly #worker: Worker;
  #waiting: ((answer: FloodAnswer) => void) | undefined;
  #early: FloodAnswer | undefined;

  constructor(start: FloodStart) {
    this.#worker = new Worker(new URL("flood.worker.js", import.meta.url), {
      workerData: start,
    });
    const take = (answer: FloodAnswer): void => {
      if (this.#waiting === undefined) this.#early = answer;
      else this.#waiting(answer);
      this.#waiting = undefined;
    };
    const failed = (text: string): void =>
      take({ kind: "failed", text, unsupported: false });
    this.#worker.on("message", take);
    this.#worker.on("error", (error) => failed(error.message));
    this.#worker.on("exit", () => failed("a generator ended"));
  }

  async answer(): Promise<FloodAnswer> {
    const early = this.#early;
    this.#early = undefined;
    const answer =
      early ??
      (await new Promise<FloodAnswer>((resolve) => {
        this.#waiting = resolve;
      }));
    if (answer.kind !== "failed") return answer;
    throw answer.unsupported
      ? new UnsupportedError(answer.text, { feature: "live frames" })
      : new Bug(answer.text);
  }

  async send(order: FloodOrder): Promise<Sent> {
    this.#order(order);
    const answer = await this.answer();
    if (answer.kind === "sent") return answer;
    throw new Bug(`a generator answered ${answer.kind}`);
  }

  async close(): Promise<void> {
    this.#worker.removeAllListeners();
    const gone = new Promise((resolve) => this.#worker.once("exit", resolve));
    this.#order("close");
    await gone;
  }

  #order(order: FloodOrder | "close"): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker, not a window
    this.#worker.postMessage(order);
  }
}
