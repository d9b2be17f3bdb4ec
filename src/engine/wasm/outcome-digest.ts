/**
 * 64 bits of everything an outcome says: verdict, frame, redirect, events, context, place
 * of a fault. For comparing runs packet by packet without keeping them; against chance,
 * never against an adversary.
 *
 * Two lanes of 32 bits, fed word by word; bytes that fill no word go one by one. Most
 * outcomes are a verdict and a frame, and those are summed where they lie.
 */
import { printPlace } from "../../base/index.ts";
import type { Outcome } from "../../interp/index.ts";

/** Two 32-bit numbers. */
export type OutcomeDigest = readonly [number, number];

export function outcomeDigest(outcome: Outcome): OutcomeDigest {
  const { verdict, data, redirect, events, fault, context } = outcome;
  const sum = new Lanes();
  sum.word(verdict);
  sum.bytes(data);
  if (redirect !== undefined) {
    const { ifindex = -1, map = "", key = -1, flags } = redirect;
    sum.text(`redirect ${ifindex} ${map} ${key} ${flags}`);
  }
  for (const { kind, map = "", data: bytes } of events) {
    sum.text(`event ${kind} ${map}`);
    sum.bytes(bytes);
  }
  if (fault !== undefined) sum.text(`fault ${printPlace(fault.at)}`);
  if (context !== undefined) sum.bytes(context);
  sum.finish();
  return [sum.a >>> 0, sum.b >>> 0];
}

const lanes = { a: 0x2f0b4c47, b: 0x6a3d58e9 } as const;

class Lanes {
  a: number = lanes.a;
  b: number = lanes.b;

  word(value: number): void {
    this.a = Math.imul(this.a ^ value, 0x85ebca6b);
    this.a ^= this.a >>> 15;
    this.b = Math.imul(this.b ^ value, 0xc2b2ae35);
    this.b ^= this.b >>> 13;
  }
  bytes(bytes: Uint8Array): void {
    this.memory(
      new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
      0,
      bytes.length,
    );
  }
  memory(view: DataView, from: number, length: number): void {
    const end = from + length;
    let at = from;
    // Locals: the chain of both lanes is all that this costs.
    let { a, b } = this;
    for (; at + 4 <= end; at += 4) {
      const value = view.getInt32(at, true);
      a = Math.imul(a ^ value, 0x85ebca6b);
      a ^= a >>> 15;
      b = Math.imul(b ^ value, 0xc2b2ae35);
      b ^= b >>> 13;
    }
    this.a = a;
    this.b = b;
    for (; at < end; at++) this.word(view.getUint8(at));
    this.word(0x100 + length);
  }
  text(text: string): void {
    this.bytes(new TextEncoder().encode(text));
  }
  finish(): void {
    this.word(0);
    this.word(0);
  }
  reset(): void {
    this.a = lanes.a;
    this.b = lanes.b;
  }
}

const scratch = new Lanes();

/** The digest of a verdict and a frame that lies in memory, put into `into`. */
export function frameDigest(
  verdict: number,
  frame: {
    readonly view: DataView;
    readonly at: number;
    readonly length: number;
  },
  into: Uint32Array,
  at: number,
): void {
  scratch.reset();
  scratch.word(verdict);
  scratch.memory(frame.view, frame.at, frame.length);
  scratch.finish();
  into[at] = scratch.a;
  into[at + 1] = scratch.b;
}
