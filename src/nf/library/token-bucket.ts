/**
 * `tokenBucket`: `rate` tokens per second up to `burst`; a packet costs its size.
 * Written in the subset. It keeps nothing itself: buckets are values of the struct
 * `Bucket`, in whatever map the network function puts them.
 *
 *   dt = now − last (modulo 2^64)
 *   tokens = dt < burst × 10⁹ / rate ? min(burst, tokens + dt × rate / 10⁹) : burst
 *   last = now;  a packet passes where tokens > size, and pays size
 *
 * Divisions round down. A clock that runs backwards fills the bucket.
 */
import { InputError } from "../../base/index.ts";
import { min } from "./arithmetic.ts";
import type { Part } from "./declaration.ts";
import { u64 } from "./scalar.ts";
import { struct, type ValueOf } from "./struct.ts";

/** What a bucket is in a map: 16 bytes. */
export const Bucket = struct("token_bucket", { tokens: u64, last: u64 });
export type Bucket = ValueOf<typeof Bucket>;

export interface BucketOptions {
  /** Tokens (bytes) per second. */
  readonly rate: bigint;
  readonly burst: bigint;
}

export class TokenBucket {
  readonly kind = "composite";
  readonly rate: bigint;
  readonly burst: bigint;
  /** Nanoseconds in which an empty bucket fills. */
  readonly fill: bigint;

  constructor({ rate, burst }: BucketOptions) {
    if (rate < 1n || burst < 1n || burst * 1_000_000_000n >= 1n << 64n)
      throw new InputError(`tokenBucket of rate ${rate} and burst ${burst}`, {
        code: "nf-token-bucket",
        fix: "give a rate of 1 or more and a burst from 1 to 18446744073",
      });
    this.rate = rate;
    this.burst = burst;
    this.fill = (burst * 1_000_000_000n) / rate;
  }

  /** Fills the bucket up to `now`; does the packet pass? It pays where it does. */
  take(bucket: Bucket, size: number, now: bigint): boolean {
    const dt = u64(now - bucket.last);
    let tokens = this.burst;
    if (dt < this.fill) {
      const gained = (dt * this.rate) / 1_000_000_000n;
      tokens = min(this.burst, u64(bucket.tokens + gained));
    }
    bucket.last = now;
    const passes = tokens > u64(size);
    bucket.tokens = passes ? u64(tokens - u64(size)) : tokens;
    return passes;
  }

  /** A new bucket that has paid for one packet of `size`, at most `burst`. */
  fresh(size: number, now: bigint): Bucket {
    return { tokens: u64(this.burst - u64(size)), last: now };
  }

  parts(name: string): readonly Part[] {
    return [{ name, declaration: this }];
  }

  renew(): TokenBucket {
    return new TokenBucket(this);
  }
}

/** The policy of token buckets: see `take` and `fresh`. */
export function tokenBucket(options: BucketOptions): TokenBucket {
  return new TokenBucket(options);
}
