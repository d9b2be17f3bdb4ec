/**
 * One step of a covering sequence: a packet, or user space writing an element.
 * Times are gaps, so that a piece of a sequence can be moved.
 */
import type { PacketInput, State } from "../interp/index.ts";

export interface PacketStep {
  readonly kind: "packet";
  /** Its `time` is unused. */
  readonly input: PacketInput;
  /** Nanoseconds since the packet before. */
  readonly gap: bigint;
}

export interface WriteStep {
  readonly kind: "write";
  readonly map: string;
  readonly key: Uint8Array;
  /** As `State.update` takes it. */
  readonly value: Uint8Array;
}

export type Step = PacketStep | WriteStep;

/** The same packet with other bytes. */
export function withData(step: PacketStep, data: Uint8Array): PacketStep {
  return { ...step, input: { ...step.input, data } };
}

/** A state, and how to get there from its parent's. */
export interface Node {
  readonly parent: Node | undefined;
  readonly steps: readonly Step[];
  readonly state: State;
  readonly time: bigint;
  /** Edges that were new with it. */
  readonly edges: readonly number[];
  /** Some table was full on the way. */
  readonly full: boolean;
}
