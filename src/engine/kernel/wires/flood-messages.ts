/** What a flooding worker is told and answers (forwarding.ts, flood.worker.ts). */
import type { Flooded, FloodOptions } from "./flood-frames.ts";

export interface FloodStart extends FloodOptions {
  readonly namespaceFd: number;
  readonly cpu: number;
  /** A word: how many are ready. */
  readonly barrier: SharedArrayBuffer;
  readonly crew: number;
}

export interface FloodOrder {
  readonly frames: number;
  readonly perSecond: number;
  /** Value of the barrier when all of the crew are ready. */
  readonly ready: number;
}

export type FloodAnswer =
  | { readonly kind: "ready" }
  | ({ readonly kind: "sent"; readonly realTime: boolean } & Flooded)
  | {
      readonly kind: "failed";
      readonly text: string;
      readonly unsupported: boolean;
    };
