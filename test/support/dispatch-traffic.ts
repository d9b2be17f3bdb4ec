/** Traces whose packets are in tunnels or behind tags, made of plain ones. */
import { buildFrame, type FrameSpec } from "#packet";
import { generate, parseGenerator, type TracePacket } from "#traffic";

const outer = {
  ipv4: { src: "192.0.2.1", dst: "192.0.2.2" },
} as const satisfies FrameSpec;

const joined = (...parts: readonly Uint8Array[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((part) => [...part]));

function inUdp(dport: number, payload: Uint8Array, port: number): Uint8Array {
  return buildFrame({
    ...outer,
    udp: { sport: 40_000 + port, dport, checksum: "none" },
    payload,
  });
}

/** What each kind makes of a frame that came in on a port. */
// prettier-ignore
const wrappings = {
  plain: (frame: Uint8Array) => frame,
  vxlan: (frame: Uint8Array, port: number) =>
    inUdp(4789, joined(Uint8Array.of(8, 0, 0, 0, 0, 0, 7, 0), frame), port),
  gtp: (frame: Uint8Array, port: number) =>
    inUdp(2152, joined(Uint8Array.of(0x30, 255, 0, frame.length - 14, 0, 0, 0, 9), frame.subarray(14)), port),
  // Ids from the last byte of both addresses.
  tagged: (frame: Uint8Array) =>
    joined(frame.subarray(0, 12), Uint8Array.of(0x88, 0xa8, 0, (frame[29] ?? 0) & 15, 0x81, 0, 0, (frame[33] ?? 0) & 15), frame.subarray(12)),
} as const;

export type Wrapping = keyof typeof wrappings | "ipv6";

/** `text`: a generator without its `gen:`. */
export function dispatchTraffic(
  kind: Wrapping,
  text: string,
): readonly TracePacket[] {
  return [...generate(parseGenerator(`gen:${text}`))].map((packet) => {
    const data =
      kind === "ipv6"
        ? asIpv6(packet.data)
        : wrappings[kind](packet.data, packet.port);
    return { ...packet, data, wireLength: data.length };
  });
}

/** The same addresses behind a prefix, the same ports. */
function asIpv6(frame: Uint8Array): Uint8Array {
  const word = (at: number): bigint =>
    BigInt(new DataView(frame.buffer, frame.byteOffset).getUint32(at));
  const prefix = 0x2001_0db8n << 96n;
  const view = new DataView(frame.buffer, frame.byteOffset);
  return buildFrame({
    ipv6: { src: prefix | word(26), dst: prefix | word(30) },
    udp: { sport: view.getUint16(34), dport: view.getUint16(36) },
  });
}
