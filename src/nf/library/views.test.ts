/**
 * The packet views against bits and sums computed the long way: which headers are
 * there, what fields read, and what assignments leave behind.
 *
 * Laws of an assignment: only the field and the checksums that it keeps right
 * change; a checksum is off by as much as before; one that was right is right.
 */
import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { test } from "node:test";
import { InputError, Random, toHex } from "../../base/index.ts";
import {
  buildFrame,
  checkChecksums,
  parseFrame,
  readField,
  refreshChecksums,
  tcpFlags,
  type FieldName,
  type FrameSpec,
} from "../../packet/index.ts";
import type { Ipv4Header, Packet, Transport } from "./headers.ts";
import { viewFields, type ViewField, type ViewName } from "./view-table.ts";
import { PacketView } from "./views.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

function viewOf(data: Uint8Array): PacketView {
  const view = new PacketView();
  view.pointAt(data);
  return view;
}

/** A frame of any kind that a network function may meet. */
function randomSpec(random: Random): FrameSpec {
  const address = (): string =>
    `${random.pick([10, 172, 255])}.0.${random.below(256)}.${random.below(256)}`;
  const long = (): bigint => (random.u64() << 64n) | random.u64();
  const payload = random.bytes(random.below(40));
  const ports = { sport: random.below(65_536), dport: random.below(65_536) };
  const transport: Partial<FrameSpec> = random.pick([
    {
      tcp: {
        ...ports,
        flags: random.below(256),
        seq: random.u32(),
        options: random.bytes(4 * random.below(11)),
      },
    },
    { tcp: ports },
    { udp: ports },
    { udp: { ...ports, checksum: "none" as const } },
    { icmp: { type: 8, id: 3, sequence: random.below(9) } },
    {},
  ]);
  const fragment = random.pick([
    {},
    {},
    {},
    { moreFragments: true },
    { fragmentOffset: 3 },
    { dontFragment: true },
  ]);
  const vlans = random.pick([[], [], [0x2007], [0x2007, 8]]);
  if (random.chance(0.3))
    return {
      vlans,
      ipv6: {
        src: long(),
        dst: long(),
        flowLabel: random.below(1 << 20),
        trafficClass: random.below(256),
      },
      ...transport,
      payload,
    };
  if (random.chance(0.1))
    return { arp: { op: 1, senderIp: address(), targetIp: address() } };
  return {
    vlans,
    ipv4: {
      src: address(),
      dst: address(),
      ttl: random.below(256),
      tos: random.below(256),
      id: random.below(65_536),
      options: random.bytes(4 * random.pick([0, 0, 1, 10])),
      ...fragment,
    },
    ...transport,
    payload,
  };
}

/** As built; or cut short, or with bytes changed. */
function randomFrame(random: Random): Uint8Array {
  let data = buildFrame(randomSpec(random));
  if (random.chance(0.3)) data = data.slice(0, random.below(data.length + 1));
  if (random.chance(0.3) && data.length > 0)
    for (let n = random.below(4); n >= 0; n--)
      data[random.below(Math.min(data.length, 60))] = random.pick([
        0,
        0x45,
        0x46,
        0x4f,
        0x60,
        6,
        17,
        0xff,
        random.below(256),
      ]);
  return data;
}

interface Found {
  readonly view: ViewName;
  readonly path: string;
  readonly at: number;
  readonly header: object;
}

/** Where headers are, by the words of the contract and nothing else. */
function naiveHeaders(
  data: Uint8Array,
): readonly { path: string; at: number }[] {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const found: { path: string; at: number }[] = [];
  const behind = (
    path: string,
    at: number,
    protocol: number,
    icmp: number,
  ): void => {
    const room = data.length - at;
    if (protocol === 6 && room >= 20)
      found.push({ path: `${path}.tcp`, at }, { path: `${path}.l4`, at });
    if (protocol === 17 && room >= 8)
      found.push({ path: `${path}.udp`, at }, { path: `${path}.l4`, at });
    if (protocol === icmp && room >= 8)
      found.push({ path: `${path}.icmp`, at });
  };
  const network = (prefix: string, type: number, at: number): void => {
    if (type === 0x0800 && data.length >= at + 20) {
      const [version, ihl] = [view.getUint8(at) >>> 4, view.getUint8(at) & 15];
      if (version !== 4 || ihl < 5 || data.length < at + 4 * ihl) return;
      found.push({ path: `${prefix}ipv4`, at });
      const isFragment =
        (view.getUint16(at + 6) & 0x2000) !== 0 ||
        (view.getUint16(at + 6) & 0x1fff) !== 0;
      if (!isFragment)
        behind(`${prefix}ipv4`, at + 4 * ihl, view.getUint8(at + 9), 1);
    }
    if (
      type === 0x86dd &&
      data.length >= at + 40 &&
      view.getUint8(at) >>> 4 === 6
    ) {
      found.push({ path: `${prefix}ipv6`, at });
      behind(`${prefix}ipv6`, at + 40, view.getUint8(at + 6), 58);
    }
  };
  if (data.length < 14) return [];
  found.push({ path: "eth", at: 0 });
  network("", view.getUint16(12), 14);
  if (data.length >= 18 && [0x8100, 0x88a8].includes(view.getUint16(12))) {
    found.push({ path: "vlan", at: 14 });
    network("vlan.", view.getUint16(16), 18);
  }
  return found;
}

/** The headers that the views say are there, with the places of the naive search. */
function headersOf(data: Uint8Array, packet: Packet): readonly Found[] {
  const naive = new Map(naiveHeaders(data).map(({ path, at }) => [path, at]));
  const found: Found[] = [];
  const add = (
    view: ViewName,
    path: string,
    header: object | undefined,
  ): void => {
    equal(header !== undefined, naive.has(path), `${path} of ${toHex(data)}`);
    if (header !== undefined)
      found.push({ view, path, header, at: naive.get(path) ?? 0 });
  };
  const transport = (path: string, ip: Transport | undefined): void => {
    for (const name of ["tcp", "udp", "icmp", "l4"] as const)
      add(name, `${path}.${name}`, ip?.[name]);
  };
  add("eth", "eth", packet.eth);
  add("vlan", "vlan", packet.vlan);
  for (const [prefix, from] of [
    ["", packet],
    ["vlan.", packet.vlan],
  ] as const)
    for (const name of ["ipv4", "ipv6"] as const) {
      add(name, `${prefix}${name}`, from?.[name]);
      transport(`${prefix}${name}`, from?.[name]);
    }
  return found;
}

/** Bits of the frame as a number. */
function bitsAt(
  data: Uint8Array,
  at: number,
  { bit, bits }: ViewField,
): bigint {
  const whole = BigInt(`0x0${toHex(data)}`);
  return BigInt.asUintN(
    bits,
    whole >> BigInt(8 * (data.length - at) - bit - bits),
  );
}

function asJs(value: bigint, { js }: ViewField): unknown {
  if (js === "boolean") return value !== 0n;
  return js === "bigint" ? value : Number(value);
}

test("headers are there exactly when they are whole, and fields are their bits", () => {
  const random = new Random(seed);
  const seen = new Map<string, number>();
  for (let round = 0; round < 4000; round++) {
    const data = randomFrame(random);
    for (const { view, path, at, header } of headersOf(data, viewOf(data))) {
      seen.set(path, (seen.get(path) ?? 0) + 1);
      for (const [name, field] of Object.entries(viewFields[view]))
        equal(
          Reflect.get(header, name),
          asJs(bitsAt(data, at, field), field),
          `${path}.${name} of ${toHex(data)}`,
        );
    }
  }
  for (const path of [
    "eth",
    "vlan",
    ...["ipv4", "ipv6", "vlan.ipv4", "vlan.ipv6"].flatMap((ip) => [
      ip,
      `${ip}.tcp`,
      `${ip}.udp`,
      `${ip}.icmp`,
      `${ip}.l4`,
    ]),
  ])
    ok(
      (seen.get(path) ?? 0) > 20,
      `${path} was seen ${seen.get(path) ?? 0} times`,
    );
});

test("fields agree with the room packet", () => {
  const random = new Random(seed);
  for (let round = 0; round < 500; round++) {
    const { vlans: _, ...spec } = randomSpec(random);
    const data = buildFrame(spec);
    const parsed = parseFrame(data);
    const { ipv4, ipv6, l4 } = viewOf(data);
    const agrees = (have: number | undefined, name: FieldName): void => {
      if (have !== undefined) equal(have, Number(readField(parsed, name)));
    };
    agrees(ipv4?.src, "ipv4.src");
    agrees(ipv4?.ttl, "ipv4.ttl");
    agrees(ipv6?.flowLabel, "ipv6.flow-label");
    agrees(ipv6?.trafficClass, "ipv6.traffic-class");
    if (parsed.fragment === "none") agrees(l4?.dport, "l4.dport");
  }
});

test("pkt.tcp, udp, icmp and l4 are those behind IPv4 or IPv6, not behind a tag", () => {
  const random = new Random(seed);
  for (let round = 0; round < 1000; round++) {
    const data = randomFrame(random);
    const packet = viewOf(data);
    const paths = new Set(naiveHeaders(data).map(({ path }) => path));
    for (const name of ["tcp", "udp", "icmp", "l4"] as const)
      equal(
        packet[name] !== undefined,
        paths.has(`ipv4.${name}`) || paths.has(`ipv6.${name}`),
      );
  }
});

/** A one's complement sum, as a class modulo 2^16 − 1. */
function sum(data: Uint8Array, from: number, to: number): number {
  let total = 0;
  for (let at = from; at < to; at += 2)
    total += ((data[at] ?? 0) << 8) | (data[at + 1] ?? 0);
  return total % 0xffff;
}

interface Covered {
  /** Where the checksum stands. */
  readonly at: number;
  /** What it covers of headers, as [from, to). */
  readonly ranges: readonly (readonly [number, number])[];
  readonly udp: boolean;
}

/** The checksums that assigning a field of a header has to keep right. */
function covered(
  data: Uint8Array,
  found: Found,
  field: ViewField,
): readonly Covered[] {
  const ip = found.view === "ipv4" || found.view === "ipv6" ? found.at : -1;
  const list: Covered[] = [];
  const { assign } = field;
  const ihl = (data[found.at] ?? 0) & 15;
  if (assign === "header" || assign === "header+behind")
    list.push({ at: ip + 10, ranges: [[ip, ip + 4 * ihl]], udp: false });
  const at =
    found.view === "ipv4"
      ? ip + 4 * ihl
      : found.view === "ipv6"
        ? ip + 40
        : found.at;
  const isFirst =
    found.view !== "ipv4" ||
    ((((data[ip + 6] ?? 0) << 8) | (data[ip + 7] ?? 0)) & 0x1fff) === 0;
  const protocol =
    found.view === "ipv4"
      ? data[ip + 9]
      : found.view === "ipv6"
        ? data[ip + 6]
        : found.view === "udp"
          ? 17
          : found.view === "tcp"
            ? 6
            : protocolOf(data, found);
  const addresses: readonly [number, number] =
    found.view === "ipv4"
      ? [ip + 12, ip + 20]
      : found.view === "ipv6"
        ? [ip + 8, ip + 40]
        : [0, 0];
  if (assign === "own" || assign === "behind" || assign === "header+behind") {
    if (isFirst && protocol === 6 && at + 20 <= data.length)
      list.push({
        at: at + 16,
        ranges: [addresses, [at, at + 20]],
        udp: false,
      });
    if (isFirst && protocol === 17 && at + 8 <= data.length)
      list.push({ at: at + 6, ranges: [addresses, [at, at + 8]], udp: true });
  }
  return list;
}

/** TCP or UDP, of an `l4` view. */
function protocolOf(data: Uint8Array, { path }: Found): number {
  return naiveHeaders(data).some(
    (other) => other.path === path.replace("l4", "tcp"),
  )
    ? 6
    : 17;
}

type Assign = (
  header: object,
  name: string,
  value: unknown,
  found: Found,
  packet: PacketView,
) => void;

/** What is wrong after assigning every field of every header once, or nothing. */
function assignmentFault(
  original: Uint8Array,
  random: Random,
  assign: Assign,
): string | undefined {
  for (const { path } of headersOf(original, viewOf(original.slice())))
    for (const view of Object.keys(viewFields) as ViewName[])
      for (const [name, field] of Object.entries(viewFields[view])) {
        const given = original.slice();
        const packet = viewOf(given);
        const found = headersOf(given, packet).find(
          (other) => other.path === path && other.view === view,
        );
        if (found === undefined || field.assign === undefined) continue;
        const raw = random.pick([
          0n,
          1n,
          (1n << BigInt(field.bits)) - 1n,
          BigInt.asUintN(field.bits, random.u64()),
        ]);
        const checksums = covered(given, found, field);
        const before = checksums.map(({ ranges }) =>
          ranges.map(([from, to]) => sum(given, from, to)),
        );
        const none = checksums.map(
          ({ at, udp }) => udp && given[at] === 0 && given[at + 1] === 0,
        );
        assign(found.header, name, asJs(raw, field), found, packet);
        const { data } = packet;
        const what = `${path}.${name} = ${raw} in ${toHex(original)}`;
        if (toHex(given) !== toHex(original)) return `${what}: not in a copy`;
        if (name !== "checksum" && bitsAt(data, found.at, field) !== raw)
          return `${what}: not there`;
        const may = new Set<number>();
        for (let bit = field.bit; bit < field.bit + field.bits; bit += 8)
          may.add(found.at + (bit >>> 3));
        for (const [index, { at, ranges, udp }] of checksums.entries()) {
          may.add(at).add(at + 1);
          const [have, want] = [
            ranges.map(([from, to]) => sum(data, from, to)),
            before[index] ?? [],
          ].map((sums) => sums.reduce((a, b) => a + b, 0) % 0xffff);
          const isZero = data[at] === 0 && data[at + 1] === 0;
          if (none[index] === true ? !isZero : have !== want || (udp && isZero))
            return `${what}: checksum at ${at}`;
        }
        for (const [at, byte] of data.entries())
          if (byte !== original[at] && !may.has(at))
            return `${what}: byte ${at} changed`;
      }
  return undefined;
}

const set: Assign = (header, name, value) => {
  Reflect.set(header, name, value);
};

test("an assignment changes its field and keeps checksums as right as they were", () => {
  const random = new Random(seed);
  for (let round = 0; round < 400; round++)
    equal(assignmentFault(randomFrame(random), random, set), undefined);
});

test("mutants: each broken fix-up is noticed", () => {
  const mutants: readonly (readonly [string, Assign])[] = [
    [
      "no fix-up",
      (header, name, value, found, packet) => {
        const before = packet.data.slice();
        set(header, name, value, found, packet);
        const { data } = packet;
        const field = viewFields[found.view][name];
        if (field === undefined) return;
        const after = data.slice(
          found.at + (field.bit >>> 3),
          found.at + ((field.bit + field.bits) >>> 3),
        );
        data.set(before);
        data.set(after, found.at + (field.bit >>> 3));
      },
    ],
    [
      "the header only",
      (header, name, value, found, packet) => {
        const before = packet.data.slice();
        set(header, name, value, found, packet);
        const { data } = packet;
        if (found.view === "ipv4")
          data.set(before.subarray(found.at + 20), found.at + 20);
      },
    ],
    [
      "a missing UDP checksum appears",
      (header, name, value, found, packet) => {
        set(header, name, value, found, packet);
        const { data } = packet;
        if (found.path.endsWith("udp") && data[found.at + 6] === 0)
          data[found.at + 7] = 1;
      },
    ],
    [
      "off by one",
      (header, name, value, found, packet) => {
        set(header, name, value, found, packet);
        const { data } = packet;
        if (found.view === "tcp")
          data[found.at + 17] = (data[found.at + 17] ?? 0) + 1;
      },
    ],
  ];
  for (const [name, mutant] of mutants) {
    const random = new Random(seed);
    let fault: string | undefined;
    for (let round = 0; round < 400 && fault === undefined; round++)
      fault = assignmentFault(randomFrame(random), random, mutant);
    ok(fault !== undefined, name);
  }
});

test("checksums that were right are what a full computation makes them", () => {
  const random = new Random(seed);
  let assigned = 0;
  for (let round = 0; round < 1500; round++) {
    const data = buildFrame(randomSpec(random));
    const packet = viewOf(data);
    const { ipv4, ipv6, tcp, udp, l4 } = packet;
    const right = checkChecksums(data);
    if (right.transport !== "good") continue;
    const port = random.pick([0, 0xffff, random.below(65_536)]);
    if (ipv4 !== undefined) {
      ipv4.src = random.u32();
      ipv4.dst = random.pick([0, 0xffff_ffff, random.u32()]);
      ipv4.tos = random.below(256);
      ipv4.ttl = random.below(256);
      ipv4.id = port;
    }
    if (ipv6 !== undefined) [ipv6.srcHigh, ipv6.dstLow] = [random.u64(), 0n];
    if (l4 !== undefined) l4.sport = port;
    if (tcp !== undefined)
      [tcp.flags, tcp.seq, tcp.window] = [
        random.below(256),
        random.u32(),
        port,
      ];
    if (udp !== undefined) udp.dport = port;
    // ICMP has no pseudo header over IPv4; ICMPv6 has, and is left alone.
    if (ipv6?.icmp !== undefined) continue;
    assigned++;
    equal(toHex(packet.data), toHex(refreshChecksums(packet.data)));
  }
  ok(assigned > 500, `${assigned} frames`);
});

test("a first fragment's transport checksum follows the address", () => {
  const whole = buildFrame({
    ipv4: { src: "10.0.0.1", dst: "10.0.0.2" },
    tcp: { sport: 1, dport: 2 },
    payload: new Uint8Array(64),
  });
  const sumAfter = (fragmentWord: number): string => {
    const data = whole.slice();
    data[20] = fragmentWord >>> 8;
    data[21] = fragmentWord;
    const packet = viewOf(data);
    const { ipv4 } = packet;
    equal(ipv4?.l4 === undefined, fragmentWord !== 0);
    if (ipv4 !== undefined) ipv4.dst = 0x0102_0304;
    return toHex(packet.data.subarray(50, 52));
  };
  const unchanged = toHex(whole.subarray(50, 52));
  equal(sumAfter(0x2000), sumAfter(0));
  ok(sumAfter(0) !== unchanged);
  equal(sumAfter(0x2003), unchanged, "a later fragment has no TCP header");
});

test("nothing outside the frame is read or written", () => {
  const random = new Random(seed);
  const buffer = new Uint8Array(400);
  for (let round = 0; round < 500; round++) {
    const frame = randomFrame(random);
    buffer.fill(0xa5);
    buffer.set(frame, 100);
    const inside = buffer.subarray(100, 100 + frame.length);
    const packet = viewOf(inside);
    for (const { view, header } of headersOf(inside, packet))
      for (const [name, { assign, js }] of Object.entries(viewFields[view]))
        if (assign !== undefined)
          Reflect.set(header, name, js === "bigint" ? 0n : 0);
    equal(packet.data.length, frame.length);
    equal(toHex(inside), toHex(frame), "the caller's bytes");
    const around = [
      ...buffer.subarray(0, 100),
      ...buffer.subarray(100 + frame.length),
    ];
    ok(around.every((byte) => byte === 0xa5));
    for (const offset of [-1, 0, frame.length - 1, frame.length, 0.5, 2 ** 33])
      for (const [size, read] of [
        [1, "u8"],
        [2, "u16"],
        [4, "u32"],
      ] as const) {
        const isThere =
          Number.isInteger(offset) &&
          offset >= 0 &&
          offset + size <= frame.length;
        if (Number.isInteger(offset))
          equal(packet[read](offset) !== undefined, isThere);
      }
  }
});

test("payloads start behind the header, TCP's options included", () => {
  const payload = new Uint8Array([0xde, 0xad, 0xbe, 0xef, 1]);
  const ipv4 = { src: "10.0.0.1", dst: "10.0.0.2" };
  const bytes = (data: Uint8Array): unknown => {
    const { tcp, udp, icmp } = viewOf(data);
    const at = (tcp ?? udp ?? icmp)?.payload;
    return at === undefined
      ? undefined
      : [
          at.length,
          at.u8(0),
          at.u16(0),
          at.u32(0),
          at.u32(2),
          at.u8(5),
          at.u8(-1),
        ];
  };
  const want = [5, 0xde, 0xdead, 0xdead_beef, undefined, undefined, undefined];
  deepEqual(
    bytes(
      buildFrame({
        ipv4,
        tcp: { sport: 1, dport: 2, options: new Uint8Array(12) },
        payload,
      }),
    ),
    want,
  );
  deepEqual(
    bytes(buildFrame({ ipv4, udp: { sport: 1, dport: 2 }, payload })),
    want,
  );
  deepEqual(bytes(buildFrame({ ipv4, icmp: { type: 8 }, payload })), want);
  const malformed = buildFrame({ ipv4, tcp: { sport: 1, dport: 2 }, payload });
  malformed[46] = 0x20;
  deepEqual(bytes(malformed), want, "a data offset below 5 counts as 5");
  malformed[46] = 0xf0;
  deepEqual(
    bytes(malformed),
    [0, ...Array<undefined>(6).fill(undefined)],
    "a header beyond the frame",
  );
});

test("values that do not fit are refused, and read-only fields stay", () => {
  const data = buildFrame({
    ipv4: { src: "10.0.0.1", dst: "10.0.0.2" },
    tcp: { sport: 1, dport: 2, flags: tcpFlags.syn },
  });
  const { ipv4, tcp, eth } = viewOf(data);
  ok(ipv4 !== undefined && tcp !== undefined && eth !== undefined);
  for (const run of [
    () => (ipv4.ttl = 256),
    () => (ipv4.src = -1),
    () => (ipv4.src = 2 ** 32),
    () => (tcp.dport = 1.5),
    () => (eth.dst = 1n << 48n),
    () => Reflect.set(eth, "dst", 5),
  ])
    throws(run, InputError);
  throws(() => ((ipv4 as { ihl: Ipv4Header["ihl"] }).ihl = 6), TypeError);
  equal(tcp.flags, tcpFlags.syn);
});
