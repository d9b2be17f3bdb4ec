/**
 * pcap, version 2.4: a 24-byte header, then records; either byte order, time in
 * microseconds or nanoseconds.
 *
 *   magic u32 | major u16 minor u16 | zone u32 | accuracy u32 | snap length u32 | link type u32
 *   record: seconds u32 | fraction u32 | captured u32 | on the wire u32 | captured bytes
 *
 * The upper bits of the link type may tell a frame check sequence (bit 26, length
 * in 16-bit units in bits 28 … 31), which is cut off. A record longer on capture
 * than on the wire is taken with its captured length.
 *
 * Source: draft-ietf-opsawg-pcap.
 */
import type { TracePacket } from "./packet.ts";
import {
  fault,
  largestPacket,
  requireEthernet,
  type CaptureInterface,
  type Decoder,
  type Window,
} from "./window.ts";

export const pcapHeaderSize = 24;

export interface PcapKind {
  readonly littleEndian: boolean;
  readonly nanoseconds: boolean;
}

/** From the first four bytes, read big-endian. */
export function pcapKind(magic: number): PcapKind | undefined {
  switch (magic) {
    case 0xa1b2c3d4:
      return { littleEndian: false, nanoseconds: false };
    case 0xa1b23c4d:
      return { littleEndian: false, nanoseconds: true };
    case 0xd4c3b2a1:
      return { littleEndian: true, nanoseconds: false };
    case 0x4d3cb2a1:
      return { littleEndian: true, nanoseconds: true };
    default:
      return undefined;
  }
}

/** Takes the header at the window's start, which must be there whole. */
export function openPcap(
  window: Window,
  kind: PcapKind,
  onInterface?: (found: CaptureInterface) => void,
): Decoder {
  const { view, at } = window;
  const u32 = (offset: number): number =>
    view.getUint32(at + offset, kind.littleEndian);
  const major = view.getUint16(at + 4, kind.littleEndian);
  const minor = view.getUint16(at + 6, kind.littleEndian);
  if (major !== 2 || minor < 3 || minor > 4)
    throw fault(
      window,
      "capture-version",
      `pcap version ${major}.${minor} instead of 2.4`,
      at + 4,
    );
  const link = u32(20);
  requireEthernet(window, link & 0xffff);
  const checkLength = (link & 0x0400_0000) === 0 ? 0 : 2 * (link >>> 28);
  onInterface?.({ port: 0, snapLength: u32(16) });
  window.at += pcapHeaderSize;
  return pcapDecoder(kind, checkLength);
}

function pcapDecoder(kind: PcapKind, checkLength: number): Decoder {
  const { littleEndian } = kind;
  const unit = kind.nanoseconds ? 1 : 1000;
  let second = -1;
  let base = 0n;
  return {
    decode(window, out, limit) {
      const { bytes, view } = window;
      const end = bytes.length;
      let { at } = window;
      while (out.length < limit) {
        window.at = at;
        window.need = 16;
        if (at + 16 > end) return;
        const captured = view.getUint32(at + 8, littleEndian);
        if (captured > largestPacket)
          throw fault(
            window,
            "capture-record-size",
            `a record of ${captured} bytes, but none is longer than ${largestPacket}`,
            at + 8,
          );
        window.need = 16 + captured;
        if (at + 16 + captured > end) return;
        const seconds = view.getUint32(at, littleEndian);
        if (seconds !== second) {
          second = seconds;
          base = BigInt(seconds) * 1_000_000_000n;
        }
        const fraction = view.getUint32(at + 4, littleEndian) * unit;
        const wire = view.getUint32(at + 12, littleEndian);
        out.push(
          packet(bytes, at + 16, {
            captured,
            wire,
            checkLength,
            time: base + BigInt(fraction),
            port: 0,
          }),
        );
        at += 16 + captured;
      }
      window.at = at;
    },
  };
}

/** The packet in a record: without its frame check sequence, never longer captured than on the wire. */
export function packet(
  bytes: Uint8Array,
  from: number,
  record: {
    readonly captured: number;
    readonly wire: number;
    readonly checkLength: number;
    readonly time: bigint;
    readonly port: number;
  },
): TracePacket {
  const { captured, checkLength, time, port } = record;
  const wire = Math.max(record.wire, captured);
  const length = Math.max(0, wire - checkLength);
  const kept = captured < length ? captured : length;
  return {
    data: bytes.subarray(from, from + kept),
    wireLength: length,
    time,
    port,
  };
}
