/**
 * Writing captures as chunks of bytes: little-endian, nanoseconds, Ethernet, whole
 * frames. pcapng keeps ports as interfaces (declared when they are first met) and
 * can carry a comment per packet; pcap knows one port only and refuses others.
 *
 * Sources: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng.
 */
import { ByteWriter, InputError } from "../base/index.ts";
import type { Trace, TracePacket } from "./packet.ts";

export interface PcapngOptions {
  /** Names of ports, by index; a port without a name is written without one. */
  readonly interfaces?: readonly string[];
  /** Text stored with a packet, e.g. its verdict. */
  readonly comment?: (packet: TracePacket, index: number) => string | undefined;
  /** What wrote the file. */
  readonly application?: string;
}

/** Writes one packet at a time; the chunks are taken when they are large enough. */
interface Encoder {
  packet(packet: TracePacket): void;
}

export function writePcap(trace: Trace): AsyncGenerator<Uint8Array> {
  return chunks(trace, pcapEncoder);
}

export function writePcapng(
  trace: Trace,
  options: PcapngOptions = {},
): AsyncGenerator<Uint8Array> {
  return chunks(trace, (out) => pcapngEncoder(out, options));
}

/** The whole file at once, for traces that are in memory. */
export function pcapBytes(packets: Iterable<TracePacket>): Uint8Array {
  return whole(packets, pcapEncoder);
}

export function pcapngBytes(
  packets: Iterable<TracePacket>,
  options: PcapngOptions = {},
): Uint8Array {
  return whole(packets, (out) => pcapngEncoder(out, options));
}

/** Bytes that are written and not yet handed on. */
interface Out {
  writer: ByteWriter;
}

const chunkSize = 1 << 16;

async function* chunks(
  trace: Trace,
  start: (out: Out) => Encoder,
): AsyncGenerator<Uint8Array> {
  const out: Out = { writer: new ByteWriter() };
  const encoder = start(out);
  for await (const packet of trace) {
    encoder.packet(packet);
    if (out.writer.length < chunkSize) continue;
    yield out.writer.finish();
    out.writer = new ByteWriter();
  }
  if (out.writer.length > 0) yield out.writer.finish();
}

function whole(
  packets: Iterable<TracePacket>,
  start: (out: Out) => Encoder,
): Uint8Array {
  const out: Out = { writer: new ByteWriter() };
  const encoder = start(out);
  for (const packet of packets) encoder.packet(packet);
  return out.writer.finish();
}

function pcapEncoder(out: Out): Encoder {
  out.writer.u32(0xa1b23c4d).u16(2).u16(4).u32(0).u32(0);
  out.writer.u32(262_144).u32(1);
  return {
    packet({ data, wireLength, time, port }) {
      if (port !== 0)
        throw new InputError(
          `pcap has one port, but a packet is of port ${port}`,
          { code: "capture-port", kind: "usage", fix: "write pcapng" },
        );
      const seconds = time / 1_000_000_000n;
      if (seconds > 0xffff_ffffn)
        throw new InputError("pcap has no time after the year 2106", {
          code: "capture-time",
          kind: "usage",
          fix: "write pcapng",
        });
      out.writer.u32(Number(seconds)).u32(Number(time % 1_000_000_000n));
      out.writer.u32(data.length).u32(wireLength).raw(data);
    },
  };
}

function pcapngEncoder(out: Out, options: PcapngOptions): Encoder {
  let declared = 0;
  let index = 0;
  const { comment } = options;
  const header = new ByteWriter().u32(0x1a2b3c4d).u16(1).u16(0);
  header.u64(0xffff_ffff_ffff_ffffn);
  option(header, 4, options.application ?? "divisi");
  block(out.writer, 0x0a0d0d0a, header.u32(0));
  const declare = (name: string | undefined): void => {
    const body = new ByteWriter().u16(1).u16(0).u32(0);
    if (name !== undefined) option(body, 2, name);
    body.u16(9).u16(1).u8(9).align(4).u32(0);
    block(out.writer, 1, body);
  };
  return {
    packet(packet) {
      const { data, wireLength, time, port } = packet;
      for (; declared <= port; declared++)
        declare(options.interfaces?.[declared]);
      const text = comment?.(packet, index++);
      const stamp = BigInt.asUintN(64, time);
      const padded = (data.length + 3) & ~3;
      const size = 32 + padded + commentSize(text);
      out.writer.u32(6).u32(size).u32(port);
      out.writer.u32(Number(stamp >> 32n)).u32(Number(stamp & 0xffff_ffffn));
      out.writer.u32(data.length).u32(wireLength).raw(data);
      for (let at = data.length; at < padded; at++) out.writer.u8(0);
      if (text !== undefined) {
        option(out.writer, 1, text);
        out.writer.u32(0);
      }
      out.writer.u32(size);
    },
  };
}

function commentSize(text: string | undefined): number {
  if (text === undefined) return 0;
  return 8 + ((optionText(text).length + 3) & ~3);
}

/** An option's length has 16 bits. */
function optionText(text: string): Uint8Array {
  return new TextEncoder().encode(text).subarray(0, 65_532);
}

function option(body: ByteWriter, code: number, text: string): void {
  const bytes = optionText(text);
  body.u16(code).u16(bytes.length).raw(bytes);
  for (let at = bytes.length; at % 4 !== 0; at++) body.u8(0);
}

function block(out: ByteWriter, type: number, body: ByteWriter): void {
  const size = 12 + body.length;
  out.u32(type).u32(size).raw(body.finish()).u32(size);
}
