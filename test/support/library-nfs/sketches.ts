/** Sketches, filters, buckets and backends over addresses and sizes. */
import {
  Bucket,
  array,
  be16,
  be32,
  bloomFilter,
  countMinSketch,
  drop,
  hash,
  hashMap,
  maglev,
  nf,
  pass,
  struct,
  tokenBucket,
  u32,
  u64,
  u8,
} from "divisi/nf";

const Pair = struct("pair", { source: be32, destination: be32, zone: u8 });
const Cell = struct("cell", { last: u64, port: be16, count: u32 });

export default nf({
  name: "sketches",
  config: { rate: u64(1_000_000_000n), burst: u64(200n), height: u32(97) },
  state: (config) => ({
    counts: countMinSketch({ key: Pair, rows: 3, columns: 17 }),
    cells: countMinSketch({ key: be32, rows: 2, columns: 5, cell: Cell }),
    members: bloomFilter({ key: Pair, bits: 100, hashes: 3 }),
    buckets: hashMap({ key: be32, value: Bucket, capacity: 64 }),
    policy: tokenBucket({ rate: config.rate, burst: config.burst }),
    backends: maglev({ height: config.height }),
    answers: array({ value: u64, capacity: 5 }),
  }),
  handle(pkt, ctx) {
    const { counts, cells, members, buckets, policy, backends, answers } =
      ctx.state;
    const source = pkt.u8(0);
    const destination = pkt.u8(1);
    if (source === undefined || destination === undefined) return pass;
    const pair = Pair({ source, destination, zone: 3 });
    counts.add(pair, pkt.length);
    const total = answers.at(0);
    total.value = u64(total.value * 31n + counts.estimate(pair));
    for (let row = 0; row < 2; row++) {
      const cell = cells.at(row, source);
      cell.count = u32(cell.count + 1);
      cell.last = ctx.now;
      cell.port = destination;
    }
    const seen = answers.at(1);
    if (members.has(pair)) seen.value = u64(seen.value + 1n);
    if ((destination & 1) === 0) members.add(pair);
    const mixed = hash(Pair, pair, 9);
    const slot = answers.at(2);
    slot.value = u64(
      slot.value * 31n +
        u64(backends.turn(mixed, source, backends.inverse(source))),
    );
    const hashed = answers.at(3);
    hashed.value = u64(hashed.value + u64(mixed));
    const bucket = buckets.get(source);
    if (bucket === undefined) {
      buckets.insert(source, policy.fresh(pkt.length, ctx.now));
      return pass;
    }
    return policy.take(bucket, pkt.length, ctx.now) ? pass : drop;
  },
});
