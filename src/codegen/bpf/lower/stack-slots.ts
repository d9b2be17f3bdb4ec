/**
 * Slots of the stack for groups that do not stay in registers: eight aligned bytes
 * each, so that the verifier keeps what it knows of the word, in the frame's bytes
 * that are no memory of the program, those next to r10 first. Groups that never
 * live at the same time share.
 */
import { UnsupportedError } from "../../../base/index.ts";
import type { Group } from "./interval.ts";
import type { LowFunction } from "./low-code.ts";
import { frameSize } from "./slot-places.ts";

export class StackSlots {
  readonly #fn: LowFunction;
  readonly #free: number[] = [];
  readonly #scratch: (number | undefined)[] = [undefined, undefined];
  readonly #all: number[] = [];
  #next = -8;

  constructor(fn: LowFunction) {
    this.#fn = fn;
  }

  place(groups: readonly Group[]): void {
    const spilled = [...new Set(groups)].filter((group) => group.isSpilled);
    const lives = spilled.map((group) => ({
      group,
      from: group.pieces[0]?.start ?? 0,
      to: group.pieces.at(-1)?.end ?? 0,
    }));
    lives.sort((a, b) => a.from - b.from);
    let busy: { readonly to: number; readonly offset: number }[] = [];
    for (const { group, from, to } of lives) {
      const over = busy.filter((other) => other.to <= from);
      busy = busy.filter((other) => other.to > from);
      this.#free.push(...over.map(({ offset }) => offset));
      const offset = this.#free.pop() ?? this.#fresh();
      group.slot = offset;
      busy.push({ to, offset });
    }
    this.#free.length = 0;
  }

  /** All of them. */
  get offsets(): readonly number[] {
    return this.#all;
  }

  /** For copies that need a word put aside. */
  scratch(index: 0 | 1): number {
    return (this.#scratch[index] ??= this.#fresh());
  }

  #fresh(): number {
    const { name, taken } = this.#fn;
    let at = this.#next;
    while (taken.some(({ low, high }) => at < high && low < at + 8)) at -= 8;
    if (at < -frameSize)
      throw new UnsupportedError(
        `${name} needs more than ${frameSize} bytes of stack`,
        {
          feature: `stack frames of more than ${frameSize} bytes`,
          fix: "keep fewer values at a time, or keep structures in a map",
        },
      );
    this.#next = at - 8;
    this.#all.push(at);
    return at;
  }
}
