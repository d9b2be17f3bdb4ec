/**
 * Pairs of virtual Ethernet interfaces: making them, and finding out about those that
 * are there. What is sent on one end is received by the other, on queue
 * `sending CPU mod queues`, and polled on the sending CPU.
 *
 * Made by `ip` (iproute2), in a namespace of ours: they go with it.
 *
 * Source: drivers/net/veth.c; ip-link(8).
 */
import { spawnSync } from "node:child_process";
import { InputError, UnsupportedError } from "../../../base/index.ts";
import { Ethtool } from "../system/ethtool.ts";
import type { NetworkNamespace } from "../system/namespace.ts";
import type { Syscalls } from "../syscalls.ts";
import { unknownInterface } from "../system/unknown-interface.ts";

export interface VethEnd {
  readonly name: string;
  readonly ifindex: number;
}

/** A port and the far end of its wire. */
export interface VethPair extends VethEnd {
  readonly peer: VethEnd;
}

export interface WantedVeth {
  readonly name: string;
  /** Index of the port; default: the kernel's choice. */
  readonly ifindex?: number;
  /** Receive queues of the port. */
  readonly queues: number;
  readonly mtu: number;
}

const firstPeer = 1_000_001;

/** Makes the pairs, up and without offloads. Throws an UnsupportedError without `ip`. */
export function createVeths(
  syscalls: Syscalls,
  namespace: NetworkNamespace,
  wanted: readonly WantedVeth[],
): readonly VethPair[] {
  const lines = ["link set lo up"];
  for (const [at, { name, ifindex, queues, mtu }] of wanted.entries()) {
    const queueWords = `numrxqueues ${queues} numtxqueues ${queues}`;
    const index = ifindex === undefined ? "" : `index ${ifindex}`;
    lines.push(
      `link add ${name} ${index} mtu ${mtu} ${queueWords} type veth peer name ${peerName(name)} index ${firstPeer + at} mtu ${mtu} ${queueWords}`,
    );
  }
  return namespace.run(() => {
    ip(lines);
    const found = interfaces();
    const ethtool = new Ethtool(syscalls);
    try {
      const pairs = wanted.map(({ name }) => pairOf(found, name));
      for (const { name, peer } of pairs)
        for (const end of [name, peer.name]) ethtool.offloadsOff(end);
      ip(
        pairs.flatMap(({ name, peer }) => [
          `link set ${name} up`,
          `link set ${peer.name} up`,
        ]),
      );
      return pairs;
    } finally {
      ethtool.close();
    }
  });
}

/** Pairs that are there; an InputError says why one cannot be used. In the calling thread's namespace. */
export function findVeths(names: readonly string[]): readonly VethPair[] {
  const found = interfaces();
  return names.map((name) => pairOf(found, name));
}

/** Interfaces that are there; an InputError with the nearest name when one is not. */
export function findInterfaces(names: readonly string[]): readonly VethEnd[] {
  const found = interfaces();
  return names.map((name) => interfaceOf(found, name));
}

/** `v0` → `v0-peer`, at most 15 characters. */
function peerName(name: string): string {
  return `${name.slice(0, 10)}-peer`;
}

interface Interface extends VethEnd {
  readonly kind: string | undefined;
  /** Index of the far end, where that is in this namespace. */
  readonly far: number | undefined;
}

function interfaceOf(found: readonly Interface[], name: string): Interface {
  const known = found.find((each) => each.name === name);
  if (known !== undefined) return known;
  throw unknownInterface(
    name,
    found.map((each) => each.name),
  );
}

function pairOf(found: readonly Interface[], name: string): VethPair {
  const own = interfaceOf(found, name);
  const peer = found.find(({ ifindex }) => ifindex === own.far);
  if (own.kind === "veth" && peer !== undefined)
    return {
      name,
      ifindex: own.ifindex,
      peer: { name: peer.name, ifindex: peer.ifindex },
    };
  throw new InputError(
    own.kind === "veth"
      ? `the other end of ${name} is in another namespace: nothing can be sent into ${name} from here`
      : `${name} is no veth: its traffic has to come from outside`,
    {
      code: "interface-no-pair",
      fix: "--namespace makes a veth pair of that name, in a namespace of its own",
    },
  );
}

interface IpLink {
  readonly ifindex: number;
  readonly ifname: string;
  readonly link?: string | null;
  readonly link_index?: number;
  readonly link_netnsid?: number;
  readonly linkinfo?: { readonly info_kind?: string };
}

function interfaces(): readonly Interface[] {
  const links = JSON.parse(run(["-j", "-d", "link", "show"])) as IpLink[];
  return links.map((link) => ({
    name: link.ifname,
    ifindex: link.ifindex,
    kind: link.linkinfo?.info_kind,
    far:
      link.link_netnsid === undefined
        ? (link.link_index ??
          links.find(({ ifname }) => ifname === link.link)?.ifindex)
        : undefined,
  }));
}

function ip(lines: readonly string[]): void {
  run(["-batch", "-"], `${lines.join("\n")}\n`);
}

function run(words: readonly string[], input = ""): string {
  const done = spawnSync("ip", words, { encoding: "utf8", input });
  if (done.error !== undefined)
    throw new UnsupportedError(
      "ip is needed for interfaces and was not found",
      {
        feature: "ip",
        fix: "install the package iproute2",
      },
    );
  if (done.status === 0) return done.stdout;
  const why = done.stderr.trim().split("\n")[0] ?? "";
  throw new UnsupportedError(`ip: ${why}`, {
    feature: "veth",
    ...(/permitted/i.test(why) ? { fix: "run as root" } : {}),
  });
}
