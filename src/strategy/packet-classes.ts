/**
 * From the guard of an access to the NIC's packet classes on which it can happen.
 * Over-approximate: a class that cannot be excluded is in.
 *
 * A frame whose EtherType says IP but whose header is malformed is `non-ip` for
 * the NIC. It is left out here and declared instead (deviation malformed-header).
 */
import type { AccessGuard } from "../analysis/index.ts";
import { packetClasses, type PacketClass } from "../rss/index.ts";

const IPV4 = 0x0800;
const IPV6 = 0x86dd;
/** Next headers of IPv6 behind which a NIC's parser goes on: RFC 8200 section 4. */
const extensions = [0, 43, 44, 50, 51, 60, 135];

export function packetClassesOf(guard: AccessGuard): readonly PacketClass[] {
  if (guard.etherTypes === undefined) return packetClasses;
  const found = new Set<PacketClass>();
  for (const type of guard.etherTypes)
    for (const name of classesOfType(type, guard)) found.add(name);
  return packetClasses.filter((name) => found.has(name));
}

function classesOfType(
  etherType: number,
  guard: AccessGuard,
): readonly PacketClass[] {
  if (etherType !== IPV4 && etherType !== IPV6) return ["non-ip"];
  const version = etherType === IPV4 ? "4" : "6";
  const { protocols } = guard;
  if (protocols === undefined) {
    const all = packetClasses.filter((name) => name.endsWith(version));
    return guard.unfragmented
      ? all.filter((name) => !name.startsWith("fragment"))
      : all;
  }
  const found: PacketClass[] = [];
  for (const protocol of protocols) {
    const name = transports[protocol];
    if (name === undefined) found.push(`other${version}`, `sctp${version}`);
    else {
      found.push(`${name}${version}`);
      // A frame that ends before the ports has none for the NIC to hash.
      if (guard.portsPresent !== true) found.push(`other${version}`);
    }
    if (version === "6" && extensions.includes(protocol))
      found.push("other6", "fragment6");
  }
  if (version === "4" && !guard.unfragmented) found.push("fragment4");
  return found;
}

const transports: Readonly<Record<number, "tcp" | "udp" | "sctp">> = {
  6: "tcp",
  17: "udp",
  132: "sctp",
};
