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
  /** Only packets whose bytes changed, as hex. */
  readonly outputs: ReadonlyMap<number, string>;
  /** Redirect target and events, as text; only packets that have any. */
  readonly effects: ReadonlyMap<number, string>;
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
  readonly #outputs = new Map<number, string>();
  readonly #effects = new Map<number, string>();
  readonly #faults: RunFault[] = [];

  constructor(packets: number) {
    this.#verdicts = new Uint32Array(packets);
  }

  add(index: number, input: PacketInput, outcome: Outcome): void {
    this.#verdicts[index] = outcome.verdict;
    const changed = changedBytes(input.data, outcome.data);
    if (changed !== undefined) this.#outputs.set(index, changed);
    const effects = effectsText(outcome);
    if (effects !== "") this.#effects.set(index, effects);
    if (outcome.fault !== undefined)
      this.#faults.push({ packet: index, ...outcome.fault });
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

/** The output frame as hex where it differs from the input frame. */
export function changedBytes(
  before: Uint8Array,
  after: Uint8Array,
): string | undefined {
  if (before === after) return undefined;
  if (before.length === after.length) {
    let index = 0;
    while (index < before.length && before[index] === after[index]) index++;
    if (index === before.length) return undefined;
  }
  return toHex(after);
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
