/**
 * What a trace is like: packets, flows, how unevenly they are spread, how fast it
 * is; and how evenly a given choice of queues would spread it.
 *
 * A flow is a five-tuple in one direction; fragments and port-less packets have
 * ports 0, frames that are no IP packets are one flow per EtherType. Memory grows
 * with the flows, not with the packets. The Zipf exponent is the maximum-likelihood
 * one over the observed ranks (Clauset, Shalizi, Newman 2009 for the method); on few
 * packets it is biased upwards, since ranks are sorted by what was observed.
 */
import { flowKey, parseFrame } from "../packet/index.ts";
import type { Trace, TracePacket } from "./packet.ts";

export interface ZipfFit {
  /** s of P(rank r) ~ r^-s. */
  readonly skew: number;
  /** Largest gap between the observed and the fitted cumulative share, 0 … 1. */
  readonly distance: number;
}

export interface TraceStatistics {
  readonly packets: number;
  readonly flows: number;
  /** On the wire. */
  readonly bytes: number;
  /** Packets captured short of their length on the wire. */
  readonly truncated: number;
  readonly size: {
    readonly least: number;
    readonly mean: number;
    readonly most: number;
  };
  /** Share of packets in the 1, 10, 100 largest flows. */
  readonly shares: {
    readonly top1: number;
    readonly top10: number;
    readonly top100: number;
  };
  /** How many of the largest flows carry that share of the packets. */
  readonly flowsFor: { readonly half: number; readonly most: number };
  /** Absent with fewer than two flows. */
  readonly zipf?: ZipfFit;
  /** From the first packet's time to the last one's. */
  readonly nanoseconds: bigint;
  /** Over the gaps between packets, n - 1; absent with no time between any two. */
  readonly packetsPerSecond?: number;
  readonly bitsPerSecond?: number;
  readonly newFlowsPerSecond?: number;
  /** Packets by protocol: `tcp`, `udp`, `icmp`, `ip-47`, `arp`, `ethertype-88cc`. */
  readonly protocols: Readonly<Record<string, number>>;
  /** Packets by port index. */
  readonly ports: readonly number[];
}

export async function flowStatistics(trace: Trace): Promise<TraceStatistics> {
  const counter = new FlowCounter();
  for await (const packet of trace) counter.add(packet);
  return counter.finish();
}

/** Counts as packets come by; for callers that read the trace themselves. */
export class FlowCounter {
  readonly #flows = new Map<string, { packets: number }>();
  readonly #protocols = new Map<string, number>();
  readonly #ports: number[] = [];
  #packets = 0;
  #bytes = 0;
  #truncated = 0;
  #least = Number.POSITIVE_INFINITY;
  #most = 0;
  #first = 0n;
  #last = 0n;

  add({ data, wireLength, time, port }: TracePacket): void {
    if (this.#packets === 0) this.#first = this.#last = time;
    this.#packets++;
    this.#bytes += wireLength;
    if (data.length < wireLength) this.#truncated++;
    if (wireLength < this.#least) this.#least = wireLength;
    if (wireLength > this.#most) this.#most = wireLength;
    if (time < this.#first) this.#first = time;
    if (time > this.#last) this.#last = time;
    this.#ports[port] = (this.#ports[port] ?? 0) + 1;
    const parsed = parseFrame(data);
    const key = flowKey(parsed);
    const flow = this.#flows.get(key);
    if (flow === undefined) this.#flows.set(key, { packets: 1 });
    else flow.packets++;
    const name = protocolName(parsed);
    this.#protocols.set(name, (this.#protocols.get(name) ?? 0) + 1);
  }

  finish(): TraceStatistics {
    const counts = Float64Array.from(
      this.#flows.values(),
      ({ packets }) => packets,
    );
    counts.sort().reverse();
    const nanoseconds = this.#last - this.#first;
    const seconds = Number(nanoseconds) / 1e9;
    const packets = this.#packets;
    // The last packet ends the time: its own span is not in it.
    const rate = (count: number): number =>
      (count * (packets - 1)) / packets / seconds;
    const zipf = fitZipf(counts);
    return {
      packets,
      flows: counts.length,
      bytes: this.#bytes,
      truncated: this.#truncated,
      size: {
        least: packets === 0 ? 0 : this.#least,
        mean: packets === 0 ? 0 : this.#bytes / packets,
        most: this.#most,
      },
      shares: {
        top1: share(counts, 1, packets),
        top10: share(counts, 10, packets),
        top100: share(counts, 100, packets),
      },
      flowsFor: {
        half: flowsFor(counts, 0.5 * packets),
        most: flowsFor(counts, 0.9 * packets),
      },
      ...(zipf === undefined ? {} : { zipf }),
      nanoseconds,
      ...(seconds > 0 && {
        packetsPerSecond: rate(packets),
        bitsPerSecond: rate(8 * this.#bytes),
        newFlowsPerSecond: rate(counts.length),
      }),
      protocols: Object.fromEntries(
        [...this.#protocols].sort(([, left], [, right]) => right - left),
      ),
      ports: Array.from(this.#ports, (count) => count ?? 0),
    };
  }
}

export interface QueueLoad {
  /** Packets per queue. */
  readonly packets: readonly number[];
  /** Largest load over the mean load; 1 is even, the number of queues is the worst. */
  readonly imbalance: number;
}

/** Spread of a trace over `queues` queues; a packet without queue counts nowhere. */
export async function queueLoad(
  trace: Trace,
  queues: number,
  queueOf: (packet: TracePacket) => number | undefined,
): Promise<QueueLoad> {
  const packets = Array<number>(queues).fill(0);
  for await (const packet of trace) {
    const queue = queueOf(packet);
    if (queue === undefined || queue < 0 || queue >= queues) continue;
    packets[queue] = (packets[queue] ?? 0) + 1;
  }
  const total = packets.reduce((sum, count) => sum + count, 0);
  const imbalance = total === 0 ? 1 : (Math.max(...packets) * queues) / total;
  return { packets, imbalance };
}

/** Fits counts that are sorted, largest first. */
export function fitZipf(counts: Float64Array): ZipfFit | undefined {
  const ranks = counts.length;
  if (ranks < 2) return undefined;
  let packets = 0;
  let logs = 0;
  for (let rank = 1; rank <= ranks; rank++) {
    const count = counts[rank - 1] ?? 0;
    packets += count;
    logs += count * Math.log(rank);
  }
  // At the maximum the mean log rank of the model is the observed one; it falls as s grows.
  const wanted = logs / packets;
  let low = 0;
  let high = 8;
  for (let step = 0; step < 40; step++) {
    const middle = (low + high) / 2;
    const { weight, logs: modelLogs } = harmonic(ranks, middle);
    if (modelLogs / weight > wanted) low = middle;
    else high = middle;
  }
  const skew = (low + high) / 2;
  return { skew, distance: distance(counts, packets, skew) };
}

/** Sums of r^-s and of r^-s ln r for r = 1 … ranks; beyond 200 in blocks of 1 %. */
function harmonic(
  ranks: number,
  skew: number,
): { readonly weight: number; readonly logs: number } {
  let weight = 0;
  let logs = 0;
  for (let rank = 1; rank <= ranks;) {
    const width = Math.min(
      Math.max(1, Math.floor(rank / 100)),
      ranks - rank + 1,
    );
    const middle = rank + (width - 1) / 2;
    const part = width * middle ** -skew;
    weight += part;
    logs += part * Math.log(middle);
    rank += width;
  }
  return { weight, logs };
}

function distance(counts: Float64Array, packets: number, skew: number): number {
  const { weight } = harmonic(counts.length, skew);
  let seen = 0;
  let model = 0;
  let gap = 0;
  for (let rank = 1; rank <= counts.length; rank++) {
    seen += (counts[rank - 1] ?? 0) / packets;
    model += rank ** -skew / weight;
    gap = Math.max(gap, Math.abs(seen - model));
  }
  return gap;
}

function share(counts: Float64Array, top: number, packets: number): number {
  if (packets === 0) return 0;
  return counts.subarray(0, top).reduce((sum, one) => sum + one, 0) / packets;
}

function flowsFor(counts: Float64Array, wanted: number): number {
  let sum = 0;
  let flows = 0;
  while (flows < counts.length && sum < wanted) sum += counts[flows++] ?? 0;
  return flows;
}

function protocolName(parsed: ReturnType<typeof parseFrame>): string {
  const { l3, l4, protocol, etherType } = parsed;
  if (l3 === "arp") return "arp";
  if (l3 === undefined || protocol === undefined)
    return `ethertype-${(etherType ?? 0).toString(16).padStart(4, "0")}`;
  if (l4 === undefined || l4 === "other")
    return protocolNames[protocol] ?? `ip-${protocol}`;
  return l4;
}

// prettier-ignore
const protocolNames: Readonly<Record<number, string>> = { 1: "icmp", 2: "igmp", 4: "ip-in-ip", 6: "tcp", 17: "udp", 41: "ip-in-ip", 47: "gre", 58: "icmpv6", 132: "sctp" };
