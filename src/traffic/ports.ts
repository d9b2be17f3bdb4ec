/**
 * Which port a packet came in on, where the capture does not say: by the side its
 * source address is on, or by the file it was read from.
 */
import {
  fiveTuple,
  inPrefix,
  parseFrame,
  type Prefix,
} from "../packet/index.ts";
import type { Trace, TracePacket } from "./packet.ts";

/** Packets from an address in `prefix` get port `inside`, all others `outside`. */
export async function* portsByPrefix(
  trace: Trace,
  prefix: Prefix,
  ports: { readonly inside: number; readonly outside: number },
): AsyncGenerator<TracePacket, void, undefined> {
  for await (const packet of trace) {
    const tuple = fiveTuple(parseFrame(packet.data));
    const isInside =
      tuple !== undefined && inPrefix(prefix, tuple.version, tuple.src);
    yield { ...packet, port: isInside ? ports.inside : ports.outside };
  }
}

/** Several traces as one, in order of time; trace i gives port i. Equal times keep that order. */
export async function* mergeByPort(
  traces: readonly Trace[],
): AsyncGenerator<TracePacket, void, undefined> {
  const heads = traces.map((trace) => iterate(trace));
  const next = await Promise.all(heads.map((head) => head.next()));
  for (;;) {
    let first = -1;
    let time = 0n;
    for (const [port, head] of next.entries()) {
      if (head.done === true || (first >= 0 && head.value.time >= time))
        continue;
      first = port;
      time = head.value.time;
    }
    const head = next[first];
    const source = heads[first];
    if (head === undefined || head.done === true || source === undefined)
      return;
    yield { ...head.value, port: first };
    next[first] = await source.next();
  }
}

async function* iterate(
  trace: Trace,
): AsyncGenerator<TracePacket, void, undefined> {
  yield* trace;
}
