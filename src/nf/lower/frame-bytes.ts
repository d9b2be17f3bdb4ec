/**
 * Raw bytes of the frame and of payloads: `u8(i) u16(i) u32(i)` in network order,
 * undefined where they are not wholly in the frame.
 *
 * The kernel's verifier follows a pointer into the packet only while its variable
 * part is below 2^16 in sum, so an index is compared with `furthest` first, which
 * no frame's length reaches.
 */
import type { ValueId } from "../../ir/index.ts";
import { branchOn } from "./compare.ts";
import type { Path } from "./environment.ts";
import { branchInFrame } from "./frame-bounds.ts";
import type { Outcome } from "./join.ts";
import { type Cursor, type PacketWords } from "./lowering.ts";
import { loadRaw, swapOf } from "./memory.ts";
import { scalarRange } from "./scalars.ts";
import { type HeaderValue, type Value, undefinedValue } from "./value.ts";
import { bitsOf } from "./word-bits.ts";

const furthest = 0xff00;

/** Everything from the frame's first byte on. */
export function frameBytes(packet: PacketWords): HeaderValue {
  return { kind: "header", header: "bytes", base: packet.start, offset: 0 };
}

/** What follows a TCP, UDP or ICMP header. */
export function payloadOf(cursor: Cursor, header: HeaderValue): HeaderValue {
  const { base, offset } = header;
  if (header.header !== "tcp")
    return { kind: "header", header: "bytes", base, offset: offset + 8 };
  const { writer } = cursor;
  const place = { pointer: base, offset: offset + 12, memory: "packet" };
  const raw = loadRaw(cursor, place, 1);
  const quarter = writer.binary(cursor.block, "rsh", raw, cursor.constant(2));
  const size = writer.binary(
    cursor.block,
    "and",
    quarter,
    cursor.constant(0x3c),
  );
  const short = branchOn(cursor, "jlt", size, cursor.constant(20));
  const length = cursor.join([
    ...short.yes.map((path) => ({ path, value: number(20) })),
    ...short.no.map((path) => ({ path, value: word(size, 20n, 60n) })),
  ]);
  const start = writer.binary(cursor.block, "add", base, cursor.word(length));
  return { kind: "header", header: "bytes", base: start, offset };
}

function number(value: number): Value {
  return { kind: "constant", value };
}

function word(value: ValueId, low: bigint, high: bigint): Value {
  return { kind: "scalar", js: "number", word: value, low, high };
}

/** Bytes from there to the end of the frame. */
export function lengthOf(
  cursor: Cursor,
  packet: PacketWords,
  bytes: HeaderValue,
): Value {
  const { writer } = cursor;
  const place =
    bytes.offset === 0
      ? bytes.base
      : writer.binary(
          cursor.block,
          "add",
          bytes.base,
          cursor.constant(bytes.offset),
        );
  const rest = (): Value =>
    word(writer.binary(cursor.block, "sub", packet.end, place), 0n, 0xffffn);
  const known =
    bytes.base === packet.start
      ? cursor.env.frame
      : (cursor.env.behind.get(bytes.base) ?? 0);
  if (bytes.offset <= known) return rest();
  const beyond = branchOn(cursor, "jgt", place, packet.end);
  cursor.paths = beyond.no;
  const value = rest();
  return cursor.join([
    ...cursor.paths.map((path) => ({ path, value })),
    ...beyond.yes.map((path) => ({ path, value: number(0) })),
  ]);
}

/** One, two or four bytes at an index. */
export function readBytes(
  cursor: Cursor,
  packet: PacketWords,
  bytes: HeaderValue,
  read: { readonly index: Value; readonly size: 1 | 2 | 4 },
): readonly Outcome[] {
  const { index, size } = read;
  const range = scalarRange(index);
  const absent: Path[] = [];
  let { base, offset } = bytes;
  if (range.low === range.high) {
    if (range.low < 0n || range.low > BigInt(furthest))
      return [{ path: cursor.path, value: undefinedValue }];
    offset += Number(range.low);
  } else {
    const { writer } = cursor;
    const by = cursor.word(index);
    if (bitsOf(by, (value) => writer.definition(value)) > 15) {
      const limit = cursor.constant(furthest);
      const beyond = branchOn(cursor, "jgt", by, limit);
      absent.push(...beyond.yes);
      cursor.paths = beyond.no;
    }
    base = writer.binary(cursor.block, "add", base, by);
  }
  const inside = branchInFrame(cursor, packet, base, offset + size);
  absent.push(...inside.no);
  const outcomes: Outcome[] = [];
  if (inside.yes.length > 0) {
    cursor.paths = inside.yes;
    const raw = loadRaw(
      cursor,
      { pointer: base, offset, memory: "packet" },
      size,
    );
    const value =
      size === 1 ? raw : cursor.writer.unary(cursor.block, swapOf(size), raw);
    const high = 2n ** BigInt(8 * size) - 1n;
    outcomes.push({ path: cursor.path, value: word(value, 0n, high) });
  }
  if (absent.length > 0) {
    cursor.paths = absent;
    outcomes.push({ path: cursor.path, value: undefinedValue });
  }
  return outcomes;
}
