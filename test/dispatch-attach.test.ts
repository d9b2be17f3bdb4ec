/**
 * Directories with a dispatcher, at real interfaces: attached for good and taken off,
 * served for a while; and what `split` says where no owner can be found.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { divisi, temporaryFolder } from "./support/cli.ts";
import { delivered } from "./support/load.ts";
import { Network, networkAbsence } from "./support/network.ts";

const absence = await networkAbsence();
const folder = temporaryFolder("dispatch-attach");

// prettier-ignore
function split(object: string, name: string, ...more: readonly string[]) {
  const directory = join(folder, name);
  const ran = divisi(["split", object, "-o", directory, "--dispatch", "software", "--cores", "2", "--allow-untested", "--trace", "gen:zipf,packets=500,flows=40", ...more]);
  return { directory, ...ran };
}

function networkTest(
  name: string,
  body: (network: Network) => void | Promise<void>,
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

networkTest(
  "packets pass through dispatcher and worker, without us, until it is detached",
  async (network) => {
    const { directory, status, stdout } = split(
      "testdata/dispatch/policer6.o",
      "policer6",
    );
    equal(status, 0);
    match(stdout, /^dispatch in software by ipv6\.dst/m);
    // What a cpumap passes on has no checksum left for the hardware to fill in.
    network.inFar("ethtool", "-K", "f0", "tx", "off");
    const before = network.snapshot();
    const attached = network.attach([directory, "--iface", "n0"]);
    equal(attached.status, 0, attached.stderr);
    equal(attached.stderr, "");
    const shown = network.divisi(["status", "--json"]);
    const { attachments } = JSON.parse(shown.stdout) as {
      attachments: { healthy: boolean; program: { name: string } }[];
    };
    deepEqual(
      attachments.map(({ healthy, program: { name } }) => [healthy, name]),
      [[true, "dispatch"]],
    );
    // An upgrade in between: nothing is lost, state and table stay.
    const [old = 0] = network.programs();
    const { sent, received } = await delivered(network, {
      flows: 4,
      work: async () => {
        const upgraded = await network.later([
          "upgrade",
          directory,
          "--name",
          "policer6",
        ]);
        equal(upgraded.status, 0, upgraded.stderr);
        match(upgraded.stdout, /buckets: kept as it is/);
        match(upgraded.stdout, /divisi_table: kept as it is/);
      },
    });
    ok(sent.length > 0);
    deepEqual(received, sent);
    const [now = 0] = network.programs();
    ok(now > 0 && now !== old);
    equal(network.divisi(["detach", "policer6"]).status, 0);
    equal(network.snapshot(), before);
  },
);

networkTest("the worker's state and verdicts are real", async (network) => {
  const { directory } = split("testdata/dispatch/mac-meter.o", "mac");
  equal(network.attach([directory, "--iface", "n0"]).status, 0);
  const { received } = await delivered(network);
  // Sent back or dropped, all of them.
  deepEqual(received, []);
  const dump = network.divisi(["map", "dump", "mac", "meters"]);
  match(dump.stdout, /packets=[1-9]/);
  const fixed = network.divisi(["rebalance", "mac"]);
  equal(fixed.status, 4);
  match(fixed.stderr, /mac is not built for moving entries while packets pass/);
  equal(network.divisi(["detach", "mac"]).status, 0);
});

networkTest("served for a while, and nothing is left", (network) => {
  const { directory } = split("testdata/dispatch/policer6.o", "served");
  const before = network.snapshot();
  const ran = network.divisi([
    "run",
    directory,
    "--iface",
    "n0",
    "--duration",
    "300ms",
  ]);
  equal(ran.status, 0, ran.stderr);
  equal(network.snapshot(), before);
});
