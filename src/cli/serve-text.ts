/** What `run --iface` tells of traffic that it served. */
import type { MisdirectedCount } from "../control/index.ts";
import type { TrafficCounts } from "../engine/index.ts";
import type { IfaceSubject } from "./iface-subject.ts";
import type { Answer } from "./render.ts";

export function statusLine(counts: TrafficCounts, seconds: number): string {
  const { runs } = counts;
  return `${count(runs)} packets in ${seconds.toFixed(0)} s (${count(Math.round(runs / seconds))}/s)`;
}

interface Serving {
  readonly names: readonly string[];
  readonly counts: TrafficCounts;
  readonly seconds: number;
  /** Undefined: there is no plan that gives packets queues. */
  readonly misdirected: MisdirectedCount | undefined;
}

export function servedAnswer(
  subject: IfaceSubject,
  { names, counts, seconds, misdirected }: Serving,
): Answer {
  const interfaces = counts.interfaces.map((each) => ({
    ...each,
    verdicts: vethVerdicts(each),
    queues: vethQueues(each.driver),
  }));
  const { runs, ns } = counts;
  const isTold = interfaces.every(({ verdicts }) => verdicts !== undefined);
  const verdicts: Record<string, number> = {};
  for (const each of interfaces)
    for (const [name, packets] of Object.entries(each.verdicts ?? {}))
      verdicts[name] = (verdicts[name] ?? 0) + packets;
  return {
    exit: 0,
    json: {
      schema: "divisi.run/1",
      program: subject.name,
      from: subject.path,
      engine: "kernel",
      packets: runs,
      ...(isTold ? { verdicts } : {}),
      nsPerPacket: runs === 0 ? undefined : ns / runs,
      ...(misdirected === undefined
        ? { misdirected: "not counted" }
        : {
            misdirected: Number(misdirected.misdirected),
            checked: Number(misdirected.checked),
          }),
      interfaces,
      seconds,
    },
    text: [
      `${subject.name} served ${names.join(", ")} for ${seconds.toFixed(1)} s: ${count(runs)} packets${runs === 0 ? "" : `, ${(ns / runs).toFixed(0)} ns each (program only, by the kernel)`}`,
      ...interfaces.flatMap((each) => [
        ...Object.entries(each.verdicts ?? {}).map(
          ([name, packets]) =>
            `  ${each.name} ${name.padEnd(9)} ${count(packets)}`,
        ),
        ...(each.queues ?? []).map(
          (packets, queue) =>
            `  ${each.name} queue ${queue}   ${count(packets)} packets`,
        ),
        ...each.cpus.map(
          ({ cpu, redirected, exceptions, failedRedirects }) =>
            `  ${each.name} core ${cpu}    ${count(redirected)} redirected, ${count(failedRedirects)} of them in vain before, ${count(exceptions)} aborted`,
        ),
        ...(each.verdicts === undefined
          ? [
              `  ${each.name}: the driver does not tell verdicts; its own counters are in --json`,
            ]
          : []),
      ]),
      misdirected === undefined
        ? "  misdirected packets are not counted"
        : `  misdirected ${misdirected.misdirected} of ${misdirected.checked} checked`,
    ].join("\n"),
  };
}

type Counted = TrafficCounts["interfaces"][number];

/** Sum of the queues' counters of that name; undefined: the driver counts otherwise. */
function sumOf(driver: Counted["driver"], name: string): number {
  return Object.entries(driver)
    .filter(([counter]) => new RegExp(`^rx_queue_\\d+_${name}$`).test(counter))
    .reduce((sum, [, value]) => sum + value, 0);
}

/**
 * veth counts frames that its program saw, dropped (aborted ones and failed redirects
 * too) and sent back; tracepoints tell redirects and exceptions; the rest was passed.
 */
function vethVerdicts({
  driver,
  cpus,
}: Counted): Readonly<Record<string, number>> | undefined {
  const packets = sumOf(driver, "xdp_packets");
  if (packets === 0) return Object.keys(driver).length === 0 ? {} : undefined;
  const total = (of: (each: Counted["cpus"][number]) => number): number =>
    cpus.reduce((sum, each) => sum + of(each), 0);
  const aborted = total(({ exceptions }) => exceptions);
  const failed = total(({ failedRedirects }) => failedRedirects);
  const redirect = total(({ redirected }) => redirected) + failed;
  const drop = sumOf(driver, "xdp_drops") - aborted - failed;
  const tx = sumOf(driver, "xdp_tx");
  const pass = packets - aborted - redirect - drop - tx;
  const all = { aborted, drop, pass, tx, redirect };
  return Object.fromEntries(
    Object.entries(all).filter(([, value]) => value !== 0),
  );
}

/** Packets by queue; queue i is bound to core i. */
function vethQueues(driver: Counted["driver"]): number[] | undefined {
  const queues: number[] = [];
  for (const [counter, value] of Object.entries(driver)) {
    const queue = /^rx_queue_(\d+)_xdp_packets$/.exec(counter)?.[1];
    if (queue !== undefined) queues[Number(queue)] = value;
  }
  return queues.length === 0 ? undefined : Array.from(queues, (n) => n ?? 0);
}

function count(value: number): string {
  return value.toLocaleString("en");
}
