/** What a model says of its next packet; generate.ts makes the frame. */
import type { Random } from "../base/index.ts";
import type { FlowTuple } from "./frame-mill.ts";
import type { GeneratorModel } from "./generator.ts";

export interface Step {
  /** Number of the flow; a model that goes on to new flows numbers them on. */
  readonly flow: number;
  readonly reply: boolean;
  readonly flags: number;
  readonly port: number;
  /** Where the flow's sequence numbers are kept. */
  readonly slot: number;
  /** Instead of the tuple that follows from the flow's number. */
  readonly tuple?: FlowTuple;
  /** Instead of a TCP or UDP frame. */
  readonly frame?: Uint8Array;
}

export interface Steps {
  readonly next: () => Step;
  /** Sequence numbers to keep: slots are 0 … slots − 1. */
  readonly slots: number;
}

export type MakeSteps = (model: GeneratorModel, random: Random) => Steps;
