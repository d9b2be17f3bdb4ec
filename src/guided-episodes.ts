/**
 * Packets that bring a program where neither a search of short sequences nor a trace
 * leads: behind the covering packets, on the state that they leave,
 *
 * - one packet many times at one instant, as large as a frame can be: limits of rates,
 *   thresholds and counters are crossed (a token bucket of 100,000 bytes is empty after
 *   67 frames);
 * - TCP conversations with sequence numbers that follow from each other, from the first
 *   SYN to the last acknowledgement, both ends closing in turn, answered over each port;
 * - packets whose transport checksum becomes zero: one in 65,536 by chance, so they are
 *   made. In one's complement (RFC 1624), with a = ~before and b = ~after, a program adds
 *   d = b - a, and ~after' = a' + d is 0xffff, its negation 0, where a' = 0xffff - d.
 *
 * What reaches no new edge of the program is left out, and with it the episode.
 */
import {
  BytecodeMachine,
  createState,
  type Outcome,
  type PacketInput,
  type State,
} from "./interp/index.ts";
import type { ProgramSpec } from "./isa/index.ts";
import {
  fieldPosition,
  parseFrame,
  refreshChecksums,
  replyTo,
} from "./packet/index.ts";
import {
  TakenEdges,
  type Answer,
  type Answers,
  type MapContents,
} from "./proof/index.ts";

export interface GuidedRequest {
  readonly program: ProgramSpec;
  readonly contents: MapContents;
  readonly cores: number;
  readonly seed: number;
  readonly cover: readonly PacketInput[];
  readonly ifindexes: readonly number[];
  readonly accepts: (packet: PacketInput) => boolean;
}

export interface GuidedEpisode {
  readonly name: string;
  readonly packets: readonly PacketInput[];
  readonly answers: Answers;
}

/** Packets that answer none, or the one so many before them. */
interface Step {
  readonly packet: PacketInput;
  readonly answer?: { readonly back: number; readonly frame: Answer["frame"] };
}

/** Covering packets that are tried, and how often one is sent. */
const tried = 96;
const repeats = 160;
const longest = 1514;

/** The episode; undefined: nothing new was reached. */
export function guidedEpisode({
  program,
  contents,
  cores,
  seed,
  cover,
  ifindexes,
  accepts,
}: GuidedRequest): GuidedEpisode | undefined {
  const prefix = cover.filter(accepts);
  const taken = new TakenEdges();
  const initial = createState(program.maps, { cpus: cores, contents });
  const machine = new BytecodeMachine(program, initial, {
    seed,
    observer: { branch: taken.note },
  });
  let state = initial.clone();
  const packets: PacketInput[] = [];
  const answers = new Map<number, Answer>();
  let time = 0n;
  let known = 0;

  const run = (on: State, packet: PacketInput): Outcome => {
    machine.use(on);
    return machine.run(packet);
  };
  for (const packet of prefix) {
    run(state, packet);
    packets.push(packet);
    if (packet.time > time) time = packet.time;
  }
  known = taken.names().size;

  /** Appends the steps if they reach something new. */
  const attempt = (steps: readonly Step[]): void => {
    if (!steps.every(({ packet }) => accepts(packet))) return;
    const next = state.clone();
    const outcomes: Outcome[] = [];
    for (const { packet, answer } of steps) {
      const asked =
        answer === undefined
          ? undefined
          : outcomes[outcomes.length - answer.back];
      const data =
        (asked === undefined ? undefined : answer?.frame(asked)) ?? packet.data;
      outcomes.push(run(next, { ...packet, data, time }));
    }
    const now = taken.names().size;
    if (now === known) return;
    known = now;
    state = next;
    for (const { packet, answer } of steps) {
      if (answer !== undefined)
        answers.set(packets.length, {
          to: packets.length - answer.back,
          frame: answer.frame,
        });
      packets.push({ ...packet, time });
    }
    time += 1000n;
  };

  const every = Math.max(1, Math.floor(prefix.length / tried));
  const chosen = prefix.filter((_, at) => at % every === 0);
  for (const packet of chosen) attempt(burst(packet));
  for (const packet of chosen)
    for (const ifindex of ifindexes.length === 0
      ? [packet.ifindex]
      : ifindexes) {
      const opener = synOf(packet);
      if (opener !== undefined)
        for (const steps of conversations(opener, ifindex)) attempt(steps);
    }
  // All of them: translated flows are few among them.
  for (const packet of prefix) {
    const sent = run(state.clone(), { ...packet, time }).data;
    const zeroed = withZeroSum(packet, sent);
    if (zeroed !== undefined) attempt([{ packet: zeroed }]);
  }
  return packets.length === prefix.length
    ? undefined
    : { name: "guided", packets, answers };
}

/** The packet as large as it can be, over and over. */
function burst(packet: PacketInput): Step[] {
  const data = new Uint8Array(longest);
  data.set(packet.data.subarray(0, longest));
  const step: Step = { packet: { ...packet, data } };
  return Array.from({ length: repeats }, () => step);
}

const FIN = 1;
const SYN = 2;
const ACK = 16;
/** Where a TCP header has its numbers and flags. */
const SEQUENCE = 4;
const ACKNOWLEDGED = 8;
const FLAGS = 13;
const CHECKSUM = { tcp: 16, udp: 6 } as const;

interface Segment {
  readonly flags: number;
  readonly sequence: number;
  readonly acknowledged: number;
}

function asSegment(
  data: Uint8Array,
  { flags, sequence, acknowledged }: Segment,
): Uint8Array {
  const at = transport(data, "tcp");
  if (at === undefined) return data;
  const copy = data.slice();
  const view = new DataView(copy.buffer);
  view.setUint32(at + SEQUENCE, sequence);
  view.setUint32(at + ACKNOWLEDGED, acknowledged);
  view.setUint8(at + FLAGS, flags);
  return refreshChecksums(copy);
}

/** Where the header of a whole TCP or UDP packet begins. */
function transport(
  data: Uint8Array,
  protocol: keyof typeof CHECKSUM,
): number | undefined {
  const parsed = parseFrame(data);
  const port = fieldPosition(parsed, "l4.sport");
  if (parsed.l4 !== protocol || port === undefined) return undefined;
  const at = port >>> 3;
  return at + (protocol === "tcp" ? 20 : 8) <= data.length ? at : undefined;
}

/** Initial sequence numbers of both ends. */
const own = 1000;
const other = 5000;

function synOf(packet: PacketInput): PacketInput | undefined {
  if (transport(packet.data, "tcp") === undefined) return undefined;
  const first = { flags: SYN, sequence: own, acknowledged: 0 };
  return { ...packet, data: asSegment(packet.data, first) };
}

/**
 * From SYN to the last ACK: the end that opened closes first, or the other one does;
 * and each beginning of it again with numbers that do not follow.
 */
function conversations(opener: PacketInput, ifindex: number): Step[][] {
  const line = (
    isAnswer: boolean,
    flags: number,
    [sequence, acknowledged]: readonly [number, number],
  ) => ({ isAnswer, segment: { flags, sequence, acknowledged } });
  const open = [
    line(false, SYN, [own, 0]),
    line(true, SYN | ACK, [other, own + 1]),
    line(false, ACK, [own + 1, other + 1]),
    line(true, ACK, [other + 1, own + 1]),
  ];
  const closings = [false, true].map((isLate) => [
    ...open,
    line(
      isLate,
      FIN | ACK,
      isLate ? [other + 1, own + 1] : [own + 1, other + 1],
    ),
    line(!isLate, ACK, isLate ? [own + 1, other + 2] : [other + 1, own + 2]),
    line(
      !isLate,
      FIN | ACK,
      isLate ? [own + 1, other + 2] : [other + 1, own + 2],
    ),
    line(isLate, ACK, isLate ? [other + 2, own + 2] : [own + 2, other + 2]),
  ]);
  // Both FINs without the ACK between them.
  const short = closings.map((all) => all.filter((_, at) => at !== 5));
  return [...closings, ...short]
    .flatMap((all) => [
      all,
      ...all.slice(1).map((last, at) => [
        ...all.slice(0, at + 1),
        {
          ...last,
          segment: {
            ...last.segment,
            sequence: last.segment.sequence + 77,
            acknowledged: last.segment.acknowledged + 77,
          },
        },
        last,
      ]),
    ])
    .map((lines) =>
      lines.map(({ isAnswer, segment }, at): Step => {
        const data = asSegment(opener.data, segment);
        if (!isAnswer) return { packet: { ...opener, data } };
        return {
          packet: {
            ...opener,
            ifindex,
            data: asSegment(replyTo(opener.data), segment),
          },
          answer: {
            back: at,
            frame: (sent) => asSegment(replyTo(sent.data), segment),
          },
        };
      }),
    );
}

/** The packet with the checksum that the program makes zero. */
function withZeroSum(
  packet: PacketInput,
  sent: Uint8Array,
): PacketInput | undefined {
  const { data } = packet;
  const at = transport(data, "udp");
  if (at === undefined || sent.length !== data.length) return undefined;
  const field = at + CHECKSUM.udp;
  const [before, after] = [data, sent].map((bytes) =>
    new DataView(bytes.buffer, bytes.byteOffset).getUint16(field),
  );
  if (before === undefined || after === undefined || before === 0)
    return undefined;
  const added = ((~after & 0xffff) - (~before & 0xffff) + 0xffff) % 0xffff;
  if (added === 0) return undefined;
  const copy = data.slice();
  new DataView(copy.buffer).setUint16(field, ~(0xffff - added) & 0xffff);
  return { ...packet, data: copy };
}
