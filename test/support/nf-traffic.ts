/**
 * Traffic for network functions: flows in both directions among everything that may
 * trip a parser, on a clock that stops just before, at and just behind an expiry.
 *
 * A mix says by weights which parts a sequence is made of, and the numbers that its
 * program cares about (mixes of the suite: nf-mixes.ts). A part draws one packet or a
 * run of them from a common pool of flows. The same seed gives the same packets.
 */
import { Random } from "#base";
import type { PacketInput } from "#interp";
import { buildFrame, refreshChecksums, tcpFlags } from "#packet";
import { quickFrame, type FrameWords } from "./quick-frame.ts";

/** Interfaces of the ports, in their order, and one that is none. */
export const interfaces = [1, 2] as const;
export const stranger = 9;

export type PartName = keyof typeof parts;

export interface TrafficMix {
  /** Draws per part; what is not named has the weight in `usual`. */
  readonly parts?: Readonly<Partial<Record<PartName, number>>>;
  /** Spans of time after which something changes. */
  readonly spans?: readonly bigint[];
  /** Nanoseconds between neighbours, at most; default 2000. */
  readonly pace?: number;
  /** Flows begun at one time: a bit more than a table holds. Default 24. */
  readonly burst?: number;
  /** Flows to come back to. Default 20. */
  readonly flows?: number;
  /** How unevenly the flows come back: the i-th as often as 1 / i^skew. Default 0. */
  readonly skew?: number;
  /** The share of flows that begin on port 0; default 0.7. */
  readonly fromFirst?: number;
  readonly clients?: readonly number[];
  readonly servers?: readonly number[];
  readonly serverPorts?: readonly number[];
  /** Source ports of flows, 1024 and on; default: most are any. */
  readonly clientPorts?: number;
  /** Destination and source addresses of frames. */
  readonly stations?: readonly bigint[];
  readonly payloads?: readonly Uint8Array[];
  /** Where answers to translated flows go. */
  readonly mapped?: {
    readonly address: number;
    readonly port: number;
    readonly count: number;
  };
  /** Who says on port 0 that it lives. */
  readonly backends?: readonly { readonly ip: number; readonly mac: bigint }[];
  /** Destination ports in order: a password. */
  readonly knocks?: readonly number[];
}

// prettier-ignore
const usual: Readonly<Record<PartName, number>> = {
  known: 300, fresh: 80, burst: 1.2, echo: 7, lapse: 1.5, odd: 110, cut: 40, stranger: 5, mutant: 60, cover: 40,
  scan: 0.8, crowd: 0.8, sums: 25, talk: 0, knock: 0, mapped: 0, heartbeat: 0, payload: 0, station: 0, near: 0,
};

interface Flow {
  readonly protocol: 6 | 17;
  readonly client: number;
  readonly server: number;
  readonly clientPort: number;
  readonly serverPort: number;
  /** The port that its first packet comes in on. */
  readonly port: number;
  readonly frames: Map<string, Uint8Array>;
}

export interface TrafficOptions {
  readonly seed: number;
  readonly count: number;
  /** Packets found by searches, to draw from and to change. */
  readonly cover?: readonly PacketInput[];
}

export function nfTraffic(
  mix: TrafficMix,
  { seed, count, cover = [] }: TrafficOptions,
): PacketInput[] {
  const maker = new Maker(mix, new Random(seed), cover);
  while (maker.packets.length < count) maker.part();
  return maker.packets.slice(0, count);
}

/** Clocks start at boot, and are read at any time after. */
const starts = [0n, 1_000_000_000n, 1n << 40n, 1n << 53n];
const sizes = [60, 60, 64, 64, 65, 90, 128, 300, 590, 1514];
// prettier-ignore
const flagSets = [tcpFlags.ack, tcpFlags.ack, tcpFlags.ack | tcpFlags.psh, tcpFlags.syn, tcpFlags.syn, tcpFlags.syn | tcpFlags.ack,
  tcpFlags.fin | tcpFlags.ack, tcpFlags.fin, tcpFlags.rst, tcpFlags.syn | tcpFlags.fin, 0, 0xff];
const services = [80, 443, 53, 22, 8080, 100, 101, 102];

class Maker {
  readonly packets: PacketInput[] = [];
  readonly mix: TrafficMix;
  readonly random: Random;
  readonly cover: readonly PacketInput[];
  time: bigint;
  #flows: Flow[] = [];
  #sums: readonly number[] | undefined;
  readonly #names: readonly PartName[];
  readonly #steps: readonly number[];
  readonly #all: number;

  constructor(mix: TrafficMix, random: Random, cover: readonly PacketInput[]) {
    this.mix = mix;
    this.random = random;
    this.time = random.pick(starts);
    this.cover = cover;
    const weights = { ...usual, ...mix.parts };
    this.#names = (Object.keys(weights) as PartName[]).filter(
      (name) => weights[name] > 0,
    );
    let sum = 0;
    this.#steps = this.#names.map((name) => (sum += weights[name]));
    this.#all = sum;
  }

  part(): void {
    const at = this.random.unit() * this.#all;
    const index = this.#steps.findIndex((step) => at < step);
    parts[this.#names[index] ?? "known"](this);
  }

  /** A packet on a port (2: a stranger's), a moment after the one before. */
  add(data: Uint8Array, port: number): void {
    const { pace = 2000 } = this.mix;
    if (!this.random.chance(0.1)) this.time += BigInt(this.random.below(pace));
    this.addNow(data, port);
  }
  addNow(data: Uint8Array, port: number): void {
    this.packets.push({
      data,
      ifindex: interfaces[port] ?? stranger,
      rxQueue: 0,
      cpu: 0,
      time: this.time,
      random: this.random.u32(),
    });
  }
  again(packet: PacketInput): void {
    this.packets.push({
      ...packet,
      time: this.time,
      random: this.random.u32(),
    });
  }

  get span(): bigint {
    const { spans = [] } = this.mix;
    return spans.length === 0 ? 1_000_000n : this.random.pick(spans);
  }

  fresh(fixed: Partial<Flow> = {}): Flow {
    const { random, mix } = this;
    const { clients, servers, serverPorts = services } = mix;
    const { fromFirst = 0.7, clientPorts } = mix;
    const protocol = random.chance(0.6) ? 6 : 17;
    const client =
      clients === undefined
        ? 0x0a00_0000 + random.below(random.chance(0.5) ? 4 : 0x1_0000)
        : random.pick(clients);
    const server =
      servers === undefined
        ? 0xc0a8_0000 + random.below(random.chance(0.5) ? 4 : 0x400)
        : random.pick(servers);
    return {
      protocol,
      client,
      server: random.chance(0.03) ? client : server,
      clientPort:
        clientPorts !== undefined || random.chance(0.3)
          ? 1024 + random.below(clientPorts ?? 4)
          : random.below(0x1_0000),
      serverPort: random.chance(0.9)
        ? random.pick(serverPorts)
        : random.below(0x1_0000),
      port: random.chance(fromFirst) ? 0 : 1,
      ...fixed,
      frames: new Map(),
    };
  }

  /** A flow of the pool, which grows and forgets. */
  known(): Flow {
    const { flows: most = 20, skew } = this.mix;
    const at =
      skew === undefined ? this.random.below(most) : this.#skewed(most, skew);
    return this.#flows[at] ?? this.remember(this.fresh());
  }
  #skewed(most: number, skew: number): number {
    this.#sums ??= Array.from({ length: most }, () => 0).map(
      (
        (sum) => (_: number, at: number) =>
          (sum += (at + 1) ** -skew)
      )(0),
    );
    const mark = this.random.unit() * (this.#sums.at(-1) ?? 1);
    return this.#sums.findIndex((sum) => mark < sum);
  }
  remember(flow: Flow): Flow {
    const most = this.mix.flows ?? 20;
    if (this.#flows.length < most) this.#flows.push(flow);
    else this.#flows[this.random.below(most)] = flow;
    return flow;
  }

  words(flow: Flow, reply: boolean, size: number, flags: number): FrameWords {
    const { protocol, client, server, clientPort, serverPort } = flow;
    return {
      ...this.eth(),
      source: reply ? server : client,
      destination: reply ? client : server,
      protocol,
      id: flags,
      sport: reply ? serverPort : clientPort,
      dport: reply ? clientPort : serverPort,
      flags,
      seq: 7,
      ack: 9,
      size,
    };
  }

  eth(): { readonly dst?: bigint; readonly src?: bigint } {
    const { stations } = this.mix;
    if (stations === undefined) return {};
    return { dst: this.random.pick(stations), src: this.random.pick(stations) };
  }

  /** A frame of a flow; the usual ones are made once. */
  frame(flow: Flow, reply: boolean): Uint8Array {
    const size = this.random.pick(sizes);
    const flags = flow.protocol === 6 ? this.random.pick(flagSets) : 0;
    const name = `${reply} ${size} ${flags}`;
    let frame = flow.frames.get(name);
    if (frame === undefined) {
      frame = quickFrame(this.words(flow, reply, size, flags));
      flow.frames.set(name, frame);
    }
    return frame;
  }

  /** Either way; now and then from the wrong side. */
  pass(flow: Flow): void {
    const reply = this.random.chance(0.4);
    const right = reply ? 1 - flow.port : flow.port;
    const port = this.random.chance(0.05) ? 1 - right : right;
    this.add(this.frame(flow, reply), port);
  }

  anyPort(): number {
    return this.random.below(2);
  }
}

type Part = (maker: Maker) => void;

const parts = {
  /** A flow of the pool, in either direction. */
  known: (maker) => maker.pass(maker.known()),
  fresh: (maker) => {
    const flow = maker.remember(maker.fresh());
    maker.add(maker.frame(flow, false), flow.port);
  },
  /** More flows at one time than a table takes. */
  burst: (maker) => {
    const { burst = 24 } = maker.mix;
    const port = maker.random.chance(0.7) ? 0 : 1;
    for (let left = burst + maker.random.below(burst); left > 0; left--) {
      const flow = maker.fresh({ port });
      if (maker.random.chance(0.3)) maker.remember(flow);
      maker.addNow(maker.frame(flow, false), port);
    }
  },
  /** The last packet or an answer to a known one again, a span later to the nanosecond. */
  echo: (maker) => {
    const { random } = maker;
    const flow = maker.known();
    maker.add(maker.frame(flow, false), flow.port);
    const last = maker.packets.at(-1);
    maker.time += maker.span + BigInt(random.below(3) - 1);
    const reply = random.chance(0.5);
    if (last !== undefined && random.chance(0.4)) maker.again(last);
    else
      maker.addNow(maker.frame(flow, reply), reply ? 1 - flow.port : flow.port);
  },
  /** A part of a span, so that some of a table is old and some is not. */
  lapse: (maker) => {
    const quarters = BigInt(1 + maker.random.below(6));
    maker.time += (maker.span * quarters) / 4n;
  },
  odd: (maker) => {
    const { random } = maker;
    const flow = maker.known();
    const reply = random.chance(0.4);
    const flags = random.pick(flagSets);
    const words = maker.words(flow, reply, 120, flags);
    const made = random.pick(oddities)(words, random);
    const data = made instanceof Uint8Array ? made : quickFrame(made);
    maker.add(data, maker.anyPort());
  },
  /** Every length around the end of a header. */
  cut: (maker) => {
    const { random } = maker;
    const flow = maker.known();
    const ihl = random.pick([0, 0, 0, 4, 8]);
    const vlans = random.chance(0.2) ? [random.below(0x1_0000)] : [];
    const data = quickFrame({
      ...maker.words(flow, random.chance(0.5), 120, random.pick(flagSets)),
      vlans,
      options: random.bytes(ihl),
    });
    const l3 = 14 + 4 * vlans.length;
    const l4 = l3 + 20 + ihl;
    // prettier-ignore
    const end = random.pick([0, 12, 14, 16, 18, l3, l3 + 1, l3 + 20, l4, l4 + 4, l4 + 8, l4 + 12, l4 + 14, l4 + 16, l4 + 20, l4 + 24]);
    const size = Math.max(0, end + random.below(3) - 1);
    maker.add(data.slice(0, size), maker.anyPort());
  },
  stranger: (maker) => maker.add(maker.frame(maker.known(), false), 2),
  mutant: (maker) => {
    const { random } = maker;
    const flow = maker.known();
    const reply = random.chance(0.4);
    const data = maker.frame(flow, reply).slice();
    for (let left = 1 + random.below(3); left > 0; left--) {
      const at = random.below(random.chance(0.8) ? 54 : data.length);
      data[at] = random.chance(0.5)
        ? random.u32()
        : (data[at] ?? 0) ^ (1 << random.below(8));
    }
    maker.add(data, reply ? 1 - flow.port : flow.port);
  },
  cover: (maker) => {
    const { random, cover } = maker;
    if (cover.length === 0) return;
    const { data, ifindex } = random.pick(cover);
    const port = interfaces.indexOf(ifindex as 1 | 2);
    if (random.chance(0.5)) maker.add(data, port < 0 ? 2 : port);
    else {
      const copy = data.slice();
      if (copy.length > 0) {
        const at = random.below(Math.min(copy.length, 64));
        copy[at] = random.u32();
      }
      maker.add(copy, port < 0 ? 2 : port);
    }
  },
  /** One source asks many ports of one host. */
  scan: (maker) => {
    const flow = maker.fresh();
    const { burst = 24 } = maker.mix;
    for (let left = burst + maker.random.below(burst); left > 0; left--)
      maker.add(
        maker.frame(
          { ...flow, serverPort: maker.random.below(200), frames: new Map() },
          false,
        ),
        flow.port,
      );
  },
  /** Many flows of one pair of hosts, each more than once. */
  crowd: (maker) => {
    const flow = maker.fresh();
    const { burst = 24 } = maker.mix;
    for (let left = burst + maker.random.below(burst); left > 0; left--) {
      const next = {
        ...flow,
        clientPort: maker.random.below(2 * burst),
        frames: new Map<string, Uint8Array>(),
      };
      maker.add(maker.frame(next, false), flow.port);
    }
    maker.remember(flow);
  },
  /** The last packet again with a checksum that is wrong, none, or at the edge. */
  sums: (maker) => {
    const { random } = maker;
    const last = maker.packets.at(-1);
    if (last === undefined || last.data.length < 34) return;
    const data = last.data.slice();
    const l4 = 14 + 4 * ((data[14] ?? 0) & 15);
    const field = random.chance(0.3) ? 24 : l4 + (data[23] === 17 ? 6 : 16);
    const word = random.pick([0, 0, 1, 0xfffe, 0xffff, random.below(0x1_0000)]);
    if (field + 2 <= data.length) data.set([word >> 8, word & 0xff], field);
    maker.again({ ...last, data });
  },
  /** A TCP connection from SYN to the last ACK, mostly with the right numbers. */
  talk: (maker) => {
    const { random } = maker;
    const flow = maker.fresh({ protocol: 6 });
    const same = random.chance(0.15);
    const pair = same ? { ...flow, server: flow.client } : flow;
    let [mine, theirs] = [random.u32(), random.u32()];
    const { syn, ack, fin, rst, psh } = tcpFlags;
    const say = (reply: boolean, flags: number): void => {
      if (random.chance(0.06)) return;
      const wrong = random.chance(0.06) ? random.below(3) : 0;
      const [seq, answer] = reply ? [theirs, mine] : [mine, theirs];
      const other = random.chance(0.04) ? rst : 0;
      const data = quickFrame({
        ...maker.words(pair, reply, 60, 0),
        flags: flags | other,
        seq: seq + wrong,
        ack: (flags & ack) === 0 ? 0 : answer,
      });
      maker.add(data, reply ? 1 - flow.port : flow.port);
      if (random.chance(0.1)) {
        maker.add(data, reply ? 1 - flow.port : flow.port);
      }
    };
    const more = (value: number): number => (value + 1) >>> 0;
    // The low byte never wraps: which bytes "+1" carries into is tried by `sums`.
    say(false, syn);
    mine = more(mine);
    say(true, syn | ack);
    theirs = more(theirs);
    say(false, ack);
    for (let left = random.below(4); left > 0; left--)
      say(random.chance(0.5), ack | psh);
    const closer = random.chance(0.5);
    say(closer, fin | ack);
    // FIN_WAIT_1 wants SEQ = the closer's ACK number, from the other side.
    say(!closer, ack);
    say(!closer, fin | ack);
    say(closer, ack);
    say(!closer, ack);
    if (random.chance(0.2)) maker.time += maker.span;
  },
  knock: (maker) => {
    const { random } = maker;
    const { knocks = [100, 101, 102] } = maker.mix;
    const flow = maker.fresh({ protocol: 6 });
    const { syn, ack, fin } = tcpFlags;
    const ports = random.chance(0.7)
      ? knocks
      : knocks.map(() => random.pick([...knocks, 7]));
    for (const [at, port] of [...ports, random.pick([...ports, 7])].entries()) {
      const flags =
        (at === 0 && random.chance(0.9) ? syn : ack) |
        (random.chance(0.08) ? fin : 0);
      const words = maker.words(flow, false, 60, flags);
      maker.add(quickFrame({ ...words, dport: port }), flow.port);
    }
  },
  /** What the other side of an address translation answers to, or guesses. */
  mapped: (maker) => {
    const { random, mix } = maker;
    const { mapped } = mix;
    if (mapped === undefined) return;
    const flow = maker.known();
    const { address, port, count } = mapped;
    const clientPort =
      (port + random.below(count + 2) - (random.chance(0.1) ? 1 : 0)) & 0xffff;
    const translated = {
      ...flow,
      client: random.chance(0.9) ? address : flow.client,
      clientPort,
      frames: new Map<string, Uint8Array>(),
    };
    const data = maker.frame(translated, true);
    if (flow.protocol === 17 && random.chance(0.15)) {
      const unchecked = data.slice();
      unchecked.fill(0, 40, 42);
      maker.add(unchecked, 1);
    } else maker.add(data, 1);
  },
  heartbeat: (maker) => {
    const { random, mix } = maker;
    const backend = random.pick(mix.backends ?? [{ ip: 1, mac: 1n }]);
    const flow = maker.fresh({ client: backend.ip });
    const words = maker.words(flow, false, 60, tcpFlags.ack);
    const src = random.chance(0.9) ? backend.mac : random.u64() >> 16n;
    maker.add(quickFrame({ ...words, src }), 0);
  },
  /** Payloads that somebody looks for, at some place in the segment, or almost. */
  payload: (maker) => {
    const { random, mix } = maker;
    const { payloads = [new Uint8Array(8)] } = mix;
    const flow = maker.known();
    const reply = random.chance(0.3);
    const wanted = random.pick(payloads).slice();
    if (random.chance(0.3) && wanted.length > 0)
      wanted[random.below(wanted.length)] = random.u32();
    const offset = random.pick([5, 5, 5, 5, 6, 8, 15, 4, 0]);
    const options = flow.protocol === 6 ? Math.max(0, 4 * (offset - 5)) : 0;
    const before = options + (random.chance(0.5) ? 0 : random.below(20));
    const after = random.chance(0.5) ? 0 : random.below(20);
    const payload = new Uint8Array(before + wanted.length + after);
    payload.set(random.bytes(before));
    payload.set(wanted, before);
    const words = maker.words(flow, reply, 0, tcpFlags.ack);
    const data = quickFrame({ ...words, payload, offset });
    const cut = random.chance(0.1) ? random.below(wanted.length + 1) : 0;
    maker.add(
      data.slice(0, data.length - cut),
      reply ? 1 - flow.port : flow.port,
    );
  },
  /** Frames between stations, of any kind. */
  station: (maker) => {
    const { random } = maker;
    const port = maker.anyPort();
    const size = random.pick([14, 60, 60, 64, 200]);
    const { dst = 1n, src = 2n } = maker.eth();
    const data = new Uint8Array(size);
    const view = new DataView(data.buffer);
    view.setBigUint64(0, dst << 16n);
    view.setUint32(6, Number(src >> 16n));
    view.setUint16(10, Number(src & 0xffffn));
    view.setUint16(12, random.pick([0x0800, 0x88b5, 0x86dd]));
    maker.add(data, port);
  },
  /** Sources that share a prefix with a known one. */
  near: (maker) => {
    const { random } = maker;
    const flow = maker.known();
    const client = (flow.client ^ (1 << random.below(32))) >>> 0;
    const other = maker.fresh({ client, port: flow.port });
    for (let left = 1 + random.below(12); left > 0; left--)
      maker.add(maker.frame(other, false), flow.port);
  },
} satisfies Readonly<Record<string, Part>>;

type Oddity = (words: FrameWords, random: Random) => FrameWords | Uint8Array;

const ipv6 = { src: 0x20010db8n << 96n, dst: (0x20010db8n << 96n) + 1n };
const ports = { sport: 53, dport: 80 };
/** Frames that have no IPv4 header, or no ports behind it. */
const others = [
  { ipv6, tcp: { ...ports, flags: tcpFlags.syn }, size: 90 },
  { ipv6, udp: ports, size: 90 },
  { ipv6, icmp: { type: 128 }, size: 70 },
  { vlans: [3], ipv6, tcp: ports, size: 90 },
  { ipv4: { src: 0x0a000001n, dst: 0xc0a80001n }, icmp: { type: 8, id: 1 } },
  { ipv4: { src: 0xc0a80001n, dst: 0x0a000001n }, icmp: { type: 0, id: 1 } },
  { arp: { op: 1, senderIp: 0x0a000001n, targetIp: 0x0a000002n }, size: 60 },
  { payload: new Uint8Array(46) },
].map((spec) => buildFrame(spec));

/** Changes a byte of the IPv4 header and keeps its checksum right. */
function withByte(words: FrameWords, at: number, value: number): Uint8Array {
  const data = quickFrame(words);
  data[at] = value;
  return refreshChecksums(data);
}

const oddities: readonly Oddity[] = [
  (words) => ({ ...words, fragment: 0x2000 }),
  (words, random) => ({ ...words, fragment: 1 + random.below(0x1fff) }),
  (words, random) => ({ ...words, fragment: 0x2000 | random.below(0x1fff) }),
  (words) => ({ ...words, fragment: 0x4000 }),
  (words) => ({ ...words, fragment: 0x8000 }),
  (words, random) => ({
    ...words,
    options: random.bytes(4 * (1 + random.below(10))),
  }),
  (words, random) => ({
    ...words,
    options: new Uint8Array(4 * (1 + random.below(10))).fill(1),
  }),
  (words, random) => ({ ...words, ttl: random.pick([0, 1, 2, 255]) }),
  (words, random) => ({ ...words, tos: random.below(256) }),
  (words, random) => ({
    ...words,
    protocol: random.pick([0, 1, 2, 6, 17, 47, 132, 255]),
  }),
  (words) => ({ ...words, vlans: [7] }),
  (words, random) => ({ ...words, vlans: [random.below(0x1_0000), 9] }),
  (_, random) => random.pick(others),
  (_, random) => random.pick(others),
  (_, random) => random.pick(others),
  // The header says less or more than there is.
  (words, random) => withByte(words, 14, random.below(256)),
  (words, random) => withByte(words, 17, random.below(256)),
  (_, random) => random.bytes(random.below(90)),
  (words, random) => {
    const data = quickFrame(words);
    data[12] = random.pick([0x08, 0x81, 0x86, 0x88]);
    data[13] = random.pick([0x00, 0xa8, 0xdd, 0x06]);
    return data;
  },
];
