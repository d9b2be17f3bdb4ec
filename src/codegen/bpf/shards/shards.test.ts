import { deepEqual, equal, throws } from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../../base/index.ts";
import { capacitiesOf, firstIndices } from "./capacities.ts";
import { chainLayout, entriesOf, headOf } from "./chain-layout.ts";
import { originalCells, splitCells } from "./original-cells.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

// prettier-ignore
const splits: readonly (readonly [capacity: number, cores: number, want: readonly number[]])[] = [
  [65536, 1, [65536]],
  [65536, 3, [21846, 21845, 21845]],
  [10, 4, [3, 3, 2, 2]],
  [2, 3, [1, 1, 0]],
  [65536, 10, [6554, 6554, 6554, 6554, 6554, 6554, 6553, 6553, 6553, 6553]],
];
for (const [capacity, cores, want] of splits)
  void test(`${capacity} over ${cores} cores`, () => {
    const have = capacitiesOf(capacity, cores);
    deepEqual(have, want);
    equal(
      have.reduce((sum, each) => sum + each, 0),
      capacity,
    );
    const firsts = firstIndices(have);
    for (const [core, first] of firsts.entries())
      equal((firsts[core + 1] ?? capacity) - first, have[core]);
  });

void test("heads stand behind the cells, no two on one cache line", () => {
  for (const cellSize of [16, 24, 32, 40, 64, 200]) {
    const layout = chainLayout(36, 5, { capacity: 35, cellSize });
    let end = 36 * cellSize;
    for (let core = 0; core < 5; core++) {
      const at = headOf(layout, core) * cellSize;
      equal(at - end >= 64, true);
      end = at + 2 * cellSize;
    }
    equal(end, entriesOf(layout) * cellSize);
  }
  throws(() => chainLayout(35, 2, { capacity: 35, cellSize: 32 }));
});

interface Drawn {
  readonly cells: readonly Uint8Array[];
  readonly allocated: readonly number[];
}

/** A chain as the sequential program may leave it: what it counts, lists and frees. */
function drawn(random: Random, count: number): Drawn {
  const fresh = random.below(count);
  const used = Array.from({ length: fresh }, (_, at) => at + 1);
  const order = used
    .map((number) => ({ number, by: random.unit() }))
    .sort((a, b) => a.by - b.by)
    .map(({ number }) => number);
  const allocated = order.slice(0, random.below(fresh + 1));
  const free = order.slice(allocated.length).sort((a, b) => a - b);
  const cells = Array.from({ length: count }, (_, key) => {
    const cell = new Uint8Array(24);
    if (key > 0) cell.fill(key, 16);
    return cell;
  });
  const view = (number: number): DataView =>
    new DataView((cells[number] ?? new Uint8Array(24)).buffer);
  for (const [at, number] of allocated.entries()) {
    view(number).setBigUint64(0, BigInt(100 + at), true);
    view(number).setUint32(8, allocated[at + 1] ?? 0, true);
    view(number).setUint32(12, allocated[at - 1] ?? 0, true);
  }
  for (const [at, number] of free.entries()) {
    view(number).setUint32(8, free[at + 1] ?? 0, true);
    view(number).setUint32(12, 0xffff_ffff, true);
  }
  view(0).setUint32(0, fresh, true);
  view(0).setUint32(4, free[0] ?? 0, true);
  view(0).setUint32(8, allocated[0] ?? 0, true);
  view(0).setUint32(12, allocated.at(-1) ?? 0, true);
  return { cells, allocated };
}

void test(`a chain over cores and together again (seed ${seed})`, () => {
  const random = new Random(seed);
  for (let round = 0; round < 300; round++) {
    const count = 2 + random.below(40);
    const cores = 1 + random.below(9);
    const { cells } = drawn(random, count);
    const layout = chainLayout(count, cores, {
      capacity: count - 1,
      cellSize: 24,
    });
    const split = splitCells(cells, layout);
    equal(
      [...split.keys()].every((key) => key > 0 && key < entriesOf(layout)),
      true,
    );
    const again = originalCells(
      (key) => split.get(key) ?? new Uint8Array(24),
      layout,
    );
    deepEqual(
      again,
      cells.map((cell) => cell.slice()),
      `round ${round}: ${count} cells, ${cores} cores`,
    );
  }
});

void test("cells that no core has used yet are free in the original", () => {
  // Core 1 of two has used its first index; core 0 none.
  const layout = chainLayout(5, 2, { capacity: 4, cellSize: 16 });
  const cells = new Map<number, Uint8Array>();
  const put = (key: number, ...words: readonly number[]): void => {
    cells.set(key, new Uint8Array(Uint32Array.from(words).buffer));
  };
  put(headOf(layout, 1), 3, 0, 3, 3);
  put(3, 7, 0, 0, 0);
  const whole = originalCells(
    (key) => cells.get(key) ?? new Uint8Array(16),
    layout,
  );
  deepEqual(
    whole.map((cell) => [...new Uint32Array(cell.buffer)]),
    [
      [3, 1, 3, 3],
      [0, 0, 2, 0xffff_ffff],
      [0, 0, 0, 0xffff_ffff],
      [7, 0, 0, 0],
      [0, 0, 0, 0],
    ],
  );
});

void test("lists that lead anywhere end", () => {
  const layout = chainLayout(5, 2, { capacity: 4, cellSize: 16 });
  const random = new Random(seed);
  for (let round = 0; round < 200; round++) {
    const bytes = new Map<number, Uint8Array>();
    for (let key = 0; key < entriesOf(layout); key++)
      bytes.set(
        key,
        new Uint8Array(
          Uint32Array.from({ length: 4 }, () => random.below(7)).buffer,
        ),
      );
    equal(originalCells((key) => bytes.get(key), layout).length, 5);
  }
});
