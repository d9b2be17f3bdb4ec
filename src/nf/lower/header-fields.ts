/**
 * Reading and assigning the fields of headers. Fields stand in network order; a
 * word is swapped once when it is read, and not at all where it goes back into
 * memory as it came.
 *
 * An assignment keeps checksums right by the difference (RFC 1624 equation 3:
 * HC' = ~(~HC + ~m + m')). A one's complement sum does not depend on the order of
 * bytes, so it is made of the words as they stand in memory; and the words of a
 * field wider than 16 bits may be added before folding, since 2^16 ≡ 1.
 */
import type { ValueId } from "../../ir/index.ts";
import {
  type Fix,
  type ViewField,
  headerSizes,
  protocols,
  viewFields,
} from "../library/view-table.ts";
import { branchOn } from "./compare.ts";
import type { Path } from "./environment.ts";
import { branchInFrame } from "./frame-bounds.ts";
import {
  behind,
  forgetHeaders,
  protocolOf,
  transportKey,
  unfragmented,
} from "./headers.ts";
import type { Outcome } from "./join.ts";
import { type Cursor, type PacketWords } from "./lowering.ts";
import {
  type Address,
  loadRaw,
  loadScalar,
  reversed,
  scalarParts,
  storeRaw,
  swapOf,
  wordOf,
} from "./memory.ts";
import { type HeaderValue, type Value, constantValue } from "./value.ts";

export function fieldOf(
  header: HeaderValue,
  name: string,
): ViewField | undefined {
  return header.header === "bytes"
    ? undefined
    : viewFields[header.header][name];
}

function addressIn(header: HeaderValue, offset: number): Address {
  return {
    pointer: header.base,
    offset: header.offset + offset,
    memory: "packet",
  };
}

export function readField(
  cursor: Cursor,
  header: HeaderValue,
  { bit, bits, js }: ViewField,
): readonly Outcome[] {
  const first = bit >>> 3;
  if (bits === 48 || bits === 64) {
    const value = loadScalar(cursor, addressIn(header, first), network(bits));
    return [{ path: cursor.path, value }];
  }
  const span = ((bit & 7) + bits + 7) >>> 3;
  const size = span === 3 ? 4 : span === 4 ? 4 : span === 2 ? 2 : 1;
  // Three bytes are read with the one before them.
  const start = first - (size - span);
  const raw = loadRaw(cursor, addressIn(header, start), size);
  const shift = 8 * size - (bit - 8 * start) - bits;
  const mask = (2n ** BigInt(bits) - 1n) << BigInt(shift);
  if (js === "boolean") {
    const swapped = cursor.constant(reversed(mask, size));
    const is = branchOn(cursor, "jset", raw, swapped);
    return [
      ...is.yes.map((path) => ({ path, value: constantValue(true) })),
      ...is.no.map((path) => ({ path, value: constantValue(false) })),
    ];
  }
  const { writer } = cursor;
  let word = size === 1 ? raw : writer.unary(cursor.block, swapOf(size), raw);
  if (shift > 0)
    word = writer.binary(cursor.block, "rsh", word, cursor.constant(shift));
  if (bits + shift < 8 * size)
    word = writer.binary(
      cursor.block,
      "and",
      word,
      cursor.constant(2n ** BigInt(bits) - 1n),
    );
  const high = 2n ** BigInt(bits) - 1n;
  const value: Value = { kind: "scalar", js: "number", word, low: 0n, high };
  return [{ path: cursor.path, value }];
}

function network(bits: number): Parameters<typeof loadScalar>[2] {
  return {
    kind: "scalar",
    name: bits === 48 ? "mac" : "be64",
    size: bits / 8,
    align: 1,
    bits,
    signed: false,
    order: "network",
    js: bits > 32 ? "bigint" : "number",
  };
}

/** What decides which headers follow. */
const deciding = new Set(["type", "protocol", "nextHeader"]);

export interface Assignment {
  readonly header: HeaderValue;
  readonly name: string;
  readonly field: ViewField;
  readonly value: Value;
}

export function assignField(
  cursor: Cursor,
  packet: PacketWords,
  { header, name, field, value }: Assignment,
): void {
  const { bit, bits, assign = "none" } = field;
  const type = network(bits);
  const parts = scalarParts(cursor, value, type, bit >>> 3);
  if (assign === "none") {
    for (const part of parts)
      storeRaw(
        cursor,
        addressIn(header, part.offset),
        part.size,
        wordOf(cursor, part),
      );
  } else {
    const [part] = parts;
    if (part === undefined) return;
    const at = addressIn(header, part.offset);
    const old = loadRaw(cursor, at, part.size);
    const next = wordOf(cursor, part);
    const delta = difference(cursor, old, next, part);
    storeRaw(cursor, at, part.size, next);
    fixChecksums(cursor, packet, { header, fix: assign, delta });
  }
  if (deciding.has(name)) forgetHeaders(cursor);
}

/** ~m + m' of the words that change; below 2^34. */
function difference(
  cursor: Cursor,
  old: ValueId,
  next: ValueId,
  { size, offset }: { readonly size: number; readonly offset: number },
): ValueId {
  const { writer } = cursor;
  const { block } = cursor;
  if (size === 8) {
    const not = writer.binary(block, "xor", old, cursor.constant(-1n));
    return [halves(cursor, not), halves(cursor, next)].reduce((a, b) =>
      writer.binary(block, "add", a, b),
    );
  }
  // A byte counts as the word it stands in, its neighbour as 0.
  const placed = (word: ValueId): ValueId =>
    size === 1 && offset % 2 === 1
      ? writer.binary(block, "lsh", word, cursor.constant(8))
      : word;
  const ones = cursor.constant(size === 4 ? 0xffff_ffff : 0xffff);
  const not = writer.binary(block, "xor", placed(old), ones);
  return writer.binary(block, "add", not, placed(next));
}

function halves(cursor: Cursor, word: ValueId): ValueId {
  const { writer, block } = cursor;
  const low = writer.unary(block, "zext32", word);
  const high = writer.binary(block, "rsh", word, cursor.constant(32));
  return writer.binary(block, "add", low, high);
}

interface Fixing {
  readonly header: HeaderValue;
  readonly fix: Exclude<Fix, "none">;
  readonly delta: ValueId;
}

function fixChecksums(
  cursor: Cursor,
  packet: PacketWords,
  { header, fix, delta }: Fixing,
): void {
  switch (fix) {
    case "header":
      adjust(cursor, addressIn(header, 10), delta);
      return;
    case "header+behind":
      adjust(cursor, addressIn(header, 10), delta);
      fixBehind(cursor, packet, header, delta);
      return;
    case "behind":
      fixBehind(cursor, packet, header, delta);
      return;
    case "own":
      fixOwn(cursor, header, delta);
      return;
  }
}

function fixOwn(cursor: Cursor, header: HeaderValue, delta: ValueId): void {
  switch (header.header) {
    case "tcp":
      adjust(cursor, addressIn(header, 16), delta);
      return;
    case "udp":
      adjustUdp(cursor, addressIn(header, 6), delta);
      return;
    case "l4":
      if (header.protocol === undefined) return;
      eitherTransport(cursor, header.protocol, header, delta);
      return;
    case "eth":
    case "vlan":
    case "ipv4":
    case "ipv6":
    case "icmp":
    case "bytes":
      return;
  }
}

/** The header is TCP's where the protocol is TCP, else UDP's. */
function eitherTransport(
  cursor: Cursor,
  protocol: ValueId,
  header: HeaderValue,
  delta: ValueId,
): void {
  const tcp = cursor.constant(protocols.tcp);
  const is = branchOn(cursor, "jeq", protocol, tcp);
  cursor.paths = is.yes;
  adjust(cursor, addressIn(header, 16), delta);
  const done = cursor.paths;
  cursor.paths = is.no;
  adjustUdp(cursor, addressIn(header, 6), delta);
  cursor.paths = [...done, ...cursor.paths];
  void cursor.path;
}

/** The checksum of the TCP or UDP header behind an IP header, where there is one. */
function fixBehind(
  cursor: Cursor,
  packet: PacketWords,
  ip: HeaderValue,
  delta: ValueId,
): void {
  const { headers } = cursor.env;
  const known = (name: "tcp" | "udp" | "l4"): HeaderValue | undefined => {
    const found = headers.get(transportKey(ip, name));
    return found?.kind === "header" ? found : undefined;
  };
  const l4 = known("tcp") ?? known("udp") ?? known("l4");
  if (l4 !== undefined) {
    fixOwn(cursor, l4, delta);
    return;
  }
  const done: Path[] = [];
  const whole = unfragmented(cursor, ip, 0x1fff);
  done.push(...whole.no);
  cursor.paths = whole.yes;
  const protocol = protocolOf(cursor, ip);
  const place = behind(cursor, ip);
  for (const name of ["tcp", "udp"] as const) {
    const number = cursor.constant(protocols[name]);
    const is = branchOn(cursor, "jeq", protocol, number);
    cursor.paths = is.yes;
    const end = place.offset + headerSizes[name];
    const inside = branchInFrame(cursor, packet, place.base, end);
    done.push(...inside.no);
    cursor.paths = inside.yes;
    fixOwn(cursor, { kind: "header", header: name, ...place }, delta);
    done.push(...cursor.paths);
    cursor.paths = is.no;
  }
  cursor.paths = [...done, ...cursor.paths];
  void cursor.path;
}

function adjust(cursor: Cursor, at: Address, delta: ValueId): void {
  const sum = loadRaw(cursor, at, 2);
  storeRaw(cursor, at, 2, adjusted(cursor, sum, delta));
}

/** RFC 768: 0 means that there is none, and a sum of 0 is sent as all ones. */
function adjustUdp(cursor: Cursor, at: Address, delta: ValueId): void {
  const sum = loadRaw(cursor, at, 2);
  const has = branchOn(cursor, "jne", sum, cursor.constant(0));
  cursor.paths = has.yes;
  const next = adjusted(cursor, sum, delta);
  const zero = branchOn(cursor, "jeq", next, cursor.constant(0));
  const word = (path: Path, value: Value): Outcome => ({ path, value });
  const scalar: Value = {
    kind: "scalar",
    js: "number",
    word: next,
    low: 0n,
    high: 0xffffn,
  };
  const value = cursor.join([
    ...zero.yes.map((path) => word(path, constantValue(0xffff))),
    ...zero.no.map((path) => word(path, scalar)),
  ]);
  storeRaw(cursor, at, 2, cursor.word(value));
  cursor.paths = [...cursor.paths, ...has.no];
  void cursor.path;
}

function adjusted(cursor: Cursor, sum: ValueId, delta: ValueId): ValueId {
  const { writer, block } = cursor;
  const mask = cursor.constant(0xffff);
  const fold = (word: ValueId): ValueId =>
    writer.binary(
      block,
      "add",
      writer.binary(block, "and", word, mask),
      writer.binary(block, "rsh", word, cursor.constant(16)),
    );
  const not = writer.binary(block, "xor", sum, mask);
  const total = writer.binary(block, "add", not, delta);
  // Below 2^35, then 2^20, then 2^16 + 16, then 2^16.
  const folded = fold(fold(fold(total)));
  return writer.binary(block, "xor", folded, mask);
}
