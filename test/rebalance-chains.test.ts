/**
 * Entries that an allocator numbers move with their cells: indices stay what they were
 * and are unique over all cores, lists stay in the order of last use, what expires
 * expires when it would.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { chainState, rebalanceOnThreads, rebalanceVirtually } from "#engine";
import { rebalanceCase } from "./support/rebalance-case.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

// prettier-ignore
const cases: readonly (readonly [string, string, readonly (readonly [string, string])[]])[] = [
  ["nat",                "gen:moving-zipf,packets=20000,flows=300,epochs=5,port=0", []],
  ["port-scan-detector", "gen:moving-zipf,packets=20000,flows=300,epochs=5,port=1", []],
  // One level, /28: of a /8 there is one key.
  ["hhh",                "gen:moving-zipf,packets=20000,flows=300,epochs=5,port=1", [["levels", "0x08000000"]]],
  // Entries die of age all the time: 1 ms at a packet per microsecond.
  ["nat",                "gen:moving-zipf,packets=20000,flows=300,epochs=5,port=0", [["expiry", "1000000"]]],
];
/** Small maps: every core has all of them. */
const capacity = 2048;
function sizesOf(nf: string): readonly (readonly [string, number])[] {
  const map = nf === "nat" ? "flows" : "sources";
  return [
    [map, capacity],
    [`${map}_chain`, capacity + 1],
    ...(nf === "port-scan-detector" ? [["touched", capacity] as const] : []),
  ];
}

for (const [nf, trace, set] of cases)
  test(`${[nf, ...set.map((one) => one.join("="))].join(" ")} on 4 cores, virtual and real (seed ${seed})`, async () => {
    const made = rebalanceCase(nf, `${trace},seed=${seed}`, {
      cores: 4,
      seed,
      set: [...set, ["capacity", `${capacity}`]],
      sizes: sizesOf(nf),
      showsIndex: nf === "nat",
    });
    const options = { ...made.options, interval: 300, delay: 250 };
    const [chain] = options.chains ?? [];
    ok(chain !== undefined);
    const firstOf = chain.shares.map((_, core) =>
      chain.shares.slice(0, core).reduce((sum, share) => sum + share, 0),
    );
    for (const draw of [1, 2]) {
      const run = rebalanceVirtually({ ...options, seed: seed + draw });
      deepEqual(made.wrong(run), []);
      ok(run.records > 0);
      const entries: readonly { readonly index: number }[] = [
        ...chainState(chain, run.contents).values(),
      ];
      const indices = new Set(entries.map(({ index }) => index));
      equal(indices.size, entries.length, "an index belongs to one entry");
      // Some entry lives on a core that did not hand its index out.
      const strangers = run.contents.flatMap((contents, core) =>
        [...chainState(chain, [contents]).values()].filter(
          ({ index }) =>
            index < (firstOf[core] ?? 0) ||
            index >= (firstOf[core] ?? 0) + (chain.shares[core] ?? 0),
        ),
      );
      ok(strangers.length > 0, "nothing moved for good");
    }
    deepEqual(made.wrong(await rebalanceOnThreads(options)), []);
  });
