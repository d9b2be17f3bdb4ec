/**
 * Network functions as plain JavaScript: send frames, read words.
 *
 * `session(nf).send(frame, port, now)` answers the verdict as a word (`out 1`,
 * `flood`, `drop`) and the frame as it left; `words(map)` are the contents of a
 * map as `KEY VALUE` in hexadecimal, the bytes that the BPF map would hold.
 */
import { deepEqual, equal } from "node:assert/strict";
import { toHex } from "#base";
import { buildFrame, tcpFlags, type FrameSpec } from "#packet";
import {
  open,
  type Config,
  type Emitted,
  type Instance,
  type Nf,
  type State,
} from "divisi/nf";

export const lan = 0;
export const wan = 1;
export const second = 1_000_000_000n;

export interface Sender {
  readonly send: (
    frame: FrameSpec | Uint8Array,
    port?: number,
    now?: bigint,
  ) => Sent;
  readonly words: (map: string) => readonly string[];
}

export interface Session<C extends Config, S extends State> extends Sender {
  readonly instance: Instance<C, S>;
}

export interface Sent {
  readonly verdict: string;
  readonly frame: Uint8Array;
  readonly events: readonly Emitted[];
}

export function session<C extends Config, S extends State>(
  nf: Nf<C, S>,
  set: Partial<C> = {},
): Session<C, S> {
  const instance = open(nf, { set });
  return {
    instance,
    send: (frame, port = lan, now = 0n) => {
      const bytes = frame instanceof Uint8Array ? frame : buildFrame(frame);
      const result = instance.packet(bytes, { port, now });
      const { verdict } = result;
      const word =
        verdict.kind === "out"
          ? `out ${verdict.port}`
          : verdict.kind === "redirect"
            ? `redirect ${verdict.ifindex}`
            : verdict.kind;
      return { verdict: word, frame: result.frame, events: result.events };
    },
    words: (map) =>
      (instance.contents()[map] ?? []).map(
        ({ key, value }) => `${toHex(key)} ${toHex(value)}`,
      ),
  };
}

/** One packet and the verdict it must get: what, frame, verdict, port, time. */
export type Step = readonly [
  string,
  FrameSpec | Uint8Array,
  string,
  number?,
  bigint?,
];

/** Sends the packets in order; each must get its verdict. */
export function expectVerdicts(to: Sender, steps: readonly Step[]): void {
  deepEqual(
    steps.map(([what, frame, , port, now]) => [
      what,
      to.send(frame, port, now).verdict,
    ]),
    steps.map(([what, , verdict]) => [what, verdict]),
  );
}

export const inside = "10.0.0.1";
export const server = "192.168.0.9";

export const tcp = (
  sport: number,
  dport: number,
  flags: number = tcpFlags.ack,
): FrameSpec => ({
  ipv4: { src: inside, dst: server },
  tcp: { sport, dport, flags },
});

export const udp = (sport: number, dport: number): FrameSpec => ({
  ipv4: { src: inside, dst: server },
  udp: { sport, dport },
});

/** The packet that answers `frame`: addresses and ports swapped. */
export function answer(frame: FrameSpec): FrameSpec {
  const { ipv4, tcp: segment, udp: datagram, ...rest } = frame;
  const swapped = <T extends { sport: number; dport: number }>(l4: T): T => ({
    ...l4,
    sport: l4.dport,
    dport: l4.sport,
  });
  return {
    ...rest,
    ...(ipv4 && { ipv4: { ...ipv4, src: ipv4.dst, dst: ipv4.src } }),
    ...(segment && { tcp: swapped(segment) }),
    ...(datagram && { udp: swapped(datagram) }),
  };
}

const nops = new Uint8Array([1, 1, 1, 1]);

/** The same packet with four bytes of IPv4 options. */
export function withOptions(frame: FrameSpec): FrameSpec {
  const { ipv4 } = frame;
  return ipv4 === undefined
    ? frame
    : { ...frame, ipv4: { ...ipv4, options: nops } };
}

export const arp: FrameSpec = {
  arp: { op: 1, senderIp: inside, targetIp: server },
};
export const icmp: FrameSpec = {
  ipv4: { src: inside, dst: server },
  icmp: { type: 8 },
};

/** Frames that hold no whole TCP or UDP packet over IPv4, each with its name. */
export const notL4: readonly (readonly [string, FrameSpec | Uint8Array])[] = [
  ["nothing", new Uint8Array()],
  ["13 bytes", new Uint8Array(13)],
  ["Ethernet only", new Uint8Array(14)],
  ["ARP", arp],
  ["ICMP", icmp],
  ["IPv6", { ipv6: { src: "::1", dst: "::2" }, udp: { sport: 1, dport: 2 } }],
  ["behind a tag", { ...tcp(1, 2), vlans: [5] }],
  [
    "first fragment",
    { ...tcp(1, 2), ipv4: { src: inside, dst: server, moreFragments: true } },
  ],
  [
    "later fragment",
    { ...udp(1, 2), ipv4: { src: inside, dst: server, fragmentOffset: 1 } },
  ],
  ["IPv4 header cut", buildFrame(tcp(1, 2)).subarray(0, 33)],
  ["options cut", buildFrame(withOptions(tcp(1, 2))).subarray(0, 37)],
  ["TCP header cut", buildFrame(tcp(1, 2)).subarray(0, 53)],
  ["UDP header cut", buildFrame(udp(1, 2)).subarray(0, 41)],
];

/** The frame leaves with `verdict` as `want`, whose checksums are computed anew. */
export function expectFrame(
  to: Sender,
  [what, frame, verdict, port, now]: Step,
  want: FrameSpec,
): void {
  const sent = to.send(frame, port, now);
  equal(sent.verdict, verdict, what);
  deepEqual(sent.frame, buildFrame(want), what);
}

/** What is no whole TCP or UDP packet is dropped. */
export const dropped = (port: number): readonly Step[] =>
  notL4.map(([what, frame]) => [what, frame, "drop", port]);
