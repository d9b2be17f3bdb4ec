/** What the thread of a parallel run and its workers tell each other. */
import type { Cells } from "../../codegen/index.ts";
import type { MapEntry, Outcome } from "../../interp/index.ts";
import type { ProgramSpec } from "../../isa/index.ts";
import type { LoadOptions } from "./program.ts";

/** How a test makes a worker die: in a helper call for that packet. */
export interface Sabotage {
  /** Number of the packet. */
  readonly packet: number;
  readonly how: "throw" | "exit";
}

/** What a worker starts with. */
export interface CoreStart {
  readonly program: ProgramSpec;
  readonly options: Omit<LoadOptions, "tamper" | "beforeHelper">;
  readonly keepOutputs: boolean;
  /** One word: packets of the batch in hand that were run before the current ones. */
  readonly progress: SharedArrayBuffer;
  readonly sabotage?: Sabotage;
}

export type ToCore =
  | {
      readonly kind: "run";
      readonly buffer: SharedArrayBuffer;
      readonly count: number;
    }
  | { readonly kind: "finish" };

export type FromCore =
  /** Loaded; the memory stays readable should the worker die. */
  | {
      readonly kind: "ready";
      readonly memory: SharedArrayBuffer;
      readonly descriptors: number;
      readonly cell: Cells;
    }
  | {
      readonly kind: "ran";
      readonly verdicts: Uint8Array;
      /** Two words per packet. */
      readonly digests: Uint32Array;
      readonly faults: number;
      readonly outcomes: readonly Outcome[];
    }
  | {
      readonly kind: "finished";
      readonly packets: number;
      readonly ns: number;
      readonly contents: Readonly<Record<string, readonly MapEntry[]>>;
      readonly digest: string;
    }
  /** The worker cannot go on, and can still say so. */
  | { readonly kind: "failed"; readonly error: unknown };
