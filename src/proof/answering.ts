/**
 * Packets that answer what an earlier one became: a reply to a translated flow goes to
 * the port that the run itself gave it, so that each run is answered on its own ports.
 */
import type { Outcome, PacketInput } from "../interp/index.ts";

export interface Answer {
  /** Index of the packet that is answered, in the same episode. */
  readonly to: number;
  /** The frame that answers what left; undefined: the packet's own stays. */
  readonly frame: (sent: Outcome) => Uint8Array | undefined;
}

export type Answers = ReadonlyMap<number, Answer>;

/** Makes the packets of one run, in order; `note` keeps what later ones answer. */
export class Answering {
  readonly #answers: Answers;
  readonly #awaited: ReadonlySet<number>;
  readonly #sent = new Map<number, Outcome>();

  constructor(answers: Answers = new Map()) {
    this.#answers = answers;
    this.#awaited = new Set([...answers.values()].map(({ to }) => to));
  }

  /** The packet as this run gets it. */
  packet(index: number, given: PacketInput): PacketInput {
    const answer = this.#answers.get(index);
    const sent = answer === undefined ? undefined : this.#sent.get(answer.to);
    if (answer === undefined || sent === undefined) return given;
    const data = answer.frame(sent);
    return data === undefined ? given : { ...given, data };
  }

  note(index: number, outcome: Outcome): void {
    if (this.#awaited.has(index)) this.#sent.set(index, outcome);
  }
}
