/**
 * pcapng: a sequence of blocks, each with its length at both ends.
 *
 *   type u32 | length u32 | body … | length u32      (length: a multiple of 4)
 *
 *   0a0d0d0a section header   byte-order mark 1a2b3c4d; interfaces start anew
 *   1        interface        link type u16, -, snap length u32, options
 *   2        packet (obsolete) interface u16, drops u16, time u64, captured, wire, bytes
 *   3        simple packet    wire u32, bytes; interface 0, no time
 *   6        enhanced packet  interface u32, time u64, captured, wire, bytes, options
 *
 * Every other block is skipped unread. The interface number within its section is
 * the packet's port. A simple packet gets the time of the packet before it. A link
 * type that is not Ethernet is an error at the first packet of that interface.
 *
 * Source: draft-ietf-opsawg-pcapng.
 */
import { packet } from "./pcap.ts";
import type { TracePacket } from "./packet.ts";
import {
  fault,
  largestPacket,
  requireEthernet,
  type CaptureInterface,
  type Decoder,
  type Window,
} from "./window.ts";

export const sectionMagic = 0x0a0d0d0a;

/** Longest block that is looked into: a packet with generous options. */
const largestBlock = 4 << 20;

/** Times are nanoseconds in 64 bits, as programs see them. */
const latest = 0xffff_ffff_ffff_ffffn;

interface Interface {
  readonly linkType: number;
  readonly snapLength: number;
  readonly checkLength: number;
  /** Nanoseconds = (stamp * multiply) / divide + offset. */
  readonly multiply: bigint;
  readonly divide: bigint;
  readonly offset: bigint;
}

/** One section's byte order and interfaces, and the time of the last packet. */
interface Section {
  littleEndian: boolean;
  interfaces: Interface[];
  last: bigint;
}

export function openPcapng(
  onInterface?: (found: CaptureInterface) => void,
): Decoder {
  const section: Section = { littleEndian: true, interfaces: [], last: 0n };
  return {
    decode(window, out, limit) {
      while (out.length < limit) {
        const length = blockLength(window, section);
        if (length === undefined) return;
        decodeBlock(window, length, {
          section,
          out,
          ...(onInterface === undefined ? {} : { onInterface }),
        });
        window.at += length;
      }
      window.need = 12;
    },
  };
}

/** Length of the block at the window's start once all of it is there; skips unknown ones. */
function blockLength(window: Window, section: Section): number | undefined {
  for (;;) {
    const { bytes, view, at } = window;
    const left = bytes.length - at;
    window.need = 12;
    if (left < 12) return undefined;
    const isSection = view.getUint32(at, false) === sectionMagic;
    if (isSection) section.littleEndian = byteOrder(window);
    const { littleEndian } = section;
    const type = view.getUint32(at, littleEndian);
    const length = view.getUint32(at + 4, littleEndian);
    if (length < 12 || length % 4 !== 0)
      throw fault(
        window,
        "capture-block-size",
        `a block of ${length} bytes; a multiple of 4 from 12 on was expected`,
        at + 4,
      );
    if (!isSection && type !== 6 && (type > 3 || type === 0)) {
      window.skip = length;
      if (left < length) return undefined;
      window.skip = 0;
      window.at += length;
      continue;
    }
    if (length > largestBlock)
      throw fault(
        window,
        "capture-block-size",
        `a block of ${length} bytes, but none is longer than ${largestBlock}`,
        at + 4,
      );
    window.need = length;
    if (left < length) return undefined;
    const trailer = view.getUint32(at + length - 4, littleEndian);
    if (trailer !== length)
      throw fault(
        window,
        "capture-block-size",
        `a block starts with length ${length} and ends with length ${trailer}`,
        at + length - 4,
      );
    return length;
  }
}

function byteOrder(window: Window): boolean {
  const mark = window.view.getUint32(window.at + 8, true);
  if (mark === 0x1a2b3c4d) return true;
  if (mark === 0x4d3c2b1a) return false;
  throw fault(
    window,
    "capture-byte-order",
    "a section header without the byte-order mark 1a2b3c4d",
    window.at + 8,
  );
}

interface Sink {
  readonly section: Section;
  readonly out: TracePacket[];
  readonly onInterface?: (found: CaptureInterface) => void;
}

function decodeBlock(window: Window, length: number, sink: Sink): void {
  const { view, at } = window;
  const { section } = sink;
  if (view.getUint32(at, false) === sectionMagic)
    return startSection(window, length, section);
  switch (view.getUint32(at, section.littleEndian)) {
    case 1:
      return addInterface(window, length, sink);
    case 2:
      return obsoletePacket(window, length, sink);
    case 3:
      return simplePacket(window, length, sink);
    default:
      return enhancedPacket(window, length, sink);
  }
}

function startSection(window: Window, length: number, section: Section): void {
  atLeast(window, length, 28, "section header");
  const { view, at } = window;
  const major = view.getUint16(at + 12, section.littleEndian);
  const minor = view.getUint16(at + 14, section.littleEndian);
  if (major !== 1)
    throw fault(
      window,
      "capture-version",
      `pcapng version ${major}.${minor} instead of 1.0`,
      at + 12,
    );
  section.interfaces = [];
  section.last = 0n;
}

function addInterface(window: Window, length: number, sink: Sink): void {
  atLeast(window, length, 20, "interface block");
  const { view, at } = window;
  const { littleEndian, interfaces } = sink.section;
  // A hostile file could list interfaces without end; ports are few.
  if (interfaces.length >= 65_536)
    throw fault(window, "capture-interfaces", "more than 65536 interfaces");
  const options = interfaceOptions(window, length, littleEndian);
  const snapLength = view.getUint32(at + 12, littleEndian);
  sink.onInterface?.({
    port: interfaces.length,
    snapLength,
    ...(options.name === undefined ? {} : { name: options.name }),
  });
  const exponent = options.resolution & 0x7f;
  const units =
    options.resolution >= 0x80
      ? 1n << BigInt(exponent)
      : 10n ** BigInt(exponent);
  const whole = 1_000_000_000n % units === 0n;
  interfaces.push({
    linkType: view.getUint16(at + 8, littleEndian),
    snapLength,
    checkLength: options.checkLength,
    multiply: whole ? 1_000_000_000n / units : 1_000_000_000n,
    divide: whole ? 1n : units,
    offset: options.offset * 1_000_000_000n,
  });
}

interface InterfaceOptions {
  name?: string;
  resolution: number;
  checkLength: number;
  offset: bigint;
}

function interfaceOptions(
  window: Window,
  length: number,
  littleEndian: boolean,
): InterfaceOptions {
  const { bytes, view } = window;
  const found: InterfaceOptions = { resolution: 6, checkLength: 0, offset: 0n };
  const end = window.at + length - 4;
  let at = window.at + 16;
  while (at + 4 <= end) {
    const code = view.getUint16(at, littleEndian);
    const size = view.getUint16(at + 2, littleEndian);
    if (code === 0) break;
    if (at + 4 + size > end)
      throw fault(
        window,
        "capture-option-size",
        `an option of ${size} bytes passes the end of its block`,
        at,
      );
    if (code === 2)
      found.name = new TextDecoder().decode(
        bytes.subarray(at + 4, at + 4 + size),
      );
    if (code === 9 && size >= 1) found.resolution = view.getUint8(at + 4);
    if (code === 13 && size >= 1) found.checkLength = view.getUint8(at + 4);
    if (code === 14 && size >= 8)
      found.offset = view.getBigInt64(at + 4, littleEndian);
    at += 4 + ((size + 3) & ~3);
  }
  return found;
}

function enhancedPacket(window: Window, length: number, sink: Sink): void {
  atLeast(window, length, 32, "packet block");
  const { littleEndian } = sink.section;
  const number = window.view.getUint32(window.at + 8, littleEndian);
  timedPacket(window, length, sink, number);
}

function obsoletePacket(window: Window, length: number, sink: Sink): void {
  atLeast(window, length, 32, "packet block");
  const { littleEndian } = sink.section;
  const number = window.view.getUint16(window.at + 8, littleEndian);
  timedPacket(window, length, sink, number);
}

/** The two packet blocks with a time differ in their interface number only. */
function timedPacket(
  window: Window,
  length: number,
  { section, out }: Sink,
  number: number,
): void {
  const { bytes, view, at } = window;
  const { littleEndian } = section;
  const found = interfaceOf(window, section, number);
  const captured = view.getUint32(at + 20, littleEndian);
  if (captured > largestPacket || 28 + captured + 4 > length)
    throw fault(
      window,
      "capture-record-size",
      `a packet of ${captured} bytes in a block of ${length}`,
      at + 20,
    );
  const stamp =
    (BigInt(view.getUint32(at + 12, littleEndian)) << 32n) |
    BigInt(view.getUint32(at + 16, littleEndian));
  let time = stamp * found.multiply;
  if (found.divide !== 1n) time /= found.divide;
  if (found.offset !== 0n) time += found.offset;
  if (time < 0n || time > latest)
    throw fault(window, "capture-time", "a time outside 64 bits", at + 12);
  section.last = time;
  out.push(
    packet(bytes, at + 28, {
      captured,
      wire: view.getUint32(at + 24, littleEndian),
      checkLength: found.checkLength,
      time,
      port: number,
    }),
  );
}

function simplePacket(
  window: Window,
  length: number,
  { section, out }: Sink,
): void {
  atLeast(window, length, 16, "simple packet block");
  const { bytes, view, at } = window;
  const found = interfaceOf(window, section, 0);
  const wire = view.getUint32(at + 8, section.littleEndian);
  const snap = found.snapLength === 0 ? largestPacket : found.snapLength;
  const captured = Math.min(wire, snap, length - 16);
  const { checkLength } = found;
  out.push(
    packet(bytes, at + 12, {
      captured,
      wire,
      checkLength,
      time: section.last,
      port: 0,
    }),
  );
}

function interfaceOf(
  window: Window,
  section: Section,
  number: number,
): Interface {
  const found = section.interfaces[number];
  if (found === undefined)
    throw fault(
      window,
      "capture-interface",
      `a packet of interface ${number}, but the section has ${section.interfaces.length}`,
      window.at + 8,
    );
  if (found.linkType !== 1) requireEthernet(window, found.linkType);
  return found;
}

function atLeast(
  window: Window,
  length: number,
  least: number,
  what: string,
): void {
  if (length < least)
    throw fault(
      window,
      "capture-block-size",
      `a ${what} of ${length} bytes instead of at least ${least}`,
      window.at + 4,
    );
}
