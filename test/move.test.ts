/**
 * Entries of the software dispatcher's table move while packets pass, in the kernel: real
 * frames over veth, workers on two CPUs, a program that sees what is out of order within
 * its key (support/moving.ts). More packets: `node scripts/move-agree.mjs`.
 */
import { deepEqual, equal, fail, match, ok } from "node:assert/strict";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { openKernel, type Kernel } from "#engine";
import { divisi, temporaryFolder } from "./support/cli.ts";
import { bearable, tryMoving, type MovingTrial } from "./support/moving.ts";
import { onePacketEarly, withoutWaiting } from "./support/moving-mutants.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 5);

function movingTest(
  name: string,
  body: (kernel: Kernel) => Promise<void>,
): void {
  void test(`${name} (seed ${seed})`, async () => {
    const kernel = await openKernel();
    try {
      await body(kernel);
    } finally {
      kernel.close();
    }
  });
}

movingTest("a hot spot that moves is followed", async (kernel) => {
  const ran = await tryMoving(kernel, {
    packets: 60_000,
    epochs: 4,
    interval: 2000,
    seed,
  });
  deepEqual(
    [ran.sent, ran.lost, ran.reordered, ran.differing, ran.waits.givenUp],
    [60_000, 0, 0, 0, 0],
  );
  ok(ran.updates > 0 && ran.moved > 0 && ran.waits.waits > 0);
  // Each of the four was there to be followed, and was, within ten updates.
  ok(ran.worst > 1.4, String(ran.worst));
  equal(ran.updatesUntilEven.length, 4);
  for (const updates of ran.updatesUntilEven)
    ok(updates !== undefined && updates <= 10, `${bearable}: ${updates}`);
});

const hand: MovingTrial = { packets: 15_000, hand: "restless", seed };

// prettier-ignore
const rows: readonly (readonly [string, MovingTrial])[] = [
  ["one key, moved as soon as it has settled", { ...hand, keys: 1 }],
  ["one of a hundred", { ...hand, keys: 100 }],
  ["two CPUs receive", { ...hand, keys: 100, senders: 2 }],
];

for (const [name, trial] of rows)
  movingTest(`in order: ${name}`, async (kernel) => {
    const ran = await tryMoving(kernel, trial);
    deepEqual(
      [ran.lost, ran.reordered, ran.differing, ran.waits.givenUp],
      [0, 0, 0, 0],
    );
    ok(ran.moved > 5 && ran.waits.waits > 0);
  });

// prettier-ignore
const mutants: readonly (readonly [string, MovingTrial])[] = [
  ["an entry taken without waiting", { ...hand, keys: 1, spoil: withoutWaiting }],
  ["a packet that is done before its run ends", { ...hand, keys: 1, spoil: onePacketEarly }],
  ["an entry that moves on before it has settled", { ...hand, keys: 100, hand: "reckless" }],
];

for (const [name, trial] of mutants)
  movingTest(`caught: ${name}`, async (kernel) => {
    // A race is a matter of luck on a busy machine; a wrong protocol loses one of some.
    for (let tries = 0; tries < 40; tries++) {
      const keys = trial.keys === 1 ? 1 : ([100, 20, 4, 2][tries % 4] ?? 1);
      const ran = await tryMoving(kernel, {
        ...trial,
        keys,
        seed: seed + tries,
      });
      if (ran.reordered > 0) return;
    }
    fail(`${name}: every packet in order`);
  });

const folder = temporaryFolder("move");

// prettier-ignore
const refused: readonly (readonly [string, readonly string[], number, RegExp])[] = [
  ["nfs/c/nat.o", ["--dispatch", "software"], 4, /cannot be rebalanced at run time: each core has a part of its own \(allocator\)/],
  ["testdata/dispatch/mac-meter.o", [], 2, /--rebalance is for --dispatch software/],
];

for (const [object, words, status, text] of refused)
  void test(`split --rebalance refuses ${object} ${words.join(" ")}`, () => {
    const directory = join(folder, "refused");
    // prettier-ignore
    const ran = divisi(["split", object, "-o", directory, "--rebalance", "--cores", "2", ...words]);
    equal(ran.status, status);
    match(ran.stderr, text);
  });
