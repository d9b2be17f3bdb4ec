/** What a sending worker is told and answers (frame-sender.ts, sender.worker.ts). */
import type { FrameToSend } from "./live-frames.ts";

export interface SenderStart {
  readonly namespaceFd: number;
  readonly cpu: number;
  readonly interfaces: readonly number[];
  readonly longest: number;
}

export type SenderOrder =
  | {
      readonly kind: "send";
      readonly frames: readonly FrameToSend[];
      readonly batch: number;
    }
  | { readonly kind: "close" };

export type SenderAnswer =
  | { readonly kind: "done"; readonly capacity: number }
  | {
      readonly kind: "failed";
      readonly text: string;
      readonly unsupported: boolean;
    };
