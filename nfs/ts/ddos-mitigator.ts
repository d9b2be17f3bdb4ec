/**
 * ddos-mitigator: drops IPv4 packets of listed sources and counts them.
 *
 * User space preloads `sources` with the addresses to drop (value 0); nothing is
 * inserted here. A hit adds 1 to the source's count and, unless the IP protocol
 * is 0, to the global count `dropped`; then it is dropped. A miss, and any frame
 * that is not IPv4, passes. TCP and UDP headers are not looked at.
 *
 * With `enforce` off the same is counted, and every frame with an Ethernet header is
 * sent back to where it came from.
 *
 * Nobody reads the old value of the global count, so copies of it may be summed.
 */
import { be32, bool, counter, drop, hashMap, nf, pass, u64 } from "divisi/nf";
import { bounce } from "./shared/ethernet.ts";

export default nf({
  name: "ddos-mitigator",
  config: { enforce: bool(true) },
  state: {
    sources: hashMap({ key: be32, value: u64, capacity: 1024 }),
    dropped: counter(),
  },
  handle(pkt, ctx) {
    const { sources, dropped } = ctx.state;
    const eth = pkt.eth;
    const ip = pkt.ipv4;

    let isListed = false;
    if (ip !== undefined) {
      const hits = sources.get(ip.src);
      if (hits !== undefined) {
        hits.value = u64(hits.value + 1n);
        if (ip.protocol !== 0) dropped.increment();
        isListed = true;
      }
    }

    if (ctx.config.enforce) return isListed ? drop : pass;
    return eth === undefined ? drop : bounce(eth);
  },
});
