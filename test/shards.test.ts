/**
 * Private layouts: a network function over k cores behaves as k sequential ones do, each
 * with its share of the capacity, packet by packet and cell by cell, in the interpreter,
 * the portable engine and the kernel.
 */
import { deepEqual, equal } from "node:assert/strict";
import { after, test, type TestContext } from "node:test";
import { UnsupportedError } from "#base";
import { splitLayouts } from "#codegen";
import { openKernel } from "#engine";
import { asHashes, tableParts } from "./support/as-tables.ts";
import { compiled } from "./support/nf-compile.ts";
import {
  alone,
  capacity,
  cases,
  contentsOf,
  expectSame,
  partsOf,
  settingOf,
  sourceOf,
  traffic,
  type ShardCase,
} from "./support/shard-cases.ts";
import {
  configure,
  inKernel,
  interpreted,
  joined,
  portable,
  splitObject,
  type RunObject,
} from "./support/split-runs.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

const kernel = await openKernel().catch((error: unknown) => {
  if (error instanceof UnsupportedError) return error;
  throw error;
});
after(() => {
  if (!(kernel instanceof UnsupportedError)) kernel.close();
});

async function objectsOf(each: ShardCase) {
  const whole = settingOf(each, { first: 0, capacity });
  const ts = await compiled(each.name, { ...whole.set });
  const objects = [
    ["C", configure(sourceOf(each), each.name, whole)],
    ["TypeScript", configure(ts, each.name, { set: {}, sizes: each.sizes })],
  ] as const;
  return objects.map(
    ([language, object]) => [language, object, partsOf(each, object)] as const,
  );
}

const inTheKernel =
  kernel instanceof UnsupportedError ? undefined : inKernel(kernel);

// Verifying and interpreting take long: two numbers of cores there, four on the engine.
const machines: readonly (readonly [
  string,
  RunObject | undefined,
  readonly number[],
])[] = [
  ["interpreter", interpreted, [3]],
  ["portable engine", portable, [2, 3, 8, 16]],
  ["kernel", inTheKernel, [3, 16]],
];

for (const each of cases)
  void test(`${each.name}: k cores are k programs (seed ${seed})`, async (t: TestContext) => {
    const objects = await objectsOf(each);
    for (const cores of [2, 3, 8, 16]) {
      const packets = traffic(each, cores, 1000);
      const used = new Set(packets.map(({ rxQueue }) => rxQueue));
      equal(used.size, each.owner === undefined ? 1 : cores);
      const { outcomes, states } = alone(each, cores, packets);
      for (const [language, object, { parts, shape }] of objects) {
        const want = { outcomes, state: joined(shape(cores), states) };
        const { entries } = shape(cores).facts;
        const tables = tableParts(object, cores).filter(
          (part) => part.object === entries,
        );
        equal(tables.length, 1);
        for (const own of cores === 3 ? [[], tables] : [[]]) {
          const split = splitObject(object, cores, [...parts, ...own]);
          for (const [name, run, when] of machines) {
            if (!when.includes(cores)) continue;
            if (run === undefined) {
              t.diagnostic(`no ${name} here`);
              continue;
            }
            const what = `${language}, ${cores} cores, ${name}, ${own.length} tables`;
            const ran = run(split, packets, contentsOf(each));
            const state = asHashes(ran.state, object.maps, own);
            expectSame({ ...ran, state }, want, { ...shape(cores), what });
          }
        }
      }
    }
  });

void test("on one core the object is what it was", () => {
  for (const each of cases) {
    const object = configure(
      sourceOf(each),
      each.name,
      settingOf(each, { first: 0, capacity }),
    );
    const facts = {
      capacity,
      evictsOldest: false,
      cellSize: 32,
      functions: { allocate: "" },
    };
    const part = {
      object: each.chain,
      layout: "allocator",
      allocator: facts,
    } as const;
    deepEqual(splitLayouts(object, "", { cores: 1, parts: [part] }), object);
  }
});
