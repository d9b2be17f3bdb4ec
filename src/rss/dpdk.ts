/**
 * The same set-up for DPDK programs (struct rte_eth_rss_conf and the RETA).
 *
 * Source: DPDK 22.11 rte_ethdev.h, RTE_ETH_RSS_* and RTE_ETH_RSS_L3_SRC_ONLY;
 * names as testpmd spells them. Most drivers take only the whole 4-tuple or the
 * addresses from generic flags; read rss_hf back after configuring.
 */
import type { NicSetup } from "./nic-setup.ts";
import type { ClassFields, HashFields, PacketClass } from "./packet-class.ts";

export interface DpdkSetup {
  readonly schema: "divisi.dpdk/1";
  readonly rxQueues: number;
  readonly ports: readonly {
    readonly name: string;
    readonly rssKey: string;
    readonly rssHf: readonly string[];
    readonly reta: readonly number[];
  }[];
}

// prettier-ignore
const names: readonly (readonly [PacketClass, string])[] = [
  ["tcp4", "ipv4-tcp"], ["udp4", "ipv4-udp"], ["sctp4", "ipv4-sctp"],
  ["other4", "ipv4-other"], ["fragment4", "ipv4-frag"],
  ["tcp6", "ipv6-tcp"], ["udp6", "ipv6-udp"], ["sctp6", "ipv6-sctp"],
  ["other6", "ipv6-other"], ["fragment6", "ipv6-frag"],
];

export function dpdkJson(setup: NicSetup): DpdkSetup {
  return {
    schema: "divisi.dpdk/1",
    rxQueues: setup.cores,
    ports: setup.ports.map(({ name, key, fields, table }) => ({
      name,
      rssKey: key,
      rssHf: flags(fields),
      reta: table.entries,
    })),
  };
}

function flags(fields: ClassFields): readonly string[] {
  const base = names.flatMap(([name, flag]) =>
    (fields[name] ?? "") === "" ? [] : [flag],
  );
  return [...base, ...restrictions(fields.tcp4 ?? fields.tcp6 ?? "")];
}

/** DPDK narrows all transports at once. */
function restrictions(hashed: HashFields): readonly string[] {
  const narrow: Partial<Record<HashFields, string>> = {
    s: "l3-src-only",
    d: "l3-dst-only",
    f: "l4-src-only",
    n: "l4-dst-only",
  };
  const flag = narrow[hashed];
  return flag === undefined ? [] : [flag];
}
