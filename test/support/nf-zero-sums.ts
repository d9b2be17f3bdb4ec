/**
 * Packets whose checksum becomes zero: one in 65,536 by chance, so they are made. Of a
 * packet that a program changed, input and output tell what it adds to a checksum; the
 * input's checksum is set to what that leads to zero. No program of the suite reads a
 * checksum for anything but this, so what happens to the others stays the same.
 *
 * In one's complement (RFC 1624): with a = ~before and b = ~after, the program adds
 * d = b - a, and ~after' = a' + d is 0xffff, its negation 0, where a' = 0xffff - d.
 */
import type { PacketInput } from "#interp";
import { Random } from "#base";
import type { Ran } from "./nf-machines.ts";

const ipCheck = 24;

export function withZeroSums(
  packets: readonly PacketInput[],
  watched: Ran["watched"],
  seed: number,
): readonly PacketInput[] {
  const random = new Random(seed);
  return packets.map((packet, at) => {
    const after = watched.get(at)?.data;
    const { data: before } = packet;
    if (after?.length !== before.length || !random.chance(0.5)) return packet;
    const field = random.chance(0.2) ? ipCheck : transportCheck(before);
    if (field === undefined || before.length < field + 2) return packet;
    const [a, b] = [
      ~word(before, field) & 0xffff,
      ~word(after, field) & 0xffff,
    ];
    const added = (b - a + 0xffff) % 0xffff;
    if (added === 0 || word(before, field) === 0) return packet;
    const data = before.slice();
    const wanted = ~(0xffff - added) & 0xffff;
    data[field] = wanted >> 8;
    data[field + 1] = wanted;
    return { ...packet, data };
  });
}

/** Where an unfragmented TCP or UDP packet straight behind Ethernet has its checksum. */
function transportCheck(data: Uint8Array): number | undefined {
  if (data.length < 34 || word(data, 12) !== 0x0800) return undefined;
  const l4 = 14 + 4 * ((data[14] ?? 0) & 15);
  return data[23] === 6 ? l4 + 16 : data[23] === 17 ? l4 + 6 : undefined;
}

function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}
