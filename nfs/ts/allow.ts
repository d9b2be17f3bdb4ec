/**
 * allow: forwards the listed flows of each port, drops all others. User space
 * loads `allowed` before the start and nobody writes it.
 *
 * What is no whole TCP or UDP packet over IPv4, fragments included, is dropped.
 */
import { be16, be32, drop, hashMap, nf, out, struct, u32, u8 } from "divisi/nf";
import { lan, wan } from "./shared/ports.ts";

const AllowedKey = struct("allowed_key", {
  source: be32,
  destination: be32,
  source_port: be16,
  destination_port: be16,
  protocol: u8,
  port: u8,
});

export default nf({
  name: "allow",
  ports: ["lan", "wan"],
  state: {
    allowed: hashMap({ key: AllowedKey, value: u32, capacity: 65_536 }),
  },
  handle(pkt, ctx) {
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    const l4 = ip.l4;
    if (l4 === undefined) return drop;
    const known = ctx.state.allowed.has({
      source: ip.src,
      destination: ip.dst,
      source_port: l4.sport,
      destination_port: l4.dport,
      protocol: ip.protocol,
      port: ctx.port,
    });
    if (!known) return drop;
    return ctx.port === lan ? out(wan) : out(lan);
  },
});
