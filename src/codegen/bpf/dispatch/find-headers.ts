/**
 * Finding the headers of a frame, as instructions: the class of packets it belongs to
 * and, for the lanes of its group, where their headers are. Follows packet's parser and
 * rss's classes, so that this stage and the analysis mean the same bytes:
 *
 *   two VLAN tags at most; IPv4 with its IHL, 5 at least; a fragment has no transport;
 *   TCP, UDP and SCTP only with their ports; IPv6 without extension headers.
 *
 * Tunnels are those that analysis knows: VXLAN (port 4789, I flag), GTP-U (port 2152,
 * flags 0x30, type 255), GRE (no flags, or a key only), IP in IP; the inner packet
 * untagged, its transport TCP or UDP, unfragmented.
 *
 * Registers as hash-lanes.ts has them, r8 the frame's end; r5 is the protocol behind
 * the class, the EtherType of what is not IP. A packet that lacks a header which its
 * group's lanes name goes to `anywhere`: it touches no sharded state.
 */
import { fields, type Layer } from "../../../packet/index.ts";
import type { OwnerGroup } from "../../../strategy/index.ts";

/** The classes that this stage tells apart. */
// prettier-ignore
export const dispatchClasses = [
  "tcp4", "udp4", "sctp4", "other4", "fragment4", "tcp6", "udp6", "sctp6", "other6", "non-ip",
] as const satisfies OwnerGroup["classes"];

export type DispatchClass = (typeof dispatchClasses)[number];

/** Layers that the lanes of a group name. */
export function layersOf({ lanes }: OwnerGroup): ReadonlySet<Layer> {
  return new Set(
    lanes.flatMap(({ runs }) => runs.map(({ field }) => fields[field].layer)),
  );
}

/** Bytes of a layer that the lanes reach; more than these no program has to look at. */
function reachOf({ lanes }: OwnerGroup, layer: Layer): number {
  const ends = lanes.flatMap(({ runs, bits }) =>
    runs
      .filter(({ field }) => fields[field].layer === layer)
      .map(({ field, first }) => (fields[field].bit + first + bits + 7) >>> 3),
  );
  return Math.max(0, ...ends);
}

/** Leaves to `target` unless `size` bytes from `base` on lie in the frame. */
export function within(base: string, size: number, target: string): string {
  return `
    r1 = ${base}
    r1 += ${size}
    if r1 > r8 goto ${target}`;
}

/** Behind a check of 14 bytes: goes on at the label of the packet's class. */
export function classText(
  targets: Readonly<Record<DispatchClass, string>>,
  prefix: string,
): string {
  const label = (name: string): string => `${prefix}_${name}`;
  const other = targets["non-ip"];
  return `
    r2 = r7
    r2 += 14
    r5 = *(u16 *)(r7 + 12)
    if r5 == 0x0081 goto ${label("tag")}
    if r5 != 0xa888 goto ${label("untagged")}
  ${label("tag")}:${within("r7", 18, other)}
    r2 += 4
    r5 = *(u16 *)(r7 + 16)
    if r5 == 0x0081 goto ${label("tags")}
    if r5 != 0xa888 goto ${label("untagged")}
  ${label("tags")}:${within("r7", 22, other)}
    r2 += 4
    r5 = *(u16 *)(r7 + 20)
  ${label("untagged")}:
    if r5 == 0x0008 goto ${label("ipv4")}
    if r5 == 0xdd86 goto ${label("ipv6")}
    goto ${other}
  ${label("ipv4")}:${within("r2", 20, other)}
    r3 = *(u8 *)(r2 + 0)
    r3 &= 15
    if r3 < 5 goto ${other}
    ${ipv4Text(targets)}
  ${label("ipv6")}:${within("r2", 40, other)}
    ${ipv6Text(targets)}`;
}

type Targets = Readonly<Record<DispatchClass, string>>;

function ipv4Text(targets: Targets): string {
  const { tcp4, udp4, sctp4, other4, fragment4 } = targets;
  if (new Set([tcp4, udp4, sctp4, other4, fragment4]).size === 1)
    return `goto ${other4}`;
  return `r5 = *(u16 *)(r2 + 6)
    r5 &= 0xff3f
    if r5 != 0 goto ${fragment4}
    r5 = *(u8 *)(r2 + 9)
    r3 <<= 2
    r1 = r3
    r3 = r2
    r3 += r1${within("r3", 4, other4)}
    if r5 == 6 goto ${tcp4}
    if r5 == 17 goto ${udp4}
    if r5 == 132 goto ${sctp4}
    goto ${other4}`;
}

function ipv6Text(targets: Targets): string {
  const { tcp6, udp6, sctp6, other6 } = targets;
  if (new Set([tcp6, udp6, sctp6, other6]).size === 1) return `goto ${other6}`;
  return `r5 = *(u8 *)(r2 + 6)
    r3 = r2
    r3 += 40${within("r3", 4, other6)}
    if r5 == 6 goto ${tcp6}
    if r5 == 17 goto ${udp6}
    if r5 == 132 goto ${sctp6}
    goto ${other6}`;
}

export interface HeadersOptions {
  readonly class: DispatchClass;
  /** Begins its labels. */
  readonly prefix: string;
  readonly anywhere: string;
}

/** Behind the class: what else the lanes of its group name, checked and found. */
export function headersText(
  group: OwnerGroup,
  options: HeadersOptions,
): string {
  const layers = layersOf(group);
  const { anywhere } = options;
  const parts: string[] = [];
  for (const layer of ["vlan", "vlan2", "arp", "ipv4", "ipv6"] as const)
    if (layers.has(layer)) parts.push(networkText(layer, options));
  for (const layer of [...layers].sort())
    parts.push(transportText(layer, reachOf(group, layer), options));
  if ([...layers].some((layer) => layer.startsWith("inner")))
    parts.push(innerText(group, options));
  const text = parts.join("");
  const nowhere = `\n    goto ${anywhere}`;
  // What cannot be there needs no further look.
  return parts.includes(nowhere) ? nowhere : text;
}

const version = ({ class: name }: HeadersOptions): string => name.slice(-1);

function networkText(
  layer: "vlan" | "vlan2" | "arp" | "ipv4" | "ipv6",
  options: HeadersOptions,
): string {
  const { anywhere, prefix } = options;
  switch (layer) {
    case "vlan":
    case "vlan2": {
      const [at, label] =
        layer === "vlan" ? [12, `${prefix}_v1`] : [16, `${prefix}_v2`];
      return `${within("r7", at + 6, anywhere)}
    r1 = *(u16 *)(r7 + ${at})
    if r1 == 0x0081 goto ${label}
    if r1 != 0xa888 goto ${anywhere}
  ${label}:`;
    }
    case "arp":
      return options.class === "non-ip"
        ? `
    if r5 != 0x0608 goto ${anywhere}${within("r2", 28, anywhere)}`
        : `\n    goto ${anywhere}`;
    case "ipv4":
    case "ipv6":
      return version(options) === layer.slice(-1)
        ? ""
        : `\n    goto ${anywhere}`;
  }
}

function transportText(
  layer: Layer,
  reach: number,
  options: HeadersOptions,
): string {
  const { anywhere, class: name } = options;
  const nowhere = `\n    goto ${anywhere}`;
  const isUdp = name.startsWith("udp");
  const isOther = name.startsWith("other");
  const is = (protocol: number | undefined, size: number): string =>
    `${protocol === undefined ? "" : `\n    if r5 != ${protocol} goto ${anywhere}`}${within("r3", size, anywhere)}`;
  switch (layer) {
    case "l4":
      return /^(tcp|udp|sctp)/.test(name) ? "" : nowhere;
    case "tcp":
      return name.startsWith("tcp") ? is(undefined, reach) : nowhere;
    case "udp":
      return isUdp ? is(undefined, reach) : nowhere;
    case "icmp":
      return isOther ? is(version(options) === "4" ? 1 : 58, reach) : nowhere;
    case "gre":
      return isOther ? is(47, reach) : nowhere;
    case "gre-key":
      return isOther
        ? `${is(47, 4 + reach)}
    r1 = *(u16 *)(r3 + 0)
    if r1 != 0x0020 goto ${anywhere}`
        : nowhere;
    case "vxlan":
      return isUdp
        ? `${is(undefined, 8 + reach)}
    r1 = *(u16 *)(r3 + 2)
    if r1 != 0xb512 goto ${anywhere}
    r1 = *(u8 *)(r3 + 8)
    r1 &= 8
    if r1 == 0 goto ${anywhere}`
        : nowhere;
    case "gtp":
      return isUdp
        ? `${is(undefined, Math.max(10, 8 + reach))}
    r1 = *(u16 *)(r3 + 2)
    if r1 != 0x6808 goto ${anywhere}
    r1 = *(u16 *)(r3 + 8)
    if r1 != 0xff30 goto ${anywhere}`
        : nowhere;
    case "eth":
    case "vlan":
    case "vlan2":
    case "arp":
    case "ipv4":
    case "ipv6":
    case "inner-eth":
    case "inner-ipv4":
    case "inner-ipv6":
    case "inner-l4":
      return "";
  }
}

/** r0 becomes the EtherType of the inner packet, r6 and r4 its headers; then its transport, r5. */
function innerText(group: OwnerGroup, options: HeadersOptions): string {
  const { prefix, anywhere, class: name } = options;
  const layers = layersOf(group);
  const label = (word: string): string => `${prefix}_${word}`;
  const nowhere = `\n    goto ${anywhere}`;
  const [four, six] = [layers.has("inner-ipv4"), layers.has("inner-ipv6")];
  const wantsEthernet = layers.has("inner-eth");
  const isUdp = name.startsWith("udp");
  if ((four && six) || !(isUdp || name.startsWith("other"))) return nowhere;
  const plain = wantsEthernet ? anywhere : label("plain");
  const carrier = isUdp
    ? `
    r1 = *(u16 *)(r3 + 2)
    if r1 == 0xb512 goto ${label("vxlan")}
    if r1 != 0x6808 goto ${anywhere}${within("r3", 17, anywhere)}
    r1 = *(u16 *)(r3 + 8)
    if r1 != 0xff30 goto ${anywhere}
    r4 = r3
    r4 += 16
    r1 = *(u8 *)(r4 + 0)
    r1 >>= 4
    r0 = 0x0008
    if r1 == 4 goto ${plain}
    r0 = 0xdd86
    if r1 == 6 goto ${plain}
    goto ${anywhere}
  ${label("vxlan")}:${within("r3", 9, anywhere)}
    r1 = *(u8 *)(r3 + 8)
    r1 &= 8
    if r1 == 0 goto ${anywhere}
    r6 = r3
    r6 += 16
    goto ${label("ethernet")}`
    : `
    r4 = r3
    r0 = 0x0008
    if r5 == 4 goto ${plain}
    r0 = 0xdd86
    if r5 == 41 goto ${plain}
    if r5 != 47 goto ${anywhere}${within("r3", 8, anywhere)}
    r0 = *(u16 *)(r3 + 2)
    r1 = *(u16 *)(r3 + 0)
    r4 += 4
    if r1 == 0 goto ${label("gre")}
    if r1 != 0x0020 goto ${anywhere}
    r4 += 4
  ${label("gre")}:
    if r0 != 0x5865 goto ${plain}
    r6 = r4
    goto ${label("ethernet")}`;
  const network = innerNetworkText(group, options);
  const reach = network === "" ? reachOf(group, "inner-eth") : 14;
  return `${carrier}
  ${label("ethernet")}:${within("r6", reach, anywhere)}${
    network === ""
      ? ""
      : `
    r0 = *(u16 *)(r6 + 12)
    r4 = r6
    r4 += 14
  ${label("plain")}:${network}`
  }`;
}

function innerNetworkText(
  group: OwnerGroup,
  { prefix, anywhere }: HeadersOptions,
): string {
  const layers = layersOf(group);
  const wantsPorts = layers.has("inner-l4");
  const four = layers.has("inner-ipv4");
  const six = layers.has("inner-ipv6");
  if (!four && !six && !wantsPorts) return "";
  const done = `${prefix}_inner`;
  const ports = (protocol: string): string => `
    if ${protocol} == 6 goto ${done}
    if ${protocol} != 17 goto ${anywhere}`;
  const parts: string[] = [];
  if (!six)
    parts.push(`
    if r0 != 0x0008 goto ${four ? anywhere : `${prefix}_six`}${within("r4", wantsPorts ? 20 : reachOf(group, "inner-ipv4"), anywhere)}
`);
  if (!six && wantsPorts)
    parts.push(`
    r0 = *(u8 *)(r4 + 0)
    r0 &= 15
    if r0 < 5 goto ${anywhere}
    r1 = *(u16 *)(r4 + 6)
    r1 &= 0xff3f
    if r1 != 0 goto ${anywhere}
    r0 <<= 2
    r5 = r4
    r5 += r0${within("r5", reachOf(group, "inner-l4"), anywhere)}
    r1 = *(u8 *)(r4 + 9)${ports("r1")}
    goto ${done}`);
  if (!four) {
    if (!six) parts.push(`\n  ${prefix}_six:`);
    parts.push(`
    if r0 != 0xdd86 goto ${anywhere}${within("r4", wantsPorts ? 40 : reachOf(group, "inner-ipv6"), anywhere)}`);
    if (wantsPorts)
      parts.push(`
    r5 = r4
    r5 += 40${within("r5", reachOf(group, "inner-l4"), anywhere)}
    r1 = *(u8 *)(r4 + 6)${ports("r1")}`);
  }
  return `${parts.join("")}
  ${done}:`;
}
