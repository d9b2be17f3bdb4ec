/**
 * The part of a capture that is in memory: bytes of the file from `origin` on, of
 * which those before `at` are done with. A decoder takes whole records; when the
 * next one is not all there it says in `need` how many bytes from `at` it wants, or
 * in `skip` how many it will never look at. So memory is bounded by one record.
 */
import { InputError } from "../base/index.ts";
import type { TracePacket } from "./packet.ts";

export interface Window {
  readonly file: string;
  bytes: Uint8Array;
  view: DataView;
  /** Offset of bytes[0] in the file. */
  origin: number;
  at: number;
  /** Bytes from `at` on that the next record takes, as far as is known. */
  need: number;
  /** Bytes from `at` on, possibly beyond the window, to drop unread. */
  skip: number;
}

/** An interface of a capture: its index is the port of its packets. */
export interface CaptureInterface {
  readonly port: number;
  readonly name?: string;
  /** Longest part of a packet that was captured; 0: all of it. */
  readonly snapLength: number;
}

export interface Decoder {
  /** Appends packets until `out` has `limit` or no whole record is left. */
  decode(window: Window, out: TracePacket[], limit: number): void;
}

export function openWindow(file: string): Window {
  const bytes = new Uint8Array();
  const view = new DataView(bytes.buffer);
  return { file, bytes, view, origin: 0, at: 0, need: 4, skip: 0 };
}

/** Adds bytes that follow in the file; done ones are let go. */
export function extend(window: Window, chunks: readonly Uint8Array[]): void {
  const kept = window.bytes.subarray(window.at);
  const size = chunks.reduce((sum, { length }) => sum + length, kept.length);
  const [only] = chunks;
  let bytes: Uint8Array;
  if (kept.length === 0 && chunks.length === 1 && only !== undefined)
    bytes = only;
  else {
    bytes = new Uint8Array(size);
    bytes.set(kept);
    let at = kept.length;
    for (const chunk of chunks) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
  }
  window.origin += window.at;
  window.at = 0;
  window.bytes = bytes;
  window.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function fault(
  window: Window,
  code: string,
  text: string,
  at = window.at,
): InputError {
  return new InputError(text, {
    code,
    file: window.file,
    offset: window.origin + at,
  });
}

/** Throws unless link type `type` is Ethernet; names the common others. */
export function requireEthernet(window: Window, type: number): void {
  if (type === 1) return;
  const name = linkTypes.get(type);
  throw new InputError(
    `link type ${type}${name === undefined ? "" : ` (${name})`} instead of Ethernet`,
    {
      code: "capture-link-type",
      file: window.file,
      offset: window.origin + window.at,
      fix: "capture on an Ethernet interface, or rewrite the link layer (tcprewrite --dlt=enet)",
    },
  );
}

// https://www.tcpdump.org/linktypes.html
// prettier-ignore
const linkTypes = new Map<number, string>([
  [0, "BSD loopback"], [101, "raw IP"], [105, "802.11"], [113, "Linux cooked"],
  [127, "802.11 radiotap"], [228, "raw IPv4"], [229, "raw IPv6"], [276, "Linux cooked v2"],
]);

/** Largest packet that any capture format's tools write (libpcap MAXIMUM_SNAPLEN). */
export const largestPacket = 262_144;
