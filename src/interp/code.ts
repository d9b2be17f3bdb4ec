/**
 * Compiled functions, and what their steps may ask of the machine that runs them.
 */
import type { Place } from "../base/index.ts";
import type { Host } from "./host.ts";
import type { Memory } from "./memory.ts";
import type { PacketFrame } from "./packet-frame.ts";
import type { Observer } from "./outcome.ts";
import type { Step } from "./word-steps.ts";

/** A function as threaded code: step i answers the number of the step after it. */
export interface Code {
  readonly name: string;
  readonly steps: readonly Step[];
  /** Slots that r1 … r5 of the call go to, as many as the function takes. */
  readonly params: readonly number[];
  /** Bytes at the start of a frame that a call clears: the registers. */
  readonly cleared: number;
  readonly place: (step: number) => Place;
  /** A frame with its constants, for a stack frame that ends at `top`. */
  readonly makeFrame: (top: number) => DataView;
  /** Frames by call depth, made when first needed. */
  readonly frames: DataView[];
}

export interface Executor extends Host {
  readonly memory: Memory;
  readonly frame: PacketFrame;
  readonly observer: Observer;
  /** Steps that a function may still do in this run. */
  left: number;
  /** Compiles on first use. */
  link(name: string): Code;
  /** Where the running step is, for what it calls. */
  mark(code: Pick<Code, "place">, step: number): void;
  /** Runs one frame deeper; `arguments` are in `args`. Answers the finished frame. */
  enter(code: Code): DataView;
  /** The function that tail call means, after counting it; undefined: falls through. */
  tailTarget(): Code | undefined;
  /** What `tailCalled` continues with. */
  tail: Code | undefined;
  functionAddress(name: string): number;
  /** Address of a byte in the first cell of a map. */
  valueAddress(map: string, offset: number): number;
  /** Tells the observer of a load, store or atomic through a value pointer. */
  touchAddress(
    address: number,
    op: "load" | "store" | "atomic",
    writes: boolean,
    size: number,
  ): void;
}

/** Writes a helper's answer to a slot. */
export function setAnswer(
  frame: DataView,
  at: number,
  answer: number | bigint | void,
): void {
  if (typeof answer === "bigint") {
    frame.setBigUint64(at, answer, true);
    return;
  }
  const value = answer ?? 0;
  frame.setUint32(at, value, true);
  frame.setUint32(at + 4, Math.floor(value / 4294967296), true);
}
