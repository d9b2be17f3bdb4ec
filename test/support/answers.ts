/**
 * Replies to what a run itself sent out: behind some packets of port 0 a packet on
 * port 1 that answers the frame as it left (a NAT's reply goes to the NAT's own port).
 */
import { Random } from "#base";
import type { Outcome, PacketInput } from "#interp";
import { replyTo } from "#packet";
import type { Answers } from "#proof";
import { interfaces } from "./nf-traffic.ts";

export interface AnsweredPackets {
  readonly packets: readonly PacketInput[];
  readonly answers: Answers;
}

/** About `share` of the packets of the first port are answered a few packets later. */
export function withAnswers(
  packets: readonly PacketInput[],
  { seed, share = 0.3 }: { readonly seed: number; readonly share?: number },
): AnsweredPackets {
  const random = new Random(seed);
  const [lan, wan] = interfaces;
  const all: PacketInput[] = [];
  const answers = new Map<
    number,
    { to: number; frame: (sent: Outcome) => Uint8Array | undefined }
  >();
  const waiting: { readonly to: number; readonly at: number }[] = [];
  for (const packet of packets) {
    all.push(packet);
    if (packet.ifindex === lan && random.chance(share))
      waiting.push({ to: all.length - 1, at: all.length + random.below(30) });
    while (waiting.length > 0) {
      const due = waiting.findIndex(({ at }) => at <= all.length);
      if (due < 0) break;
      const [{ to } = { to: 0 }] = waiting.splice(due, 1);
      const asked = all[to];
      if (asked === undefined) break;
      answers.set(all.length, {
        to,
        frame: ({ data }) => replyTo(data),
      });
      all.push({
        ...packet,
        data: replyTo(asked.data),
        ifindex: wan,
        random: random.u32(),
      });
    }
  }
  return { packets: all, answers };
}
