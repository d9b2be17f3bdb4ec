/**
 * The time of the packet that is being handled. State that expires asks it; a
 * network function has it as `ctx.now`.
 *
 * One value per packet, in nanoseconds: in BPF the program reads the clock once.
 * An instance sets it when a packet comes and when its state is asked for.
 */
let current = 0n;

/** In nanoseconds; an intrinsic of the compiler. */
export function now(): bigint {
  return current;
}

/** For the runtime: `time` is the time from here on. */
export function setClock(time: bigint): void {
  current = time;
}
