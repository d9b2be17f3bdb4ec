/**
 * The control words that the feeder and one worker share, as indexes of an Int32Array.
 *
 *   line 0   head: packets published      closed: 1 when no more will come
 *   line 1   tail: packets done           phase: what the worker is at
 *   line 2   coreWaits: the worker sleeps on `head`
 *   line 3   feederWaits: the feeder sleeps on `tail`
 *
 * Each line of 128 bytes is written by one side mostly, so that neither takes it from
 * the other without need. Head and tail count modulo 2^32.
 */
export const word = {
  head: 0,
  closed: 1,
  tail: 32,
  phase: 33,
  coreWaits: 64,
  feederWaits: 96,
} as const;

export const wordBytes = 4 * 128;

export const phase = { starting: 0, running: 1, finishing: 2 } as const;

/** Loads before a side that has nothing to do goes to sleep. */
export const spins = 500;
/** A sleep ends by itself: a wake-up that is lost costs this much, never a hang. */
export const sleepMs = 2;
