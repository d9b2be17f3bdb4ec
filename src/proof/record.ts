/**
 * What a run of a whole trace leaves behind, in a form that two machines can be
 * compared by: per packet the verdict and, where there is any, changed bytes,
 * redirect target and events; at the end the state.
 */
import { toHex, type Place } from "../base/index.ts";
import type { Outcome, PacketInput } from "../interp/index.ts";

/** Map name → key as hex → one value per CPU copy as hex (one where there are no copies). */
export type StateDump = ReadonlyMap<
  string,
  ReadonlyMap<string, readonly string[]>
>;

/** First contents of maps by name, as user space writes them. */
export type MapContents = Readonly<
  Record<
    string,
    readonly { readonly key: Uint8Array; readonly value: Uint8Array }[]
  >
>;

export interface RunFault {
  readonly packet: number;
  readonly text: string;
  readonly at?: Place;
}

/** Outcomes of a run, packet by packet, and the state after it. */
export interface RunRecord {
  readonly verdicts: Uint32Array;
  /** Two words per packet: fingerprint of the output frame; zeros: unchanged. */
  readonly outputs: Uint32Array;
  /** Two words per packet: fingerprint of redirect target and events; zeros: none. */
  readonly effects: Uint32Array;
  readonly faults: readonly RunFault[];
  readonly state: StateDump;
}

/** Runs `packets` in order on one fresh state; `cpus` copies of per-CPU values. */
export type Runner = (
  packets: readonly PacketInput[],
  cpus: number,
) => RunRecord;

/** Collects outcomes one by one into a record. */
export class Recorder {
  readonly #verdicts: Uint32Array;
  readonly #outputs: Uint32Array;
  readonly #effects: Uint32Array;
  readonly #faults: RunFault[] = [];
  /** Whose fingerprint stands where: often the next packet's too. */
  readonly #recent: object[] = [];
  readonly #recentAt: number[] = [];
  #next = 0;

  constructor(packets: number) {
    this.#verdicts = new Uint32Array(packets);
    this.#outputs = new Uint32Array(2 * packets);
    this.#effects = new Uint32Array(2 * packets);
  }

  add(index: number, input: PacketInput, outcome: Outcome): void {
    const { verdict, data, fault } = outcome;
    const output = isChanged(input.data, data) ? data : undefined;
    this.note(index, verdict, output, outcome);
    if (fault !== undefined) this.#faults.push({ packet: index, ...fault });
  }

  /** The same in parts: the frame only where it is not the one that went in. */
  note(
    index: number,
    verdict: number,
    output: Uint8Array | undefined,
    effects: Pick<Outcome, "redirect" | "events"> | undefined,
  ): void {
    this.#verdicts[index] = verdict;
    if (output !== undefined) fingerprint(output, this.#outputs, 2 * index);
    if (effects === undefined) return;
    for (let slot = 0; slot < remembered; slot++)
      if (this.#recent[slot] === effects) {
        const from = 2 * (this.#recentAt[slot] ?? 0);
        this.#effects.copyWithin(2 * index, from, from + 2);
        return;
      }
    this.#recent[this.#next] = effects;
    this.#recentAt[this.#next] = index;
    this.#next = (this.#next + 1) % remembered;
    const text = effectsText(effects);
    if (text !== "")
      fingerprint(encoder.encode(text), this.#effects, 2 * index);
  }

  finish(state: StateDump): RunRecord {
    return {
      verdicts: this.#verdicts,
      outputs: this.#outputs,
      effects: this.#effects,
      faults: this.#faults,
      state,
    };
  }
}

const remembered = 4;
const encoder = new TextEncoder();

function isChanged(before: Uint8Array, after: Uint8Array): boolean {
  if (before === after) return false;
  if (before.length !== after.length) return true;
  for (let index = 0; index < before.length; index++)
    if (before[index] !== after[index]) return true;
  return false;
}

/**
 * Two independent 32-bit hashes (FNV-1a, and a multiplicative one), never both 0.
 * Equal bytes give equal words; that others do not is 1 in 2^64, not certain.
 */
function fingerprint(bytes: Uint8Array, into: Uint32Array, at: number): void {
  let one = 0x811c9dc5;
  let other = bytes.length + 1;
  for (const byte of bytes) {
    one = Math.imul(one ^ byte, 0x01000193);
    other = Math.imul(other + byte, 0x9e3779b1);
    other ^= other >>> 15;
  }
  into[at] = one;
  into[at + 1] = other | 1;
}

/** Redirect target and events as one comparable text. */
export function effectsText(
  outcome: Pick<Outcome, "redirect" | "events">,
): string {
  const parts: string[] = [];
  const { redirect } = outcome;
  if (redirect !== undefined)
    parts.push(
      redirect.map === undefined
        ? `redirect ifindex ${redirect.ifindex} flags ${redirect.flags}`
        : `redirect ${redirect.map}[${redirect.key}] flags ${redirect.flags}`,
    );
  for (const event of outcome.events)
    parts.push(`${event.kind} ${event.map ?? ""} ${toHex(event.data)}`);
  return parts.join("; ");
}
