/**
 * The suite as the agreement sees it: for each network function the traffic that moves
 * it, and the settings under which it is run. Tables are small, so that they fill;
 * settings are those of the sources (nfs/c/README.md), contents are what user space
 * would write. Numbers that a setting and the traffic share stand here once.
 */
import { Bug } from "#base";
import type { MapContents } from "#proof";
import type { TrafficMix } from "./nf-traffic.ts";

/** One way to set a program up. */
export interface Variant {
  readonly name: string;
  readonly set?: Readonly<Record<string, string>>;
  /** Entries of maps instead of the declared ones. */
  readonly sizes?: Readonly<Record<string, number>>;
  readonly contents?: MapContents;
  /** Packets that do much: searched and interpreted less. */
  readonly slow?: true;
  /** What the traffic knows of this setting. */
  readonly mix?: TrafficMix;
}

export interface NfCase {
  readonly mix: TrafficMix;
  readonly variants: readonly Variant[];
}

/** The case of a function that the table has. */
export function caseOf(name: string): NfCase {
  const found = nfCases[name];
  if (found === undefined) throw new Bug(`no network function ${name}`);
  return found;
}

/** The function's traffic under a setting. */
export function mixOf({ mix }: NfCase, variant: Variant): TrafficMix {
  const parts = { ...mix.parts, ...variant.mix?.parts };
  return { ...mix, ...variant.mix, parts };
}

const second = 1_000_000_000n;

function bytes(...parts: readonly (readonly [bigint | number, number])[]) {
  return Uint8Array.from(
    parts.flatMap(([value, size]) =>
      Array.from({ length: Math.abs(size) }, (_, at) => {
        // A negative size is big-endian.
        const place = size < 0 ? -size - 1 - at : at;
        return Number((BigInt(value) >> BigInt(8 * place)) & 0xffn);
      }),
    ),
  );
}
/** Numbers in network order, and in the machine's. */
const be = (value: bigint | number, size: number) => [value, -size] as const;
const le = (value: bigint | number, size: number) => [value, size] as const;

const stations = [1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n, 9n, 10n, 11n, 12n].map(
  (number) => 0x0200_0000_0100n + number,
);
const twoPorts = [0, 1] as const;

const clients = Array.from({ length: 24 }, (_, at) => 0x0a00_0001 + 0x301 * at);
const servers = Array.from({ length: 12 }, (_, at) => 0xc0a8_0001 + 0x101 * at);
const [client0 = 0, client1 = 0] = clients;
const [server0 = 0, server1 = 0] = servers;
const external = 0xcb00_7101;

/** Who may talk to whom: every other of the combinations. */
const allowed = [client0, client1].flatMap((source) =>
  [server0, server1].flatMap((destination) =>
    [1024, 1025, 1026, 1027].flatMap((sport) =>
      [80, 443].flatMap((dport) =>
        [6, 17].flatMap((protocol) =>
          twoPorts
            .filter(
              (port) => ((sport + dport + protocol + port) >> 1) % 2 === 0,
            )
            .map((port) => ({
              key: bytes(
                be(source, 4),
                be(destination, 4),
                be(sport, 2),
                be(dport, 2),
                le(protocol, 1),
                le(port, 1),
                le(0, 2),
              ),
              value: bytes(le(1, 4)),
            })),
        ),
      ),
    ),
  ),
);

const services = [80, 443, 53].map((port, at) => ({
  key: bytes(be(port, 2)),
  value: bytes(be(0xac10_0001 + at, 4), be(8000 + at, 2), le(0, 2)),
}));

const backendSlots = Array.from({ length: 64 }, (_, at) => ({
  key: bytes(le(at, 4)),
  value:
    at % 5 === 3
      ? new Uint8Array(12)
      : bytes(
          be(0xac10_0100 + at, 4),
          be(0x0200_0000_0300n + BigInt(at), 6),
          le(0, 2),
        ),
}));

const backends = Array.from({ length: 6 }, (_, at) => ({
  ip: 0xac10_0001 + at,
  mac: 0x0200_0000_0200n + BigInt(at),
}));

const text = (words: string) => new TextEncoder().encode(words);
const signatures = [
  "",
  "GET /etc",
  "evil",
  "xyz",
  "",
  "passwd",
  "\u0001\u0002",
  "Q",
];
/** In the cells' order, begun elsewhere; an empty one is none. */
const signatureCells = (from: number) =>
  signatures.map((_, at) => {
    const words = signatures[(at + from) % signatures.length] ?? "";
    const raw = text(words);
    const all = (1n << BigInt(8 * raw.length)) - 1n;
    const value = raw.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
    // The last byte of one does not count.
    const mask = words === "evil" ? all & ~0xffn : all;
    return {
      key: bytes(le(at, 4)),
      value: bytes(
        le(value & mask, 8),
        le(mask, 8),
        le(raw.length, 4),
        le(0, 4),
      ),
    };
  });
const attacks = signatures.flatMap((one, at) => [
  one,
  one + (signatures[(at * 3 + 1) % signatures.length] ?? ""),
]);

const listed = clients.slice(0, 6).map((source) => ({
  key: bytes(be(source, 4)),
  value: new Uint8Array(8),
}));

/** An expiring map of `entries`, its chain a cell longer. */
const table = (name: string, entries: number) => ({
  [name]: entries,
  [`${name}_chain`]: entries + 1,
});

/**
 * A hash map of `entries` under a chain that has room for more: an insertion that fails
 * behind an allocation that did not, which in the kernel is a want of memory.
 */
const tight = (name: string, entries: number) => ({
  [name]: entries - 4,
  [`${name}_chain`]: entries + 1,
});

const modes = (more: Omit<Variant, "name">): readonly Variant[] => [
  { ...more, name: "enforce", set: { ...more.set, enforce: "true" } },
  { ...more, name: "bounce", set: { ...more.set, enforce: "false" } },
];

const nat = (refresh: number, start: number): Variant => ({
  name: `refresh ${refresh}, from ${start}`,
  set: {
    capacity: "16",
    start_port: String(start),
    refresh: String(refresh),
  },
  sizes: refresh === 0 ? tight("flows", 16) : table("flows", 16),
  mix: { mapped: { address: external, port: start, count: 16 } },
});

const ctrnat = (start: number): Variant => ({
  name: `from ${start}`,
  set: { start_port: String(start) },
  sizes: { flows: 24, tuples: 0x1_0000 - start },
  mix: { mapped: { address: external, port: start, count: 24 } },
});

const limiter = (strict: boolean): Variant => ({
  name: strict ? "strict" : "lenient",
  set: {
    strict: String(strict),
    max_clients: "3",
    flow_capacity: "24",
    bucket_capacity: "8",
  },
  sizes: { ...(strict ? tight : table)("flows", 24), clients: 32 },
});

// prettier-ignore
export const nfCases: Readonly<Record<string, NfCase>> = {
  // With two ports.
  "nop": { mix: {}, variants: [{ name: "default" }] },
  "fwd": { mix: {}, variants: [{ name: "default" }] },
  "static-bridge": {
    mix: { stations, parts: { station: 200 } },
    variants: [{
      name: "default", sizes: { stations: 24 },
      contents: {
        stations: stations.slice(0, 8).flatMap((mac, at) =>
          twoPorts.map((port) => ({
            key: bytes(be(mac, 6), le(port, 2)),
            value: bytes(le(at % 4 === 3 ? -2 : at % 2, 4)),
          })),
        ),
      },
    }],
  },
  "dynamic-bridge": {
    mix: { stations, parts: { station: 300 }, spans: [300n * second] },
    variants: ["false", "true"].map((moves) => ({ name: `learn_moves ${moves}`, set: { capacity: "8", learn_moves: moves }, sizes: moves === "true" ? tight("stations", 8) : table("stations", 8) })),
  },
  "policer": {
    mix: { servers, fromFirst: 0.2 },
    variants: [
      { name: "small burst", set: { burst: "3000" }, sizes: { buckets: 8 }, mix: { spans: [3_000_000n, 60_000n, 1_000n] } },
      { name: "fast", set: { rate: "1000000000", burst: "10000" }, sizes: { buckets: 8 }, mix: { spans: [10_000n, 100n], pace: 200 } },
      { name: "default", sizes: { buckets: 8 }, mix: { spans: [100_000_000n], pace: 20, fromFirst: 0.1 } },
    ],
  },
  "firewall": {
    mix: { spans: [100n * second] },
    variants: [
      { name: "small", sizes: { flows: 16 } },
      // So few flows that the same come back.
      { name: "narrow", sizes: { flows: 64 }, mix: { clients: clients.slice(0, 3), servers: servers.slice(0, 2), clientPorts: 3, serverPorts: [80, 443], parts: { echo: 80 } } },
    ],
  },
  "nat": {
    mix: { spans: [100n * second], clients: clients.slice(0, 12), servers: [server0, server0, server0, server1], serverPorts: [80, 80, 80, 53], fromFirst: 0.9, flows: 12, parts: { mapped: 700, sums: 60 } },
    variants: [nat(0, 0), nat(1, 1000), nat(2, 65_520)],
  },
  "connection-limiter": {
    mix: { spans: [second, 10n * second], fromFirst: 0.15, parts: { crowd: 4, lapse: 8 } },
    variants: [limiter(false), limiter(true)],
  },
  "port-scan-detector": {
    mix: { spans: [second], clients, fromFirst: 0.15, parts: { scan: 5 }, flows: 30 },
    variants: [
      { name: "few ports", set: { max_ports: "4", capacity: "8" }, sizes: { ...table("sources", 8), touched: 8 } },
      { name: "most ports", set: { max_ports: "64", capacity: "8" }, sizes: { ...tight("sources", 8), touched: 8 }, mix: { burst: 80 } },
    ],
  },
  "hhh": {
    mix: { fromFirst: 0.15, clients, parts: { near: 60 } },
    variants: [
      { name: "default levels", set: { burst: "3000", capacity: "16" }, sizes: table("sources", 16), mix: { spans: [4_800_000n, 400_000n] } },
      { name: "long prefixes", set: { burst: "3000", capacity: "24", levels: String(0xa880_0000), link_rate: "100000000" }, sizes: tight("sources", 24), mix: { spans: [480_000n, 40_000n] } },
      { name: "all levels", slow: true, set: { burst: "3000", capacity: "90", levels: String(0xffff_ffff), link_rate: "100000000" }, sizes: table("sources", 90), mix: { spans: [480_000n, 40_000n] } },
    ],
  },
  "load-balancer": {
    mix: { spans: [100n * second], clients, servers: servers.slice(0, 3), fromFirst: 0.04, backends, flows: 30, parts: { heartbeat: 60, odd: 80, lapse: 5 } },
    variants: [
      { name: "height 97", set: { flow_capacity: "16", backend_capacity: "4" }, sizes: { ...table("flows", 16), ...table("backends", 4), slots: 4 } },
      { name: "height 7", set: { flow_capacity: "24", backend_capacity: "6", height: "7" }, sizes: { ...tight("flows", 24), ...table("backends", 6), slots: 6 } },
    ],
  },
  "allow": {
    mix: { clients: [client0, client1, 7], servers: [server0, server1], serverPorts: [80, 443, 1024, 1025], flows: 60, fromFirst: 0.5 },
    variants: [{ name: "default", sizes: { allowed: 256 }, contents: { allowed } }],
  },
  "proxy": {
    mix: { fromFirst: 0.3 },
    variants: [{ name: "default", contents: { services } }],
  },
  "hash-lb": {
    mix: { spans: [100n * second], fromFirst: 0.15, clients, servers: servers.slice(0, 4), flows: 30 },
    variants: [
      { name: "default", set: { capacity: "16" }, sizes: table("flows", 16), contents: { backends: backendSlots } },
      { name: "tight", set: { capacity: "16" }, sizes: tight("flows", 16), contents: { backends: backendSlots } },
    ],
  },
  "ctrnat": {
    mix: { clients: clients.slice(0, 12), servers: servers.slice(0, 2), serverPorts: [80, 53], fromFirst: 0.9, flows: 12, parts: { mapped: 700 } },
    variants: [ctrnat(65_000), ctrnat(65_520)],
  },
  "wan-dedup": {
    mix: { spans: [100_000_000n], clients: clients.slice(0, 2), servers: servers.slice(0, 1), clientPorts: 2, serverPorts: [80, 443], flows: 5, payloads: ["abcdefgh", "abcdefgi", "abcdefghijkl", "", "a", "abc"].map(text), parts: { payload: 300 } },
    variants: [
      { name: "small", set: { capacity: "12" }, sizes: table("payloads", 12) },
      { name: "tight", set: { capacity: "12" }, sizes: tight("payloads", 12) },
    ],
  },
  // Without ports.
  "source-counter": { mix: {}, variants: [{ name: "small", sizes: { sources: 16 } }] },
  "flow-counter": { mix: {}, variants: [{ name: "small", sizes: { flows: 16 } }] },
  "ids": {
    mix: { payloads: attacks.map(text), parts: { payload: 800 } },
    variants: [["64", 0], ["16", 1], ["128", 2], ["64", 3]].map(([depth, from]) => ({
      name: `depth ${depth}, ${from}`, slow: true, set: { depth: String(depth) }, contents: { signatures: signatureCells(Number(from)) },
    })),
  },
  "r3": { mix: {}, variants: [{ name: "small", sizes: { sources: 16, destinations: 16 } }] },
  "gcount": { mix: {}, variants: [{ name: "small", sizes: { sources: 16 } }] },
  "arr": { mix: {}, variants: [{ name: "default" }] },
  "ddos-mitigator": { mix: { clients }, variants: modes({ sizes: { sources: 16 }, contents: { sources: listed } }) },
  "heavy-hitter": { mix: { clients }, variants: modes({ sizes: { flows: 16 } }) },
  "token-bucket": { mix: { clients, pace: 600, spans: [1024n, 16_384n, 1n << 42n] }, variants: modes({ sizes: { flows: 24 } }) },
  "port-knock": { mix: { clients, parts: { knock: 60 } }, variants: modes({ sizes: { sources: 16 } }) },
  "conntrack": { mix: { spans: [second], parts: { talk: 60 } }, variants: modes({ sizes: { connections: 48 } }) },
};
