/**
 * Damaged captures for the fuzz test and the offline fuzz script: a good file of
 * either format is cut, flipped, spliced or given hostile lengths, then read in
 * random chunks. Law: packets, then the end or an InputError with an offset inside
 * the file; nothing else may be thrown, and memory stays bounded by the file.
 */
import { Bug, InputError, Random } from "../base/index.ts";
import { buildFrame } from "../packet/index.ts";
import { readCaptureBytes } from "./capture.ts";
import type { TracePacket } from "./packet.ts";
import { pcapBytes, pcapngBytes } from "./write.ts";

export interface CaptureFuzzOptions {
  readonly seed: number;
  readonly cases: number;
  /** Milliseconds, from anywhere. */
  readonly now?: () => number;
  /** Stop early at this time. */
  readonly until?: number;
}

export interface CaptureFuzzReport {
  readonly cases: number;
  /** Cases that gave at least one packet. */
  readonly pastHeaders: number;
  /** Cases read to the end. */
  readonly values: number;
  /** InputErrors by code. */
  readonly codes: ReadonlyMap<string, number>;
  /** Broken laws; `case` and the seed repeat them. */
  readonly failures: readonly {
    readonly input: string;
    readonly case: number;
    readonly mutation: string;
    readonly error: unknown;
  }[];
  readonly slowest: { readonly ms: number; readonly case: number };
}

/** Case i of a seed is always the same bytes. */
export function damagedCapture(seed: number, index: number): Uint8Array {
  const random = new Random(seed).fork(index);
  let bytes = goodCapture(random);
  for (let rounds = 1 + random.below(3); rounds > 0; rounds--)
    bytes = random.pick(damages)(bytes, random);
  return bytes;
}

export function fuzzCaptures(options: CaptureFuzzOptions): CaptureFuzzReport {
  const { seed, cases, now = () => 0 } = options;
  const failures: CaptureFuzzReport["failures"][number][] = [];
  const codes = new Map<string, number>();
  let values = 0;
  let pastHeaders = 0;
  let slowest = { ms: 0, case: -1 };
  let count = 0;
  for (; count < cases; count++) {
    const start = now();
    if (options.until !== undefined && start > options.until) break;
    const bytes = damagedCapture(seed, count);
    const { packets, error, broken } = readDamaged(bytes);
    if (error === undefined) values++;
    else if (error instanceof InputError && isInside(error, bytes.length))
      codes.set(error.code, (codes.get(error.code) ?? 0) + 1);
    else failures.push(failure(count, error));
    if (broken !== undefined) failures.push(failure(count, new Bug(broken)));
    if (packets > 0) pastHeaders++;
    const ms = now() - start;
    if (ms > slowest.ms) slowest = { ms, case: count };
  }
  return { cases: count, pastHeaders, values, codes, failures, slowest };
}

function failure(
  index: number,
  error: unknown,
): CaptureFuzzReport["failures"][number] {
  return { input: "generated", case: index, mutation: "several", error };
}

function readDamaged(bytes: Uint8Array): {
  readonly packets: number;
  readonly error?: unknown;
  readonly broken?: string;
} {
  let packets = 0;
  let broken: string | undefined;
  const found = (): { readonly packets: number; readonly broken?: string } => ({
    packets,
    ...(broken === undefined ? {} : { broken }),
  });
  try {
    for (const packet of readCaptureBytes(bytes, "fuzz.pcap")) {
      packets++;
      broken ??= brokenPacket(packet, bytes.length);
      if (packets > bytes.length) broken ??= "more packets than bytes";
    }
    return found();
  } catch (error) {
    return { ...found(), error };
  }
}

function isInside(error: InputError, size: number): boolean {
  return (
    error.kind === "input" &&
    error.file === "fuzz.pcap" &&
    error.offset !== undefined &&
    error.offset >= 0 &&
    error.offset <= size
  );
}

function brokenPacket(packet: TracePacket, size: number): string | undefined {
  const { data, wireLength, time, port } = packet;
  if (data.length > size) return `${data.length} bytes of data`;
  if (wireLength < data.length) return "longer than on the wire";
  if (time < 0n || time > 0xffff_ffff_ffff_ffffn) return `time ${time}`;
  return Number.isInteger(port) && port >= 0 ? undefined : `port ${port}`;
}

function goodCapture(random: Random): Uint8Array {
  const packets = Array.from({ length: 1 + random.below(8) }, (_, index) => {
    const data = buildFrame({
      ipv4: { src: BigInt(random.u32()), dst: "10.0.0.1" },
      udp: { sport: 1, dport: 2 },
      size: 42 + random.below(40),
    });
    const time = BigInt(index) * 1000n;
    return { data, wireLength: data.length + random.below(3), time, port: 0 };
  });
  if (random.chance(0.5)) return pcapBytes(packets);
  const spread = packets.map((packet) => ({
    ...packet,
    port: random.below(3),
  }));
  const text = random.chance(0.5) ? "a comment" : undefined;
  return pcapngBytes(spread, {
    interfaces: ["lan", "wan"],
    comment: () => text,
  });
}

type Damage = (bytes: Uint8Array, random: Random) => Uint8Array;

// prettier-ignore
const hostile = [0, 1, 3, 4, 7, 11, 12, 13, 16, 27, 28, 32, 0x7f, 0xff, 0xffff, 0x40000, 0x40001, 0x7fffffff, 0x80000000, 0xfffffffc, 0xffffffff];

const damages: readonly Damage[] = [
  (bytes, random) => bytes.slice(0, random.below(bytes.length + 1)),
  (bytes, random) => {
    const copy = bytes.slice();
    for (
      let flips = 1 + random.below(3);
      flips > 0 && copy.length > 0;
      flips--
    ) {
      const at = random.below(copy.length);
      copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8));
    }
    return copy;
  },
  (bytes, random) => {
    const copy = bytes.slice();
    if (copy.length < 4) return copy;
    const at = 4 * random.below(Math.floor(copy.length / 4));
    const view = new DataView(copy.buffer);
    view.setUint32(at, random.pick(hostile), random.chance(0.8));
    return copy;
  },
  (bytes, random) => {
    const at = random.below(bytes.length + 1);
    const from = random.below(bytes.length + 1);
    const part = bytes.subarray(from, from + random.below(64));
    return join(bytes.subarray(0, at), part, bytes.subarray(at));
  },
  (bytes, random) => {
    const at = random.below(bytes.length + 1);
    const gap = random.below(32);
    return join(bytes.subarray(0, at), bytes.subarray(at + gap));
  },
  (bytes, random) => join(bytes, goodCapture(random)),
];

function join(...parts: readonly Uint8Array[]): Uint8Array {
  const size = parts.reduce((sum, { length }) => sum + length, 0);
  const all = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
