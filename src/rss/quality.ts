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
  hashInput,
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
  const windows = hashInput(name, fields).map(
    (_, at) => keyWindow(key, at) & mask,
  );
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
  const load = (traffic: Traffic): number =>
    busiest(view, traffic, table, cores);
  return {
    uniform: load(uniform),
    one8: load(one8),
    one16: Math.max(load(clientsAreSources), load(clientsAreDestinations)),
  };
}

/** What traffic does to one field: how many leading bits it fixes, or servers. */
type Shape = "free" | "prefix8" | "prefix16" | "server" | "https";

/** A shape per hash field, s d f n. */
export type Traffic = readonly [Shape, Shape, Shape, Shape];

const uniform: Traffic = ["free", "free", "free", "free"];
const one8: Traffic = ["prefix8", "prefix8", "free", "free"];
// prettier-ignore
export const clientsAreSources: Traffic = ["prefix16", "server", "free", "https"];
// prettier-ignore
export const clientsAreDestinations: Traffic = ["server", "prefix16", "https", "free"];

const serverCount = 1000;
const servers4 = drawServers(1);
const servers6 = drawServers(4);

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

function busiest(
  view: HashView,
  traffic: Traffic,
  table: IndirectionTable,
  cores: number,
): number {
  const { windows } = view;
  const { free, ones, server } = split(view.class, view.fields, traffic);
  const basis = spanBasis(free.map((at) => windows[at] ?? 0));
  const offset = ones.reduce((sum, at) => sum ^ (windows[at] ?? 0), 0);
  const cosets = new Map<number, number>();
  const meet = (index: number): void => {
    const coset = reduce(index, basis);
    cosets.set(coset, (cosets.get(coset) ?? 0) + 1);
  };
  if (2 ** basis.length === table.entries.length || server.length === 0)
    meet(offset);
  else
    for (const index of serverIndices(server.map((at) => windows[at] ?? 0)))
      meet(offset ^ index);
  const loads = Array.from({ length: cores }, () => 0);
  let total = 0;
  const members = span(basis);
  for (const [coset, count] of cosets)
    for (const member of members) {
      const queue = table.entries[coset ^ member] ?? 0;
      loads[queue] = (loads[queue] ?? 0) + count;
      total += count;
    }
  return (Math.max(...loads) * cores) / total;
}

/** The servers' contribution to the index, one number per server. */
function serverIndices(windows: readonly number[]): readonly number[] {
  const words = windows.length > 32 ? servers6 : servers4;
  // One lookup per byte, like ToeplitzTable.
  const bytes = windows.length / 8;
  const table = new Int32Array(256 * bytes);
  for (const [at, window] of windows.entries())
    for (let byte = 0; byte < 256; byte++)
      if (((byte << (at & 7)) & 0x80) !== 0) {
        const entry = 256 * (at >>> 3) + byte;
        table[entry] = (table[entry] ?? 0) ^ window;
      }
  return words.map((address) => {
    let index = 0;
    for (let at = 0; at < bytes; at++)
      index ^= table[256 * at + (address[at] ?? 0)] ?? 0;
    return index;
  });
}

function drawServers(words: number): readonly Uint8Array[] {
  const random = new Random(443);
  return Array.from({ length: serverCount }, () => random.bytes(4 * words));
}
