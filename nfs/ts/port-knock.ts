/**
 * port-knock: a source that sends to TCP ports 100, 101, 102 in this order gets
 * the packet through that completes the sequence; all else is dropped.
 *
 *   source known    closed -> first on port 100, first -> second on 101, second ->
 *                   open on 102; anything else -> closed, also from open. Then
 *                   FIN forgets the source. Pass if the new state is open.
 *   source unknown  SYN creates it, in state first if the port is 100, else
 *                   closed (FIN is not looked at); drop. No SYN: drop.
 *
 * Not TCP, a fragment, too short: drop. Full table: the source stays unknown.
 * With `enforce` off every TCP packet is sent back to where it came from instead.
 */
import { be32, bool, drop, hashMap, nf, pass, u32 } from "divisi/nf";
import { bounce } from "./shared/ethernet.ts";

const closed = 0;
const first = 1;
const second = 2;
const open = 3;

function nextState(state: number, port: number): number {
  if (state === closed && port === 100) return first;
  if (state === first && port === 101) return second;
  if (state === second && port === 102) return open;
  return closed;
}

export default nf({
  name: "port-knock",
  config: { enforce: bool(true) },
  state: {
    sources: hashMap({ key: be32, value: u32, capacity: 65_536 }),
  },
  handle(pkt, ctx) {
    const { sources } = ctx.state;
    const eth = pkt.eth;
    const ip = pkt.ipv4;
    if (eth === undefined || ip === undefined) return drop;
    const tcp = ip.tcp;
    if (tcp === undefined) return drop;

    const source = sources.get(ip.src);
    let isOpen = false;
    if (source === undefined) {
      if (tcp.isSyn) {
        sources.insert(ip.src, nextState(closed, tcp.dport));
      }
    } else {
      const next = nextState(source.value, tcp.dport);
      isOpen = next === open;
      source.value = next;
      if (tcp.isFin) sources.delete(ip.src);
    }

    if (!ctx.config.enforce) return bounce(eth);
    return isOpen ? pass : drop;
  },
});
