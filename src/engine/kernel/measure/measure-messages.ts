/**
 * What a measuring crew and its hands say to each other. Orders and answers are
 * messages; what is urgent goes through words that all of them see:
 *
 *   0 hands that are ready   32 cores that are done   64 × (1 + core) ball of a rally
 *
 * 128 bytes (32 words) apart, so that no two lie in one line or its neighbour.
 */
const wordStride = 32;
export const readyWord = 0;
export const doneWord = 32;

export function ballWord(core: number): number {
  return wordStride * (2 + core);
}

/** Words for so many hands. */
export function wordsFor(hands: number): number {
  return ballWord(hands);
}

export interface HandStart {
  readonly cpu: number;
  readonly words: SharedArrayBuffer;
}

/** What a hand does in a sample. */
export type Order =
  | { readonly kind: "park"; readonly hands: number; readonly cores: number }
  | {
      readonly kind: "run";
      readonly core: number;
      readonly cores: number;
      readonly hands: number;
      readonly fd: number;
      readonly frame: Uint8Array;
      readonly repeat: number;
      /** Round trips of a rally before and after; 0: none. */
      readonly rally: number;
    };

export type Answer =
  | { readonly kind: "parked" }
  | {
      readonly kind: "ran";
      /** Errno of the test run, or 0. */
      readonly errno: number;
      readonly verdict: number;
      /** Mean of a repeat as the kernel tells it, in whole nanoseconds. */
      readonly durationNs: number;
      /** Mean round trips to core 0, before and after; empty on core 0 itself. */
      readonly roundTrips: readonly number[];
      /** Nanoseconds that the thread was ready to run and did not. */
      readonly lostNs: number;
      /** Whether the thread had real-time priority. */
      readonly realTime: boolean;
    }
  /** Another hand did not come. */
  | { readonly kind: "alone" }
  | { readonly kind: "failed"; readonly error: unknown };
