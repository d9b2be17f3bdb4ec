/**
 * Sends frames through an XDP program at real veth interfaces and tells of each what
 * became of it. Frames go in rounds that no queue can overflow; a round ends when the
 * fate of every frame in it is known:
 *
 *   sent = begun                              else frames were lost on the way in
 *   dropped, by the driver's own count
 *     = begun - passed - sent back - redirected     else frames were lost on the way out
 *
 * A round that does not come to this within `patience` is given up, and what is missing
 * is told as lost, never taken for dropped.
 *
 * Which run belongs to which frame: those of one port and queue stay in order, and the
 * recorded bytes must be the frame's. A run of other bytes is a stray.
 *
 * Promised: verdict, order of runs, queue and CPU of every frame, and the bytes of what
 * was passed or sent. Not promised: the bytes of dropped frames.
 */
import type { FrameSender } from "./frame-sender.ts";
import type { Ethtool } from "../system/ethtool.ts";
import type { FrameToSend } from "./live-frames.ts";
import type { VethPair } from "./veth.ts";
import type { WatchedRun, XdpWatch } from "./xdp-watch.ts";

const verdict = { drop: 1, pass: 2, tx: 3, redirect: 4 } as const;
/** Milliseconds. */
const patience = 2000;

export interface TraceFrame {
  readonly data: Uint8Array;
  /** Index into the ports. */
  readonly port: number;
  readonly queue: number;
}

export interface TraceRunOptions {
  readonly frames: readonly TraceFrame[];
  readonly ports: readonly VethPair[];
  readonly queues: number;
  readonly watch: Pick<XdpWatch, "begun" | "takeRuns" | "takeCatches">;
  readonly sender: Pick<FrameSender, "capacity" | "send">;
  readonly ethtool: Ethtool;
  /** A round for each frame. */
  readonly oneByOne?: boolean;
  readonly onProgress?: (done: number, total: number) => void;
  /** Asked between rounds: true ends the run early. */
  readonly isCancelled?: () => boolean;
}

/** Where a frame was seen after its run. */
export interface Sighting {
  readonly at: "wire" | "stack";
  /** Index of the port whose wire or stack it was. */
  readonly port: number;
  readonly frame: Uint8Array;
}

export interface Fate {
  /** Position of the frame in the input. */
  readonly frame: number;
  readonly run: WatchedRun;
  readonly verdict: number;
  readonly sightings: readonly Sighting[];
}

export interface TraceRunResult {
  /** In the order in which the runs began. */
  readonly fates: readonly Fate[];
  /** Frames of the input that the program never got. */
  readonly lostBefore: readonly number[];
  /** How many no verdict explains: neither seen again nor dropped. They are told as dropped. */
  readonly lostAfter: number;
  /** Frames at the program or behind it that are none of ours. */
  readonly strays: number;
  /** Frames sent; fewer than given after a cancellation. */
  readonly sent: number;
  readonly seconds: number;
}

export async function runFrames(
  options: TraceRunOptions,
): Promise<TraceRunResult> {
  const { frames, sender, queues, ports } = options;
  const started = performance.now();
  const all = new Rounds(options);
  // Ports are wires of their own: only frame by frame is their order kept.
  const batch = ports.length > 1 ? 1 : 64;
  let next = 0;
  while (next < frames.length && options.isCancelled?.() !== true) {
    const first = next;
    const perQueue = Array.from({ length: queues }, (): FrameToSend[] => []);
    for (; next < frames.length; next++) {
      const frame = frames[next];
      const queue = perQueue[frame?.queue ?? 0];
      if (frame === undefined || queue === undefined) continue;
      const isFull = options.oneByOne === true && next > first;
      if (queue.length === sender.capacity || isFull) break;
      queue.push({ data: frame.data, to: frame.port });
    }
    await sender.send(perQueue, batch);
    await all.settle(first, next);
    // Signals and timers get their turn.
    await new Promise((resolve) => setImmediate(resolve));
    options.onProgress?.(next, frames.length);
  }
  return {
    ...all.result(),
    sent: next,
    seconds: (performance.now() - started) / 1000,
  };
}

class Rounds {
  readonly #options: TraceRunOptions;
  readonly #runs: { readonly run: WatchedRun; readonly frame: number }[] = [];
  /** By number of run. */
  readonly #sightings = new Map<number, Sighting[]>();
  readonly #lostBefore: number[] = [];
  #lostAfter = 0;
  #strays = 0;
  #begun: number;
  #drops: number;

  constructor(options: TraceRunOptions) {
    this.#options = options;
    this.#begun = options.watch.begun;
    this.#drops = this.#driverDrops();
  }

  result(): Omit<TraceRunResult, "sent" | "seconds"> {
    this.#catch();
    return {
      fates: this.#runs.map(({ run, frame }) => {
        const sightings = this.#sightings.get(run.number) ?? [];
        return { frame, run, sightings, verdict: verdictOf(run, sightings) };
      }),
      lostBefore: this.#lostBefore,
      lostAfter: this.#lostAfter,
      strays: this.#strays,
    };
  }

  /** Waits until frames `first` to `end` are accounted for. */
  async settle(first: number, end: number): Promise<void> {
    const { watch } = this.#options;
    const wanted = this.#begun + end - first;
    await until(() => watch.begun >= wanted, patience);
    const runs = watch.takeRuns();
    let open = { unexplained: 0, onTheWay: 0 };
    const look = (): void => {
      runs.push(...watch.takeRuns());
      this.#catch();
      open = this.#open(runs);
    };
    await until(() => {
      look();
      return open.unexplained === 0;
    }, patience);
    // What goes to an interface that is no port of ours is never seen again.
    await until(() => {
      look();
      return open.onTheWay === 0;
    }, patience / 20);
    this.#lostAfter += open.unexplained;
    this.#begun = watch.begun;
    this.#drops = this.#driverDrops();
    this.#assign(runs, first, end);
  }

  #catch(): void {
    const { watch, ports } = this.#options;
    for (const { run, at, ifindex, frame } of watch.takeCatches()) {
      const port = ports.findIndex((each) =>
        at === "wire"
          ? each.peer.ifindex === ifindex
          : each.ifindex === ifindex,
      );
      if (run === undefined) this.#strays++;
      else {
        const seen = this.#sightings.get(run);
        if (seen === undefined) this.#sightings.set(run, [{ at, port, frame }]);
        else seen.push({ at, port, frame });
      }
    }
  }

  /** Runs of this round that sightings, events and the driver's count do not explain yet. */
  #open(runs: readonly WatchedRun[]): {
    unexplained: number;
    onTheWay: number;
  } {
    let silent = 0;
    let failed = 0;
    let onTheWay = 0;
    for (const { number, exception, redirect } of runs) {
      if (exception !== undefined || (redirect ?? 0) !== 0) failed++;
      else if (this.#sightings.has(number)) continue;
      else if (redirect === 0) onTheWay++;
      else silent++;
    }
    const dropped = this.#driverDrops() - this.#drops - failed;
    return { unexplained: Math.abs(silent - dropped), onTheWay };
  }

  #driverDrops(): number {
    const { ports, ethtool } = this.#options;
    let sum = 0;
    for (const { name } of ports)
      for (const [counter, value] of ethtool.counters(name))
        if (/^rx_queue_\d+_xdp_drops$/.test(counter)) sum += value;
    return sum;
  }

  /** Gives each run its frame: bytes and order of its port and queue must agree. */
  #assign(runs: readonly WatchedRun[], first: number, end: number): void {
    const { frames, ports } = this.#options;
    const waiting = new Map<string, number[]>();
    for (let at = first; at < end; at++) {
      const frame = frames[at];
      if (frame === undefined) continue;
      const key = `${frame.port} ${frame.queue}`;
      const queue = waiting.get(key);
      if (queue === undefined) waiting.set(key, [at]);
      else queue.push(at);
    }
    for (const run of runs) {
      const port = ports.findIndex(({ ifindex }) => ifindex === run.ifindex);
      const queue = waiting.get(`${port} ${run.queue}`) ?? [];
      const place = queue.findIndex((at) =>
        isSame(frames[at]?.data, run.frame),
      );
      const frame = queue[place];
      if (frame === undefined) {
        this.#strays++;
        continue;
      }
      this.#lostBefore.push(...queue.splice(0, place + 1).slice(0, -1));
      this.#runs.push({ run, frame });
    }
    for (const left of waiting.values()) this.#lostBefore.push(...left);
  }
}

function isSame(left: Uint8Array | undefined, right: Uint8Array): boolean {
  return left !== undefined && Buffer.compare(left, right) === 0;
}

function verdictOf(run: WatchedRun, sightings: readonly Sighting[]): number {
  if (run.exception !== undefined) return run.exception;
  if (run.redirect !== undefined) return verdict.redirect;
  if (sightings.some(({ at }) => at === "stack")) return verdict.pass;
  return sightings.length > 0 ? verdict.tx : verdict.drop;
}

/** Looks until it holds: at once a few times, then with pauses. False: it never did. */
async function until(
  holds: () => boolean,
  milliseconds: number,
): Promise<boolean> {
  const end = performance.now() + milliseconds;
  for (let looks = 0; ; looks++) {
    if (holds()) return true;
    if (performance.now() > end) return false;
    if (looks > 3) await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
