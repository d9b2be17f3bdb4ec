/** What becomes of a frame's MAC addresses on its way out. */
import { tx } from "divisi/nf";
import type { EthernetHeader, Verdict } from "divisi/nf";

/** Sent on: from the out port's own address to the next hop behind it. */
export function sendOn(
  eth: EthernetHeader,
  own: bigint,
  nextHop: bigint,
): void {
  eth.src = own;
  eth.dst = nextHop;
}

/** Sent back to where it came from. */
export function bounce(eth: EthernetHeader): Verdict {
  const sender = eth.src;
  eth.src = eth.dst;
  eth.dst = sender;
  return tx;
}
