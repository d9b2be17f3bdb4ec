/**
 * Helpers on XDP packets, redirects and checksums. Source: net/core/filter.c;
 * bpf_csum_diff as of Linux 6.13, which folds its answer to 16 bits.
 */
import { addSums, foldSum, partialSum } from "../checksum.ts";
import { errno } from "../errno.ts";
import { fault } from "../fault.ts";
import type { Host, HelperFunction } from "../host.ts";
import type { RouteAnswer } from "../outcome.ts";

export function needContext(host: Host): void {
  if (host.args.address(1) !== host.frame.contextAddress)
    fault("r1 is not the context");
}

function adjust(how: (host: Host, delta: number) => number): HelperFunction {
  return (host) => {
    needContext(host);
    return how(host, host.args.int(2));
  };
}

function copyBytes(toPacket: boolean): HelperFunction {
  return (host) => {
    needContext(host);
    const offset = host.args.low(2);
    const size = host.args.low(4);
    if (offset > 0xffff || size > 0xffff) return -errno.EFAULT;
    if (offset + size > host.frame.length) return -errno.EINVAL;
    const packet = host.frame.bytes(offset, size);
    if (toPacket) packet.set(host.bytes(3, size));
    else host.bytes(3, size, true).set(packet);
    return 0;
  };
}

const csumDiff: HelperFunction = (host) => {
  const fromSize = host.args.low(2);
  const toSize = host.args.low(4);
  const seed = host.args.low(5);
  if (((fromSize | toSize) & 3) !== 0) return -errno.EINVAL;
  const from = fromSize > 0 ? host.bytes(1, fromSize) : new Uint8Array(0);
  const to = toSize > 0 ? host.bytes(3, toSize) : new Uint8Array(0);
  let sum = seed;
  if (fromSize > 0 && toSize > 0)
    sum = addSums(partialSum(to, seed), ~partialSum(from, 0) >>> 0);
  else if (toSize > 0) sum = partialSum(to, seed);
  else if (fromSize > 0) sum = ~partialSum(from, ~seed) >>> 0;
  return foldSum(sum);
};

const redirect: HelperFunction = (host) => {
  const ifindex = host.args.low(1);
  const flags = host.args.word(2);
  const isXdp = host.frame.type === "xdp";
  if (isXdp && flags !== 0n) return 0;
  if (!isXdp && (flags & ~1n) !== 0n) return 2;
  host.redirect = { ifindex, flags };
  return isXdp ? 4 : 7;
};

const redirectNeighbour: HelperFunction = (host) => {
  if (host.args.word(4) !== 0n) return 2;
  host.redirect = { ifindex: host.args.low(1), flags: 0n };
  return 7;
};

const redirectPeer: HelperFunction = (host) => {
  if (host.args.word(2) !== 0n) return 2;
  host.redirect = { ifindex: host.args.low(1), flags: 0n };
  return 7;
};

const notForwarded: RouteAnswer = { code: 4 };
const fragmentationNeeded = 8;
const fibFlags = 0x3f;

/** `struct bpf_fib_lookup`: offsets as in include/uapi/linux/bpf.h. */
const fibLookup: HelperFunction = (host) => {
  needContext(host);
  if (host.args.low(3) < 64) return -errno.EINVAL;
  const flags = host.args.low(4);
  if ((flags & ~fibFlags) !== 0) return -errno.EINVAL;
  const params = host.bytes(2, 64, true);
  const view = new DataView(params.buffer, params.byteOffset, 64);
  const family = view.getUint8(0);
  if (family !== 2 && family !== 10) return -errno.EAFNOSUPPORT;
  const size = family === 2 ? 4 : 16;
  const answer =
    host.environment.route?.({
      family,
      ifindex: view.getUint32(8, true),
      source: params.slice(16, 16 + size),
      destination: params.slice(32, 32 + size),
      flags,
    }) ?? notForwarded;
  if (answer.code !== 0) return answer.code;
  const length = view.getUint16(6, true);
  const mtu = host.environment.mtu ?? 1500;
  if (length > mtu) {
    view.setUint16(6, mtu, true);
    return fragmentationNeeded;
  }
  if (answer.ifindex !== undefined) view.setUint32(8, answer.ifindex, true);
  view.setUint32(48, 0, true);
  if (answer.sourceMac !== undefined) params.set(answer.sourceMac, 52);
  if (answer.destinationMac !== undefined)
    params.set(answer.destinationMac, 58);
  return 0;
};

const ethernetHeader = 14;

/** Every interface exists and has the environment's MTU. */
const checkMtu: HelperFunction = (host) => {
  needContext(host);
  const mtu = host.environment.mtu ?? 1500;
  const isXdp = host.frame.type === "xdp";
  const flags = host.args.word(5);
  if (isXdp ? flags !== 0n : (flags & ~1n) !== 0n) return -errno.EINVAL;
  const difference = host.args.int(4);
  const { memory } = host;
  memory.locate(host.args.address(3), 4, true);
  const given = memory.chunk.view.getUint32(memory.at, true);
  memory.chunk.view.setUint32(memory.at, mtu, true);
  const length =
    (given === 0 ? host.frame.length : given + ethernetHeader) + difference;
  return length > mtu + ethernetHeader ? 1 : 0;
};

export const packetHelpers: Readonly<Record<string, HelperFunction>> = {
  xdp_adjust_head: adjust((host, delta) => host.frame.adjustHead(delta)),
  xdp_adjust_meta: adjust((host, delta) => host.frame.adjustMeta(delta)),
  xdp_adjust_tail: adjust((host, delta) => host.frame.adjustTail(delta)),
  xdp_get_buff_len: (host) => host.frame.length,
  xdp_load_bytes: copyBytes(false),
  xdp_store_bytes: copyBytes(true),
  csum_diff: csumDiff,
  redirect,
  redirect_neigh: redirectNeighbour,
  redirect_peer: redirectPeer,
  fib_lookup: fibLookup,
  check_mtu: checkMtu,
};
