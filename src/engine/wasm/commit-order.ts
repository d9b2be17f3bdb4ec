/**
 * In which order the packets of a guarded run are those of a sequential one.
 *
 * By tickets first. Readers of one epoch see the same state, and stand in order of their
 * times (src/codegen/wasm/ageing.ts says why it must be that), then of cores; so the
 * packets of one core keep their order if their times do.
 */

export interface Committed {
  readonly tickets: Uint32Array;
  /** Core of each packet. */
  readonly steer: Uint8Array;
  readonly time: (packet: number) => bigint;
}

/** Numbers of the packets, first to last. */
export function commitOrder({ tickets, steer, time }: Committed): Uint32Array {
  const order = Uint32Array.from(tickets.keys());
  return order.sort((left, right) => {
    const ticket = (tickets[left] ?? 0) - (tickets[right] ?? 0);
    if (ticket !== 0) return ticket;
    const [at, other] = [time(left), time(right)];
    if (at !== other) return at < other ? -1 : 1;
    return (steer[left] ?? 0) - (steer[right] ?? 0) || left - right;
  });
}
