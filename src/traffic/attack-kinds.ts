/**
 * Attacks and oddities, one kind a trace: `gen:attack,kind=syn-flood`. How many flows
 * a kind has for its packets follows from protocol-test captures that are publicly
 * known by their figures; the packets are our own.
 */

interface AttackRow {
  readonly text: string;
  /** A trace of so many packets has so many flows. */
  readonly packets: number;
  readonly flows: number;
  /** Do the flows stay as many in a longer trace? */
  readonly fixed: boolean;
}

// prettier-ignore
export const attackKinds = {
  "syn-flood":   { packets: 200,    flows: 200,  fixed: true,  text: "SYNs of 200 spoofed clients to one server" },
  "syn-scan":    { packets: 2011,   flows: 1994, fixed: false, text: "one client tries ports of many servers" },
  "fragments":   { packets: 16_384, flows: 8192, fixed: false, text: "datagrams in two fragments each" },
  "udp-flood":   { packets: 39_838, flows: 1,    fixed: true,  text: "one flow" },
  "dhcp-flood":  { packets: 10_000, flows: 1,    fixed: true,  text: "DHCP discovers of invented clients" },
  "brute-force": { packets: 19_730, flows: 714,  fixed: false, text: "connections to one SSH server" },
  "elephant":    { packets: 26_068, flows: 3017, fixed: false, text: "one flow has 83 % of the packets" },
  "two-flows":   { packets: 2,      flows: 2,    fixed: true,  text: "two flows, one with 78 %" },
  "flat":        { packets: 82_582, flows: 500,  fixed: true,  text: "500 flows of equal size" },
  "odd":         { packets: 9,      flows: 9,    fixed: true,  text: "ARP, IGMP, VLAN, MPLS, 6in6, GTP, VXLAN, IP options, protocol 0" },
} as const satisfies Record<string, AttackRow>;

export type AttackKind = keyof typeof attackKinds;

/** Flows of a trace of so many packets. */
export function attackFlows(kind: AttackKind, packets: number): number {
  const row: AttackRow = attackKinds[kind];
  if (row.fixed) return row.flows;
  // Two at least: the first may be unlike the others.
  return Math.max(2, Math.round((packets * row.flows) / row.packets));
}
