/**
 * Packets on another queue than the plan's, counted: the program with code in front
 * that hashes one packet in 1,024 as the NIC was told to.
 *
 *   .misdirected[0].seen += 1                    per CPU
 *   seen & mask ≠ 0                          →   the program
 *   port by ctx->ingress_ifindex, headers    →   protocol's class, or unchecked
 *   hash = table[0][byte 0] ^ table[1][byte 1] ^ …
 *   queues[hash mod entries] ≠ ctx->rx_queue_index   →   misdirected += 1
 *
 * The code is part of the entry function, where all registers but r1 are free, and
 * uses no stack, so it changes nothing that the program sees; a jump of the program back
 * to its start does not run it again. No function is added, hence no type for one.
 *
 * Addresses and ports lie side by side in both IP headers (12 bytes in IPv4 without
 * options, 36 in IPv6), so a class is one table of 256 words for each of these bytes:
 * zero where the class does not hash the byte. Ports are only read where hashed.
 *
 * Checked are Ethernet frames with IPv4 without options or IPv6 whose next header is no
 * extension. VLAN tags, fragments, all else, and interfaces that are no port of the plan
 * are counted as `unchecked`. What is sampled is each core's every 1,024th packet.
 *
 * Source: Microsoft, "RSS hashing types"; RFC 791, RFC 8200.
 */
import { Bug } from "../../base/index.ts";
import {
  editFunction,
  type MapSpec,
  type ProgramSpec,
} from "../../isa/index.ts";
import { assembled } from "./patch/assembled.ts";

export const misdirectedMap = ".misdirected";
const setupMap = ".misdirected.nic";

/** Offsets in bytes of the one value of `.misdirected`, each a u64 of its CPU. */
// prettier-ignore
export const misdirectedLayout = { seen: 0, checked: 8, misdirected: 16, unchecked: 24, size: 32 } as const;

/** A port's receive-side scaling, bound to its interface. */
export interface HashedPort {
  readonly ifindex: number;
  readonly key: Uint8Array;
  /** What is hashed of a class, in ethtool's letters; null: not known, so unchecked. */
  readonly fields: Readonly<Record<HashedClass, string | null>>;
  /** Queue of each table entry; a power of two of them. */
  readonly table: readonly number[];
}

const transports = ["tcp", "udp", "sctp", "other"] as const;
type HashedClass = `${(typeof transports)[number]}${4 | 6}`;

export interface CountOptions {
  /** A packet is checked if `seen & mask` is 0; default 1,023. */
  readonly mask?: number;
}

export function countMisdirected(
  program: ProgramSpec,
  ports: readonly HashedPort[],
  { mask = 1023 }: CountOptions = {},
): ProgramSpec {
  const [entry, ...others] = program.functions;
  if (entry === undefined || program.type !== "xdp" || ports.length === 0)
    throw new Bug(`${program.name}: no queues to count`);
  const setup = layOut(ports);
  return {
    ...program,
    functions: [
      editFunction(entry, [
        {
          kind: "insert",
          at: 0,
          instructions: assembled(prologue(ports, setup, mask)),
          reach: "fall-through",
        },
      ]),
      ...others,
    ],
    maps: [...program.maps, countersSpec, setupSpec(setup.data)],
  };
}

const countersSpec: MapSpec = {
  name: misdirectedMap,
  type: "percpu_array",
  keySize: 4,
  valueSize: misdirectedLayout.size,
  maxEntries: 1,
  flags: 0,
  section: misdirectedMap,
  readOnly: false,
};

function setupSpec(data: Uint8Array): MapSpec {
  return {
    name: setupMap,
    type: "array",
    keySize: 4,
    valueSize: data.length,
    maxEntries: 1,
    flags: 0,
    section: setupMap,
    data,
    readOnly: true,
  };
}

const ipv4 = { addresses: 8, at: 26, end: 34, kinds: 0 } as const;
const ipv6 = { addresses: 32, at: 22, end: 54, kinds: 256 } as const;
type Version = typeof ipv4 | typeof ipv6;

/** Words of a table: the bytes of IPv6 addresses and ports, 256 each. */
const tableSize = 4 * 256 * 36;
/** In the byte of a protocol: ports are hashed; the other bits are a table's number. */
const withPorts = 0x80;
const unchecked = 0x7f;

/** Behind the counters' key, which stands here so that no stack is used. */
const portsAt = 8;

interface Setup {
  /** A zero; for each port 2 × 256 kinds and its queues; the tables. */
  readonly data: Uint8Array;
  readonly portSize: number;
  readonly tablesAt: number;
  readonly tables: number;
  readonly entries: number;
}

function layOut(ports: readonly HashedPort[]): Setup {
  // A shorter table of queues, repeated, is the same table.
  const entries = Math.max(...ports.map(({ table }) => table.length));
  const tables = new Map<string, Uint32Array>();
  const heads = ports.map((port) => {
    const kinds = new Uint8Array(512).fill(unchecked);
    for (const version of [ipv4, ipv6])
      for (let protocol = 0; protocol < 256; protocol++) {
        const fields = port.fields[classOf(protocol, version)];
        if (fields === null || (version === ipv6 && isExtension.has(protocol)))
          continue;
        const table = hashTable(port.key, fields, version);
        const text = [port.key.join(), fields, version.at].join(" ");
        if (!tables.has(text)) tables.set(text, table);
        kinds[version.kinds + protocol] =
          [...tables.keys()].indexOf(text) |
          (/[fn]/.test(fields) ? withPorts : 0);
      }
    const queues = Uint32Array.from(
      { length: entries },
      (_, entry) => port.table[entry % port.table.length] ?? 0,
    );
    return [kinds, new Uint8Array(queues.buffer)];
  });
  if (tables.size > unchecked) throw new Bug(`${tables.size} tables`);
  const portSize = 512 + 4 * entries;
  const tablesAt = portsAt + portSize * ports.length;
  const data = new Uint8Array(tablesAt + tableSize * tables.size);
  for (const [port, [kinds, queues]] of heads.entries()) {
    const at = portsAt + portSize * port;
    data.set(kinds ?? [], at);
    data.set(queues ?? [], at + 512);
  }
  for (const [index, table] of [...tables.values()].entries())
    data.set(new Uint8Array(table.buffer), tablesAt + tableSize * index);
  return { data, portSize, tablesAt, tables: tables.size, entries };
}

function classOf(protocol: number, version: Version): HashedClass {
  const transport =
    protocol === 6
      ? "tcp"
      : protocol === 17
        ? "udp"
        : protocol === 132
          ? "sctp"
          : "other";
  return `${transport}${version === ipv4 ? 4 : 6}`;
}

/** Next headers behind which the transport may be. */
const isExtension: ReadonlySet<number> = new Set([
  0, 43, 44, 51, 60, 135, 139, 140,
]);

/** For each byte of addresses and ports, what each value of it adds to the hash. */
function hashTable(
  key: Uint8Array,
  fields: string,
  { addresses }: Version,
): Uint32Array {
  const words = new Uint32Array(tableSize / 4);
  const half = addresses / 2;
  const all = [
    { letter: "s", at: 0, size: half },
    { letter: "d", at: half, size: half },
    { letter: "f", at: addresses, size: 2 },
    { letter: "n", at: addresses + 2, size: 2 },
  ];
  let bit = 0;
  for (const { letter, at, size } of all) {
    if (!fields.includes(letter)) continue;
    for (let byte = at; byte < at + size; byte++, bit += 8)
      for (let place = 0; place < 8; place++) {
        const window = keyBits(key, bit + place);
        for (let value = 0; value < 256; value++)
          if ((value & (0x80 >> place)) !== 0)
            words[256 * byte + value] =
              (words[256 * byte + value] ?? 0) ^ window;
      }
  }
  return words;
}

/** 32 bits of the key from a bit on; zeros behind its end. */
function keyBits(key: Uint8Array, from: number): number {
  let window = 0;
  for (let bit = from; bit < from + 32; bit++)
    window = (window << 1) | (((key[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1);
  return window;
}

/** r6 context, r7 counters, r9 the port's set-up. */
function prologue(
  ports: readonly HashedPort[],
  setup: Setup,
  mask: number,
): string {
  const { seen, checked, misdirected, unchecked: others } = misdirectedLayout;
  const find = ports.map(
    ({ ifindex }, port) => `
    r9 = value ${setupMap}[${portsAt + port * setup.portSize}] ll
    if w1 == ${ifindex} goto known`,
  );
  return `
    r6 = r1
    r2 = value ${setupMap}[0] ll
    r1 = map ${misdirectedMap} ll
    call map_lookup_elem
    if r0 == 0 goto program
    r7 = r0
    r1 = *(u64 *)(r7 + ${seen})
    r2 = r1
    r2 += 1
    *(u64 *)(r7 + ${seen}) = r2
    r1 &= ${mask}
    if r1 != 0 goto program
    r1 = *(u32 *)(r6 + 12)
    ${find.join("")}
    goto unchecked
  known:
    r1 = *(u32 *)(r6 + 0)
    r2 = *(u32 *)(r6 + 4)
    r3 = r1
    r3 += ${ipv4.end}
    if r3 > r2 goto unchecked
    r3 = *(u16 *)(r1 + 12)
    if r3 == 0xdd86 goto ipv6
    if r3 != 0x0008 goto unchecked
    r3 = *(u8 *)(r1 + 14)
    if r3 != 0x45 goto unchecked
    r3 = *(u16 *)(r1 + 20)
    r3 &= 0xff3f
    if r3 != 0 goto unchecked
    r3 = *(u8 *)(r1 + 23)
    ${hash(ipv4, setup)}
    goto hashed
  ipv6:
    r3 = r1
    r3 += ${ipv6.end}
    if r3 > r2 goto unchecked
    r3 = *(u8 *)(r1 + 14)
    r3 >>= 4
    if r3 != 6 goto unchecked
    r3 = *(u8 *)(r1 + 20)
    ${hash(ipv6, setup)}
  hashed:
    r0 &= ${setup.entries - 1}
    r0 <<= 2
    r9 += r0
    r0 = *(u32 *)(r9 + 512)
    r1 = *(u64 *)(r7 + ${checked})
    r1 += 1
    *(u64 *)(r7 + ${checked}) = r1
    r1 = *(u32 *)(r6 + 16)
    if r0 == r1 goto program
    r1 = *(u64 *)(r7 + ${misdirected})
    r1 += 1
    *(u64 *)(r7 + ${misdirected}) = r1
    goto program
  unchecked:
    r1 = *(u64 *)(r7 + ${others})
    r1 += 1
    *(u64 *)(r7 + ${others}) = r1
  program:
    r1 = r6`;
}

/** Protocol in r3, packet in r1 and its end in r2 → hash in r0. */
function hash(version: Version, { tablesAt, tables }: Setup): string {
  const { addresses, at, end, kinds } = version;
  const byte = (index: number, from: number): string => `
    r3 = *(u8 *)(r1 + ${at + index})
    r3 <<= 2
    r3 += r5
    r3 = *(u32 *)(r3 + ${1024 * (index - from)})
    r0 ^= r3`;
  const bytes = (from: number, to: number, base: number): string =>
    Array.from({ length: to - from }, (_, index) =>
      byte(from + index, base),
    ).join("");
  const ready = `hashed${version.addresses}`;
  return `
    r4 = r9
    r4 += r3
    r4 = *(u8 *)(r4 + ${kinds})
    r3 = r4
    r3 &= ${unchecked}
    if r3 >= ${tables} goto unchecked
    r3 *= ${tableSize}
    r5 = value ${setupMap}[${tablesAt}] ll
    r5 += r3
    r0 = 0
    ${bytes(0, addresses, 0)}
    r4 &= ${withPorts}
    if r4 == 0 goto ${ready}
    r3 = r1
    r3 += ${end + 4}
    if r3 > r2 goto unchecked
    r5 += ${1024 * addresses}
    ${bytes(addresses, addresses + 4, addresses)}
  ${ready}:`;
}
