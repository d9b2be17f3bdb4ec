/**
 * proxy: sends what comes for a listed destination port on to the address and port
 * that serve it. User space loads `services` before the start and nobody writes it.
 *
 *   lan  out(wan), unchanged
 *   wan  listed: destination rewritten, checksums kept right, out(lan); not
 *        listed: drop
 *
 * What is no whole TCP or UDP packet over IPv4, fragments included, is dropped.
 */
import { be16, be32, drop, hashMap, nf, out, struct } from "divisi/nf";
import { lan, wan } from "./shared/ports.ts";

const Service = struct("service", { address: be32, port: be16 });

export default nf({
  name: "proxy",
  ports: ["lan", "wan"],
  state: {
    services: hashMap({ key: be16, value: Service, capacity: 1024 }),
  },
  handle(pkt, ctx) {
    const ip = pkt.ipv4;
    if (ip === undefined) return drop;
    const l4 = ip.l4;
    if (l4 === undefined) return drop;
    if (ctx.port === lan) return out(wan);

    const service = ctx.state.services.get(l4.dport);
    if (service === undefined) return drop;
    ip.dst = service.address;
    l4.dport = service.port;
    return out(lan);
  },
});
