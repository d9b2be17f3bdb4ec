/**
 * Blind changes of packets: what the search tries when no comparison tells it better.
 */
import type { Random } from "../base/index.ts";
import type { FunctionSpec } from "../isa/index.ts";
import { withData, type PacketStep } from "./cover-step.ts";

export interface MutationSource {
  readonly random: Random;
  readonly ports: readonly number[];
  /** Constants of the program. */
  readonly words: readonly bigint[];
  /** Packets to take pieces from. */
  readonly packets: readonly PacketStep[];
  readonly shortest: number;
  readonly longest: number;
}

/** Immediates that the program compares with or adds; small ones are no news. */
export function constantsOf(functions: readonly FunctionSpec[]): bigint[] {
  const words = new Set<bigint>();
  for (const { instructions } of functions)
    for (const instruction of instructions) {
      if (
        instruction.kind === "branch" &&
        instruction.right.kind === "immediate"
      )
        words.add(BigInt.asUintN(32, BigInt(instruction.right.value)));
      if (
        instruction.kind === "load-wide" &&
        instruction.value.kind === "number"
      )
        words.add(BigInt.asUintN(64, instruction.value.value));
    }
  return [...words];
}

/** Ethernet, IPv4 and the first bytes of TCP or UDP: where programs look. */
const headers = 64;
/** From nothing to 100 seconds. */
export const gaps = [
  0n,
  ...Array.from({ length: 9 }, (_, power) => 10n ** BigInt(power + 3)),
];

/** One to four changes of a packet. */
export function mutate(source: MutationSource, step: PacketStep): PacketStep {
  const { random } = source;
  let result = step;
  const changes = 1 + random.below(random.chance(0.3) ? 4 : 1);
  for (let count = 0; count < changes; count++)
    result = random.pick(mutations)(source, result);
  return result;
}

type Mutation = (source: MutationSource, step: PacketStep) => PacketStep;

/** Changes bytes of a copy. */
function bytes(
  change: (data: Uint8Array, source: MutationSource) => void,
): Mutation {
  return (source, step) => {
    const data = step.input.data.slice();
    if (data.length > 0) change(data, source);
    return withData(step, data);
  };
}

function place(random: Random, data: Uint8Array): number {
  const near = random.chance(0.8);
  return random.below(near ? Math.min(headers, data.length) : data.length);
}

const oneByte = bytes((data, { random }) => {
  data[place(random, data)] = random.u32();
});
const oneBit = bytes((data, { random }) => {
  const at = place(random, data);
  data[at] = (data[at] ?? 0) ^ (1 << random.below(8));
});
const twoBytes = bytes((data, { random }) => {
  const at = place(random, data) & ~1;
  const value = random.pick([0, 1, 0xffff, random.u32()]);
  data[at] = value >> 8;
  if (at + 1 < data.length) data[at + 1] = value;
});
const constant = bytes((data, { random, words }) => {
  if (words.length === 0) return;
  const word = random.pick(words);
  const size =
    word > 0xffffffffn ? 8 : word > 0xffffn ? 4 : word > 0xffn ? 2 : 1;
  const at = place(random, data);
  const backwards = random.chance(0.5);
  for (let index = 0; index < size && at + index < data.length; index++) {
    const shift = BigInt(8 * (backwards ? size - 1 - index : index));
    data[at + index] = Number((word >> shift) & 0xffn);
  }
});
const piece = bytes((data, { random, packets }) => {
  if (packets.length === 0) return;
  const other = random.pick(packets).input.data;
  const at = place(random, data);
  const size = random.pick([1, 2, 4, 6, 8, 12, 16, 40]);
  data.set(other.subarray(at, at + size).subarray(0, data.length - at), at);
});
/** Addresses and ports of IPv4 the other way round. */
const reverse = bytes((data) => {
  const ports = 14 + ((data[14] ?? 0) & 15) * 4;
  if (data.length < Math.max(34, ports + 4)) return;
  const copy = data.slice();
  data.set(copy.subarray(30, 34), 26);
  data.set(copy.subarray(26, 30), 30);
  data.set(copy.subarray(ports + 2, ports + 4), ports);
  data.set(copy.subarray(ports, ports + 2), ports + 2);
});
/** The four-tuple of IPv4: another flow. */
const flow = bytes((data, { random }) => {
  for (let at = 26; at < 38 && at < data.length; at++)
    if (random.chance(0.5)) data[at] = random.u32();
});

function resize(step: PacketStep, size: number): PacketStep {
  const data = new Uint8Array(size);
  data.set(step.input.data.subarray(0, size));
  return withData(step, data);
}

const length: Mutation = (source, step) => {
  const { random, shortest, longest } = source;
  const now = step.input.data.length;
  const size = random.pick([
    random.below(now + 1),
    random.below(80),
    now + random.below(64),
    60,
    longest,
  ]);
  return resize(step, Math.max(shortest, Math.min(size, longest)));
};
/** Opens a few zero bytes, or cuts some out: tags and options. */
const insert: Mutation = ({ random, shortest, longest }, step) => {
  const { data } = step.input;
  const at = Math.min(
    random.pick([0, 12, 14, 34, random.below(data.length + 1)]),
    data.length,
  );
  const size = random.pick([2, 4, 4, 8, 20]);
  if (random.chance(0.3) && data.length - size >= shortest)
    return withData(
      step,
      Uint8Array.from([...data.subarray(0, at), ...data.subarray(at + size)]),
    );
  if (data.length + size > longest) return step;
  const opened = new Uint8Array(data.length + size);
  opened.set(data.subarray(0, at));
  opened.set(data.subarray(at), at + size);
  if (at === 12 && size === 4) opened.set([0x81, 0, 0, 1], 12);
  return withData(step, opened);
};
const port: Mutation = ({ random, ports }, step) => ({
  ...step,
  input: { ...step.input, ifindex: random.pick(ports) },
});
const gap: Mutation = ({ random }, step) => ({
  ...step,
  gap: random.pick(gaps),
});

const mutations: readonly Mutation[] = [
  oneByte,
  oneByte,
  oneBit,
  oneBit,
  twoBytes,
  constant,
  constant,
  piece,
  reverse,
  flow,
  length,
  insert,
  port,
  port,
  gap,
];

/** Another flow each time: fills tables. */
export function otherFlow(random: Random, step: PacketStep): PacketStep {
  const data = step.input.data.slice();
  for (let at = 26; at < 38 && at < data.length; at++) data[at] = random.u32();
  for (let at = 6; at < 12 && at < data.length; at++)
    if (random.chance(0.5)) data[at] = random.u32() & 0xfe;
  return withData(step, data);
}
