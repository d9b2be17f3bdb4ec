/**
 * A lock in linear memory: one u32, 0 free, 1 held, 2 held and perhaps waited for.
 *
 * Taking it: 0 → 1; else spin a little; else set 2 and wait while it is 2. Whoever
 * sets 2 over 0 has it, and says 2 so that the next waiter is woken too. Releasing
 * sets 0 and wakes one waiter if there was a 2. So no wake-up is lost, and on a busy
 * machine nobody burns the time slice of the holder. `struct bpf_spin_lock` in a map
 * value follows the same protocol.
 *
 * A holder that died would be waited for in vain: after ten seconds without any
 * change of hands that is a Bug, never a hang.
 *
 * Source of the protocol: U. Drepper, Futexes Are Tricky, section 5 (mutex 2).
 */
import { Bug } from "../../base/index.ts";

const spins = 100;
const patience = 10_000;

export class MapLock {
  readonly #words: Int32Array;
  readonly #index: number;
  readonly #patience: number;

  /** `address` is a byte address, a multiple of 4; `words` views shared memory. */
  constructor(words: Int32Array, address: number, milliseconds = patience) {
    this.#words = words;
    this.#index = address >>> 2;
    this.#patience = milliseconds;
  }

  take(): void {
    if (Atomics.compareExchange(this.#words, this.#index, 0, 1) !== 0)
      waitForLock(this.#words, this.#index, this.#patience);
  }

  release(): void {
    if (Atomics.exchange(this.#words, this.#index, 0) === 2)
      Atomics.notify(this.#words, this.#index, 1);
  }
}

/** Takes a lock that was not free at the first try. */
export function waitForLock(
  words: Int32Array,
  index: number,
  milliseconds = patience,
): void {
  for (let spin = 0; spin < spins; spin++)
    if (
      Atomics.load(words, index) === 0 &&
      Atomics.compareExchange(words, index, 0, 1) === 0
    )
      return;
  while (Atomics.exchange(words, index, 2) !== 0)
    if (Atomics.wait(words, index, 2, milliseconds) === "timed-out")
      throw new Bug(
        `the lock at ${4 * index} was not released for ${milliseconds} ms`,
      );
}
