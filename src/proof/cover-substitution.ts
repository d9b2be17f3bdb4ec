/**
 * Input-to-state: where an operand of a comparison is found in the packet (or its
 * length, its port, a value that was loaded from a map), put the other operand there.
 *
 * A miss of a lookup is a comparison too: of the key asked for with the keys there are.
 */
import { fromHex } from "../base/index.ts";
import type { State } from "../interp/index.ts";
import type { Comparison, Trace } from "./cover-tracer.ts";
import { withData, type PacketStep, type Step } from "./cover-step.ts";

/** Addresses that are in the packet (see interp/memory.ts) come in a narrow range. */
const isPacketAddress = (word: bigint): boolean =>
  word >= 0x10_0000n && word < 0x30_0000n;

const mostPlaces = 6;

/** Bounds of packet lengths. */
export interface Sizes {
  readonly shortest: number;
  readonly longest: number;
}

function inRange(size: number, { shortest, longest }: Sizes): boolean {
  return size >= shortest && size <= longest;
}

/** Steps to try instead of `step`, which led to the comparison. */
export function solveComparison(
  step: PacketStep,
  comparison: Comparison,
  sizes: Sizes,
): PacketStep[] {
  const { left, right, width } = comparison;
  if (left === right && isPacketAddress(left)) return [];
  const found: PacketStep[] = [];
  for (const [from, to] of [
    [left, right],
    [right, left],
  ] as const)
    for (const near of [to, to + 1n, to - 1n]) {
      const word = BigInt.asUintN(width, near);
      if (word === from) continue;
      found.push(...inPacket(step, from, word));
      found.push(...inEnvironment(step, from, word, sizes));
    }
  found.push(
    ...inTime(step, comparison),
    ...inLength(step, left, right, sizes),
  );
  return found;
}

function inPacket(step: PacketStep, from: bigint, to: bigint): PacketStep[] {
  const { data } = step.input;
  const found: PacketStep[] = [];
  for (const size of [8, 4, 2, 1]) {
    const bits = BigInt(8 * size);
    const fits = from >> bits === 0n && to >> bits === 0n;
    // A short word is looked for in few bytes: a long zero is everywhere.
    if (
      !fits ||
      (size > 1 && from >> (bits / 2n) === 0n && to >> (bits / 2n) === 0n)
    )
      continue;
    for (const big of size === 1 ? [true] : [true, false]) {
      const want = wordBytes(from, size, big);
      const put = wordBytes(to, size, big);
      let places = 0;
      for (let at = 0; at + size <= data.length && places < mostPlaces; at++) {
        if (!want.every((byte, index) => data[at + index] === byte)) continue;
        const copy = data.slice();
        copy.set(put, at);
        found.push(withData(step, copy));
        places++;
      }
    }
  }
  return found;
}

function wordBytes(word: bigint, size: number, big: boolean): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let index = 0; index < size; index++)
    bytes[big ? size - 1 - index : index] = Number(
      (word >> BigInt(8 * index)) & 0xffn,
    );
  return bytes;
}

function inEnvironment(
  step: PacketStep,
  from: bigint,
  to: bigint,
  sizes: Sizes,
): PacketStep[] {
  const { input } = step;
  const found: PacketStep[] = [];
  const value = Number(BigInt.asUintN(32, to));
  if (from === BigInt(input.ifindex))
    found.push({ ...step, input: { ...input, ifindex: value } });
  if (from === BigInt(input.rxQueue) && value < 1024)
    found.push({ ...step, input: { ...input, rxQueue: value } });
  if (from === BigInt(input.data.length) && inRange(value, sizes))
    found.push(resized(step, value));
  return found;
}

/** A difference of big words may be one of times. */
function inTime(
  step: PacketStep,
  { left, right, width }: Comparison,
): PacketStep[] {
  if (width === 32 || (left < 10_000n && right < 10_000n)) return [];
  if (isPacketAddress(left) || isPacketAddress(right)) return [];
  const distance = left > right ? left - right : right - left;
  // As nanoseconds, and as what a rate of so many per second, ms or us makes of them.
  return [distance - 1n, distance, distance + 1n]
    .concat(
      [1_000n, 1_000_000n, 1_000_000_000n].map(
        (unit) => distance * unit + unit,
      ),
    )
    .filter((more) => more > 0n && more < 1n << 50n)
    .map((more) => ({ ...step, gap: step.gap + more }));
}

/** Pointers into the packet are compared with its end. */
function inLength(
  step: PacketStep,
  left: bigint,
  right: bigint,
  sizes: Sizes,
): PacketStep[] {
  if (!isPacketAddress(left) || !isPacketAddress(right)) return [];
  const { length } = step.input.data;
  const distance = Number(left - right);
  return [distance - 1, distance, distance + 1, -distance - 1, -distance]
    .map((more) => length + more)
    .filter((size) => inRange(size, sizes) && size !== length)
    .map((size) => resized(step, size));
}

function resized(step: PacketStep, size: number): PacketStep {
  const data = new Uint8Array(size);
  data.set(step.input.data.subarray(0, size));
  return withData(step, data);
}

const mostKeys = 4;

/** Packets whose keys are in the maps where this one's were not. */
export function solveMisses(
  step: PacketStep,
  trace: Trace,
  state: State,
): PacketStep[] {
  const found: PacketStep[] = [];
  for (const { map, cell, op, result } of trace.touches) {
    if (op !== "lookup" || result !== "miss" || cell === "") continue;
    const asked = fromHex(cell);
    for (const { key } of state.entries(map).slice(0, mostKeys)) {
      const data = replaceKey(step.input.data, asked, key);
      if (data !== undefined) found.push(withData(step, data));
    }
  }
  return found;
}

/** Replaces the longest pieces of the key that the packet holds, one after the other. */
function replaceKey(
  data: Uint8Array,
  asked: Uint8Array,
  wanted: Uint8Array,
): Uint8Array | undefined {
  const copy = data.slice();
  let changed = false;
  for (let at = 0; at < asked.length;) {
    const size = [16, 8, 6, 4, 2, 1].find(
      (length) =>
        at + length <= asked.length &&
        indexOfBytes(data, asked.subarray(at, at + length)) >= 0,
    );
    if (size === undefined) {
      at++;
      continue;
    }
    const place = indexOfBytes(data, asked.subarray(at, at + size));
    copy.set(wanted.subarray(at, at + size), place);
    changed ||= asked[at] !== wanted[at];
    at += size;
  }
  return changed ? copy : undefined;
}

function indexOfBytes(data: Uint8Array, piece: Uint8Array): number {
  for (let at = 0; at + piece.length <= data.length; at++)
    if (piece.every((byte, index) => data[at + index] === byte)) return at;
  return -1;
}

/** User space's side of it: elements that would have led elsewhere, then the packet. */
export function solveByWriting(
  step: PacketStep,
  trace: Trace,
  state: State,
  writable: (map: string) => boolean,
): Step[][] {
  const found: Step[][] = [];
  for (const touch of trace.touches) {
    const { map, cell, op, result } = touch;
    if (cell === "" || !writable(map)) continue;
    const spec = state.maps.find(({ name }) => name === map);
    if (spec === undefined) continue;
    const key = fromHex(cell);
    if (op === "lookup" && result === "miss" && spec.valueSize > 0) {
      for (const fill of [1, 0, 0xff]) {
        const value = new Uint8Array(state.elementSize(map)).fill(0);
        for (let at = 0; at < value.length; at++)
          value[at] = fill === 1 ? (at % 4 === 0 ? 1 : 0) : fill;
        found.push([{ kind: "write", map, key, value }, step]);
      }
      continue;
    }
    if (op !== "load" || touch.offset === undefined) continue;
    found.push(...rewriteLoad(step, trace, state, touch));
  }
  return found;
}

/** Puts into the loaded bytes what the run compared them with. */
function rewriteLoad(
  step: PacketStep,
  trace: Trace,
  state: State,
  touch: Trace["touches"][number],
): Step[][] {
  const { map, cell, offset = 0, size = 0 } = touch;
  const key = fromHex(cell);
  const old = state.lookup(map, key);
  if (old === undefined) return [];
  let loaded = 0n;
  for (let index = size - 1; index >= 0; index--)
    loaded = (loaded << 8n) | BigInt(old[offset + index] ?? 0);
  const words = new Set<bigint>();
  for (const { left, right } of trace.comparisons) {
    const other = left === loaded ? right : right === loaded ? left : undefined;
    if (other === undefined || isPacketAddress(other)) continue;
    for (const word of [other, other + 1n, other - 1n]) words.add(word);
  }
  for (const word of [1n, 0xffn, (1n << BigInt(8 * size)) - 1n])
    words.add(word);
  words.delete(loaded);
  const stride = state.copyStride(map);
  return [...words].slice(0, 12).map((word): Step[] => {
    const value = old.slice();
    for (let copy = 0; copy < value.length; copy += stride)
      value.set(
        wordBytes(word & ((1n << 64n) - 1n), size, false),
        copy + offset,
      );
    return [{ kind: "write", map, key, value }, step];
  });
}
