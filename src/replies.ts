/**
 * Answers to what a run itself sent out: behind a packet, on every other port, the frame
 * that left with its addresses exchanged; then the same from another address, from
 * another port, to another port, and as another protocol, which must be told from it.
 *
 * A NAT gives a flow its port in the run, so no packet that was made before can be an
 * answer to it; see src/proof/answering.ts.
 */
import { Random } from "./base/index.ts";
import type { Outcome, PacketInput } from "./interp/index.ts";
import {
  fieldPosition,
  parseFrame,
  refreshChecksums,
  replyTo,
} from "./packet/index.ts";
import type { Answer, Answers } from "./proof/index.ts";

export interface AnsweredPackets {
  readonly packets: readonly PacketInput[];
  readonly answers: Answers;
}

/** What is wrong with an answer: byte of the frame, from where a field begins. */
const changes = [
  undefined,
  ["ipv4.src", 3],
  ["ipv6.src", 15],
  ["l4.sport", 1],
  ["l4.dport", 1],
  ["l4.dport", 0],
  ["ipv4.protocol", 0],
] as const;

/** Each packet with answers a little later; several packets wait for theirs at a time. */
export function answeredPackets(
  asked: readonly PacketInput[],
  {
    ifindexes,
    seed,
  }: { readonly ifindexes: readonly number[]; readonly seed: number },
): AnsweredPackets {
  const random = new Random(seed);
  const packets: PacketInput[] = [];
  const answers = new Map<number, Answer>();
  const waiting: { readonly to: number; readonly at: number }[] = [];
  let time = 0n;
  const push = (packet: PacketInput): number => {
    time = packet.time > time ? packet.time : time + 1000n;
    packets.push({ ...packet, time });
    return packets.length - 1;
  };
  const answer = (to: number): void => {
    const packet = packets[to];
    if (packet === undefined) return;
    for (const ifindex of ifindexes) {
      if (ifindex === packet.ifindex) continue;
      for (const change of [undefined, random.pick(changes)]) {
        const frame = (data: Uint8Array) => changed(replyTo(data), change);
        const at = push({ ...packet, data: frame(packet.data), ifindex });
        answers.set(at, { to, frame: (sent: Outcome) => frame(sent.data) });
      }
    }
  };
  for (const packet of asked) {
    waiting.push({ to: push(packet), at: packets.length + random.below(12) });
    while ((waiting[0]?.at ?? Infinity) <= packets.length)
      answer(waiting.shift()?.to ?? 0);
  }
  for (const { to } of waiting) answer(to);
  return { packets, answers };
}

function changed(
  data: Uint8Array,
  change: (typeof changes)[number],
): Uint8Array {
  if (change === undefined) return data;
  const [field, byte] = change;
  const first = fieldPosition(parseFrame(data), field);
  if (first === undefined) return data;
  const copy = data.slice();
  const at = (first >>> 3) + byte;
  // TCP and UDP are told apart by this bit pattern; other fields may have any.
  const flip = field === "ipv4.protocol" ? 6 ^ 17 : 1;
  copy[at] = (copy[at] ?? 0) ^ flip;
  return refreshChecksums(copy);
}
