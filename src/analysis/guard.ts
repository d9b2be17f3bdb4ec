/**
 * The guard of an access: on which packets and ports it can happen, as far as the
 * facts of the paths to it say. Joining guards, like joining facts, only forgets.
 */
import type { Facts } from "./facts.ts";
import { ignoresHeaderLength, layoutOf, type Layout } from "./layout.ts";
import type { AccessGuard } from "./report.ts";
import type { State } from "./state.ts";
import type { Form, Symbols } from "./symbols.ts";

export function guardOf(
  raw: readonly Form[] | undefined,
  known: { readonly facts: Facts; readonly bounds: State["bounds"] },
  symbols: Symbols,
): AccessGuard {
  const { facts, bounds } = known;
  const layout = layoutOf(facts, symbols);
  const ignoring = (raw ?? []).some((form) =>
    symbols
      .atoms(form)
      .some((atom) => ignoresHeaderLength(atom, layout, symbols)),
  );
  const guard = {
    ...(layout.ifindex === undefined ? {} : { ifindex: layout.ifindex }),
    ...(layout.notIfindex.length === 0
      ? {}
      : { notIfindex: layout.notIfindex }),
    ...(layout.etherTypes === undefined
      ? {}
      : { etherTypes: layout.etherTypes }),
    ...(layout.tags === 0 ? {} : { tags: layout.tags }),
    ...(layout.protocols === undefined ? {} : { protocols: layout.protocols }),
    unfragmented: layout.unfragmented,
    ipHeaderHonoured: !ignoring,
    wellFormed: isWellFormed(layout, bounds),
    portsPresent: arePortsPresent(layout, bounds),
  };
  return { ...guard, text: guardText(guard) };
}

function isWellFormed(layout: Layout, bounds: State["bounds"]): boolean {
  return layout.l3?.kind === "ipv6"
    ? reaches(layout, bounds, 40)
    : layout.wellFormed && reaches(layout, bounds, 20);
}

function reaches(
  { l3 }: Layout,
  bounds: State["bounds"],
  bytes: number,
): boolean {
  return l3 !== undefined && (bounds.get(0) ?? 0) >= l3.at + bytes;
}

function arePortsPresent(layout: Layout, bounds: State["bounds"]): boolean {
  const { l3 } = layout;
  if (l3 === undefined) return false;
  if (l3.kind === "ipv6") return reaches(layout, bounds, 44);
  return (
    (bounds.get(l3.at) ?? 0) >= 4 ||
    reaches(layout, bounds, layout.plainHeader ? 24 : 64)
  );
}

/** What holds on both paths. */
export function joinGuards(left: AccessGuard, right: AccessGuard): AccessGuard {
  const notIfindex = excludedByBoth(left, right);
  const ifindex = union(left.ifindex, right.ifindex);
  const etherTypes = union(left.etherTypes, right.etherTypes);
  const protocols = union(left.protocols, right.protocols);
  const tags = Math.max(left.tags ?? 0, right.tags ?? 0);
  const guard = {
    ...(ifindex === undefined ? {} : { ifindex }),
    ...(notIfindex.length === 0 ? {} : { notIfindex }),
    ...(etherTypes === undefined ? {} : { etherTypes }),
    ...(tags === 0 ? {} : { tags }),
    ...(protocols === undefined ? {} : { protocols }),
    unfragmented: left.unfragmented && right.unfragmented,
    ipHeaderHonoured: left.ipHeaderHonoured && right.ipHeaderHonoured,
    wellFormed: left.wellFormed === true && right.wellFormed === true,
    portsPresent: left.portsPresent === true && right.portsPresent === true,
  };
  return { ...guard, text: guardText(guard) };
}

function union(
  left: readonly number[] | undefined,
  right: readonly number[] | undefined,
): readonly number[] | undefined {
  if (left === undefined || right === undefined) return undefined;
  return [...new Set([...left, ...right])].sort((x, y) => x - y);
}

function excludedByBoth(
  left: AccessGuard,
  right: AccessGuard,
): readonly number[] {
  const isOut = ({ ifindex, notIfindex }: AccessGuard, value: number) =>
    ifindex === undefined
      ? notIfindex?.includes(value) === true
      : !ifindex.includes(value);
  const both = [...(left.notIfindex ?? []), ...(right.notIfindex ?? [])];
  return [...new Set(both)]
    .filter((value) => isOut(left, value) && isOut(right, value))
    .sort((a, b) => a - b);
}

const protocolNames: Readonly<Record<number, string>> = {
  1: "ICMP",
  6: "TCP",
  17: "UDP",
  58: "ICMPv6",
};
const etherTypeNames: Readonly<Record<number, string>> = {
  0x0800: "IPv4",
  0x0806: "ARP",
  0x86dd: "IPv6",
};

function guardText(guard: Omit<AccessGuard, "text">): string {
  const parts: string[] = [];
  if (guard.ifindex !== undefined)
    parts.push(`ifindex ${guard.ifindex.join(" or ")}`);
  if (guard.notIfindex !== undefined)
    parts.push(`ifindex not ${guard.notIfindex.join(", ")}`);
  if (guard.etherTypes !== undefined)
    parts.push(
      guard.etherTypes
        .map((type) => etherTypeNames[type] ?? `0x${type.toString(16)}`)
        .join(" or "),
    );
  if (guard.protocols !== undefined)
    parts.push(
      guard.protocols
        .map((protocol) => protocolNames[protocol] ?? `protocol ${protocol}`)
        .join(" or "),
    );
  if (guard.tags !== undefined)
    parts.push(`${guard.tags} VLAN ${guard.tags === 1 ? "tag" : "tags"}`);
  if (guard.unfragmented) parts.push("no fragment");
  return parts.length === 0 ? "any packet" : parts.join(", ");
}
