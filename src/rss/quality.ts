/**
 * How well a key spreads traffic: the load of the busiest core over the mean.
 *
 * Exact in the limit of many flows, since the index is linear: traffic with some
 * input bits free and the others fixed reaches one coset of the span of the free
 * bits' windows, each entry equally often. Three kinds (IPv4; IPv6 in brackets):
 *
 *   uniform  all input bits free
 *   one8     both addresses in 10/8 [2001:db8::/32], all else free
 *   one16    clients in 10.1/16 [a /48] with free ports, 1,000 drawn servers with
 *            port 443; the worse of clients as sources and clients as destinations
 *
 * Not in it: the noise of few flows, flows of different sizes.
 */
import { Random } from "../base/index.ts";
import { reduce, span, spanBasis } from "./gf2.ts";
import {
  inputLength,
  type HashFields,
  type PacketClass,
} from "./packet-class.ts";
import type { IndirectionTable } from "./table.ts";
import { keyWindow } from "./toeplitz.ts";

export interface Imbalance {
  readonly uniform: number;
  readonly one8: number;
  readonly one16: number;
}

/** The windows of a class's input, cut to the index. */
export interface HashView {
  readonly class: PacketClass;
  readonly fields: HashFields;
  /** Low `tableBits` bits of each input bit's window. */
  readonly windows: readonly number[];
}

export function hashView(
  key: Uint8Array,
  name: PacketClass,
  fields: HashFields,
  tableBits: number,
): HashView {
  const mask = 2 ** tableBits - 1;
  const length = inputLength(name, fields);
  const windows: number[] = [];
  // Each window is the one before it, moved on by one bit of the key.
  let window = keyWindow(key, 0);
  for (let at = 0; at < length; at++) {
    windows.push(window & mask);
    const next = at + 32;
    const bit = ((key[next >>> 3] ?? 0) >>> (7 - (next & 7))) & 1;
    window = (window << 1) | bit;
  }
  return { class: name, fields, windows };
}

/** 2 to the rank is the number of reachable entries. */
export function rankOf(view: HashView): number {
  return spanBasis(view.windows).length;
}

export function imbalanceOf(
  view: HashView,
  table: IndirectionTable,
  cores: number,
): Imbalance {
  return imbalanceUnder(spreadOf(view, table.entries.length), table, cores);
}

/** How often each table entry is met, per kind of traffic. */
export type Spread = Readonly<Record<keyof typeof traffics, Hits>>;

export function spreadOf(view: HashView, entries: number): Spread {
  const of = (traffic: Traffic): Hits => hitsOf(view, traffic, entries);
  return {
    uniform: of(traffics.uniform),
    one8: of(traffics.one8),
    clientsAreSources: of(traffics.clientsAreSources),
    clientsAreDestinations: of(traffics.clientsAreDestinations),
  };
}

export function imbalanceUnder(
  spread: Spread,
  table: IndirectionTable,
  cores: number,
): Imbalance {
  const load = (hits: Hits): number => busiest(hits, table, cores);
  return {
    uniform: load(spread.uniform),
    one8: load(spread.one8),
    one16: Math.max(
      load(spread.clientsAreSources),
      load(spread.clientsAreDestinations),
    ),
  };
}

/** What traffic does to one field: how many leading bits it fixes, or servers. */
type Shape = "free" | "prefix8" | "prefix16" | "server" | "https";

/** A shape per hash field, s d f n. */
export type Traffic = readonly [Shape, Shape, Shape, Shape];

// prettier-ignore
export const traffics = {
  uniform:                ["free",     "free",     "free",  "free"],
  one8:                   ["prefix8",  "prefix8",  "free",  "free"],
  clientsAreSources:      ["prefix16", "server",   "free",  "https"],
  clientsAreDestinations: ["server",   "prefix16", "https", "free"],
} as const satisfies Record<string, Traffic>;

export const trafficNames = [
  "uniform",
  "one8",
  "clientsAreSources",
  "clientsAreDestinations",
] as const;

const serverCount = 1000;
let servers4: readonly Uint8Array[] | undefined;
let servers6: readonly Uint8Array[] | undefined;

/** The input bits under the traffic: free positions, ones, and server bits. */
export interface Split {
  readonly free: readonly number[];
  readonly ones: readonly number[];
  readonly server: readonly number[];
}

export function split(
  name: PacketClass,
  fields: HashFields,
  traffic: Traffic,
): Split {
  const family = name.endsWith("6") ? splits6 : splits4;
  const ofTraffic = family.get(traffic) ?? new Map<HashFields, Split>();
  family.set(traffic, ofTraffic);
  const known = ofTraffic.get(fields) ?? newSplit(name, fields, traffic);
  ofTraffic.set(fields, known);
  return known;
}

// As many as kinds of traffic times field sets; never more.
const splits4 = new Map<Traffic, Map<HashFields, Split>>();
const splits6 = new Map<Traffic, Map<HashFields, Split>>();

function newSplit(
  name: PacketClass,
  fields: HashFields,
  traffic: Traffic,
): Split {
  const six = name.endsWith("6");
  const width = six ? 128 : 32;
  const free: number[] = [];
  const ones: number[] = [];
  const server: number[] = [];
  let at = 0;
  for (const [index, letter] of ["s", "d", "f", "n"].entries()) {
    if (!fields.includes(letter)) continue;
    const shape = traffic[index] ?? "free";
    const size = index < 2 ? width : 16;
    const fixed = fixedPrefix(shape, six);
    for (let bit = 0; bit < size; bit++)
      if (shape === "server") server.push(at + bit);
      else if (bit >= fixed.length) free.push(at + bit);
      else if (fixed[bit] === "1") ones.push(at + bit);
    at += size;
  }
  return { free, ones, server };
}

function fixedPrefix(shape: Shape, six: boolean): string {
  const binary = (value: bigint, bits: number): string =>
    value.toString(2).padStart(bits, "0");
  switch (shape) {
    case "free":
    case "server":
      return "";
    case "prefix8":
      return six ? binary(0x20010db8n, 32) : binary(10n, 8);
    case "prefix16":
      return six ? binary(0x20010db80001n, 48) : binary(0x0a01n, 16);
    case "https":
      return binary(443n, 16);
  }
}

/** Hits per table entry; "even": all entries alike. */
type Hits = Int32Array | "even";

/** Load of the busiest core over the mean. */
export function busiest(
  hits: Hits,
  table: IndirectionTable,
  cores: number,
): number {
  if (hits === "even") return table.evenness;
  const loads = new Float64Array(cores);
  let total = 0;
  for (let entry = 0; entry < hits.length; entry++) {
    const count = hits[entry] ?? 0;
    const queue = table.entries[entry] ?? 0;
    loads[queue] = (loads[queue] ?? 0) + count;
    total += count;
  }
  return (Math.max(...loads) * cores) / total;
}

/** How often each entry is met under one kind of traffic. */
export function hitsOf(
  view: HashView,
  traffic: Traffic,
  entries: number,
): Hits {
  const { windows } = view;
  const { free, ones, server } = split(view.class, view.fields, traffic);
  const basis = spanBasis(
    free.map((at) => windows[at] ?? 0),
    Math.log2(entries),
  );
  // Wherever the cosets start, they are the whole table.
  if (2 ** basis.length === entries) return "even";
  const offset = ones.reduce((sum, at) => sum ^ (windows[at] ?? 0), 0);
  const cosets = new Int32Array(entries);
  const serverWindows = server.map((at) => windows[at] ?? 0);
  if (serverWindows.every((window) => window === 0))
    cosets[reduce(offset, basis)] = 1;
  else {
    const met = new Int32Array(entries);
    for (const index of serverIndices(serverWindows))
      met[offset ^ index] = (met[offset ^ index] ?? 0) + 1;
    for (let entry = 0; entry < entries; entry++) {
      const count = met[entry] ?? 0;
      if (count === 0) continue;
      const coset = reduce(entry, basis);
      cosets[coset] = (cosets[coset] ?? 0) + count;
    }
  }
  if (basis.length === 0) return cosets;
  const hits = new Int32Array(entries);
  const members = span(basis);
  for (let coset = 0; coset < entries; coset++) {
    const count = cosets[coset] ?? 0;
    if (count === 0) continue;
    for (const member of members) {
      const entry = coset ^ member;
      hits[entry] = (hits[entry] ?? 0) + count;
    }
  }
  return hits;
}

/** The servers' contribution to the index, one number per server. */
function serverIndices(windows: readonly number[]): Int32Array {
  const indices = new Int32Array(serverCount);
  const table = new Int32Array(256);
  const columns =
    windows.length > 32
      ? (servers6 ??= drawServers(16))
      : (servers4 ??= drawServers(4));
  for (const [at, column] of columns.entries()) {
    if (windows.slice(8 * at, 8 * at + 8).every((window) => window === 0))
      continue;
    for (let bit = 0; bit < 8; bit++) {
      const window = windows[8 * at + 7 - bit] ?? 0;
      const size = 1 << bit;
      for (let low = 0; low < size; low++)
        table[size + low] = (table[low] ?? 0) ^ window;
    }
    for (let server = 0; server < serverCount; server++)
      indices[server] =
        (indices[server] ?? 0) ^ (table[column[server] ?? 0] ?? 0);
  }
  return indices;
}

/** Byte by byte of the address, one array over all servers each. */
function drawServers(bytes: number): readonly Uint8Array[] {
  const random = new Random(443);
  return Array.from({ length: bytes }, () => random.bytes(serverCount));
}
