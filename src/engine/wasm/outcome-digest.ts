/**
 * 64 bits of everything an outcome says: verdict, frame, redirect, events, place of a
 * fault. For comparing runs packet by packet without keeping them; against chance,
 * never against an adversary.
 */
import { printPlace } from "../../base/index.ts";
import type { Outcome } from "../../interp/index.ts";

/** Two 32-bit numbers. */
export type OutcomeDigest = readonly [number, number];

export function outcomeDigest(outcome: Outcome): OutcomeDigest {
  const { verdict, data, redirect, events, fault } = outcome;
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
  return sum.finish();
}

class Lanes {
  #a = 0x2f0b4c47;
  #b = 0x6a3d58e9;

  word(value: number): void {
    this.#a = Math.imul(this.#a ^ value, 0x85ebca6b);
    this.#a ^= this.#a >>> 15;
    this.#b = Math.imul(this.#b ^ value, 0xc2b2ae35);
    this.#b ^= this.#b >>> 13;
  }
  bytes(bytes: Uint8Array): void {
    for (const byte of bytes) this.word(byte);
    this.word(0x100 + bytes.length);
  }
  text(text: string): void {
    this.bytes(new TextEncoder().encode(text));
  }
  finish(): OutcomeDigest {
    this.word(0);
    this.word(0);
    return [this.#a >>> 0, this.#b >>> 0];
  }
}
