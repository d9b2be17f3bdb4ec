/**
 * Locks and transactions on real threads: whatever the threads' timing, a run equals the
 * sequential program in the order of its commits, exactly.
 */
import { deepEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import { Random } from "#base";
import type { ProgramSpec } from "#isa";
import { apart, guardAll, tryGuarded } from "./support/guarded.ts";
import { caseOf, mixOf, type Variant } from "./support/nf-mixes.ts";
import { nfNames, objectOfTs, programOf } from "./support/nf-suite.ts";
import { nfTraffic } from "./support/nf-traffic.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);
const count = 1500;
const kinds = ["lock", "transaction"] as const;

async function expectOrdered(
  name: string,
  variant: Variant,
  program: ProgramSpec,
): Promise<void> {
  const random = new Random(seed);
  const mix = mixOf(caseOf(name), variant);
  const packets = apart(nfTraffic(mix, { seed, count }));
  for (const kind of kinds) {
    const cores = 2 + random.below(3);
    const steer = Uint8Array.from(packets, () => random.below(cores));
    const { differences, run } = await tryGuarded({
      program,
      packets,
      steer,
      cores,
      guard: guardAll(program, kind),
      ...(variant.contents === undefined ? {} : { contents: variant.contents }),
    });
    deepEqual(differences, [], `${kind}, ${cores} cores`);
    const committed = run.cores.reduce(
      (sum, { guard }) =>
        sum + (guard?.reads ?? 0) + (guard?.writes ?? 0) + (guard?.serial ?? 0),
      0,
    );
    ok(committed === count, `${committed} packets are counted`);
  }
}

for (const name of nfNames)
  test(`${name}: commits have an order (seed ${seed})`, async () => {
    const { variants } = caseOf(name);
    const variant = variants[seed % variants.length];
    if (variant === undefined) throw new RangeError(name);
    await expectOrdered(name, variant, programOf(name, variant));
  });

for (const name of ["dynamic-bridge", "nat", "load-balancer"])
  test(`${name} in TypeScript: commits have an order (seed ${seed})`, async () => {
    const [variant] = caseOf(name).variants;
    if (variant === undefined) throw new RangeError(name);
    const { program } = await objectOfTs(name, variant);
    await expectOrdered(name, variant, program);
  });
