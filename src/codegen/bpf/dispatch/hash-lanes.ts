/**
 * The hash of an owner, as instructions: lanes (strategy: owner-function) are loaded
 * from the headers of the frame and mixed one after the other.
 *
 *     hash = seed
 *     per lane     hash = (hash ^ lane) * multiplier;  hash ^= hash >> 32
 *     at the end   hash = hash * finisher;             hash ^= hash >> 29
 *
 * Registers: r9 the hash, r0, r1 and r8 free, r7 the frame, and where the headers are that
 * the lanes name: r2 network, r3 transport, r6 inner Ethernet, r4 and r5 inner network and
 * transport. Whoever comes here has checked that every byte of them lies in the frame.
 *
 * Source of the constants: Steele and Vigna, "Computationally easy, spectrally good
 * multipliers" (64 bits).
 */
import { fields, type Layer } from "../../../packet/index.ts";
import type { FieldRun, OwnerLane } from "../../../strategy/index.ts";

const multiplier = 0xd1342543de82ef95n;
const finisher = 0xaf251af3b0f025b5n;

/** Where a layer's header is: a register, and how far behind it. */
export interface HeaderPlace {
  readonly base: "r2" | "r3" | "r4" | "r5" | "r6" | "r7";
  readonly offset: number;
}

// prettier-ignore
const places: Readonly<Record<Layer, HeaderPlace>> = {
  eth:          { base: "r7", offset: 0 },
  vlan:         { base: "r7", offset: 14 },
  vlan2:        { base: "r7", offset: 18 },
  arp:          { base: "r2", offset: 0 },
  ipv4:         { base: "r2", offset: 0 },
  ipv6:         { base: "r2", offset: 0 },
  l4:           { base: "r3", offset: 0 },
  tcp:          { base: "r3", offset: 0 },
  udp:          { base: "r3", offset: 0 },
  icmp:         { base: "r3", offset: 0 },
  gre:          { base: "r3", offset: 0 },
  vxlan:        { base: "r3", offset: 8 },
  gtp:          { base: "r3", offset: 8 },
  "gre-key":    { base: "r3", offset: 4 },
  "inner-eth":  { base: "r6", offset: 0 },
  "inner-ipv4": { base: "r4", offset: 0 },
  "inner-ipv6": { base: "r4", offset: 0 },
  "inner-l4":   { base: "r5", offset: 0 },
};

/** r9 becomes the hash of the lanes. */
export function hashText(lanes: readonly OwnerLane[], seed: bigint): string {
  const parts = lanes.flatMap((lane) => chunksOf(lane));
  return `
    r9 = ${BigInt.asUintN(64, seed)} ll
    ${parts.map(mixText).join("")}
    r1 = ${finisher} ll
    r9 *= r1
    r1 = r9
    r1 >>= 29
    r9 ^= r1`;
}

function mixText(lane: OwnerLane): string {
  const { runs, bits, constant } = lane;
  const [first, ...others] = runs;
  const load =
    first === undefined
      ? `
    r0 = ${constant} ll`
      : `${loadText(first, bits, "r0")}${others
          .map((run) => `${loadText(run, bits, "r1")}\n    r0 ^= r1`)
          .join("")}${
          constant === 0n
            ? ""
            : `
    r1 = ${constant} ll
    r0 ^= r1`
        }`;
  return `${load}
    r9 ^= r0
    r1 = ${multiplier} ll
    r9 *= r1
    r1 = r9
    r1 >>= 32
    r9 ^= r1`;
}

/** Parts that one load can fetch, if it may. */
function chunksOf(lane: OwnerLane): readonly OwnerLane[] {
  const starts = lane.runs.map(({ field, first }) => fields[field].bit + first);
  const isWhole = starts.every((start) => start % 8 === 0);
  const sizes = isWhole ? [64, 32, 16, 8] : [32, 16, 8];
  const chunks: OwnerLane[] = [];
  for (let at = 0; at < lane.bits;) {
    const left = lane.bits - at;
    const bits = sizes.find((size) => size <= left) ?? left;
    chunks.push({
      bits,
      runs: lane.runs.map(({ field, first }) => ({
        field,
        first: first + at,
      })),
      constant: BigInt.asUintN(bits, lane.constant >> BigInt(left - bits)),
    });
    at += bits;
  }
  return chunks;
}

/** `bits` bits of a field as a number in network order. */
function loadText(run: FieldRun, bits: number, into: string): string {
  const { base, offset } = places[fields[run.field].layer];
  const start = 8 * offset + fields[run.field].bit + run.first;
  const at = start >>> 3;
  const end = start + bits;
  if (start % 8 === 0 && [8, 16, 32, 64].includes(bits)) {
    const load = `
    ${into} = *(u${bits} *)(${base} + ${at})`;
    return bits === 8
      ? load
      : `${load}
    ${into} = be${bits} ${into}`;
  }
  // The bytes that hold the bits, as one number: 5 at most, since bits are 32 at most.
  const bytes = ((end + 7) >>> 3) - at;
  const lines = [`${into} = *(u8 *)(${base} + ${at})`];
  for (let byte = 1; byte < bytes; byte++)
    lines.push(
      `${into} <<= 8`,
      `r8 = *(u8 *)(${base} + ${at + byte})`,
      `${into} |= r8`,
    );
  const below = 8 * (at + bytes) - end;
  if (below > 0) lines.push(`${into} >>= ${below}`);
  const mask = (1n << BigInt(bits)) - 1n;
  lines.push(
    bits < 32 ? `${into} &= ${mask}` : `w${into.slice(1)} = w${into.slice(1)}`,
  );
  return `
    ${lines.join("\n    ")}`;
}
