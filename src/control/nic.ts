/**
 * Is the NIC set up as the plan wants it, and making it so.
 *
 * Every port needs as many receive queues as the plan has cores. A port whose driver
 * has receive-side scaling must also have the plan's key, table and fields, and queue
 * i's interrupt on CPU i: nic/apply.sh knows how to read and set those. A port
 * without (veth, tap) leaves the choice of the queue to whoever sends; that is said.
 *
 * Source: output of ethtool 6.1.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { UnsupportedError, printable } from "../base/index.ts";
import { applyScript, undoScript, type NicSetup } from "../rss/index.ts";
import { runCommand, type CommandOptions } from "./commands.ts";
import type { Journal, Transaction } from "./journal.ts";
import { networkNamespace, readText } from "./processes.ts";

export interface PortInterface {
  /** The plan's name of the port. */
  readonly port: string;
  readonly iface: string;
}

export interface NicWish {
  readonly ports: readonly PortInterface[];
  readonly cores: number;
  /** None: the plan does not care which queue a packet takes. */
  readonly setup: NicSetup | undefined;
  /** Packets find their cores whatever queue they take: nothing is asked of the NIC. */
  readonly anyQueues?: boolean;
}

export interface NicState {
  /** What is not as wanted; empty: the plan may be attached. */
  readonly wrong: readonly string[];
  /** What would make it right, as words to type. */
  readonly fix: string | undefined;
  /** False: the driver cannot have as many queues. */
  readonly isPossible: boolean;
  /** What was not checked, and why. */
  readonly notes: readonly string[];
}

interface Channels {
  readonly now: Readonly<Record<string, number>>;
  readonly most: Readonly<Record<string, number>>;
}

export function checkNic(wish: NicWish): NicState {
  const { ports, cores, setup } = wish;
  if (wish.anyQueues === true)
    return { wrong: [], notes: [], fix: undefined, isPossible: true };
  const wrong: string[] = [];
  const notes: string[] = [];
  const fixes: string[] = [];
  let most = cores;
  const answer = (fix: string | undefined): NicState =>
    most < cores
      ? {
          wrong: [...new Set(wrong)],
          notes,
          fix: fewer(most),
          isPossible: false,
        }
      : { wrong: [...new Set(wrong)], notes, fix, isPossible: true };
  for (const { iface } of ports) {
    const channels = readChannels(iface);
    const queues = queuesOf(channels?.now);
    if (queues === cores) continue;
    wrong.push(
      `${iface} has ${counted(queues, "receive queue")}, the plan divides over ${counted(cores, "core")}`,
    );
    const kind = kindOf(channels);
    const limit = channels?.most[kind ?? ""] ?? cores;
    if (limit < cores)
      wrong.push(`${iface} has at most ${counted(limit, "queue")}`);
    most = Math.min(most, limit);
    if (kind !== undefined)
      fixes.push(`ethtool -L ${printable(iface)} ${kind} ${cores}`);
  }
  if (setup === undefined) return answer(fixes.join("; ") || undefined);
  const scaling = ports.filter(({ iface }) => hasScaling(iface));
  for (const { iface } of ports)
    if (cores > 1 && !scaling.some((one) => one.iface === iface))
      notes.push(
        `${iface} has no receive-side scaling: its sender chooses the queue, and must keep packets that share state on one`,
      );
  if (scaling.length === 0) return answer(fixes.join("; ") || undefined);
  if (cores > 1 && balancerRuns())
    wrong.push("irqbalance runs and would move the interrupts of the queues");
  const { status, stderr } = runScript(applyScript(setup), [
    "--check",
    ...ports.map(({ port, iface }) => `${port}=${iface}`),
  ]);
  if (status !== 0) wrong.push(...stderr.split("\n").filter(Boolean));
  return answer(
    `nic/apply.sh ${ports.map(({ port, iface }) => `${port}=${iface}`).join(" ")}`,
  );
}

function fewer(most: number): string {
  return `divide over ${most} with: divisi split … --cores ${most}`;
}

/** Throws an UnsupportedError with the driver's words; what was changed is in the journal. */
export function applyNic(
  wish: NicWish,
  journal: Journal,
  transaction: Transaction,
): void {
  const { ports, cores, setup } = wish;
  const scaling =
    setup === undefined ? [] : ports.filter(({ iface }) => hasScaling(iface));
  if (setup !== undefined && scaling.length === ports.length) {
    applySetup(setup, ports, journal, transaction);
    return;
  }
  if (scaling.length > 0)
    throw new UnsupportedError(
      `${scaling.map(({ iface }) => iface).join(", ")} can be set up, the other ports have no receive-side scaling`,
      { feature: "receive-side scaling" },
    );
  for (const { iface } of ports) setChannels(iface, cores, transaction);
}

/** Takes back what `applyNic` announced; the failure in words. */
export function undoNicScript(
  script: string,
  journal: Pick<Journal, "folder" | "lockFd">,
): string | undefined {
  const { status, stderr } = runScript(script, [], {
    env: { DIVISI_STATE_DIR: journal.folder },
    holds: journal.lockFd,
  });
  return status === 0 ? undefined : stderr;
}

/** `ethtool -L` with the numbers that differ; the failure in words. */
export function restoreChannels(
  iface: string,
  counts: Readonly<Record<string, number>>,
  netns: string,
): string | undefined {
  const present = readChannels(iface, { netns });
  if (present === undefined) return `${iface}: channels cannot be read`;
  const words = Object.entries(counts)
    .filter(([kind, count]) => present.now[kind] !== count)
    .flatMap(([kind, count]) => [kind, String(count)]);
  if (words.length === 0) return undefined;
  const { status, stderr } = runCommand(["ethtool", "-L", iface, ...words], {
    netns,
  });
  return status === 0 ? undefined : `${iface}: ${stderr}`;
}

function applySetup(
  setup: NicSetup,
  ports: readonly PortInterface[],
  journal: Journal,
  transaction: Transaction,
): void {
  transaction.will({
    kind: "nic",
    script: undoScript(setup),
    interfaces: ports.map(({ iface }) => iface),
  });
  const { status, stderr } = runScript(
    applyScript(setup),
    ports.map(({ port, iface }) => `${port}=${iface}`),
    { env: { DIVISI_STATE_DIR: journal.folder }, holds: journal.lockFd },
  );
  if (status !== 0)
    throw new UnsupportedError(
      `the NIC cannot be set up: ${stderr.split("\n").join("; ")}`,
      { feature: "NIC set-up" },
    );
  // The values as they were, should the script's own file get lost.
  const state = join(journal.folder, `nic-${setup.id}.state`);
  const values = readText(state);
  if (values === "") return;
  transaction.will({
    kind: "nic",
    script: undoScript(setup),
    interfaces: ports.map(({ iface }) => iface),
    state,
    values,
  });
}

function setChannels(
  iface: string,
  cores: number,
  transaction: Transaction,
): void {
  const channels = readChannels(iface);
  if (queuesOf(channels?.now) === cores) return;
  const kind = kindOf(channels);
  const most = channels?.most[kind ?? ""] ?? 1;
  if (channels === undefined || kind === undefined || most < cores)
    throw new UnsupportedError(
      `${iface}: ${counted(cores, "receive queue")} wanted, the driver has ${most}`,
      {
        feature: "receive queues",
        fix: fewer(most),
      },
    );
  transaction.will({
    kind: "channels",
    iface,
    netns: networkNamespace(),
    counts: { [kind]: channels.now[kind] ?? 0 },
  });
  const { status, stderr } = runCommand([
    "ethtool",
    "-L",
    iface,
    kind,
    String(cores),
  ]);
  const now = queuesOf(readChannels(iface)?.now);
  if (status === 0 && now === cores) return;
  throw new UnsupportedError(
    `${iface}: the driver refused ${counted(cores, "receive queue")}: ${stderr.split("\n").join("; ") || `it has ${now}`}`,
    { feature: "receive queues" },
  );
}

function runScript(
  script: string,
  words: readonly string[],
  options: CommandOptions = {},
): { status: number; stderr: string } {
  return runCommand(["bash", "-s", "--", ...words], {
    ...options,
    input: script,
  });
}

function readChannels(
  iface: string,
  options: CommandOptions = {},
): Channels | undefined {
  const { status, stdout } = runCommand(["ethtool", "-l", iface], options);
  if (status !== 0) return undefined;
  const [most = "", now = ""] = stdout.split("Current hardware settings:");
  return { now: numbersOf(now), most: numbersOf(most) };
}

function numbersOf(text: string): Record<string, number> {
  return Object.fromEntries(
    [...text.matchAll(/^(RX|TX|Combined):\s*(\d+)/gm)].map(
      ([, kind = "", count]) => [kind.toLowerCase(), Number(count)],
    ),
  );
}

/** A driver that does not tell has one queue. */
function queuesOf(
  counts: Readonly<Record<string, number>> | undefined,
): number {
  if (counts === undefined) return 1;
  return (counts["combined"] ?? 0) + (counts["rx"] ?? 0) || 1;
}

function kindOf(channels: Channels | undefined): "combined" | "rx" | undefined {
  if ((channels?.most["combined"] ?? 0) > 0) return "combined";
  return (channels?.most["rx"] ?? 0) > 0 ? "rx" : undefined;
}

function hasScaling(iface: string): boolean {
  const { status, stdout } = runCommand(["ethtool", "-x", iface]);
  return status === 0 && /^\s*\d+:\s+\d/m.test(stdout);
}

/** Also under DIVISI_ROOT, as in the scripts. */
function balancerRuns(): boolean {
  const root = `${process.env["DIVISI_ROOT"] ?? ""}/proc`;
  try {
    return readdirSync(root)
      .filter((name) => /^\d+$/.test(name))
      .some((pid) => readText(`${root}/${pid}/comm`).trim() === "irqbalance");
  } catch {
    return false;
  }
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
