/** Bytes of the frame say what is done with an allocator: operation, index. */
import { array, indexAllocator, nf, pass, u32, u64, u8 } from "divisi/nf";
import type { ArrayMap, IndexAllocator } from "divisi/nf";

const nothing = 1000;

function operate(
  ids: IndexAllocator,
  operation: number,
  index: number,
  now: bigint,
): number {
  switch (operation) {
    case 0:
    case 1: {
      const got = ids.allocate(now);
      return got === undefined ? nothing : got;
    }
    case 2:
      ids.refresh(index, now);
      return 0;
    case 3:
      ids.free(index);
      return 0;
    case 4:
      return ids.isAllocated(index, now) ? 1 : 0;
    default: {
      const oldest = ids.oldestExpired(now);
      return oldest === undefined ? nothing : oldest;
    }
  }
}

function answer(
  answers: ArrayMap<typeof u32>,
  at: number,
  value: number,
): void {
  const cell = answers.at(at);
  cell.value = u32(cell.value * 31 + value);
}

export default nf({
  name: "allocator",
  config: { capacity: u32(3), expiry: u64(10n) },
  state: (config) => ({
    strict: indexAllocator({
      capacity: config.capacity,
      expireAfter: config.expiry,
    }),
    evicting: indexAllocator({
      capacity: config.capacity,
      expireAfter: config.expiry,
      onFull: "evict-oldest",
    }),
    answers: array({ value: u32, capacity: 2 }),
  }),
  handle(pkt, ctx) {
    const { strict, evicting, answers } = ctx.state;
    const operation = pkt.u8(0);
    const index = pkt.u8(1);
    if (operation === undefined || index === undefined) return pass;
    answer(answers, 0, operate(strict, operation % 6, index, ctx.now));
    answer(answers, 1, operate(evicting, u8(operation) % 6, index, ctx.now));
    return pass;
  },
});
