/** Packets of attacks and oddities; attack-kinds.ts says how many flows each has. */
import type { Random } from "../base/index.ts";
import { buildFrame, tcpFlags, type FrameSpec } from "../packet/index.ts";
import { mix, type FlowTuple } from "./frame-mill.ts";
import { attackFlows, type AttackKind } from "./attack-kinds.ts";
import type { GeneratorModel } from "./generator.ts";
import type { Step, Steps } from "./step.ts";

const victim = 0xc6120001;
const attacker = 0x0a00002a;

/** The packet with that number, of that flow. */
type MakeStep = (
  flow: number,
  index: number,
  model: GeneratorModel,
) => Partial<Step>;

// prettier-ignore
const makers: Readonly<Record<AttackKind, MakeStep>> = {
  "syn-flood":   (flow) => ({ flags: tcpFlags.syn, tuple: tcp(spoofed(flow), 1024 + flow, victim, 80) }),
  "syn-scan":    (flow) => ({ flags: tcpFlags.syn, tuple: tcp(attacker, 40_000, victim + (flow >>> 10), 1 + (flow & 1023)) }),
  "fragments":   (flow, index, { size }) => ({ frame: fragment(flow, index % 2 === 1, size.sizes[0]?.size ?? 64) }),
  "udp-flood":   () => ({ tuple: { protocol: 17, client: attacker, clientPort: 4000, server: victim, serverPort: 53 } }),
  "dhcp-flood":  (_flow, index) => ({ frame: dhcpDiscover(index) }),
  "brute-force": (flow) => ({ tuple: tcp(attacker + (flow & 7), 1024 + flow, victim, 22) }),
  "elephant":    (flow) => ({ tuple: tcp(spoofed(flow), 1024 + (flow & 0x7fff), victim, 443) }),
  "two-flows":   (flow) => ({ tuple: tcp(attacker + flow, 5000, victim, 443) }),
  "flat":        (flow) => ({ tuple: tcp(spoofed(flow), 1024 + flow, victim + (flow & 15), 443) }),
  "odd":         (flow) => ({ frame: buildFrame(oddities[flow % oddities.length] ?? {}) }),
};

/** Share of the packets that the first flow has, where it is not like the others. */
const firstShare: Partial<Readonly<Record<AttackKind, number>>> = {
  elephant: 0.83,
  "two-flows": 0.78,
};

export function attack(model: GeneratorModel, random: Random): Steps {
  const { kind, port, packets } = model;
  const flows = attackFlows(kind, packets);
  const share = firstShare[kind];
  const opened = new Uint8Array(flows);
  let index = 0;
  let others = 0;
  const pick = (): number => {
    if (kind === "fragments") return Math.floor(index / 2) % flows;
    if (share !== undefined)
      return random.chance(share) ? 0 : 1 + (others++ % (flows - 1));
    // Each flow once, then any.
    return index < flows ? index : random.below(flows);
  };
  const next = (): Step => {
    const flow = pick();
    const flags = opened[flow] === 0 ? tcpFlags.syn : tcpFlags.ack;
    opened[flow] = 1;
    const special = makers[kind](flow, index++, model);
    return { flow, reply: false, flags, port, slot: flow, ...special };
  };
  return { next, slots: flows };
}

function tcp(
  client: number,
  clientPort: number,
  server: number,
  serverPort: number,
): FlowTuple {
  return { protocol: 6, client, clientPort, server, serverPort };
}

/** Any address of 11.0.0.0/8. */
function spoofed(flow: number): number {
  return 0x0b000000 | (mix(flow) & 0xffffff);
}

function fragment(flow: number, isSecond: boolean, size: number): Uint8Array {
  const ipv4 = {
    src: BigInt(spoofed(flow)),
    dst: BigInt(victim),
    protocol: 17,
    id: flow & 0xffff,
  };
  const udp = { sport: 1024 + (flow & 0x7fff), dport: 53 };
  return isSecond
    ? buildFrame({ ipv4: { ...ipv4, fragmentOffset: 3 }, size })
    : buildFrame({ ipv4: { ...ipv4, moreFragments: true }, udp, size });
}

/** RFC 2131: op, htype, hlen, hops, xid, …, chaddr at 28, magic cookie at 236. */
function dhcpDiscover(index: number): Uint8Array {
  const payload = new Uint8Array(244);
  payload.set([1, 1, 6, 0]);
  const view = new DataView(payload.buffer);
  view.setUint32(4, mix(index) >>> 0);
  view.setUint16(28, 0x0200);
  view.setUint32(30, mix(~index) >>> 0);
  view.setUint32(236, 0x63825363);
  payload.set([53, 1, 1, 255], 240);
  return buildFrame({
    eth: { dst: "ff:ff:ff:ff:ff:ff" },
    ipv4: { src: "0.0.0.0", dst: "255.255.255.255" },
    udp: { sport: 68, dport: 67 },
    payload,
  });
}

const inner = {
  ipv4: { src: "10.0.0.1", dst: "10.0.0.2" },
  udp: { sport: 1000, dport: 2000 },
};
const hosts = { src: "10.0.0.1", dst: "198.18.0.1" };
const hosts6 = { src: "2001:db8::1", dst: "2001:db8::2" };

// prettier-ignore
const oddities: readonly FrameSpec[] = [
  { arp: { op: 1, senderIp: "10.0.0.1", targetIp: "10.0.0.2" }, size: 64 },
  { ipv4: { src: "10.0.0.1", dst: "224.0.0.22", protocol: 2 }, payload: Uint8Array.of(0x22, 0, 0xf9, 0xfc), size: 64 },
  { vlans: [100, 7], ...inner, size: 64 },
  { eth: { type: 0x8847 }, payload: Uint8Array.of(0, 0, 0x11, 64, 0, 0, 0x21, 64), size: 64 },
  { ipv6: { ...hosts6, nextHeader: 41 }, payload: buildFrame({ ipv6: hosts6, udp: { sport: 1, dport: 2 } }).slice(14) },
  // GTP-U (3GPP TS 29.281): version 1, message 255, tunnel 7.
  { ipv4: hosts, udp: { sport: 2152, dport: 2152 }, payload: Uint8Array.of(0x30, 0xff, 0, 28, 0, 0, 0, 7, ...buildFrame(inner).slice(14)) },
  { ipv4: hosts, udp: { sport: 5000, dport: 4789 }, vxlan: { vni: 7, inner } },
  { ipv4: { ...hosts, options: Uint8Array.of(148, 4, 0, 0) }, udp: { sport: 5, dport: 6 }, size: 64 },
  { ipv4: { ...hosts, protocol: 0 }, size: 64 },
];
