/**
 * `divisi run DIR|PROG --iface IF[,IF…]` without a trace: the program serves the
 * interfaces until ^C, SIGTERM or `--duration`, and everything is as before then.
 *
 *   check queues and NIC settings     refused unless they are right, or --apply-nic
 *   journal, NIC settings             journal first; its lock is let go of while serving
 *   links                             they die with this process
 *   … statistics …
 *   links off, what was replaced back, NIC settings back, journal
 *
 * A kill leaves the journal, whose owner is dead then: `divisi undo` does the rest.
 */
import process from "node:process";
import { UnsupportedError } from "../base/index.ts";
import {
  applyNic,
  checkNic,
  findPinRoot,
  Journal,
  makeRoot,
  makeWay,
  readMisdirected,
  stateFolder,
  undoAll,
  type ControlContext,
  type NicWish,
} from "../control/index.ts";
import { misdirectedMap } from "../codegen/index.ts";
import {
  busy,
  findInterfaces,
  loadFilled,
  openKernel,
  TrafficCounter,
  type Kernel,
  type LoadedPrograms,
  type TrafficCounts,
  type VethEnd,
  type XdpLink,
} from "../engine/index.ts";
import { possibleCpus } from "../host/index.ts";
import type { Words } from "./command.ts";
import { crashPoint } from "./control-context.ts";
import type { IfaceSubject } from "./iface-subject.ts";
import { counting } from "./misdirected.ts";
import { say, type Answer, type Rendering } from "./render.ts";
import { servedAnswer, statusLine } from "./serve-text.ts";
import { Stop } from "./stop.ts";
import { choiceOf, durationOf, isSet, valueOf } from "./words.ts";

export interface ServeOptions {
  readonly names: readonly string[];
  readonly words: Words;
  readonly rendering: Rendering;
}

/** What has been done and must be taken back. */
interface Served {
  readonly links: readonly XdpLink[];
  /** In the journal. */
  readonly transaction: number;
  readonly notes: readonly string[];
}

export async function serve(
  subject: IfaceSubject,
  { names, words, rendering }: ServeOptions,
): Promise<Answer> {
  const duration = durationOf(words, "duration");
  const interfaces = findInterfaces(names);
  const kernel = await openKernel();
  const stop = new Stop();
  try {
    const bound = subject.bind(
      interfaces.map(({ ifindex }) => ifindex),
      possibleCpus(),
    );
    const program = counting(
      bound.program,
      subject.setup,
      interfaces.map(({ ifindex }, port) => ({
        port: subject.ports[port]?.name ?? "",
        ifindex,
      })),
    );
    const loaded = loadFilled(kernel, { ...bound, program });
    const served = await begin(kernel, { subject, interfaces, words, loaded });
    try {
      const tell = (text: string): void => {
        if (!rendering.quiet) say(text);
      };
      for (const note of served.notes) tell(`divisi: ${note}`);
      const counter = new TrafficCounter(kernel, loaded.program(), interfaces);
      const started = performance.now();
      const seconds = (): number => (performance.now() - started) / 1000;
      tell(
        `${subject.name} serves ${names.join(", ")}; ${duration === undefined ? "^C ends it" : `for ${valueOf(words, "duration") ?? ""}`}`,
      );
      const ticker = setInterval(
        () => tell(statusLine(counter.read(), seconds())),
        process.stderr.isTTY ? 1000 : 10_000,
      );
      let counts: TrafficCounts;
      try {
        await stop.wait(duration);
        counts = counter.read();
      } finally {
        clearInterval(ticker);
        counter.close();
      }
      const counters = loaded.maps.get(misdirectedMap);
      return servedAnswer(subject, {
        names,
        counts,
        seconds: seconds(),
        misdirected:
          counters === undefined ? undefined : readMisdirected(counters),
      });
    } finally {
      for (const link of served.links) link.close();
      await takeBack(kernel, served.transaction);
    }
  } finally {
    stop.end();
    kernel.close();
  }
}

interface Beginning {
  readonly subject: IfaceSubject;
  readonly interfaces: readonly VethEnd[];
  readonly words: Words;
  readonly loaded: LoadedPrograms;
}

async function begin(
  kernel: Kernel,
  { subject, interfaces, words, loaded }: Beginning,
): Promise<Served> {
  const replace = isSet(words, "replace");
  const mode = choiceOf(words, "mode", ["native", "skb", "hw"] as const);
  for (const { ifindex, name } of interfaces) {
    const occupant = kernel.occupant(ifindex);
    if (occupant === undefined) continue;
    if (occupant.link !== undefined || !replace) throw busy(name, occupant);
  }
  const wish: NicWish = {
    anyQueues: subject.isDispatched,
    ports: interfaces.map(({ name }, port) => ({
      port: subject.ports[port]?.name ?? "",
      iface: name,
    })),
    cores: subject.cores,
    setup: subject.setup,
  };
  // One core wants no queues of its own: a program alone serves whatever there is.
  const isDivided = subject.cores > 1 || subject.setup !== undefined;
  const nic = isDivided
    ? checkNic(wish)
    : { wrong: [], fix: undefined, notes: [] };
  if (nic.wrong.length > 0 && !isSet(words, "apply-nic"))
    throw new UnsupportedError(nic.wrong.join("; "), {
      feature: "NIC set-up",
      ...(nic.fix === undefined
        ? {}
        : { fix: `--apply-nic does it, or: ${nic.fix}` }),
    });
  const journal = await Journal.open(stateFolder());
  const transaction = journal.begin(`run ${subject.name}`);
  const context: ControlContext = { kernel, journal, step: crashPoint() };
  const links: XdpLink[] = [];
  try {
    context.step("begun");
    if (nic.wrong.length > 0) {
      applyNic(wish, journal, transaction);
      context.step("NIC set up");
      const { wrong } = checkNic(wish);
      if (wrong.length > 0)
        throw new UnsupportedError(wrong.join("; "), { feature: "NIC set-up" });
    }
    const pinRoot = replace ? findPinRoot(valueOf(words, "pin-root")) : "";
    if (replace) makeRoot(pinRoot, transaction);
    const record = { name: `run-${process.pid}` };
    for (const { ifindex } of interfaces) {
      makeWay(ifindex, { replace, pinRoot, record }, context, transaction);
      links.push(
        kernel.attachXdp(loaded.program(), ifindex, {
          ...(mode === undefined ? {} : { mode }),
          replace,
        }),
      );
      context.step("link made");
    }
    return { links, transaction: transaction.id, notes: nic.notes };
  } catch (error) {
    for (const link of links) link.close();
    undoIn(context, transaction.id);
    throw error;
  } finally {
    journal.close();
  }
}

/** Takes the lock again: others could work in between. */
async function takeBack(kernel: Kernel, transaction: number): Promise<void> {
  const journal = await Journal.open(stateFolder());
  try {
    undoIn({ kernel, journal }, transaction);
  } finally {
    journal.close();
  }
}

function undoIn(
  context: Pick<ControlContext, "kernel" | "journal">,
  transaction: number,
): void {
  const { journal } = context;
  const open = journal.unfinished.find(({ id }) => id === transaction);
  const failed = undoAll(open?.undos ?? [], context);
  if (failed.length === 0) journal.end(transaction);
  else for (const words of failed) say(`divisi: not undone: ${words}`);
}
