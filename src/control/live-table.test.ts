/**
 * What the controller decides from counts, and when it takes a move for settled, over
 * maps that are memory of this process.
 */
import { deepEqual, equal, throws } from "node:assert/strict";
import { test } from "node:test";
import { UnsupportedError } from "../base/index.ts";
import { LiveTable, type LiveMap } from "./live-table.ts";

const entries = 8;
const sources = 256;

class Fake {
  readonly words: BigUint64Array;
  readonly #size: number;
  readonly #entries: number;

  constructor(size: number, count: number) {
    this.#size = size;
    this.#entries = count;
    this.words = new BigUint64Array((size / 8) * count);
  }

  get map(): LiveMap {
    const { words } = this;
    const bytes = new Uint8Array(words.buffer);
    return {
      spec: { maxEntries: this.#entries },
      entries: () =>
        Array.from({ length: this.#entries }, (_, at) => [
          new Uint8Array(Uint32Array.of(at).buffer),
          [bytes.slice(at * this.#size, (at + 1) * this.#size)],
        ]),
      inMemory: (work) => work(bytes),
    };
  }
}

function rig() {
  const maps = {
    divisi_table: new Fake(8, entries),
    divisi_owners: new Fake(8, entries),
    divisi_counts: new Fake(8, entries),
    divisi_sources: new Fake(32, sources),
    divisi_done: new Fake(8 * sources, 2),
    divisi_waits: new Fake(24, 2),
  };
  for (let entry = 0; entry < entries; entry++) {
    maps.divisi_table.words[entry] = BigInt(entry % 2);
    maps.divisi_owners.words[entry] = BigInt(entry % 2);
  }
  let time = 0;
  const live = new LiveTable({
    map: (name) => maps[name].map,
    cores: 2,
    now: () => time,
  });
  return {
    live,
    table: maps.divisi_table.words,
    owners: maps.divisi_owners.words,
    /** Packets of entries, so far. */
    count: (...counts: readonly number[]): void => {
      for (const [entry, count] of counts.entries())
        maps.divisi_counts.words[entry] = BigInt(count);
    },
    /** Source 0: runs begun and ended, frames sent to either CPU. */
    sent: (...words: readonly number[]): void => {
      for (const [at, word] of words.entries())
        maps.divisi_sources.words[at] = BigInt(word);
    },
    done: (cpu: number, number: number): void => {
      maps.divisi_done.words[cpu * sources] = BigInt(number);
    },
    through: (): bigint | undefined => maps.divisi_done.words[0],
    later: (milliseconds: number): void => {
      time += milliseconds;
    },
  };
}

/** Entry 4 has moved from CPU 0 to CPU 1. */
function moved() {
  const all = rig();
  all.live.turn();
  all.count(0, 200, 500, 0, 300);
  all.sent(1000, 1000, 800, 200);
  all.done(0, 700);
  all.done(1, 200);
  const { moves } = all.live.turn();
  deepEqual(moves, [{ entry: 4, from: 0, to: 1 }]);
  equal(all.table[4], 1n);
  return all;
}

test("the busier CPU gives what evens the load", () => {
  moved();
});

test("nothing is decided before a move has settled", () => {
  const { live, count } = moved();
  count(0, 200, 9000, 0, 300);
  const turn = live.turn();
  deepEqual([turn.unsettled, turn.moves.length], [1, 0]);
});

test("an entry without packets settles when its old CPU is through", () => {
  const { live, owners, done } = moved();
  equal(live.settle(), 1);
  done(0, 799);
  equal(live.settle(), 1);
  equal(owners[4], 0n);
  done(0, 800);
  equal(live.settle(), 0);
  equal(owners[4], 1n);
});

test("… and when no run has the old table any more", () => {
  const { live, owners, done, sent } = moved();
  done(0, 800);
  sent(1001, 1000);
  equal(live.settle(), 1);
  equal(owners[4], 0n);
  sent(1001, 1001);
  equal(live.settle(), 0);
});

test("a frame that was dropped, with none behind it, is closed in the end", () => {
  const { live, through, later } = moved();
  live.turn();
  later(499);
  live.turn();
  deepEqual([live.closed, through()], [0, 700n]);
  later(1);
  live.turn();
  deepEqual([live.closed, through()], [100, 800n]);
  equal(live.settle(), 0);
});

test("frames without tickets are no frames that were dropped", () => {
  const { live, sent, later } = rig();
  sent(10, 10, 5, 5);
  live.turn();
  later(500);
  throws(() => live.turn(), UnsupportedError);
});
