/** What answers a frame: the same one with the ends of each layer exchanged. */
import { fieldPosition } from "./access.ts";
import { parseFrame } from "./parse.ts";

const swaps = [
  ["eth.src", "eth.dst"],
  ["ipv4.src", "ipv4.dst"],
  ["ipv6.src", "ipv6.dst"],
  ["l4.sport", "l4.dport"],
] as const;

/** The frame with both addresses of each layer exchanged; checksums stay right. */
export function replyTo(data: Uint8Array): Uint8Array {
  const parsed = parseFrame(data);
  const copy = data.slice();
  for (const [source, destination] of swaps) {
    const [one, other] = [source, destination].map((name) =>
      fieldPosition(parsed, name),
    );
    if (one === undefined || other === undefined) continue;
    const [from, to] = [one >>> 3, other >>> 3];
    const size = Math.abs(to - from);
    copy.set(data.subarray(from, from + size), to);
    copy.set(data.subarray(to, to + size), from);
  }
  return copy;
}
