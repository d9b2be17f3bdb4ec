/**
 * Helpers on socket buffers (TC and socket filters). Source: net/core/filter.c.
 * A packet is one linear piece here; the VLAN tag of the hardware is in the context.
 */
import { addSums, adjustedChecksum } from "../checksum.ts";
import { errno } from "../errno.ts";
import { Fingerprint } from "../fingerprint.ts";
import type { Host, HelperFunction } from "../host.ts";
import { needContext } from "./packet.ts";
import { inPacket } from "../packet-frame.ts";

const tagType = [0x0081, 0xa888];
const longest = 65535;

const loadBytes: HelperFunction = (host) => {
  needContext(host);
  const size = host.args.low(4);
  const offset = host.args.low(2);
  const target = host.bytes(3, size, true);
  if (!inPacket(host.frame, offset, size)) {
    target.fill(0);
    return -errno.EFAULT;
  }
  target.set(host.frame.bytes(offset, size));
  return 0;
};

/** Relative to the network header (1) or the link header (0). */
const loadBytesRelative: HelperFunction = (host) => {
  needContext(host);
  const size = host.args.low(4);
  const start = host.args.low(5) === 1 ? 14 : 0;
  const offset = start + host.args.low(2);
  const target = host.bytes(3, size, true);
  const bad = host.args.low(5) > 1 || host.args.low(2) > 0xffff;
  if (bad || !inPacket(host.frame, offset, size)) {
    target.fill(0);
    return -errno.EFAULT;
  }
  target.set(host.frame.bytes(offset, size));
  return 0;
};

const storeBytes: HelperFunction = (host) => {
  needContext(host);
  const offset = host.args.low(2);
  const size = host.args.low(4);
  const flags = host.args.low(5);
  if ((flags & ~3) !== 0) return -errno.EINVAL;
  if (!inPacket(host.frame, offset, size)) return -errno.EFAULT;
  host.frame.bytes(offset, size).set(host.bytes(3, size));
  if ((flags & 2) !== 0) host.frame.setField("hash", 0);
  return 0;
};

function replaceChecksum(layer4: boolean): HelperFunction {
  const allowed = layer4 ? 0x7f : 0xf;
  return (host) => {
    needContext(host);
    const offset = host.args.low(2);
    const from = host.args.low(3);
    const to = host.args.low(4);
    const flags = host.args.low(5);
    if ((flags & ~allowed) !== 0) return -errno.EINVAL;
    if (offset > 0xffff || (offset & 1) !== 0) return -errno.EFAULT;
    if (!inPacket(host.frame, offset, 2)) return -errno.EFAULT;
    const bytes = host.frame.bytes(offset, 2);
    const field = (bytes[0] ?? 0) | ((bytes[1] ?? 0) << 8);
    const mangledZero = (flags & 0x20) !== 0;
    if (mangledZero && (flags & 0x40) === 0 && field === 0) return 0;
    const difference = checksumDifference(flags & 0xf, from, to);
    if (difference === undefined) return -errno.EINVAL;
    let result = adjustedChecksum(field, difference);
    if (mangledZero && result === 0) result = 0xffff;
    bytes[0] = result;
    bytes[1] = result >> 8;
    return 0;
  };
}

/** By the size of the replaced field in bytes; 0: `to` is the difference itself. */
function checksumDifference(
  size: number,
  from: number,
  to: number,
): number | undefined {
  if (size === 0) return from === 0 ? to : undefined;
  if (size === 2) return addSums(~from & 0xffff, to & 0xffff);
  if (size === 4) return addSums(~from >>> 0, to);
  return undefined;
}

const pullData: HelperFunction = (host) =>
  host.args.low(2) > host.frame.length ? -errno.ENOMEM : 0;

const cloneRedirect: HelperFunction = (host) => {
  needContext(host);
  if ((host.args.word(3) & ~1n) !== 0n) return -errno.EINVAL;
  // No interface has the number 0; every other one exists.
  if (host.args.low(2) === 0) return -errno.EINVAL;
  host.events.push({
    kind: "clone",
    ifindex: host.args.low(2),
    data: host.frame.content(),
  });
  return 0;
};

/** Any function of the flow will do: the kernel's has a random secret. */
const hashRecalc: HelperFunction = (host) => {
  const known = host.frame.getField("hash");
  if (known !== 0) return known;
  const size = Math.min(host.frame.length, 54);
  const header = host.frame.bytes(0, size);
  const is6 = header[12] === 0x86 && header[13] === 0xdd;
  const ports = is6 ? 54 : 14 + ((header[14] ?? 0) & 15) * 4;
  const sum = new Fingerprint();
  sum.add(
    is6 ? header.subarray(22, 54) : header.subarray(26, 34),
    host.frame.length >= ports + 4
      ? host.frame.bytes(ports, 4)
      : new Uint8Array(0),
  );
  const hash = Number.parseInt(sum.text().slice(0, 8), 16) || 1;
  host.frame.setField("hash", hash);
  return hash;
};

const vlanPush: HelperFunction = (host) => {
  needContext(host);
  const { frame } = host;
  const asked = host.args.low(2) & 0xffff;
  const type = tagType.includes(asked) ? asked : 0x0081;
  if (frame.getField("vlan_present") !== 0) {
    const answer = frame.resizeAt(12, 4);
    if (answer !== 0) return answer;
    const tag = frame.bytes(12, 4);
    const old = frame.getField("vlan_tci");
    const proto = frame.getField("vlan_proto");
    tag.set([proto, proto >> 8, old >> 8, old]);
    frame.setField("protocol", proto);
  }
  frame.setField("vlan_present", 1);
  frame.setField("vlan_proto", type);
  frame.setField("vlan_tci", host.args.low(3) & 0xffff);
  return 0;
};

const vlanPop: HelperFunction = (host) => {
  needContext(host);
  const { frame } = host;
  if (frame.getField("vlan_present") === 0) {
    const type = frame.length >= 18 ? frame.bytes(12, 2) : new Uint8Array(2);
    if (!tagType.includes((type[0] ?? 0) | ((type[1] ?? 0) << 8))) return 0;
    const answer = frame.resizeAt(12, -4);
    if (answer !== 0) return answer;
    const inner = frame.bytes(12, 2);
    frame.setField("protocol", (inner[0] ?? 0) | ((inner[1] ?? 0) << 8));
    return 0;
  }
  frame.setField("vlan_present", 0);
  frame.setField("vlan_tci", 0);
  frame.setField("vlan_proto", 0);
  return 0;
};

const changeTail: HelperFunction = (host) => {
  needContext(host);
  const { frame } = host;
  const size = host.args.low(2);
  if (host.args.word(3) !== 0n || size > longest || size < 14)
    return -errno.EINVAL;
  const delta = size - frame.length;
  return frame.resizeAt(delta > 0 ? frame.length : size, delta);
};

const changeHead: HelperFunction = (host) => {
  needContext(host);
  const room = host.args.low(2);
  if (host.args.word(3) !== 0n || host.frame.length + room > longest)
    return -errno.EINVAL;
  return host.frame.resizeAt(0, room);
};

/** Room after the network header (mode 0) or the link header (mode 1). */
const adjustRoom: HelperFunction = (host) => {
  needContext(host);
  const { frame } = host;
  const delta = host.args.int(2);
  const mode = host.args.low(3);
  if (Math.abs(delta) > 0xfff) return -errno.EFAULT;
  const version = frame.length > 14 ? (frame.bytes(14, 1)[0] ?? 0) >> 4 : 0;
  if (version !== 4 && version !== 6) return -errno.ENOTSUPP;
  const network = version === 4 ? 20 : 40;
  if (mode > 1) return -errno.ENOTSUPP;
  const at = mode === 0 ? 14 + network : 14;
  if (frame.length < 14 + network - Math.min(delta, 0)) return -errno.ENOTSUPP;
  if (frame.length + delta > longest) return -errno.ENOTSUPP;
  return frame.resizeAt(at, delta);
};

/** No packet came through a tunnel of IPsec. */
const noTransformation: HelperFunction = (host) => {
  host.bytes(3, host.args.low(4), true).fill(0);
  return -errno.ENOENT;
};

const noTunnel: HelperFunction = (host) => {
  const target = host.bytes(2, host.args.low(3), true);
  target.fill(0);
  return -errno.EINVAL;
};

function setHash(value: (host: Host) => number): HelperFunction {
  return (host) => {
    host.frame.setField("hash", value(host));
    return 0;
  };
}

const changeType: HelperFunction = (host) => {
  if (host.args.low(2) > 3) return -errno.EINVAL;
  host.frame.setField("pkt_type", host.args.low(2));
  return 0;
};

const protocols = { ip4: 0x0008, ip6: 0xdd86 } as const;

/** 20 bytes more or less behind the link header, and the protocol's number. */
const changeProtocol: HelperFunction = (host) => {
  needContext(host);
  const { frame } = host;
  if (host.args.word(3) !== 0n) return -errno.EINVAL;
  const from = frame.getField("protocol");
  const to = host.args.low(2) & 0xffff;
  if (from === to) return 0;
  const longer = from === protocols.ip4 && to === protocols.ip6;
  if (!longer && !(from === protocols.ip6 && to === protocols.ip4))
    return -errno.ENOTSUPP;
  if (!longer && frame.length < 34) return -errno.ENOMEM;
  const answer = frame.resizeAt(14, longer ? 20 : -20);
  if (answer !== 0) return answer;
  frame.setField("protocol", to);
  frame.setField("hash", 0);
  return 0;
};

/** Marks congestion where the sender can hear it; 1: marked, perhaps before. */
const setCongestion: HelperFunction = (host) => {
  needContext(host);
  const { frame } = host;
  const protocol = frame.getField("protocol");
  if (protocol === protocols.ip4 && frame.length >= 34) {
    const header = frame.bytes(14, 20);
    const service = header[1] ?? 0;
    if ((service & 3) === 0) return 0;
    if ((service & 3) === 3) return 1;
    header[1] = service | 3;
    const ecn = (service + 1) & 3;
    const sum =
      ((header[10] ?? 0) | ((header[11] ?? 0) << 8)) + 0xfbff + (ecn << 8);
    const check = sum + (sum >= 0xffff ? 1 : 0);
    header[10] = check;
    header[11] = check >> 8;
    return 1;
  }
  if (protocol === protocols.ip6 && frame.length >= 54) {
    const header = frame.bytes(14, 2);
    if (((header[1] ?? 0) & 0x30) === 0) return 0;
    header[1] = (header[1] ?? 0) | 0x30;
    return 1;
  }
  return 0;
};

/** BPF_SKB_CLOCK_REALTIME (0) takes any stamp, MONOTONIC (1) and TAI (2) none of zero. */
const setStamp: HelperFunction = (host) => {
  needContext(host);
  const { frame } = host;
  const protocol = frame.getField("protocol");
  if (protocol !== protocols.ip4 && protocol !== protocols.ip6)
    return -errno.EOPNOTSUPP;
  const stamp = host.args.word(2);
  const clock = host.args.low(3);
  if (clock > 2 || (clock > 0 && stamp === 0n)) return -errno.EINVAL;
  frame.setField("tstamp", stamp);
  frame.setField("tstamp_type", clock);
  return 0;
};

export const skbHelpers: Readonly<Record<string, HelperFunction>> = {
  skb_load_bytes: loadBytes,
  skb_load_bytes_relative: loadBytesRelative,
  skb_store_bytes: storeBytes,
  l3_csum_replace: replaceChecksum(false),
  l4_csum_replace: replaceChecksum(true),
  skb_pull_data: pullData,
  clone_redirect: cloneRedirect,
  get_hash_recalc: hashRecalc,
  set_hash_invalid: setHash(() => 0),
  set_hash: setHash((host) => host.args.low(2)),
  skb_vlan_push: vlanPush,
  skb_vlan_pop: vlanPop,
  skb_change_tail: changeTail,
  skb_change_head: changeHead,
  skb_change_type: changeType,
  skb_change_proto: changeProtocol,
  skb_ecn_set_ce: setCongestion,
  skb_set_tstamp: setStamp,
  skb_adjust_room: adjustRoom,
  skb_get_xfrm_state: noTransformation,
  skb_get_tunnel_key: noTunnel,
  skb_get_tunnel_opt: noTunnel,
  skb_set_tunnel_key: () => 0,
  skb_set_tunnel_opt: () => 0,
  csum_update: () => 0,
  csum_level: () => 0,
};
