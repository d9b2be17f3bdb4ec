/**
 * `divisi rebalance` on what is attached: entries move to the other CPU and settle, an
 * elephant is named, and a kill leaves a table that is whole.
 */
import { equal, match, ok, fail } from "node:assert/strict";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import { divisi, root, temporaryFolder } from "./support/cli.ts";
import { Network, networkAbsence } from "./support/network.ts";

const absence = await networkAbsence();
const folder = temporaryFolder("rebalance-attached");

const directory = join(folder, "seq");

// By seed 4 the addresses below are 62 to 15.
// prettier-ignore
const split = divisi(["split", "testdata/dispatch/sequence.o", "-o", directory, "--dispatch", "software", "--rebalance", "--cores", "2", "--seed", "4", "--allow-untested", "--trace", "gen:zipf,packets=500,flows=40"]);

function networkTest(
  name: string,
  body: (network: Network) => Promise<void>,
): void {
  void test(name, async (t) => {
    if (absence !== undefined) {
      t.skip(absence);
      return;
    }
    const network = new Network({});
    try {
      await body(network);
    } finally {
      network.close();
    }
  });
}

/** Runs `work` while datagrams of so many addresses arrive. */
async function whileSending<T>(
  network: Network,
  count: number,
  work: () => Promise<T> | T,
): Promise<T> {
  for (let at = 0; at < count; at++)
    // prettier-ignore
    network.inFar("ip", "addr", "add", `10.77.0.${10 + at}/24`, "dev", "f0");
  const peer = join(root, "dist-dev/test/support/udp-sources.js");
  // prettier-ignore
  const sender = network.start("far", [peer, "10.77.0.1", "10.77.0", String(count)]);
  try {
    await once(sender, "message");
    return await work();
  } finally {
    sender.kill();
  }
}

interface Rebalanced {
  readonly packets: number;
  readonly updates: number;
  readonly entriesMoved: number;
  readonly unsettled: number;
  readonly waits: { readonly givenUp: number };
  readonly elephants: readonly { readonly share: number }[];
}

const quick = ["--interval", "50ms", "--json"];

networkTest("entries move, and settle", async (network) => {
  equal(split.status, 0, split.stderr);
  equal(network.attach([directory, "--iface", "n0"]).status, 0);
  const before = network.divisi(["map", "dump", "seq", "divisi_table"]).stdout;
  match(before, /divisi_table: 1024 entries/);
  await whileSending(network, 12, async () => {
    const words = ["rebalance", "seq", ...quick];
    const ran = await network.later([...words, "--duration", "1s"]);
    equal(ran.status, 0, ran.stderr);
    const answer = JSON.parse(ran.stdout) as Rebalanced;
    ok(answer.packets > 100, ran.stdout);
    ok(answer.updates > 0 && answer.entriesMoved > 0, ran.stdout);
    equal(answer.waits.givenUp, 0);
    // Killed at any moment: who comes next finds a whole table, and goes on.
    for (const DIVISI_TEST_KILL of ["3", "4"]) {
      const killed = await network.later(words, { DIVISI_TEST_KILL });
      ok(killed.status !== 0);
    }
    const again = await network.later([...words, "--duration", "500ms"]);
    equal(again.status, 0, again.stderr);
    equal((JSON.parse(again.stdout) as Rebalanced).waits.givenUp, 0);
  });
  const after = network.divisi(["map", "dump", "seq", "divisi_table"]).stdout;
  ok(after !== before);
  const last = ["rebalance", "seq", ...quick, "--duration", "300ms"];
  const idle = JSON.parse(network.divisi(last).stdout) as Rebalanced;
  equal(idle.unsettled, 0);
  const set = ["map", "set", "seq", "divisi_table", "key", "0", "value", "1"];
  const refused = network.divisi(set);
  equal(refused.status, 3);
  match(refused.stderr, /it is written by divisi rebalance/);
});

networkTest("an elephant is named", async (network) => {
  equal(network.attach([directory, "--iface", "n0"]).status, 0);
  const words = ["rebalance", "seq", "--interval", "100ms"];
  await whileSending(network, 1, async () => {
    // A neighbour discovery is a key of its own, and may be moved; the elephant is not.
    // On a busy machine the sender may not have had its turn yet.
    for (let tries = 0; tries < 8; tries++) {
      const ran = await network.later([...words, "--duration", "600ms"]);
      equal(ran.status, 0, ran.stderr);
      match(ran.stdout, /table +[01] updates, [01] entries moved/);
      if (/elephant +entry \d+ alone has (100|9\d) % of/.test(ran.stdout))
        return;
    }
    fail("no elephant is named");
  });
});
