/**
 * Frames in a stream through a dispatcher with tickets and its workers behind a cpumap,
 * as they are, while the caller rewrites the table:
 *
 *   sender (CPU q) → peer ~~~~ port: dispatcher → cpumap → worker
 *
 * Unlike in cpumap-run.ts, nobody waits for a round to be through: up to `window` frames
 * are on their way, in the queues of both CPUs. What became of a frame is not seen; the
 * program under test keeps its books itself.
 *
 * The worker's maps tell how many are through: `done` as the caller adds it up. Frames
 * go in the order given for each sender; senders run at the same time.
 */
import type { ProgramSpec } from "../../../isa/index.ts";
import type { Btf } from "../../../object/index.ts";
import type { MapContents } from "../../../proof/index.ts";
import type { Kernel } from "../kernel.ts";
import { loadFilled } from "../load/load-filled.ts";
import type { LoadedPrograms } from "../load/loaded-programs.ts";
import { createNamespace } from "../system/namespace.ts";
import { openFrameSender } from "./frame-sender.ts";
import type { FrameToSend } from "./live-frames.ts";
import { createVeths } from "./veth.ts";

const patience = 2000;

export interface CpumapStreamOptions {
  readonly dispatcher: ProgramSpec;
  readonly worker: ProgramSpec;
  readonly btf?: Btf;
  readonly contents: MapContents;
  readonly cpumap: string;
  readonly cpus: number;
  readonly queueSize: number;
  /** Index of the one port. */
  readonly ifindex: number;
  /** Sender of each frame: CPU and receive queue; 0 where there is one. */
  readonly frames: readonly {
    readonly data: Uint8Array;
    readonly sender?: number;
  }[];
  readonly senders: number;
  /** Frames on their way at most. */
  readonly window: number;
  /** Frames that are through. */
  readonly done: (loaded: LoadedPrograms) => number;
  /** Before each round. */
  readonly onRound: (sent: number, loaded: LoadedPrograms) => void;
}

export interface CpumapStreamResult {
  readonly loaded: LoadedPrograms;
  readonly sent: number;
  /** Of these, not through when nothing moved any more. */
  readonly lost: number;
  readonly seconds: number;
}

/** `use` sees the result while the maps are still there. */
export async function streamThroughCpumap<T>(
  kernel: Kernel,
  options: CpumapStreamOptions,
  use: (result: CpumapStreamResult) => T,
): Promise<T> {
  const { syscalls } = kernel;
  const { frames, cpus, senders, window, onRound } = options;
  const longest = Math.max(
    64,
    ...new Set(frames.map(({ data }) => data.length)),
  );
  const namespace = await createNamespace();
  const closing: (() => unknown)[] = [() => namespace.close()];
  try {
    const [port] = createVeths(syscalls, namespace, [
      {
        name: "divisi",
        ifindex: options.ifindex,
        queues: senders,
        mtu: Math.max(1500, longest),
      },
    ]);
    const loaded = namespace.run(() =>
      loadFilled(kernel, {
        program: options.worker,
        ...(options.btf === undefined ? {} : { btf: options.btf }),
        contents: {},
        dispatcher: {
          program: options.dispatcher,
          cpumap: options.cpumap,
          cpus,
          queueSize: options.queueSize,
          urgent: true,
          contents: options.contents,
        },
      }),
    );
    closing.push(() => {
      loaded.close();
    });
    const link = namespace.run(() =>
      kernel.attachXdp(
        loaded.program(options.dispatcher.name),
        port?.ifindex ?? 0,
        { mode: "native" },
      ),
    );
    closing.push(() => {
      link.close();
    });
    const sender = await openFrameSender(syscalls, {
      namespace,
      queues: senders,
      interfaces: [port?.peer.ifindex ?? 0],
      longest,
    });
    closing.push(() => sender.close());
    const through = (): number => options.done(loaded);
    const started = performance.now();
    const size = sender.capacity;
    let sent = 0;
    while (sent < frames.length) {
      onRound(sent, loaded);
      const round = frames.slice(sent, sent + size);
      await settled(through, sent + round.length - window);
      await sender.send(
        Array.from({ length: senders }, (_, at): FrameToSend[] =>
          round.flatMap((frame) =>
            (frame.sender ?? 0) === at ? [{ data: frame.data, to: 0 }] : [],
          ),
        ),
        64,
      );
      sent += round.length;
    }
    await settled(through, sent);
    return use({
      loaded,
      sent,
      lost: sent - through(),
      seconds: (performance.now() - started) / 1000,
    });
  } finally {
    for (const close of closing.reverse()) await close();
  }
}

/** Resolves when so many are through, or when nothing has moved for a while. */
async function settled(through: () => number, wanted: number): Promise<void> {
  let [last, since] = [-1, performance.now()];
  for (let done = through(); done < wanted; done = through()) {
    if (done !== last) [last, since] = [done, performance.now()];
    else if (performance.now() - since > patience) return;
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}
