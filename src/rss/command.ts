/**
 * What `divisi rss solve|check|queue` compute, as the JSON values of the command
 * line contract. Words only; no rendering.
 *
 * --fields F[,F…]  packets that agree on all of F meet; given again: another such
 *                  demand beside it; `none`: no demand.
 *                  An item `lan:ipv4.src=wan:ipv4.dst` links two ports.
 * --swap           also: packets that agree on F after swapping source and
 *                  destination meet.
 * Where ports of a transport are named, only TCP and UDP without fragments are
 * meant; IPv6 is meant only where its fields are named. Fields of both versions are
 * two demands, one per version, which one key serves: no packet has both. Where a pair
 * links a field of one version to one of the other, it is one demand between them.
 */
import { fromHex, InputError, printable, toHex } from "../base/index.ts";
import {
  buildFrame,
  parseFieldSpec,
  specBits,
  type FieldBit,
  type FieldName,
  type FrameSpec,
} from "../packet/index.ts";
import { candidates, fieldsOf } from "./assignment.ts";
import { spanBasis } from "./gf2.ts";
import type { NicProfile } from "./nic-profile.ts";
import { NicModel } from "./nic.ts";
import type { PacketClass } from "./packet-class.ts";
import { hashView, imbalanceOf, type Imbalance } from "./quality.ts";
import type { RssRefusal } from "./refusal.ts";
import type { Conjunct, Requirement } from "./requirement.ts";
import type { KeySolution } from "./solution.ts";
import type { SolveOptions } from "./solve-options.ts";
import { solveKeys, violated } from "./solve.ts";
import { indirectionTable } from "./table.ts";

export interface RssSolveJson {
  readonly schema: "divisi.rss-solve/1";
  readonly nic: string;
  readonly mode: "index" | "full" | null;
  /** One per port. */
  readonly keys: readonly string[];
  readonly ports: readonly {
    readonly name: string;
    /** Hash fields to set, by class. */
    readonly fields: Readonly<Partial<Record<PacketClass, string>>>;
    readonly rank: number;
    readonly imbalance: Imbalance;
  }[];
  readonly freeBits: number | null;
  readonly rank: number | null;
  readonly entries: number | null;
  readonly imbalance: Imbalance | null;
  readonly table: readonly string[];
  readonly cores: number | null;
  readonly seed: number | null;
  readonly doubts: readonly string[];
  readonly ms: number;
  /** Present where the answer is no. */
  readonly refusal?: Pick<RssRefusal, "code" | "text" | "fix">;
}

export function rssSolve(
  demand: { readonly fields: readonly string[]; readonly swap?: boolean },
  options: SolveOptions,
): { readonly answer: KeySolution | RssRefusal; readonly json: RssSolveJson } {
  const requirement = rssRequirement(demand.fields, demand.swap ?? false);
  const start = performance.now();
  const answer = solveKeys(requirement, options);
  const ms = Math.round((performance.now() - start) * 100) / 100;
  const best = answer.kind === "solution" ? answer : answer.best;
  const json: RssSolveJson = {
    schema: "divisi.rss-solve/1",
    nic: options.profile.name,
    mode: best?.mode ?? null,
    keys: best?.ports.map(({ key }) => key) ?? [],
    ports:
      best?.ports.map(({ name, set, rank, imbalance }) => ({
        name,
        fields: Object.fromEntries(
          set.map((each) => [each.class, each.fields]),
        ),
        rank,
        imbalance,
      })) ?? [],
    freeBits: best?.freeBits ?? null,
    rank: best?.rank ?? null,
    entries: best?.entries ?? null,
    imbalance: best?.imbalance ?? null,
    table: best?.groups[0]?.table.ethtool ?? [],
    cores: best?.cores ?? null,
    seed: best?.seed ?? null,
    doubts: options.profile.doubts,
    ms,
  };
  if (answer.kind === "solution") return { answer, json };
  const { code, text, tryIndex } = answer;
  const isSure = options.profile.indexRule === "low";
  const fix =
    tryIndex === true
      ? `--mode index leaves far more keys${isSure ? "" : ", if the low bits of the hash index the table"}`
      : answer.fix;
  return { answer, json: { ...json, refusal: { code, text, fix } } };
}

export interface RssCheckJson {
  readonly schema: "divisi.rss-check/1";
  readonly key: string;
  readonly nic: string;
  readonly bytes: number;
  readonly rank: number;
  readonly entries: number;
  readonly imbalance: Imbalance;
  /** Both directions of a TCP or UDP flow, IPv4, meet. */
  readonly symmetric: boolean;
  /** Null where no fields were asked for. */
  readonly satisfies: boolean | null;
  /** Is the answer yes? */
  readonly good: boolean;
}

export function rssCheck(
  key: string,
  options: {
    readonly profile: NicProfile;
    readonly fields?: readonly string[];
    readonly swap?: boolean;
    readonly cores?: number;
  },
): RssCheckJson {
  const { profile, cores = 16 } = options;
  const bytes = keyBytes(key, profile);
  const [inputs] = candidates(profile);
  if (inputs === undefined || !profile.rss) throw noRss(profile);
  const hashed = inputs.tcp4?.[0] ?? "";
  const tableBits = Math.log2(profile.tableEntries);
  const view = hashView(bytes, "tcp4", hashed, tableBits);
  const rank = spanBasis(view.windows).length;
  const reachable = Array.from({ length: profile.tableEntries }, () => true);
  const imbalance = imbalanceOf(
    view,
    indirectionTable(reachable, cores),
    cores,
  );
  const holds = (fields: readonly string[], swap: boolean): boolean => {
    const requirement = rssRequirement(fields, swap);
    const keys = requirement.ports.map(() => toHex(bytes));
    const how = { inputs, tableBits, mode: "index" } as const;
    return violated(requirement, keys, how) === undefined;
  };
  const satisfies =
    options.fields === undefined
      ? null
      : holds(options.fields, options.swap ?? false);
  const { uniform, one8, one16 } = imbalance;
  return {
    schema: "divisi.rss-check/1",
    key: toHex(bytes),
    nic: profile.name,
    bytes: bytes.length,
    rank,
    entries: 2 ** rank,
    imbalance,
    symmetric: holds(["ipv4.src,ipv4.dst,l4.sport,l4.dport"], true),
    satisfies,
    good: satisfies !== false && Math.max(uniform, one8, one16) <= 1.3,
  };
}

export interface RssQueueJson {
  readonly schema: "divisi.rss-queue/1";
  readonly key: string;
  readonly nic: string;
  readonly queues: number;
  readonly flows: readonly {
    readonly flow: string;
    readonly class: PacketClass;
    /** Hexadecimal; null: not hashed. */
    readonly hash: string | null;
    readonly entry: number;
    readonly queue: number;
  }[];
}

/** FLOW is `SRC[:PORT]>DST[:PORT][/tcp|udp]`; IPv6 addresses with ports in brackets. */
export function rssQueue(
  key: string,
  flows: readonly string[],
  options: { readonly profile: NicProfile; readonly cores?: number },
): RssQueueJson {
  const { profile, cores = 16 } = options;
  const bytes = keyBytes(key, profile);
  const [inputs] = candidates(profile);
  if (inputs === undefined || !profile.rss) throw noRss(profile);
  const reachable = Array.from({ length: profile.tableEntries }, () => true);
  const model = new NicModel({
    key: toHex(bytes),
    fields: fieldsOf(inputs),
    table: indirectionTable(reachable, cores).entries,
  });
  return {
    schema: "divisi.rss-queue/1",
    key: toHex(bytes),
    nic: profile.name,
    queues: cores,
    flows: flows.map((flow) => {
      const { hash, ...choice } = model.queueOf(flowFrame(flow));
      return {
        flow,
        hash: hash === null ? null : hash.toString(16).padStart(8, "0"),
        ...choice,
      };
    }),
  };
}

/** One conjunct per `--fields`, two with `swap`. */
export function rssRequirement(
  fields: readonly string[],
  swap: boolean,
): Requirement {
  const conjuncts = fields
    .filter((list) => list.trim() !== "none")
    .flatMap((list) => {
      const items = list.split(",").map(parseItem);
      return perVersion(items).flatMap((part) =>
        swap
          ? [conjunctOf(part, false), conjunctOf(part, true)]
          : [conjunctOf(part, false)],
      );
    });
  const named = new Set(conjuncts.flatMap(({ ports }) => ports));
  return { ports: named.size === 0 ? ["port"] : [...named], conjuncts };
}

interface Item {
  readonly ports: readonly [string, string];
  readonly left: readonly FieldBit[];
  readonly right: readonly FieldBit[];
}

function parseItem(text: string): Item {
  const [of = "", to = of, rest] = text.split("=");
  if (rest !== undefined) throw badItem(text);
  const [left, right] = [of, to].map((side) => {
    const at = side.indexOf(":");
    const inPort = at > 0 && !side.slice(0, at).includes("[");
    return {
      port: inPort ? side.slice(0, at).trim() : "port",
      bits: specBits(parseFieldSpec(inPort ? side.slice(at + 1) : side)),
    };
  });
  if (left === undefined || right === undefined) throw badItem(text);
  if (left.bits.length !== right.bits.length) throw badItem(text);
  return {
    ports: [left.port, right.port],
    left: left.bits,
    right: right.bits,
  };
}

type Version = 4 | 6;

const versionOf = (bits: readonly FieldBit[]): Version | undefined => {
  const [first] = bits;
  if (first?.field.startsWith("ipv4.") === true) return 4;
  return first?.field.startsWith("ipv6.") === true ? 6 : undefined;
};

/** Fields of IPv4 and of IPv6 apart; what neither owns goes with both. */
function perVersion(items: readonly Item[]): readonly (readonly Item[])[] {
  const sides = items.flatMap(({ left, right }) => [
    versionOf(left),
    versionOf(right),
  ]);
  const isLinked = items.some(
    ({ left, right }) =>
      versionOf(left) !== undefined &&
      versionOf(right) !== undefined &&
      versionOf(left) !== versionOf(right),
  );
  if (isLinked || !sides.includes(4) || !sides.includes(6)) return [items];
  return ([4, 6] as const).map((version) =>
    items.filter(({ left, right }) =>
      [left, right].every((bits) => (versionOf(bits) ?? version) === version),
    ),
  );
}

/** Each end's classes, where ports are named: those of the version that it names. */
function transportsOf(
  items: readonly Item[],
  names: readonly FieldName[],
): Conjunct["classes"] {
  if (!names.some((name) => /^(l4|tcp|udp)\./.test(name))) return undefined;
  const end = (side: "left" | "right") => {
    const named = items.map((item) => versionOf(item[side]));
    const version = named.includes(6) ? 6 : 4;
    return [`tcp${version}`, `udp${version}`] as const;
  };
  return [end("left"), end("right")];
}

function conjunctOf(items: readonly Item[], swap: boolean): Conjunct {
  const [first] = items;
  const ports = first?.ports ?? (["port", "port"] as const);
  const odd = items.find((item) => item.ports.join() !== ports.join());
  if (odd !== undefined)
    throw new InputError(
      `${printable(odd.ports.join("="))}: all fields of one --fields link the same two ports; give --fields again for others`,
      { code: "fields-ports", kind: "usage" },
    );
  const equations = items.flatMap(({ left, right }) =>
    left.map((bit, index) => ({
      left: { bits: [bit], constant: 0 as const },
      right: {
        bits: right
          .slice(index, index + 1)
          .map((other) => (swap ? swapped(other) : other)),
        constant: 0 as const,
      },
    })),
  );
  const names = items.flatMap(({ left, right }) =>
    [...left, ...right].map(({ field }) => field),
  );
  const classes = transportsOf(items, names);
  return { ports, equations, ...(classes === undefined ? {} : { classes }) };
}

// prettier-ignore
const swaps: Partial<Record<FieldName, FieldName>> = {
  "eth.src": "eth.dst", "eth.dst": "eth.src",
  "ipv4.src": "ipv4.dst", "ipv4.dst": "ipv4.src",
  "ipv6.src": "ipv6.dst", "ipv6.dst": "ipv6.src",
  "l4.sport": "l4.dport", "l4.dport": "l4.sport",
  "tcp.sport": "tcp.dport", "tcp.dport": "tcp.sport",
  "udp.sport": "udp.dport", "udp.dport": "udp.sport",
};

function swapped({ field, bit }: FieldBit): FieldBit {
  return { field: swaps[field] ?? field, bit };
}

function flowFrame(text: string): Uint8Array {
  const match =
    /^(?:\[([0-9a-f:.]+)\]|([^\s:>/[\]]+)|([0-9a-f:]+))(?::(\d{1,5}))?\s*-?>\s*(?:\[([0-9a-f:.]+)\]|([^\s:>/[\]]+)|([0-9a-f:]+))(?::(\d{1,5}))?(?:\/(tcp|udp))?$/i.exec(
      text.trim(),
    );
  if (match === null) throw badFlow(text);
  const [, srcA, srcB, srcC, sport, dstA, dstB, dstC, dport, name] = match;
  const src = srcA ?? srcB ?? srcC ?? "";
  const dst = dstA ?? dstB ?? dstC ?? "";
  const ports = { sport: Number(sport), dport: Number(dport) };
  const hasPorts = sport !== undefined && dport !== undefined;
  if ((sport === undefined) !== (dport === undefined)) throw badFlow(text);
  if (hasPorts && Math.max(ports.sport, ports.dport) > 65535)
    throw badFlow(text);
  const ip = src.includes(":")
    ? { ipv6: { src, dst, ...(hasPorts ? {} : { nextHeader: 59 }) } }
    : { ipv4: { src, dst, ...(hasPorts ? {} : { protocol: 253 }) } };
  const transport: FrameSpec = !hasPorts
    ? {}
    : name === "udp"
      ? { udp: ports }
      : { tcp: ports };
  return buildFrame({ ...ip, ...transport });
}

function keyBytes(text: string, profile: NicProfile): Uint8Array {
  const bytes = fromHex(text);
  if (bytes.length === profile.keyBytes) return bytes;
  // Shorter keys are what the input of IPv4 needs at least: 16 bytes.
  if (bytes.length >= 16 && bytes.length <= 256) return bytes;
  throw new InputError(
    `a key of ${bytes.length} bytes; ${profile.name} has ${profile.keyBytes}`,
    { code: "key-length", kind: "usage" },
  );
}

function noRss(profile: NicProfile): InputError {
  return new InputError(`${profile.name} has no receive-side scaling`, {
    code: "no-rss",
    kind: "usage",
  });
}

function badItem(text: string): InputError {
  return new InputError(
    `${printable(text)}: expected a field, or PORT:FIELD=PORT:FIELD with as many bits on both sides`,
    { code: "fields-malformed", kind: "usage" },
  );
}

function badFlow(text: string): InputError {
  return new InputError(
    `${printable(text)}: expected a flow like 10.0.0.1:1234>10.0.0.2:80/udp`,
    { code: "flow-malformed", kind: "usage" },
  );
}
