/**
 * Which headers a frame has, as the views of the library say (library/views.ts there):
 * every test that leads to a header is a branch, and what was found is remembered
 * until an assignment changes what decides it.
 *
 *   eth    14 bytes in the frame
 *   vlan   18, and the type is 0x8100 or 0x88a8
 *   ipv4   the type before it, version 4, IHL ≥ 5, the header in the frame
 *   ipv6   the type before it, 40 bytes, version 6
 *   tcp udp icmp l4   no fragment, the protocol, the header in the frame
 *
 * Where IPv4's options end is known at run time only: the header behind stands at
 * `ip + 4 × IHL`, one pointer that all accesses behind it use.
 */
import { Bug } from "../../base/index.ts";
import type { ValueId } from "../../ir/index.ts";
import { etherTypes, headerSizes, protocols } from "../library/view-table.ts";
import { branchOn } from "./compare.ts";
import type { Path } from "./environment.ts";
import { branchInFrame } from "./frame-bounds.ts";
import { type Outcome, joinPaths } from "./join.ts";
import { type Branches, type Cursor, type PacketWords } from "./lowering.ts";
import { loadRaw, reversed } from "./memory.ts";
import { type HeaderValue, type Value, undefinedValue } from "./value.ts";

export type NetworkName = "ipv4" | "ipv6";
export type TransportName = "tcp" | "udp" | "icmp" | "l4";

/** A header of the frame itself: `pkt.eth`, `pkt.ipv4`, `pkt.tcp`. */
export function packetHeader(
  cursor: Cursor,
  packet: PacketWords,
  name: "eth" | "vlan" | NetworkName | TransportName,
): readonly Outcome[] {
  switch (name) {
    case "eth":
      return remembered(cursor, "eth", () =>
        presence(cursor, branchInFrame(cursor, packet, packet.start, 14), {
          kind: "header",
          header: "eth",
          base: packet.start,
          offset: 0,
        }),
      );
    case "vlan":
      return remembered(cursor, "vlan", () =>
        presence(cursor, vlanTag(cursor, packet), {
          kind: "header",
          header: "vlan",
          base: packet.start,
          offset: headerSizes.eth,
        }),
      );
    case "ipv4":
    case "ipv6":
      return networkHeader(cursor, packet, name, headerSizes.eth);
    case "tcp":
    case "udp":
    case "icmp":
    case "l4":
      return behindAnyIp(cursor, packet, name);
  }
}

/** The network header at an offset of the frame, behind the type before it. */
export function networkHeader(
  cursor: Cursor,
  packet: PacketWords,
  name: NetworkName,
  offset: number,
): readonly Outcome[] {
  return remembered(cursor, `${name}@${offset}`, () =>
    presence(
      cursor,
      name === "ipv4"
        ? ipv4At(cursor, packet, offset)
        : ipv6At(cursor, packet, offset),
      { kind: "header", header: name, base: packet.start, offset },
    ),
  );
}

/** What stands behind an IP header. */
export function transportHeader(
  cursor: Cursor,
  packet: PacketWords,
  ip: HeaderValue,
  name: TransportName,
): readonly Outcome[] {
  return remembered(cursor, transportKey(ip, name), () => {
    const outcomes: Outcome[] = [];
    const absent: Path[] = [];
    const start = unfragmented(cursor, ip, 0x3fff);
    absent.push(...start.no);
    cursor.paths = start.yes;
    const protocol = protocolOf(cursor, ip);
    const place = behind(cursor, ip);
    const wanted: readonly (readonly [number, number])[] =
      name === "l4"
        ? [
            [protocols.tcp, headerSizes.tcp],
            [protocols.udp, headerSizes.udp],
          ]
        : [[protocolNumber(ip, name), headerSizes[name]]];
    const there: Path[] = [];
    for (const [number, size] of wanted) {
      const is = branchOn(cursor, "jeq", protocol, cursor.constant(number));
      cursor.paths = is.yes;
      const inside = branchInFrame(
        cursor,
        packet,
        place.base,
        place.offset + size,
      );
      there.push(...inside.yes);
      absent.push(...inside.no);
      cursor.paths = is.no;
    }
    absent.push(...cursor.paths);
    for (const path of joined(cursor, there))
      outcomes.push({
        path,
        value: {
          kind: "header",
          header: name,
          ...place,
          ...(name === "l4" ? { protocol } : {}),
        },
      });
    for (const path of joined(cursor, absent))
      outcomes.push({ path, value: undefinedValue });
    return outcomes;
  });
}

/** Under which a transport header is remembered. */
export function transportKey(ip: HeaderValue, name: TransportName): string {
  return `${name}@${ip.header}:${ip.base}+${ip.offset}`;
}

/** Forgets every header but Ethernet's: what decides the others was assigned. */
export function forgetHeaders(cursor: Cursor): void {
  for (const name of cursor.env.headers.keys())
    if (name !== "eth") cursor.env.headers.delete(name);
}

export function protocolNumber(
  ip: HeaderValue,
  name: "tcp" | "udp" | "icmp",
): number {
  return name === "icmp" && ip.header === "ipv6"
    ? protocols.icmpv6
    : protocols[name];
}

export function protocolOf(cursor: Cursor, ip: HeaderValue): ValueId {
  const offset = ip.offset + (ip.header === "ipv4" ? 9 : 6);
  return loadRaw(cursor, { pointer: ip.base, offset, memory: "packet" }, 1);
}

/** Where the header behind an IP header stands. */
export function behind(
  cursor: Cursor,
  ip: HeaderValue,
): { readonly base: ValueId; readonly offset: number } {
  if (ip.header === "ipv6")
    return { base: ip.base, offset: ip.offset + headerSizes.ipv6 };
  const key = `end@${ip.base}+${ip.offset}`;
  const known = cursor.env.headers.get(key);
  if (known?.kind === "header")
    return { base: known.base, offset: known.offset };
  const { writer } = cursor;
  const first = loadRaw(cursor, at(ip, 0), 1);
  const four = writer.binary(cursor.block, "lsh", first, cursor.constant(2));
  const length = writer.binary(cursor.block, "and", four, cursor.constant(60));
  const base = writer.binary(cursor.block, "add", ip.base, length);
  const { offset } = ip;
  const place: HeaderValue = { kind: "header", header: "bytes", base, offset };
  cursor.env.headers.set(key, place);
  return { base, offset };
}

/** No offset, and with `mask` 0x3fff no more fragments either. */
export function unfragmented(
  cursor: Cursor,
  ip: HeaderValue,
  mask: 0x1fff | 0x3fff,
): Branches {
  if (ip.header === "ipv6") return { yes: [cursor.path], no: [] };
  const raw = loadRaw(cursor, at(ip, 6), 2);
  const bits = cursor.constant(reversed(BigInt(mask), 2));
  const is = branchOn(cursor, "jset", raw, bits);
  return { yes: is.no, no: is.yes };
}

function at(
  header: HeaderValue,
  offset: number,
): { pointer: ValueId; offset: number; memory: string } {
  return {
    pointer: header.base,
    offset: header.offset + offset,
    memory: "packet",
  };
}

/** `(pkt.ipv4 ?? pkt.ipv6)?.NAME`, as the runtime has it. */
function behindAnyIp(
  cursor: Cursor,
  packet: PacketWords,
  name: TransportName,
): readonly Outcome[] {
  return remembered(cursor, name, () => {
    const outcomes: Outcome[] = [];
    const absent: Path[] = [];
    const follow = (ip: Outcome): void => {
      cursor.paths = [ip.path];
      if (ip.value.kind !== "header") throw new Bug("no IP header");
      for (const found of transportHeader(cursor, packet, ip.value, name))
        if (isAbsent(found.value)) absent.push(found.path);
        else outcomes.push(found);
    };
    for (const v4 of certain(cursor, packetHeader(cursor, packet, "ipv4"))) {
      if (!isAbsent(v4.value)) {
        follow(v4);
        continue;
      }
      cursor.paths = [v4.path];
      for (const v6 of certain(cursor, packetHeader(cursor, packet, "ipv6")))
        if (isAbsent(v6.value)) absent.push(v6.path);
        else follow(v6);
    }
    for (const path of joined(cursor, absent))
      outcomes.push({ path, value: undefinedValue });
    return outcomes;
  });
}

/** Optionals (headers that a join made uncertain) are asked, so that each outcome is one or the other. */
export function certain(
  cursor: Cursor,
  outcomes: readonly Outcome[],
): readonly Outcome[] {
  return outcomes.flatMap((outcome): Outcome[] => {
    const { path, value } = outcome;
    if (value.kind !== "optional") return [outcome];
    cursor.paths = [path];
    const is = branchOn(cursor, "jne", value.present, cursor.constant(0));
    return [
      ...is.yes.map((yes) => ({ path: yes, value: value.payload })),
      ...is.no.map((no) => ({ path: no, value: undefinedValue })),
    ];
  });
}

function isAbsent(value: Value): boolean {
  return value.kind === "constant" && value.value === undefined;
}

function remembered(
  cursor: Cursor,
  key: string,
  find: () => readonly Outcome[],
): readonly Outcome[] {
  const { path } = cursor;
  const known = path.env.headers.get(key);
  if (known !== undefined) return [{ path, value: known }];
  const outcomes = find();
  for (const { path, value } of outcomes) path.env.headers.set(key, value);
  return outcomes;
}

function presence(
  cursor: Cursor,
  { yes, no }: Branches,
  header: HeaderValue,
): readonly Outcome[] {
  return [
    ...joined(cursor, yes).map((path) => ({ path, value: header })),
    ...joined(cursor, no).map((path) => ({ path, value: undefinedValue })),
  ];
}

function joined(cursor: Cursor, paths: readonly Path[]): readonly Path[] {
  return paths.length < 2
    ? paths
    : [joinPaths(cursor.writer, cursor.numbers, paths)];
}

/** All of several conditions, asked in turn. */
function all(
  cursor: Cursor,
  conditions: readonly (() => Branches)[],
): Branches {
  const no: Path[] = [];
  for (const condition of conditions) {
    if (cursor.isClosed) break;
    const answer = condition();
    no.push(...answer.no);
    cursor.paths = answer.yes;
  }
  return { yes: cursor.paths, no };
}

/** Is the type at an offset of the frame one of these? In the frame it is. */
function typeIs(
  cursor: Cursor,
  packet: PacketWords,
  offset: number,
  types: readonly number[],
): Branches {
  const memory = { pointer: packet.start, offset, memory: "packet" };
  const raw = loadRaw(cursor, memory, 2);
  const yes: Path[] = [];
  for (const type of types) {
    const swapped = cursor.constant(reversed(BigInt(type), 2));
    const is = branchOn(cursor, "jeq", raw, swapped);
    yes.push(...is.yes);
    cursor.paths = is.no;
  }
  return { yes, no: cursor.paths };
}

function vlanTag(cursor: Cursor, packet: PacketWords): Branches {
  const size = headerSizes.eth + headerSizes.vlan;
  return all(cursor, [
    () => branchInFrame(cursor, packet, packet.start, size),
    () => typeIs(cursor, packet, 12, [etherTypes.vlan, etherTypes.serviceVlan]),
  ]);
}

function ipv4At(cursor: Cursor, packet: PacketWords, offset: number): Branches {
  const { writer } = cursor;
  const ip: HeaderValue = {
    kind: "header",
    header: "ipv4",
    base: packet.start,
    offset,
  };
  const first = (): ValueId => loadRaw(cursor, at(ip, 0), 1);
  const masked = (mask: number): ValueId =>
    writer.binary(cursor.block, "and", first(), cursor.constant(mask));
  return all(cursor, [
    () =>
      branchInFrame(cursor, packet, packet.start, offset + headerSizes.ipv4),
    () => typeIs(cursor, packet, offset - 2, [etherTypes.ipv4]),
    () => branchOn(cursor, "jeq", masked(0xf0), cursor.constant(0x40)),
    () => branchOn(cursor, "jge", masked(0x0f), cursor.constant(5)),
    () => {
      const place = behind(cursor, ip);
      return branchInFrame(cursor, packet, place.base, place.offset);
    },
  ]);
}

function ipv6At(cursor: Cursor, packet: PacketWords, offset: number): Branches {
  const { writer } = cursor;
  const pointer = packet.start;
  return all(cursor, [
    () => branchInFrame(cursor, packet, pointer, offset + headerSizes.ipv6),
    () => typeIs(cursor, packet, offset - 2, [etherTypes.ipv6]),
    () => {
      const first = loadRaw(cursor, { pointer, offset, memory: "packet" }, 1);
      const mask = cursor.constant(0xf0);
      const version = writer.binary(cursor.block, "and", first, mask);
      return branchOn(cursor, "jeq", version, cursor.constant(0x60));
    },
  ]);
}
