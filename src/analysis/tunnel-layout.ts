/**
 * The packet inside a tunnel, where the facts of a path imply it: as packet's parser
 * finds it, as far as every word that the parser looks at is known.
 *
 *   UDP to 4789, I flag           VXLAN    Ethernet 8 bytes behind the UDP header
 *   UDP to 2152, flags 0x30, 255  GTP-U    IP 8 bytes behind it, by the version
 *   GRE, no flags or a key only   GRE      Ethernet or IP behind 4 or 8 bytes
 *   protocol 4, 41                IP in IP
 *
 * No NIC of ours looks so far: what is found here is for dispatching in software.
 */
import type { Layer } from "../packet/index.ts";

/** Values of masked bytes of the frame, if the facts name them. */
export type Ask = (
  byte: number,
  mask: readonly number[],
) => readonly number[] | undefined;

/** Where a header of some layer is, and how long it is known to be. */
export interface PlacedHeader {
  readonly layer: Layer;
  readonly at: number;
  readonly bytes: number;
}

export interface TunnelLayout {
  readonly headers: readonly PlacedHeader[];
  /** IPv4 header whose transport stands where its own length says. */
  readonly base?: number;
}

const PORTS: readonly number[] = [6, 17];

/** `at`: of the outer transport, which is there; `protocol`: what it is. */
export function tunnelLayout(
  protocol: number,
  at: number,
  ask: Ask,
): TunnelLayout | undefined {
  switch (protocol) {
    case 4:
      return network(at, 4, ask);
    case 41:
      return network(at, 6, ask);
    case 17:
      return behindUdp(at, ask);
    case 47:
      return behindGre(at, ask);
    default:
      return undefined;
  }
}

const only = (values: readonly number[] | undefined): number | undefined =>
  values?.length === 1 ? values[0] : undefined;

function behindUdp(at: number, ask: Ask): TunnelLayout | undefined {
  const port = only(ask(at + 2, [0xff, 0xff]));
  if (port === 4789 && only(ask(at + 8, [0x08])) === 8)
    return joined(
      { layer: "vxlan", at: at + 8, bytes: 8 },
      ethernet(at + 16, ask),
    );
  const isData =
    only(ask(at + 8, [0xff])) === 0x30 && only(ask(at + 9, [0xff])) === 255;
  if (port !== 2152 || !isData) return undefined;
  const version = only(ask(at + 16, [0xf0]));
  return joined(
    { layer: "gtp", at: at + 8, bytes: 8 },
    version === 0x40
      ? network(at + 16, 4, ask)
      : version === 0x60
        ? network(at + 16, 6, ask)
        : { headers: [] },
  );
}

function behindGre(at: number, ask: Ask): TunnelLayout | undefined {
  const flags = only(ask(at, [0xff, 0xff]));
  if (flags !== 0 && flags !== 0x2000) return undefined;
  const size = flags === 0 ? 4 : 8;
  const type = only(ask(at + 2, [0xff, 0xff]));
  const rest = innerOfType(type, at + size, ask);
  const header = joined({ layer: "gre", at, bytes: 4 }, rest);
  return flags === 0
    ? header
    : joined({ layer: "gre-key", at: at + 4, bytes: 4 }, header);
}

function innerOfType(
  type: number | undefined,
  at: number,
  ask: Ask,
): TunnelLayout {
  if (type === 0x6558) return ethernet(at, ask);
  if (type === 0x0800) return network(at, 4, ask);
  return type === 0x86dd ? network(at, 6, ask) : { headers: [] };
}

function ethernet(at: number, ask: Ask): TunnelLayout {
  const type = only(ask(at + 12, [0xff, 0xff]));
  return joined(
    { layer: "inner-eth", at, bytes: 14 },
    innerOfType(type === 0x6558 ? undefined : type, at + 14, ask),
  );
}

function network(at: number, version: 4 | 6, ask: Ask): TunnelLayout {
  const header: PlacedHeader =
    version === 4
      ? { layer: "inner-ipv4", at, bytes: 20 }
      : { layer: "inner-ipv6", at, bytes: 40 };
  const protocols = ask(version === 4 ? at + 9 : at + 6, [0xff]);
  const hasPorts = protocols?.every((one) => PORTS.includes(one)) === true;
  if (!hasPorts) return { headers: [header] };
  const ports = (from: number): PlacedHeader => ({
    layer: "inner-l4",
    at: from,
    bytes: 4,
  });
  if (version === 6) return { headers: [header, ports(at + 40)] };
  const words = ask(at, [0x0f]);
  const isWhole = ask(at + 6, [0x3f, 0xff])?.every((word) => word === 0);
  if (isWhole !== true || words?.every((word) => word >= 5) !== true)
    return { headers: [header] };
  return only(words) === 5
    ? { headers: [header, ports(at + 20)], base: at }
    : { headers: [header], base: at };
}

const joined = (
  header: PlacedHeader,
  { headers, ...rest }: TunnelLayout,
): TunnelLayout => ({ headers: [header, ...headers], ...rest });
