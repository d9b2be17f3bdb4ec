/**
 * A network function of nfs/c in the interpreter, packet by packet: ports lan and wan
 * are interfaces 1 and 2, as the objects have it.
 */
import { deepEqual, equal } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { toHex } from "#base";
import {
  BytecodeMachine,
  createState,
  type Outcome,
  type State,
} from "#interp";
import { programSpec, readObject, setVariable } from "#object";
import {
  buildFrame,
  checkChecksums,
  parseFrame,
  printIpv4,
  readField,
  tcpFlags,
  type FrameSpec,
} from "#packet";
import { root } from "./cli.ts";

export const folder = join(root, "nfs/c");

/** Interfaces; 9 is none of the program's. */
export const lan = 1;
export const wan = 2;
export const stranger = 9;

type Bytes = readonly number[];
export type Entries = readonly (readonly [Bytes, Bytes])[];

export interface Running {
  readonly state: State;
  readonly run: (
    frame: FrameSpec | Uint8Array,
    from?: { readonly ifindex?: number; readonly time?: bigint },
  ) => Outcome;
}

export interface LoadOptions {
  /** Read-only variables. */
  readonly set?: Readonly<Record<string, string>>;
  readonly contents?: Readonly<Record<string, Entries>>;
  /** Entries of maps. */
  readonly capacity?: Readonly<Record<string, number>>;
}

export function load(
  name: string,
  { set = {}, contents = {}, capacity = {} }: LoadOptions = {},
): Running {
  return loadFile(join(folder, `${name}.o`), { set, contents, capacity });
}

export function loadFile(
  path: string,
  { set = {}, contents = {}, capacity = {} }: LoadOptions = {},
): Running {
  let object = readObject(new Uint8Array(readFileSync(path)), path);
  for (const [variable, value] of Object.entries(set))
    object = setVariable(object, variable, value);
  const program = programSpec(object);
  const hasPorts = program.maps.some((map) => map.name === "ports");
  const all = { ...(hasPorts ? { ports } : {}), ...contents };
  const state = createState(program.maps, {
    capacity,
    contents: Object.fromEntries(
      Object.entries(all).map(([map, entries]) => [
        map,
        entries.map(([key, value]) => ({
          key: new Uint8Array(key),
          value: new Uint8Array(value),
        })),
      ]),
    ),
  });
  const machine = new BytecodeMachine(program, state);
  return {
    state,
    run: (frame, { ifindex = lan, time = 0n } = {}) => {
      const outcome = machine.run({
        data: frame instanceof Uint8Array ? frame : buildFrame(frame),
        ifindex,
        rxQueue: 0,
        cpu: 0,
        time,
      });
      equal(outcome.fault, undefined);
      return outcome;
    },
  };
}

const ports: Entries = [
  [
    [0, 0, 0, 0],
    [lan, 0, 0, 0],
  ],
  [
    [1, 0, 0, 0],
    [wan, 0, 0, 0],
  ],
];

const redirect = 4;

/** `out 1`, `flood`, `drop`, …: the verdict, and where a redirect leads. */
export function verdict({ verdict: value, redirect: target }: Outcome): string {
  if (value !== redirect)
    return ["aborted", "drop", "pass", "tx"][value] ?? `${value}`;
  const flood = ((target?.flags ?? 0n) & 8n) !== 0n;
  return flood
    ? "flood"
    : `out ${target?.map === undefined ? target?.ifindex : target.key}`;
}

/** Entries of a map as `key value` in hexadecimal. */
export const words = (state: State, map: string): readonly string[] =>
  state.entries(map).map(({ key, value }) => `${toHex(key)} ${toHex(value)}`);

// --- packets ---

export const second = 1_000_000_000n;

/** `udp("10.0.0.1:4000 10.0.0.2:80")` */
export function udp(text: string, more: Partial<FrameSpec> = {}): FrameSpec {
  const { ipv4, sport, dport } = ends(text);
  return { ipv4, udp: { sport, dport }, ...more };
}

export function tcp(text: string, flags: number = tcpFlags.ack): FrameSpec {
  const { ipv4, sport, dport } = ends(text);
  return { ipv4, tcp: { sport, dport, flags } };
}

export function ends(text: string) {
  const [src = "", sport = "", dst = "", dport = ""] = text.split(/[: ]/);
  return { ipv4: { src, dst }, sport: Number(sport), dport: Number(dport) };
}

/** `10.0.0.1:4000 10.0.0.2:80` of a frame, and that its checksums are good. */
export function endsOf(data: Uint8Array): string {
  const frame = parseFrame(data);
  deepEqual(checkChecksums(data), { ipv4: "good", transport: "good" });
  const read = (field: "l4.sport" | "l4.dport"): string =>
    String(readField(frame, field));
  const address = (field: "ipv4.src" | "ipv4.dst"): string =>
    printIpv4(readField(frame, field) ?? 0n);
  return `${address("ipv4.src")}:${read("l4.sport")} ${address("ipv4.dst")}:${read("l4.dport")}`;
}

/** From where, when (in nanoseconds), what, and the verdict it must get. */
export type Step = readonly [number, bigint, FrameSpec | Uint8Array, string];

export function expectRun({ run }: Running, steps: readonly Step[]): void {
  const have = steps.map(([ifindex, time, frame]) =>
    verdict(run(frame, { ifindex, time })),
  );
  deepEqual(
    have.map((word, at) => `${at}: ${word}`),
    steps.map(([, , , want], at) => `${at}: ${want}`),
  );
}

export const there = "10.0.0.1:4000 192.168.0.9:80";
export const back = "192.168.0.9:80 10.0.0.1:4000";
export const arp: FrameSpec = {
  arp: { op: 1, senderIp: "10.0.0.1", targetIp: "10.0.0.2" },
};
export const options = new Uint8Array([1, 1, 1, 1]);

/** What is no whole, unfragmented TCP or UDP packet directly behind Ethernet. */
export const notL4: Readonly<Record<string, FrameSpec | Uint8Array>> = {
  arp,
  icmp: { ipv4: ends(there).ipv4, icmp: { type: 8 } },
  "first fragment": {
    ...udp(there),
    ipv4: { ...ends(there).ipv4, moreFragments: true },
  },
  "last fragment": {
    ...udp(there),
    ipv4: { ...ends(there).ipv4, fragmentOffset: 3 },
  },
  "UDP header cut": buildFrame(udp(there)).subarray(0, 41),
  "TCP header cut": buildFrame(tcp(there)).subarray(0, 53),
  "IPv4 header cut": buildFrame(udp(there)).subarray(0, 33),
  "IPv4 options cut": buildFrame({
    ...udp(there),
    ipv4: { ...ends(there).ipv4, options },
  }).subarray(0, 37),
  ipv6: { ipv6: { src: "::1", dst: "::2" }, udp: { sport: 1, dport: 2 } },
  vlan: { ...udp(there), vlans: [7] },
  "version 5": changed(buildFrame(udp(there)), 14, 0x55),
  "IHL 4": changed(buildFrame(udp(there)), 14, 0x44),
};

export function changed(
  data: Uint8Array,
  at: number,
  byte: number,
): Uint8Array {
  const copy = data.slice();
  copy[at] = byte;
  return copy;
}
