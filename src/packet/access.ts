/**
 * Reading and writing fields of a parsed frame. A field that the frame does not
 * have, or not wholly, is undefined. `setField` gives a new frame and leaves the
 * checksums as they are (refreshChecksums repairs them).
 */
import { Bug, unreachable } from "../base/index.ts";
import type { FieldBit, FieldName } from "./field.ts";
import { fields, type Layer } from "./fields.ts";
import { innerFrame, vlanOffset, type ParsedFrame } from "./parse.ts";

/** First bit of a field, from the start of the frame; undefined unless all of it is there. */
export function fieldPosition(
  parsed: ParsedFrame,
  name: FieldName,
): number | undefined {
  const { layer, bit, bits } = fields[name];
  const start = layerOffset(parsed, layer);
  if (start === undefined) return undefined;
  const first = 8 * start + bit;
  return first + bits <= 8 * parsed.data.length ? first : undefined;
}

/** The field as an unsigned number, network order. */
export function readField(
  parsed: ParsedFrame,
  name: FieldName,
): bigint | undefined {
  const first = fieldPosition(parsed, name);
  if (first === undefined) return undefined;
  const { bits } = fields[name];
  const end = (first + bits + 7) >>> 3;
  let value = 0n;
  for (let at = first >>> 3; at < end; at++)
    value = (value << 8n) | BigInt(parsed.data[at] ?? 0);
  return BigInt.asUintN(bits, value >> BigInt(8 * end - first - bits));
}

export function readBit(
  parsed: ParsedFrame,
  { field, bit }: FieldBit,
): 0 | 1 | undefined {
  const first = fieldPosition(parsed, field);
  if (first === undefined || bit < 0 || bit >= fields[field].bits)
    return undefined;
  const at = first + bit;
  return (((parsed.data[at >>> 3] ?? 0) >>> (7 - (at & 7))) & 1) as 0 | 1;
}

/** A copy of the frame with the field set; undefined where the frame lacks it. */
export function setField(
  parsed: ParsedFrame,
  name: FieldName,
  value: bigint,
): Uint8Array | undefined {
  const first = fieldPosition(parsed, name);
  if (first === undefined) return undefined;
  const { bits } = fields[name];
  if (BigInt.asUintN(bits, value) !== value)
    throw new Bug(`${value} does not fit in ${name}`);
  const data = parsed.data.slice();
  for (let bit = 0; bit < bits; bit++) {
    const at = first + bit;
    const mask = 0x80 >>> (at & 7);
    const one = (value >> BigInt(bits - 1 - bit)) & 1n;
    const old = data[at >>> 3] ?? 0;
    data[at >>> 3] = one === 1n ? old | mask : old & ~mask;
  }
  return data;
}

/** Where a layer's header starts in the frame. */
export function layerOffset(
  parsed: ParsedFrame,
  layer: Layer,
): number | undefined {
  switch (layer) {
    case "eth":
      return 0;
    case "vlan":
      return vlanOffset(parsed, 0);
    case "vlan2":
      return vlanOffset(parsed, 1);
    case "arp":
    case "ipv4":
    case "ipv6":
      return parsed.l3 === layer ? parsed.l3Offset : undefined;
    case "tcp":
    case "udp":
    case "gre":
      return parsed.l4 === layer ? parsed.l4Offset : undefined;
    case "icmp":
      return parsed.l4 === "icmp" || parsed.l4 === "icmpv6"
        ? parsed.l4Offset
        : undefined;
    case "l4":
      return parsed.l4 === "tcp" || parsed.l4 === "udp" || parsed.l4 === "sctp"
        ? parsed.l4Offset
        : undefined;
    case "gre-key":
      return greKeyOffset(parsed);
    case "vxlan":
      return parsed.tunnel?.kind === "vxlan" && parsed.l4Offset !== undefined
        ? parsed.l4Offset + 8
        : undefined;
    case "gtp":
      return parsed.tunnel?.kind === "gtp-u" && parsed.l4Offset !== undefined
        ? parsed.l4Offset + 8
        : undefined;
    case "inner-eth":
      return parsed.tunnel?.inner === "eth"
        ? parsed.tunnel.innerOffset
        : undefined;
    case "inner-ipv4":
      return innerOffset(parsed, "ipv4");
    case "inner-ipv6":
      return innerOffset(parsed, "ipv6");
    case "inner-l4":
      return innerOffset(parsed, "l4");
    default:
      return unreachable(layer);
  }
}

/** Of a header of the packet in the tunnel. */
function innerOffset(
  parsed: ParsedFrame,
  layer: "ipv4" | "ipv6" | "l4",
): number | undefined {
  const inner = innerFrame(parsed);
  const at = inner === undefined ? undefined : layerOffset(inner, layer);
  return at === undefined ? undefined : at + (parsed.tunnel?.innerOffset ?? 0);
}

function greKeyOffset(parsed: ParsedFrame): number | undefined {
  const { tunnel, l4Offset, data } = parsed;
  if (tunnel?.kind !== "gre" || tunnel.id === undefined) return undefined;
  if (l4Offset === undefined) return undefined;
  return l4Offset + (((data[l4Offset] ?? 0) & 0x80) !== 0 ? 8 : 4);
}
