/**
 * Maps under threads: two and four cores work on one map in one memory. What nobody
 * changes is always found with its own value, what is updated is never missed, what is
 * not there is never found; afterwards no element and no cell is lost. Meanwhile this
 * thread reads the map too: each value must belong to its key.
 *
 * An LRU map is at its capacity: what every core uses between two insertions stays.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { toHex } from "../../base/index.ts";
import { compile, type Layout } from "../../codegen/index.ts";
import type { MapSpec } from "../../isa/index.ts";
import { audit } from "./map-audit.test.kit.ts";
import {
  keyBytes,
  keys,
  stressProgram,
  valueOf,
  type StressStart,
} from "./map-stress.test.kit.ts";
import { MemoryView } from "./memory-view.ts";
import { loadPortable } from "./program.ts";
import { mapOf } from "./twin.test.kit.ts";
import { hasCells, makeMap } from "./value-maps.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);
const lasting = keys.still + keys.busy;

async function stress(
  spec: MapSpec,
  cores: number,
  options: { readonly packets: number },
): Promise<Readonly<Record<number, number>>> {
  const program = stressProgram(spec);
  const seats = cores + 1;
  const here = loadPortable(program, {
    cpus: 1,
    memory: { core: cores, cores: seats },
    contents: {
      [spec.name]: Array.from({ length: lasting }, (_, index) => {
        const key = keyBytes(spec, index);
        return { key, value: valueOf(key) };
      }),
    },
  });
  const { memory } = here.view;
  const workers = Array.from({ length: cores }, (_, core) => {
    const start: StressStart = {
      spec,
      core,
      cores: seats,
      memory,
      seed,
      packets: options.packets,
      mutant: false,
    };
    return new Worker(new URL("./map-stress.test.kit.js", import.meta.url), {
      workerData: start,
    });
  });
  const verdicts: Record<number, number> = {};
  const left = new Set(workers);
  const ends = workers.map(async (worker) => {
    const [counts] = (await once(worker, "message")) as [
      Readonly<Record<number, number>>,
    ];
    for (const [verdict, count] of Object.entries(counts))
      verdicts[Number(verdict)] = (verdicts[Number(verdict)] ?? 0) + count;
    left.delete(worker);
  });
  try {
    const finished = Promise.all(ends);
    while (left.size > 0) {
      for (const { key, value } of here.entries(spec.name))
        equal(toHex(value), toHex(valueOf(key)), `value of ${toHex(key)}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await finished;
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
  const { layout } = compile(program, {
    cpus: 1,
    memory: { core: cores, cores: seats },
  });
  const view = new MemoryView(memory.buffer, layout);
  const map = layout.maps[0] && makeMap(view, layout.maps[0]);
  ok(hasCells(map));
  deepEqual(audit(view, map), []);
  for (let index = 0; index < lasting; index++) {
    const key = keyBytes(spec, index);
    const value = here.maps.lookup(spec.name, key);
    equal(value && toHex(value), toHex(valueOf(key)), `key ${index}`);
  }
  return verdicts;
}

// Few buckets, so that chains are long and cells change chains.
// prettier-ignore
const maps: readonly MapSpec[] = [
  mapOf("table", "hash", [4, 8, 80]),
  mapOf("table8", "hash", [8, 8, 80]),
  mapOf("lru", "lru_hash", [4, 8, 64]),
  mapOf("lpm", "lpm_trie", [8, 8, 80], { flags: 1 }),
];

for (const spec of maps)
  for (const cores of [2, 4])
    test(`${spec.type} of ${spec.keySize}-byte keys under ${cores} threads (seed ${seed})`, async () => {
      const verdicts = await stress(spec, cores, {
        packets: spec.type === "lpm_trie" ? 20_000 : 60_000,
      });
      deepEqual(Object.keys(verdicts), ["1"], JSON.stringify(verdicts));
    });

/**
 * A lookup of compiled code that has strayed: the chain it follows was moved away under
 * it and goes in a circle, as one of free cells may. Once the bucket's version says so
 * it must begin again. Answers the verdict, or undefined if it strays for ever.
 */
async function strayed(mutant: boolean): Promise<number | undefined> {
  const spec = mapOf("table", "hash", [4, 8, 4]);
  const program = stressProgram(spec);
  const sought = keyBytes(spec, 0);
  const here = loadPortable(program, {
    cpus: 1,
    memory: { core: 1, cores: 2 },
    contents: {
      table: [0, 1, 2].map((index) => {
        const key = keyBytes(spec, index);
        return { key, value: valueOf(key) };
      }),
    },
  });
  const { memory } = here.view;
  const layoutFor = (core: number): Layout =>
    compile(program, { cpus: 1, memory: { core, cores: 2 } }).layout;
  const [layout] = layoutFor(1).maps;
  ok(layout !== undefined);
  const words = new Int32Array(memory.buffer);
  const view = new MemoryView(memory.buffer, layoutFor(1));
  const map = makeMap(view, layout);
  ok(hasCells(map));
  const [found, x, y] = [0, 1, 2].map((index) => {
    view.bytes.set(keyBytes(spec, index), view.cell.outside);
    return map.find(view.cell.outside);
  });
  const next = layout.next >>> 2;
  const home = Array.from(
    { length: layout.bucketCount },
    (_, bucket) => (layout.buckets + bucket * layout.bucketStride) >>> 2,
  );
  // Every bucket leads into the circle of x and y.
  for (const head of home) words[head] = (x ?? 0) + 1;
  words[next + (x ?? 0)] = (y ?? 0) + 1;
  words[next + (y ?? 0)] = (x ?? 0) + 1;
  const start: StressStart = {
    spec,
    core: 0,
    cores: 2,
    memory,
    seed,
    packets: 1,
    only: [...Uint8Array.of(0, 0, 0, 0, ...sought)],
    mutant,
  };
  const worker = new Worker(
    new URL("./map-stress.test.kit.js", import.meta.url),
    { workerData: start },
  );
  try {
    const answer = once(worker, "message") as Promise<
      [Readonly<Record<number, number>>]
    >;
    const current = layoutFor(0).cell.current >>> 2;
    while (Atomics.load(words, current) === 0)
      await new Promise((resolve) => setTimeout(resolve, 5));
    await new Promise((resolve) => setTimeout(resolve, 20));
    words[next + (found ?? 0)] = 0;
    for (const head of home) {
      Atomics.store(words, head, (found ?? 0) + 1);
      Atomics.add(words, head + 1, 1);
    }
    const patience = new Promise<undefined>((resolve) => {
      setTimeout(() => resolve(undefined), mutant ? 300 : 60_000).unref();
    });
    const counts = await Promise.race([answer, patience]);
    return counts === undefined ? undefined : Number(Object.keys(counts[0])[0]);
  } finally {
    await worker.terminate();
  }
}

test("a lookup that has strayed begins again; without versions it strays for ever", async () => {
  equal(await strayed(false), 1);
  equal(await strayed(true), undefined);
});
