/**
 * Traffic with churn, for programs on several cores of one memory.
 *
 * TCP connections run in both directions between two ports, each opened by SYN, SYN and
 * ACK, ACK. A packet goes to the core that a hash
 * of its four-tuple names, so the two directions of a flow meet on any core, as with
 * any RSS key. A new flow takes an old one's place: as many in the measured part as the
 * churn says, in flows per minute of the trace's time at one packet every 100 ns.
 *
 * Packets come in blocks: in each, every core gets as many as a batch of the engine has,
 * and all have one time. Cores that begin batches together (engine's abreast.ts) then
 * agree on what time it is, as cores with one clock do; without that, refreshing what
 * another core has just refreshed "in the future" would make writers of readers.
 *
 * First all flows are opened, then come others up to `warmUp` packets a core, then those
 * that count. Law: nothing but the measured part has new flows.
 */
import { Random } from "#base";
import { PackedPackets } from "#engine";
import type { PacketInput } from "#interp";
import { buildFrame } from "#packet";

export const flows = 4096;
export const spacingNs = 100;
/** Packets of a batch of the engine. */
const block = 256;
/** A core's packets that do not count, those that open all flows among them. */
export const warmUp = 32_768;
const seed = 1;

export interface ChurnedTraffic {
  readonly packets: readonly PacketInput[];
  readonly packed: PackedPackets;
  readonly steer: Uint8Array;
  /** Of the measured part: flows that begin, and packets. */
  readonly newFlows: number;
  readonly measured: number;
  /** What that makes by the trace's time. */
  readonly perMinute: number;
}

interface Frame {
  readonly data: Uint8Array;
  readonly hash: number;
  readonly direction: number;
}

interface Flow {
  /** SYN, SYN and ACK, ACK. */
  readonly opening: readonly Frame[];
  /** What comes then, by direction. */
  readonly frames: readonly Frame[];
  sent: number;
}

const flag = { syn: 2, ack: 16 } as const;
/** Some network functions look at payloads: each flow repeats its own. */
const payloadBytes = 8;

/** Addresses of flow n: of the host inside, and of its server. */
export function endsOf(number: number): readonly [string, string] {
  return [
    `10.${(number >> 14) & 63}.${(number >> 7) & 127}.${1 + (number & 127)}`,
    `192.168.${number % 7}.${1 + (number % 31)}`,
  ];
}

function newFlow(number: number): Flow {
  const ends = endsOf(number);
  const ports = [1024 + (number % 60_000), 100] as const;
  // Stations are as many as hosts.
  const frame = (direction: 0 | 1, flags: number, size: number): Frame => {
    const [from, to] = direction === 0 ? ends : ([ends[1], ends[0]] as const);
    const [sport, dport] =
      direction === 0 ? ports : ([ports[1], ports[0]] as const);
    const isFirst = flags === flag.syn;
    const payload = new Uint8Array(size).fill(number);
    const data = buildFrame({
      ipv4: { src: from, dst: to },
      tcp: {
        sport,
        dport,
        flags,
        seq: (flags & flag.syn) === 0 ? 1 : 0,
        ack: isFirst ? 0 : 1,
      },
      payload,
    });
    data.set(macOf(to), 0);
    data.set(macOf(from), 6);
    return { data, hash: hash(data.subarray(26, 38)), direction };
  };
  return {
    opening: [
      frame(0, flag.syn, 0),
      frame(1, flag.syn | flag.ack, 0),
      frame(0, flag.ack, 0),
    ],
    frames: [
      frame(0, flag.ack, payloadBytes),
      frame(1, flag.ack, payloadBytes),
    ],
    sent: 0,
  };
}

function macOf(address: string): number[] {
  return [2, 0, ...address.split(".").map(Number)];
}

function hash(bytes: Uint8Array): number {
  let sum = 0x811c_9dc5;
  for (const byte of bytes) sum = Math.imul(sum ^ byte, 0x0100_0193);
  return (sum ^ (sum >>> 15)) >>> 0;
}

/** `count`: packets of each core that are measured. */
export function churnedTraffic(
  perMinute: number,
  cores: number,
  count: number,
): ChurnedTraffic {
  const random = new Random(seed);
  const live = Array.from({ length: flows }, (_, number) => newFlow(number));
  const packets: PacketInput[] = [];
  const steer: number[] = [];
  const left = Array.from({ length: cores }, (): number => block);
  const add = ({ data, hash: sum, direction }: Frame): void => {
    const core = sum % cores;
    const number = Math.floor(packets.length / (block * cores));
    const time = BigInt(1_000_000_000 + number * block * cores * spacingNs);
    left[core] = (left[core] ?? 0) - 1;
    if (Math.max(...left) === 0) left.fill(block);
    packets.push({ data, time, ifindex: 1 + direction, rxQueue: 0, cpu: 0 });
    steer.push(core);
  };
  /** The flow's next packet, if there is room for it. */
  const send = (flow: Flow | undefined): boolean => {
    const frame = flow?.opening[flow.sent] ?? flow?.frames[random.below(2)];
    if (flow === undefined || frame === undefined) return false;
    if (left[frame.hash % cores] === 0) return false;
    flow.sent++;
    add(frame);
    return true;
  };
  const someone = (): void => {
    while (!send(live[random.below(flows)]));
  };
  let closed: readonly Flow[] = live;
  while (closed.length > 0) {
    const before = packets.length;
    closed = closed.filter((flow) => {
      send(flow);
      return flow.sent < flow.opening.length;
    });
    // What is left is all of cores that have their share of this block.
    if (packets.length === before) someone();
  }
  while (packets.length < warmUp * cores) someone();
  const every = perMinute === 0 ? Infinity : 6e10 / perMinute / spacingNs;
  let born = flows;
  let due = packets.length + every;
  const end = packets.length + count * cores;
  while (packets.length < end) {
    while (packets.length >= due) {
      due += every;
      live[born % flows] = newFlow(born);
      born++;
    }
    someone();
  }
  const newFlows = born - flows;
  const measured = count * cores;
  return {
    packets,
    packed: PackedPackets.pack(packets),
    steer: Uint8Array.from(steer),
    newFlows,
    measured,
    perMinute: Math.round((6e10 * newFlows) / (measured * spacingNs)),
  };
}
