/**
 * Timers in map values. What is asked for is recorded, with the kernel's answers, but
 * no callback ever runs: a run is one packet long and time stands still in it.
 *
 * The 16 bytes of `struct bpf_timer` hold a word of the bits below; user space reads
 * them as zeros, and an update of the value clears them, which cancels the timer.
 *
 * Source: kernel/bpf/helpers.c (bpf_timer_init, _set_callback, _start, _cancel).
 */
import { errno } from "../errno.ts";
import type { Host, HelperFunction } from "../host.ts";

const initialised = 1;
const hasCallback = 2;
const active = 4;
/** CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME. */
const clocks = [0n, 1n, 7n];
/** BPF_F_TIMER_ABS | BPF_F_TIMER_CPU_PIN. */
const startFlags = 3n;

/** The word of the timer that r1 points to, and how to change it. */
function timerOf({ memory, args }: Host): {
  readonly word: number;
  readonly set: (word: number) => void;
} {
  memory.locate(args.address(1), 16, true);
  const { chunk, at } = memory;
  return {
    word: chunk.view.getUint32(at, true),
    set: (word) => chunk.view.setUint32(at, word, true),
  };
}

const init: HelperFunction = (host) => {
  const timer = timerOf(host);
  if (!clocks.includes(host.args.word(3))) return -errno.EINVAL;
  if (timer.word !== 0) return -errno.EBUSY;
  timer.set(initialised);
  return 0;
};

const setCallback: HelperFunction = (host) => {
  const timer = timerOf(host);
  if (timer.word === 0) return -errno.EINVAL;
  timer.set(timer.word | hasCallback);
  return 0;
};

const start: HelperFunction = (host) => {
  const timer = timerOf(host);
  if ((host.args.word(3) & ~startFlags) !== 0n) return -errno.EINVAL;
  if ((timer.word & hasCallback) === 0) return -errno.EINVAL;
  timer.set(timer.word | active);
  return 0;
};

/** Whether it was active. The callback is forgotten too. */
const cancel: HelperFunction = (host) => {
  const timer = timerOf(host);
  if (timer.word === 0) return -errno.EINVAL;
  timer.set(initialised);
  return (timer.word & active) === 0 ? 0 : 1;
};

export const timerHelpers: Readonly<Record<string, HelperFunction>> = {
  timer_init: init,
  timer_set_callback: setCallback,
  timer_start: start,
  timer_cancel: cancel,
};
