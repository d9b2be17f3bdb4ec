/** Packets and bytes of a flow, a source, …: two 64-bit counters that wrap. */
import { struct, u64 } from "divisi/nf";
import type { ValueOf } from "divisi/nf";

export const Counters = struct("counters", { packets: u64, bytes: u64 });
export type Counters = ValueOf<typeof Counters>;

export function count(counters: Counters, bytes: number): void {
  counters.packets = u64(counters.packets + 1n);
  counters.bytes = u64(counters.bytes + u64(bytes));
}
