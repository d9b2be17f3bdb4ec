/** Sketches, filters, backends and buckets against their definitions. */
import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { InputError, Random } from "../../base/index.ts";
import { bloomFilter } from "./bloom-filter.ts";
import { countMinSketch } from "./count-min-sketch.ts";
import { hash } from "./hash.ts";
import { maglev } from "./maglev.ts";
import { be32, u32, u64 } from "./scalar.ts";
import { struct } from "./struct.ts";
import { tokenBucket, type Bucket } from "./token-bucket.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);
const Pair = struct("pair", { source: be32, destination: be32 });

function bump(cells: bigint[], at: number, amount: number): void {
  cells[at] = (cells[at] ?? 0n) + BigInt(amount);
}

test("a sketch counts by its definition, and never too little", () => {
  const sketch = countMinSketch({ key: Pair, rows: 4, columns: 13 });
  const naive = Array.from({ length: 4 * 13 }, () => 0n);
  const truth = new Map<number, bigint>();
  const random = new Random(seed);
  for (let step = 0; step < 1000; step++) {
    const source = random.below(40);
    const key = { source, destination: 5 };
    const amount = random.below(9);
    sketch.add(key, amount);
    for (let row = 0; row < 4; row++)
      bump(naive, row * 13 + (hash(Pair, key, row + 1) % 13), amount);
    truth.set(source, (truth.get(source) ?? 0n) + BigInt(amount));
    ok(sketch.estimate(key) >= (truth.get(source) ?? 0n));
  }
  deepEqual(
    naive.map((_, index) => sketch.cells.at(index).value),
    naive,
  );
});

test("cells of one's own: a reference per row", () => {
  const Cell = struct("cell", { last: u64, count: u32 });
  const sketch = countMinSketch({ key: be32, rows: 2, columns: 8, cell: Cell });
  sketch.at(1, 77).count = 3;
  equal(sketch.cells.at(8 + (hash(be32, 77, 2) % 8)).count, 3);
  equal(sketch.renew().at(1, 77).count, 0);
  equal(sketch.cells.capacity, 16);
});

test("a filter remembers what was added, bit by bit", () => {
  const filter = bloomFilter({ key: be32, bits: 100, hashes: 3 });
  equal(filter.words.capacity, 2);
  const added = [0xffff_ffff, ...Array(19).keys()];
  const bits = new Set<number>();
  for (const key of added) {
    filter.add(key);
    for (const seed of [1, 2, 3]) bits.add(hash(be32, key, seed) % 100);
  }
  for (const key of added) equal(filter.has(key), true);
  let strangers = 0;
  for (let key = 1000; key < 3000; key++) {
    const all = [1, 2, 3].every((seed) =>
      bits.has(hash(be32, key, seed) % 100),
    );
    equal(filter.has(key), all);
    if (all) strangers++;
  }
  ok(strangers > 10 && strangers < 1000, `${strangers} strangers`);
  const words = [filter.words.at(0).value, filter.words.at(1).value];
  const set = [...Array(128).keys()].filter(
    (bit) => (((words[bit >>> 6] ?? 0n) >> BigInt(bit & 63)) & 1n) === 1n,
  );
  deepEqual(
    set,
    [...bits].sort((a, b) => a - b),
  );
});

/** The lists as the definition makes them. */
function lists(
  height: number,
  backends: number,
): readonly (readonly number[])[] {
  const made: number[][] = Array.from({ length: height }, () => []);
  for (let j = 0; j < height; j++)
    for (let b = 0; b < backends; b++) {
      const [offset, step] = [(31 * b) % height, 1 + (b % (height - 1))];
      made[(offset + step * j) % height]?.push(b);
    }
  return made;
}

test("the least turn is the first live backend of the slot's list", () => {
  const random = new Random(seed);
  for (const [height, backends] of [
    [97, 32],
    [2, 3],
    [3, 7],
    [5, 5],
    [251, 60],
  ] as const) {
    // prettier-ignore
    const choice = maglev({ height });
    const all = lists(height, backends);
    for (let round = 0; round < 200; round++) {
      const hashed = random.u32();
      const live = new Set(
        [...Array(backends).keys()].filter(() => random.chance(0.3)),
      );
      const turns = [...live].map(
        (b) => [choice.turn(hashed, b, choice.inverse(b)), b] as const,
      );
      const best = turns.sort(([a, x], [b, y]) => a - b || x - y)[0]?.[1];
      equal(
        best,
        all[hashed % height]?.find((b) => live.has(b)),
      );
    }
  }
  for (const height of [0, 1, 4, 96, 65_537, 2.5])
    throws(() => maglev({ height }), InputError);
  equal(maglev({ height: 65_521 }).inverse(65_519), 65_520);
});

test("a bucket fills and pays as the formula says", () => {
  const amounts = fc.record({
    rate: fc.bigInt({ min: 1n, max: 10n ** 10n }),
    burst: fc.bigInt({ min: 1n, max: 10n ** 10n }),
  });
  const arrivals = fc.array(
    fc.tuple(
      fc.bigInt({ min: 0n, max: 10n ** 10n }),
      fc.integer({ min: 0, max: 9000 }),
    ),
    { maxLength: 50 },
  );
  fc.assert(
    fc.property(amounts, arrivals, ({ rate, burst }, packets) => {
      const policy = tokenBucket({ rate, burst });
      const bucket: Bucket = policy.fresh(0, 0n);
      let [tokens, last, now] = [burst, 0n, 0n];
      for (const [wait, size] of packets) {
        now += wait;
        const dt = now - last;
        const filled = tokens + (dt * rate) / 1_000_000_000n;
        tokens =
          dt < (burst * 1_000_000_000n) / rate && filled < burst
            ? filled
            : burst;
        last = now;
        const passes = tokens > BigInt(size);
        if (passes) tokens -= BigInt(size);
        equal(policy.take(bucket, size, now), passes);
        deepEqual(bucket, { tokens, last });
      }
    }),
    { seed, numRuns: 200 },
  );
});

test("buckets at the edges", () => {
  const policy = tokenBucket({ rate: 1000n, burst: 100n });
  deepEqual(policy.fresh(60, 5n), { tokens: 40n, last: 5n });
  const bucket: Bucket = { tokens: 40n, last: 5n };
  equal(policy.take(bucket, 40, 5n), false, "strictly more");
  equal(policy.take(bucket, 39, 5n), true);
  equal(
    policy.take(bucket, 90, 4n),
    true,
    "a clock that ran backwards fills it",
  );
  deepEqual(bucket, { tokens: 10n, last: 4n });
  const [most, over] = [
    (1n << 64n) / 1_000_000_000n,
    (1n << 64n) / 1_000_000_000n + 1n,
  ];
  ok(
    tokenBucket({ rate: 1n, burst: most }).take(
      { tokens: 0n, last: 0n },
      9,
      1n << 63n,
    ),
  );
  for (const wrong of [
    { rate: 0n, burst: 1n },
    { rate: 1n, burst: 0n },
    { rate: 1n, burst: over },
  ])
    throws(() => tokenBucket(wrong), InputError);
});
