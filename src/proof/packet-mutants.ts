/**
 * Packets around given ones: each is one of them with some blind changes, a little
 * later than the one before. What comes from the same packet often stands together,
 * so that state that one leaves is met by the next.
 */
import { Random } from "../base/index.ts";
import type { PacketInput } from "../interp/index.ts";
import type { ProgramSpec } from "../isa/index.ts";
import { constantsOf, gaps, mutate, otherFlow } from "./cover-mutation.ts";
import { defaultSeeds } from "./cover-seeds.ts";
import type { PacketStep } from "./cover-step.ts";

export interface PacketMutantOptions {
  readonly count: number;
  readonly seed: number;
  /** Interfaces that packets may come from. */
  readonly ports: readonly number[];
  readonly shortest?: number;
  readonly longest?: number;
  /** Time of the packet before the first. */
  readonly after?: bigint;
}

export function packetMutants(
  program: ProgramSpec,
  around: readonly PacketInput[],
  options: PacketMutantOptions,
): PacketInput[] {
  const { ports, shortest = 0, longest = 1514, count } = options;
  const random = new Random(options.seed);
  const known = [...around, ...defaultSeeds(ports[0] ?? 1)];
  const packets = known.map((input): PacketStep => ({
    kind: "packet",
    input,
    gap: 1000n,
  }));
  const source = {
    random,
    ports,
    words: constantsOf(program.functions),
    packets,
    shortest,
    longest,
  };
  let time = options.after ?? 0n;
  let base = random.pick(packets);
  return Array.from({ length: count }, () => {
    if (random.chance(0.7)) base = random.pick(packets);
    const kind = random.below(10);
    const step =
      kind === 0
        ? base
        : kind === 1
          ? otherFlow(random, base)
          : mutate(source, base);
    time += random.chance(0.05) ? random.pick(gaps) : 1000n;
    return { ...step.input, time };
  });
}
