/**
 * `counter`: one number that only grows, modulo 2^64. In BPF an ARRAY of one u64
 * that is added to atomically. A counter whose old value is never asked for can
 * be kept once per core and summed.
 */
import type { MapEntry, Part } from "./declaration.ts";
import { u32, u64 } from "./scalar.ts";
import { bytesOf } from "./value.ts";

export class Counter {
  readonly kind = "counter";
  readonly key = u32;
  readonly value = u64;
  readonly capacity = 1;
  #count = 0n;
  /** Added since `#count` was last brought up to date; a number is cheaper. */
  #more = 0;

  increment(): void {
    this.add(1);
  }

  add(amount: number | bigint): void {
    if (typeof amount === "number" && amount >= 0 && amount < 2 ** 40) {
      this.#more += amount;
      if (this.#more > 2 ** 52) this.#settle();
    } else this.#count = BigInt.asUintN(64, this.#count + BigInt(amount));
  }

  /** Adds, and answers the value from before. */
  fetchAdd(amount: number | bigint): bigint {
    const old = this.#settle();
    this.add(amount);
    return old;
  }

  /** For tests: the value. A network function has `fetchAdd`. */
  get count(): bigint {
    return this.#settle();
  }

  parts(name: string): readonly Part[] {
    return [{ name, declaration: this }];
  }

  renew(): Counter {
    return new Counter();
  }

  dump(): readonly MapEntry[] {
    return [{ key: bytesOf(u32, 0), value: bytesOf(u64, this.#settle()) }];
  }

  #settle(): bigint {
    this.#count = BigInt.asUintN(64, this.#count + BigInt(this.#more));
    this.#more = 0;
    return this.#count;
  }
}

/** A number that is added to. */
export function counter(): Counter {
  return new Counter();
}
