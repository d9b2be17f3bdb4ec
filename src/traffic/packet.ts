/**
 * A packet of a trace: what a capture file holds and a generator yields.
 */
export interface TracePacket {
  /** The frame as captured, from the Ethernet header on. */
  readonly data: Uint8Array;
  /** Length on the wire; at least data.length. */
  readonly wireLength: number;
  /** Nanoseconds since the epoch (or since the trace's start, for generators). */
  readonly time: bigint;
  /** Port index: pcapng interface id, or the generator's; 0 where there is one port. */
  readonly port: number;
}

/** Packets in order, in constant memory. */
export type Trace = Iterable<TracePacket> | AsyncIterable<TracePacket>;
