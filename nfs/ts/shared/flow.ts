/**
 * A flow: one direction of one TCP or UDP conversation. 16 bytes in memory;
 * the three bytes behind the protocol are padding, always zero.
 */
import { be16, be32, struct, u8 } from "divisi/nf";
import type { Ipv4Header, Payload, Ports, ValueOf } from "divisi/nf";

export const FlowKey = struct("flow_key", {
  source: be32,
  destination: be32,
  source_port: be16,
  destination_port: be16,
  protocol: u8,
});
export type FlowKey = ValueOf<typeof FlowKey>;

/** The flow a packet belongs to. */
export function flowOf(ip: Ipv4Header, l4: Ports): FlowKey {
  return FlowKey({
    source: ip.src,
    destination: ip.dst,
    source_port: l4.sport,
    destination_port: l4.dport,
    protocol: ip.protocol,
  });
}

/** The flow a packet answers: source and destination swapped. */
export function swappedFlowOf(ip: Ipv4Header, l4: Ports): FlowKey {
  return FlowKey({
    source: ip.dst,
    destination: ip.src,
    source_port: l4.dport,
    destination_port: l4.sport,
    protocol: ip.protocol,
  });
}

/** May the packet begin a flow? A TCP SYN, and any UDP. */
export function mayBegin(ip: Ipv4Header): boolean {
  const tcp = ip.tcp;
  return tcp === undefined || tcp.isSyn;
}

/** Does the packet end its flow? A TCP FIN. */
export function isLast(ip: Ipv4Header): boolean {
  const tcp = ip.tcp;
  return tcp !== undefined && tcp.isFin;
}

/** What TCP or UDP carries: from behind its header to the end of the frame. */
export function payloadOf(ip: Ipv4Header): Payload | undefined {
  const tcp = ip.tcp;
  if (tcp !== undefined) return tcp.payload;
  const udp = ip.udp;
  if (udp !== undefined) return udp.payload;
  return undefined;
}
