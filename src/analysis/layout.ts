/**
 * From frame bytes to header fields: where the facts of a path imply the layout,
 * an atom is a bit of a field that a NIC's parser would also find.
 *
 *   bytes 12, 13 (behind VLAN tags: 16, 17 or 20, 21) say 0x0800
 *       -> the 20 bytes that follow are ipv4.*
 *   and its protocol is TCP or UDP, and MF and fragment offset are 0
 *       -> base + 4 * IHL + 0 … 3 are l4.sport and l4.dport; so are the bytes
 *          behind a header whose IHL is known to be 5
 *   0x86dd, and the next header is TCP or UDP
 *       -> ipv6.*, and the ports behind its 40 bytes
 *   and behind them a tunnel -> what is in it (tunnel-layout.ts)
 *
 * Assumed, and said in every plan: a frame whose EtherType says IPv4 has a whole
 * header of version 4 with IHL >= 5 (NICs hash other frames as not IP).
 * Law: without the facts an atom is payload, which no NIC can hash.
 */
import {
  fields,
  type FieldBit,
  type FieldName,
  type Layer,
} from "../packet/index.ts";
import { excludedOf, valuesOf, type Facts } from "./facts.ts";
import type { OpaqueReason } from "./report.ts";
import type { AtomId, Form, Symbols } from "./symbols.ts";
import { tunnelLayout, type TunnelLayout } from "./tunnel-layout.ts";

export interface Layout {
  /** Where the network header starts, and what it is; undefined: not known. */
  readonly l3:
    { readonly kind: "ipv4" | "ipv6"; readonly at: number } | undefined;
  /** EtherTypes behind the VLAN tags, host order. */
  readonly etherTypes: readonly number[] | undefined;
  readonly protocols: readonly number[] | undefined;
  readonly unfragmented: boolean;
  /** The IPv4 header is known to have no options. */
  readonly plainHeader: boolean;
  /** It is known to have at least 5 words. */
  readonly wellFormed: boolean;
  readonly ifindex: readonly number[] | undefined;
  readonly notIfindex: readonly number[];
  /** VLAN tags that are known to be there. */
  readonly tags: number;
  /** Behind the transport, where a tunnel is known to be. */
  readonly tunnel: TunnelLayout | undefined;
}

const IPV4 = 0x0800;
const IPV6 = 0x86dd;
const TAGS: readonly number[] = [0x8100, 0x88a8];
const WITH_PORTS: readonly number[] = [6, 17];

/** What the facts say about the headers; worked out once per set of facts. */
export function layoutOf(facts: Facts, symbols: Symbols): Layout {
  let known = layouts.get(symbols);
  if (known === undefined) layouts.set(symbols, (known = new WeakMap()));
  let layout = known.get(facts);
  if (layout === undefined)
    known.set(facts, (layout = freshLayout(facts, symbols)));
  return layout;
}

// Facts name atoms, which mean something in one table of symbols only.
const layouts = new WeakMap<Symbols, WeakMap<Facts, Layout>>();

function freshLayout(facts: Facts, symbols: Symbols): Layout {
  const ask = (byte: number, mask: readonly number[]) =>
    maskedValues(facts, { byte, mask }, symbols);
  let at = 12;
  let etherTypes = ask(at, [0xff, 0xff]);
  while (at < 20 && etherTypes?.every((type) => TAGS.includes(type)) === true) {
    at += 4;
    etherTypes = ask(at, [0xff, 0xff]);
  }
  // Some tagged and some not: nothing is at a known place.
  if (etherTypes?.some((type) => TAGS.includes(type)) === true)
    etherTypes = undefined;
  const start = at + 2;
  const tags = (at - 12) / 4;
  const only = etherTypes?.length === 1 ? etherTypes[0] : undefined;
  const l3 =
    only === IPV4
      ? ({ kind: "ipv4", at: start } as const)
      : only === IPV6
        ? ({ kind: "ipv6", at: start } as const)
        : undefined;
  const protocols =
    l3 && ask(l3.kind === "ipv4" ? start + 9 : start + 6, [0xff]);
  const ihl = ask(start, [0x0f]);
  const fragment = ask(start + 6, [0x3f, 0xff]);
  const port = inputValues(facts, "ifindex", symbols);
  const plainHeader =
    l3?.kind === "ipv4" && ihl?.every((value) => value === 5) === true;
  const isWhole = fragment?.every((value) => value === 0) === true;
  const protocol = protocols?.length === 1 ? protocols[0] : undefined;
  const isReached = l3?.kind === "ipv6" || (plainHeader && isWhole);
  return {
    tags,
    tunnel:
      protocol === undefined || !isReached
        ? undefined
        : tunnelLayout(protocol, start + (l3?.kind === "ipv6" ? 40 : 20), ask),
    l3,
    etherTypes,
    protocols,
    unfragmented:
      l3?.kind === "ipv4" ? isWhole : l3?.kind === "ipv6" && isPorts(protocols),
    plainHeader,
    wellFormed: ihl?.every((value) => value >= 5) === true,
    ifindex: port.in,
    notIfindex: port.not,
  };
}

/** The field bit that a packet atom is, or why it is none. */
export function fieldOf(
  id: AtomId,
  layout: Layout,
  symbols: Symbols,
): FieldBit | OpaqueReason {
  const atom = symbols.atom(id);
  if (atom.space !== "packet") return { kind: "environment", what: atom.space };
  const { l3 } = layout;
  const hasPorts = layout.unfragmented && isPorts(layout.protocols);
  if (atom.base !== 0) {
    const text = `byte ${atom.byte} behind the header at byte ${atom.base}`;
    const inner =
      layout.tunnel?.base === atom.base
        ? find("inner-l4", 8 * atom.byte + atom.bit)
        : undefined;
    if (inner !== undefined) return inner;
    if (l3?.kind !== "ipv4" || l3.at !== atom.base)
      return payload(`${text}, which is not known to be IPv4`);
    if (!hasPorts) return payload(`${text}, ${lacking(layout)}`);
    return l4Field(layout, 8 * atom.byte + atom.bit) ?? payload(text);
  }
  const text = `byte ${atom.byte} of the frame`;
  if (atom.byte < 12)
    return find("eth", 8 * atom.byte + atom.bit) ?? payload(text);
  if (atom.byte < 14)
    return layout.etherTypes === undefined
      ? payload(text)
      : (find("eth", 8 * atom.byte + atom.bit) ?? payload(text));
  const tunnelled = tunnelField(atom, layout);
  if (tunnelled !== undefined) return tunnelled;
  const start = l3?.at ?? 14 + 4 * layout.tags;
  if (atom.byte < start) {
    const bit = 8 * (atom.byte - 14) + atom.bit;
    return (
      (bit < 32 ? find("vlan", bit) : find("vlan2", bit - 32)) ?? payload(text)
    );
  }
  if (l3 === undefined) return payload(`${text}, with no EtherType known`);
  const bit = 8 * (atom.byte - start) + atom.bit;
  const length = l3.kind === "ipv4" ? 160 : 320;
  if (bit < length) return find(l3.kind, bit) ?? payload(text);
  if (l3.kind === "ipv4" && !layout.plainHeader)
    return payload(`${text}, which are options if the IPv4 header has any`);
  if (!hasPorts) return payload(`${text}, ${lacking(layout)}`);
  return l4Field(layout, bit - length) ?? payload(text);
}

/** The bit of a tunnel's header, or of one inside. */
function tunnelField(
  { byte, bit }: { readonly byte: number; readonly bit: number },
  { tunnel }: Layout,
): FieldBit | undefined {
  const header = tunnel?.headers.find(
    ({ at, bytes }) => byte >= at && byte < at + bytes,
  );
  return header === undefined
    ? undefined
    : find(header.layer, 8 * (byte - header.at) + bit);
}

export const isFieldBit = (found: FieldBit | OpaqueReason): found is FieldBit =>
  "field" in found;

/** Is this atom behind an IPv4 header without regard to its length? */
export function ignoresHeaderLength(
  id: AtomId,
  layout: Layout,
  symbols: Symbols,
): boolean {
  const atom = symbols.atom(id);
  return (
    atom.space === "packet" &&
    atom.base === 0 &&
    layout.l3?.kind === "ipv4" &&
    atom.byte >= layout.l3.at + 20 &&
    !layout.plainHeader
  );
}

const isPorts = (protocols: readonly number[] | undefined): boolean =>
  protocols?.every((protocol) => WITH_PORTS.includes(protocol)) === true;

const payload = (text: string): OpaqueReason => ({ kind: "payload", text });

function lacking(layout: Layout): string {
  if (!isPorts(layout.protocols)) return "with no test for TCP or UDP";
  return "which a fragment may not have";
}

// Per layer and bit, the narrowest field that covers it.
const byBit = new Map<Layer, FieldBit[]>();
for (const [name, row] of Object.entries(fields)) {
  const bits = byBit.get(row.layer) ?? [];
  byBit.set(row.layer, bits);
  for (let bit = 0; bit < row.bits; bit++) {
    const known = bits[row.bit + bit];
    if (known === undefined || fields[known.field].bits > row.bits)
      bits[row.bit + bit] = { field: name as FieldName, bit };
  }
}

function find(layer: Layer, bit: number): FieldBit | undefined {
  return byBit.get(layer)?.[bit];
}

function l4Field(layout: Layout, bit: number): FieldBit | undefined {
  if (bit < 32) return find("l4", bit);
  const only = layout.protocols?.length === 1 ? layout.protocols[0] : undefined;
  if (only === 6) return find("tcp", bit);
  if (only === 17) return find("udp", bit);
  return undefined;
}

/** Values of masked bytes of the frame as one big-endian number of the masked bits. */
function maskedValues(
  facts: Facts,
  where: { readonly byte: number; readonly mask: readonly number[] },
  symbols: Symbols,
): readonly number[] | undefined {
  const group = groupOf(symbols, `${where.byte} ${where.mask.join()}`, () => {
    const bits = 8 * where.mask.length;
    return Array.from({ length: bits }, (_, index) => ({
      form: symbols.input("packet", 0, where.byte + (index >> 3), index & 7),
      weight: 2 ** (bits - 1 - index),
    })).filter(
      (_, index) =>
        (((where.mask[index >> 3] ?? 0) >> (7 - (index & 7))) & 1) === 1,
    );
  });
  return weighted(facts, group).in;
}

/** Values of a 32-bit word of the environment. */
function inputValues(
  facts: Facts,
  space: "ifindex",
  symbols: Symbols,
): { in: readonly number[] | undefined; not: readonly number[] } {
  const group = groupOf(symbols, space, () =>
    Array.from({ length: 32 }, (_, index) => ({
      form: symbols.input(space, 0, index >> 3, 7 - (index & 7)),
      weight: 2 ** index,
    })),
  );
  return weighted(facts, group);
}

/** Atoms in ascending order, and what each bit of a value weighs. */
interface Group {
  readonly ids: readonly AtomId[];
  readonly weights: readonly number[];
}

/** The groups that are asked for again and again, once per table of symbols. */
const groups = new WeakMap<Symbols, Map<string, Group>>();

function groupOf(
  symbols: Symbols,
  name: string,
  members: () => readonly { readonly form: Form; readonly weight: number }[],
): Group {
  let known = groups.get(symbols);
  if (known === undefined) groups.set(symbols, (known = new Map()));
  let group = known.get(name);
  if (group === undefined) {
    const sorted = members()
      .flatMap(({ form, weight }) => {
        const id = symbols.single(form);
        return id === undefined ? [] : [{ id, weight }];
      })
      .sort((a, b) => a.id - b.id);
    group = {
      ids: sorted.map(({ id }) => id),
      weights: sorted.map(({ weight }) => weight),
    };
    known.set(name, group);
  }
  return group;
}

function weighted(
  facts: Facts,
  { ids, weights }: Group,
): { in: readonly number[] | undefined; not: readonly number[] } {
  const weigh = (code: number) =>
    weights.reduce(
      (sum, weight, index) =>
        Math.floor(code / 2 ** index) % 2 === 1 ? sum + weight : sum,
      0,
    );
  return {
    in: valuesOf(facts, ids)
      ?.map(weigh)
      .sort((a, b) => a - b),
    not: excludedOf(facts, ids)
      .map(weigh)
      .sort((a, b) => a - b),
  };
}
