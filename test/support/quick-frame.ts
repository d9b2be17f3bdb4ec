/**
 * IPv4 frames by the hundred thousand: what buildFrame makes of the same words (tested
 * in test/nfs-agree.test.ts), without its generality. Checksums are right; options and
 * payload are copied, and what is not given is zero.
 */

export interface FrameWords {
  readonly dst?: bigint;
  readonly src?: bigint;
  /** Tag control words, outermost first. */
  readonly vlans?: readonly number[];
  readonly source: number;
  readonly destination: number;
  readonly protocol: number;
  readonly tos?: number;
  readonly id?: number;
  /** Flags and offset of a fragment, one word. */
  readonly fragment?: number;
  readonly ttl?: number;
  readonly options?: Uint8Array;
  /** The transport header where `protocol` is TCP or UDP. */
  readonly sport: number;
  readonly dport: number;
  readonly seq?: number;
  readonly ack?: number;
  readonly flags?: number;
  /** TCP's data offset; 5 words by default, and options are part of the payload. */
  readonly offset?: number;
  readonly payload?: Uint8Array;
  /** Of the frame: the payload is extended with zeros. */
  readonly size?: number;
}

const tcp = 6;
const udp = 17;
const ours = 0x0200_0000_0001n;
const theirs = 0x0200_0000_0002n;

export function quickFrame(words: FrameWords): Uint8Array {
  const { vlans = [], options, payload, protocol, size = 0 } = words;
  const l3 = 14 + 4 * vlans.length;
  const l4 = l3 + 20 + (options?.length ?? 0);
  const body = l4 + (protocol === tcp ? 20 : protocol === udp ? 8 : 0);
  const end = Math.max(size, body + (payload?.length ?? 0));
  const frame = new Uint8Array(end);
  const view = new DataView(frame.buffer);
  view.setBigUint64(0, (words.dst ?? theirs) << 16n);
  view.setBigUint64(6, (words.src ?? ours) << 16n);
  for (const [at, tag] of vlans.entries()) {
    view.setUint16(12 + 4 * at, at + 1 < vlans.length ? 0x88a8 : 0x8100);
    view.setUint16(14 + 4 * at, tag);
  }
  view.setUint16(l3 - 2, 0x0800);
  view.setUint8(l3, 0x40 + (l4 - l3) / 4);
  view.setUint8(l3 + 1, words.tos ?? 0);
  view.setUint16(l3 + 2, end - l3);
  view.setUint16(l3 + 4, words.id ?? 0);
  view.setUint16(l3 + 6, words.fragment ?? 0);
  view.setUint8(l3 + 8, words.ttl ?? 64);
  view.setUint8(l3 + 9, protocol);
  view.setUint32(l3 + 12, words.source);
  view.setUint32(l3 + 16, words.destination);
  if (options !== undefined) frame.set(options, l3 + 20);
  view.setUint16(l3 + 10, folded(sum(view, l3, l4)));
  if (payload !== undefined) frame.set(payload, body);
  if (protocol !== tcp && protocol !== udp) return frame;
  view.setUint16(l4, words.sport);
  view.setUint16(l4 + 2, words.dport);
  const field = protocol === tcp ? l4 + 16 : l4 + 6;
  if (protocol === udp) view.setUint16(l4 + 4, end - l4);
  else {
    view.setUint32(l4 + 4, words.seq ?? 0);
    view.setUint32(l4 + 8, words.ack ?? 0);
    view.setUint8(l4 + 12, (words.offset ?? 5) << 4);
    view.setUint8(l4 + 13, words.flags ?? 0);
    view.setUint16(l4 + 14, 0xffff);
  }
  // Behind the payload there is nothing but zeros. A later fragment has no such header.
  if (((words.fragment ?? 0) & 0x1fff) !== 0) return frame;
  const filled = Math.min(end, body + (payload?.length ?? 0));
  const pseudo = sum(view, l3 + 12, l3 + 20) + protocol + end - l4;
  const word = folded(pseudo + sum(view, l4, filled));
  view.setUint16(field, protocol === udp && word === 0 ? 0xffff : word);
  return frame;
}

/** Of 16-bit words; an odd last byte is a word's first. */
function sum(view: DataView, from: number, to: number): number {
  let total = 0;
  let at = from;
  for (; at + 2 <= to; at += 2) total += view.getUint16(at);
  return at < to ? total + 256 * view.getUint8(at) : total;
}

function folded(total: number): number {
  let word = total;
  while (word > 0xffff) word = (word & 0xffff) + (word >>> 16);
  return ~word & 0xffff;
}
